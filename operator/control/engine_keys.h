// The keys with which engines are asked for their load, out of the Secrets that pools name.
//
// A Secret is read by its name when somebody wants a key of it, and what is known of it is older than a
// minute. It is never watched or listed, so that the right to `get` the one Secret is enough. One read of a
// Secret is under way at a time, and a few of all Secrets together. Namespaces take turns.
//
// A known key stays in use while it is read anew, and while the API server cannot be asked. It is forgotten
// when the Secret is gone, or may not be read any more. A key that an engine refused is read anew before it
// is used again, though not more often than a growing pause allows.
//
// What is told for a person quotes nothing of a Secret. Nothing here is logged.
//
// Pure: time is an argument. Owned by the loop.
#pragma once

#include "api/objects.h"
#include "base/shared.h"
#include "engine/load_reader.h"
#include "kube/object_key.h"
#include "kube/result.h"
#include "kube/time.h"
#include "kube/turn_queue.h"

#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace poolwarden::control {

class EngineKeys {
 public:
  static constexpr kube::Duration kFresh = std::chrono::seconds(60);
  // After a read in vain: doubled each time, up to the longest.
  static constexpr kube::Duration kFirstPause = std::chrono::seconds(5);
  static constexpr kube::Duration kLongestPause = std::chrono::seconds(30);
  // Between reads of a key that is refused and does not change: doubled each time, up to kFresh.
  static constexpr kube::Duration kAfterRefusal = std::chrono::seconds(1);
  static constexpr kube::Duration kMemory = std::chrono::minutes(3);
  // Where reads of Secrets hang, other calls of their lane must have connections left.
  static constexpr std::size_t kAtOnce = 3;
  static constexpr std::size_t kMaxKey = 8u << 10;

  struct Known {
    base::Shared<engine::ApiKey> key;
    std::string problem;  // without a key: why there is none. Empty: it is being read
  };
  // `pool` is told of the end of the read that it has to wait for: see arrived().
  Known want(const kube::ObjectKey& secret, const std::string& key, const kube::ObjectKey& pool,
             kube::TimePoint now);
  // Secrets whose read should begin now. Of each, arrived() is to be called.
  std::vector<kube::ObjectKey> take_due();
  // Returns the pools that waited.
  std::set<kube::ObjectKey> arrived(const kube::ObjectKey& name, const kube::Result<api::Secret>& secret,
                                    kube::TimePoint now);
  // An engine did not accept the key with that number.
  void refused(std::uint64_t id, kube::TimePoint now);

  void sweep(kube::TimePoint now);
  std::size_t size() const { return sources_.size(); }

 private:
  struct Entry {
    base::Shared<engine::ApiKey> key;
    std::string problem;
    bool was_read = false;
    bool refused = false;
    kube::TimePoint wanted_at{};
  };
  // A Secret.
  struct Source {
    std::map<std::string, Entry> entries;  // by key
    std::string problem;                   // with the Secret as a whole
    bool under_way = false;                // or waiting for its turn
    kube::TimePoint read_at{};
    kube::TimePoint next_read{};
    std::uint32_t failures = 0;  // in a row
    std::uint32_t refusals = 0;  // of keys that no read has changed since
    std::set<kube::ObjectKey> waiting;
  };
  void failed(const std::string& name, Source& source, const kube::Error& error, kube::TimePoint now);
  void take(const std::string& name, std::string_view text, const std::string& key, Source& source);

  std::map<kube::ObjectKey, Source> sources_;
  kube::TurnQueue<kube::ObjectKey, kube::ByNamespace> due_;
  std::size_t under_way_ = 0;
  std::uint64_t last_id_ = 0;
};

}  // namespace poolwarden::control
