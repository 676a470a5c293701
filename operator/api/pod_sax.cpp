#include "api/pod_sax.h"

#include <utility>

namespace poolwarden::api {

PodSax::Field PodSax::field_in_metadata(std::string_view name) {
  if (name == "name") return Field::kName;
  if (name == "namespace") return Field::kNamespace;
  if (name == "uid") return Field::kUid;
  if (name == "resourceVersion") return Field::kResourceVersion;
  if (name == "labels") return Field::kLabels;
  if (name == "annotations") return Field::kAnnotations;
  if (name == "ownerReferences") return Field::kOwnerReferences;
  if (name == "creationTimestamp") return Field::kCreation;
  if (name == "deletionTimestamp") return Field::kDeletionTimestamp;
  if (name == "deletionGracePeriodSeconds") return Field::kDeletionGrace;
  return Field::kOther;
}

PodSax::Field PodSax::field_in(Place place, std::string_view name) {
  switch (place) {
    case Place::kRoot:
      if (name == "metadata") return Field::kMetadata;
      if (name == "spec") return Field::kSpec;
      if (name == "status") return Field::kStatus;
      break;
    case Place::kMetadata:
      return field_in_metadata(name);
    case Place::kLabels:
      return Field::kLabel;
    case Place::kAnnotations:
      return Field::kAnnotation;
    case Place::kOwner:
      if (name == "uid") return Field::kOwnerUid;
      if (name == "controller") return Field::kOwnerController;
      break;
    case Place::kSpec:
      if (name == "nodeName") return Field::kNodeName;
      if (name == "terminationGracePeriodSeconds") return Field::kTerminationGrace;
      if (name == "readinessGates") return Field::kReadinessGates;
      if (name == "containers") return Field::kContainers;
      // One that restarts always (a sidecar) may have a readiness probe.
      if (name == "initContainers") return Field::kInitContainers;
      break;
    case Place::kGate:
      if (name == "conditionType") return Field::kConditionType;
      break;
    case Place::kContainer:
      if (name == "readinessProbe") return Field::kReadinessProbe;
      if (name == "lifecycle") return Field::kLifecycle;
      break;
    case Place::kLifecycle:
      if (name == "preStop") return Field::kPreStop;
      break;
    case Place::kStatus:
      if (name == "phase") return Field::kPhase;
      if (name == "reason") return Field::kReason;
      if (name == "podIP") return Field::kPodIp;
      if (name == "podIPs") return Field::kPodIps;
      if (name == "conditions") return Field::kConditions;
      break;
    case Place::kIp:
      if (name == "ip") return Field::kIp;
      break;
    case Place::kCondition:
      if (name == "type") return Field::kType;
      if (name == "status") return Field::kConditionStatus;
      if (name == "reason") return Field::kReason;
      break;
    default:
      break;
  }
  return Field::kOther;
}

// kOutside: nothing below is of interest.
PodSax::Place PodSax::object_below(Place place, Field field) {
  switch (place) {
    case Place::kRoot:
      if (field == Field::kMetadata) return Place::kMetadata;
      if (field == Field::kSpec) return Place::kSpec;
      if (field == Field::kStatus) return Place::kStatus;
      return Place::kOutside;
    case Place::kMetadata:
      if (field == Field::kLabels) return Place::kLabels;
      return field == Field::kAnnotations ? Place::kAnnotations : Place::kOutside;
    case Place::kOwners:
      return Place::kOwner;
    case Place::kGates:
      return Place::kGate;
    case Place::kContainers:
      return Place::kContainer;
    case Place::kContainer:
      return field == Field::kLifecycle ? Place::kLifecycle : Place::kOutside;
    case Place::kIps:
      return Place::kIp;
    case Place::kConditions:
      return Place::kCondition;
    default:
      return Place::kOutside;
  }
}

PodSax::Place PodSax::array_below(Place place, Field field) {
  if (place == Place::kMetadata && field == Field::kOwnerReferences) return Place::kOwners;
  if (place == Place::kSpec && field == Field::kReadinessGates) return Place::kGates;
  if (place == Place::kSpec && (field == Field::kContainers || field == Field::kInitContainers))
    return Place::kContainers;
  if (place == Place::kStatus && field == Field::kPodIps) return Place::kIps;
  if (place == Place::kStatus && field == Field::kConditions) return Place::kConditions;
  return Place::kOutside;
}

void PodSax::enter(Place place) {
  if (place == Place::kOutside || depth_ == kMaxDepth) {
    skipped_ = 1;
    return;
  }
  path_[depth_++] = place;
  if (place == Place::kContainers) init_containers_ = field_ == Field::kInitContainers;
  if (place == Place::kContainer) pre_stop_ = false;
  field_ = Field::kOther;
  if (place == Place::kCondition) draft_.conditions.emplace_back();
  if (place == Place::kOwner) {
    owner_uid_.clear();
    owner_controls_ = false;
  }
}

void PodSax::leave() {
  if (skipped_ > 0) {
    --skipped_;
  } else if (depth_ > 0) {
    --depth_;
    if (path_[depth_] == Place::kOwner && owner_controls_) draft_.controller = std::move(owner_uid_);
    if (path_[depth_] == Place::kContainer && !init_containers_) draft_.container(pre_stop_);
  }
  field_ = Field::kOther;
}

void PodSax::start_object() {
  if (skipped_ > 0) {
    ++skipped_;
    return;
  }
  if (depth_ == 0) {
    enter(Place::kRoot);
    return;
  }
  const Place here = path_[depth_ - 1];
  if (here == Place::kContainer && field_ == Field::kReadinessProbe) draft_.pod.has_readiness_probe = true;
  if (here == Place::kLifecycle && field_ == Field::kPreStop) pre_stop_ = true;
  enter(object_below(here, field_));
}

void PodSax::end_object() {
  leave();
}

void PodSax::start_array() {
  if (skipped_ > 0) {
    ++skipped_;
    return;
  }
  enter(depth_ == 0 ? Place::kOutside : array_below(path_[depth_ - 1], field_));
}

void PodSax::end_array() {
  leave();
}

void PodSax::key(std::string& name) {
  if (skipped_ > 0 || depth_ == 0) return;
  field_ = field_in(path_[depth_ - 1], name);
  if (field_ == Field::kLabel || field_ == Field::kAnnotation) label_ = std::move(name);
}

void PodSax::string_in_metadata(std::string& value) {
  switch (field_) {
    case Field::kName:
      draft_.pod.name = std::move(value);
      break;
    case Field::kNamespace:
      draft_.pod.ns = std::move(value);
      break;
    case Field::kUid:
      draft_.pod.uid = std::move(value);
      break;
    case Field::kResourceVersion:
      draft_.pod.resource_version = std::move(value);
      break;
    case Field::kDeletionTimestamp:
      // One that cannot be read still means that the pod is going.
      draft_.pod.deletion_timestamp = parse_rfc3339(value).value_or(Timestamp{});
      break;
    case Field::kCreation:
      draft_.pod.created = parse_rfc3339(value).value_or(Timestamp{});
      break;
    default:
      break;
  }
}

void PodSax::string_in_status(std::string& value) {
  switch (field_) {
    case Field::kPhase:
      draft_.pod.phase = to_phase(value);
      break;
    case Field::kReason:
      draft_.status_reason = std::move(value);
      break;
    case Field::kPodIp:
      draft_.primary_ip = std::move(value);
      break;
    default:
      break;
  }
}

void PodSax::string_in_condition(std::string& value) {
  ConditionDraft& condition = draft_.conditions.back();
  switch (field_) {
    case Field::kType:
      condition.type = std::move(value);
      break;
    case Field::kConditionStatus:
      condition.status = to_tristate(value);
      break;
    case Field::kReason:
      condition.reason = std::move(value);
      break;
    default:
      break;
  }
}

void PodSax::string(std::string& value) {
  if (skipped_ > 0 || depth_ == 0) return;
  switch (path_[depth_ - 1]) {
    case Place::kMetadata:
      string_in_metadata(value);
      break;
    case Place::kLabels:
      draft_.labels.insert_or_assign(std::move(label_), std::move(value));
      label_.clear();
      break;
    case Place::kAnnotations:
      draft_.annotation(label_, std::move(value));
      break;
    case Place::kOwner:
      if (field_ == Field::kOwnerUid) owner_uid_ = std::move(value);
      break;
    case Place::kSpec:
      if (field_ == Field::kNodeName) draft_.node = std::move(value);
      break;
    case Place::kGate:
      if (field_ == Field::kConditionType) draft_.gates.push_back(std::move(value));
      break;
    case Place::kStatus:
      string_in_status(value);
      break;
    case Place::kIp:
      if (field_ == Field::kIp) draft_.ip(std::move(value));
      break;
    case Place::kCondition:
      string_in_condition(value);
      break;
    default:
      break;
  }
  field_ = Field::kOther;
}

void PodSax::integer(std::int64_t value) {
  if (skipped_ > 0 || depth_ == 0) return;
  if (path_[depth_ - 1] == Place::kMetadata && field_ == Field::kDeletionGrace)
    draft_.pod.deletion_grace_seconds = value;
  if (path_[depth_ - 1] == Place::kSpec && field_ == Field::kTerminationGrace)
    draft_.pod.termination_grace_seconds = value;
  field_ = Field::kOther;
}

void PodSax::boolean(bool value) {
  if (skipped_ > 0 || depth_ == 0) return;
  if (path_[depth_ - 1] == Place::kOwner && field_ == Field::kOwnerController) owner_controls_ = value;
  field_ = Field::kOther;
}

void PodSax::null() {
  if (skipped_ == 0) field_ = Field::kOther;
}

Pod PodSax::take() {
  Pod out = draft_.take();
  *this = PodSax{};
  return out;
}

}  // namespace poolwarden::api
