// A small cluster as values: what decide() is shown, and what carrying a plan out does to it.
#pragma once

#include "pool/decide.h"

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace poolwarden::pool {

inline api::Now at_second(std::int64_t second) {
  return {.mono = std::chrono::steady_clock::time_point{std::chrono::seconds{second}},
          .wall = api::Timestamp{std::chrono::seconds{1'700'000'000 + second}}};
}

// A ready pod on node-1 with the labels app=vllm.
api::Pod ready_pod(const std::string& name, const std::string& ip);
api::Pod with_labels(api::Pod pod, const api::LabelMap& labels);

struct World {
  World();  // a pool with a Deployment of two replicas, its two ready pods, their node; nothing published

  api::InferencePool pool;
  std::optional<api::Deployment> target;
  Visibility target_visibility = Visibility::kAbsent;  // when there is no target
  bool target_awaited = false;
  std::vector<api::Pod> pods;
  std::optional<api::ConfigMap> config_map;
  std::map<std::int32_t, api::ConfigMap> other_shards;  // of the list, from 2
  ListLimits list_limits;
  std::int32_t list_counted = 1;  // as the first shard last said
  std::optional<api::Service> service;
  Visibility service_visibility = Visibility::kAbsent;
  std::map<std::string, api::EndpointSlice> slices;  // by name, whoever manages them
  SliceSight slice_sight = SliceSight::kSeen;
  std::string slices_error;
  std::map<std::string, api::Node, std::less<>> nodes;
  bool nodes_readable = true;
  bool nodes_stale = false;  // they were, and are not any more
  std::optional<UnseenNodes> unseen_nodes;
  DrainingNodes draining_nodes;
  Releases releases;
  std::chrono::seconds taint_deadline{90};
  bool can_see = true;
  std::vector<std::string> watch_errors;
  std::string pods_version = "100";
  bool pods_behind = false;
  std::vector<std::string> pool_autoscalers;
  std::vector<std::string> target_autoscalers;
  std::vector<std::string> overlapping_pools;
  std::size_t more_overlapping_pools = 0;
  std::set<std::string> pods_of_others;
  Gate gate = Gate::kPresent;
  std::vector<api::ReplicaSet> replica_sets;
  std::set<std::string> superseded;  // UIDs of those with a newer one
  bool surplus_lasts = false;
  bool sets_outdated = false;
  std::int32_t pods_outside_pool = 0, draining_outside_pool = 0;  // of each ReplicaSet
  bool sees_replica_sets = true;
  std::vector<api::StatefulSet> stateful_sets;
  bool sees_stateful_sets = true;
  std::optional<api::DisruptionBudget> budget;
  Visibility budget_visibility = Visibility::kAbsent;  // when there is none
  std::vector<std::string> other_budgets;
  EngineLoadTracker loads;
  std::map<std::string, std::string> labels_under_way;
  std::set<std::string> led_by_others, listed_by_others;
  std::map<std::string, api::DrainSpec> shared_drains;
  ListConsumers consumers;
  ListRevisions list_revisions;
  std::map<std::string, WithdrawalConfirmation> confirmations;
  std::optional<api::Agreement> agreed;
  bool replicas_unsettled = false;
  std::chrono::seconds replicas_wait{0};
  std::int64_t last_revision = 0;
  std::set<std::string> once_published;
  std::vector<std::string> stale, dropped_fields;
  std::string config_map_error, config_map_error_reason;
  std::string service_error, scale_error, labels_error, budget_error;

  api::Pod& pod(const std::string& name);
  Plan decide(std::int64_t second = 0) const;
  void apply(const Plan& plan);
  // Decides and applies until nothing is left to do; how many passes wrote something.
  int settle(std::int64_t second = 0, int at_most = 10);

 private:
  void add_list(Snapshot& snapshot) const;
  void add_pods(Snapshot& snapshot) const;
  void add_stateful_sets(Snapshot& snapshot) const;
  void apply_publish(const PublishEndpoints& publish);
  void apply_service(const api::ServiceWrite& write);
  void apply_slice(const api::EndpointSliceWrite& write);
  void apply_label(const api::PodLabelWrite& write);
  void apply_budget(const api::BudgetWrite& write);
  std::string next_version() { return std::to_string(++version_); }
  int version_ = 100;
};

// The pool after it has settled with both pods published.
World settled();

const api::Condition& condition(const api::PoolStatus& status, std::string_view type);

}  // namespace poolwarden::pool
