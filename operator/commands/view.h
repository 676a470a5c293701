// What the commands show of Kubernetes' objects. What the operator judges by is read by the operator's own
// codecs (api/); beside it stands what only a person wants to see.
//
// Reading never fails: what is missing or of another type reads as empty. Texts are as they were written, and
// so may hold anything: what shows them makes them printable (terminal_text.h). They are at most shortened.
// Values only.
#pragma once

#include "api/endpoint_set.h"
#include "api/inference_pool.h"
#include "api/meta.h"
#include "api/objects.h"
#include "api/pod.h"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json_fwd.hpp>

namespace poolwarden::commands {

struct EndpointView {
  std::string pod;
  std::string ip;
  std::string node;   // from the published list, see add_listed(); empty if not known
  std::string state;  // ready, draining, drained, withdrawn
  std::string reason;
  std::string message;
  std::optional<api::Timestamp> since;
  std::optional<std::int32_t> in_flight;  // nothing: unknown
  std::optional<api::Timestamp> deadline;
};

struct PoolView : api::Identity {
  std::int64_t generation = 0;
  std::optional<api::Timestamp> created;
  bool deleting = false;
  std::optional<std::int32_t> wanted;  // spec.replicas
  std::optional<api::ScaleTargetRef> target;
  std::string config_map;
  std::int32_t drain_timeout_seconds = 300;

  std::int64_t observed_generation = 0;
  std::int32_t replicas = 0;
  std::int32_t ready = 0;
  std::int32_t serving = 0;
  std::int32_t draining = 0;
  std::int64_t revision = 0;
  std::int32_t omitted = 0;
  std::vector<EndpointView> endpoints;
  std::vector<api::ConsumerStatus> consumers;  // of its list, the slowest first
  std::int32_t consumer_count = 0;
  std::vector<api::Condition> conditions;

  const EndpointView* endpoint(std::string_view pod) const;
  const api::Condition* condition(std::string_view type) const;
};

PoolView view_of(const api::InferencePool& pool);

// Adds what the pool's list says: nodes, and the ready endpoints, which its status does not name. The list is
// newer where both name a pod.
void add_listed(PoolView& pool, const api::EndpointSet& list);

// view_of() the pool, with its age: for watching.
struct PoolViewCodec {
  using Object = PoolView;
  static PoolView from_json(const nlohmann::json& object);
};

struct ContainerView {
  std::string name;
  bool init = false;
  bool ready = false;
  std::string state;  // waiting, running, terminated or empty
  std::string reason;
  std::string message;
  std::int32_t restarts = 0;
};

// Of nothing: no labels, no node, not ready.
api::Pod no_pod();

struct PodView : api::Identity {
  api::Pod judged = no_pod();  // as the operator keeps it: what pool/ judges by
  api::LabelMap labels;
  api::LabelMap annotations;
  std::vector<api::OwnerReference> owners;
  std::vector<std::string> finalizers;
  std::string node;
  std::string phase;
  std::string status_reason;
  std::string status_message;
  std::vector<api::Condition> conditions;
  std::vector<ContainerView> containers;
  std::optional<api::Timestamp> ends;  // metadata.deletionTimestamp: when its grace period is over

  const api::Condition* condition(std::string_view type) const;
  bool ready() const;
  std::string serving() const;  // the label, or empty
  std::string annotation(std::string_view key) const;
  const api::OwnerReference* controller() const;
};

struct NodeView : api::Node {
  std::string ready_message;  // of condition Ready
};

struct BudgetView : api::DisruptionBudget {
  std::int32_t disruptions_allowed = 0;
};

struct EventView {
  std::string reason;
  std::string note;
  bool warning = false;
  std::optional<api::Timestamp> when;
};

// A ReplicaSet or a StatefulSet, as far as it says how many pods it wants.
struct SetView {
  std::string kind;
  std::string name;
  std::int32_t replicas = 0;
  std::int32_t status_replicas = 0;

  std::int32_t too_many() const { return std::max(status_replicas - replicas, 0); }
};

struct LeaseView : api::Identity {
  std::string holder;
  std::optional<api::Timestamp> renewed;
  std::int32_t duration_seconds = 0;
};

PodView read_pod(const nlohmann::json& object);
NodeView read_node(const nlohmann::json& object);
BudgetView read_budget(const nlohmann::json& object);
EventView read_event(const nlohmann::json& object);
LeaseView read_lease(const nlohmann::json& object);

// As much of a text as a report has room for.
std::string shortened(std::string text);

}  // namespace poolwarden::commands
