#include "commands/drain_follow.h"

#include "api/names.h"
#include "commands/membership.h"
#include "commands/status_report.h"

#include <utility>

#include <fmt/format.h>

namespace poolwarden::commands {
namespace {

// An operator that runs begins within a second; one that has just taken over needs its lists first.
constexpr std::chrono::seconds kHeed{10};

// What the status tells of the drain; what the pod's annotations tell where it does not list the pod, or not
// yet.
EndpointView drain_of(const DrainLook& seen) {
  if (seen.endpoint && seen.endpoint->state == "draining") return *seen.endpoint;
  EndpointView out;
  out.state = "draining";
  out.since = api::parse_rfc3339(seen.pod->annotation(api::kDrainStartedAnnotation));
  return out;
}

std::string news_of(const EndpointView& drain) {
  const std::string count = drain.in_flight ? std::to_string(*drain.in_flight) : "?";
  return fmt::format("draining {} {}", count, drain.message);
}

}  // namespace

DrainStep DrainFollow::look(const DrainLook& seen, const api::Now& now) {
  DrainStep out;
  const auto ends = [&out](DrainEnd end, std::string words) {
    out.end = end;
    out.news = out.words = std::move(words);
    return out;
  };
  if (!seen.pod) return ends(DrainEnd::kGone, "gone");
  if (seen.pod->uid != uid_) return ends(DrainEnd::kGone, "gone, and another of its name is there");
  const Hold hold = hold_of(*seen.pod, now.wall);
  if (is_drained(*seen.pod)) return ends(DrainEnd::kReleased, "drained");
  if (seen.pod->ends) return ends(DrainEnd::kTerminating, "deleted by someone before it was drained");
  if (seen.pod->annotation(api::kDrainRequestAnnotation).empty())
    return ends(DrainEnd::kCancelled, "not to be drained any more: someone took the request off");
  if (hold == Hold::kReleased)
    return ends(DrainEnd::kReleased, "on no list and not fit for one, so there is nothing to drain");
  if (hold == Hold::kDraining) {
    begun_ = true;
    const EndpointView drain = drain_of(seen);
    out.words = state_sentence(drain, now.wall);
    if (!drain.message.empty()) out.words += "; " + drain.message;
    out.news = news_of(drain);
    return out;
  }
  out.news = out.words =
      hold == Hold::kFinishing
          ? "not ready, and it may still answer; waiting for the operator to begin the drain"
          : "serving; waiting for the operator to begin the drain";
  out.unheeded = !begun_ && now.mono - asked_ >= kHeed;
  return out;
}

}  // namespace poolwarden::commands
