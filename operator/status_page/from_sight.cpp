#include "status_page/from_sight.h"

#include "api/names.h"
#include "base/text.h"
#include "commands/durations.h"
#include "commands/status_report.h"

#include <algorithm>
#include <array>
#include <tuple>
#include <utility>

#include <fmt/format.h>

namespace poolwarden::status_page {
namespace {

constexpr std::size_t kLongestName = 128;
constexpr std::size_t kLongestWord = 64;
constexpr std::size_t kLongestMessage = 400;
// Of all pools together; each has its share.
constexpr std::size_t kConsumers = 400;
constexpr std::size_t kLeastConsumers = 2;

std::string name_of(const std::string& text) {
  return base::abridged(text, kLongestName);
}
std::string word(const std::string& text) {
  return base::abridged(text, kLongestWord);
}
std::string message_of(const std::string& text) {
  return base::abridged(text, kLongestMessage);
}

bool is_drain(const std::string& state) {
  return state == api::serving::kDraining || state == api::serving::kFinishing;
}

// Trouble first.
int rank(const EndpointPart& endpoint) {
  static constexpr std::array<std::string_view, 4> kOrder{"withdrawn", "finishing", "draining", "drained"};
  const auto found = std::find(kOrder.begin(), kOrder.end(), endpoint.state);
  if (found != kOrder.end()) return static_cast<int>(found - kOrder.begin());
  return endpoint.state == "ready" ? 9 : 0;
}

Level level_of(const commands::Problem& problem) {
  if (problem.reason == commands::kNotObserved) return Level::kSettling;
  return problem.type == api::condition::kDisruptionSafe ? Level::kRisk : Level::kTrouble;
}

class FromSight {
 public:
  FromSight(const control::Sight& sight, kube::TimePoint now, StatusPage& out)
      : sight_(sight),
        now_(now),
        wall_(sight.at.wall +
              std::chrono::duration_cast<api::Timestamp::duration>(std::max(now - sight.at.mono, {}))),
        out_(out) {}

  void make() {
    out_.age = std::chrono::duration_cast<seconds>(std::max(now_ - sight_.at.mono, kube::Duration{}));
    add_replica();
    consumers_each_ = std::clamp(kConsumers / std::max<std::size_t>(1, sight_.pools.size()), kLeastConsumers,
                                 api::kMaxStatusConsumers);
    for (const control::SeenPool& seen : sight_.pools) add(seen);
    out_.more_pools = sight_.more_pools;
    std::stable_sort(out_.pools.begin(), out_.pools.end(),
                     [](const PoolPart& a, const PoolPart& b) { return a.level > b.level; });
    std::stable_sort(out_.drains.begin(), out_.drains.end(), [](const DrainPart& a, const DrainPart& b) {
      return a.left.value_or(seconds::max()) < b.left.value_or(seconds::max());
    });
    std::stable_sort(out_.consumers.begin(), out_.consumers.end(),
                     [](const ConsumerPart& a, const ConsumerPart& b) {
                       return std::tuple(!a.live, -a.behind) < std::tuple(!b.live, -b.behind);
                     });
  }

 private:
  void add_replica() {
    using enum Role;
    out_.role = !sight_.elects ? kAlone : sight_.leads ? kLeads : kStandby;
    out_.identity = name_of(sight_.identity);
    out_.leader = name_of(sight_.holder);
    for (std::size_t i = 0; i < control::WatchedKinds::kSize; ++i) {
      const auto problem = not_up_to_date(sight_.feeds[i], control::WatchedKinds::kOptional[i], now_);
      if (problem)
        out_.blind.push_back({std::string(control::WatchedKinds::kNames[i]), message_of(*problem)});
    }
  }

  void add(const control::SeenPool& seen) {
    const api::PoolStatus& status = seen.pool->status;
    PoolPart part;
    part.name = name_of(seen.pool->ns) + "/" + name_of(seen.pool->name);
    part.ready = std::max(0, status.ready_replicas);
    part.wanted = seen.pool->replicas;
    part.listed = seen.listed;
    part.draining = std::max(0, status.draining_replicas);
    add_problems(*seen.pool, part);
    for (const control::SeenPod& pod : seen.pods) {
      part.endpoints.push_back(endpoint_of(pod));
      if (is_drain(part.endpoints.back().state)) out_.drains.push_back(drain_of(part.name, pod));
    }
    std::stable_sort(part.endpoints.begin(), part.endpoints.end(),
                     [](const EndpointPart& a, const EndpointPart& b) {
                       return std::pair(rank(a), a.pod) < std::pair(rank(b), b.pod);
                     });
    part.more_endpoints = seen.more_pods;
    add_consumers(part.name, status);
    out_.pools.push_back(std::move(part));
  }

  static void add_problems(const api::InferencePool& pool, PoolPart& part) {
    bool unavailable = false;
    for (const commands::Problem& problem : commands::problems(commands::view_of(pool))) {
      part.level = std::max(part.level, level_of(problem));
      unavailable = unavailable || problem.type == api::condition::kAvailable || problem.type.empty();
      part.problems.push_back({problem.type.empty() ? word(problem.reason)
                                                    : fmt::format("{} is {} ({})", problem.type,
                                                                  word(problem.status), word(problem.reason)),
                               message_of(problem.message)});
    }
    // The list is newer than what a leader wrote of it, who may be gone.
    if (part.listed == 0 && part.wanted.value_or(0) > 0 && !unavailable) {
      part.level = Level::kTrouble;
      part.problems.insert(part.problems.begin(),
                           {"The list is empty", "gateways have no endpoint to send requests to"});
    }
    // No condition says so while others serve.
    if (part.ready < part.wanted.value_or(0) && !unavailable) {
      part.level = std::max(part.level, Level::kSettling);
      const api::Condition* progress =
          api::find_condition(pool.status.conditions, api::condition::kProgressing);
      const bool told = progress != nullptr && progress->status == "True";
      part.problems.push_back({fmt::format("{} of {} wanted replicas ready", part.ready, *part.wanted),
                               told ? message_of(progress->message) : "the pods below say why"});
    }
    if (pool.deleting) {
      part.level = std::max(part.level, Level::kSettling);
      part.problems.push_back({"Being deleted", "pods are let go, and the list goes with the pool"});
    }
  }

  EndpointPart endpoint_of(const control::SeenPod& seen) const {
    EndpointPart out;
    out.pod = name_of(seen.name);
    out.state = seen.status == nullptr ? "ready" : word(seen.status->state);
    out.listed = seen.listed;
    if (seen.pod != nullptr) {
      out.node = name_of(*seen.pod->node);
      if (seen.pod->created != api::Timestamp{}) out.age = commands::since(seen.pod->created, wall_);
    } else {
      out.message = "the pod is gone";
    }
    if (seen.status == nullptr) return out;
    out.reason = word(seen.status->reason);
    if (!seen.status->message.empty()) out.message = message_of(seen.status->message);
    if (seen.status->since != api::Timestamp{}) out.in_state = commands::since(seen.status->since, wall_);
    return out;
  }

  DrainPart drain_of(const std::string& pool, const control::SeenPod& seen) const {
    const api::EndpointStatus& status = *seen.status;
    DrainPart out;
    out.pool = pool;
    out.pod = name_of(seen.name);
    out.reason = word(status.reason);
    out.message = message_of(status.message);
    if (status.in_flight.value_or(-1) >= 0) out.in_flight = status.in_flight;
    if (status.since != api::Timestamp{}) out.so_far = commands::since(status.since, wall_);
    if (status.deadline) out.left = commands::since(wall_, *status.deadline);
    return out;
  }

  void add_consumers(const std::string& pool, const api::PoolStatus& status) {
    const std::size_t shown = std::min(status.consumers.size(), consumers_each_);
    for (std::size_t i = 0; i < shown; ++i) {
      const api::ConsumerStatus& one = status.consumers[i];
      ConsumerPart part{pool, name_of(one.name), word(one.kind), one.revision, one.behind, one.live, {}};
      if (one.applied_at) part.confirmed = commands::since(*one.applied_at, wall_);
      out_.consumers.push_back(std::move(part));
    }
    const auto all = static_cast<std::size_t>(std::max(0, status.consumer_count));
    out_.more_consumers += std::max(all, status.consumers.size()) - shown;
  }

  const control::Sight& sight_;
  const kube::TimePoint now_;
  const api::Timestamp wall_;
  StatusPage& out_;
  std::size_t consumers_each_ = kLeastConsumers;
};

}  // namespace

StatusPage from_sight(const control::Sight* sight, kube::TimePoint now, std::string version) {
  StatusPage out;
  out.version = std::move(version);
  if (sight != nullptr) FromSight(*sight, now, out).make();
  return out;
}

}  // namespace poolwarden::status_page
