#include "support/cluster/probe.h"

#include "support/apiserver/json_util.h"

#include <charconv>

#include <nlohmann/json.hpp>

namespace poolwarden::cluster {
namespace {

using apiserver::find_path;
using apiserver::int_at;
using apiserver::text_at;
using nlohmann::json;

std::string_view field_of(ProbeRole role) {
  switch (role) {
    case ProbeRole::kStartup:
      return "startupProbe";
    case ProbeRole::kReadiness:
      return "readinessProbe";
    case ProbeRole::kLiveness:
      return "livenessProbe";
  }
  return {};
}

int port_of(const json& container, const json* port) {
  if (port == nullptr) return 0;
  if (port->is_number_integer()) return static_cast<int>(port->get<std::int64_t>());
  if (!port->is_string()) return 0;
  const std::string& name = port->get_ref<const std::string&>();
  if (const json* ports = find_path(container, {"ports"}); ports != nullptr && ports->is_array()) {
    for (const json& each : *ports) {
      if (text_at(each, {"name"}) == name) return static_cast<int>(int_at(each, {"containerPort"}));
    }
  }
  int number = 0;
  std::from_chars(name.data(), name.data() + name.size(), number);
  return number;
}

void read_http(const json& http, const json& container, ProbeSpec& spec) {
  spec.kind = ProbeKind::kHttp;
  spec.host = text_at(http, {"host"});
  spec.port = port_of(container, find_path(http, {"port"}));
  if (const std::string path = text_at(http, {"path"}); !path.empty()) spec.path = path;
  if (spec.path.front() != '/') spec.path.insert(0, 1, '/');
  const json* headers = find_path(http, {"httpHeaders"});
  if (headers == nullptr || !headers->is_array()) return;
  for (const json& header : *headers) {
    spec.headers.emplace_back(text_at(header, {"name"}), text_at(header, {"value"}));
  }
}

}  // namespace

std::optional<ProbeSpec> parse_probe(const json& container, ProbeRole role) {
  const json* probe = find_path(container, {field_of(role)});
  if (probe == nullptr || !probe->is_object()) return std::nullopt;
  ProbeSpec spec;
  if (const json* http = find_path(*probe, {"httpGet"}); http != nullptr) {
    read_http(*http, container, spec);
  } else if (const json* tcp = find_path(*probe, {"tcpSocket"}); tcp != nullptr) {
    spec.kind = ProbeKind::kTcp;
    spec.host = text_at(*tcp, {"host"});
    spec.port = port_of(container, find_path(*tcp, {"port"}));
  } else if (const json* command = find_path(*probe, {"exec", "command"}); command != nullptr) {
    spec.kind = ProbeKind::kExec;
    for (const json& word : *command) {
      if (word.is_string()) spec.command.push_back(word.get<std::string>());
    }
  } else {
    return std::nullopt;
  }
  const auto at_least = [&](std::string_view key, std::int64_t otherwise, std::int64_t least) {
    return std::max(int_at(*probe, {key}, otherwise), least);
  };
  spec.initial_delay = std::chrono::seconds(at_least("initialDelaySeconds", 0, 0));
  spec.period = std::chrono::seconds(at_least("periodSeconds", 10, 1));
  spec.timeout = std::chrono::seconds(at_least("timeoutSeconds", 1, 1));
  spec.failure_threshold = static_cast<int>(at_least("failureThreshold", 3, 1));
  spec.success_threshold = static_cast<int>(at_least("successThreshold", 1, 1));
  if (find_path(*probe, {"terminationGracePeriodSeconds"}) != nullptr) {
    spec.termination_grace = std::chrono::seconds(at_least("terminationGracePeriodSeconds", 30, 1));
  }
  return spec;
}

ProbeState::ProbeState(ProbeSpec spec, ProbeRole role, Timestamp container_started)
    : spec_(std::move(spec)),
      passing_(role == ProbeRole::kLiveness),
      next_(container_started + spec_.initial_delay) {}

void ProbeState::begin(Timestamp now) {
  running_ = true;
  next_ = now + spec_.period;
}

void ProbeState::end(bool success) {
  running_ = false;
  in_a_row_ = success == last_ ? in_a_row_ + 1 : 1;
  last_ = success;
  if (in_a_row_ >= (success ? spec_.success_threshold : spec_.failure_threshold)) passing_ = success;
}

}  // namespace poolwarden::cluster
