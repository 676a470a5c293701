// Whether this process may write: the Lease, or nothing where leader election is off.
//
// Pure: time is an argument; its calls are effects. Owned by the loop.
#pragma once

#include "control/controller_metrics.h"
#include "control/effects.h"
#include "control/write_dispatcher.h"
#include "kube/lease.h"
#include "kube/random.h"

#include <optional>
#include <string>
#include <vector>

namespace poolwarden::control {

class Leadership {
 public:
  // Without `config` leader election is off, and this process always leads.
  Leadership(std::optional<kube::LeaseConfig> config, const kube::RandomSource& random,
             WriteDispatcher& writes, ControllerMetrics& metrics);

  struct Change {
    bool won = false;
    std::optional<std::string> lost;  // why
    bool released = false;
  };
  Change start(api::Now now, Effects& out);
  Change tick(api::Now now, Effects& out);
  Change answered(const LeaseCall& call, kube::Result<std::string> body, api::Now now, Effects& out);
  Change release(api::Now now, Effects& out);

  bool leads() const { return led_ || !elector_; }
  // A write may be carried out as late as its deadline, so the Lease has to outlast it. Otherwise a successor
  // and we would both be writing.
  bool holds_until(kube::TimePoint at) const { return !elector_ || elector_->valid(at); }
  bool elects() const { return elector_.has_value(); }
  const std::string& identity() const { return identity_; }  // empty where leader election is off
  // Who else is seen to hold the Lease; empty: nobody.
  std::string holder(kube::TimePoint now) const { return elector_ ? elector_->holder(now) : std::string(); }
  std::optional<kube::TimePoint> next_deadline() const;

 private:
  Change carry_out(std::vector<kube::LeaseOutput> outputs, api::Now now, Effects& out);

  WriteDispatcher& writes_;
  ControllerMetrics& metrics_;
  std::string identity_;
  std::optional<kube::LeaseElector> elector_;
  bool led_ = false;
};

}  // namespace poolwarden::control
