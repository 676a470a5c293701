#include "commands/view.h"

#include "api/json_read.h"
#include "api/names.h"

#include <algorithm>
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
  return printable(api::string_at(object, key));
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
    if (each.is_string()) out.push_back(printable(each.get<std::string>()));
  }
  return out;
}

template <class View>
View identified(const json& object) {
  View out;
  read_identity(object, out);
  for (std::string* text : {&out.ns, &out.name, &out.uid}) *text = printable(std::move(*text));
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

EndpointView read_endpoint(const json& object) {
  EndpointView out;
  out.pod = text_at(object, "pod");
  out.ip = text_at(object, "ip");
  out.state = text_at(object, "state");
  out.reason = text_at(object, "reason");
  out.message = text_at(object, "message");
  out.since = time_at(object, "since");
  out.deadline = time_at(object, "deadline");
  out.in_flight = integer_at<std::int32_t>(object, "inFlight");
  if (out.in_flight && *out.in_flight < 0) out.in_flight.reset();
  return out;
}

void read_spec(const json& spec, PoolView& out) {
  out.wanted = integer_at<std::int32_t>(spec, "replicas");
  if (const json& target = member(spec, "scaleTargetRef"); target.is_object()) {
    out.target = api::ScaleTargetRef{.api_version = text_at(target, "apiVersion"),
                                     .kind = text_at(target, "kind"),
                                     .name = text_at(target, "name")};
    if (out.target->kind.empty()) out.target->kind = "Deployment";
  }
  if (const json& selector = member(spec, "selector"); selector.is_object())
    out.selector = api::read_selector(selector);
  out.config_map = text_at(member(member(spec, "publish"), "configMap"), "name");
  if (out.config_map.empty()) out.config_map = out.name + "-endpoints";
  if (const auto seconds = integer_at<std::int32_t>(member(spec, "drain"), "timeoutSeconds"))
    out.drain_timeout_seconds = std::max(0, *seconds);
}

template <class Items>
const api::Condition* find_condition(const Items& conditions, std::string_view type) {
  const auto found = std::find_if(conditions.begin(), conditions.end(),
                                  [type](const api::Condition& each) { return each.type == type; });
  return found == conditions.end() ? nullptr : &*found;
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

std::string printable(std::string text, std::size_t longest) {
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    if (byte < 0x20 || byte == 0x7f) text[i] = ' ';
    // C1 controls, which some terminals obey: U+0080 to U+009F.
    if (byte == 0xC2 && i + 1 < text.size() && static_cast<unsigned char>(text[i + 1]) < 0xA0) {
      text[i] = ' ';
      text[++i] = ' ';
    }
  }
  if (text.size() <= longest) return text;
  std::size_t end = longest;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80U) --end;
  text.resize(end);
  return text + " ...";
}

const EndpointView* PoolView::endpoint(std::string_view pod) const {
  const auto found = std::find_if(endpoints.begin(), endpoints.end(),
                                  [pod](const EndpointView& each) { return each.pod == pod; });
  return found == endpoints.end() ? nullptr : &*found;
}

const api::Condition* PoolView::condition(std::string_view type) const {
  return find_condition(conditions, type);
}

PoolView PoolViewCodec::from_json(const json& object) {
  auto out = identified<PoolView>(object);
  const json& metadata = member(object, "metadata");
  out.generation = integer_at<std::int64_t>(metadata, "generation").value_or(0);
  out.created = time_at(metadata, "creationTimestamp");
  out.deleting = member(metadata, "deletionTimestamp").is_string();
  read_spec(member(object, "spec"), out);
  const json& status = member(object, "status");
  out.observed_generation = integer_at<std::int64_t>(status, "observedGeneration").value_or(0);
  out.replicas = count_at(status, "replicas");
  out.ready = count_at(status, "readyReplicas");
  out.serving = count_at(status, "servingReplicas");
  out.draining = count_at(status, "drainingReplicas");
  out.revision = integer_at<std::int64_t>(status, "endpointsRevision").value_or(0);
  out.omitted = count_at(status, "endpointsOmitted");
  for (const json& each : array_at(status, "endpoints")) out.endpoints.push_back(read_endpoint(each));
  out.conditions = read_conditions(status);
  return out;
}

const api::Condition* PodView::condition(std::string_view type) const {
  return find_condition(conditions, type);
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
  return found == annotations.end() ? std::string{} : printable(found->second);
}

const api::OwnerReference* PodView::controller() const {
  const auto found = std::find_if(owners.begin(), owners.end(),
                                  [](const api::OwnerReference& owner) { return owner.controller; });
  return found == owners.end() ? nullptr : &*found;
}

PodView read_pod(const json& object) {
  auto out = identified<PodView>(object);
  const json& metadata = member(object, "metadata");
  out.labels = api::read_string_map(metadata, "labels");
  out.annotations = api::read_string_map(metadata, "annotations");
  out.owners = api::read_owners(metadata);
  out.finalizers = texts_at(metadata, "finalizers");
  out.ends = time_at(metadata, "deletionTimestamp");
  const json& spec = member(object, "spec");
  out.node = text_at(spec, "nodeName");
  for (const json& gate : array_at(spec, "readinessGates"))
    out.readiness_gates.push_back(text_at(gate, "conditionType"));
  const json& status = member(object, "status");
  out.ip = text_at(status, "podIP");
  out.phase = text_at(status, "phase");
  out.status_reason = text_at(status, "reason");
  out.status_message = text_at(status, "message");
  out.conditions = read_conditions(status);
  read_containers(status, "initContainerStatuses", true, out);
  read_containers(status, "containerStatuses", false, out);
  return out;
}

NodeView read_node(const json& object) {
  auto out = identified<NodeView>(object);
  const json& spec = member(object, "spec");
  out.cordoned = bool_at(spec, "unschedulable", false);
  for (const json& taint : array_at(spec, "taints")) out.taints.push_back(text_at(taint, "key"));
  const auto conditions = read_conditions(member(object, "status"));
  if (const api::Condition* ready = find_condition(conditions, "Ready")) {
    out.ready = ready->status;
    out.ready_message = ready->message;
  }
  return out;
}

ReplicaSetView read_replica_set(const json& object) {
  auto out = identified<ReplicaSetView>(object);
  out.wanted = integer_at<std::int32_t>(member(object, "spec"), "replicas").value_or(1);
  out.pods = count_at(member(object, "status"), "replicas");
  return out;
}

BudgetView read_budget(const json& object) {
  auto out = identified<BudgetView>(object);
  out.selector = api::read_selector(member(member(object, "spec"), "selector"));
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
  auto out = identified<LeaseView>(object);
  const json& spec = member(object, "spec");
  out.holder = text_at(spec, "holderIdentity");
  out.renewed = time_at(spec, "renewTime");
  out.duration_seconds = count_at(spec, "leaseDurationSeconds");
  return out;
}

}  // namespace poolwarden::commands
