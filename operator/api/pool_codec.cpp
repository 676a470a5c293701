#include "api/codecs.h"
#include "api/json_read.h"
#include "api/quiet_reads.h"
#include "base/text.h"

#include <algorithm>
#include <utility>

#include <nlohmann/json.hpp>

namespace poolwarden::api {
namespace {

using nlohmann::json;

// Of a condition. What the operator writes is shorter.
constexpr std::size_t kMaxMessage = 4096;

Timestamp time_at(const json& object, std::string_view key) {
  return parse_rfc3339(string_at(object, key)).value_or(Timestamp{});
}

void read_ports(const json& spec, InferencePool& out) {
  for (const json& port : array_at(spec, "targetPorts")) {
    out.target_ports.push_back(
        {.number = integer_at<std::int32_t>(port, "number").value_or(0), .name = string_at(port, "name")});
  }
}

SliceMode slice_mode(std::string_view word) {
  if (word.empty() || word == "Selector") return SliceMode::kSelector;
  return word == "Direct" ? SliceMode::kDirect : SliceMode::kMisspelt;
}

void read_publish(const json& spec, InferencePool& out) {
  const json& publish = member(spec, "publish");
  out.publish.config_map_name = string_at(member(publish, "configMap"), "name");
  if (out.publish.config_map_name.empty()) out.publish.config_map_name = out.name + "-endpoints";
  const json& service = member(publish, "service");
  out.publish.service_name = string_at(service, "name");
  if (out.publish.service_name.empty()) out.publish.service_name = out.name;
  out.publish.create_service = bool_at(service, "create", true);
  out.publish.slices = slice_mode(string_at(service, "endpointSlices"));
  out.publish.panic_threshold =
      std::clamp(integer_at<std::int32_t>(publish, "panicThresholdPercent").value_or(0), 0, 100);
}

EngineType engine_type(const std::string& name) {
  if (name == "sglang") return EngineType::kSglang;
  if (name == "trtllm") return EngineType::kTrtllm;
  if (name == "llamacpp") return EngineType::kLlamaCpp;
  if (name == "custom") return EngineType::kCustom;
  return EngineType::kVllm;
}

EngineRole engine_role(const std::string& name) {
  if (name == "prefill") return EngineRole::kPrefill;
  if (name == "decode") return EngineRole::kDecode;
  return EngineRole::kWhole;
}

std::int32_t default_quiet_reads(const EngineSpec& engine, std::chrono::seconds poll) {
  // SGLang counts a request only some decode steps after it has begun, by default every 40th. Its queues of
  // disaggregated serving are among its gauges.
  if (engine.type == EngineType::kSglang) return 5;
  if (engine.type != EngineType::kVllm || engine.role == EngineRole::kWhole) return 2;
  // Between prompt and answer a request is in no gauge of either engine. A prefill instance keeps its blocks
  // for 30 s (kv_lease_duration), and for as long as a decoder that waits for them renews that.
  // https://docs.vllm.ai/en/latest/design/nixl_kv_cache_lease/
  constexpr std::chrono::seconds kBetweenEngines{40};
  return quiet_reads_for(kBetweenEngines, poll);
}

void read_engine_access(const json& engine, EngineSpec& out) {
  // What is neither is refused by the schema. Where it was not, nothing is sent in clear.
  const std::string scheme = string_at(engine, "scheme");
  if (!scheme.empty() && scheme != "http") out.scheme = EngineScheme::kHttps;
  if (const json& tls = member(engine, "tls"); tls.is_object()) {
    std::string bundle = string_at(tls, "caBundle");
    bundle.resize(std::min(bundle.size(), EngineTls::kMaxCaBundle + 1));  // too long, and told so
    out.tls = base::Shared(EngineTls{.ca_bundle = std::move(bundle),
                                     .server_name = string_at(tls, "serverName"),
                                     .insecure_skip_verify = bool_at(tls, "insecureSkipVerify", false)});
  }
  if (const json& secret = member(engine, "apiKeySecret"); secret.is_object()) {
    out.api_key_secret = SecretKeyRef{.name = string_at(secret, "name"), .key = string_at(secret, "key")};
    if (out.api_key_secret->key.empty()) out.api_key_secret->key = "api-key";
  }
}

void read_engine(const json& engine, EngineSpec& out) {
  out.type = engine_type(string_at(engine, "type"));
  out.role = engine_role(string_at(engine, "role"));
  out.metrics_port = integer_at<std::int32_t>(engine, "metricsPort");
  // trtllm-serve answers /metrics with JSON. https://nvidia.github.io/TensorRT-LLM/commands/trtllm-serve/
  if (out.type == EngineType::kTrtllm) out.metrics_path = "/prometheus/metrics";
  if (auto path = string_at(engine, "metricsPath"); !path.empty()) out.metrics_path = std::move(path);
  for (const json& name : array_at(engine, "inFlightMetrics")) {
    if (name.is_string()) out.in_flight_metrics.push_back(name.get<std::string>());
  }
  out.cache_usage_metric = string_at(engine, "cacheUsageMetric");
  out.server_load = bool_at(engine, "serverLoad", false);
  read_engine_access(engine, out);
}

void read_drain(const json& spec, InferencePool& out) {
  const json& drain = member(spec, "drain");
  // The schema's limits, for a definition that came without them.
  const auto within = [&drain](const char* key, std::int32_t otherwise, std::int32_t least,
                               std::int32_t most) {
    return std::clamp(integer_at<std::int32_t>(drain, key).value_or(otherwise), least, most);
  };
  out.drain.timeout = std::chrono::seconds(within("timeoutSeconds", 300, 0, 86'400));
  out.drain.poll = std::chrono::seconds(within("pollSeconds", 1, 1, 60));
  out.drain.quiet_reads = within("quietReads", default_quiet_reads(out.engine, out.drain.poll), 1, 100);
  out.drain.settle = std::chrono::seconds(within("settleSeconds", 1, 0, 600));
  out.drain.settle_is_set = integer_at<std::int32_t>(drain, "settleSeconds").has_value();
  if (string_at(drain, "onTimeout") == "keep") out.drain.on_timeout = OnTimeout::kKeep;
  const json& disruption = member(spec, "disruption");
  out.disruption.hold_evictions = bool_at(disruption, "holdEvictions", true);
  out.disruption.replace_first = bool_at(disruption, "replaceFirst", false);
  if (string_at(disruption, "onlyReplica") == "drain") out.disruption.only_replica = OnlyReplica::kDrain;
  if (string_at(disruption, "prefer") == "emptyNode") out.disruption.prefer = Prefer::kEmptyNode;
}

void read_spec(const json& spec, InferencePool& out) {
  out.replicas = integer_at<std::int32_t>(spec, "replicas");
  if (const json& target = member(spec, "scaleTargetRef"); target.is_object()) {
    out.scale_target = ScaleTargetRef{.api_version = string_at(target, "apiVersion"),
                                      .kind = string_at(target, "kind"),
                                      .name = string_at(target, "name")};
    // The schema's defaults, for a CRD that came without them.
    if (out.scale_target->api_version.empty()) out.scale_target->api_version = "apps/v1";
    if (out.scale_target->kind.empty()) out.scale_target->kind = "Deployment";
  }
  if (const json& selector = member(spec, "selector"); selector.is_object()) {
    out.selector = read_selector(selector);
  }
  read_ports(spec, out);
  read_publish(spec, out);
  read_engine(member(spec, "engine"), out.engine);
  read_drain(spec, out);
}

std::optional<Timestamp> optional_time_at(const json& object, std::string_view key) {
  return parse_rfc3339(string_at(object, key));
}

PoolStatus read_status(const json& status) {
  PoolStatus out;
  out.observed_generation = integer_at<std::int64_t>(status, "observedGeneration").value_or(0);
  out.replicas = integer_at<std::int32_t>(status, "replicas").value_or(0);
  out.ready_replicas = integer_at<std::int32_t>(status, "readyReplicas").value_or(0);
  out.serving_replicas = integer_at<std::int32_t>(status, "servingReplicas").value_or(0);
  out.draining_replicas = integer_at<std::int32_t>(status, "drainingReplicas").value_or(0);
  out.synced_replicas = integer_at<std::int32_t>(status, "syncedReplicas");
  out.synced_target = string_at(status, "syncedTarget");
  out.surge_replicas = integer_at<std::int32_t>(status, "surgeReplicas").value_or(0);
  out.selector = string_at(status, "selector");
  out.endpoints_revision = integer_at<std::int64_t>(status, "endpointsRevision").value_or(0);
  for (const json& endpoint : array_at(status, "endpoints")) {
    out.endpoints.push_back({.pod = string_at(endpoint, "pod"),
                             .ip = string_at(endpoint, "ip"),
                             .state = string_at(endpoint, "state"),
                             .reason = string_at(endpoint, "reason"),
                             .since = time_at(endpoint, "since"),
                             .in_flight = integer_at<std::int32_t>(endpoint, "inFlight"),
                             .deadline = optional_time_at(endpoint, "deadline"),
                             .message = string_at(endpoint, "message")});
  }
  out.endpoints_omitted = integer_at<std::int32_t>(status, "endpointsOmitted").value_or(0);
  for (const json& consumer : array_at(status, "consumers")) {
    out.consumers.push_back({.name = string_at(consumer, "name"),
                             .kind = string_at(consumer, "kind"),
                             .revision = integer_at<std::int64_t>(consumer, "revision").value_or(0),
                             .behind = integer_at<std::int64_t>(consumer, "behind").value_or(0),
                             .live = bool_at(consumer, "live", false),
                             .applied_at = optional_time_at(consumer, "appliedAt")});
  }
  out.consumer_count = integer_at<std::int32_t>(status, "consumerCount").value_or(0);
  for (const json& condition : array_at(status, "conditions")) {
    out.conditions.push_back(
        {.type = string_at(condition, "type"),
         .status = string_at(condition, "status"),
         .reason = string_at(condition, "reason"),
         .message = std::string(base::cut(string_at(condition, "message"), kMaxMessage)),
         .observed_generation = integer_at<std::int64_t>(condition, "observedGeneration").value_or(0),
         .last_transition = time_at(condition, "lastTransitionTime")});
  }
  return out;
}

}  // namespace

InferencePool PoolCodec::from_json(const json& object) {
  InferencePool out;
  read_identity(object, out);
  const json& metadata = member(object, "metadata");
  out.generation = integer_at<std::int64_t>(metadata, "generation").value_or(0);
  out.deleting = member(metadata, "deletionTimestamp").is_string();
  read_spec(member(object, "spec"), out);
  out.status = read_status(member(object, "status"));
  return out;
}

}  // namespace poolwarden::api
