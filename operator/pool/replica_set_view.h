// What a pool has to know of a ReplicaSet or StatefulSet that has pods in it: how many are too many, or which
// go next, and whether its deletes are held.
//
// Pure; time is an argument.
#pragma once

#include "api/objects.h"
#include "api/pod.h"
#include "pool/plan.h"

#include <chrono>
#include <functional>
#include <map>
#include <string>
#include <vector>

namespace poolwarden::pool {

// For how long each set has had too many ready pods. One that has had them for longer than its
// controller takes to delete them is held by something. Owned by the loop.
class SurplusClock {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;

  // Whether it has had too many for that long.
  bool lasts(const std::string& set_uid, bool too_many, TimePoint now);
  // Forgets the sets that are not `there` any more.
  void sweep(const std::function<bool(const std::string& uid)>& there);

 private:
  std::map<std::string, TimePoint> since_;  // by UID
};

struct ReplicaSetFacts {
  const api::ReplicaSet* set = nullptr;            // never null
  std::vector<const api::ReplicaSet*> siblings;    // of the same Deployment, itself among them
  std::vector<const api::Pod*> pods;               // all that it controls
  const api::Workload* target = nullptr;           // the pool's; null where it has none
  bool target_is_newer = false;                    // than the ReplicaSet, by their resourceVersions
  std::function<bool(const api::Pod&)> is_member;  // of the pool
};

ReplicaSetView view_of(const ReplicaSetFacts& facts, SurplusClock& surplus, SurplusClock::TimePoint now);
// `pods`: all that the set controls.
StatefulSetView view_of(const api::StatefulSet& set, const std::vector<const api::Pod*>& pods,
                        SurplusClock& surplus, SurplusClock::TimePoint now);

}  // namespace poolwarden::pool
