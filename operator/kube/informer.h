// A reflector with its store: decoded answers of the API server go in, differences of the cache come out.
//
// Promises: after the first complete list the store is a consistent past state of the cluster, in order; a
// relist swaps in at once and reports differences only, so a DELETE missed while disconnected is found; a
// recreated namesake is reported as deleted and added; an object never goes back in time (observe() with
// the answer of one's own write makes it visible before the watch brings it).
//
// Owned and used by one thread (the loop). Decoding happens elsewhere: see informer_runner.h.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "kube/reflector.h"
#include "kube/store.h"
#include "kube/time.h"
#include "kube/watch_decoder.h"

namespace poolwarden::kube {

enum class DeltaKind : std::uint8_t { kAdded, kModified, kDeleted };

template <class Object>
struct Delta {
  DeltaKind kind = DeltaKind::kAdded;
  std::shared_ptr<const Object> before;  // null for kAdded
  std::shared_ptr<const Object> after;   // null for kDeleted
  TimePoint decoded_at{};                // when the bytes that caused it had been decoded
};

// What the transport side posts to the loop, decoded. `attempt` is that of the action it answers; an answer
// to an attempt that was given up is ignored.
template <class Object>
struct InformerInput {
  struct ListArrived {
    ListPage<Object> page;
  };
  struct ListFailed {
    Error error;
  };
  struct WatchOpened {};
  struct WatchArrived {
    std::vector<WatchEvent<Object>> events;
  };
  struct WatchEnded {
    std::optional<Error> error;  // nothing: a clean EOF
  };
  std::uint64_t attempt = 0;
  TimePoint decoded_at{};
  std::variant<ListArrived, ListFailed, WatchOpened, WatchArrived, WatchEnded> what;
};

template <class Codec>
class Informer {
 public:
  using Object = typename Codec::Object;
  using Input = InformerInput<Object>;

  Informer(ReflectorOptions options, RandomSource random);

  // Each returns what the shell should do now; differences are appended to `deltas`.
  std::vector<ReflectorAction> start(TimePoint now);
  std::vector<ReflectorAction> step(Input input, TimePoint now, std::vector<Delta<Object>>& deltas);
  std::vector<ReflectorAction> tick(TimePoint now);  // call at or after next_deadline()
  std::optional<TimePoint> next_deadline() const;

  // The object as the API server returned it for our own write: taken in at once unless the cache has it
  // or something newer, or the object was seen deleted.
  void observe(Object object, TimePoint now, std::vector<Delta<Object>>& deltas);
  // A hook on every object before it is stored (interning); set once, before start().
  void set_transform(std::function<void(Object&)> transform);

  bool synced() const;                        // one list has been swapped in
  const Store<Object>& store() const;
  std::optional<Error> last_error() const;    // why it is not listing or watching now; nothing while it is
  TimePoint last_byte() const;                // when anything last came from the server (start() before that)
};

}  // namespace poolwarden::kube
