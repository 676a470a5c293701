// Which objects have a write under way, and which must wait before the next one.
//
// Keeps the rule of one write in flight per object: what changes meanwhile is not queued but decided anew
// when the answer is in, so the next write carries all of it. A failed write makes its object wait; how long
// depends on what kind of failure it was:
//   conflict, not found   until the object is seen to change, at most 1 s: our copy was old
//   retry                 0.1, 0.2, 0.4 ... 30 s, or as long as the server asked for
//   forbidden, terminal   1, 2, 4 ... 60 s: a person must act, but nobody should have to restart us
// A success drops the entry, and sweep() those whose wait is long over (their object is gone), so it never
// holds more than the objects in flight or in trouble.
//
// Pure; owned by the loop.
#pragma once

#include "kube/object_key.h"
#include "kube/result.h"
#include "kube/time.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <unordered_map>

namespace poolwarden::control {

enum class Written : std::uint8_t { kConfigMap, kService, kPod, kTarget, kPool };
std::string_view to_string(Written kind);

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

class WriteLedger {
 public:
  // Nothing: a write may be sent now. Else when to ask again; TimePoint::max() means "when it is answered".
  std::optional<kube::TimePoint> blocked_until(const WrittenObject& object, kube::TimePoint now) const;
  void sent(const WrittenObject& object);
  void succeeded(const WrittenObject& object);
  void failed(const WrittenObject& object, const kube::Error& error, kube::TimePoint now);
  // The object was seen to change: a wait for just that is over.
  void changed(const WrittenObject& object);
  std::uint32_t failures(const WrittenObject& object) const;  // in a row
  void sweep(kube::TimePoint now);

  std::size_t in_flight() const { return in_flight_; }
  std::size_t size() const { return entries_.size(); }

 private:
  struct Entry {
    bool in_flight = false;
    bool waits_for_change = false;
    std::uint32_t failures = 0;
    kube::TimePoint not_before{};
  };
  std::unordered_map<WrittenObject, Entry, WrittenObjectHash> entries_;
  std::size_t in_flight_ = 0;
};

}  // namespace poolwarden::control
