// What must hold at every moment of a simulation, judged from the API server's state alone. Nothing that
// decides in the operator is used to judge it; names of resources and the list's form are.
//
//   - a published revision only ever grows, that of each shard of a list
//   - what is published is canonical, and of the pool it says it is
//   - no pod enters the list that was not fit to serve, its node apart, at some time since it was last out of
//   it
//   - no pod leaves the list that was fit all the time since it entered it: nothing is withdrawn because the
//     operator could not see; but it may be listed as draining (drain_invariants.h says when)
// A pod that has been an endpoint stays fit while its node is not heard of, if so many are not that it is no
// sign of illness: more than a third, and two at least, of the nodes that carry pods of pools, or all that
// carry those of its pool. So nobody who was listed is withdrawn for it. A violation is remembered as text,
// with the time and the pod.
#pragma once

#include "support/apiserver/model.h"

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace poolwarden::sim {

class Invariants {
 public:
  explicit Invariants(const apiserver::Model& model) : model_(model) {}

  // The watch of pods may lie behind the others for minutes, from now on or no longer. Then a pod may enter
  // that was fit at any time, and one may leave that only pods nobody heard of would have kept: its own node
  // is unseen.
  void watches_fail(bool fail = true) { watches_fail_ = fail; }

  // To be called after each change of that resource ("pods").
  void changed(std::string_view plural, api::Timestamp now);

  const std::vector<std::string>& violations() const { return violations_; }

  // The ready endpoints a pool should publish if everything were known at once: pod names. Not those that
  // drain.
  std::set<std::string> fit_pods(const std::string& ns, const std::string& pool) const;
  // Of those, the ones that look so to everybody: where watches fail, not those whose own node is unseen.
  std::set<std::string> surely_fit_pods(const std::string& ns, const std::string& pool) const;
  // Those it does publish.
  std::set<std::string> published_pods(const std::string& ns, const std::string& pool) const;

 private:
  struct Published {
    std::map<std::int32_t, std::int64_t> revisions;  // by shard
    std::map<std::int32_t, std::string> uids;        // of its ConfigMaps, by shard
    std::int64_t told = 0;                           // the revision that status says
    std::map<std::string, std::string> pods;         // uid -> name, of ready endpoints
    std::set<std::string> unready;                   // uids of those that are marked so
    std::set<std::string> draining;                  // uids of the others
  };
  struct PoolHistory {
    std::set<std::string> fit_once;    // uids that were fit since they were last out of the list
    std::set<std::string> unfit_once;  // uids that were unfit since they entered it
    bool panics = false;               // it keeps some that are not ready while too few are
    Published published;
  };

  void look_at_pods(api::Timestamp now);
  void look_at_lists(api::Timestamp now);
  // The list as a reader has it: the shards that the first one counts. Nothing while one cannot be read.
  std::optional<Published> read_list(const std::string& ns, const std::string& name) const;
  void compare(const std::string& pool, PoolHistory& history, const Published& next, api::Timestamp now);
  void violate(api::Timestamp now, std::string text);
  // Nodes and pods are told by watches of their own: that a pod was well and its node was, yet never both at
  // the same time, is nothing that an operator can see.
  enum class NodesCount : std::uint8_t {
    kYes,
    kNo,
    kEachAlone,  // a pod is as unseen as its node, however many others are
  };
  bool are_nodes_unseen(const nlohmann::json& pool) const;
  nlohmann::json labels_of(const nlohmann::json& pool) const;
  std::set<std::string> fit_uids(const nlohmann::json& pool, NodesCount nodes) const;
  std::set<std::string> fit_names(const std::string& ns, const std::string& pool, NodesCount nodes) const;
  NodesCount nodes_as_all_see_them() const {
    return watches_fail_ ? NodesCount::kEachAlone : NodesCount::kYes;
  }

  const apiserver::Model& model_;
  std::map<std::string, PoolHistory> pools_;  // by uid
  std::set<std::string>
      ever_fit_;  // uids; a new pool may be heard of before the end of a pod that it selects
  bool watches_fail_ = false;
  std::vector<std::string> violations_;
};

}  // namespace poolwarden::sim
