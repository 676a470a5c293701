// `why`: whether a pod is on its pool's list, and why, from all that could be learnt of it. Pure: from facts
// and the time to a report, and from the report to text or JSON.
#pragma once

#include "api/endpoint_set.h"
#include "commands/gate.h"
#include "commands/lookup.h"
#include "commands/membership.h"
#include "commands/terminal_text.h"
#include "commands/view.h"

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json_fwd.hpp>

namespace poolwarden::commands {

// A pool that selects the pod, or names it though it is gone.
struct PoolFacts {
  PoolView pool;
  Lookup<api::EndpointSet> list;
};

struct WhyFacts {
  std::string program = "poolwarden";  // as the person called it
  std::string ns;
  std::string pod_name;
  std::optional<PodView> pod;  // nothing: there is no such pod
  std::vector<PoolFacts> pools;
  NoPool no_pool;       // why_in_no_pool(), when `pools` is empty
  Lookup<SetView> set;  // absent also where the pod has none
  Lookup<NodeView> node;
  Lookup<std::vector<BudgetView>> budgets;  // of the namespace
  Lookup<GateView> gate;
  Lookup<std::vector<EventView>> events;  // of the pod, newest first
  Lookup<LeaseView> lease;
};

enum class Verdict : std::uint8_t {
  kListed,       // on the list, gets requests
  kDraining,     // finishes what it has
  kDrained,      // off the list, idle
  kWithdrawn,    // off the list for a reason of its own
  kTerminating,  // being deleted
  kNotYet,       // nothing speaks against it: the operator has not come to it
  kGone,         // no such pod
  kNoPool,
  kUnknown,  // whether it is in a pool cannot be told
};
std::string_view to_string(Verdict verdict);

struct PoolVerdict {
  std::string pool;
  Verdict verdict = Verdict::kNoPool;
  std::string reason;  // for programs; may be empty
  std::string words;   // after "pod x"
  std::string fix;     // may be empty
};

struct WhyReport {
  std::string ns;
  std::string pod;
  std::vector<PoolVerdict> verdicts;  // never empty; one without a pool's name where it is in none
  std::vector<std::pair<std::string, std::string>> facts;  // "Node", "n1, cordoned"
  std::vector<std::string> holds;                          // what holds its deletion
  std::vector<std::string> let_go;                         // how to let it go
  std::vector<EventView> events;
  std::vector<std::string> unread;  // what could not be read, and the verb that is missing
};

WhyReport why(const WhyFacts& facts, api::Timestamp now);
TerminalText why_text(const WhyReport& report, api::Timestamp now, Paint paint);
nlohmann::json why_json(const WhyReport& report);

}  // namespace poolwarden::commands
