// Whose engine is asked for its load next, where more should be asked than may be at once.
//
// A reading takes one place for each of its sources. Those for which there is none wait in the order they
// came, whatever their pool. Engines that did not answer the last time may together hold half of the places.
// However many of them hang, the others have the other half.
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

  // To the end of the queue. One that waits already keeps its turn, and asks what was said last.
  void enqueue(LoadRead read, bool last_read_failed);
  // Those whose turn has come; finished() is to be called of each. Whoever is not `wanted` when it comes is
  // forgotten.
  std::vector<LoadRead> take(const std::function<bool(const std::string& pod_uid)>& wanted);
  void finished(const std::string& pod_uid);

 private:
  // Whether its last read failed, and when it came.
  using Turn = std::pair<bool, std::uint64_t>;
  using Queue = std::map<Turn, LoadRead>;
  struct Held {
    bool last_read_failed = false;
    std::size_t places = 0;
  };
  Queue::iterator next();

  std::size_t places_;
  Queue queue_;
  std::unordered_map<std::string, Turn> turns_;  // by UID, as queue_
  std::uint64_t last_ = 0;
  std::unordered_map<std::string, Held> under_way_;
  std::size_t held_ = 0;  // in all
  std::size_t held_by_failed_ = 0;
};

}  // namespace poolwarden::control
