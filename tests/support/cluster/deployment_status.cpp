#include "support/cluster/deployment_status.h"

#include "support/apiserver/json_util.h"
#include "support/cluster/pod_facts.h"

#include <algorithm>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace poolwarden::cluster {
namespace {

using apiserver::bool_at;
using apiserver::int_at;
using apiserver::text_at;
using nlohmann::json;

constexpr std::int64_t kDefaultProgressDeadline = 600;
constexpr std::int64_t kNoProgressDeadline = 2147483647;

struct DeploymentVerdict {
  std::string status;
  std::string reason;
  std::string message;
};

// Keeps lastTransitionTime as long as the status stays, and lastUpdateTime as long as nothing changes.
json make_condition(const json& deployment, std::string_view type, const DeploymentVerdict& verdict,
                    api::Timestamp now, bool progress) {
  const json* old = condition(deployment, type);
  const std::string at = api::to_rfc3339(now);
  const bool same_status = old != nullptr && text_at(*old, {"status"}) == verdict.status;
  const bool same = same_status && text_at(*old, {"reason"}) == verdict.reason && !progress;
  return {{"type", type},
          {"status", verdict.status},
          {"reason", verdict.reason},
          {"message", verdict.message},
          {"lastTransitionTime", same_status ? text_at(*old, {"lastTransitionTime"}) : at},
          {"lastUpdateTime", same ? text_at(*old, {"lastUpdateTime"}) : at}};
}

DeploymentVerdict available_verdict(const RolloutLimits& limits, std::int64_t available) {
  if (available >= limits.replicas - limits.unavailable) {
    return {"True", "MinimumReplicasAvailable", "Deployment has minimum availability."};
  }
  return {"False", "MinimumReplicasUnavailable", "Deployment does not have minimum availability."};
}

// deploymentutil.DeploymentProgressing: more new, ready or available pods, or fewer old ones, than before.
bool has_progressed(const json& deployment, const json& status) {
  const auto before = [&](const char* key) { return int_at(deployment, {"status", key}); };
  const auto after = [&](const char* key) { return int_at(status, {key}); };
  return after("updatedReplicas") > before("updatedReplicas") ||
         after("replicas") - after("updatedReplicas") < before("replicas") - before("updatedReplicas") ||
         after("readyReplicas") > before("readyReplicas") ||
         after("availableReplicas") > before("availableReplicas");
}

class Progress {
 public:
  Progress(const json& deployment, const DeploymentSets& sets, const json& status, bool complete,
           api::Timestamp now)
      : deployment_(deployment), sets_(sets), status_(status), complete_(complete), now_(now) {}

  json condition_now() {
    const json* old = condition(deployment_, "Progressing");
    const std::string old_reason = old != nullptr ? text_at(*old, {"reason"}) : std::string{};
    const std::string name =
        sets_.new_set ? text_at(sets_.new_set->body(), {"metadata", "name"}) : std::string{};
    if (bool_at(deployment_, {"spec", "paused"})) {
      return make({"Unknown", "DeploymentPaused", "Deployment is paused"}, false);
    }
    const bool was_complete = old_reason == "NewReplicaSetAvailable" &&
                              int_at(status_, {"replicas"}) == int_at(status_, {"updatedReplicas"});
    if (complete_ || was_complete) {
      return make({"True", "NewReplicaSetAvailable",
                   fmt::format("ReplicaSet \"{}\" has successfully progressed.", name)},
                  false);
    }
    const bool first = old == nullptr || old_reason == "DeploymentPaused";
    if (first || has_progressed(deployment_, status_) || old_reason == "NewReplicaSetAvailable") {
      return make({"True", "ReplicaSetUpdated", fmt::format("ReplicaSet \"{}\" is progressing.", name)},
                  true);
    }
    return waiting(*old, name);
  }

  std::optional<api::Timestamp> deadline() const { return deadline_; }

 private:
  json make(const DeploymentVerdict& verdict, bool progress) {
    return make_condition(deployment_, "Progressing", verdict, now_, progress);
  }

  json waiting(const json& old, const std::string& name) {
    const auto limit = int_at(deployment_, {"spec", "progressDeadlineSeconds"}, kDefaultProgressDeadline);
    const auto since = time_at(old, {"lastUpdateTime"});
    if (limit >= kNoProgressDeadline || !since || text_at(old, {"status"}) == "False") return old;
    const auto at = *since + std::chrono::seconds(limit);
    if (now_ < at) {
      deadline_ = at;
      return old;
    }
    return make({"False", "ProgressDeadlineExceeded",
                 fmt::format("ReplicaSet \"{}\" has timed out progressing.", name)},
                false);
  }

  const json& deployment_;
  const DeploymentSets& sets_;
  const json& status_;
  bool complete_;
  api::Timestamp now_;
  std::optional<api::Timestamp> deadline_;
};

}  // namespace

DeploymentStatus deployment_status(const json& deployment, const DeploymentSets& sets, api::Timestamp now) {
  const RolloutLimits limits = rollout_limits(deployment);
  std::int64_t wanted = 0;
  std::int64_t replicas = 0;
  std::int64_t ready = 0;
  std::int64_t available = 0;
  std::int64_t terminating = 0;
  for (const ObjectPtr& set : sets.all()) {
    wanted += int_at(set->body(), {"spec", "replicas"}, 1);
    replicas += int_at(set->body(), {"status", "replicas"});
    ready += int_at(set->body(), {"status", "readyReplicas"});
    available += int_at(set->body(), {"status", "availableReplicas"});
    terminating += int_at(set->body(), {"status", "terminatingReplicas"});
  }
  const std::int64_t updated = sets.new_set ? int_at(sets.new_set->body(), {"status", "replicas"}) : 0;
  DeploymentStatus result;
  json& status = result.value;
  status = {{"observedGeneration", int_at(deployment, {"metadata", "generation"})},
            {"replicas", replicas},
            {"updatedReplicas", updated},
            {"readyReplicas", ready},
            {"availableReplicas", available},
            {"unavailableReplicas", std::max<std::int64_t>(wanted - available, 0)},
            {"terminatingReplicas", terminating}};
  result.complete = updated == limits.replicas && replicas == limits.replicas && available == limits.replicas;
  Progress progress(deployment, sets, status, result.complete, now);
  json progressing = progress.condition_now();
  status["conditions"] =
      json::array({make_condition(deployment, "Available", available_verdict(limits, available), now, false),
                   std::move(progressing)});
  result.deadline = progress.deadline();
  return result;
}

}  // namespace poolwarden::cluster
