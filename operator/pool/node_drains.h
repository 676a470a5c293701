// How the nodes that are being emptied lose the pool's pods: one after the other, and with a replacement
// first where one can come.
//
// A part of decide_drains(): which pods go for a surplus is known already.
#pragma once

#include "pool/observation.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

namespace poolwarden::pool {

// Why each member should go; as Observation::members.
using DrainCauses = std::vector<std::optional<DrainReason>>;

// Gives so many of these members, the cheapest first, a cause to leave their node. None while their loads are
// not known.
using TakeCheapest = std::function<void(const std::vector<std::size_t>& members, std::int32_t wanted)>;

// Why the member's node should lose its pods, if it should.
std::optional<DrainReason> reason_to_leave(const PodVerdict& member);
// It should, unless it came there all the same.
bool leaves_its_node(const Snapshot& snapshot, const PodVerdict& member);

// Adds causes to `causes`, and fills in the plan's surge, and what members wait for.
void empty_nodes(Observation& seen, Plan& plan, DrainCauses& causes, api::Now now, const TakeCheapest& take);

// Into the snapshot's drains: on a node that is known to end, none lasts longer than `deadline` from then on.
void shorten_drains(Snapshot& seen, std::chrono::seconds deadline, api::Now now);

}  // namespace poolwarden::pool
