#include "pool/drain_ages.h"

#include "pool/drain.h"

namespace poolwarden::pool {
namespace {

std::optional<api::Timestamp> begun(const api::Pod& pod) {
  const DrainState state = drain_state(pod);
  if (std::holds_alternative<NotDraining>(state)) return std::nullopt;
  return started(state);
}

}  // namespace

void DrainAges::saw(const api::Pod* before, const api::Pod& pod, api::Now now) {
  const auto since = begun(pod);
  if (!since) return forget(pod.uid);
  const auto found = begun_.find(pod.uid);
  if (found != begun_.end() && found->second.started == *since) return;
  const bool seen_to_begin = before != nullptr && before->uid == pod.uid && !begun(*before);
  const std::chrono::seconds so_far = seen_to_begin ? std::chrono::seconds{0} : elapsed(*since, now.wall);
  begun_.insert_or_assign(pod.uid, Begun{*since, so_far, now.mono});
}

std::chrono::seconds DrainAges::age(const std::string& uid, api::Timestamp started, api::Now now) const {
  const auto found = begun_.find(uid);
  if (found == begun_.end() || found->second.started != started) return elapsed(started, now.wall);
  return found->second.so_far + std::chrono::floor<std::chrono::seconds>(now.mono - found->second.seen);
}

}  // namespace poolwarden::pool
