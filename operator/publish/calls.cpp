#include "publish/calls.h"

#include "api/json_text.h"
#include "api/names.h"
#include "api/target_kind.h"

#include <charconv>
#include <utility>

#include <nlohmann/json.hpp>

namespace poolwarden::publish {
namespace {

using nlohmann::json;

constexpr std::string_view kScale = "scale";
constexpr std::string_view kStatus = "status";
// In both keys of a list, with escaped quotes and room to spare.
constexpr std::size_t kBytesOfAnEndpoint = 288;

// Values come from objects the API server has validated; a byte that is no UTF-8 must still not throw.
std::string to_body(const json& body) {
  return body.dump(-1, ' ', false, json::error_handler_t::replace);
}

api::OwnerReference owner(const api::InferencePool& pool) {
  return {.api_version = std::string{api::kApiVersion},
          .kind = std::string{api::kPoolKind},
          .name = pool.name,
          .uid = pool.uid,
          .controller = true};
}

json labels_json(const api::LabelMap& labels) {
  json out = json::object();
  for (const auto& [key, value] : labels) out[key] = value;
  return out;
}

json metadata_at(const std::string& resource_version) {
  return {{"resourceVersion", resource_version}};
}

// A number has to go as a number: as text it would be the name of a container port.
json target_port(const std::string& target) {
  std::int32_t number = 0;
  const char* end = target.data() + target.size();
  const auto read = std::from_chars(target.data(), end, number);
  return read.ec == std::errc{} && read.ptr == end ? json(number) : json(target);
}

json ports_json(const std::vector<api::ServicePort>& ports) {
  json out = json::array();
  for (const api::ServicePort& port : ports) {
    out.push_back({{"name", port.name},
                   {"port", port.number},
                   {"targetPort", target_port(port.target)},
                   {"protocol", port.protocol}});
  }
  return out;
}

// Without hints: which zone an endpoint should be used from is for those who know how much each zone sends.
json slice_endpoint_json(const api::SliceEndpoint& endpoint, const std::string& ns) {
  json out = {
      {"addresses", json::array({endpoint.address})},
      {"conditions",
       {{"ready", endpoint.ready}, {"serving", endpoint.serving}, {"terminating", endpoint.terminating}}},
      {"targetRef",
       {{"kind", kube::kPods.kind}, {"namespace", ns}, {"name", endpoint.pod}, {"uid", endpoint.uid}}}};
  if (!endpoint.node.empty()) out["nodeName"] = endpoint.node;
  if (!endpoint.zone.empty()) out["zone"] = endpoint.zone;
  return out;
}

json endpoint_json(const api::EndpointStatus& endpoint) {
  json out = {{"pod", endpoint.pod}, {"state", endpoint.state}, {"since", api::to_rfc3339(endpoint.since)}};
  if (!endpoint.ip.empty()) out["ip"] = endpoint.ip;
  if (!endpoint.reason.empty()) out["reason"] = endpoint.reason;
  if (endpoint.in_flight) out["inFlight"] = *endpoint.in_flight;
  if (endpoint.deadline) out["deadline"] = api::to_rfc3339(*endpoint.deadline);
  if (!endpoint.message.empty()) out["message"] = endpoint.message;
  return out;
}

json consumer_json(const api::ConsumerStatus& consumer) {
  json out = {{"name", consumer.name},
              {"kind", consumer.kind},
              {"revision", consumer.revision},
              {"behind", consumer.behind},
              {"live", consumer.live}};
  if (consumer.applied_at) out["appliedAt"] = api::to_rfc3339(*consumer.applied_at);
  return out;
}

json status_json(const api::PoolStatus& status) {
  json out = {
      {"observedGeneration", status.observed_generation}, {"replicas", status.replicas},
      {"readyReplicas", status.ready_replicas},           {"servingReplicas", status.serving_replicas},
      {"drainingReplicas", status.draining_replicas},     {"selector", status.selector},
      {"endpointsRevision", status.endpoints_revision},   {"endpoints", json::array()},
      {"endpointsOmitted", status.endpoints_omitted},     {"conditions", json::array()}};
  // In a merge patch null takes a field away.
  out["surgeReplicas"] = status.surge_replicas == 0 ? json(nullptr) : json(status.surge_replicas);
  out["syncedReplicas"] = status.synced_replicas ? json(*status.synced_replicas) : json(nullptr);
  out["syncedTarget"] = status.synced_target.empty() ? json(nullptr) : json(status.synced_target);
  for (const auto& endpoint : status.endpoints) out["endpoints"].push_back(endpoint_json(endpoint));
  // A pool that nobody confirms for says nothing of it.
  const bool confirmed = status.consumer_count > 0;
  out["consumerCount"] = confirmed ? json(status.consumer_count) : json(nullptr);
  out["consumers"] = confirmed ? json::array() : json(nullptr);
  for (const auto& consumer : status.consumers) out["consumers"].push_back(consumer_json(consumer));
  for (const auto& condition : status.conditions) out["conditions"].push_back(api::to_json(condition));
  return out;
}

}  // namespace

kube::Call config_map(const api::InferencePool& pool, const api::ConfigMapWrite& wanted,
                      api::Timestamp trigger) {
  json metadata = {{"labels", {{api::kPoolLabel, pool.name}, {api::kManagedByLabel, api::kManagedByValue}}},
                   {"annotations",
                    {{api::kRevisionAnnotation, std::to_string(wanted.set.revision)},
                     {api::kPodsVersionAnnotation, wanted.pods_version},
                     {api::kTriggerTimeAnnotation, api::to_rfc3339_nanos(trigger)}}},
                   {"ownerReferences", json::array({api::to_json(owner(pool))})}};
  if (wanted.set.shard > 1) metadata["labels"][api::kShardLabel] = std::to_string(wanted.set.shard);
  const std::string name = api::shard_name(pool.publish.config_map_name, wanted.set.shard);
  const bool whole = wanted.create || !wanted.shared;
  if (whole) metadata["name"] = name;
  if (!wanted.create) metadata["resourceVersion"] = wanted.resource_version;
  // The lists by hand: of a large pool they are nearly all of the body, and this is the withdrawal path.
  std::string body;
  body.reserve(wanted.set.endpoints.size() * kBytesOfAnEndpoint + 2048);
  body += whole ? R"({"apiVersion":"v1","kind":"ConfigMap","metadata":)" : R"({"metadata":)";
  body += to_body(metadata);
  body += R"(,"data":{)";
  api::append_json_string(body, api::kEndpointsJsonKey);
  body += ':';
  api::append_canonical_json_string(body, wanted.set);
  body += ',';
  api::append_json_string(body, api::kEndpointsTextKey);
  body += ':';
  api::append_text_string(body, wanted.set);
  body += "}}";
  if (wanted.create) return kube::create(kube::kConfigMaps, pool.ns, std::move(body));
  return kube::guarded(whole ? kube::update(kube::kConfigMaps, pool.ns, name, std::move(body))
                             : kube::merge_patch(kube::kConfigMaps, pool.ns, name, std::move(body)));
}

kube::Call service(const api::InferencePool& pool, const api::ServiceWrite& wanted) {
  const std::string& name = pool.publish.service_name;
  json body;
  body["metadata"]["labels"] = labels_json(wanted.labels);
  if (!wanted.selector.empty()) body["spec"]["selector"] = labels_json(wanted.selector);
  for (const std::string& key : wanted.stale_selector_keys) body["spec"]["selector"][key] = nullptr;
  // Not {}: the controllers of Kubernetes ask whether there is a selector at all.
  if (wanted.drop_selector) body["spec"]["selector"] = nullptr;
  if (wanted.unmark) body["metadata"]["labels"][std::string{api::kSkipMirrorLabel}] = nullptr;
  if (!wanted.ports.empty()) body["spec"]["ports"] = ports_json(wanted.ports);
  if (wanted.create || wanted.adopt)
    body["metadata"]["ownerReferences"] = json::array({api::to_json(owner(pool))});
  if (wanted.create) {
    body["apiVersion"] = "v1";
    body["kind"] = "Service";
    body["metadata"]["name"] = name;
    if (wanted.headless) body["spec"]["clusterIP"] = "None";
    return kube::create(kube::kServices, pool.ns, to_body(body));
  }
  body["metadata"]["resourceVersion"] = wanted.resource_version;
  return kube::guarded(kube::merge_patch(kube::kServices, pool.ns, name, to_body(body)));
}

kube::Call endpoint_slice(const api::EndpointSliceWrite& wanted, api::Timestamp trigger) {
  using Action = api::EndpointSliceWrite::Action;
  const api::EndpointSlice& slice = wanted.slice;
  if (wanted.action == Action::kDelete)
    return kube::remove(kube::kEndpointSlices, slice.ns, slice.name, {slice.uid, slice.resource_version});
  json body = {{"apiVersion", kube::kEndpointSlices.api_version()},
               {"kind", kube::kEndpointSlices.kind},
               {"metadata",
                {{"name", slice.name},
                 {"labels",
                  {{api::kServiceNameLabel, slice.service},
                   {api::kSliceManagerLabel, slice.manager},
                   {api::kSkipMirrorLabel, "true"},
                   {api::kManagedByLabel, api::kManagedByValue},
                   {api::kPoolLabel, slice.pool}}},
                 {"annotations", {{api::kTriggerTimeAnnotation, api::to_rfc3339_nanos(trigger)}}},
                 {"ownerReferences", json::array()}}},
               {"addressType", slice.address_type},
               {"ports", json::array()},
               {"endpoints", json::array()}};
  for (const api::OwnerReference& one : slice.owners)
    body["metadata"]["ownerReferences"].push_back(api::to_json(one));
  for (const api::SlicePort& port : slice.ports)
    body["ports"].push_back({{"name", port.name}, {"port", port.number}, {"protocol", port.protocol}});
  for (const api::SliceEndpoint& endpoint : slice.endpoints)
    body["endpoints"].push_back(slice_endpoint_json(endpoint, slice.ns));
  if (wanted.action == Action::kCreate) return kube::create(kube::kEndpointSlices, slice.ns, to_body(body));
  body["metadata"]["resourceVersion"] = slice.resource_version;
  body["metadata"]["uid"] = slice.uid;
  return kube::guarded(kube::update(kube::kEndpointSlices, slice.ns, slice.name, to_body(body)));
}

kube::Call pod_label(const std::string& ns, const api::PodLabelWrite& wanted) {
  json metadata = metadata_at(wanted.resource_version);
  metadata["uid"] = wanted.uid;
  metadata["labels"][std::string{api::kServingLabel}] =
      wanted.serving ? json(*wanted.serving) : json(nullptr);
  for (const auto& [key, value] : wanted.annotations)
    metadata["annotations"][key] = value ? json(*value) : json(nullptr);
  return kube::guarded(
      kube::merge_patch(kube::kPods, ns, wanted.name, to_body({{"metadata", std::move(metadata)}})));
}

kube::Call disruption_budget(const api::InferencePool& pool, const api::BudgetWrite& wanted) {
  json expressions = json::array();
  for (const auto& one : wanted.selector.match_expressions) {
    json expression = {{"key", one.key}, {"operator", one.op}};
    if (!one.values.empty()) expression["values"] = one.values;
    expressions.push_back(std::move(expression));
  }
  json body;
  body["metadata"]["labels"] = {{api::kPoolLabel, pool.name}, {api::kManagedByLabel, api::kManagedByValue}};
  body["metadata"]["ownerReferences"] = json::array({api::to_json(owner(pool))});
  body["spec"] = {{"minAvailable", api::kBlockAllEvictions},
                  {"unhealthyPodEvictionPolicy", api::kHoldUnhealthyPods},
                  {"selector", {{"matchExpressions", std::move(expressions)}}}};
  if (wanted.create) {
    body["apiVersion"] = kube::kPodDisruptionBudgets.api_version();
    body["kind"] = kube::kPodDisruptionBudgets.kind;
    body["metadata"]["name"] = wanted.name;
    return kube::create(kube::kPodDisruptionBudgets, pool.ns, to_body(body));
  }
  body["metadata"]["resourceVersion"] = wanted.resource_version;
  body["spec"]["maxUnavailable"] = nullptr;
  body["spec"]["selector"]["matchLabels"] = nullptr;
  return kube::guarded(kube::merge_patch(kube::kPodDisruptionBudgets, pool.ns, wanted.name, to_body(body)));
}

kube::Call scale_target(const api::InferencePool& pool, const api::ScaleWrite& wanted) {
  // The scale subresource carries its target's resourceVersion, and checks it.
  const json body = {{"metadata", metadata_at(wanted.resource_version)}, {"spec", {{"replicas", wanted.to}}}};
  const std::string name = pool.scale_target ? pool.scale_target->name : std::string{};
  kube::ResourceType type = kube::kDeployments;
  if (const api::ScalableKind* kind = api::scalable(api::target_kind(pool)))
    type = {kind->group, kind->version, kind->plural, kind->kind};
  return kube::guarded(kube::merge_patch(type, pool.ns, name, to_body(body), std::string{kScale}));
}

kube::Call adopt_replicas(const api::InferencePool& pool, const api::AdoptWrite& wanted) {
  const json body = {{"metadata", metadata_at(pool.resource_version)}, {"spec", {{"replicas", wanted.to}}}};
  return kube::guarded(kube::merge_patch(kInferencePools, pool.ns, pool.name, to_body(body)));
}

kube::Call status(const api::InferencePool& pool, const api::PoolStatus& wanted) {
  const json body = {{"metadata", metadata_at(pool.resource_version)}, {"status", status_json(wanted)}};
  return kube::guarded(
      kube::merge_patch(kInferencePools, pool.ns, pool.name, to_body(body), std::string{kStatus}));
}

}  // namespace poolwarden::publish
