// A router with a worker API (vllm-router, sglang-router, smg) as a gateway that a pool's list is given to:
// what it says (worker_answers.h), what is to be said to it (worker_plan.h), and what it was asked to add
// (worker_additions.h).
//
// Promises: those of a Gateway. A removal is acknowledged when the router has answered it; an addition when
// it was sent, which is before the router has checked the worker: Plan::waits_for has it until it is listed.
//
// Owned and used by one thread.
#pragma once

#include "gateway/gateway.h"
#include "gateway/http_exchange.h"
#include "gateway/worker_additions.h"
#include "gateway/worker_answers.h"
#include "gateway/worker_plan.h"

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace poolwarden::gateway {

class WorkerObservation final : public Observation {
 public:
  WorkerObservation(std::vector<ObservedWorker> workers, Additions additions, ForeignWorkers foreign)
      : workers_(std::move(workers)), additions_(std::move(additions)), foreign_(foreign) {}

  // These routers do not say which process they are. A restarted one has no workers, which is seen.
  Process process() const override { return {}; }
  Plan plan(const std::vector<WantedServer>& wanted) const override {
    return make_worker_plan(wanted, workers_, additions_, foreign_);
  }
  std::vector<ServerAddress> addresses() const override;

 private:
  const std::vector<ObservedWorker> workers_;
  const Additions additions_;
  const ForeignWorkers foreign_;
};

class WorkerRouter final : public Gateway {
 public:
  WorkerRouter(HttpTarget router, WorkerDialect dialect, ForeignWorkers foreign)
      : router_(std::move(router)), dialect_(dialect), foreign_(foreign), additions_(router_, dialect) {}

  kube::Result<std::shared_ptr<const Observation>> observe() override;
  kube::Result<std::vector<std::optional<std::string>>> carry_out(
      const std::vector<Command>& commands) override;
  std::string_view name() const override { return to_string(dialect_); }
  std::string where() const override { return router_.to_string(); }

 private:
  kube::Result<HttpAnswer> remove(const Command& command, kube::TimePoint deadline);
  void note_leaving(std::vector<ObservedWorker>& workers, kube::TimePoint now);

  const HttpTarget router_;
  const WorkerDialect dialect_;
  const ForeignWorkers foreign_;
  WorkerAdditions additions_;
  std::map<std::string, kube::TimePoint> removed_;  // id -> when its removal was taken as a job
};

}  // namespace poolwarden::gateway
