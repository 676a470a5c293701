// Whom to ask for their load, and what they said: from a plan's wish to a reading and back.
//
// Owned by the loop. Pure: time is an argument; the readings are effects.
#pragma once

#include "api/inference_pool.h"
#include "control/effects.h"
#include "control/engine_keys.h"
#include "control/load_read_scheduler.h"
#include "pool/engine_load_tracker.h"
#include "pool/plan.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace poolwarden::control {

class EngineLoads {
 public:
  explicit EngineLoads(std::size_t sources_in_flight) : scheduler_(sources_in_flight) {}

  // A pool wants this reading. `others`: the other pools that the pod serves. Their engines count too: a pod
  // of several pools is idle when it is idle for all of them. When the pool should look again, if it should.
  std::optional<kube::TimePoint> request(const pool::WantedReading& wanted, const api::InferencePool& pool,
                                         const std::vector<const api::InferencePool*>& others,
                                         kube::TimePoint now);
  // Begins those whose turn has come.
  void read(kube::TimePoint now, Effects& out);
  void arrived(LoadArrived load, kube::TimePoint now);
  // Secrets that are to be read now, for the keys of engines; each is answered once.
  std::vector<kube::ObjectKey> secrets_to_read() { return keys_.take_due(); }
  // The pools that waited for it.
  std::set<kube::ObjectKey> secret_arrived(const kube::ObjectKey& name,
                                           const kube::Result<api::Secret>& secret, kube::TimePoint now) {
    return keys_.arrived(name, secret, now);
  }

  const pool::EngineLoadTracker& tracker() const { return tracker_; }
  void sweep(kube::TimePoint now);

 private:
  struct Asked;
  enum class Keys : std::uint8_t { kKnown, kAwaited, kUnknown };
  Keys add_pool(const api::InferencePool& pool, const kube::ObjectKey& asks, kube::TimePoint now, Asked& out);
  std::optional<kube::TimePoint> give_up(const std::string& uid, std::string why, kube::TimePoint now);

  pool::EngineLoadTracker tracker_;
  LoadReadScheduler scheduler_;
  EngineKeys keys_;
};

}  // namespace poolwarden::control
