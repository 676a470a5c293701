#include "support/protobuf/wire.h"

#include "api/time.h"

#include <chrono>
#include <cstdint>
#include <limits>
#include <map>
#include <protozero/pbf_writer.hpp>

#include <nlohmann/json.hpp>

namespace poolwarden::protobuf_wire {
namespace {

using nlohmann::json;
using protozero::pbf_writer;

enum class Type : std::uint8_t { kText, kNumber, kBool, kTime, kMap, kIntOrString, kFields, kMessage };

struct Schema;

struct Field {
  const char* name;
  protozero::pbf_tag_type tag;
  Type type = Type::kText;
  const Schema* of = nullptr;  // kMessage: an object, or each of an array
};

struct Schema {
  std::vector<Field> fields;
};

const Schema kOwner{{{"kind", 1},
                     {"name", 3},
                     {"uid", 4},
                     {"apiVersion", 5},
                     {"controller", 6, Type::kBool},
                     {"blockOwnerDeletion", 7, Type::kBool}}};
const Schema kManagedFields{{{"manager", 1},
                             {"operation", 2},
                             {"apiVersion", 3},
                             {"time", 4, Type::kTime},
                             {"fieldsType", 6},
                             {"fieldsV1", 7, Type::kFields},
                             {"subresource", 8}}};
const Schema kMetadata{{{"name", 1},
                        {"generateName", 2},
                        {"namespace", 3},
                        {"selfLink", 4},
                        {"uid", 5},
                        {"resourceVersion", 6},
                        {"generation", 7, Type::kNumber},
                        {"creationTimestamp", 8, Type::kTime},
                        {"deletionTimestamp", 9, Type::kTime},
                        {"deletionGracePeriodSeconds", 10, Type::kNumber},
                        {"labels", 11, Type::kMap},
                        {"annotations", 12, Type::kMap},
                        {"ownerReferences", 13, Type::kMessage, &kOwner},
                        {"finalizers", 14},
                        {"managedFields", 17, Type::kMessage, &kManagedFields}}};
const Schema kRequirement{{{"key", 1}, {"operator", 2}, {"values", 3}}};
const Schema kSelector{
    {{"matchLabels", 1, Type::kMap}, {"matchExpressions", 2, Type::kMessage, &kRequirement}}};

const Schema kHttpGet{{{"path", 1}, {"port", 2, Type::kIntOrString}, {"host", 3}, {"scheme", 4}}};
const Schema kExec{{{"command", 1}}};
const Schema kSleep{{{"seconds", 1, Type::kNumber}}};
const Schema kHook{{{"exec", 1, Type::kMessage, &kExec},
                    {"httpGet", 2, Type::kMessage, &kHttpGet},
                    {"sleep", 4, Type::kMessage, &kSleep}}};
const Schema kLifecycle{{{"postStart", 1, Type::kMessage, &kHook}, {"preStop", 2, Type::kMessage, &kHook}}};
const Schema kProbe{{{"httpGet", 1, Type::kMessage, &kHttpGet},
                     {"periodSeconds", 4, Type::kNumber},
                     {"failureThreshold", 6, Type::kNumber}}};
const Schema kEnv{{{"name", 1}, {"value", 2}}};
const Schema kPort{{{"name", 1}, {"containerPort", 3, Type::kNumber}, {"protocol", 4}}};
const Schema kMount{{{"name", 1}, {"readOnly", 2, Type::kBool}, {"mountPath", 3}}};
const Schema kContainer{{{"name", 1},
                         {"image", 2},
                         {"command", 3},
                         {"args", 4},
                         {"ports", 6, Type::kMessage, &kPort},
                         {"env", 7, Type::kMessage, &kEnv},
                         {"volumeMounts", 9, Type::kMessage, &kMount},
                         {"livenessProbe", 10, Type::kMessage, &kProbe},
                         {"readinessProbe", 11, Type::kMessage, &kProbe},
                         {"lifecycle", 12, Type::kMessage, &kLifecycle},
                         {"terminationMessagePath", 13},
                         {"imagePullPolicy", 14},
                         {"terminationMessagePolicy", 20},
                         {"startupProbe", 22, Type::kMessage, &kProbe}}};
const Schema kGate{{{"conditionType", 1}}};
const Schema kVolume{{{"name", 1}}};
const Schema kToleration{
    {{"key", 1}, {"operator", 2}, {"value", 3}, {"effect", 4}, {"tolerationSeconds", 5, Type::kNumber}}};
const Schema kPodSpec{{{"volumes", 1, Type::kMessage, &kVolume},
                       {"containers", 2, Type::kMessage, &kContainer},
                       {"restartPolicy", 3},
                       {"terminationGracePeriodSeconds", 4, Type::kNumber},
                       {"dnsPolicy", 6},
                       {"nodeSelector", 7, Type::kMap},
                       {"serviceAccountName", 8},
                       {"nodeName", 10},
                       {"hostNetwork", 11, Type::kBool},
                       {"schedulerName", 19},
                       {"initContainers", 20, Type::kMessage, &kContainer},
                       {"tolerations", 22, Type::kMessage, &kToleration},
                       {"readinessGates", 28, Type::kMessage, &kGate}}};
const Schema kPodCondition{{{"type", 1},
                            {"status", 2},
                            {"lastProbeTime", 3, Type::kTime},
                            {"lastTransitionTime", 4, Type::kTime},
                            {"reason", 5},
                            {"message", 6},
                            {"observedGeneration", 7, Type::kNumber}}};
const Schema kIp{{{"ip", 1}}};
const Schema kContainerStatus{{{"name", 1},
                               {"ready", 4, Type::kBool},
                               {"restartCount", 5, Type::kNumber},
                               {"image", 6},
                               {"imageID", 7},
                               {"containerID", 8},
                               {"started", 9, Type::kBool}}};
const Schema kPodStatus{{{"phase", 1},
                         {"conditions", 2, Type::kMessage, &kPodCondition},
                         {"message", 3},
                         {"reason", 4},
                         {"hostIP", 5},
                         {"podIP", 6},
                         {"startTime", 7, Type::kTime},
                         {"containerStatuses", 8, Type::kMessage, &kContainerStatus},
                         {"qosClass", 9},
                         {"podIPs", 12, Type::kMessage, &kIp},
                         {"hostIPs", 16, Type::kMessage, &kIp},
                         {"observedGeneration", 17, Type::kNumber}}};
const Schema kPod{{{"metadata", 1, Type::kMessage, &kMetadata},
                   {"spec", 2, Type::kMessage, &kPodSpec},
                   {"status", 3, Type::kMessage, &kPodStatus}}};

const Schema kTaint{{{"key", 1}, {"value", 2}, {"effect", 3}, {"timeAdded", 4, Type::kTime}}};
const Schema kNodeSpec{{{"podCIDR", 1},
                        {"providerID", 3},
                        {"unschedulable", 4, Type::kBool},
                        {"taints", 5, Type::kMessage, &kTaint}}};
const Schema kNodeCondition{{{"type", 1},
                             {"status", 2},
                             {"lastHeartbeatTime", 3, Type::kTime},
                             {"lastTransitionTime", 4, Type::kTime},
                             {"reason", 5},
                             {"message", 6}}};
const Schema kNodeStatus{{{"phase", 3}, {"conditions", 4, Type::kMessage, &kNodeCondition}}};
const Schema kNode{{{"metadata", 1, Type::kMessage, &kMetadata},
                    {"spec", 2, Type::kMessage, &kNodeSpec},
                    {"status", 3, Type::kMessage, &kNodeStatus}}};

const Schema kConfigMap{
    {{"metadata", 1, Type::kMessage, &kMetadata}, {"data", 2, Type::kMap}, {"immutable", 4, Type::kBool}}};

const Schema kServicePort{{{"name", 1},
                           {"protocol", 2},
                           {"port", 3, Type::kNumber},
                           {"targetPort", 4, Type::kIntOrString},
                           {"nodePort", 5, Type::kNumber}}};
const Schema kServiceSpec{{{"ports", 1, Type::kMessage, &kServicePort},
                           {"selector", 2, Type::kMap},
                           {"clusterIP", 3},
                           {"type", 4}}};
const Schema kService{
    {{"metadata", 1, Type::kMessage, &kMetadata}, {"spec", 2, Type::kMessage, &kServiceSpec}}};

const Schema kTemplate{{{"metadata", 1, Type::kMessage, &kMetadata}, {"spec", 2, Type::kMessage, &kPodSpec}}};
const Schema kDeploymentSpec{{{"replicas", 1, Type::kNumber},
                              {"selector", 2, Type::kMessage, &kSelector},
                              {"template", 3, Type::kMessage, &kTemplate},
                              {"minReadySeconds", 5, Type::kNumber},
                              {"paused", 7, Type::kBool}}};
const Schema kDeploymentStatus{{{"observedGeneration", 1, Type::kNumber},
                                {"replicas", 2, Type::kNumber},
                                {"updatedReplicas", 3, Type::kNumber},
                                {"availableReplicas", 4, Type::kNumber},
                                {"unavailableReplicas", 5, Type::kNumber},
                                {"readyReplicas", 7, Type::kNumber}}};
const Schema kDeployment{{{"metadata", 1, Type::kMessage, &kMetadata},
                          {"spec", 2, Type::kMessage, &kDeploymentSpec},
                          {"status", 3, Type::kMessage, &kDeploymentStatus}}};
const Schema kReplicaSetSpec{{{"replicas", 1, Type::kNumber},
                              {"selector", 2, Type::kMessage, &kSelector},
                              {"template", 3, Type::kMessage, &kTemplate},
                              {"minReadySeconds", 4, Type::kNumber}}};
const Schema kReplicaSetStatus{{{"replicas", 1, Type::kNumber},
                                {"fullyLabeledReplicas", 2, Type::kNumber},
                                {"readyReplicas", 4, Type::kNumber}}};
const Schema kReplicaSet{{{"metadata", 1, Type::kMessage, &kMetadata},
                          {"spec", 2, Type::kMessage, &kReplicaSetSpec},
                          {"status", 3, Type::kMessage, &kReplicaSetStatus}}};

const Schema kRollingUpdateOfStatefulSet{
    {{"partition", 1, Type::kNumber}, {"maxUnavailable", 2, Type::kIntOrString}}};
const Schema kStatefulSetStrategy{
    {{"type", 1}, {"rollingUpdate", 2, Type::kMessage, &kRollingUpdateOfStatefulSet}}};
const Schema kOrdinals{{{"start", 1, Type::kNumber}}};
const Schema kStatefulSetSpec{{{"replicas", 1, Type::kNumber},
                               {"selector", 2, Type::kMessage, &kSelector},
                               {"template", 3, Type::kMessage, &kTemplate},
                               {"serviceName", 5},
                               {"podManagementPolicy", 6},
                               {"updateStrategy", 7, Type::kMessage, &kStatefulSetStrategy},
                               {"revisionHistoryLimit", 8, Type::kNumber},
                               {"minReadySeconds", 9, Type::kNumber},
                               {"ordinals", 11, Type::kMessage, &kOrdinals}}};
const Schema kStatefulSetStatus{{{"observedGeneration", 1, Type::kNumber},
                                 {"replicas", 2, Type::kNumber},
                                 {"readyReplicas", 3, Type::kNumber},
                                 {"currentReplicas", 4, Type::kNumber},
                                 {"updatedReplicas", 5, Type::kNumber},
                                 {"currentRevision", 6},
                                 {"updateRevision", 7},
                                 {"availableReplicas", 11, Type::kNumber}}};
const Schema kStatefulSet{{{"metadata", 1, Type::kMessage, &kMetadata},
                           {"spec", 2, Type::kMessage, &kStatefulSetSpec},
                           {"status", 3, Type::kMessage, &kStatefulSetStatus}}};

const Schema kBudgetSpec{{{"minAvailable", 1, Type::kIntOrString},
                          {"selector", 2, Type::kMessage, &kSelector},
                          {"maxUnavailable", 3, Type::kIntOrString},
                          {"unhealthyPodEvictionPolicy", 4}}};
const Schema kBudget{
    {{"metadata", 1, Type::kMessage, &kMetadata}, {"spec", 2, Type::kMessage, &kBudgetSpec}}};

const Schema kScaleTarget{{{"kind", 1}, {"name", 2}, {"apiVersion", 3}}};
const Schema kAutoscalerSpec{{{"scaleTargetRef", 1, Type::kMessage, &kScaleTarget},
                              {"minReplicas", 2, Type::kNumber},
                              {"maxReplicas", 3, Type::kNumber}}};
const Schema kAutoscaler{
    {{"metadata", 1, Type::kMessage, &kMetadata}, {"spec", 2, Type::kMessage, &kAutoscalerSpec}}};

const Schema kLeaseSpec{{{"holderIdentity", 1},
                         {"leaseDurationSeconds", 2, Type::kNumber},
                         {"acquireTime", 3, Type::kTime},
                         {"renewTime", 4, Type::kTime},
                         {"leaseTransitions", 5, Type::kNumber}}};
const Schema kSliceConditions{
    {{"ready", 1, Type::kBool}, {"serving", 2, Type::kBool}, {"terminating", 3, Type::kBool}}};
const Schema kObjectReference{
    {{"kind", 1}, {"namespace", 2}, {"name", 3}, {"uid", 4}, {"apiVersion", 5}, {"resourceVersion", 6}}};
const Schema kForZone{{{"name", 1}}};
const Schema kSliceHints{{{"forZones", 1, Type::kMessage, &kForZone}}};
const Schema kSliceEndpoint{{{"addresses", 1},
                             {"conditions", 2, Type::kMessage, &kSliceConditions},
                             {"hostname", 3},
                             {"targetRef", 4, Type::kMessage, &kObjectReference},
                             {"nodeName", 6},
                             {"zone", 7},
                             {"hints", 8, Type::kMessage, &kSliceHints}}};
const Schema kSlicePort{{{"name", 1}, {"protocol", 2}, {"port", 3, Type::kNumber}, {"appProtocol", 4}}};
const Schema kEndpointSlice{{{"metadata", 1, Type::kMessage, &kMetadata},
                             {"endpoints", 2, Type::kMessage, &kSliceEndpoint},
                             {"ports", 3, Type::kMessage, &kSlicePort},
                             {"addressType", 4}}};
const Schema kLease{{{"metadata", 1, Type::kMessage, &kMetadata}, {"spec", 2, Type::kMessage, &kLeaseSpec}}};

const Schema kListMetadata{
    {{"resourceVersion", 2}, {"continue", 3}, {"remainingItemCount", 4, Type::kNumber}}};
const Schema kCause{{{"reason", 1}, {"message", 2}, {"field", 3}}};
const Schema kDetails{{{"name", 1},
                       {"group", 2},
                       {"kind", 3},
                       {"causes", 4, Type::kMessage, &kCause},
                       {"retryAfterSeconds", 5, Type::kNumber},
                       {"uid", 6}}};
const Schema kStatus{{{"metadata", 1, Type::kMessage, &kListMetadata},
                      {"status", 2},
                      {"message", 3},
                      {"reason", 4},
                      {"details", 5, Type::kMessage, &kDetails},
                      {"code", 6, Type::kNumber}}};

const Schema& schema_of(std::string_view kind) {
  static const std::map<std::string_view, const Schema*> kKinds{{"Pod", &kPod},
                                                                {"Node", &kNode},
                                                                {"ConfigMap", &kConfigMap},
                                                                {"Service", &kService},
                                                                {"Deployment", &kDeployment},
                                                                {"ReplicaSet", &kReplicaSet},
                                                                {"StatefulSet", &kStatefulSet},
                                                                {"PodDisruptionBudget", &kBudget},
                                                                {"HorizontalPodAutoscaler", &kAutoscaler},
                                                                {"EndpointSlice", &kEndpointSlice},
                                                                {"Lease", &kLease},
                                                                {"Status", &kStatus}};
  return *kKinds.at(kind);
}

std::string write(const Schema& schema, const json& object);

std::string time_message(const json& value) {
  std::string out;
  const auto time =
      value.is_string() ? api::parse_rfc3339(value.get_ref<const std::string&>()) : std::nullopt;
  if (!value.is_string()) return out;
  pbf_writer writer{out};
  // A text that is no time stands for one that nobody can read.
  if (!time) {
    writer.add_int64(1, std::numeric_limits<std::int64_t>::max());
    return out;
  }
  writer.add_int64(1, std::chrono::duration_cast<std::chrono::seconds>(time->time_since_epoch()).count());
  writer.add_int32(2, 0);
  return out;
}

void write_value(pbf_writer& writer, const Field& field, const json& value) {
  switch (field.type) {
    case Type::kText:
      if (value.is_string()) writer.add_string(field.tag, value.get_ref<const std::string&>());
      break;
    case Type::kNumber:
      if (value.is_number_integer()) writer.add_int64(field.tag, value.get<std::int64_t>());
      break;
    case Type::kBool:
      if (value.is_boolean()) writer.add_bool(field.tag, value.get<bool>());
      break;
    case Type::kTime:
      writer.add_message(field.tag, time_message(value));
      break;
    case Type::kMap:
      if (!value.is_object()) break;
      for (const auto& [key, text] : value.items()) {
        if (!text.is_string()) continue;
        pbf_writer entry{writer, field.tag};
        entry.add_string(1, key);
        entry.add_string(2, text.get_ref<const std::string&>());
      }
      break;
    case Type::kIntOrString: {
      if (!value.is_string() && !value.is_number_integer()) break;
      pbf_writer message{writer, field.tag};
      message.add_int64(1, value.is_string() ? 1 : 0);
      message.add_int32(2, value.is_string() ? 0 : value.get<std::int32_t>());
      message.add_string(3, value.is_string() ? value.get<std::string>() : std::string());
      break;
    }
    case Type::kFields: {
      pbf_writer message{writer, field.tag};
      message.add_bytes(1, value.dump());
      break;
    }
    case Type::kMessage:
      if (value.is_object()) writer.add_message(field.tag, write(*field.of, value));
      break;
  }
}

std::string write(const Schema& schema, const json& object) {
  std::string out;
  pbf_writer writer{out};
  for (const Field& field : schema.fields) {
    const auto value = object.find(field.name);
    if (value == object.end() || value->is_null()) continue;
    if (value->is_array()) {
      for (const json& each : *value) write_value(writer, field, each);
    } else {
      write_value(writer, field, *value);
    }
  }
  return out;
}

}  // namespace

std::string message(std::string_view kind, const json& object) {
  return object.is_object() ? write(schema_of(kind), object) : std::string();
}

std::string object(std::string_view kind, const json& object) {
  return envelope(kind, message(kind, object));
}

}  // namespace poolwarden::protobuf_wire
