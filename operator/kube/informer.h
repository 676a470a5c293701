// A reflector with its store: decoded answers of the API server go in, differences of the cache come out.
//
// Promises: after the first complete list the store is a consistent past state of the cluster, in order. A
// relist swaps in at once and reports differences only, so a DELETE missed while disconnected is found. A
// recreated namesake is reported as deleted and added. An object never goes back in time. (observe() with the
// answer of one's own write makes it visible before the watch brings it.)
//
// How "never back in time" is kept: an object is replaced only by a namesake, or by the same object (UID)
// with a version that is not older. An observed object that is not in the cache is taken in only if it is
// newer than everything the watch has told, and was not seen deleted. A list does not remove what was
// observed after the list was made. Versions that do not compare count as newer when they arrive later.
//
// An object that came and could not be read keeps its last state, also over a list. What is not among the
// items may be what could not be read. How many there were, and why, unreadable() says.
//
// A relist costs no second copy: what it brings unchanged is dropped page by page in favour of what is held.
//
// Owned and used by one thread (the loop). Decoding happens elsewhere: see informer_runner.h.
#pragma once

#include "kube/reflector.h"
#include "kube/resource_version.h"
#include "kube/store.h"
#include "kube/time.h"
#include "kube/tombstones.h"
#include "kube/watch_decoder.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

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
    std::vector<WatchEvent<Object>> events;  // may be empty: bytes came, but no whole line
    Unreadable unreadable{};                 // what else came
  };
  struct WatchEnded {
    std::optional<Error> error;  // nothing: a clean EOF
  };
  std::uint64_t attempt = 0;
  TimePoint decoded_at{};
  std::variant<ListArrived, ListFailed, WatchOpened, WatchArrived, WatchEnded> what;
};

template <ObjectCodec Codec>
class Informer {
 public:
  using Object = typename Codec::Object;
  using Ptr = std::shared_ptr<const Object>;
  using Input = InformerInput<Object>;
  using Deltas = std::vector<Delta<Object>>;

  Informer(ReflectorOptions options, RandomSource random) : reflector_(options, std::move(random)) {}

  // Each returns what the shell should do now; differences are appended to `deltas`.
  std::vector<ReflectorAction> start(TimePoint now) {
    last_byte_ = now;
    fresh_at_ = now;
    return reflector_.step({0, ReflectorInput::Start{}}, now).actions;
  }
  std::vector<ReflectorAction> step(Input input, TimePoint now, Deltas& deltas);
  // Call at or after next_deadline().
  std::vector<ReflectorAction> tick(TimePoint now) {
    ReflectorStep step = reflector_.step({0, ReflectorInput::Tick{}}, now);
    if (step.cache == CacheEffect::kDropStage) drop_stage();
    return std::move(step.actions);
  }
  std::optional<TimePoint> next_deadline() const { return reflector_.next_deadline(); }
  // The API server answers again, to others: what waits only because it did not is tried again soon.
  void server_is_back(TimePoint now) {
    [[maybe_unused]] const auto none = reflector_.step({0, ReflectorInput::ServerIsBack{}}, now);
  }

  // The object as the API server returned it for our own write: taken in at once unless the cache has it
  // or something newer, or the object was seen deleted. Before the first list nothing is: it will hold it.
  void observe(Object object, TimePoint now, Deltas& deltas);
  // A hook on every object before it is stored (interning); set once, before start().
  void set_transform(std::function<void(Object&)> transform) { transform_ = std::move(transform); }

  // Indices of the store (store.h); best added before start().
  IndexId add_index(typename Store<Object>::IndexFunction function, IndexedBy indexed_by = IndexedBy::kMore) {
    return store_.add_index(std::move(function), indexed_by);
  }
  void reindex(IndexId id) { store_.reindex(id); }
  void reindex_in(IndexId id, std::string_view ns) { store_.reindex_in(id, ns); }

  bool synced() const { return synced_; }  // one list has been swapped in
  const Store<Object>& store() const { return store_; }
  // Of the newest list or event; objects it says nothing about are of this version too.
  const std::string& resource_version() const { return reflector_.resource_version(); }
  // Why it is not listing or watching now; nothing while it is.
  std::optional<Error> last_error() const { return reflector_.last_error(); }
  // A watch is open: what it tells is told now, not when it has been made again.
  bool watching() const { return std::holds_alternative<Reflector::Watching>(reflector_.state()); }
  // When anything last came from the server, be it a refusal; start() before that.
  TimePoint last_byte() const { return last_byte_; }
  // When the cache was last brought up to date: by a whole list, or by an event or bookmark of a watch.
  // Neither refusals nor a watch that merely opens do so. start() before that.
  TimePoint fresh_at() const { return fresh_at_; }
  const UnreadableTally& unreadable() const { return unreadable_; }
  // Counts objects among them that were read in part: whoever keeps the rest says so.
  void note(const Unreadable& unreadable);

  // Both for what depends on more than the object, and nobody is told. revise() keeps what `revised` makes of
  // an object, if it makes something. After forget() what comes of the object next is new.
  template <class Revised>
  void revise(Revised&& revised) {
    std::vector<Ptr> changed;
    store_.for_each([&](const Ptr& held) {
      if (std::optional<Object> object = revised(*held))
        changed.push_back(std::make_shared<const Object>(std::move(*object)));
    });
    for (Ptr& object : changed) store_.put(std::move(object));
  }
  void forget(std::string_view ns, std::string_view name) { store_.erase(ns, name); }

 private:
  // After a rewound history the versions held say nothing about the ones that come.
  enum class VersionCheck : std::uint8_t { kUnlessOlder, kAlways };

  void stage(ListPage<Object> page);
  void swap_in(bool rewound, TimePoint decoded_at, Deltas& deltas);
  void apply(typename Input::WatchArrived arrived, TimePoint decoded_at, Deltas& deltas);
  void apply(WatchEvent<Object> event, TimePoint decoded_at, Deltas& deltas);
  void put(Ptr object, VersionCheck check, TimePoint at, Deltas& deltas);
  void remove(const Ptr& object, TimePoint at, Deltas& deltas);
  Ptr keep(Object object) {
    if (transform_) transform_(object);
    // Parsed strings have room to spare; these stay for as long as the object.
    for (std::string* text : {&object.ns, &object.name, &object.uid, &object.resource_version})
      text->shrink_to_fit();
    return std::make_shared<const Object>(std::move(object));
  }
  void drop_stage() {
    std::vector<Ptr>().swap(staged_);
    staged_unreadable_ = {};
  }
  static ReflectorInput summary(const Input& input);

  Reflector reflector_;
  Store<Object> store_;
  std::vector<Ptr> staged_;
  Unreadable staged_unreadable_;  // of the same list
  UnreadableTally unreadable_;
  Tombstones tombstones_;
  std::function<void(Object&)> transform_;
  TimePoint last_byte_{};
  TimePoint fresh_at_{};
  bool synced_ = false;
};

}  // namespace poolwarden::kube

#include "kube/informer_impl.h"
