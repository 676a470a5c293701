// Consumers of pools' lists that confirm what they hold, as a gateway does: each writes a Lease of its own.
//
// A consumer follows the list by reading it a while after each change, says so in one write, and renews its
// Lease every ten seconds. It can die, say goodbye, stand still, or say whatever a test wants.
#pragma once

#include "support/sim/sim_world.h"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace poolwarden::sim {

struct ConsumerOptions {
  std::string pool;
  std::string kind = "haproxy";
  kube::Duration delay = std::chrono::milliseconds(20);  // from a change of the list to its confirmation
  int lease_seconds = 30;
};

class SimConsumers {
 public:
  explicit SimConsumers(SimWorld& world);

  void start(const std::string& name, ConsumerOptions options);
  void die(const std::string& name);    // its Lease stays as it is
  void leave(const std::string& name);  // and deletes its Lease
  // From now on it says this, and goes on renewing.
  void say(const std::string& name, const std::string& revisions);
  void follow(const std::string& name);  // the list again

  // A consumer that is live, and has yet to say that it holds the list without that pod, which has left it.
  // Empty: none.
  std::string awaited(const std::string& pod_uid) const;
  // Of the pool's list, by shard.
  std::vector<std::int64_t> revisions(const std::string& pool) const;

 private:
  struct Consumer {
    ConsumerOptions options;
    std::uint64_t life = 0;  // another for each start
    bool alive = false;
    bool gone = false;                 // it has left
    std::optional<std::string> fixed;  // what it says whatever the list says
    std::string said;
    kube::TimePoint wrote{};
    bool read_due = false;
  };

  void list_changed();
  void look_at_list(const std::string& pool);
  void read_soon(const std::string& name);
  void read(const std::string& name);
  void write(const std::string& name, Consumer& consumer, const std::string& revisions);
  void renew_later(const std::string& name, std::uint64_t life);

  // Since when a pod is not on its list.
  struct Off {
    std::size_t shard = 0;
    std::int64_t revision = 0;
  };
  using PodOfPool = std::pair<std::string, std::string>;  // a pool and a UID

  SimWorld& world_;
  std::map<std::string, Consumer> consumers_;
  std::map<PodOfPool, std::size_t> listed_;  // on which shard
  std::map<PodOfPool, Off> off_;
};

}  // namespace poolwarden::sim
