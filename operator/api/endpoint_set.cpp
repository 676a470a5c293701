#include "api/endpoint_set.h"

#include "api/json_read.h"
#include "api/json_text.h"
#include "api/names.h"
#include "base/address.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <tuple>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace poolwarden::api {
namespace {

using nlohmann::json;

// Far above what fits into a ConfigMap (1 MiB), far below what would hurt a reader.
constexpr std::size_t kMaxDocumentBytes = 8U * 1024 * 1024;
constexpr std::int32_t kMaxPort = 65535;

// As it is, or as the inside of a JSON string.
std::string escaped(std::string_view json, bool inside_string) {
  if (!inside_string) return std::string(json);
  std::string quoted;
  append_json_string(quoted, json);
  return quoted.substr(1, quoted.size() - 2);
}

// What stands around an endpoint's values. It is the same of each, and so is escaped once and not a thousand
// times.
struct EndpointFrame {
  explicit EndpointFrame(bool inside_string)
      : ip(escaped(R"({"ip":")", inside_string)),
        node(escaped(R"(","node":")", inside_string)),
        pod(escaped(R"(","pod":")", inside_string)),
        ports(escaped(R"(","ports":)", inside_string)),
        state(escaped(R"(,"state":")", inside_string)),
        uid(escaped(R"(","uid":")", inside_string)),
        zone(escaped(R"(","zone":")", inside_string)),
        unready_zone(escaped(R"(","unready":true,"zone":")", inside_string)),
        end(escaped(R"("})", inside_string)),
        unready_end(escaped(R"(","unready":true})", inside_string)) {}

  std::string ip, node, pod, ports, state, uid, zone, unready_zone, end, unready_end;
};

const EndpointFrame& endpoint_frame(bool inside_string) {
  static const EndpointFrame kPlain(false);
  static const EndpointFrame kInside(true);
  return inside_string ? kInside : kPlain;
}

// A JSON string can hold each of these bytes as it is, quoted once or twice. Looks at eight at a time: all of
// a list goes through here before a withdrawal leaves.
bool is_plain_text(std::string_view text) {
  if (text.empty()) return true;
  constexpr std::uint64_t kEach = 0x0101010101010101U;
  constexpr std::uint64_t kTop = 0x8080808080808080U;  // the top bit of each byte
  std::uint64_t other = 0;
  const auto look = [&other](std::uint64_t eight) {
    const std::uint64_t quotes = eight ^ (kEach * '"');
    const std::uint64_t backslashes = eight ^ (kEach * '\\');
    // A byte below n turns its top bit on when n is taken from it. What it borrows from the next byte can
    // only make that one look worse than it is.
    other |= (eight | (eight - kEach * 0x20) | (quotes - kEach) | (backslashes - kEach)) & kTop;
  };
  std::uint64_t eight = 0;
  for (; text.size() >= sizeof eight; text.remove_prefix(sizeof eight)) {
    std::memcpy(&eight, text.data(), sizeof eight);
    look(eight);
  }
  eight = kEach * 'x';
  std::memcpy(&eight, text.data(), text.size() % sizeof eight);
  look(eight);
  return other == 0;
}

// Writes the document, either as it is or as the inside of a JSON string: then its quotes are escaped while
// they are written, and nothing has to be looked at twice. Names, addresses and UIDs are copied whole.
class DocumentWriter {
 public:
  DocumentWriter(std::string& out, bool inside_string)
      : out_(out),
        quote_(inside_string ? "\\\"" : "\""),
        inside_string_(inside_string),
        frame_(endpoint_frame(inside_string)) {}

  void raw(std::string_view text) { out_ += text; }
  void number(std::int64_t value) {
    std::array<char, 24> digits;
    out_.append(digits.data(), std::to_chars(digits.data(), digits.data() + digits.size(), value).ptr);
  }
  void key(std::string_view name) {
    out_ += quote_;
    out_ += name;
    out_ += quote_;
    out_ += ':';
  }
  void field(std::string_view name, std::string_view value) {
    key(name);
    out_ += quote_;
    text(value);
    out_ += quote_;
  }
  // The endpoint must outlive the writer, which compares it with the next one.
  void endpoint(const Endpoint& endpoint) {
    if (like_ == nullptr || like_->state != endpoint.state || like_->ports != endpoint.ports)
      start_of_uid_ = start_of_uid(endpoint);
    like_ = &endpoint;
    const std::array<Value, 5> values{Value{frame_.ip, endpoint.ip}, Value{frame_.node, endpoint.node},
                                      Value{frame_.pod, endpoint.pod}, Value{start_of_uid_, endpoint.uid},
                                      zone(endpoint)};
    const std::string& end = endpoint.unready && endpoint.zone.empty() ? frame_.unready_end : frame_.end;
    const bool plain = std::all_of(values.begin(), values.end(),
                                   [](const Value& value) { return is_plain_text(value.text); });
    if (plain) return copy(values, end);
    for (const Value& value : values) {
      raw(value.before);
      text(value.text);
    }
    raw(end);
  }
  void end_of_line() { out_ += inside_string_ ? "\\n" : "\n"; }

 private:
  struct Value {
    std::string_view before;
    std::string_view text;
  };

  Value zone(const Endpoint& endpoint) const {
    if (endpoint.zone.empty()) return {};
    return {endpoint.unready ? frame_.unready_zone : frame_.zone, endpoint.zone};
  }
  // The inside of a JSON string.
  void text(std::string_view value) {
    if (is_plain_text(value)) {
      out_ += value;
    } else {
      out_ += escaped(escaped(value, true), inside_string_);
    }
  }
  // All of an endpoint into room that is made for it once.
  void copy(const std::array<Value, 5>& values, std::string_view end) {
    std::size_t size = end.size();
    for (const Value& value : values) size += value.before.size() + value.text.size();
    const std::size_t at = out_.size();
    out_.resize(at + size);
    char* to = out_.data() + at;
    for (const Value& value : values) {
      to = std::copy(value.before.begin(), value.before.end(), to);
      to = std::copy(value.text.begin(), value.text.end(), to);
    }
    std::copy(end.begin(), end.end(), to);
  }
  // What stands between the pod's name and its UID: of most endpoints it is as of the one before.
  std::string start_of_uid(const Endpoint& endpoint) {
    std::string out;
    DocumentWriter writer(out, inside_string_);
    writer.raw(frame_.ports);
    writer.ports(endpoint.ports);
    writer.raw(frame_.state);
    writer.raw(to_string(endpoint.state));
    writer.raw(frame_.uid);
    return out;
  }
  void ports(const std::vector<EndpointPort>& ports) {
    out_ += '[';
    for (std::size_t i = 0; i < ports.size(); ++i) {
      out_ += i == 0 ? "{" : ",{";
      if (!ports[i].name.empty()) {
        field("name", ports[i].name);
        out_ += ',';
      }
      key("number");
      number(ports[i].number);
      out_ += '}';
    }
    out_ += ']';
  }

  std::string& out_;
  std::string_view quote_;
  bool inside_string_;
  const EndpointFrame& frame_;
  const Endpoint* like_ = nullptr;  // the one before
  std::string start_of_uid_;        // of it
};

void write_number_above_one(DocumentWriter& out, std::string_view name, std::int32_t number) {
  if (number <= 1) return;
  out.raw(",");
  out.key(name);
  out.number(number);
}

void write_document(DocumentWriter& out, const EndpointSet& set) {
  out.raw("{");
  out.field("apiVersion", kApiVersion);
  out.raw(",");
  out.key("endpoints");
  out.raw("[");
  for (std::size_t i = 0; i < set.endpoints.size(); ++i) {
    if (i != 0) out.raw(",");
    out.endpoint(set.endpoints[i]);
  }
  out.raw("],");
  out.field("kind", kEndpointSetKind);
  out.raw(",");
  out.field("namespace", set.ns);
  out.raw(",");
  out.field("pool", set.pool);
  out.raw(",");
  out.key("revision");
  out.number(set.revision);
  write_number_above_one(out, "shard", set.shard);
  write_number_above_one(out, "shards", set.shards);
  out.raw("}");
  out.end_of_line();
}

void write_lines(DocumentWriter& out, const Endpoint& endpoint) {
  if (endpoint.state != EndpointState::kReady) return;
  const bool ipv6 = endpoint.ip.find(':') != std::string::npos;
  for (const EndpointPort& port : endpoint.ports) {
    if (ipv6) out.raw("[");
    out.raw(endpoint.ip);
    out.raw(ipv6 ? "]:" : ":");
    out.number(port.number);
    out.end_of_line();
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
  out.unready = bool_at(value, "unready", false);
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

// 1 where it is left out; nothing where it is no number of a shard.
std::optional<std::int32_t> read_shard(const json& document, std::string_view name) {
  if (member(document, name).is_null()) return 1;
  const auto number = integer_at<std::int32_t>(document, name);
  return number && *number >= 1 && *number <= kMaxShards ? number : std::nullopt;
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
  const auto shard = read_shard(document, "shard");
  const auto shards = read_shard(document, "shards");
  if (!shard || !shards) return fmt::format("its shard or shards are no number from 1 to {}", kMaxShards);
  out.shard = *shard;
  out.shards = *shards;
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

std::string shard_name(std::string_view list, std::int32_t shard) {
  return shard == 1 ? std::string(list) : fmt::format("{}-{}", list, shard);
}

std::optional<std::int32_t> shard_number(std::string_view list, std::string_view name) {
  if (!name.starts_with(list)) return std::nullopt;
  if (name.size() == list.size()) return 1;
  std::int32_t number = 0;
  const char* end = name.data() + name.size();
  const auto read = std::from_chars(name.data() + list.size() + 1, end, number);
  const bool is_shard = read.ec == std::errc{} && number > 1 && number <= kMaxShards;
  return is_shard && shard_name(list, number) == name ? std::optional{number} : std::nullopt;
}

EndpointSet join(const std::vector<const EndpointSet*>& shards) {
  EndpointSet out = *shards.front();
  if (shards.size() == 1) return out;
  for (const EndpointSet* shard : shards) {
    if (shard == shards.front()) continue;
    out.endpoints.insert(out.endpoints.end(), shard->endpoints.begin(), shard->endpoints.end());
    out.revision = std::max(out.revision, shard->revision);
  }
  sort_canonically(out);
  const auto doubles = std::unique(out.endpoints.begin(), out.endpoints.end(),
                                   [](const Endpoint& a, const Endpoint& b) { return a.uid == b.uid; });
  out.endpoints.erase(doubles, out.endpoints.end());
  return out;
}

std::string_view to_string(EndpointState state) {
  return state == EndpointState::kReady ? "ready" : "draining";
}

std::int32_t count_ready(const EndpointSet& set) {
  return static_cast<std::int32_t>(
      std::count_if(set.endpoints.begin(), set.endpoints.end(),
                    [](const Endpoint& endpoint) { return endpoint.state == EndpointState::kReady; }));
}

void sort_canonically(EndpointSet& set) {
  std::sort(set.endpoints.begin(), set.endpoints.end(), [](const Endpoint& a, const Endpoint& b) {
    return std::tie(a.pod, a.uid) < std::tie(b.pod, b.uid);
  });
}

std::string to_canonical_json(const EndpointSet& set) {
  std::string out;
  out.reserve(160 + set.endpoints.size() * 224);
  DocumentWriter writer(out, false);
  write_document(writer, set);
  return out;
}

std::string to_text(const EndpointSet& set) {
  std::string out;
  DocumentWriter writer(out, false);
  for (const Endpoint& endpoint : set.endpoints) write_lines(writer, endpoint);
  return out;
}

void append_canonical_json_string(std::string& out, const EndpointSet& set) {
  DocumentWriter writer(out, true);
  out += '"';
  write_document(writer, set);
  out += '"';
}

void append_text_string(std::string& out, const EndpointSet& set) {
  DocumentWriter writer(out, true);
  out += '"';
  for (const Endpoint& endpoint : set.endpoints) write_lines(writer, endpoint);
  out += '"';
}

std::size_t published_bytes(const Endpoint& endpoint) {
  std::string out = ",";
  DocumentWriter writer(out, false);
  writer.endpoint(endpoint);
  write_lines(writer, endpoint);
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
