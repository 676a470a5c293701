// Which objects have a write under way, and which must wait before the next one.
//
// Keeps the rule of one write in flight per object. What changes meanwhile is not queued but decided anew
// when the answer is in, so the next write carries all of it. A failed write makes its object wait. How long
// depends on what kind of failure it was:
//   conflict, not found   until the object is seen to change, at most 1 s: our copy was old
//   retry                 0.1, 0.2, 0.4 ... 30 s, or as long as the server asked for
//   forbidden, terminal   1, 2, 4 ... 60 s: a person must act, but nobody should have to restart us
// A write that succeeded and is soon wanted again, word for word, was undone by someone. Only its maker may
// know better: pods may come and go and come again, and a list with them. Three undoings are taken for a
// person's and put right at once. More are a program's, and two programs must not fight at the speed of the
// network: then 1, 2, 4 ... 60 s pass before each. Other writes of that object do not wait.
//
// sweep() drops what is neither in flight nor failing any more, so it never holds more than the objects
// written in the last minutes.
//
// Pure; owned by the loop.
#pragma once

#include "api/target_kind.h"
#include "kube/object_key.h"
#include "kube/result.h"
#include "kube/time.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <unordered_map>

namespace poolwarden::control {

enum class Written : std::uint8_t {
  kConfigMap,
  kService,
  kPod,
  kTarget,  // a Deployment
  kStatefulTarget,
  kGroupTarget,  // a LeaderWorkerSet
  kRolloutTarget,
  kPool,
  kBudget,
  kEndpointSlice,
};
std::string_view to_string(Written kind);
// The object by which a pool's target is scaled.
Written written(api::TargetKind target);

struct WrittenObject {
  Written kind = Written::kConfigMap;
  kube::ObjectKey key;

  bool operator==(const WrittenObject&) const = default;
};

struct WrittenObjectHash {
  std::size_t operator()(const WrittenObject& object) const noexcept {
    return std::hash<kube::ObjectKey>{}(object.key) * 31U + static_cast<std::size_t>(object.kind);
  }
};

class WriteThrottle {
 public:
  // Nothing: a write may be sent now. Else when to ask again; TimePoint::max() means "when it is answered".
  // `content` tells writes of one object apart by what they say, whatever version they are based on. It is
  // nothing for writes that are never undoings of an undoing.
  std::optional<kube::TimePoint> blocked_until(const WrittenObject& object, kube::TimePoint now,
                                               std::optional<std::size_t> content = {}) const;
  // `undoes`: it may put back what someone undid. Otherwise it counts for nothing but as the last one
  // written.
  void sent(const WrittenObject& object, std::optional<std::size_t> content = {}, bool undoes = true);
  void succeeded(const WrittenObject& object, kube::TimePoint now);
  void failed(const WrittenObject& object, const kube::Error& error, kube::TimePoint now);
  // The object was seen to change: a wait for just that is over. While a write of it is in flight, whose
  // change it was is known once that is answered.
  void changed(const WrittenObject& object);
  bool is_in_flight(const WrittenObject& object) const;
  // The object was seen to change since sent().
  bool changed_meanwhile(const WrittenObject& object) const;
  std::uint32_t failures(const WrittenObject& object) const;  // in a row
  void sweep(kube::TimePoint now);

  std::size_t in_flight() const { return in_flight_; }
  std::size_t size() const { return entries_.size(); }

 private:
  struct Entry {
    bool in_flight = false;
    bool waits_for_change = false;
    bool changed_meanwhile = false;
    std::uint32_t failures = 0;
    kube::TimePoint not_before{};
    std::optional<std::size_t> sending;  // content of the write in flight
    bool undoes = true;                  // whether that may be an undoing
    std::optional<std::size_t> written;  // content of the last one that succeeded
    std::uint32_t repeats = 0;           // how often in a row that was written again
    kube::TimePoint written_at{};
    kube::TimePoint repeat_not_before{};
  };
  std::unordered_map<WrittenObject, Entry, WrittenObjectHash> entries_;
  std::size_t in_flight_ = 0;
};

}  // namespace poolwarden::control
