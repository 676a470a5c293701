// Who follows each pool's list, from the Leases by which they confirm.
//
// A renewal costs the clock of its consumer and nothing else: no pass, no write. A pool is looked at when a
// consumer comes, goes, confirms, or falls silent. While Leases are not heard of nobody falls silent; where
// that lasts, and where they may not be read, it is as if nobody confirmed.
//
// Pure: time is an argument. Owned by the loop.
#pragma once

#include "control/controller_metrics.h"
#include "kube/informer.h"
#include "kube/object_key.h"
#include "kube/time.h"
#include "pool/list_consumers.h"

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace poolwarden::control {

class ConsumerWatch {
 public:
  enum class Hearing : std::uint8_t {
    kHears,
    kBlind,    // for now
    kRefused,  // or not read yet
  };
  // Consumers of a pool that were live, and are so no more.
  struct Silence {
    kube::ObjectKey pool;
    std::vector<std::string> names;  // none: they were never heard of
  };

  // The pools that are to be looked at for it.
  std::set<kube::ObjectKey> changed(const kube::Delta<api::ConsumerLease>& delta, kube::TimePoint now,
                                    ControllerMetrics& metrics);
  // A write of that shard was answered.
  void list_written(const kube::ObjectKey& pool, std::int32_t shard, std::int64_t revision,
                    kube::TimePoint now);
  // Once a step, after all changes: pools of which a consumer has fallen silent.
  std::vector<Silence> look(Hearing hearing, kube::TimePoint now);
  std::optional<kube::TimePoint> next_deadline() const;

  // Null: nobody is known to confirm for that pool.
  const pool::ListConsumers* of(const kube::ObjectKey& pool) const;

 private:
  struct Followers {
    pool::ListConsumers consumers;
    pool::ConfirmationTimes times;
    std::optional<kube::TimePoint> check_at;  // as in checks_
  };

  bool take_away(const kube::ObjectKey& pool, const std::string& lease);
  // When the next of them may fall silent. It is not moved for each renewal.
  void check(const kube::ObjectKey& pool, Followers& followers);

  std::map<kube::ObjectKey, Followers> pools_;
  std::set<std::pair<kube::TimePoint, kube::ObjectKey>> checks_;
  Hearing hearing_ = Hearing::kRefused;
  bool blind_for_long_ = false;
  kube::TimePoint blind_since_{};
};

}  // namespace poolwarden::control
