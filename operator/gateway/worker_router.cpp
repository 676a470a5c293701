#include "gateway/worker_router.h"

#include "kube/resource.h"

#include <algorithm>
#include <chrono>

#include <fmt/format.h>

namespace poolwarden::gateway {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds kLimit{2'000};       // for one answer
constexpr std::chrono::milliseconds kAllRemoved{5'000};  // for all removals of one plan
// A removal that was taken as a job and is not done by then is asked for again.
constexpr std::chrono::milliseconds kLeaving{1'000};
constexpr int kUnauthorized = 401;
constexpr int kForbidden = 403;
constexpr int kNotFound = 404;

// How to mend what a router refuses.
std::string_view fix_for(const HttpAnswer& answer) {
  if (answer.status == kUnauthorized || answer.status == kForbidden)
    return ": does --worker-api-key-file hold the key that it wants of administrators?";
  if (answer.status == kNotFound) return ": are --worker-api and --dialect right?";
  if (answer.status >= 300 && answer.status < 400) return ": give --worker-api the router's own URL";
  return "";
}

}  // namespace

std::vector<ServerAddress> WorkerObservation::addresses() const {
  std::vector<ServerAddress> out;
  for (const ObservedWorker& worker : workers_) {
    if (worker.address) out.push_back(*worker.address);
  }
  return out;
}

kube::Result<std::shared_ptr<const Observation>> WorkerRouter::observe() {
  additions_.collect(Clock::now());
  const auto answer = exchange(router_, HttpMethod::kGet, "/workers", {}, Clock::now() + kLimit);
  if (!answer) return tl::unexpected(answer.error());
  if (!answer->ok()) {
    return tl::unexpected(kube::Error{kube::ErrorClass::kRetry, answer->status, "Refused",
                                      fmt::format("{} at {} does not list its workers ({}){}", name(),
                                                  where(), answer->told(), fix_for(*answer)),
                                      std::nullopt});
  }
  auto workers = parse_workers(dialect_, answer->body);
  if (!workers) {
    kube::Error error = std::move(workers.error());
    error.message = fmt::format("{} at {}: {}", name(), where(), error.message);
    return tl::unexpected(std::move(error));
  }
  const kube::TimePoint now = Clock::now();
  note_leaving(*workers, now);
  Additions additions = additions_.compare(*workers, now);
  return std::make_shared<const WorkerObservation>(*std::move(workers), std::move(additions), foreign_);
}

void WorkerRouter::note_leaving(std::vector<ObservedWorker>& workers, kube::TimePoint now) {
  std::map<std::string, kube::TimePoint> still_listed;
  for (ObservedWorker& worker : workers) {
    const auto removed = removed_.find(worker.id);
    if (removed == removed_.end() || now >= removed->second + kLeaving) continue;
    still_listed.insert(*removed);
    if (worker.state == WorkerState::kServing) worker.state = WorkerState::kLeaving;
  }
  removed_ = std::move(still_listed);
}

kube::Result<std::vector<std::optional<std::string>>> WorkerRouter::carry_out(
    const std::vector<Command>& commands) {
  const kube::TimePoint end = Clock::now() + kAllRemoved;
  std::vector<std::optional<std::string>> refusals;
  refusals.reserve(commands.size());
  for (const Command& command : commands) {
    if (command.kind == CommandKind::kAdmit) {
      additions_.ask(command.address, Clock::now());
      refusals.emplace_back(std::nullopt);
      continue;
    }
    const auto answer = remove(command, std::min(Clock::now() + kLimit, end));
    if (!answer) return tl::unexpected(answer.error());
    // One that is not there needs no removal.
    if (answer->ok() || answer->status == kNotFound) {
      if (dialect_ != WorkerDialect::kVllmRouter) removed_[command.server] = Clock::now();
      refusals.emplace_back(std::nullopt);
    } else {
      refusals.emplace_back(
          fmt::format("{} refused '{}' ({}){}", name(), command.text, answer->told(), fix_for(*answer)));
    }
  }
  return refusals;
}

kube::Result<HttpAnswer> WorkerRouter::remove(const Command& command, kube::TimePoint deadline) {
  if (dialect_ == WorkerDialect::kVllmRouter) {
    std::string path = "/remove_worker?url=";
    kube::append_percent_encoded(path, command.server);
    return exchange(router_, HttpMethod::kPost, path, {}, deadline);
  }
  std::string path = "/workers/";
  kube::append_percent_encoded(path, command.server);
  return exchange(router_, HttpMethod::kDelete, path, {}, deadline);
}

}  // namespace poolwarden::gateway
