// Tells the operator which revision of the list the gateway holds: a Lease of this consumer's own, in the
// pool's namespace. docs/contract.md has its form. An operator has a drain wait until all gateways hold a
// list without the pod.
//
// Promises: it says of a revision only that the gateway has been seen to hold it. One write a change, one at
// a time: what comes meanwhile is said together. A renewal every kRenew, and none while the gateway is not
// known to hold anything: the Lease then ends, and nobody waits for it. A refusal costs nothing but the
// confirmation.
//
// Pure: time is an argument. Owned by one thread. Every call that next() gives must be answered.
#pragma once

#include "kube/client.h"
#include "kube/result.h"
#include "kube/time.h"

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace poolwarden::gateway {

struct ConsumerIdentity {
  std::string ns;
  std::string pool;
  std::string consumer;  // its name: one of each gateway; as a rule the pod's
  std::string kind;      // "haproxy"
};

class Confirmation {
 public:
  static constexpr std::chrono::seconds kLeaseDuration{30};
  static constexpr std::chrono::seconds kRenew{10};
  // Many pods that go within a second are many lists: fifty gateways are not to write a Lease for each.
  static constexpr std::chrono::milliseconds kPace{200};
  static constexpr std::chrono::seconds kRetry{1};
  static constexpr std::chrono::seconds kRetryForbidden{60};

  explicit Confirmation(ConsumerIdentity identity);

  // The pod that this runs in: its Lease goes with it.
  void set_owner(std::string pod, std::string uid);
  // The gateway holds these, one a shard; empty: it is not known what it holds.
  void applied(const std::vector<std::int64_t>& revisions, kube::TimePoint now, kube::WallTime wall);
  void unknown() { vouched_ = false; }

  std::optional<kube::Call> next(kube::TimePoint now, kube::WallTime wall);
  // The error is for a person, once.
  std::optional<std::string> answered(const kube::Result<std::string>& answer, kube::TimePoint now);
  std::optional<kube::TimePoint> next_deadline() const;
  const std::string& lease_name() const { return name_; }

 private:
  std::string body(kube::WallTime wall) const;

  const ConsumerIdentity identity_;
  const std::string name_;
  std::string owner_pod_;
  std::string owner_uid_;
  std::string revisions_;  // held now, as the annotation has it
  std::string applied_at_;
  std::string sent_;  // in the last call
  bool vouched_ = false;
  bool in_flight_ = false;
  bool create_ = false;  // there was none to patch
  kube::TimePoint due_{};
  kube::TimePoint paced_until_{};
  std::string told_;  // the last problem
};

}  // namespace poolwarden::gateway
