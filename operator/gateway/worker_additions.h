// The workers that a router was asked to add and does not list yet.
//
// A router may take as long as its health check of a worker takes: it holds the answer back (vllm-router), or
// takes the addition as a job (sglang-router, smg). So each addition is asked for on a thread of its own,
// with a deadline, kMaxAdditions of them at once. None is asked for a second time while it is under way, and
// one that failed is asked for again after kRetryAddition.
//
// Nothing here is needed to be right: without it, after a restart, workers are asked for again, which a
// router that has them refuses.
//
// Owned and used by one thread. ask() and collect() do not block; compare() may ask the router a few short
// questions. The destructor waits for the threads, kAdditionLimit at most.
#pragma once

#include "gateway/http_exchange.h"
#include "gateway/worker_answers.h"
#include "gateway/worker_plan.h"
#include "kube/result.h"
#include "kube/time.h"

#include <chrono>
#include <future>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace poolwarden::gateway {

inline constexpr std::chrono::seconds kAdditionLimit{5};  // for the answer to one
inline constexpr std::chrono::seconds kAdditionFresh{2};
inline constexpr std::chrono::seconds kRetryAddition{5};

class WorkerAdditions {
 public:
  WorkerAdditions(HttpTarget router, WorkerDialect dialect) : router_(std::move(router)), dialect_(dialect) {}

  void ask(const ServerAddress& worker, kube::TimePoint now);
  // Before the router's list is asked for: what has been answered must be listed in it.
  void collect(kube::TimePoint now);
  // With that list.
  Additions compare(const std::vector<ObservedWorker>& workers, kube::TimePoint now);

 private:
  struct Addition {
    kube::TimePoint first;                         // asked for, of all attempts
    std::future<kube::Result<HttpAnswer>> answer;  // valid until it came
    bool accepted = false;
    std::string job;  // where its state can be asked for; empty: nowhere
    kube::TimePoint look_at_job;
    std::optional<std::string> problem;  // it failed
    kube::TimePoint failed_at;
  };
  void take(Addition& addition, const kube::Result<HttpAnswer>& answer, kube::TimePoint now);
  void look_at_job(Addition& addition, kube::TimePoint now);

  const HttpTarget router_;
  const WorkerDialect dialect_;
  std::map<ServerAddress, Addition> additions_;
};

}  // namespace poolwarden::gateway
