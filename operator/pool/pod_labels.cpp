#include "pool/pod_labels.h"

#include "api/names.h"
#include "pool/consumer_words.h"
#include "pool/load_words.h"
#include "pool/membership.h"
#include "pool/pod_group.h"

#include <utility>

#include <fmt/format.h>

namespace poolwarden::pool {
namespace {

using Annotations = std::map<std::string, std::optional<std::string>, std::less<>>;

const std::optional<std::string>& value_of(const api::DrainAnnotations& present,
                                           std::string_view annotation) {
  static const std::optional<std::string> kNone;
  if (annotation == api::kDrainStartedAnnotation) return present.started;
  if (annotation == api::kDrainReasonAnnotation) return present.reason;
  if (annotation == api::kSavedCostAnnotation) return present.saved_cost;
  if (annotation == api::kDeletionCostAnnotation) return present.deletion_cost;
  return kNone;
}

void put(Annotations& out, std::string_view annotation, std::optional<std::string> value) {
  out.insert_or_assign(std::string{annotation}, std::move(value));
}

std::optional<std::string> value_unless_empty(const std::string& text) {
  return text.empty() ? std::nullopt : std::optional{text};
}

Annotations annotations_of(const NotDraining&, const api::DrainAnnotations& present) {
  Annotations out;
  put(out, api::kDrainStartedAnnotation, std::nullopt);
  put(out, api::kDrainReasonAnnotation, std::nullopt);
  if (!present.saved_cost) return out;
  put(out, api::kSavedCostAnnotation, std::nullopt);
  // A cost that someone has set since is theirs, and stays.
  if (present.deletion_cost == api::kLowestDeletionCost)
    put(out, api::kDeletionCostAnnotation, value_unless_empty(*present.saved_cost));
  return out;
}

// Since when, and nothing else: it is no drain yet.
Annotations annotations_of(const Finishing& state, const api::DrainAnnotations& present) {
  Annotations out = annotations_of(NotDraining{}, present);
  put(out, api::kDrainStartedAnnotation, api::to_rfc3339(state.since));
  return out;
}

Annotations annotations_of(const Draining& state, const api::DrainAnnotations&) {
  Annotations out;
  put(out, api::kDrainStartedAnnotation, api::to_rfc3339(state.started));
  put(out, api::kDrainReasonAnnotation, std::string{to_string(state.reason)});
  return out;
}

// The cost makes its ReplicaSet take this pod and none of its equals. One that someone else sets meanwhile is
// what they will want to find again.
Annotations annotations_of(const Drained&, const api::DrainAnnotations& present) {
  Annotations out;
  put(out, api::kDeletionCostAnnotation, std::string{api::kLowestDeletionCost});
  if (!present.saved_cost || present.deletion_cost != api::kLowestDeletionCost)
    put(out, api::kSavedCostAnnotation, present.deletion_cost.value_or(std::string{}));
  return out;
}

// Which annotations of the pod have to be written for them to be those of the state.
Annotations differing(const api::Pod& pod, const DrainState& state) {
  const api::DrainAnnotations& present = pod.drain_annotations();
  if (std::holds_alternative<NotDraining>(state) && present == api::DrainAnnotations{}) return {};
  Annotations wanted = std::visit([&](const auto& one) { return annotations_of(one, present); }, state);
  std::erase_if(wanted, [&](const auto& item) { return value_of(present, item.first) == item.second; });
  return wanted;
}

api::PodLabelWrite write_of(const api::Pod& pod, std::optional<std::string> serving,
                            Annotations annotations) {
  return {.name = pod.name,
          .uid = pod.uid,
          .resource_version = pod.resource_version,
          .serving = std::move(serving),
          .annotations = std::move(annotations)};
}

std::string_view serving_of(const PodVerdict& member) {
  if (std::holds_alternative<Draining>(member.drain)) return api::serving::kDraining;
  if (std::holds_alternative<Drained>(member.drain)) return api::serving::kDrained;
  if (std::holds_alternative<Finishing>(member.drain)) return api::serving::kFinishing;
  return member.fit ? api::serving::kTrue : api::serving::kFalse;
}

bool is_going(std::string_view serving) {
  return serving == api::serving::kDraining || serving == api::serving::kDrained;
}

std::string in_flight_now(const Observation& seen, const api::Pod& pod) {
  std::string out = in_flight_words(seen.snapshot->loads->find(pod.uid));
  if (const auto* awaited = seen.snapshot->awaited_for(pod)) out += "; " + unconfirmed_words(*awaited);
  return out;
}

EventNote started_event(const Observation& seen, const PodVerdict& member, const Draining& drain) {
  const auto timeout = seen.snapshot->drain_limit(*member.pod).count();
  return {
      .reason = std::string{api::event::kDrainStarted},
      .warning = false,
      .message = fmt::format("{} drains ({}){}{}: it is sent nothing new and released {}", member.pod->name,
                             to_string(drain.reason), member.why.empty() ? "" : ", ", member.why,
                             timeout == 0 ? std::string{"at once, as spec.drain.timeoutSeconds is 0"}
                                          : fmt::format("when it is idle, after {} s at most", timeout))};
}

// What a step of its drain means, to a person.
std::optional<DrainNote> note_of(const Observation& seen, const PodVerdict& member, api::Now now) {
  const api::Pod& pod = *member.pod;
  DrainNote out{.step = member.step,
                .event = {},
                .took = seen.snapshot->drain_ages->age(pod.uid, started(member.before), now)};
  switch (member.step) {
    case DrainResult::kStarted:
      out.event = started_event(seen, member, std::get<Draining>(member.drain));
      break;
    case DrainResult::kCompleted:
      out.event = {.reason = std::string{api::event::kDrainCompleted},
                   .warning = false,
                   .message = fmt::format("{} has nothing in flight after {} s, and is released", pod.name,
                                          out.took.count())};
      break;
    case DrainResult::kTimedOut:
      out.event = {.reason = std::string{api::event::kDrainTimedOut},
                   .warning = true,
                   .message = fmt::format("{} is released after {} s, the limit of its drain, {}", pod.name,
                                          out.took.count(), in_flight_now(seen, pod))};
      break;
    case DrainResult::kCancelled:
      out.event = {.reason = std::string{api::event::kDrainCancelled},
                   .warning = false,
                   .message = fmt::format("{} is wanted again after {} s{}", pod.name, out.took.count(),
                                          member.fit ? ", and back in the list" : ", but it is not ready")};
      break;
    case DrainResult::kNone:
      // One that has ended drains no more, which its withdrawal tells.
      if (!is_active(pod)) return std::nullopt;
      // Said by a label that we did not write.
      if (!is_going(pod.serving.value_or(std::string{})) || is_going(serving_of(member))) return std::nullopt;
      out.event = {
          .reason = std::string{api::event::kOverwriteUndone},
          .warning = true,
          .message = fmt::format("{}: label {} was set to {} by someone else; put back. To drain a pod: "
                                 "kubectl poolwarden drain {}",
                                 pod.name, api::kServingLabel, *pod.serving, pod.name)};
      break;
  }
  return out;
}

// A label only this pool has a say in, on a pod that will still be there to show it.
bool is_ours_to_remove(const api::Pod& pod, const Snapshot& snapshot) {
  return is_marked(pod) && !pod.deletion_timestamp && !snapshot.pods_of_others.contains(pod.uid);
}

void label_member(const Observation& seen, const PodVerdict& member, Plan& plan, api::Now now) {
  const api::Pod& pod = *member.pod;
  const Snapshot& snapshot = *seen.snapshot;
  if (pod.deletion_timestamp) return;
  const bool led_here = snapshot.leads(pod);
  label_workers(snapshot, member, led_here ? is_held(std::string{serving_of(member)}) : is_held(pod.serving),
                plan);
  if (!snapshot.is_written(pod)) return;
  // What becomes of one that is on its way out, or may have to finish, is the leading pool's to say.
  if (!led_here && (drains(member.drain) || !member.fit)) return;
  const std::string_view wanted = serving_of(member);
  Annotations annotations;
  if (led_here) annotations = differing(pod, member.drain);
  const bool never_served = !pod.serving && wanted == api::serving::kFalse;
  const bool same = pod.serving == wanted || never_served;
  if (same && annotations.empty()) return;
  if (auto note = note_of(seen, member, now)) plan.drain_notes.insert_or_assign(pod.uid, std::move(*note));
  plan.pod_labels.push_back(write_of(pod, never_served ? std::nullopt : std::optional{std::string{wanted}},
                                     std::move(annotations)));
}

}  // namespace

bool is_marked(const api::Pod& pod) {
  const api::DrainAnnotations& present = pod.drain_annotations();
  return pod.serving || present.started || present.reason || present.saved_cost;
}

api::PodLabelWrite take_off(const api::Pod& pod) {
  return write_of(pod, std::nullopt, differing(pod, NotDraining{}));
}

api::PodLabelWrite release(const api::Pod& pod) {
  return write_of(pod, std::string{api::serving::kDrained}, differing(pod, Drained{}));
}

void label_pods(const Observation& seen, Plan& plan, api::Now now) {
  for (const PodVerdict& member : seen.on_hold) label_member(seen, member, plan, now);
  if (seen.hold != Hold::kNone) return;
  for (const PodVerdict& member : seen.members) label_member(seen, member, plan, now);
  for (const api::Pod* pod : seen.unselected) {
    if (is_ours_to_remove(*pod, *seen.snapshot)) plan.pod_labels.push_back(take_off(*pod));
    PodVerdict gone;
    gone.pod = pod;
    if (!seen.snapshot->pods_of_others.contains(pod->uid)) label_workers(*seen.snapshot, gone, false, plan);
  }
}

}  // namespace poolwarden::pool
