// Reads a pod from a stream of JSON events without building the document. A pod has 5 to 40 KiB on the wire.
// Some 700 to 1,000 bytes of it are kept, with what the cache needs to find it. The callbacks are those of
// kube/json_sink.h, for one object.
#pragma once

#include "api/pod_draft.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace poolwarden::api {

class PodSax {
 public:
  // The object's own start_object and end_object come through here too. A value of an unexpected type is
  // skipped with everything below it. None of them throws; strings may be moved from.
  void start_object();
  void end_object();
  void start_array();
  void end_array();
  void key(std::string& name);
  void string(std::string& value);
  void integer(std::int64_t value);
  void boolean(bool value);
  void null();

  // The finished pod; ready for the next one after. `labels` and `node` are fresh values: the caller interns.
  Pod take();

 private:
  // Where in the document we are, as far as it matters to us.
  enum class Place : std::uint8_t {
    kOutside,  // before the object's own start_object, and after its end_object
    kRoot,
    kMetadata,
    kLabels,
    kAnnotations,
    kOwners,  // metadata.ownerReferences[]
    kOwner,
    kSpec,
    kGates,       // spec.readinessGates[]
    kGate,        // one of them
    kContainers,  // spec.containers[], spec.initContainers[]
    kContainer,
    kLifecycle,
    kStatus,
    kIps,  // status.podIPs[]
    kIp,
    kConditions,  // status.conditions[]
    kCondition,
  };
  // The member a value belongs to; kOther is skipped.
  enum class Field : std::uint8_t {
    kOther,
    kMetadata,
    kSpec,
    kStatus,
    kName,
    kNamespace,
    kUid,
    kResourceVersion,
    kDeletionTimestamp,
    kDeletionGrace,
    kLabels,
    kLabel,
    kAnnotations,
    kAnnotation,
    kCreation,
    kOwnerReferences,
    kOwnerUid,
    kOwnerController,
    kNodeName,
    kReadinessGates,
    kConditionType,
    kContainers,
    kInitContainers,
    kReadinessProbe,
    kLifecycle,
    kPreStop,
    kTerminationGrace,
    kPhase,
    kReason,
    kPodIp,
    kPodIps,
    kIp,
    kConditions,
    kType,
    kConditionStatus,
  };
  static constexpr std::size_t kMaxDepth =
      6;  // root, spec, containers, one container, its lifecycle; one to spare

  static Field field_in(Place place, std::string_view name);
  static Field field_in_metadata(std::string_view name);
  static Place object_below(Place place, Field field);
  static Place array_below(Place place, Field field);
  void enter(Place place);
  void leave();
  void string_in_metadata(std::string& value);
  void string_in_status(std::string& value);
  void string_in_condition(std::string& value);

  PodDraft draft_;
  std::string label_;      // the label or annotation whose value comes next
  std::string owner_uid_;  // of the owner that is being read
  bool owner_controls_ = false;
  bool init_containers_ = false;  // those that are being read
  bool pre_stop_ = false;         // of the container that is being read
  std::array<Place, kMaxDepth> path_{};
  std::size_t depth_ = 0;    // how much of path_ is in use
  std::size_t skipped_ = 0;  // containers open below a value that is of no interest
  Field field_ = Field::kOther;
};

}  // namespace poolwarden::api
