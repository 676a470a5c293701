#include "gateway/worker_plan.h"

#include "base/text.h"

#include <set>
#include <utility>

#include <fmt/format.h>

namespace poolwarden::gateway {
namespace {

constexpr std::size_t kMaxShown = 200;

class WorkerPlanner {
 public:
  WorkerPlanner(const Additions& additions, ForeignWorkers foreign)
      : additions_(additions), foreign_(foreign) {
    for (const auto& [address, addition] : additions) {
      if (addition.stage == AdditionStage::kFailed) continue;
      ++under_way_;
      if (addition.stage == AdditionStage::kFresh) wait_for("the addition of", address.to_string());
    }
  }

  Plan run(const std::vector<WantedServer>& wanted, const std::vector<ObservedWorker>& workers) {
    std::set<ServerAddress> ready;
    for (const WantedServer& want : wanted) {
      if (want.state == api::EndpointState::kReady) ready.insert(want.address);
    }
    for (const ObservedWorker& worker : workers) look_at(worker, ready);
    for (const WantedServer& want : wanted) {
      if (ready.contains(want.address) && !listed_.contains(want.address)) add(want);
    }
    plan_.commands = withdrawals_.empty() ? std::move(admissions_) : std::move(withdrawals_);
    return std::move(plan_);
  }

 private:
  void look_at(const ObservedWorker& worker, const std::set<ServerAddress>& ready) {
    if (!worker.address && foreign_ == ForeignWorkers::kKeep) return;
    ++plan_.places;
    switch (worker.state) {
      case WorkerState::kDraining:
        ++plan_.draining;
        // A router takes no worker of an address that it still drains.
        if (worker.address) going_.insert(*worker.address);
        break;
      case WorkerState::kLeaving:
        if (worker.address) going_.insert(*worker.address);
        wait_for("the removal of", worker.url);
        break;
      case WorkerState::kServing:
        ++plan_.ready;
        // Of two workers of one address one is enough.
        if (!worker.address || !ready.contains(*worker.address) || !listed_.insert(*worker.address).second)
          remove(worker);
        break;
    }
  }

  void remove(const ObservedWorker& worker) {
    withdrawals_.push_back({CommandKind::kWithdraw, worker.id, worker.address.value_or(ServerAddress{}),
                            "remove " + base::ascii(base::cut(worker.url, kMaxShown))});
  }

  void add(const WantedServer& want) {
    const auto asked = additions_.find(want.address);
    if (asked != additions_.end()) {
      const auto& [stage, problem] = asked->second;
      if (stage == AdditionStage::kFailed) leave_out(want, problem);
      if (stage == AdditionStage::kLate) leave_out(want, "its check of the worker has not ended");
    } else if (going_.contains(want.address)) {
      leave_out(want, "it still drains a worker of that address");
    } else if (under_way_ >= kMaxAdditions) {
      leave_out(want, "it is at work on other additions");
    } else {
      ++under_way_;
      const std::string url = "http://" + want.address.to_string();
      admissions_.push_back({CommandKind::kAdmit, url, want.address, "add " + url});
    }
  }

  void leave_out(const WantedServer& want, std::string_view why) {
    if (plan_.unplaced.empty())
      plan_.why_unplaced =
          fmt::format("{}: {}", want.address.to_string(), base::ascii(base::cut(why, kMaxShown)));
    plan_.unplaced.push_back(want.pod);
  }

  void wait_for(std::string_view what, std::string_view url) {
    if (!plan_.waits_for)
      plan_.waits_for = fmt::format("{} {}", what, base::ascii(base::cut(url, kMaxShown)));
  }

  const Additions& additions_;
  const ForeignWorkers foreign_;
  std::size_t under_way_ = 0;
  std::set<ServerAddress> listed_;  // serving
  std::set<ServerAddress> going_;   // draining or leaving
  std::vector<Command> withdrawals_;
  std::vector<Command> admissions_;
  Plan plan_;
};

}  // namespace

Plan make_worker_plan(const std::vector<WantedServer>& wanted, const std::vector<ObservedWorker>& workers,
                      const Additions& additions, ForeignWorkers foreign) {
  return WorkerPlanner(additions, foreign).run(wanted, workers);
}

}  // namespace poolwarden::gateway
