// The step itself, leadership, and the end.
#include "control/operator_core.h"

#include <algorithm>
#include <utility>

namespace poolwarden::control {
namespace {

constexpr kube::Duration kSweepPeriod = std::chrono::minutes(1);

template <class Codec>
FeedHealth health_of(const kube::Informer<Codec>& informer) {
  const auto error = informer.last_error();
  return {informer.synced(), informer.last_byte(), error ? error->message : std::string()};
}

void sooner(std::optional<kube::TimePoint>& earliest, std::optional<kube::TimePoint> other) {
  if (other && (!earliest || *other < *earliest)) earliest = other;
}

}  // namespace

std::string_view to_string(Feed feed) {
  switch (feed) {
    case Feed::kPools:
      return "inferencepools";
    case Feed::kConfigMaps:
      return "configmaps";
    case Feed::kPods:
      return "pods";
    case Feed::kDeployments:
      return "deployments";
    case Feed::kServices:
      return "services";
    case Feed::kNodes:
      return "nodes";
    case Feed::kAutoscalers:
      return "horizontalpodautoscalers";
    case Feed::kReplicaSets:
      return "replicasets";
    case Feed::kBudgets:
      return "poddisruptionbudgets";
    case Feed::kGatePolicies:
      return "validatingadmissionpolicies";
    case Feed::kGateBindings:
      return "validatingadmissionpolicybindings";
  }
  return "?";
}

OperatorCore::OperatorCore(CoreOptions options, Meters& meters)
    : options_(std::move(options)),
      meters_(meters),
      random_(kube::seeded_random(options_.seed)),
      pools_(options_.reflector, random_),
      config_maps_(options_.reflector, random_),
      pods_(options_.reflector, random_),
      deployments_(options_.reflector, random_),
      replica_sets_(options_.reflector, random_),
      services_(options_.reflector, random_),
      nodes_(options_.reflector, random_),
      autoscalers_(options_.reflector, random_),
      budgets_(options_.reflector, random_),
      gate_policies_(options_.reflector, random_),
      gate_bindings_(options_.reflector, random_),
      queue_(kube::WorkQueueOptions{}, &meters_),
      load_turns_(options_.load_sources_in_flight),
      events_(options_.instance) {
  pods_.set_transform([this](api::Pod& pod) {
    pod.labels = label_sets_.intern(std::move(pod.labels));
    pod.node = node_names_.intern(std::move(pod.node));
    pod.controller = controllers_.intern(std::move(pod.controller));
  });
  nodes_.set_transform([this](api::Node& node) { classify(node); });
  index_pods();
  index_replica_sets();
  if (options_.leader_elect) elector_.emplace(options_.lease, random_);
}

Effects OperatorCore::start(api::Now now) {
  Effects out;
  each_feed(*this, [&](auto& informer, Feed which) { emit(which, informer.start(now.mono), out); });
  next_sweep_ = now.mono + kSweepPeriod;
  if (!elector_) meters_.leading(true);
  run_lease(now, out);
  return out;
}

// One turn of the loop: take in what came, renew what is due, decide, then explain.
Effects OperatorCore::step(std::vector<Input>& inputs, api::Now now) {
  Effects out;
  for (Input& input : inputs) take(std::move(input), now, out);
  inputs.clear();
  tick_feeds(now, out);
  run_lease(now, out);
  run_passes(now, out);
  post_events(now, out);
  run_stop(now, out);
  sweep(now);
  table_.trim();
  return out;
}

std::optional<kube::TimePoint> OperatorCore::next_deadline() const {
  std::optional<kube::TimePoint> earliest = next_sweep_;
  each_feed(*this, [&](const auto& informer, Feed) { sooner(earliest, informer.next_deadline()); });
  if (elector_) sooner(earliest, elector_->next_deadline());
  if (const auto* stopping = std::get_if<Stopping>(&state_)) {
    sooner(earliest, stopping->deadline);
    return earliest;
  }
  // Without leadership or before the first lists nothing of this can be done; what changes that is an
  // input or one of the deadlines above.
  if (!can_decide_) return earliest;
  if (queue_.size() > 0) return kube::TimePoint::min();  // more passes than one step makes
  sooner(earliest, queue_.next_deadline());
  sooner(earliest, strays_due_);
  if (!event_in_flight_) sooner(earliest, events_.next_deadline());
  return earliest;
}

CoreHealth OperatorCore::health() const {
  CoreHealth health;
  each_feed(*this, [&health](const auto& informer, Feed which) {
    health.feeds[static_cast<std::size_t>(which)] = health_of(informer);
  });
  health.leading = leads();
  health.stopping = std::holds_alternative<Stopping>(state_);
  return health;
}

void OperatorCore::run_lease(api::Now now, Effects& out) {
  if (!elector_) return;
  const auto due = elector_->next_deadline();
  if (due && *due <= now.mono) lease_outputs(elector_->tick(now.mono, now.wall), now, out);
}

void OperatorCore::lease_outputs(std::vector<kube::LeaseOutput> outputs, api::Now now, Effects& out) {
  for (kube::LeaseOutput& output : outputs) {
    if (auto* send = std::get_if<kube::SendLeaseCall>(&output)) {
      const std::uint64_t id = ++last_id_;
      pending_.emplace(id, Pending{LeaseCall{send->attempt}, {}, {}, {}, send->call.verb, now.mono});
      out.sends.push_back(Send{id, std::move(send->call), Expect::kText});
    } else if (std::holds_alternative<kube::BecameLeader>(output)) {
      led_ = true;
      meters_.leading(true);
      out.logs.push_back({Severity::kInfo, "became the leader", {{"identity", options_.lease.identity}}});
      table_.for_each([&](PoolRecord& record) {
        record.first_event_at.clear();
        mark(record, now);
      });
    } else if (const auto* lost = std::get_if<kube::LostLeadership>(&output)) {
      led_ = false;
      meters_.leading(false);
      stop(Exit{true, "lost the lease: " + lost->reason}, now, out);
    } else if (auto* stopping = std::get_if<Stopping>(&state_)) {
      stopping->released = true;
    }
  }
}

void OperatorCore::stop(Exit exit, api::Now now, Effects& out) {
  if (std::holds_alternative<Stopping>(state_)) return;
  out.logs.push_back({exit.failed ? Severity::kError : Severity::kInfo, "stopping", {{"why", exit.why}}});
  state_ = Stopping{std::move(exit), now.mono + options_.stop_patience, Stage::kFinishing};
  queue_.shutdown();
}

void OperatorCore::run_stop(api::Now now, Effects& out) {
  auto* stopping = std::get_if<Stopping>(&state_);
  if (stopping == nullptr) return;
  const bool late = now.mono >= stopping->deadline;
  if (stopping->stage == Stage::kFinishing && (writes_in_flight() == 0 || late)) {
    stopping->stage = Stage::kReleasing;
    stopping->deadline = now.mono + options_.stop_patience;
    if (elector_ && !stopping->exit.failed) {
      lease_outputs(elector_->release(now.mono, now.wall), now, out);
    } else {
      stopping->released = true;
    }
  }
  if (stopping->stage == Stage::kReleasing && (stopping->released || now.mono >= stopping->deadline)) {
    out.exit = stopping->exit;
  }
}

std::size_t OperatorCore::writes_in_flight() const {
  return static_cast<std::size_t>(std::count_if(pending_.begin(), pending_.end(), [](const auto& item) {
    return !std::holds_alternative<LeaseCall>(item.second.purpose);
  }));
}

void OperatorCore::sweep(api::Now now) {
  if (now.mono < next_sweep_) return;
  next_sweep_ = now.mono + kSweepPeriod;
  ledger_.sweep(now.mono);
  queue_.report_unfinished(now.mono);
  table_.for_each([&](PoolRecord& record) { forget_departed(record); });
  label_sets_.sweep();
  node_names_.sweep();
  controllers_.sweep();
  loads_.sweep(now.mono);
  std::erase_if(surplus_since_, [this](const auto& item) {
    return replica_sets_.store().by_index(sets_by_uid_, item.first).empty();
  });
}

// A pod that was relabelled out of the pool takes its leave from the pool's memory when it goes; but that
// event is no longer the pool's. And the stopwatch of one that went runs on while the list cannot be written.
// So what is remembered is compared with what there is, when it grows.
void OperatorCore::forget_departed(PoolRecord& record) {
  const std::size_t many = 2 * record.published.size() + 64;
  if (record.once_published.size() <= many && record.first_event_at.size() <= many) return;
  std::set<std::string> living;
  pods_.store().for_each_in(record.key.ns,
                            [&](const std::shared_ptr<const api::Pod>& pod) { living.insert(pod->uid); });
  std::erase_if(record.once_published, [&](const std::string& uid) { return !living.contains(uid); });
  std::erase_if(record.first_event_at, [&](const auto& item) {
    return !living.contains(item.first) && !record.published.contains(item.first);
  });
}

}  // namespace poolwarden::control
