#include "api/codecs.h"

#include "api/codec_parts.h"
#include "api/json_read.h"
#include "api/names.h"
#include "base/text.h"

#include <algorithm>
#include <charconv>
#include <iterator>

#include <nlohmann/json.hpp>

namespace poolwarden::api {
namespace {

using nlohmann::json;

bool is_deleting(const json& metadata) {
  return member(metadata, "deletionTimestamp").is_string();
}

std::int64_t exec_sleep(const json& exec) {
  std::string line;
  for (const json& word : array_at(exec, "command")) {
    if (!word.is_string()) return 0;
    line += ' ';
    line += word.get_ref<const std::string&>();
  }
  return sleep_of(line);
}

// Of several containers the longest hook counts: the pod's grace period has to cover it.
void read_containers(const json& containers, Workload& out) {
  for (const json& container : containers) {
    if (member(container, "readinessProbe").is_object()) out.has_readiness_probe = true;
    const json& hook = member(member(container, "lifecycle"), "preStop");
    if (!hook.is_object() || hook.empty()) continue;
    out.has_pre_stop = true;
    const auto sleep = integer_at<std::int64_t>(member(hook, "sleep"), "seconds");
    out.pre_stop_sleep_seconds =
        std::max(out.pre_stop_sleep_seconds, sleep ? *sleep : exec_sleep(member(hook, "exec")));
  }
}

// An int-or-string, as text.
std::optional<std::string> text_of(const json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_number_integer()) return std::to_string(value.get<std::int64_t>());
  return std::nullopt;
}

std::string target_port(const json& port, std::int32_t number) {
  const json& target = member(port, "targetPort");
  if (target.is_string()) return target.get<std::string>();
  return std::to_string(integer_at<std::int32_t>(port, "targetPort").value_or(number));
}

}  // namespace

std::int64_t sleep_of(std::string_view command_line) {
  constexpr std::string_view kSleep = "sleep ";
  const auto at = command_line.rfind(kSleep);
  if (at == std::string_view::npos || at == 0) return 0;
  if (command_line[at - 1] != ' ' && command_line[at - 1] != '/') return 0;
  const std::string_view number = command_line.substr(at + kSleep.size());
  std::int64_t seconds = 0;
  const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), seconds);
  const bool whole = error == std::errc{} && (end == number.data() + number.size() || *end == 's');
  return whole ? std::max<std::int64_t>(seconds, 0) : 0;
}

std::string controller_of(const std::vector<OwnerReference>& owners) {
  const auto found = std::find_if(owners.begin(), owners.end(),
                                  [](const OwnerReference& owner) { return owner.controller; });
  return found == owners.end() ? std::string{} : found->uid;
}

void read_revision(std::string_view text, ReplicaSet& out) {
  std::from_chars(text.data(), text.data() + text.size(), out.revision);
}

void read_desired_replicas(std::string_view text, ReplicaSet& out) {
  std::int32_t number = 0;
  const auto read = std::from_chars(text.data(), text.data() + text.size(), number);
  if (read.ec == std::errc{} && number >= 0) out.desired = number;
}

void conclude_strategy(StatefulSet& out) {
  out.held_back = !out.rolls || out.partition > 0;
}

std::string group_of(std::string_view api_version) {
  const auto slash = api_version.find('/');
  return bounded_text(std::string(slash == std::string_view::npos ? "" : api_version.substr(0, slash)));
}

std::string bounded_text(std::string text) {
  constexpr std::size_t kLongest = 256;
  return text.size() > kLongest ? std::string(base::cut(text, kLongest)) : std::move(text);
}

std::optional<std::vector<std::int64_t>> parse_revisions(std::string_view text) {
  // No revision has more digits that can be added to.
  constexpr std::size_t kMostDigits = 18;
  std::vector<std::int64_t> out;
  while (out.size() < static_cast<std::size_t>(kMaxShards)) {
    const std::size_t comma = std::min(text.find(','), text.size());
    const std::string_view word = text.substr(0, comma);
    std::int64_t revision = 0;
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), revision);
    const bool is_number = error == std::errc{} && end == word.data() + word.size();
    if (!is_number || revision < 0 || word.size() > kMostDigits) return std::nullopt;
    out.push_back(revision);
    if (comma == text.size()) return out;
    text.remove_prefix(comma + 1);
  }
  return std::nullopt;
}

void read_applied_revisions(std::string_view text, ConsumerLease& out) {
  auto revisions = parse_revisions(text);
  out.unreadable = !revisions;
  out.applied = std::move(revisions).value_or(std::vector<std::int64_t>{});
}

void read_applied_at(std::string_view text, ConsumerLease& out) {
  out.applied_at = parse_rfc3339(text);
}

void read_lease_seconds(std::int32_t seconds, ConsumerLease& out) {
  if (seconds > 0) out.seconds = seconds;
}

void bound_service(Service& out) {
  std::erase_if(out.labels, [](const auto& label) {
    return label.first != kReadyEndpointsLabel && label.first != kHealthLabel &&
           label.first != kSkipMirrorLabel && !is_label_of_list(label.first);
  });
  std::size_t bytes = 0;
  for (auto at = out.selector.begin(); at != out.selector.end();) {
    const bool enough = bytes > LabelSelector::kMaxBytes;
    bytes += at->first.size() + at->second.size();
    at = enough ? out.selector.erase(at) : std::next(at);
  }
  if (out.ports.size() > kMaxServicePorts) out.ports.resize(kMaxServicePorts);
}

void take_slice_label(std::string_view key, std::string_view value, EndpointSlice& out) {
  if (key == kServiceNameLabel) out.service = bounded_text(std::string(value));
  if (key == kSliceManagerLabel) out.manager = bounded_text(std::string(value));
  if (key == kPoolLabel) out.pool = bounded_text(std::string(value));
  if (key == kSkipMirrorLabel) out.skips_mirror = value == "true";
}

void bound_slice(EndpointSlice& out) {
  bound_owners(out.owners);
  if (out.endpoints.size() > EndpointSlice::kMaxEndpoints) out.endpoints.resize(EndpointSlice::kMaxEndpoints);
  if (out.ports.size() > EndpointSlice::kMaxPorts) out.ports.resize(EndpointSlice::kMaxPorts);
  if (out.manager == kOurSliceManager) return;
  std::erase_if(out.endpoints, [](const SliceEndpoint& endpoint) { return !endpoint.ready; });
  for (SliceEndpoint& endpoint : out.endpoints) {
    SliceEndpoint kept;
    kept.uid = std::move(endpoint.uid);
    kept.ready = true;
    endpoint = std::move(kept);
  }
}

void bound_config_map(ConfigMap& out) {
  std::erase_if(out.labels, [](const auto& label) { return !is_label_of_list(label.first); });
  out.revision = bounded_text(std::move(out.revision));
  out.pods_version = bounded_text(std::move(out.pods_version));
}

void take_node_condition(std::string_view type, std::string_view status, Node& out) {
  if (type == "Ready") {
    out.ready = status == "True"    ? Tristate::kTrue
                : status == "False" ? Tristate::kFalse
                                    : Tristate::kUnknown;
  }
  // https://kubernetes.io/docs/reference/node/node-status/#condition
  const bool announces = type == "DrainInProgress" || type == "MaintenancePlanned";
  if (announces && status == "True") out.unschedulable = true;
}

Node NodeCodec::from_json(const json& object) {
  Node out;
  read_identity(object, out);
  out.zone = string_at(member(member(object, "metadata"), "labels"), kZoneLabel);
  const json& spec = member(object, "spec");
  out.unschedulable = bool_at(spec, "unschedulable", false);
  for (const json& taint : array_at(spec, "taints")) out.taints.push_back(string_at(taint, "key"));
  std::sort(out.taints.begin(), out.taints.end());
  for (const json& condition : array_at(member(object, "status"), "conditions")) {
    take_node_condition(string_at(condition, "type"), string_at(condition, "status"), out);
  }
  return out;
}

ReplicaSet ReplicaSetCodec::from_json(const json& object) {
  ReplicaSet out;
  read_identity(object, out);
  const json& metadata = member(object, "metadata");
  out.deleting = is_deleting(metadata);
  out.controller = controller_of(read_owners(metadata));
  out.replicas = integer_at<std::int32_t>(member(object, "spec"), "replicas").value_or(1);
  out.status_replicas = integer_at<std::int32_t>(member(object, "status"), "replicas").value_or(0);
  const json& annotations = member(metadata, "annotations");
  for (const auto revision : {kDeploymentRevisionAnnotation, kRolloutRevisionAnnotation})
    read_revision(string_at(annotations, revision), out);
  for (const auto desired : {kDesiredReplicasAnnotation, kRolloutDesiredReplicasAnnotation})
    read_desired_replicas(string_at(annotations, desired), out);
  return out;
}

DisruptionBudget DisruptionBudgetCodec::from_json(const json& object) {
  DisruptionBudget out;
  read_identity(object, out);
  const json& metadata = member(object, "metadata");
  out.deleting = is_deleting(metadata);
  out.owners = read_owners(metadata);
  const json& spec = member(object, "spec");
  out.selector = read_selector(member(spec, "selector"));
  out.max_unavailable = text_of(member(spec, "maxUnavailable"));
  out.min_available = text_of(member(spec, "minAvailable"));
  out.unhealthy_pods = string_at(spec, "unhealthyPodEvictionPolicy");
  return out;
}

Autoscaler AutoscalerCodec::from_json(const json& object) {
  Autoscaler out;
  read_identity(object, out);
  const json& target = member(member(object, "spec"), "scaleTargetRef");
  out.target_group = group_of(string_at(target, "apiVersion"));
  out.target_kind = bounded_text(string_at(target, "kind"));
  out.target_name = bounded_text(string_at(target, "name"));
  return out;
}

ConsumerLease ConsumerLeaseCodec::from_json(const json& object) {
  ConsumerLease out;
  read_identity(object, out);
  const json& metadata = member(object, "metadata");
  out.deleting = is_deleting(metadata);
  out.pool = bounded_text(string_at(member(metadata, "labels"), kPoolLabel));
  out.kind = bounded_text(string_at(member(metadata, "labels"), kConsumerLabel));
  const json& annotations = member(metadata, "annotations");
  if (const json& applied = member(annotations, kAppliedRevisionsAnnotation); applied.is_string())
    read_applied_revisions(applied.get_ref<const std::string&>(), out);
  if (const json& at = member(annotations, kAppliedAtAnnotation); at.is_string())
    read_applied_at(at.get_ref<const std::string&>(), out);
  const json& spec = member(object, "spec");
  out.holder = bounded_text(string_at(spec, "holderIdentity"));
  read_lease_seconds(integer_at<std::int32_t>(spec, "leaseDurationSeconds").value_or(0), out);
  return out;
}

namespace {

void read_template(const json& pod_template, Workload& out) {
  const json& pod = member(pod_template, "spec");
  out.termination_grace_seconds = integer_at<std::int64_t>(pod, "terminationGracePeriodSeconds").value_or(30);
  read_containers(array_at(pod, "containers"), out);
}

// All but its selector and its template, which not all have in the same place.
void read_counts(const json& object, Workload& out) {
  read_identity(object, out);
  out.deleting = is_deleting(member(object, "metadata"));
  out.replicas = integer_at<std::int32_t>(member(object, "spec"), "replicas").value_or(1);
  const json& status = member(object, "status");
  out.status_replicas = integer_at<std::int32_t>(status, "replicas").value_or(0);
  out.updated_replicas = integer_at<std::int32_t>(status, "updatedReplicas").value_or(0);
  out.ready_replicas = integer_at<std::int32_t>(status, "readyReplicas").value_or(0);
}

void read_workload(const json& object, Workload& out) {
  read_counts(object, out);
  const json& spec = member(object, "spec");
  out.selector = read_selector(member(spec, "selector"));
  read_template(member(spec, "template"), out);
}

// "app=vllm,tier=a" as labels. Nothing if it is anything else, or too long.
std::optional<LabelMap> read_equalities(std::string_view text) {
  if (text.empty() || text.size() > LabelSelector::kMaxBytes) return std::nullopt;
  LabelMap out;
  while (!text.empty()) {
    const std::size_t comma = std::min(text.find(','), text.size());
    const std::string_view one = text.substr(0, comma);
    const std::size_t equals = one.find('=');
    if (equals == std::string_view::npos || equals == 0) return std::nullopt;
    if (one.find_first_of("!( ") != std::string_view::npos) return std::nullopt;
    out.emplace(one.substr(0, equals), one.substr(equals + 1));
    text.remove_prefix(std::min(comma + 1, text.size()));
  }
  return out;
}

// A Rollout that has its template from a Deployment may leave out the selector. Its controller then says it
// in status, for the template that is active.
LabelSelector rollout_selector(const json& object) {
  LabelSelector out = read_selector(member(member(object, "spec"), "selector"));
  if (!out.absent && !out.empty()) return out;
  auto labels = read_equalities(string_at(member(object, "status"), "selector"));
  if (!labels) return out;
  labels->erase(std::string(kTemplateHashLabel));
  return {.match_labels = *std::move(labels), .match_expressions = {}};
}

// In its status `replicas` counts the pods of both templates, and HPAReplicas those of the active one. Until
// the newest template is active, no replica is up to date.
void read_blue_green(const json& status, Rollout& out) {
  out.active_template = bounded_text(string_at(member(status, "blueGreen"), "activeSelector"));
  if (out.active_template.empty()) return;
  out.status_replicas = integer_at<std::int32_t>(status, "HPAReplicas").value_or(0);
  out.ready_replicas = std::min(out.ready_replicas, out.status_replicas);
  const bool newest_is_active = string_at(status, "currentPodHash") == out.active_template;
  if (!newest_is_active) out.updated_replicas = 0;
}

}  // namespace

Deployment DeploymentCodec::from_json(const json& object) {
  Deployment out;
  read_workload(object, out);
  out.paused = bool_at(member(object, "spec"), "paused", false);
  return out;
}

StatefulSet StatefulSetCodec::from_json(const json& object) {
  StatefulSet out;
  read_workload(object, out);
  const json& spec = member(object, "spec");
  out.first_ordinal = integer_at<std::int32_t>(member(spec, "ordinals"), "start").value_or(0);
  out.ordered = string_at(spec, "podManagementPolicy") != kParallelPolicy;
  const json& strategy = member(spec, "updateStrategy");
  out.rolls = string_at(strategy, "type") != kOnDeleteStrategy;
  const json& rolling = member(strategy, "rollingUpdate");
  out.partition = integer_at<std::int32_t>(rolling, "partition").value_or(0);
  conclude_strategy(out);
  out.max_unavailable = bounded_text(text_of(member(rolling, "maxUnavailable")).value_or(std::string()));
  out.min_ready_seconds = integer_at<std::int32_t>(spec, "minReadySeconds").value_or(0);
  const json& status = member(object, "status");
  out.available_replicas = integer_at<std::int32_t>(status, "availableReplicas").value_or(0);
  out.update_revision = bounded_text(string_at(status, "updateRevision"));
  return out;
}

LeaderWorkerSet LeaderWorkerSetCodec::from_json(const json& object) {
  LeaderWorkerSet out;
  read_counts(object, out);
  out.selector.match_labels = {{std::string(kGroupSetLabel), out.name},
                               {std::string(kWorkerIndexLabel), std::string(kLeaderIndex)}};
  const json& spec = member(object, "spec");
  const json& group = member(spec, "leaderWorkerTemplate");
  // The leader is made as the workers are, unless it has a template of its own.
  const json& leader = member(group, "leaderTemplate");
  read_template(leader.is_object() ? leader : member(group, "workerTemplate"), out);
  const json& rolling = member(member(spec, "rolloutStrategy"), "rollingUpdateConfiguration");
  out.held_back = integer_at<std::int32_t>(rolling, "partition").value_or(0) > 0;
  return out;
}

Rollout RolloutCodec::from_json(const json& object) {
  Rollout out;
  read_counts(object, out);
  out.selector = rollout_selector(object);
  const json& spec = member(object, "spec");
  out.has_template = !member(spec, "workloadRef").is_object();
  if (out.has_template) read_template(member(spec, "template"), out);
  const json& status = member(object, "status");
  out.paused = bool_at(spec, "paused", false) || !array_at(status, "pauseConditions").empty();
  out.restart_at = parse_rfc3339(string_at(spec, "restartAt"));
  if (out.restart_at == parse_rfc3339(string_at(status, "restartedAt"))) out.restart_at.reset();
  if (member(member(spec, "strategy"), "blueGreen").is_object()) read_blue_green(status, out);
  return out;
}

Service ServiceCodec::from_json(const json& object) {
  Service out;
  read_identity(object, out);
  const json& metadata = member(object, "metadata");
  out.labels = read_string_map(metadata, "labels");
  out.owners = read_owners(metadata);
  out.deleting = is_deleting(metadata);
  const json& spec = member(object, "spec");
  out.selector = read_string_map(spec, "selector");
  for (const json& port : array_at(spec, "ports")) {
    const auto number = integer_at<std::int32_t>(port, "port").value_or(0);
    std::string protocol = string_at(port, "protocol");
    if (protocol.empty()) protocol = "TCP";
    out.ports.push_back({.name = string_at(port, "name"),
                         .number = number,
                         .target = target_port(port, number),
                         .protocol = std::move(protocol)});
  }
  bound_service(out);
  return out;
}

namespace {

SliceEndpoint slice_endpoint_of(const json& endpoint) {
  const json& addresses = array_at(endpoint, "addresses");
  const json& target = member(endpoint, "targetRef");
  const json& conditions = member(endpoint, "conditions");
  const bool ready = bool_at(conditions, "ready", true);
  SliceEndpoint out{.address = {},
                    .pod = string_at(target, "name"),
                    .uid = string_at(target, "uid"),
                    .node = string_at(endpoint, "nodeName"),
                    .zone = string_at(endpoint, "zone"),
                    .ready = ready,
                    .serving = bool_at(conditions, "serving", ready),
                    .terminating = bool_at(conditions, "terminating", false)};
  if (!addresses.empty() && addresses.front().is_string()) out.address = addresses.front().get<std::string>();
  out.has_more =
      addresses.size() > 1 || !string_at(endpoint, "hostname").empty() || endpoint.contains("hints");
  return out;
}

}  // namespace

EndpointSlice EndpointSliceCodec::from_json(const json& object) {
  EndpointSlice out;
  read_identity(object, out);
  const json& metadata = member(object, "metadata");
  for (const auto& [key, value] : read_string_map(metadata, "labels")) take_slice_label(key, value, out);
  out.owners = read_owners(metadata);
  out.deleting = is_deleting(metadata);
  out.address_type = string_at(object, "addressType");
  for (const json& port : array_at(object, "ports")) {
    std::string protocol = string_at(port, "protocol");
    if (protocol.empty()) protocol = "TCP";
    out.ports.push_back({.name = string_at(port, "name"),
                         .number = integer_at<std::int32_t>(port, "port").value_or(0),
                         .protocol = std::move(protocol)});
  }
  for (const json& endpoint : array_at(object, "endpoints")) {
    if (endpoint.is_object()) out.endpoints.push_back(slice_endpoint_of(endpoint));
  }
  bound_slice(out);
  return out;
}

bool is_label_of_list(std::string_view key) {
  return key == kPoolLabel || key == kShardLabel || key == kManagedByLabel;
}

bool is_annotation_of_list(std::string_view key) {
  return key == kRevisionAnnotation || key == kPodsVersionAnnotation || key == kTriggerTimeAnnotation;
}

bool is_key_of_list(std::string_view key) {
  return key == kEndpointsJsonKey || key == kEndpointsTextKey;
}

namespace {

bool has_others(const json& object, bool (*is_ours)(std::string_view)) {
  if (!object.is_object()) return false;
  const auto items = object.items();
  return !std::all_of(items.begin(), items.end(), [&](const auto& item) { return is_ours(item.key()); });
}

// What a ConfigMap may have besides what we write, and the API server's own fields.
bool is_shared(const json& object, const json& metadata, std::size_t owners) {
  return owners > 1 || has_others(member(metadata, "labels"), is_label_of_list) ||
         has_others(member(metadata, "annotations"), is_annotation_of_list) ||
         has_others(member(object, "data"), is_key_of_list) || !array_at(metadata, "finalizers").empty() ||
         !member(object, "binaryData").empty() || member(object, "immutable").is_boolean();
}

}  // namespace

ConfigMap ConfigMapCodec::from_json(const json& object) {
  ConfigMap out;
  read_identity(object, out);
  const json& metadata = member(object, "metadata");
  out.labels = read_string_map(metadata, "labels");
  out.owners = read_owners(metadata);
  out.deleting = is_deleting(metadata);
  out.revision = string_at(member(metadata, "annotations"), kRevisionAnnotation);
  out.pods_version = string_at(member(metadata, "annotations"), kPodsVersionAnnotation);
  const json& data = member(object, "data");
  out.endpoints_json = string_at(data, kEndpointsJsonKey);
  out.endpoints_text = string_at(data, kEndpointsTextKey);
  out.shared = is_shared(object, metadata, out.owners.size());
  bound_config_map(out);
  return out;
}

Secret SecretCodec::from_json(const json& object) {
  Secret out;
  read_identity(object, out);
  out.data = read_string_map(object, "data");
  for (auto& [key, value] : out.data) value.resize(std::min(value.size(), Secret::kMaxValue));
  return out;
}

}  // namespace poolwarden::api
