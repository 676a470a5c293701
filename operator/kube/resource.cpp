#include "kube/resource.h"

namespace poolwarden::kube {
namespace {

void append_segment(std::string& path, std::string_view segment) {
  path += '/';
  append_percent_encoded(path, segment);
}

}  // namespace

std::string ResourceType::api_version() const {
  std::string out(group);
  if (!out.empty()) {
    out += '/';
  }
  return out.append(version);
}

std::string resource_path(const ResourceType& type, std::string_view ns, std::string_view name,
                          std::string_view subresource) {
  // The core group has no name and lives under a path of its own.
  std::string path = type.group.empty() ? "/api" : "/apis";
  if (!type.group.empty()) {
    append_segment(path, type.group);
  }
  append_segment(path, type.version);
  if (type.namespaced && !ns.empty()) {
    path += "/namespaces";
    append_segment(path, ns);
  }
  append_segment(path, type.plural);
  if (!name.empty()) {
    append_segment(path, name);
    if (!subresource.empty()) {
      append_segment(path, subresource);
    }
  }
  return path;
}

void append_percent_encoded(std::string& out, std::string_view text) {
  static constexpr char kHex[] = "0123456789ABCDEF";
  for (const char c : text) {
    const bool unreserved = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                            c == '-' || c == '.' || c == '_' || c == '~';
    if (unreserved) {
      out += c;
    } else {
      const auto byte = static_cast<unsigned char>(c);
      out += '%';
      out += kHex[byte >> 4];
      out += kHex[byte & 15];
    }
  }
}

}  // namespace poolwarden::kube
