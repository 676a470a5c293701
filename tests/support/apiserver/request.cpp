#include "support/apiserver/request.h"

#include <charconv>
#include <vector>

namespace poolwarden::apiserver {
namespace {

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

std::vector<std::string> split_path(std::string_view path) {
  std::vector<std::string> parts;
  while (!path.empty()) {
    if (path.front() == '/') {
      path.remove_prefix(1);
      continue;
    }
    const std::string_view part = path.substr(0, path.find('/'));
    parts.push_back(percent_decode(part, false));
    path.remove_prefix(part.size());
  }
  return parts;
}

void parse_query(std::string_view query, ParsedRequest& out) {
  while (!query.empty()) {
    const std::string_view pair = query.substr(0, query.find('&'));
    query.remove_prefix(std::min(query.size(), pair.size() + 1));
    const std::size_t equals = pair.find('=');
    const std::string_view value =
        equals == std::string_view::npos ? std::string_view() : pair.substr(equals + 1);
    out.query[percent_decode(pair.substr(0, equals), true)] = percent_decode(value, true);
  }
}

std::string verb_of(kube::HttpMethod method, const ParsedRequest& request) {
  switch (method) {
    case kube::HttpMethod::kGet:
      if (request.flag("watch")) return "watch";
      return request.name.empty() ? "list" : "get";
    case kube::HttpMethod::kPost:
      return "create";
    case kube::HttpMethod::kPut:
      return "update";
    case kube::HttpMethod::kPatch:
      return "patch";
    case kube::HttpMethod::kDelete:
      return request.name.empty() ? "deletecollection" : "delete";
  }
  return {};
}

}  // namespace

std::string percent_decode(std::string_view text, bool plus_is_space) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size() && hex_digit(text[i + 1]) >= 0 && hex_digit(text[i + 2]) >= 0) {
      out += static_cast<char>(hex_digit(text[i + 1]) * 16 + hex_digit(text[i + 2]));
      i += 2;
    } else {
      out += plus_is_space && text[i] == '+' ? ' ' : text[i];
    }
  }
  return out;
}

std::string ParsedRequest::option(std::string_view key) const {
  const auto found = query.find(key);
  return found == query.end() ? std::string() : found->second;
}

bool ParsedRequest::flag(std::string_view key) const {
  const std::string value = option(key);
  return value == "true" || value == "1" || value == "True";
}

std::optional<std::int64_t> ParsedRequest::number(std::string_view key) const {
  const std::string text = option(key);
  std::int64_t value = 0;
  const char* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, value);
  if (text.empty() || error != std::errc{} || rest != end) return std::nullopt;
  return value;
}

// The rules of k8s.io/apiserver/pkg/endpoints/request/requestinfo.go.
ParsedRequest parse_request(const kube::HttpRequest& request) {
  ParsedRequest out;
  const std::string_view target = request.target;
  const std::size_t mark = target.find('?');
  out.path = std::string(target.substr(0, mark));
  if (mark != std::string_view::npos) parse_query(target.substr(mark + 1), out);

  std::vector<std::string> parts = split_path(out.path);
  std::size_t next = 0;
  if (parts.size() >= 3 && parts[0] == "api") {
    out.version = parts[1];
    next = 2;
  } else if (parts.size() >= 4 && parts[0] == "apis") {
    out.group = parts[1];
    out.version = parts[2];
    next = 3;
  } else {
    return out;
  }
  if (parts[next] == "namespaces" && parts.size() > next + 2 && parts[next + 2] != "status" &&
      parts[next + 2] != "finalize") {
    out.ns = parts[next + 1];
    next += 2;
  }
  out.resource = true;
  out.plural = parts[next];
  if (parts.size() > next + 1) out.name = parts[next + 1];
  if (parts.size() > next + 2) out.subresource = parts[next + 2];
  out.verb = verb_of(request.method, out);
  return out;
}

Form wanted_form(std::string_view accept) {
  // The first alternative the client names decides, as in the real server's negotiation.
  const std::string_view first = accept.substr(0, accept.find(','));
  if (first.find("as=Table") != std::string_view::npos) return Form::kTable;
  if (first.find("as=PartialObjectMetadata") != std::string_view::npos) return Form::kPartialMetadata;
  return Form::kObject;
}

}  // namespace poolwarden::apiserver
