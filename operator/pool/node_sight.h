// How many of the nodes that carry pods of pools are not heard of, and whether that is so many that it says
// nothing of those nodes.
//
// The API server calls a node's condition Ready `Unknown` when its kubelet has not been heard of for a while.
// One such node has most likely died. Many at once have most likely not: something is broken between them and
// the API server, and what runs there runs on. This is called blindness here.
//
// It begins for all pools when at least two of the nodes that carry pods of pools are not heard of, and these
// are more than a third of them. It begins for one pool when that is true of all the nodes that carry its
// pods, and these are at least two. One is enough where more than half of all nodes of the cluster are not
// heard of. docs/withdrawal.md says why. It ends kReturn after that has last been so: the nodes come back one
// by one, and the last of many are not the first of few.
//
// Pure: time is an argument. Costs what changes: a node's change its pools. Owned by the loop.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>

namespace poolwarden::pool {

// As a condition tells it.
struct UnseenNodes {
  std::int32_t unheard = 0;
  std::int32_t nodes = 0;  // that carry pods of pools, or of this pool
  bool of_all_pools = true;
  bool ends = false;  // fewer are unheard of by now, and so it ends soon
};

class NodeSight {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;
  using Duration = std::chrono::steady_clock::duration;
  static constexpr Duration kReturn = std::chrono::minutes(1);

  struct Node {
    std::set<std::string> pools;  // keys of those that have pods there
    bool unheard = false;

    bool operator==(const Node&) const = default;
  };
  // A node as it is now; one without pools does not count.
  void set(const std::string& name, Node node);
  // How many nodes there are, whatever runs there, and how many of them are not heard of.
  void set_all(std::size_t nodes, std::size_t unheard);
  // As if no node were known. Blindness stays until look() says otherwise.
  void forget_nodes();

  // Pools for which blindness has begun or ended.
  struct Change {
    bool all = false;
    std::set<std::string> pools;
  };
  // To be asked after changes, and at next_deadline().
  Change look(TimePoint now);
  std::optional<TimePoint> next_deadline() const;
  // Of a pool, by its key. Nothing: what is said of nodes is to be believed.
  std::optional<UnseenNodes> unseen(const std::string& pool) const;
  bool is_blind() const { return cluster_.blind || !blind_pools_.empty(); }

 private:
  struct Share {
    std::int32_t nodes = 0;
    std::int32_t unheard = 0;
    bool blind = false;
    std::optional<TimePoint> ends;
  };
  void count(const Node& node, std::int32_t by);
  static bool settle(Share& share, bool many, TimePoint now);

  std::map<std::string, Node> nodes_;
  bool most_unheard_ = false;  // of all nodes
  Share cluster_;
  std::map<std::string, Share> pools_;
  std::set<std::string> touched_;  // pools whose share has changed, or whose blindness ends by itself
  std::set<std::string> blind_pools_;
};

}  // namespace poolwarden::pool
