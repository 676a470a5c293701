// Asks the operator to drain one pod, and waits for it: what `drain POD` and `delete POD` share.
#pragma once

#include "commands/context.h"
#include "commands/drain_follow.h"
#include "commands/view.h"

#include <cstdint>
#include <string>

#include <tl/expected.hpp>

namespace poolwarden::commands {

struct DrainSubject {
  PodView pod;
  PoolView pool;
};
// The pod's pool. A pod that is in none is refused, which is said; the error is an exit code.
tl::expected<DrainSubject, int> find_pool_of(Context& context, PodView pod);

// What the command is, and how long it may take.
struct DrainRequest {
  std::string verb;  // "drain" or "delete"
  bool wait = true;
  std::optional<std::chrono::seconds> timeout;
};
enum class DrainResult : std::uint8_t { kReleased, kGone, kAsked, kTerminating, kFailed };
struct DrainReport {
  DrainResult result = DrainResult::kFailed;
  int code = kDone;  // of kFailed, which has been said
};
DrainReport drain_pod(Context& context, const DrainSubject& subject, const DrainRequest& request);

int undo_pod_drain(Context& context, const PodView& pod);
int drain_node(Context& context, const NodeView& node, const DrainOptions& options);

}  // namespace poolwarden::commands
