// Whom the controller of a StatefulSet would let go, as the set was lately: what the pods that drain for a
// surplus are held against. By the rules of Kubernetes, and not by the operator's code.
//
// https://kubernetes.io/docs/concepts/workloads/controllers/statefulset/#update-strategies
#pragma once

#include "kube/time.h"
#include "support/sim/timeline.h"

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include <nlohmann/json_fwd.hpp>

namespace poolwarden::sim {

class OrdinalLeavers {
 public:
  // The set as it is now.
  void look_at(const nlohmann::json& set, kube::TimePoint now);

  // At some moment since then: its ordinal was none of those that the set was to have.
  bool is_beyond(std::string_view pod, kube::TimePoint since) const;
  // At some moment since then: another revision was rolled out, and reached this ordinal.
  bool is_outdated(std::string_view pod, const std::string& revision, kube::TimePoint since) const;
  bool is_above(std::string_view pod, std::string_view other) const;
  // Of the revision that the set rolls out now, or below what it rolls out to.
  bool is_updated(std::string_view pod, const std::string& revision) const;

 private:
  std::int64_t number_of(const std::string& revision) const;

  std::string name_;
  std::map<std::string, std::int64_t> revisions_;  // each has a number, as it came
  Timeline end_;
  Timeline first_updated_;
  Timeline revision_;
};

}  // namespace poolwarden::sim
