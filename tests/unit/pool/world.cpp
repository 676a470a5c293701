#include "world.h"

#include "api/names.h"
#include "pool/node_drains.h"
#include "pool/ordinal_set.h"
#include "pool/pod_group.h"

#include <algorithm>

#include <gtest/gtest.h>

namespace poolwarden::pool {

api::Pod ready_pod(const std::string& name, const std::string& ip) {
  api::Pod out;
  out.ns = "default";
  out.name = name;
  out.uid = name + "-uid";
  out.resource_version = "1";
  out.labels = std::make_shared<const api::Labels>(api::LabelMap{{"app", "vllm"}});
  out.node = std::make_shared<const std::string>("node-1");
  out.controller = std::make_shared<const std::string>();
  out.ip = ip;
  out.phase = api::PodPhase::kRunning;
  out.ready = api::Tristate::kTrue;
  out.containers_ready = api::Tristate::kTrue;
  out.has_readiness_probe = true;
  return out;
}

api::Pod with_labels(api::Pod pod, const api::LabelMap& labels) {
  pod.labels = std::make_shared<const api::Labels>(labels);
  return pod;
}

World::World() {
  pool.ns = "default";
  pool.name = "vllm";
  pool.uid = "pool-uid";
  pool.resource_version = "1";
  pool.generation = 1;
  pool.scale_target = api::ScaleTargetRef{.api_version = "apps/v1", .kind = "Deployment", .name = "vllm"};
  pool.target_ports = {{.number = 8000, .name = ""}};
  pool.publish = {.config_map_name = "vllm-endpoints", .service_name = "vllm", .create_service = true};

  target.emplace();
  target->ns = "default";
  target->name = "vllm";
  target->uid = "target-uid";
  target->resource_version = "50";
  target->replicas = target->status_replicas = target->updated_replicas = target->ready_replicas = 2;
  target->selector.match_labels = {{"app", "vllm"}};
  target->has_readiness_probe = target->has_pre_stop = true;
  target->pre_stop_sleep_seconds = 30;
  target->termination_grace_seconds = 60;

  pods = {ready_pod("vllm-a", "10.0.0.1"), ready_pod("vllm-b", "10.0.0.2")};
  nodes["node-1"].name = "node-1";
  nodes["node-1"].zone = "zone-1";
}

api::Pod& World::pod(const std::string& name) {
  const auto found =
      std::find_if(pods.begin(), pods.end(), [&](const auto& pod) { return pod.name == name; });
  if (found == pods.end()) throw std::out_of_range("no pod " + name);
  return *found;
}

Plan World::decide(std::int64_t second) const {
  Snapshot snapshot;
  snapshot.pool = &pool;
  snapshot.target = target ? &*target : nullptr;
  snapshot.target_visibility = target ? Visibility::kPresent : target_visibility;
  snapshot.target_awaited = target_awaited;
  add_pods(snapshot);
  snapshot.can_see = can_see;
  snapshot.watch_errors = watch_errors;
  snapshot.service = service ? &*service : nullptr;
  snapshot.service_visibility = service ? Visibility::kPresent : service_visibility;
  snapshot.slice_sight = slice_sight;
  for (const auto& [name, slice] : slices)
    if (slice.skips_mirror) snapshot.slices.push_back(&slice);
  snapshot.slices_error = slices_error;
  snapshot.sees_cordons = nodes_readable && !nodes_stale;
  if (nodes_readable) {
    snapshot.node = [this](const api::Pod& pod) -> const api::Node* {
      const auto found = nodes.find(*pod.node);
      return found == nodes.end() ? nullptr : &found->second;
    };
  }
  snapshot.unseen_nodes = unseen_nodes;
  snapshot.draining_nodes = &draining_nodes;
  snapshot.releases = &releases;
  snapshot.pods_version = pods_version;
  snapshot.pods_behind = pods_behind;
  add_list(snapshot);
  snapshot.pool_autoscalers = pool_autoscalers;
  snapshot.target_autoscalers = target_autoscalers;
  snapshot.overlapping_pools = overlapping_pools;
  snapshot.more_overlapping_pools = more_overlapping_pools;
  snapshot.pods_of_others = pods_of_others;
  snapshot.agreed = agreed;
  snapshot.replicas_unsettled = replicas_unsettled;
  snapshot.replicas_wait = replicas_wait;
  snapshot.last_revision = last_revision;
  snapshot.once_published = &once_published;
  snapshot.config_map_error = config_map_error;
  snapshot.config_map_error_name = pool.publish.config_map_name;
  snapshot.config_map_error_reason = config_map_error_reason;
  snapshot.service_error = service_error;
  snapshot.scale_error = scale_error;
  snapshot.labels_error = labels_error;
  snapshot.stale = stale;
  snapshot.dropped_fields = dropped_fields;
  snapshot.budget_error = budget_error;
  snapshot.gate = gate;
  for (const api::ReplicaSet& set : replica_sets)
    snapshot.replica_sets.push_back({.set = &set,
                                     .superseded = superseded.contains(set.uid),
                                     .outdated = sets_outdated,
                                     .held = surplus_lasts,
                                     .pods_outside_pool = pods_outside_pool,
                                     .draining_outside_pool = draining_outside_pool});
  snapshot.sees_replica_sets = sees_replica_sets;
  add_stateful_sets(snapshot);
  snapshot.budget = budget ? &*budget : nullptr;
  snapshot.budget_visibility = budget ? Visibility::kPresent : budget_visibility;
  snapshot.other_budgets = other_budgets;
  snapshot.loads = &loads;
  snapshot.labels_under_way = &labels_under_way;
  snapshot.led_by_others = led_by_others;
  snapshot.listed_by_others = listed_by_others;
  snapshot.shared_drains = shared_drains;
  snapshot.consumers = &consumers;
  snapshot.list_revisions = list_revisions;
  snapshot.confirmations = confirmations;
  shorten_drains(snapshot, taint_deadline, at_second(second));
  std::set<std::string> listed;
  for (const ListShard& shard : snapshot.list) {
    const auto set = shard.config_map != nullptr
                         ? api::parse_endpoint_set(shard.config_map->endpoints_json, nullptr)
                         : std::nullopt;
    if (!set) continue;
    for (const auto& endpoint : set->endpoints) {
      if (endpoint.state == api::EndpointState::kReady) listed.insert(endpoint.uid);
    }
  }
  snapshot.is_listed = [&listed](const std::string& uid) { return listed.contains(uid); };
  return pool::decide(snapshot, at_second(second));
}

// Workers are seen with their leaders, and not as pods of the pool.
void World::add_pods(Snapshot& snapshot) const {
  for (const api::Pod& pod : pods) {
    if (!is_worker(*pod.labels)) snapshot.pods.push_back(&pod);
    if (!is_leader(*pod.labels)) continue;
    for (const api::Pod& other : pods) {
      if (is_worker(*other.labels) && group_of(*other.labels) == group_of(*pod.labels))
        snapshot.groups[pod.uid].push_back(&other);
    }
  }
  std::sort(snapshot.pods.begin(), snapshot.pods.end(),
            [](const auto* a, const auto* b) { return a->name < b->name; });
}

void World::add_stateful_sets(Snapshot& snapshot) const {
  snapshot.sees_stateful_sets = sees_stateful_sets;
  for (const api::StatefulSet& set : stateful_sets) {
    StatefulSetView view{.set = &set, .leaving = {}, .held = surplus_lasts};
    std::vector<const api::Pod*> its;
    for (const api::Pod& pod : pods) {
      if (*pod.controller == set.uid) its.push_back(&pod);
    }
    for (const Leaver& leaver : next_to_leave(set, its)) view.leaving.emplace(leaver.pod->uid, leaver.reason);
    snapshot.stateful_sets.push_back(std::move(view));
  }
}

// As the operator does: the shards that are there, and those that the first one counts.
void World::add_list(Snapshot& snapshot) const {
  const auto first = config_map ? api::parse_endpoint_set(config_map->endpoints_json, nullptr) : std::nullopt;
  snapshot.list_limits = list_limits;
  snapshot.list_counted = first ? first->shards : list_counted;
  snapshot.list.clear();
  for (std::int32_t shard = 1; shard <= api::kMaxShards; ++shard) {
    const auto other = other_shards.find(shard);
    const api::ConfigMap* map = other == other_shards.end() ? nullptr : &other->second;
    if (shard == 1) map = config_map ? &*config_map : nullptr;
    if (map == nullptr && shard > snapshot.list_counted) return;
    snapshot.list.push_back(
        {.config_map = map,
         .pods_version = pods_behind && map != nullptr ? map->pods_version : pods_version});
  }
}

void World::apply_publish(const PublishEndpoints& publish) {
  const std::int32_t shard = publish.write.set.shard;
  const bool there = shard == 1 ? config_map.has_value() : other_shards.contains(shard);
  ASSERT_EQ(there, !publish.write.create) << "created over an existing one, or patched while there is none";
  if (!there && shard == 1) config_map.emplace();
  api::ConfigMap& map = shard == 1 ? *config_map : other_shards[shard];
  if (there) {
    ASSERT_EQ(publish.write.resource_version, map.resource_version);
  }
  ASSERT_GT(publish.write.set.revision, last_revision) << "a revision only grows";
  map.name = api::shard_name(pool.publish.config_map_name, shard);
  map.resource_version = next_version();
  map.labels = {{std::string{api::kPoolLabel}, pool.name},
                {std::string{api::kManagedByLabel}, std::string{api::kManagedByValue}}};
  if (shard > 1) map.labels[std::string{api::kShardLabel}] = std::to_string(shard);
  map.owners = {{.api_version = std::string{api::kApiVersion},
                 .kind = std::string{api::kPoolKind},
                 .name = pool.name,
                 .uid = pool.uid,
                 .controller = true}};
  map.revision = std::to_string(publish.write.set.revision);
  map.endpoints_json = api::to_canonical_json(publish.write.set);
  map.endpoints_text = api::to_text(publish.write.set);
  if (shard == 1) list_counted = publish.write.set.shards;
  last_revision = publish.write.set.revision;
  for (const auto& endpoint : publish.write.set.endpoints) once_published.insert(endpoint.uid);
}

void World::apply_service(const api::ServiceWrite& write) {
  if (write.create) {
    ASSERT_FALSE(service) << "created over an existing one";
    service.emplace();
    service->name = pool.publish.service_name;
  } else {
    ASSERT_TRUE(service) << "patched while there is none";
    ASSERT_EQ(write.resource_version, service->resource_version);
  }
  if (write.create || write.adopt) {
    service->owners = {{.api_version = std::string{api::kApiVersion},
                        .kind = std::string{api::kPoolKind},
                        .name = pool.name,
                        .uid = pool.uid,
                        .controller = true}};
  }
  service->resource_version = next_version();
  for (const auto& [key, value] : write.labels) service->labels[key] = value;
  // As a merge patch does it: what is not named stays.
  for (const auto& [key, value] : write.selector) service->selector[key] = value;
  for (const auto& key : write.stale_selector_keys) service->selector.erase(key);
  if (write.drop_selector) service->selector.clear();
  if (write.unmark) service->labels.erase(std::string{api::kSkipMirrorLabel});
  if (!write.ports.empty()) service->ports = write.ports;
}

void World::apply_slice(const api::EndpointSliceWrite& write) {
  using Action = api::EndpointSliceWrite::Action;
  const auto found = slices.find(write.slice.name);
  ASSERT_EQ(found == slices.end(), write.action == Action::kCreate) << write.slice.name;
  if (write.action != Action::kCreate) {
    ASSERT_EQ(write.slice.resource_version, found->second.resource_version);
    ASSERT_EQ(write.slice.uid, found->second.uid);
  }
  if (write.action == Action::kDelete) {
    slices.erase(found);
    return;
  }
  api::EndpointSlice& slice = slices[write.slice.name];
  if (write.action == Action::kReplace) {
    ASSERT_EQ(write.slice.address_type, slice.address_type) << "it cannot be changed";
  }
  slice = write.slice;
  slice.resource_version = next_version();
  slice.uid = slice.name + "-uid";
}

void World::apply_label(const api::PodLabelWrite& write) {
  api::Pod& labelled = pod(write.name);
  ASSERT_EQ(labelled.uid, write.uid);
  ASSERT_EQ(labelled.resource_version, write.resource_version);
  ASSERT_FALSE(labelled.deletion_timestamp) << "a terminating pod is never written";
  api::DrainAnnotations annotations = labelled.drain_annotations();
  for (const auto& [annotation, value] : write.annotations) {
    auto& mark = annotation == api::kDrainStartedAnnotation  ? annotations.started
                 : annotation == api::kDrainReasonAnnotation ? annotations.reason
                 : annotation == api::kSavedCostAnnotation   ? annotations.saved_cost
                                                             : annotations.deletion_cost;
    ASSERT_NE(mark, value) << "an annotation that is there already";
    mark = value;
  }
  ASSERT_TRUE(labelled.serving != write.serving || !write.annotations.empty())
      << "a write that changes nothing";
  labelled.serving = write.serving;
  labelled.annotations = annotations == api::DrainAnnotations{}
                             ? nullptr
                             : std::make_shared<const api::DrainAnnotations>(std::move(annotations));
  labelled.resource_version = next_version();
}

void World::apply_budget(const api::BudgetWrite& write) {
  ASSERT_EQ(write.create, !budget.has_value());
  if (!budget) {
    budget.emplace();
    budget->name = write.name;
  }
  budget->owners = {{.api_version = {}, .kind = {}, .name = pool.name, .uid = pool.uid, .controller = true}};
  budget->selector = write.selector;
  budget->max_unavailable.reset();
  budget->min_available = "1000000";
  budget->unhealthy_pods = "IfHealthyBudget";
  budget->resource_version = next_version();
}

void World::apply(const Plan& plan) {
  if (plan.publish) apply_publish(*plan.publish);
  for (const PublishEndpoints& publish : plan.publish_shards) apply_publish(publish);
  if (plan.scale_target) {
    ASSERT_EQ(plan.scale_target->resource_version, target->resource_version);
    target->replicas = plan.scale_target->to;
    target->resource_version = next_version();
    agreed = api::Agreement{plan.scale_target->agreed, plan.scale_target->target_uid};
  }
  if (plan.adopt_replicas) {
    pool.replicas = plan.adopt_replicas->to;
    ++pool.generation;
    agreed = api::Agreement{plan.adopt_replicas->to, plan.adopt_replicas->target_uid};
  }
  if (plan.agreed) agreed = plan.agreed;
  for (const auto& write : plan.slices) apply_slice(write);
  if (plan.service) apply_service(*plan.service);
  for (const auto& write : plan.pod_labels) apply_label(write);
  if (plan.budget) apply_budget(*plan.budget);
  if (plan.status) pool.status = *plan.status;
}

int World::settle(std::int64_t second, int at_most) {
  for (int passes = 0; passes < at_most; ++passes) {
    const Plan plan = decide(second);
    if (plan.empty()) return passes;
    apply(plan);
    if (testing::Test::HasFatalFailure()) return passes;
  }
  ADD_FAILURE() << "still something to do after " << at_most << " passes";
  return at_most;
}

World settled() {
  World world;
  world.settle();
  return world;
}

const api::Condition& condition(const api::PoolStatus& status, std::string_view type) {
  for (const auto& condition : status.conditions) {
    if (condition.type == type) return condition;
  }
  throw std::out_of_range("no condition " + std::string{type});
}

}  // namespace poolwarden::pool
