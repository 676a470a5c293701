#include "support/sim/drain_invariants.h"

#include "kube/resource.h"
#include "publish/calls.h"
#include "support/apiserver/json_util.h"
#include "support/cluster/drain_gate.h"
#include "support/cluster/pod_facts.h"
#include "support/cluster/stateful_set_view.h"
#include "support/cluster/writer.h"

#include <algorithm>
#include <limits>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace poolwarden::sim {
namespace {

using apiserver::bool_at;
using apiserver::find_path;
using apiserver::int_at;
using apiserver::text_at;
using nlohmann::json;

constexpr std::string_view kServing = "poolwarden.io/serving";
constexpr std::string_view kStarted = "poolwarden.io/drain-started";
constexpr std::string_view kReason = "poolwarden.io/drain-reason";
constexpr std::string_view kRequest = "poolwarden.io/drain";
constexpr std::string_view kSavedCost = "poolwarden.io/saved-deletion-cost";
constexpr std::string_view kCost = "controller.kubernetes.io/pod-deletion-cost";
constexpr std::string_view kGate = "poolwarden-drain-gate";
constexpr kube::Duration kWatchesApart = std::chrono::milliseconds(50);
constexpr kube::Duration kTaintDeadline =
    std::chrono::seconds(90);                  // as the operator's flag has it by default
constexpr std::int64_t kDefaultTimeout = 300;  // seconds

std::optional<std::string> annotation(const json& object, std::string_view key) {
  const json* found = find_path(object, {"metadata", "annotations", key});
  return found != nullptr && found->is_string() ? std::optional(found->get<std::string>()) : std::nullopt;
}

}  // namespace

DrainInvariants::DrainInvariants(VirtualTime& time, apiserver::Model& model, SimEngines& engines,
                                 DrainInvariantOptions options)
    : time_(time), model_(model), engines_(engines), options_(std::move(options)) {
  if (options_.stateful) ordinals_.emplace();
  model_.set_admission([this, gate = cluster::drain_gate(model)](const apiserver::AdmissionRequest& write) {
    const auto refusal = gate(write);
    if (!refusal) witness(write);
    return refusal;
  });
}

DrainInvariants::~DrainInvariants() {
  model_.set_admission(cluster::drain_gate(model_));
}

DrainInvariants::Pod DrainInvariants::read(const json& pod) {
  Pod out;
  out.name = text_at(pod, {"metadata", "name"});
  out.set = cluster::controller_uid(pod);
  out.revision = cluster::label(pod, cluster::kRevisionLabel);
  out.node = text_at(pod, {"spec", "nodeName"});
  out.serving = cluster::label(pod, kServing);
  out.reason = annotation(pod, kReason).value_or("");
  if (const auto text = annotation(pod, kStarted)) out.started = api::parse_rfc3339(*text);
  out.cost = annotation(pod, kCost);
  out.saved_cost = annotation(pod, kSavedCost);
  out.requested = annotation(pod, kRequest).has_value();
  out.active = cluster::is_active(pod);
  out.ready = cluster::is_ready(pod);
  return out;
}

void DrainInvariants::tell(std::string what) {
  const double seconds = std::chrono::duration<double>(time_.elapsed()).count();
  history_.push_back(fmt::format("{:9.3f} {}", seconds, std::move(what)));
}

void DrainInvariants::violate(std::string what) {
  tell("BROKEN: " + what);
  violations_.push_back(std::move(what));
}

// Every write that is about to be stored.
void DrainInvariants::witness(const apiserver::AdmissionRequest& write) {
  if (write.user == options_.operator_user && write.resource != "leases") ++operator_writes_;
  if (write.resource != "pods" || write.before == nullptr) return;
  const std::string uid = text_at(*write.before, {"metadata", "uid"});
  const Pod before = read(*write.before);
  if (write.after == nullptr) {
    if (before.active) {
      tell(fmt::format("{} ({}, {} in flight) is deleted by {}", before.name, before.serving,
                       engines_.in_flight(uid), write.user));
    }
    return;
  }
  const Pod after = read(*write.after);
  if (write.user == options_.operator_user) {
    operator_wrote(uid, before, after);
    pods_[uid] = after;
  } else if (before.cost != after.cost) {
    foreign_costs_[uid] = after.cost;
  }
}

void DrainInvariants::operator_wrote(const std::string& uid, const Pod& before, const Pod& after) {
  if (before.serving != after.serving || before.released() != after.released()) {
    tell(fmt::format("operator: {} {} -> {} {} ({} in flight, metrics {})", after.name,
                     before.serving.empty() ? "unlabelled" : before.serving,
                     after.serving.empty() ? "unlabelled" : after.serving, after.reason,
                     engines_.in_flight(uid), to_string(engines_.metrics(uid))));
  }
  if (after.started && after.started != before.started) began_at_.insert_or_assign(uid, time_.now().mono);
  if (after.draining() && !before.draining()) began(uid, after);
  if (after.released() && !before.released()) let_go(uid, after);
  if (before.draining() && !after.draining()) ++counts_.cancelled;
  // What it was by the operator's own word: somebody may have changed its label since.
  const std::string was = std::exchange(last_written_[uid], after.serving);
  const bool held = before.held() || was == "true" || was == "finishing" || was == "draining";
  if (held && after.serving == "false" && after.active) finished(uid, before);
  if (before.saved_cost && !after.saved_cost) {
    const auto foreign = foreign_costs_.find(uid);
    const auto wanted = foreign == foreign_costs_.end() ? std::nullopt : foreign->second;
    if (after.cost != wanted) {
      violate(fmt::format("{} was given back the deletion cost {}, and it had {}", after.name,
                          after.cost.value_or("none"), wanted.value_or("none")));
    }
  }
}

void DrainInvariants::began(const std::string& uid, const Pod& pod) {
  ++counts_.started;
  const kube::TimePoint since = time_.now().mono - options_.memory;
  if (pod.for_surplus()) {
    ordinals_ ? began_in_ordinals(pod, since) : began_for_surplus(pod, since);
  } else if (pod.reason.starts_with("Node") && !goes_anyway(pod, since)) {
    began_for_node(uid, pod, since);
  }
}

// Of its set, those that drain besides.
template <class Which>
std::int64_t DrainInvariants::others(const Pod& pod, Which which) const {
  return std::count_if(pods_.begin(), pods_.end(), [&](const auto& item) {
    const Pod& other = item.second;
    return other.set == pod.set && other.name != pod.name && other.active && other.draining() && which(other);
  });
}

void DrainInvariants::began_for_surplus(const Pod& pod, kube::TimePoint since) {
  const std::int64_t surplus = believable_surplus(pod.set, since);
  const std::int64_t others_go = others(pod, [](const Pod& other) { return other.for_surplus(); });
  if (others_go + 1 > surplus) {
    violate(fmt::format("{} begins to drain as {}, as the {}. of its ReplicaSet, which had {} too many",
                        pod.name, pod.reason, others_go + 1, surplus));
  }
}

void DrainInvariants::began_in_ordinals(const Pod& pod, kube::TimePoint since) {
  if (gate_.most(since) != 1) violate(pod.name + " begins to drain though nothing would wait for it");
  if (pod.reason == "ScaleDown") {
    if (!ordinals_->is_beyond(pod.name, since))
      violate(pod.name + " begins to drain as ScaleDown, and its ordinal is wanted");
    return;
  }
  if (!ordinals_->is_outdated(pod.name, pod.revision, since))
    violate(
        fmt::format("{} begins to drain as Rollout, and revision {} is the newest", pod.name, pod.revision));
  if (const std::int64_t before_it = outdated_above(pod); before_it > 0)
    violate(fmt::format("{} begins to drain as Rollout while {} above it do", pod.name, before_it));
}

// Those that drain for a rollout, and that its controller takes before.
std::int64_t DrainInvariants::outdated_above(const Pod& pod) const {
  return others(pod, [this, &pod](const Pod& other) {
    return other.reason == "Rollout" && ordinals_->is_above(other.name, pod.name) &&
           !ordinals_->is_updated(other.name, other.revision);
  });
}

// Whatever becomes of its node.
bool DrainInvariants::goes_anyway(const Pod& pod, kube::TimePoint since) {
  if (ordinals_) {
    return ordinals_->is_beyond(pod.name, since) ||
           (ordinals_->is_outdated(pod.name, pod.revision, since) && outdated_above(pod) == 0);
  }
  return others(pod, [](const Pod&) { return true; }) + 1 <= believable_surplus(pod.set, since);
}

void DrainInvariants::began_for_node(const std::string& uid, const Pod& pod, kube::TimePoint since) {
  if (!is_emptied(pod.node)) tell("(its node is not being emptied any more)");
  const auto lately =
      std::count_if(fell_out_.begin(), fell_out_.end(), [since](auto when) { return when >= since; });
  // Who is unready serves nobody, and is missed by nobody. But it may be ready again in a moment.
  const auto last_unready = last_unready_.find(uid);
  const bool unready = !pod.ready || (last_unready != last_unready_.end() && last_unready->second >= since);
  const std::int64_t left = serving() - (pod.ready ? 1 : 0) + unheard(pod, since) + lately;
  const std::int64_t asked = asked_.least(since).value_or(0);
  if (unready) {
    if (left < 1) violate(pod.name + " begins to drain for its node while nobody serves");
  } else if (ending_since_.contains(pod.node) ? left < 1 : left < asked - 1) {
    violate(
        fmt::format("{} begins to drain for its node, which leaves {} of {} serving", pod.name, left, asked));
  }
}

// Where watches fail, the operator may know the pods of one moment and their ReplicaSet of another.
std::int64_t DrainInvariants::believable_surplus(const std::string& set, kube::TimePoint since) {
  Sizes& sizes = sizes_[set];
  const auto apart = [&sizes](kube::TimePoint from) {
    return sizes.have.most(from).value_or(0) - sizes.want.least(from).value_or(0);
  };
  if (options_.watches_fail) return apart(since);
  // Even where none fails, each tells by itself.
  return std::max(sizes.surplus.most(since).value_or(0), apart(time_.now().mono - kWatchesApart));
}

// It has had the time that its pool, or its node, gives it, by a clock that nobody sets. The operator counts
// in whole seconds, and so does the server's clock that it goes by. It may have been told of the node a
// moment before it is looked at here.
bool DrainInvariants::is_time_up(const std::string& uid, const Pod& pod) const {
  const auto ending = ending_since_.find(pod.node);
  const bool node_ends = ending != ending_since_.end() &&
                         time_.now().mono >= ending->second + kTaintDeadline - std::chrono::seconds(1);
  if (node_ends) return true;
  const auto began = began_at_.find(uid);
  return pod.started && began != began_at_.end() &&
         time_.now().mono >= began->second + std::chrono::seconds(timeout_ - 2);
}

void DrainInvariants::let_go(const std::string& uid, const Pod& pod) {
  const int in_flight = engines_.in_flight(uid);
  const bool over = is_time_up(uid, pod);
  // Who deletes the pool ends its drains; the operator may hear of it before or after.
  if (!model_.find(publish::kInferencePools, "default", options_.pool)) return;
  ++(over ? counts_.timed_out : counts_.idle);
  // Of one that is unready it is enough that nobody listens.
  const std::string consumer = over || !pod.ready || !options_.awaited ? "" : options_.awaited(uid);
  if (!consumer.empty())
    violate(fmt::format("{} is released before consumer {} confirmed that it has left the list", pod.name,
                        consumer));
  if (in_flight == 0 || over || engines_.metrics(uid) == Metrics::kLies) return;
  violate(fmt::format("{} is released with {} in flight after {:.1f} of {} s", pod.name, in_flight,
                      std::chrono::duration<double>(time_.now().wall - *pod.started).count(), timeout_));
}

// It is unready, and nothing holds it any more.
void DrainInvariants::finished(const std::string& uid, const Pod& before) {
  const int in_flight = engines_.in_flight(uid);
  if (in_flight == 0 || is_time_up(uid, before) || engines_.metrics(uid) == Metrics::kLies) return;
  if (ever_away_.contains(before.node) || !model_.find(kube::kNodes, "", before.node)) return;
  if (!model_.find(publish::kInferencePools, "default", options_.pool)) return;
  violate(fmt::format("{} is unready and let go with {} in flight, from {} since {}", before.name, in_flight,
                      before.serving, before.started ? api::to_rfc3339(*before.started) : "never"));
}

bool DrainInvariants::gate_stands() const {
  return model_.find(kube::kValidatingAdmissionPolicies, "", kGate) != nullptr &&
         model_.find(kube::kValidatingAdmissionPolicyBindings, "", kGate) != nullptr;
}

bool DrainInvariants::is_emptied(const std::string& node) const {
  const auto object = model_.find(kube::kNodes, "", node);
  if (!object) return false;
  return bool_at(object->body(), {"spec", "unschedulable"}) ||
         find_path(object->body(), {"spec", "taints"}) != nullptr;
}

// Other pods that are said to be unready on nodes that are not heard of. They may serve, and be known to.
std::int64_t DrainInvariants::unheard(const Pod& pod, kube::TimePoint since) const {
  return std::count_if(pods_.begin(), pods_.end(), [this, &pod, since](const auto& item) {
    const Pod& other = item.second;
    const auto last = last_unheard_.find(other.node);
    return last != last_unheard_.end() && last->second >= since && other.name != pod.name && other.active &&
           !other.ready && !other.draining() && sets_.contains(other.set);
  });
}

void DrainInvariants::look_at_nodes() {
  for (const auto& node : model_.list(kube::kNodes)) {
    const json* taints = find_path(node->body(), {"spec", "taints"});
    const auto has = [taints](std::string_view key) {
      return taints != nullptr && std::any_of(taints->begin(), taints->end(), [key](const json& taint) {
               return text_at(taint, {"key"}) == key;
             });
    };
    const bool ends = has("aws-node-termination-handler/spot-itn");
    const std::string name = text_at(node->body(), {"metadata", "name"});
    const json* ready = cluster::condition(node->body(), "Ready");
    if (ready != nullptr && text_at(*ready, {"status"}) == "Unknown") {
      last_unheard_[name] = kube::TimePoint::max();
    } else if (const auto was = last_unheard_.find(name); was != last_unheard_.end()) {
      was->second = std::min(was->second, time_.now().mono);
    }
    if (has("node.kubernetes.io/out-of-service")) ever_away_.insert(name);
    if (!ends) {
      ending_.erase(name);
    } else if (ending_.insert(name).second) {
      ending_since_.insert_or_assign(name, time_.now().mono);
    }
  }
}

// Pods that could be sent requests: of the target's sets, ready, and not draining.
std::int64_t DrainInvariants::serving() const {
  return std::count_if(pods_.begin(), pods_.end(), [this](const auto& item) {
    return sets_.contains(item.second.set) && item.second.active && item.second.ready &&
           !item.second.draining();
  });
}

void DrainInvariants::changed(const std::set<std::string>& plurals) {
  if (plurals.contains("inferencepools")) {
    // One that is gone was in force when what arrives now was sent.
    const auto pool = model_.find(publish::kInferencePools, "default", options_.pool);
    if (pool) timeout_ = int_at(pool->body(), {"spec", "drain", "timeoutSeconds"}, kDefaultTimeout);
  }
  if (plurals.contains("nodes")) look_at_nodes();
  if (plurals.contains("pods")) look_at_pods();
  if (plurals.contains("replicasets") || plurals.contains("deployments") ||
      plurals.contains("statefulsets") || plurals.contains("inferencepools"))
    look_at_sets();
  if (plurals.contains("pods") || plurals.contains("replicasets") || plurals.contains("statefulsets") ||
      plurals.contains("validatingadmissionpolicies") ||
      plurals.contains("validatingadmissionpolicybindings"))
    measure();
}

void DrainInvariants::look_at_pods() {
  const auto before = std::exchange(pods_, {});
  for (const auto& object : model_.list(kube::kPods, "default"))
    pods_.emplace(text_at(object->body(), {"metadata", "uid"}), read(object->body()));
  for (const auto& [uid, pod] : before) {
    if (!pod.ready) last_unready_[uid] = time_.now().mono;
    // One that drained may have been wanted again by then, for all the operator knew.
    if (!pod.active || !pod.ready) continue;
    const auto now = pods_.find(uid);
    if (now == pods_.end() || !now->second.active || !now->second.ready || now->second.set != pod.set)
      fell_out_.push_back(time_.now().mono);
  }
}

void DrainInvariants::look_at_sets() {
  const auto before = std::exchange(sets_, {});
  const auto target =
      model_.find(ordinals_ ? kube::kStatefulSets : kube::kDeployments, "default", options_.target);
  if (!target) return;
  const auto pool = model_.find(publish::kInferencePools, "default", options_.pool);
  const std::int64_t replicas = int_at(target->body(), {"spec", "replicas"}, 1);
  asked_.set(pool ? int_at(pool->body(), {"spec", "replicas"}, replicas) : replicas, time_.now().mono);
  const auto note = [this, &before](const json& set) {
    const Set now{text_at(set, {"metadata", "name"}), int_at(set, {"spec", "replicas"}, 1)};
    const std::string uid = text_at(set, {"metadata", "uid"});
    const auto known = before.find(uid);
    if (known == before.end() || known->second.replicas != now.replicas)
      tell(fmt::format("{} {} wants {}", ordinals_ ? "StatefulSet" : "ReplicaSet", now.name, now.replicas));
    sets_[uid] = now;
  };
  if (ordinals_) {
    ordinals_->look_at(target->body(), time_.now().mono);
    return note(target->body());
  }
  const std::string owner = text_at(target->body(), {"metadata", "uid"});
  for (const auto& set : model_.list(cluster::kReplicaSets, "default")) {
    if (cluster::controller_uid(set->body()) == owner) note(set->body());
  }
}

void DrainInvariants::measure() {
  const bool gate = gate_stands();
  gate_.set(gate ? 1 : 0, time_.now().mono);
  for (const auto& [uid, set] : sets_) {
    std::int64_t too_many = -set.replicas;
    for (const auto& [pod_uid, pod] : pods_) {
      if (pod.set != uid || !pod.active) continue;
      // Its controller takes pods that are not ready first, unless they are held.
      if (pod.ready || pod.draining() || pod.held()) ++too_many;
    }
    const kube::TimePoint now = time_.now().mono;
    Sizes& sizes = sizes_[uid];
    sizes.surplus.set(gate ? std::max<std::int64_t>(too_many, 0) : 0, now);
    sizes.have.set(too_many + set.replicas, now);
    sizes.want.set(set.replicas, now);
  }
}

std::vector<std::string> DrainInvariants::at_rest() const {
  std::vector<std::string> wrong;
  std::map<std::string, std::int64_t> have;
  for (const auto& [uid, pod] : pods_) {
    if (!pod.active) continue;
    ++have[pod.set];
    if (ordinals_ && sets_.contains(pod.set) && !ordinals_->is_updated(pod.name, pod.revision))
      wrong.push_back(fmt::format("{} is of revision {} still", pod.name, pod.revision));
    const bool to_go = pod.requested || is_emptied(pod.node);
    const bool marked = pod.started || pod.saved_cost || !pod.reason.empty() || pod.serving == "draining" ||
                        pod.serving == "drained";
    if (marked && !to_go) {
      wrong.push_back(fmt::format("{} is still marked: {} {} since {}, saved cost {}", pod.name, pod.serving,
                                  pod.reason, pod.started ? api::to_rfc3339(*pod.started) : "never",
                                  pod.saved_cost.value_or("none")));
    }
    const auto foreign = foreign_costs_.find(uid);
    const auto cost = foreign == foreign_costs_.end() ? std::nullopt : foreign->second;
    if (!pod.saved_cost && pod.cost != cost) {
      wrong.push_back(fmt::format("{} has the deletion cost {}, and should have {}", pod.name,
                                  pod.cost.value_or("none"), cost.value_or("none")));
    }
  }
  for (const auto& [uid, set] : sets_) {
    if (have[uid] != set.replicas)
      wrong.push_back(fmt::format("{} {} wants {} and has {}", ordinals_ ? "StatefulSet" : "ReplicaSet",
                                  set.name, set.replicas, have[uid]));
  }
  return wrong;
}

}  // namespace poolwarden::sim
