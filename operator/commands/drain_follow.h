// Follows the drain that a person asked for, look by look, until it ends. Pure: what was seen and the time
// go in; what to tell the person, and whether it is over, come out.
#pragma once

#include "api/time.h"
#include "commands/view.h"

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

namespace poolwarden::commands {

struct DrainLook {
  std::optional<PodView> pod;            // nothing: it is not there
  std::optional<EndpointView> endpoint;  // of the pool's status
};

enum class DrainEnd : std::uint8_t {
  kNone,         // it goes on
  kReleased,     // drained; or on no list and not fit for one, so that there was nothing to drain
  kGone,         // the pod is not there any more, or another of its name is
  kTerminating,  // someone deletes it before it is drained
  kCancelled,    // the request was taken off
};

struct DrainStep {
  DrainEnd end = DrainEnd::kNone;
  std::string words;      // "draining for 12 s, 3 in flight, at most 288 s more"
  std::string news;       // as `words`, without what changes by itself
  bool unheeded = false;  // nobody has begun it for as long as that should ever take
};

class DrainFollow {
 public:
  // `uid`: of the pod that was asked to drain, at `asked`.
  DrainFollow(std::string uid, std::chrono::steady_clock::time_point asked)
      : uid_(std::move(uid)), asked_(asked) {}

  DrainStep look(const DrainLook& seen, const api::Now& now);

 private:
  const std::string uid_;
  const std::chrono::steady_clock::time_point asked_;
  bool begun_ = false;
};

}  // namespace poolwarden::commands
