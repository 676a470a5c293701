// What to say to HAProxy, given the published list and what HAProxy itself reports. Pure; any thread.
//
// Servers are slots, declared ahead in haproxy.cfg with `server-template pod- 64 127.0.0.1:1 disabled`. They
// are not created and deleted with `add server` and `del server`, though both work in 2.6 without
// experimental mode. Deleting a server that a stream still refers to has crashed 2.6 and 2.8 in production
// (haproxy/haproxy #2298, #2323, #2378; fixed in 2.9, not in Debian 12's 2.6.12). And a server added at
// runtime takes nothing from `default-server`. A slot is never freed, keeps its options in haproxy.cfg where
// people look for them, and can be restored by HAProxy's own server-state file. The cost: their number is
// fixed by haproxy.cfg.
//
// A slot's life:
//   parked (maintenance, idle) -> readdressed -> ready -> draining -> parked
//   draining -> ready   the endpoint came back
// Identity is the address. Nothing needs to be remembered, so a plan made after any restart, on either side,
// is right. Each plan is one step made from a fresh snapshot: `ready` is only ever said of a slot whose
// address HAProxy has just reported. A plan for a snapshot that agrees with the list is empty.
//
// A weight is said just before `ready`. If HAProxy refuses it the server serves all the same: a wrong share
// is better than none.
#pragma once

#include "gateway/gateway.h"
#include "gateway/haproxy_answers.h"
#include "gateway/zone_weights.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace poolwarden::gateway {

// How a server is told to take no new request. What it is working on goes on in both states.
enum class WithdrawBy : std::uint8_t {
  kDrain,        // clients that a cookie or a stick-table pins to it still get there
  kMaintenance,  // nobody does
};

struct BackendName {
  std::string backend;
  std::string slot_prefix;  // a server is ours if its name is this and digits
  WithdrawBy withdraw_by = WithdrawBy::kDrain;
  std::optional<ZoneWeights> weights = {};  // nothing: those of haproxy.cfg, and nothing is said of them
};

// Its `places` are slots.
Plan make_plan(const std::vector<WantedServer>& wanted, const HaproxySnapshot& observed,
               const BackendName& names);

// Whether the answer to a command is a refusal, for a person; nothing if it was carried out.
std::optional<std::string> refusal_of(const Command& command, std::string_view answer);

}  // namespace poolwarden::gateway
