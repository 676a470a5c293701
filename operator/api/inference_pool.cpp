#include "api/inference_pool.h"

#include "api/metric_selector.h"
#include "api/names.h"
#include "base/address.h"

#include <algorithm>
#include <iterator>
#include <set>
#include <string_view>

#include <fmt/format.h>

namespace poolwarden::api {
namespace {

constexpr std::size_t kMaxPorts = 8;

void check_selector(const InferencePool& pool, std::vector<std::string>& out) {
  if (!pool.selector) {
    if (!pool.scale_target) {
      out.push_back(
          "spec.scaleTargetRef or spec.selector is required: name the workload, or select the pods");
    }
    return;
  }
  // In Kubernetes {} selects everything. A pool must never take every pod of its namespace by omission.
  if (pool.selector->empty())
    out.push_back(
        "spec.selector is empty, which would select nothing: give it matchLabels or matchExpressions");
  if (auto wrong = pool.selector->problem()) out.push_back("spec.selector " + *wrong);
  if (pool.selector->uses(kServingLabel)) {
    out.push_back(
        fmt::format("spec.selector must not use {}: Poolwarden itself writes that label", kServingLabel));
  }
}

void check_ports(const InferencePool& pool, std::vector<std::string>& out) {
  if (pool.target_ports.empty() || pool.target_ports.size() > kMaxPorts)
    out.push_back(fmt::format("spec.targetPorts must have 1 to {} ports", kMaxPorts));
  std::set<std::int32_t> numbers;
  std::set<std::string> names;
  for (const EndpointPort& port : pool.target_ports) {
    if (port.number < 1 || port.number > 65535)
      out.push_back(fmt::format("spec.targetPorts: {} is not a port number (1 to 65535)", port.number));
    if (!numbers.insert(port.number).second)
      out.push_back(fmt::format("spec.targetPorts: number {} is there twice", port.number));
    const std::string name = published_port_name(pool, port);
    if (!names.insert(name).second)
      out.push_back(fmt::format("spec.targetPorts: name \"{}\" is there twice", name));
  }
}

// https://kubernetes.io/docs/concepts/configuration/secret/#restriction-names-data
bool is_secret_key(std::string_view text) {
  return !text.empty() && text.size() <= 253 && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.';
  });
}

// How the engine is reached, and with which key.
void check_engine_access(const EngineSpec& engine, std::vector<std::string>& out) {
  const bool https = engine.scheme == EngineScheme::kHttps;
  if (engine.tls && !https) {
    out.push_back(
        "spec.engine.tls is how an engine with scheme https is checked: set scheme to https, or leave tls "
        "out");
  }
  const bool checked = engine.tls && !engine.tls->ca_bundle.empty();
  const bool unchecked = engine.tls && engine.tls->insecure_skip_verify;
  if (https && checked == unchecked) {
    out.push_back(
        "spec.engine.scheme https needs either tls.caBundle or tls.insecureSkipVerify: true: give one of "
        "them");
  }
  if (engine.tls && !engine.tls->server_name.empty() && !base::is_dns_name(engine.tls->server_name))
    out.push_back(fmt::format("spec.engine.tls.serverName: {} is no DNS name", engine.tls->server_name));
  if (!engine.api_key_secret) return;
  const auto& [name, key] = *engine.api_key_secret;
  if (!base::is_dns_name(name))
    out.push_back(fmt::format("spec.engine.apiKeySecret.name: \"{}\" is no name of a Secret", name));
  if (!is_secret_key(key))
    out.push_back(fmt::format("spec.engine.apiKeySecret.key: \"{}\" is no key of a Secret", key));
}

void check_engine(const InferencePool& pool, std::vector<std::string>& out) {
  const EngineSpec& engine = pool.engine;
  if ((engine.type == EngineType::kCustom) == engine.in_flight_metrics.empty())
    out.push_back(
        "spec.engine.inFlightMetrics names the metrics of engine type custom: give both, or neither");
  if (engine.server_load && engine.type != EngineType::kVllm)
    out.push_back("spec.engine.serverLoad is what engine type vllm tells at /load: leave it out for others");
  const auto check = [&out](const char* field, const std::string& metric) {
    if (!parse_metric_selector(metric)) {
      out.push_back(fmt::format(
          "spec.engine.{}: {} is neither a metric's name nor name{{label=\"value\"}}, with 4 labels "
          "at most",
          field, metric));
    }
  };
  for (const std::string& metric : engine.in_flight_metrics) check("inFlightMetrics", metric);
  if (!engine.cache_usage_metric.empty()) check("cacheUsageMetric", engine.cache_usage_metric);
  if (!engine.metrics_path.starts_with('/'))
    out.push_back(fmt::format("spec.engine.metricsPath is {}: it must begin with /", engine.metrics_path));
  if (engine.metrics_port && (*engine.metrics_port < 1 || *engine.metrics_port > 65535))
    out.push_back(
        fmt::format("spec.engine.metricsPort: {} is not a port number (1 to 65535)", *engine.metrics_port));
  check_engine_access(engine, out);
}

}  // namespace

std::string published_port_name(const InferencePool& pool, const EndpointPort& port) {
  if (!port.name.empty()) return port.name;
  return pool.target_ports.size() == 1 ? "http" : fmt::format("port-{}", port.number);
}

std::vector<EndpointPort> ports_in_use(const std::vector<EndpointPort>& ports,
                                       const std::vector<std::int32_t>& active) {
  std::vector<EndpointPort> out;
  std::copy_if(ports.begin(), ports.end(), std::back_inserter(out), [&](const EndpointPort& port) {
    return std::find(active.begin(), active.end(), port.number) != active.end();
  });
  return out.empty() ? ports : out;
}

std::vector<std::string> differing_fields(const PoolStatus& a, const PoolStatus& b) {
  std::vector<std::string> out;
  const auto compare = [&out](const char* name, const auto& one, const auto& other) {
    if (!(one == other)) out.emplace_back(name);
  };
  compare("observedGeneration", a.observed_generation, b.observed_generation);
  compare("replicas", a.replicas, b.replicas);
  compare("readyReplicas", a.ready_replicas, b.ready_replicas);
  compare("servingReplicas", a.serving_replicas, b.serving_replicas);
  compare("drainingReplicas", a.draining_replicas, b.draining_replicas);
  compare("syncedReplicas", a.synced_replicas, b.synced_replicas);
  compare("syncedTarget", a.synced_target, b.synced_target);
  compare("surgeReplicas", a.surge_replicas, b.surge_replicas);
  compare("selector", a.selector, b.selector);
  compare("endpointsRevision", a.endpoints_revision, b.endpoints_revision);
  compare("endpoints", a.endpoints, b.endpoints);
  compare("endpointsOmitted", a.endpoints_omitted, b.endpoints_omitted);
  compare("consumers", a.consumers, b.consumers);
  compare("consumerCount", a.consumer_count, b.consumer_count);
  compare("conditions", a.conditions, b.conditions);
  return out;
}

std::vector<std::string> problems(const InferencePool& pool) {
  std::vector<std::string> out;
  if (pool.replicas && *pool.replicas < 0)
    out.push_back(fmt::format("spec.replicas is {}: it cannot be negative", *pool.replicas));
  if (pool.scale_target && pool.scale_target->name.empty())
    out.push_back("spec.scaleTargetRef.name is empty: name the workload");
  check_selector(pool, out);
  check_ports(pool, out);
  check_engine(pool, out);
  return out;
}

}  // namespace poolwarden::api
