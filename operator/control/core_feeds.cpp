// What arrives at the loop, and which pools it concerns.
#include "control/operator_core.h"

#include <algorithm>
#include <functional>
#include <utility>

namespace poolwarden::control {
namespace {

// Whether two states of one pod can lead to different decisions: most updates of a pod (a kubelet's
// heartbeat of its status, our own label) cannot, and cost no pass.
bool same_for_pools(const api::Pod& a, const api::Pod& b) {
  return a.uid == b.uid && a.labels == b.labels && a.serving == b.serving && a.node == b.node &&
         a.ips == b.ips && a.phase == b.phase && a.ready == b.ready &&
         a.containers_ready == b.containers_ready && a.ready_reason == b.ready_reason &&
         a.disruption_target == b.disruption_target && a.unmet_gate == b.unmet_gate &&
         a.status_reason == b.status_reason && a.deletion_timestamp == b.deletion_timestamp &&
         a.has_readiness_probe == b.has_readiness_probe && a.has_pre_stop == b.has_pre_stop &&
         a.termination_grace_seconds == b.termination_grace_seconds && a.controller == b.controller &&
         a.drain_marks() == b.drain_marks();
}

// A change that takes an endpoint away goes first. Which ones do is decide()'s to say; this is only about
// order, so an approximation is enough.
kube::Lane lane_of(const PoolRecord& record, const kube::Delta<api::Pod>& delta) {
  if (!delta.before || !record.published.contains(delta.before->uid)) return kube::Lane::kNormal;
  const bool still_well = delta.after && delta.after->uid == delta.before->uid &&
                          !delta.after->deletion_timestamp && delta.after->ready == api::Tristate::kTrue &&
                          !delta.after->disruption_target;
  return still_well ? kube::Lane::kNormal : kube::Lane::kUrgent;
}

bool is_refused(const std::optional<kube::Error>& error) {
  return error && error->is_out_of_reach();
}

// Of the fields that are read; what was written else (a controller's status) leads to nothing new.
template <class Object>
bool same_but_for_version(const Object& a, const Object& b) {
  Object copy = a;
  copy.resource_version = b.resource_version;
  return copy == b;
}

// Whether the API server said something, be it a refusal.
template <class Object>
bool is_answer(const kube::InformerInput<Object>& input) {
  using In = kube::InformerInput<Object>;
  if (const auto* failed = std::get_if<typename In::ListFailed>(&input.what))
    return failed->error.http_status != 0;
  if (const auto* ended = std::get_if<typename In::WatchEnded>(&input.what))
    return ended->error && ended->error->http_status != 0;
  return true;
}

bool is_answer(const CallAnswered& call) {
  return call.answer || call.answer.error().http_status != 0;
}

bool is_answer(const LoadArrived&) {
  return false;
}

bool is_answer(const StopRequested&) {
  return false;
}

}  // namespace

void OperatorCore::take(Input input, api::Now now, Effects& out) {
  if (std::visit([](const auto& what) { return is_answer(what); }, input)) heard_from_server(now.mono);
  struct Taker {
    OperatorCore& core;
    api::Now now;
    Effects& out;
    void operator()(kube::InformerInput<api::InferencePool>& in) {
      core.feed(core.pools_, Feed::kPools, std::move(in), now, out);
    }
    void operator()(kube::InformerInput<api::ConfigMap>& in) {
      core.feed(core.config_maps_, Feed::kConfigMaps, std::move(in), now, out);
    }
    void operator()(kube::InformerInput<api::Pod>& in) {
      core.feed(core.pods_, Feed::kPods, std::move(in), now, out);
    }
    void operator()(kube::InformerInput<api::Deployment>& in) {
      core.feed(core.deployments_, Feed::kDeployments, std::move(in), now, out);
    }
    void operator()(kube::InformerInput<api::Service>& in) {
      core.feed(core.services_, Feed::kServices, std::move(in), now, out);
    }
    void operator()(kube::InformerInput<api::Node>& in) {
      core.feed(core.nodes_, Feed::kNodes, std::move(in), now, out);
    }
    void operator()(kube::InformerInput<api::Autoscaler>& in) {
      core.feed(core.autoscalers_, Feed::kAutoscalers, std::move(in), now, out);
    }
    void operator()(kube::InformerInput<api::ReplicaSet>& in) {
      core.feed(core.replica_sets_, Feed::kReplicaSets, std::move(in), now, out);
    }
    void operator()(kube::InformerInput<api::DisruptionBudget>& in) {
      core.feed(core.budgets_, Feed::kBudgets, std::move(in), now, out);
    }
    void operator()(GatePolicyInput& in) {
      core.feed(core.gate_policies_, Feed::kGatePolicies, std::move(in), now, out);
    }
    void operator()(GateBindingInput& in) {
      core.feed(core.gate_bindings_, Feed::kGateBindings, std::move(in), now, out);
    }
    void operator()(LoadArrived& in) { core.arrived(std::move(in), now); }
    void operator()(CallAnswered& in) { core.answered(std::move(in), now, out); }
    void operator()(StopRequested&) { core.stop(Exit{false, "asked to stop"}, now, out); }
  };
  std::visit(Taker{*this, now, out}, input);
}

template <class Codec>
void OperatorCore::feed(kube::Informer<Codec>& informer, Feed which,
                        typename kube::Informer<Codec>::Input input, api::Now now, Effects& out) {
  std::vector<kube::Delta<typename Codec::Object>> deltas;
  const bool was_synced = informer.synced();
  const bool was_refused = is_refused(informer.last_error());
  emit(which, informer.step(std::move(input), now.mono, deltas), out);
  for (const auto& delta : deltas) changed(delta, now);
  meters_.last_byte(to_string(which), informer.last_byte());
  log_problem(which, informer.last_error(), out);
  // Deltas that came before another cache had synced were decided without it: look at everything again.
  const bool synced_now = informer.synced() && !was_synced;
  reindex_pods_ |= synced_now;
  if (synced_now || was_refused != is_refused(informer.last_error())) mark_all(now);
}

template <class Codec>
void OperatorCore::tick_feed(kube::Informer<Codec>& informer, Feed which, api::Now now, Effects& out) {
  const auto due = informer.next_deadline();
  if (due && *due <= now.mono) emit(which, informer.tick(now.mono), out);
}

template <class Codec>
void OperatorCore::observe(kube::Informer<Codec>& informer, typename Codec::Object object, api::Now now) {
  std::vector<kube::Delta<typename Codec::Object>> deltas;
  informer.observe(std::move(object), now.mono, deltas);
  for (const auto& delta : deltas) changed(delta, now);
}

template void OperatorCore::observe(kube::Informer<api::PoolCodec>&, api::InferencePool, api::Now);
template void OperatorCore::observe(kube::Informer<api::ConfigMapCodec>&, api::ConfigMap, api::Now);
template void OperatorCore::observe(kube::Informer<api::PodCodec>&, api::Pod, api::Now);
template void OperatorCore::observe(kube::Informer<api::DeploymentCodec>&, api::Deployment, api::Now);
template void OperatorCore::observe(kube::Informer<api::ServiceCodec>&, api::Service, api::Now);
template void OperatorCore::observe(kube::Informer<api::DisruptionBudgetCodec>&, api::DisruptionBudget,
                                    api::Now);

// Each feed waits by itself, up to half a minute; the first of all requests to be answered after an outage
// tells the others. No more often than the gap, so that a server which answers some and cuts others is not
// hammered.
void OperatorCore::heard_from_server(kube::TimePoint now) {
  constexpr kube::Duration kOutage = std::chrono::seconds(5);
  if (now - std::exchange(heard_, now) < kOutage) return;
  each_feed(*this, [now](auto& informer, Feed) { informer.server_is_back(now); });
}

void OperatorCore::tick_feeds(api::Now now, Effects& out) {
  each_feed(*this, [&](auto& informer, Feed which) { tick_feed(informer, which, now, out); });
}

// Once when it begins or changes, once when it is over: a server that is away for an hour is one line.
void OperatorCore::log_problem(Feed which, const std::optional<kube::Error>& error, Effects& out) {
  std::string& told = problems_[static_cast<std::size_t>(which)];
  const std::string text = error ? error->message : std::string();
  if (text == told) return;
  told = text;
  const std::string resource(to_string(which));
  if (text.empty()) {
    out.logs.push_back({Severity::kInfo, "reads " + resource + " again", {}});
  } else {
    std::vector<std::pair<std::string, std::string>> fields = {{"error", text}};
    if (which == Feed::kPools && error->is_not_found()) {
      fields.emplace_back("fix", "kubectl apply -f crds/poolwarden.io_inferencepools.yaml");
    }
    out.logs.push_back(
        {Severity::kWarn, "cannot read " + resource + ": the last state stays in force", std::move(fields)});
  }
}

void OperatorCore::emit(Feed which, std::vector<kube::ReflectorAction> actions, Effects& out) {
  for (kube::ReflectorAction& action : actions) {
    if (const auto* restarted = std::get_if<kube::Restarted>(&action)) {
      meters_.watch_restarted(to_string(which), kube::to_string(restarted->reason));
      continue;
    }
    out.watches.push_back(WatchWork{which, std::move(action)});
  }
}

void OperatorCore::mark(const PoolRecord& record, api::Now now, kube::Lane lane) {
  queue_.add(record.key, now.mono, lane);
}

void OperatorCore::mark_namespace(const std::string& ns, api::Now now) {
  for (const PoolRecord* record : table_.in_namespace(ns, [](const PoolRecord&) { return true; })) {
    mark(*record, now);
  }
}

void OperatorCore::mark_all(api::Now now) {
  table_.for_each([&](const PoolRecord& record) { mark(record, now); });
}

void OperatorCore::changed(const kube::Delta<api::InferencePool>& delta, api::Now now) {
  if (!delta.after) {
    const kube::ObjectKey key{delta.before->ns, delta.before->name};
    table_.remove(key);
    reindex_pods_ = true;
    meters_.pool_gone(key.ns, key.name);
    mark_namespace(key.ns, now);  // a neighbour may no longer overlap
    return;
  }
  const api::InferencePool& pool = *delta.after;
  const kube::ObjectKey key{pool.ns, pool.name};
  const bool selects_differently = table_.upsert(
      pool,
      pool.scale_target ? deployments_.store().find({pool.ns, pool.scale_target->name}).get() : nullptr);
  PoolRecord& record = *table_.find(key);
  ledger_.changed({Written::kPool, key});
  if (delta.kind == kube::DeltaKind::kAdded || record.published_from.empty()) {
    take_published(record, config_maps_.store().find({key.ns, record.config_map}).get());
  }
  mark(record, now);
  if (selects_differently) {
    reindex_pods_ = true;
    mark_namespace(key.ns, now);
  }
}

void OperatorCore::changed(const kube::Delta<api::ConfigMap>& delta, api::Now now) {
  const auto& object = delta.after ? delta.after : delta.before;
  const kube::ObjectKey key{object->ns, object->name};
  ledger_.changed({Written::kConfigMap, key});
  for (PoolRecord* record :
       table_.in_namespace(key.ns, [&](const PoolRecord& r) { return r.config_map == key.name; })) {
    record->unlabelled.reset();
    take_published(*record, delta.after.get());
    mark(*record, now);
  }
}

// Keeps in mind who is in the published list, whoever wrote it: the list outlives the process that wrote it,
// and what is in it is what gateways send requests to.
void OperatorCore::take_published(PoolRecord& record, const api::ConfigMap* config_map) {
  if (config_map == nullptr || config_map->resource_version == record.published_from) return;
  record.published_from = config_map->resource_version;
  const auto set = api::parse_endpoint_set(config_map->endpoints_json, nullptr);
  if (!set || set->pool != record.key.name) return;
  record.take_published(*set);
}

void OperatorCore::changed(const kube::Delta<api::Pod>& delta, api::Now now) {
  if (delta.before && delta.after && same_for_pools(*delta.before, *delta.after)) {
    ledger_.changed({Written::kPod, {delta.after->ns, delta.after->name}});
    return;
  }
  count_lost_drain(delta, now);
  see_placement(delta, now);
  const auto& object = delta.after ? delta.after : delta.before;
  ledger_.changed({Written::kPod, {object->ns, object->name}});
  const auto concerns = [&](PoolRecord& record) {
    saw_event(record, object->uid, delta.decoded_at);
    if (delta.before) saw_event(record, delta.before->uid, delta.decoded_at);
    if (!delta.after) record.once_published.erase(delta.before->uid);
    mark(record, now, lane_of(record, delta));
  };
  if (delta.before) {
    for (PoolRecord* record : table_.matching(*delta.before)) concerns(*record);
    for (PoolRecord* record : publishers_without_selector(*delta.before)) concerns(*record);
  }
  const bool same_pools = delta.before && delta.after && delta.before->labels == delta.after->labels;
  if (delta.after && !same_pools) {
    for (PoolRecord* record : table_.matching(*delta.after)) concerns(*record);
  }
}

// A standby withdraws nothing: what it sees is another's to act on.
void OperatorCore::saw_event(PoolRecord& record, const std::string& pod_uid, kube::TimePoint at) const {
  if (leads()) record.first_event_at.try_emplace(pod_uid, at);
}

// Pools that do not know whom they select, yet have the pod on their list: they must hear that it goes.
std::vector<PoolRecord*> OperatorCore::publishers_without_selector(const api::Pod& pod) {
  return table_.in_namespace(pod.ns, [&pod](const PoolRecord& record) {
    return !record.deleting && !record.selector && record.published.contains(pod.uid);
  });
}

void OperatorCore::changed(const kube::Delta<api::Deployment>& delta, api::Now now) {
  const auto& object = delta.after ? delta.after : delta.before;
  const kube::ObjectKey key{object->ns, object->name};
  ledger_.changed({Written::kTarget, key});
  if (delta.before && delta.after && same_but_for_version(*delta.before, *delta.after)) return;
  for (PoolRecord* record :
       table_.in_namespace(key.ns, [&](const PoolRecord& r) { return r.target == key.name; })) {
    const auto pool = pools_.store().find(record->key);
    if (pool && table_.upsert(*pool, delta.after.get())) {
      reindex_pods_ = true;
      mark_namespace(key.ns, now);
    }
    mark(*record, now);
  }
}

void OperatorCore::changed(const kube::Delta<api::Service>& delta, api::Now now) {
  const auto& object = delta.after ? delta.after : delta.before;
  ledger_.changed({Written::kService, {object->ns, object->name}});
  for (PoolRecord* record :
       table_.in_namespace(object->ns, [&](const PoolRecord& r) { return r.service == object->name; })) {
    mark(*record, now);
  }
}

void OperatorCore::changed(const kube::Delta<api::Node>& delta, api::Now now) {
  if (delta.before && delta.after && same_but_for_version(*delta.before, *delta.after))
    return;  // heartbeats and the like
  const auto& object = delta.after ? delta.after : delta.before;
  emptied_nodes_.saw(object->name, delta.after && pool::emptying(*delta.after).has_value(), now.mono);
  if (!settled()) return;  // the first list; everything is marked when it is in
  std::set<kube::ObjectKey> touched;
  pods_.store().for_each([&](const std::shared_ptr<const api::Pod>& pod) {
    if (*pod->node != object->name) return;
    const auto concerns = [&](PoolRecord& record) {
      saw_event(record, pod->uid, delta.decoded_at);
      if (touched.insert(record.key).second) mark(record, now, kube::Lane::kUrgent);
    };
    for (PoolRecord* record : table_.matching(*pod)) concerns(*record);
    for (PoolRecord* record : publishers_without_selector(*pod)) concerns(*record);
  });
}

void OperatorCore::changed(const kube::Delta<api::ReplicaSet>& delta, api::Now now) {
  if (delta.before && delta.after && same_but_for_version(*delta.before, *delta.after)) return;
  const auto& object = delta.after ? delta.after : delta.before;
  std::set<kube::ObjectKey> marked;
  for (const auto& pod : pods_.store().by_index(pods_by_controller_, object->uid)) {
    for (const PoolRecord* record : table_.matching(*pod)) {
      if (marked.insert(record->key).second) mark(*record, now);
    }
  }
}

void OperatorCore::changed(const kube::Delta<api::DisruptionBudget>& delta, api::Now now) {
  const auto& object = delta.after ? delta.after : delta.before;
  ledger_.changed({Written::kBudget, {object->ns, object->name}});
  if (delta.before && delta.after && same_but_for_version(*delta.before, *delta.after)) return;
  mark_namespace(object->ns, now);
}

void OperatorCore::changed(const kube::Delta<api::GatePart>& delta, api::Now now) {
  if (delta.before && delta.after && same_but_for_version(*delta.before, *delta.after)) return;
  mark_all(now);
}

void OperatorCore::changed(const kube::Delta<api::Autoscaler>& delta, api::Now now) {
  if (delta.before && delta.after && same_but_for_version(*delta.before, *delta.after)) return;
  mark_namespace((delta.after ? delta.after : delta.before)->ns, now);
}

}  // namespace poolwarden::control
