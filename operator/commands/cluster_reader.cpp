#include "commands/cluster_reader.h"

#include "api/codecs.h"
#include "api/json_read.h"
#include "api/names.h"
#include "api/target_kind.h"
#include "pool/observation.h"
#include "publish/calls.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace poolwarden::commands {
namespace {

using nlohmann::json;

constexpr const char* kLeaseName = "poolwarden";
constexpr const char* kSystemNamespace = "poolwarden-system";

kube::Call list_call(const kube::ResourceType& type, const std::string& ns) {
  kube::Call call;
  call.verb = kube::Verb::kList;
  call.type = type;
  call.ns = ns;
  return call;
}

template <class View, class Read>
kube::Result<View> read_as(kube::Result<json> answer, Read read) {
  if (!answer) return tl::unexpected(std::move(answer.error()));
  return read(*answer);
}

}  // namespace

template <class T, class Read>
Lookup<T> ClusterReader::look_up(const kube::Call& call, Read read) {
  auto answer = session_.call(call);
  if (answer) return {.value = read(*answer), .problem = {}};
  if (answer.error().is_not_found()) return {};
  return {.value = {}, .problem = std::move(answer.error().message)};
}

kube::Result<std::vector<PoolView>> ClusterReader::pools(const std::string& ns) {
  auto items = session_.list(list_call(publish::kInferencePools, ns));
  if (!items) return tl::unexpected(std::move(items.error()));
  std::vector<PoolView> out;
  for (const json& item : *items) out.push_back(PoolViewCodec::from_json(item));
  return out;
}

kube::Result<std::vector<SelectingPool>> ClusterReader::selecting_pools(const std::string& ns) {
  auto items = session_.list(list_call(publish::kInferencePools, ns));
  if (!items) return tl::unexpected(std::move(items.error()));
  std::vector<SelectingPool> out;
  for (const json& item : *items) {
    SelectingPool each{.pool = PoolViewCodec::from_json(item),
                       .selector = selector_of(api::PoolCodec::from_json(item))};
    if (!each.selector.value) {  // then only its list says whose pods are whose
      if (const auto list = list_of(each.pool); list.value) add_listed(each.pool, *list.value);
    }
    out.push_back(std::move(each));
  }
  return out;
}

Lookup<api::Workload> ClusterReader::target_of(const api::InferencePool& pool) {
  switch (api::target_kind(pool)) {
    case api::TargetKind::kDeployment:
      return look_up<api::Workload>(kube::get(kube::kDeployments, pool.ns, pool.scale_target->name),
                                    api::DeploymentCodec::from_json);
    case api::TargetKind::kStatefulSet:
      return look_up<api::Workload>(kube::get(kube::kStatefulSets, pool.ns, pool.scale_target->name),
                                    api::StatefulSetCodec::from_json);
    case api::TargetKind::kLeaderWorkerSet:
      return look_up<api::Workload>(kube::get(kube::kLeaderWorkerSets, pool.ns, pool.scale_target->name),
                                    api::LeaderWorkerSetCodec::from_json);
    case api::TargetKind::kRollout:
      return look_up<api::Workload>(kube::get(kube::kRollouts, pool.ns, pool.scale_target->name),
                                    api::RolloutCodec::from_json);
    case api::TargetKind::kNone:
    case api::TargetKind::kOther:
      break;
  }
  return {};
}

Lookup<api::LabelSelector> ClusterReader::selector_of(const api::InferencePool& pool) {
  Lookup<api::Workload> target;
  if (!pool.selector) target = target_of(pool);
  auto found = pool::selector_in_force(pool, target.value ? &*target.value : nullptr);
  if (found) return {.value = std::move(found), .problem = {}};
  if (pool.selector) return {.value = {}, .problem = "its spec.selector is empty"};
  if (target.value) return {.value = {}, .problem = "the selector of its target cannot be used"};
  return {.value = {}, .problem = std::move(target.problem)};
}

kube::Result<std::vector<PodView>> ClusterReader::pods_on(const std::string& node) {
  kube::Call call = list_call(kube::kPods, {});
  call.field_selector = "spec.nodeName=" + node;
  auto items = session_.list(std::move(call));
  if (!items) return tl::unexpected(std::move(items.error()));
  std::vector<PodView> out;
  for (const json& item : *items) out.push_back(read_pod(item));
  return out;
}

kube::Result<PoolView> ClusterReader::pool(const std::string& ns, const std::string& name) {
  return read_as<PoolView>(session_.call(kube::get(publish::kInferencePools, ns, name)),
                           PoolViewCodec::from_json);
}

kube::Result<PodView> ClusterReader::pod(const std::string& ns, const std::string& name) {
  return read_as<PodView>(session_.call(kube::get(kube::kPods, ns, name)), read_pod);
}

kube::Result<NodeView> ClusterReader::node(const std::string& name) {
  return read_as<NodeView>(session_.call(kube::get(kube::kNodes, {}, name)), read_node);
}

Lookup<api::EndpointSet> ClusterReader::shard_of(const PoolView& pool, std::int32_t shard) {
  const std::string name = api::shard_name(pool.config_map, shard);
  auto answer = session_.call(kube::get(kube::kConfigMaps, pool.ns, name));
  if (!answer) {
    if (answer.error().is_not_found()) return {};
    return {.value = {}, .problem = std::move(answer.error().message)};
  }
  std::string problem;
  auto set =
      api::parse_endpoint_set(api::string_at(api::member(*answer, "data"), api::kEndpointsJsonKey), &problem);
  if (set && (set->shard != shard || (shard > 1 && set->pool != pool.name)))
    problem = fmt::format("it is shard {} of pool {}", set->shard, set->pool);
  if (problem.empty()) return {.value = std::move(set), .problem = {}};
  return {.value = {},
          .problem = fmt::format("ConfigMap {}/{} is no list of Poolwarden's: {}", pool.ns, name,
                                 shortened(std::move(problem)))};
}

// A part of it would say of the others' pods that they are not listed.
Lookup<api::EndpointSet> ClusterReader::list_of(const PoolView& pool) {
  auto list = shard_of(pool, 1);
  if (!list.value) return list;
  std::vector<api::EndpointSet> others;
  for (std::int32_t shard = 2; shard <= list.value->shards; ++shard) {
    auto next = shard_of(pool, shard);
    if (next.value) {
      others.push_back(*std::move(next.value));
      continue;
    }
    if (next.problem.empty())
      next.problem = fmt::format("ConfigMap {}/{} is missing, one of the {} that the list has", pool.ns,
                                 api::shard_name(pool.config_map, shard), list.value->shards);
    return next;
  }
  std::vector<const api::EndpointSet*> shards{&*list.value};
  for (const api::EndpointSet& other : others) shards.push_back(&other);
  list.value = api::join(shards);
  return list;
}

Lookup<NodeView> ClusterReader::find_node(const std::string& name) {
  return look_up<NodeView>(kube::get(kube::kNodes, {}, name), read_node);
}

Lookup<SetView> ClusterReader::set_of(const PodView& pod) {
  const api::OwnerReference* owner = pod.controller();
  if (owner == nullptr || owner->api_version != kube::kReplicaSets.api_version()) return {};
  const auto view = [&owner](const auto& set) {
    return SetView{owner->kind, set.name, set.replicas, set.status_replicas};
  };
  if (owner->kind == kube::kReplicaSets.kind)
    return look_up<SetView>(kube::get(kube::kReplicaSets, pod.ns, owner->name), [&view](const json& object) {
      return view(api::ReplicaSetCodec::from_json(object));
    });
  if (owner->kind == kube::kStatefulSets.kind)
    return look_up<SetView>(kube::get(kube::kStatefulSets, pod.ns, owner->name), [&view](const json& object) {
      return view(api::StatefulSetCodec::from_json(object));
    });
  return {};
}

Lookup<std::vector<BudgetView>> ClusterReader::budgets(const std::string& ns) {
  auto items = session_.list(list_call(kube::kPodDisruptionBudgets, ns));
  if (!items) return {.value = {}, .problem = std::move(items.error().message)};
  std::vector<BudgetView> out;
  for (const json& item : *items) out.push_back(read_budget(item));
  return {.value = std::move(out), .problem = {}};
}

Lookup<std::vector<EventView>> ClusterReader::events_of(const PodView& pod) {
  kube::Call call = list_call(kube::kEvents, pod.ns);
  call.field_selector = fmt::format("regarding.kind=Pod,regarding.name={}", pod.name);
  auto items = session_.list(std::move(call));
  if (!items) return {.value = {}, .problem = std::move(items.error().message)};
  std::vector<EventView> out;
  for (const json& item : *items) {
    // Those of a namesake that is gone would mislead.
    const std::string uid = api::string_at(api::member(item, "regarding"), "uid");
    if (uid.empty() || uid == pod.uid) out.push_back(read_event(item));
  }
  std::stable_sort(out.begin(), out.end(),
                   [](const EventView& a, const EventView& b) { return a.when > b.when; });
  return {.value = std::move(out), .problem = {}};
}

Lookup<GateView> ClusterReader::gate() {
  const std::string name(api::kGateName);
  const auto policy = look_up<api::GatePart>(kube::get(kube::kValidatingAdmissionPolicies, {}, name),
                                             api::GatePolicyCodec::from_json);
  const auto binding = look_up<api::GatePart>(kube::get(kube::kValidatingAdmissionPolicyBindings, {}, name),
                                              api::GateBindingCodec::from_json);
  return gate_of(policy, binding);
}

Lookup<LeaseView> ClusterReader::lease(const std::string& ns) {
  auto found = look_up<LeaseView>(kube::get(kube::kLeases, kSystemNamespace, kLeaseName), read_lease);
  if (found.value) return found;
  auto beside = look_up<LeaseView>(kube::get(kube::kLeases, ns, kLeaseName), read_lease);
  return beside.value ? beside : found;
}

}  // namespace poolwarden::commands
