// Which nodes carry pods of pools, and which of them are not heard of: what pool::NodeSight counts, kept as
// pods, nodes and pools change.
//
// A node is not heard of if its condition Ready says so. It is also taken for unheard of if the node
// controller has already said so of a pod there: the watch of pods may tell that first. And when the node is
// back, its kubelet takes some seconds to put that right.
//
// Of the nodes that carry no pods of pools only their number counts.
//
// As long as every node is heard of nothing is counted, and nothing is kept. Owned by the loop.
#pragma once

#include "control/feed_table.h"
#include "control/pool_table.h"
#include "pool/node_sight.h"

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace poolwarden::control {

class NodeSurvey {
 public:
  NodeSurvey(FeedTable& feeds, PoolTable& table) : feeds_(feeds), table_(table) {}

  void changed(const kube::Delta<api::Node>& delta);
  void changed(const kube::Delta<api::Pod>& delta);
  void look_again_at(const api::Pod& pod);
  // Whom pools select has changed.
  void pools_changed() { counted_ = false; }

  // Counts what has changed, and says for which pools it matters.
  pool::NodeSight::Change look(kube::TimePoint now);
  std::optional<kube::TimePoint> next_deadline() const { return sight_.next_deadline(); }
  std::optional<pool::UnseenNodes> unseen(const kube::ObjectKey& pool) const;

 private:
  struct Count {
    pool::NodeSight::Node node;
    bool marked = false;  // a pod there is not ready in the node controller's words
  };
  void add_leaders(const api::Pod& pod, std::set<std::string>& pools) const;
  void add(const api::Pod& pod, const std::vector<PoolRecord*>& unsure, Count& count);
  void set(const std::string& name, Count count);
  void count_all();
  void count_changed();
  void count_the_cluster();
  std::vector<PoolRecord*> unsure_pools();

  FeedTable& feeds_;
  PoolTable& table_;
  pool::NodeSight sight_;
  // Nodes that may be unheard of. While there are none, and nobody is blind, nothing is counted.
  std::set<std::string> suspects_;
  std::set<std::string> changed_;  // to be counted anew
  bool counted_ = false;
  bool hears_ = false;  // of nodes, when the cluster was counted
};

}  // namespace poolwarden::control
