// Whose engine is asked for its load next, where more should be asked than may be at once.
//
// A reading takes one place for each of its sources. Those for which there is none wait. Namespaces take
// turns, and within a namespace readings go in the order they came, whatever their pool. A namespace may hold
// its share: the places, divided by the namespaces that read or wait, and by one more. So whoever comes next
// finds room at once, also while all engines of the others hang.
//
// Engines that did not answer the last time may hold half of their namespace's share, and half of all places
// together. However many of them hang, the others have the other half.
//
// Pure; owned by the loop.
#pragma once

#include "control/effects.h"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace poolwarden::control {

class LoadReadScheduler {
 public:
  explicit LoadReadScheduler(std::size_t places) : places_(places) {}

  // To the end of its namespace's queue. One that waits already keeps its turn, and asks what was said last.
  void enqueue(LoadRead read, bool last_read_failed);
  // Those whose turn has come; finished() is to be called of each. Whoever is not `wanted` when it comes is
  // forgotten.
  std::vector<LoadRead> take(const std::function<bool(const std::string& pod_uid)>& wanted);
  void finished(const std::string& pod_uid);

 private:
  // Whether its last read failed, and when it came.
  using Turn = std::pair<bool, std::uint64_t>;
  using Queue = std::map<Turn, LoadRead>;
  struct Places {
    std::size_t held = 0;
    std::size_t held_by_failed = 0;
    void add(bool failed, std::size_t places);
    void remove(bool failed, std::size_t places);
  };
  struct Tenant {
    Queue queue;
    Places places;
  };
  // By namespace; those that have a reading under way or waiting.
  using Tenants = std::map<std::string, Tenant>;
  struct Waits {
    std::string ns;
    Turn turn;
  };
  struct Held {
    std::string ns;
    bool last_read_failed = false;
    std::size_t places = 0;
  };

  std::size_t share() const { return places_ / (tenants_.size() + 1); }
  Queue::iterator next_of(Tenant& tenant) const;
  Tenants::iterator next_tenant();
  void forget_if_idle(Tenants::iterator tenant);

  std::size_t places_;
  Tenants tenants_;
  std::string last_served_;                       // the namespace whose turn it was last
  std::unordered_map<std::string, Waits> turns_;  // by UID, as the queues
  std::uint64_t last_ = 0;
  std::unordered_map<std::string, Held> under_way_;
  Places all_;
};

}  // namespace poolwarden::control
