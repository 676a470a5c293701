// What to ask of a router with a worker API, given the published list, the workers that the router says it
// has, and the additions that are under way. Pure; any thread.
//
// Whose workers they are: a router that is fed by this program has no other source of workers. So every
// worker is ours, and one that the list does not want is removed, whatever its URL is. With
// ForeignWorkers::kKeep those are someone else's whose URL is not http://, an IP address and a port: the only
// form that we ever add.
//
// Such a router looks at neither a pod's labels nor its readiness, so a removal is the only withdrawal there
// is. Removals come before additions, and never wait for one: an addition is asked for and not waited for. It
// may take as long as the router's health check of the worker. Until the worker is listed it is under way:
//   fresh   the list is not settled before it is listed; it is not asked for again
//   late    the rest of the list is settled without it; its pod counts as unplaced
//   failed  so it is, until it is asked for again
#pragma once

#include "gateway/gateway.h"
#include "gateway/worker_answers.h"

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace poolwarden::gateway {

enum class ForeignWorkers : std::uint8_t { kRemove, kKeep };

enum class AdditionStage : std::uint8_t { kFresh, kLate, kFailed };
struct AdditionState {
  AdditionStage stage = AdditionStage::kFresh;
  std::string problem = {};  // why it failed
};
using Additions = std::map<ServerAddress, AdditionState>;  // of workers that are not listed

// Additions under way at once. A router works on a fixed number of jobs at once, removals among them: one
// that was given 400 workers that do not answer did no removal for more than 30 seconds (sglang-router
// 0.3.2).
inline constexpr std::size_t kMaxAdditions = 16;

// Its `places` are workers listed.
Plan make_worker_plan(const std::vector<WantedServer>& wanted, const std::vector<ObservedWorker>& workers,
                      const Additions& additions, ForeignWorkers foreign);

}  // namespace poolwarden::gateway
