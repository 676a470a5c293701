#include "kube/encoding.h"

#include <algorithm>

namespace poolwarden::kube {
namespace {

constexpr std::string_view kProtobufType = "application/vnd.kubernetes.protobuf";

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

}  // namespace

std::string_view accept_header(Encoding preferred) {
  return preferred == Encoding::kProtobuf ? "application/vnd.kubernetes.protobuf, application/json"
                                          : "application/json";
}

Encoding encoding_of(std::string_view content_type) {
  std::string_view type = content_type.substr(0, content_type.find(';'));
  while (type.starts_with(' ')) type.remove_prefix(1);
  while (type.ends_with(' ')) type.remove_suffix(1);
  const bool is_protobuf = std::equal(type.begin(), type.end(), kProtobufType.begin(), kProtobufType.end(),
                                      [](char a, char b) { return lower(a) == b; });
  return is_protobuf ? Encoding::kProtobuf : Encoding::kJson;
}

}  // namespace poolwarden::kube
