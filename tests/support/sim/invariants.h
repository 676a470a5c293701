// What must hold at every moment of a simulation, judged from the API server's state alone: nothing of the
// operator's own code is used to judge it.
//
//   - a published revision only ever grows
//   - what is published is canonical, and of the pool it says it is
//   - no pod enters the list that was not fit to serve at some time since it was last out of it
//   - no pod leaves the list that was fit all the time since it entered it: nothing is withdrawn because the
//     operator could not see
// A violation is remembered as text, with the time and the pod.
#pragma once

#include "support/apiserver/model.h"

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace poolwarden::sim {

class Invariants {
 public:
  explicit Invariants(const apiserver::Model& model) : model_(model) {}

  // To be called after each change of that resource ("pods").
  void changed(std::string_view plural, api::Timestamp now);

  const std::vector<std::string>& violations() const { return violations_; }

  // The endpoints a pool should publish if everything were known at once: pod names.
  std::set<std::string> fit_pods(const std::string& ns, const std::string& pool) const;
  // Those it does publish.
  std::set<std::string> published_pods(const std::string& ns, const std::string& pool) const;

 private:
  struct Published {
    std::int64_t revision = 0;
    std::map<std::string, std::string> pods;  // uid -> name
  };
  struct PoolHistory {
    std::set<std::string> fit_once;    // uids that were fit since they were last out of the list
    std::set<std::string> unfit_once;  // uids that were unfit since they entered it
    Published published;
  };

  void look_at_pods(api::Timestamp now);
  void look_at_lists(api::Timestamp now);
  void compare(const std::string& pool, PoolHistory& history, const Published& next, api::Timestamp now);
  void violate(api::Timestamp now, std::string text);
  std::set<std::string> fit_uids(const nlohmann::json& pool) const;

  const apiserver::Model& model_;
  std::map<std::string, PoolHistory> pools_;  // by uid
  std::vector<std::string> violations_;
};

}  // namespace poolwarden::sim
