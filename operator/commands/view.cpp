#include "commands/view.h"

#include "api/codecs.h"
#include "api/json_read.h"
#include "api/names.h"
#include "base/text.h"
#include "kube/lease_record.h"
#include "kube/watch_decoder.h"

#include <algorithm>
#include <map>
#include <memory>
#include <string_view>
#include <utility>

#include <nlohmann/json.hpp>

namespace poolwarden::commands {
namespace {

using api::array_at;
using api::bool_at;
using api::integer_at;
using api::member;
using nlohmann::json;

std::string text_at(const json& object, std::string_view key) {
  return shortened(api::string_at(object, key));
}

std::int32_t count_at(const json& object, std::string_view key) {
  return std::max(0, integer_at<std::int32_t>(object, key).value_or(0));
}

std::optional<api::Timestamp> time_at(const json& object, std::string_view key) {
  return api::parse_rfc3339(api::string_at(object, key));
}

std::vector<std::string> texts_at(const json& object, std::string_view key) {
  std::vector<std::string> out;
  for (const json& each : array_at(object, key)) {
    if (each.is_string()) out.push_back(shortened(each.get<std::string>()));
  }
  return out;
}

std::string to_text(const json& object) {
  return object.dump(-1, ' ', false, json::error_handler_t::replace);
}

api::Condition shortened_condition(api::Condition out) {
  for (std::string* text : {&out.type, &out.status, &out.reason, &out.message}) *text = shortened(*text);
  return out;
}

std::vector<api::Condition> read_conditions(const json& status) {
  std::vector<api::Condition> out;
  for (const json& each : array_at(status, "conditions")) {
    out.push_back({.type = text_at(each, "type"),
                   .status = text_at(each, "status"),
                   .reason = text_at(each, "reason"),
                   .message = text_at(each, "message"),
                   .observed_generation = integer_at<std::int64_t>(each, "observedGeneration").value_or(0),
                   .last_transition = time_at(each, "lastTransitionTime").value_or(api::Timestamp{})});
  }
  return out;
}

EndpointView view_of(const api::EndpointStatus& endpoint) {
  EndpointView out;
  out.pod = shortened(endpoint.pod);
  out.ip = shortened(endpoint.ip);
  out.state = shortened(endpoint.state);
  out.reason = shortened(endpoint.reason);
  out.message = shortened(endpoint.message);
  if (endpoint.since != api::Timestamp{}) out.since = endpoint.since;
  out.deadline = endpoint.deadline;
  if (endpoint.in_flight.value_or(-1) >= 0) out.in_flight = endpoint.in_flight;
  return out;
}

void read_containers(const json& status, std::string_view key, bool init, PodView& out) {
  for (const json& each : array_at(status, key)) {
    ContainerView container;
    container.name = text_at(each, "name");
    container.init = init;
    container.ready = bool_at(each, "ready", false);
    container.restarts = count_at(each, "restartCount");
    for (const char* state : {"waiting", "running", "terminated"}) {
      const json& found = member(member(each, "state"), state);
      if (!found.is_object()) continue;
      container.state = state;
      container.reason = text_at(found, "reason");
      container.message = text_at(found, "message");
    }
    out.containers.push_back(std::move(container));
  }
}

}  // namespace

std::string shortened(std::string text) {
  constexpr std::size_t kLongest = 2048;
  return base::abridged(std::move(text), kLongest);
}

const EndpointView* PoolView::endpoint(std::string_view pod) const {
  const auto found = std::find_if(endpoints.begin(), endpoints.end(),
                                  [pod](const EndpointView& each) { return each.pod == pod; });
  return found == endpoints.end() ? nullptr : &*found;
}

const api::Condition* PoolView::condition(std::string_view type) const {
  return api::find_condition(conditions, type);
}

PoolView view_of(const api::InferencePool& pool) {
  PoolView out;
  static_cast<api::Identity&>(out) = pool;
  out.generation = pool.generation;
  out.deleting = pool.deleting;
  out.wanted = pool.replicas;
  if (pool.scale_target)
    out.target = api::ScaleTargetRef{.api_version = shortened(pool.scale_target->api_version),
                                     .kind = shortened(pool.scale_target->kind),
                                     .name = shortened(pool.scale_target->name)};
  out.config_map = shortened(pool.publish.config_map_name);
  out.drain_timeout_seconds = static_cast<std::int32_t>(pool.drain.timeout.count());
  const api::PoolStatus& status = pool.status;
  out.observed_generation = status.observed_generation;
  out.replicas = std::max(0, status.replicas);
  out.ready = std::max(0, status.ready_replicas);
  out.serving = std::max(0, status.serving_replicas);
  out.draining = std::max(0, status.draining_replicas);
  out.revision = status.endpoints_revision;
  out.omitted = std::max(0, status.endpoints_omitted);
  for (const api::EndpointStatus& each : status.endpoints) out.endpoints.push_back(view_of(each));
  for (const api::ConsumerStatus& each : status.consumers) {
    if (out.consumers.size() == api::kMaxStatusConsumers) break;
    out.consumers.push_back(each);
    out.consumers.back().name = shortened(each.name);
    out.consumers.back().kind = shortened(each.kind);
  }
  out.consumer_count = std::max(0, status.consumer_count);
  for (const api::Condition& each : status.conditions) out.conditions.push_back(shortened_condition(each));
  return out;
}

void add_listed(PoolView& pool, const api::EndpointSet& list) {
  std::map<std::string, EndpointView> by_pod;
  for (EndpointView& each : pool.endpoints) by_pod.insert_or_assign(each.pod, std::move(each));
  for (const api::Endpoint& entry : list.endpoints) {
    EndpointView& seen = by_pod[shortened(entry.pod)];
    const std::string state(api::to_string(entry.state));
    const bool contradicts = seen.state != state && entry.state == api::EndpointState::kReady;
    if (seen.state.empty() || contradicts) seen = {};
    seen.pod = shortened(entry.pod);
    seen.state = contradicts || seen.state.empty() ? state : seen.state;
    seen.ip = shortened(entry.ip);
    seen.node = shortened(entry.node);
  }
  pool.endpoints.clear();
  for (auto& [pod, each] : by_pod) pool.endpoints.push_back(std::move(each));
}

PoolView PoolViewCodec::from_json(const json& object) {
  PoolView out = view_of(api::PoolCodec::from_json(object));
  out.created = time_at(member(object, "metadata"), "creationTimestamp");
  return out;
}

api::Pod no_pod() {
  api::Pod out;
  out.labels = std::make_shared<const api::Labels>();
  out.node = out.controller = std::make_shared<const std::string>();
  return out;
}

const api::Condition* PodView::condition(std::string_view type) const {
  return api::find_condition(conditions, type);
}

bool PodView::ready() const {
  const api::Condition* found = condition("Ready");
  return found != nullptr && found->status == "True";
}

std::string PodView::serving() const {
  const auto found = labels.find(api::kServingLabel);
  return found == labels.end() ? std::string{} : found->second;
}

std::string PodView::annotation(std::string_view key) const {
  const auto found = annotations.find(key);
  return found == annotations.end() ? std::string{} : shortened(found->second);
}

const api::OwnerReference* PodView::controller() const {
  const auto found = std::find_if(owners.begin(), owners.end(),
                                  [](const api::OwnerReference& owner) { return owner.controller; });
  return found == owners.end() ? nullptr : &*found;
}

PodView read_pod(const json& object) {
  PodView out;
  // The operator's reader takes text. What it cannot read stays a pod of nothing, which is not fit.
  if (auto judged = kube::decode_object<api::PodCodec>(to_text(object))) out.judged = std::move(*judged);
  read_identity(object, out);
  out.ends = out.judged.deletion_timestamp;
  const json& metadata = member(object, "metadata");
  out.labels = api::read_string_map(metadata, "labels");
  out.annotations = api::read_string_map(metadata, "annotations");
  out.owners = api::read_owners(metadata);
  for (api::OwnerReference& owner : out.owners) {
    owner.kind = shortened(std::move(owner.kind));
    owner.name = shortened(std::move(owner.name));
  }
  out.finalizers = texts_at(metadata, "finalizers");
  out.node = text_at(member(object, "spec"), "nodeName");
  const json& status = member(object, "status");
  out.phase = text_at(status, "phase");
  out.status_reason = text_at(status, "reason");
  out.status_message = text_at(status, "message");
  out.conditions = read_conditions(status);
  read_containers(status, "initContainerStatuses", true, out);
  read_containers(status, "containerStatuses", false, out);
  return out;
}

NodeView read_node(const json& object) {
  NodeView out;
  static_cast<api::Node&>(out) = api::NodeCodec::from_json(object);
  const auto conditions = read_conditions(member(object, "status"));
  if (const api::Condition* ready = api::find_condition(conditions, "Ready"))
    out.ready_message = ready->message;
  return out;
}

BudgetView read_budget(const json& object) {
  BudgetView out;
  static_cast<api::DisruptionBudget&>(out) = api::DisruptionBudgetCodec::from_json(object);
  out.disruptions_allowed = count_at(member(object, "status"), "disruptionsAllowed");
  return out;
}

// An Event that repeats carries its newest time in series; one written through the old API in fields of its
// own. https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/event-v1/
EventView read_event(const json& object) {
  EventView out;
  out.reason = text_at(object, "reason");
  out.note = text_at(object, "note");
  out.warning = api::string_at(object, "type") == "Warning";
  out.when = time_at(member(object, "series"), "lastObservedTime");
  if (!out.when) out.when = time_at(object, "deprecatedLastTimestamp");
  if (!out.when) out.when = time_at(object, "eventTime");
  if (!out.when) out.when = time_at(member(object, "metadata"), "creationTimestamp");
  return out;
}

LeaseView read_lease(const json& object) {
  LeaseView out;
  read_identity(object, out);
  const auto lease = kube::parse_lease(to_text(object));
  if (!lease) return out;
  out.holder = shortened(lease->term.holder);
  out.renewed = api::parse_rfc3339(lease->term.renew_time);
  out.duration_seconds =
      static_cast<std::int32_t>(lease->term.duration.value_or(std::chrono::seconds(0)).count());
  return out;
}

}  // namespace poolwarden::commands
