#include "api/endpoint_set.h"

#include "api/json_read.h"
#include "api/json_text.h"
#include "api/names.h"
#include "base/address.h"

#include <algorithm>
#include <tuple>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace poolwarden::api {
namespace {

using nlohmann::json;

// Far above what fits into a ConfigMap (1 MiB), far below what would hurt a reader.
constexpr std::size_t kMaxDocumentBytes = 8U * 1024 * 1024;
constexpr std::int32_t kMaxPort = 65535;

void append_field(std::string& out, std::string_view name, std::string_view value) {
  fmt::format_to(std::back_inserter(out), "\"{}\":", name);
  append_json_string(out, value);
}

void append_ports(std::string& out, const std::vector<EndpointPort>& ports) {
  out += "\"ports\":[";
  for (std::size_t i = 0; i < ports.size(); ++i) {
    out += i == 0 ? "{" : ",{";
    if (!ports[i].name.empty()) {
      append_field(out, "name", ports[i].name);
      out += ',';
    }
    fmt::format_to(std::back_inserter(out), "\"number\":{}}}", ports[i].number);
  }
  out += ']';
}

void append_endpoint(std::string& out, const Endpoint& endpoint) {
  out += '{';
  append_field(out, "ip", endpoint.ip);
  out += ',';
  append_field(out, "node", endpoint.node);
  out += ',';
  append_field(out, "pod", endpoint.pod);
  out += ',';
  append_ports(out, endpoint.ports);
  out += ',';
  append_field(out, "state", to_string(endpoint.state));
  out += ',';
  append_field(out, "uid", endpoint.uid);
  if (!endpoint.zone.empty()) {
    out += ',';
    append_field(out, "zone", endpoint.zone);
  }
  out += '}';
}

void append_lines(std::string& out, const Endpoint& endpoint) {
  if (endpoint.state != EndpointState::kReady) return;
  const bool ipv6 = endpoint.ip.find(':') != std::string::npos;
  for (const EndpointPort& port : endpoint.ports) {
    if (ipv6) {
      fmt::format_to(std::back_inserter(out), "[{}]:{}\n", endpoint.ip, port.number);
    } else {
      fmt::format_to(std::back_inserter(out), "{}:{}\n", endpoint.ip, port.number);
    }
  }
}

// ---- reading ----

// Names end up in other programs' configuration and commands: nothing but what a Kubernetes name may hold.
bool is_plain_name(std::string_view text) {
  return !text.empty() && text.size() <= 253 && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_';
  });
}

std::optional<EndpointPort> read_port(const json& value) {
  const auto number = integer_at<std::int32_t>(value, "number");
  if (!number || *number < 1 || *number > kMaxPort) return std::nullopt;
  EndpointPort out{.number = *number, .name = string_at(value, "name")};
  if (!out.name.empty() && !is_plain_name(out.name)) return std::nullopt;
  return out;
}

// Nothing and no problem: an endpoint in a state this version does not know, which is not one to send to.
std::optional<Endpoint> read_endpoint(const json& value, std::string& problem) {
  Endpoint out;
  out.pod = string_at(value, "pod");
  out.uid = string_at(value, "uid");
  out.ip = string_at(value, "ip");
  out.node = string_at(value, "node");
  out.zone = string_at(value, "zone");
  if (!is_plain_name(out.pod)) {
    problem = "its pod is no name";
  } else if (!is_plain_name(out.uid)) {
    problem = "its uid is missing or has characters that no uid has";
  } else if (!base::is_ip(out.ip)) {
    problem = "its ip is no IP address";
  } else if ((!out.node.empty() && !is_plain_name(out.node)) ||
             (!out.zone.empty() && !is_plain_name(out.zone))) {
    problem = "its node or zone is no name";
  }
  if (!problem.empty()) return std::nullopt;

  for (const json& port : array_at(value, "ports")) {
    auto read = read_port(port);
    if (!read) {
      problem = "a port is not an object with a number from 1 to 65535 and a plain name";
      return std::nullopt;
    }
    out.ports.push_back(std::move(*read));
  }
  if (out.ports.empty()) {
    problem = "it has no ports";
    return std::nullopt;
  }
  const std::string state = string_at(value, "state");
  if (state == to_string(EndpointState::kReady)) return out;
  if (state != to_string(EndpointState::kDraining)) return std::nullopt;
  out.state = EndpointState::kDraining;
  return out;
}

std::string read_document(const json& document, EndpointSet& out) {
  if (!document.is_object()) return "the document is not a JSON object";
  if (string_at(document, "kind") != kEndpointSetKind) return "its kind is not EndpointSet";
  if (string_at(document, "apiVersion") != kApiVersion)
    return fmt::format("its apiVersion is not {}, the one this version reads", kApiVersion);
  out.ns = string_at(document, "namespace");
  out.pool = string_at(document, "pool");
  if (!is_plain_name(out.ns) || !is_plain_name(out.pool)) return "its namespace or pool is no name";
  const auto revision = integer_at<std::int64_t>(document, "revision");
  if (!revision) return "its revision is no 64-bit integer";
  out.revision = *revision;
  const json& endpoints = member(document, "endpoints");
  if (!endpoints.is_array()) return "its endpoints are not an array";
  for (std::size_t i = 0; i < endpoints.size(); ++i) {
    std::string problem;
    auto endpoint = read_endpoint(endpoints[i], problem);
    if (!problem.empty()) return fmt::format("endpoints[{}]: {}", i, problem);
    if (endpoint) out.endpoints.push_back(std::move(*endpoint));
  }
  return {};
}

}  // namespace

std::string_view to_string(EndpointState state) {
  return state == EndpointState::kReady ? "ready" : "draining";
}

void sort_canonically(EndpointSet& set) {
  std::sort(set.endpoints.begin(), set.endpoints.end(), [](const Endpoint& a, const Endpoint& b) {
    return std::tie(a.pod, a.uid) < std::tie(b.pod, b.uid);
  });
}

std::string to_canonical_json(const EndpointSet& set) {
  std::string out;
  out.reserve(160 + set.endpoints.size() * 224);
  out += '{';
  append_field(out, "apiVersion", kApiVersion);
  out += ",\"endpoints\":[";
  for (std::size_t i = 0; i < set.endpoints.size(); ++i) {
    if (i != 0) out += ',';
    append_endpoint(out, set.endpoints[i]);
  }
  out += "],";
  append_field(out, "kind", kEndpointSetKind);
  out += ',';
  append_field(out, "namespace", set.ns);
  out += ',';
  append_field(out, "pool", set.pool);
  fmt::format_to(std::back_inserter(out), ",\"revision\":{}}}\n", set.revision);
  return out;
}

std::string to_text(const EndpointSet& set) {
  std::string out;
  for (const Endpoint& endpoint : set.endpoints) append_lines(out, endpoint);
  return out;
}

std::size_t published_bytes(const Endpoint& endpoint) {
  std::string out = ",";
  append_endpoint(out, endpoint);
  append_lines(out, endpoint);
  return out.size();
}

std::size_t published_bytes(const EndpointSet& set) {
  return to_canonical_json(set).size() + to_text(set).size();
}

std::optional<EndpointSet> parse_endpoint_set(std::string_view text, std::string* problem) {
  std::string found;
  EndpointSet out;
  if (text.size() > kMaxDocumentBytes) {
    found = fmt::format("the document has {} bytes, more than the {} a list may have", text.size(),
                        kMaxDocumentBytes);
  } else {
    const json document = json::parse(text, nullptr, false);
    found = document.is_discarded() ? "it is not JSON" : read_document(document, out);
  }
  if (found.empty()) {
    sort_canonically(out);
    return out;
  }
  if (problem != nullptr) *problem = std::move(found);
  return std::nullopt;
}

}  // namespace poolwarden::api
