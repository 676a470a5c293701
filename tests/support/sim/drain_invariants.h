// What must hold of drains at every moment of a simulation, judged from what is written to the API server and
// from what the engines really do.
//
//   - no pod is released as idle while a live consumer has yet to confirm that it has left the list
//   - no pod is released while it has requests in flight before its drain has lasted for
//     spec.drain.timeoutSeconds, or its node has been known for 90 s to end within moments; pods whose
//     metrics lie are left out
//   - no pod that turned unready is let go while it has requests in flight before the same time has passed
//   - no pod of a ReplicaSet begins to drain for a surplus beyond what that ReplicaSet had too many of, those
//     taken off that its controller takes first, at some moment of the last `memory`; and none without the
//     gate
//   - no pod of a StatefulSet begins to drain for a surplus unless its ordinal was beyond those wanted, or
//     a newer revision had reached it, at some moment of the last `memory`. For a newer revision none begins
//     while one above it drains. At rest each rollout is over
//   - no pod that is ready begins to drain for its node where that left the pool more than one short of what
//     was asked. Nor where that left nobody, if the node ends within moments. Pods on nodes that are unheard
//     of count as serving: they may
//   - a deletion cost that someone else set is put back when a drain is cancelled
// Why "of the last `memory`": the operator decides on what its watches have told it, some of which is on its
// way; that must be no longer than the simulation makes it.
#pragma once

#include "support/apiserver/model.h"
#include "support/sim/ordinal_leavers.h"
#include "support/sim/sim_engines.h"
#include "support/sim/timeline.h"
#include "support/sim/virtual_time.h"

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

namespace poolwarden::sim {

struct DrainInvariantOptions {
  std::string pool;       // in the namespace "default", as its target
  std::string target;     // the Deployment, or the StatefulSet, whose pods are the pool's
  bool stateful = false;  // its target is a StatefulSet
  std::string operator_user = "poolwarden";
  kube::Duration memory = std::chrono::seconds(3);
  bool watches_fail = false;
  // Names a live consumer of the list that has yet to confirm that a pod has left it; empty: none.
  std::function<std::string(const std::string& uid)> awaited = {};
};

class DrainInvariants {
 public:
  // Becomes the model's admission, the gate included, to see who writes what.
  DrainInvariants(VirtualTime& time, apiserver::Model& model, SimEngines& engines,
                  DrainInvariantOptions options);
  ~DrainInvariants();
  DrainInvariants(const DrainInvariants&) = delete;
  DrainInvariants& operator=(const DrainInvariants&) = delete;

  // To be called after changes of these resources.
  void changed(const std::set<std::string>& plurals);
  // What is wrong now that everything has come to rest: annotations that nobody needs, surpluses that have
  // not ended, costs that are not their writers'.
  std::vector<std::string> at_rest() const;

  const std::vector<std::string>& violations() const { return violations_; }
  // What happened to pods, for a person who reads how it came about.
  const std::vector<std::string>& history() const { return history_; }
  void tell(std::string what);

  struct Counts {
    std::uint64_t started = 0;
    std::uint64_t idle = 0;  // released with nothing in flight
    std::uint64_t timed_out = 0;
    std::uint64_t cancelled = 0;
  };
  const Counts& counts() const { return counts_; }
  // The operators', besides their Lease.
  std::uint64_t operator_writes() const { return operator_writes_; }

 private:
  struct Pod {
    std::string name;
    std::string set;       // uid of its ReplicaSet or StatefulSet
    std::string revision;  // of its template, in a StatefulSet
    std::string node;
    std::string serving;
    std::string reason;
    std::optional<api::Timestamp> started;
    std::optional<std::string> cost;
    std::optional<std::string> saved_cost;
    bool requested = false;  // by a person
    bool active = false;
    bool ready = false;

    bool draining() const { return started && (serving == "draining" || serving == "drained"); }
    // The gate and the budget hold it.
    bool held() const { return serving == "true" || serving == "finishing" || (draining() && !released()); }
    bool released() const { return draining() && serving == "drained" && saved_cost; }
    bool for_surplus() const { return reason == "ScaleDown" || reason == "Rollout"; }
  };
  static Pod read(const nlohmann::json& pod);

  void witness(const apiserver::AdmissionRequest& write);
  void operator_wrote(const std::string& uid, const Pod& before, const Pod& after);
  void began(const std::string& uid, const Pod& pod);
  void began_for_surplus(const Pod& pod, kube::TimePoint since);
  void began_in_ordinals(const Pod& pod, kube::TimePoint since);
  void began_for_node(const std::string& uid, const Pod& pod, kube::TimePoint since);
  bool goes_anyway(const Pod& pod, kube::TimePoint since);
  std::int64_t outdated_above(const Pod& pod) const;
  std::int64_t unheard(const Pod& pod, kube::TimePoint since) const;
  template <class Which>
  std::int64_t others(const Pod& pod, Which which) const;
  std::int64_t believable_surplus(const std::string& set, kube::TimePoint since);
  bool is_time_up(const std::string& uid, const Pod& pod) const;
  void let_go(const std::string& uid, const Pod& pod);
  void finished(const std::string& uid, const Pod& before);
  void look_at_pods();
  void look_at_sets();
  void measure();
  bool gate_stands() const;
  bool is_emptied(const std::string& node) const;
  void look_at_nodes();
  std::int64_t serving() const;
  void violate(std::string what);

  VirtualTime& time_;
  apiserver::Model& model_;
  SimEngines& engines_;
  DrainInvariantOptions options_;
  std::map<std::string, Pod> pods_;  // by uid
  std::map<std::string, kube::TimePoint>
      began_at_;  // by uid, when what it says of its drain's start was written
  struct Set {
    std::string name;
    std::int64_t replicas = 0;
  };
  std::map<std::string, Set> sets_;  // by uid: ReplicaSets of the Deployment, or the StatefulSet
  std::optional<OrdinalLeavers> ordinals_;
  Timeline gate_;  // 1: it stands
  struct Sizes {
    Timeline surplus;  // 0 without the gate
    Timeline have;     // pods that its controller does not take first
    Timeline want;
  };
  std::map<std::string, Sizes> sizes_;  // by uid of the set
  Timeline asked_;                      // of the pool
  std::int64_t timeout_ = 0;            // spec.drain.timeoutSeconds
  // Nodes that are said to end within moments, and since when those that were ever said to, the last time.
  std::set<std::string> ending_;
  std::map<std::string, kube::TimePoint> ending_since_;
  std::set<std::string> ever_away_;  // nodes that were said to be as good as gone, with all that runs there
  std::map<std::string, kube::TimePoint> last_unheard_;  // nodes; those that still are: for ever
  std::map<std::string, std::string> last_written_;      // by uid, the label as the operator wrote it last
  std::map<std::string, kube::TimePoint> last_unready_;  // by uid
  std::deque<kube::TimePoint> fell_out_;                 // pods that stopped serving by themselves
  std::map<std::string, std::optional<std::string>> foreign_costs_;  // by uid, as last set by someone else
  Counts counts_;
  std::uint64_t operator_writes_ = 0;
  std::vector<std::string> violations_;
  std::vector<std::string> history_;
};

}  // namespace poolwarden::sim
