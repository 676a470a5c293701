#include "gateway/worker_additions.h"

#include "kube/resource.h"

#include <set>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace poolwarden::gateway {
namespace {

constexpr std::chrono::seconds kJobFirstLook{1};
constexpr std::chrono::seconds kJobLook{2};
constexpr std::chrono::milliseconds kJobLimit{500};
constexpr int kMaxJobLooks = 2;  // at once
// A failed addition is not forgotten before it was asked for again, if it is still wanted.
constexpr std::chrono::seconds kForget{60};
constexpr int kAlreadyThere = 400;  // of vllm-router
constexpr int kListedAlready = 409;

kube::Result<HttpAnswer> ask_router(const HttpTarget& router, WorkerDialect dialect, const std::string& url) {
  const auto deadline = std::chrono::steady_clock::now() + kAdditionLimit;
  if (dialect == WorkerDialect::kVllmRouter) {
    std::string path = "/add_worker?url=";
    kube::append_percent_encoded(path, url);
    return exchange(router, HttpMethod::kPost, path, {}, deadline);
  }
  return exchange(router, HttpMethod::kPost, "/workers", nlohmann::json{{"url", url}}.dump(), deadline);
}

bool is_there_already(WorkerDialect dialect, const HttpAnswer& answer) {
  if (dialect == WorkerDialect::kVllmRouter)
    return answer.status == kAlreadyThere && answer.body.find("already exists") != std::string::npos;
  return answer.status == kListedAlready;
}

}  // namespace

void WorkerAdditions::ask(const ServerAddress& worker, kube::TimePoint now) {
  auto [place, is_new] = additions_.try_emplace(worker);
  Addition& addition = place->second;
  if (addition.answer.valid()) return;
  const kube::TimePoint first = is_new ? now : addition.first;
  addition = {};
  addition.first = first;
  addition.answer = std::async(std::launch::async,
                               [router = router_, dialect = dialect_, url = "http://" + worker.to_string()] {
                                 return ask_router(router, dialect, url);
                               });
}

void WorkerAdditions::collect(kube::TimePoint now) {
  for (auto& [worker, addition] : additions_) {
    if (!addition.answer.valid()) continue;
    if (addition.answer.wait_for(std::chrono::seconds(0)) != std::future_status::ready) continue;
    take(addition, addition.answer.get(), now);
  }
}

void WorkerAdditions::take(Addition& addition, const kube::Result<HttpAnswer>& answer, kube::TimePoint now) {
  if (answer && (answer->ok() || is_there_already(dialect_, *answer))) {
    addition.accepted = true;
    addition.look_at_job = now + kJobFirstLook;
    if (dialect_ != WorkerDialect::kVllmRouter) addition.job = parse_added_id(answer->body).value_or("");
    return;
  }
  addition.problem = answer ? answer->told() : answer.error().message;
  addition.failed_at = now;
}

Additions WorkerAdditions::compare(const std::vector<ObservedWorker>& workers, kube::TimePoint now) {
  for (const ObservedWorker& worker : workers) {
    if (!worker.address) continue;
    const auto listed = additions_.find(*worker.address);
    // What is still being asked for is kept: its thread is waited for when it has ended, not here.
    if (listed != additions_.end() && !listed->second.answer.valid()) additions_.erase(listed);
  }
  // Accepted, and no job will say more of it: it was taken out again, or is on its way for a moment.
  std::erase_if(additions_, [&](const auto& each) {
    const Addition& addition = each.second;
    return (addition.accepted && addition.job.empty() &&
            (dialect_ == WorkerDialect::kVllmRouter || now >= addition.look_at_job)) ||
           (addition.problem && now >= addition.failed_at + kForget);
  });
  Additions out;
  int looks = 0;
  for (auto& [worker, addition] : additions_) {
    if (!addition.job.empty() && !addition.problem && now >= addition.look_at_job && ++looks <= kMaxJobLooks)
      look_at_job(addition, now);
    if (addition.problem) {
      if (now < addition.failed_at + kRetryAddition)
        out[worker] = {AdditionStage::kFailed, *addition.problem};
    } else {
      const bool fresh = now < addition.first + kAdditionFresh;
      out[worker] = {fresh ? AdditionStage::kFresh : AdditionStage::kLate, {}};
    }
  }
  return out;
}

void WorkerAdditions::look_at_job(Addition& addition, kube::TimePoint now) {
  addition.look_at_job = now + kJobLook;
  const auto answer = exchange(router_, HttpMethod::kGet, "/workers/" + addition.job, {},
                               std::chrono::steady_clock::now() + kJobLimit);
  if (!answer) return;  // the next list will say what is wrong
  const auto job = answer->ok() ? parse_addition_job(answer->body) : std::nullopt;
  if (job && !job->failed) return;
  // No job any more, and it was not listed a moment ago: either it is now, or it is asked for again.
  addition.problem = job ? job->message : fmt::format("its addition ended unsaid ({})", answer->told());
  addition.failed_at = now;
}

}  // namespace poolwarden::gateway
