#include "control/feed_health.h"

#include <chrono>

#include <fmt/format.h>

namespace poolwarden::control {
namespace {

// The reflector gives up a silent watch at 150 s.
constexpr kube::Duration kTooOld = std::chrono::seconds(180);
// Much longer silence without a problem of its own means that this very mechanism has failed.
constexpr kube::Duration kStuckAfter = std::chrono::seconds(400);

double seconds_between(kube::TimePoint then, kube::TimePoint now) {
  return std::chrono::duration<double>(now - then).count();
}

}  // namespace

std::optional<std::string> not_up_to_date(const FeedHealth& feed, bool optional, kube::TimePoint now) {
  // Nodes only add zones and what becomes of them, autoscalers a warning, the gate whether deletes are held;
  // an operator for one namespace may not be allowed to read them. StatefulSets only matter to pools of
  // those, whose conditions tell. What no pool has named is not read.
  if (!feed.started || feed.does_without(optional)) return std::nullopt;
  if (!feed.synced) return feed.problem.empty() ? "the first list is not complete" : feed.problem;
  if (now - feed.fresh_at < kTooOld) return std::nullopt;
  return fmt::format("nothing was read for {:.0f} s{}{}", seconds_between(feed.fresh_at, now),
                     feed.problem.empty() ? "" : ": ", feed.problem);
}

std::optional<std::string> stuck(std::string_view resource, const FeedHealth& feed, kube::TimePoint now) {
  if (!feed.started || !feed.problem.empty() || now - feed.last_byte < kStuckAfter) return std::nullopt;
  return fmt::format("the watch of {} has been silent for {:.0f} s", resource,
                     seconds_between(feed.last_byte, now));
}

}  // namespace poolwarden::control
