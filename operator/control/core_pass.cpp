// One pool at a time: a snapshot of the caches, one decision, the fewest writes.
#include "api/names.h"
#include "control/operator_core.h"
#include "pool/decide.h"
#include "pool/membership.h"
#include "pool/observation.h"
#include "pool/pod_labels.h"
#include "publish/calls.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

namespace poolwarden::control {
namespace {

constexpr std::string_view kStrayIndex = "!";
constexpr kube::Duration kStatusInterval = std::chrono::seconds(1);
// Pods that are behind the list catch up within moments, on the watch or by a new list. Versions that never
// meet are of different clusters (a ConfigMap restored from a backup), and say nothing.
constexpr kube::Duration kBehindLimit = std::chrono::minutes(5);
constexpr kube::Duration kBehindRetry = std::chrono::seconds(1);
// A ReplicaSet's controller acts on a change of its pods within a second.
constexpr kube::Duration kDrainedGoFirst = std::chrono::seconds(2);
// How long the others stay held for one whose release cannot be written.
constexpr kube::Duration kReleaseLimit = std::chrono::minutes(5);
// While the API server drops fields of it: between writes that differ, and of the same one (the CRD may have
// been brought up to date by then).
constexpr kube::Duration kStatusIntervalInVain = std::chrono::seconds(10);
constexpr kube::Duration kStatusAskedAgain = std::chrono::minutes(9);
// Nobody wakes a pool when another pool's write of the same object is over.
constexpr kube::Duration kInFlightElsewhere = std::chrono::seconds(1);

// What a write says, as one number: equal writes have equal ones (write_ledger.h).
class Content {
 public:
  Content& operator<<(std::string_view text) { return *this << std::hash<std::string_view>{}(text); }
  Content& operator<<(std::size_t number) {
    value_ = value_ * 1'099'511'628'211U ^ number;
    return *this;
  }
  Content& operator<<(const api::LabelMap& labels) {
    for (const auto& [key, value] : labels) *this << key << value;
    return *this << labels.size();
  }
  std::size_t value() const { return value_; }

 private:
  std::size_t value_ = 0;
};

std::size_t content_of(const api::EndpointSet& set) {
  Content content;
  for (const api::Endpoint& endpoint : set.endpoints) {
    content << endpoint.uid << endpoint.ip << endpoint.node << endpoint.zone
            << static_cast<std::size_t>(endpoint.state);
    for (const api::EndpointPort& port : endpoint.ports)
      content << port.name << static_cast<std::size_t>(port.number);
  }
  return content.value();
}

std::size_t content_of(const api::ServiceWrite& write) {
  Content content;
  content << write.labels << write.selector;
  for (const api::ServicePort& port : write.ports)
    content << port.name << port.target << static_cast<std::size_t>(port.number);
  return content.value();
}

std::size_t content_of(const api::BudgetWrite& write) {
  Content content;
  for (const api::SelectorRequirement& one : write.selector.match_expressions) {
    content << one.key << one.op;
    for (const std::string& value : one.values) content << value;
  }
  return content.value();
}

// Whose replicas someone keeps setting is scaled by whoever does so last: told apart only while we want more
// than the pool says, which an autoscaler unknown to us may take away at each of its turns.
std::optional<std::size_t> content_of(const api::ScaleWrite& write) {
  if (write.to <= write.agreed) return std::nullopt;
  return static_cast<std::size_t>(write.to);
}

// What another controller had set, and is kept for it, is its own: it may set another each time.
std::size_t content_of(const api::PodLabelWrite& write) {
  Content content;
  content << write.uid << write.serving.value_or(std::string());
  for (const auto& [key, value] : write.annotations) {
    if (key != api::kSavedCostAnnotation) content << key << value.value_or(std::string());
  }
  return content.value();
}

// Stands for a node that is not in a cache which may no longer be kept up to date.
const api::Node kUnseenNode{};

template <class T>
bool refused(const kube::Informer<T>& informer) {
  const auto error = informer.last_error();
  return error && error->is_out_of_reach();
}

// Known, or known to be out of reach until a person acts.
template <class T>
bool is_settled(const kube::Informer<T>& informer) {
  return informer.synced() || refused(informer);
}

}  // namespace

void OperatorCore::index_pods() {
  pods_by_pool_ = pods_.add_index([this](const api::Pod& pod, std::vector<std::string>& keys) {
    const auto& pools = table_.matching(pod);
    for (const PoolRecord* record : pools) keys.push_back(record->key.to_string());
    if (pools.empty() && pool::is_marked(pod) && !pod.deletion_timestamp) keys.emplace_back(kStrayIndex);
  });
}

bool OperatorCore::settled() const {
  bool all = pools_.synced();
  each_feed(*this, [&all](const auto& informer, Feed) { all = all && is_settled(informer); });
  return all;
}

bool OperatorCore::may_act(kube::TimePoint now) const {
  if (!std::holds_alternative<Running>(state_) || !settled()) return false;
  // A write may be carried out as late as its deadline: the lease has to outlast it, or a successor and we
  // would both be writing.
  return !elector_ || elector_->valid(now + options_.write_timeout);
}

void OperatorCore::run_passes(api::Now now, Effects& out) {
  can_decide_ = may_act(now.mono);
  if (!can_decide_) return;
  if (std::exchange(reindex_pods_, false)) pods_.reindex(pods_by_pool_);

  // Every pool's withdrawals leave before any pool's labels, status and events.
  std::vector<std::pair<kube::ObjectKey, pool::Plan>> rest;
  for (std::size_t n = 0; n < options_.passes_per_step; ++n) {
    const auto key = queue_.get(now.mono);
    if (!key) break;
    PoolRecord* record = table_.find(*key);
    const auto object = pools_.store().find(*key);
    if (record != nullptr && object) {
      const pool::Snapshot seen = snapshot(*record, *object, now);
      pool::Plan plan = pool::decide(seen, now);
      count_endpoints(*record, seen, plan);
      publish(*record, *object, plan, now, out);
      want_loads(*record, *object, plan, now);
      come_back(*record, plan.look_again, now);
      rest.emplace_back(*key, std::move(plan));
    }
    queue_.done(*key, now.mono);
  }
  read_loads(now, out);
  for (auto& [key, plan] : rest) {
    PoolRecord* record = table_.find(key);
    const auto object = pools_.store().find(key);
    if (record != nullptr && object) write_rest(*record, *object, plan, now, out);
  }
  unlabel_strays(now, out);
}

void OperatorCore::count_endpoints(const PoolRecord& record, const pool::Snapshot& seen,
                                   const pool::Plan& plan) {
  Meters::EndpointCounts counts;
  counts.ready = record.published.size();
  counts.draining =
      static_cast<std::size_t>(std::count_if(seen.pods.begin(), seen.pods.end(), [](const auto* pod) {
        return pod->serving == api::serving::kDraining || pod->serving == api::serving::kDrained;
      }));
  counts.withdrawn = seen.pods.size() - std::min(seen.pods.size(), counts.ready + counts.draining);
  meters_.endpoints(record.key.ns, record.key.name, counts);
  const bool target_found = pool::target_state(seen) == pool::TargetState::kFound;
  meters_.wanted_replicas(
      record.key.ns, record.key.name,
      target_found ? std::optional{std::max(seen.target->replicas, seen.pool->replicas.value_or(0))}
                   : std::nullopt);
  meters_.oldest_drain(record.key.ns, record.key.name, plan.oldest_drain.value_or(std::chrono::seconds{0}));
}

// A key has one wait, and the earliest wins: so each pass names again whatever it still waits for (here and
// in send() and write_pool()), and a wait that was cut short by another is not lost.
void OperatorCore::come_back(const PoolRecord& record, std::optional<kube::Duration> look_again,
                             api::Now now) {
  const double spread = 0.9 + 0.2 * random_();
  queue_.add_after(record.key, std::chrono::duration_cast<kube::Duration>(options_.resync * spread),
                   now.mono);
  if (record.unlabelled) queue_.add_after(record.key, record.unlabelled_until - now.mono, now.mono);
  if (record.behind_since) queue_.add_after(record.key, kBehindRetry, now.mono);
  if (look_again) queue_.add_after(record.key, *look_again, now.mono);
}

pool::Snapshot OperatorCore::snapshot(PoolRecord& record, const api::InferencePool& pool, api::Now now) {
  pool::Snapshot seen;
  seen.pool = &pool;
  if (pool.scale_target) {
    seen.target = deployments_.store().find({pool.ns, record.target}).get();
    seen.target_sight = seen.target != nullptr  ? pool::Sight::kPresent
                        : deployments_.synced() ? pool::Sight::kAbsent
                                                : pool::Sight::kBlind;
  }
  see_pods(record, seen);
  seen.config_map = config_maps_.store().find({pool.ns, record.config_map}).get();
  if (record.unlabelled && now.mono >= record.unlabelled_until) record.unlabelled.reset();
  if (seen.config_map == nullptr && record.unlabelled) seen.config_map = &*record.unlabelled;
  see_pods_version(record, seen, now.mono);
  seen.service = services_.store().find({pool.ns, record.service}).get();
  seen.service_sight = seen.service != nullptr ? pool::Sight::kPresent
                       : services_.synced()    ? pool::Sight::kAbsent
                                               : pool::Sight::kBlind;
  seen.sees_cordons = nodes_.synced() && !refused(nodes_);
  if (nodes_.synced()) {
    // A node that came after we lost the right to watch them is not one that went.
    const api::Node* otherwise = refused(nodes_) ? &kUnseenNode : nullptr;
    seen.node = [this, otherwise](std::string_view name) {
      const api::Node* node = nodes_.store().find("", name).get();
      return node != nullptr ? node : otherwise;
    };
  }
  see_autoscalers(record, seen);
  see_drains(record, seen, now);
  see_blindness(seen);
  seen.agreed = record.agreed;
  seen.replicas_unsettled = record.replicas_in_flight;
  seen.last_revision = record.last_revision;
  seen.once_published = &record.once_published;
  seen.config_map_error = record.config_map_error;
  seen.config_map_error_reason = record.config_map_error_reason;
  seen.service_error = record.service_error;
  seen.budget_error = record.budget_error;
  seen.scale_error = record.scale_error;
  if (!record.label_errors.empty()) seen.labels_error = record.label_errors.begin()->second;
  seen.dropped_fields = record.dropped_fields;
  return seen;
}

void OperatorCore::see_pods(PoolRecord& record, pool::Snapshot& seen) {
  for (const PodPtr& pod : pods_.store().by_index(pods_by_pool_, record.key.to_string())) {
    seen.pods.push_back(pod.get());
  }
  // A pod that has just been relabelled out is no longer matched, but still in the list that gateways
  // read: the decision must see why it goes.
  for (const auto& [uid, name] : record.published) {
    const auto pod = pods_.store().find({record.key.ns, name});
    if (pod && pod->uid == uid && !selects(record, *pod)) seen.pods.push_back(pod.get());
  }
  std::sort(seen.pods.begin(), seen.pods.end(),
            [](const api::Pod* a, const api::Pod* b) { return a->name < b->name; });
  std::set<std::string> overlapping;
  const auto unsure = table_.unsure(record.key.ns);
  for (const api::Pod* pod : seen.pods) {
    for (const PoolRecord* other : unsure) {
      if (other == &record || !other->once_published.contains(pod->uid)) continue;
      see_longer_drain(*pod, other->key, seen);
      if (other->published.contains(pod->uid)) seen.listed_by_others.insert(pod->uid);
    }
    for (const PoolRecord* other : table_.matching(*pod)) {
      if (other == &record) continue;
      see_longer_drain(*pod, other->key, seen);
      seen.pods_of_others.insert(pod->uid);
      if (other->published.contains(pod->uid)) seen.listed_by_others.insert(pod->uid);
      if (other->decides && other->key < record.key) seen.led_by_others.insert(pod->uid);
      if (selects(record, *pod)) overlapping.insert(other->key.name);
    }
  }
  seen.overlapping_pools.assign(overlapping.begin(), overlapping.end());
}

void OperatorCore::see_longer_drain(const api::Pod& pod, const kube::ObjectKey& other,
                                    pool::Snapshot& seen) const {
  const auto object = pools_.store().find(other);
  if (!object) return;
  api::DrainSpec& drain = seen.shared_drains.try_emplace(pod.uid, seen.pool->drain).first->second;
  drain.timeout = std::max(drain.timeout, object->drain.timeout);
  drain.quiet_reads = std::max(drain.quiet_reads, object->drain.quiet_reads);
  drain.poll = std::max(drain.poll, object->drain.poll);
}

// The list may have been written by another operator that knew more: we led before and lost it, or are new
// and our watch has yet to tell what the other had seen.
void OperatorCore::see_pods_version(PoolRecord& record, pool::Snapshot& seen, kube::TimePoint now) const {
  seen.pods_version = pods_.resource_version();
  const bool behind =
      seen.config_map != nullptr && kube::older(seen.pods_version, seen.config_map->pods_version);
  if (!behind) return record.behind_since.reset();
  if (!record.behind_since) record.behind_since = now;
  seen.pods_behind = now - *record.behind_since < kBehindLimit;
  if (!seen.pods_behind) record.behind_since.reset();
}

bool OperatorCore::selects(const PoolRecord& record, const api::Pod& pod) {
  const auto& pools = table_.matching(pod);
  return std::find(pools.begin(), pools.end(), &record) != pools.end();
}

void OperatorCore::see_autoscalers(const PoolRecord& record, pool::Snapshot& seen) const {
  const auto scales = [](const api::Autoscaler& autoscaler, std::string_view group, std::string_view kind,
                         const std::string& name) {
    return autoscaler.target_group == group && autoscaler.target_kind == kind &&
           autoscaler.target_name == name;
  };
  autoscalers_.store().for_each_in(record.key.ns, [&](const std::shared_ptr<const api::Autoscaler>& one) {
    if (scales(*one, api::kGroup, api::kPoolKind, record.key.name))
      seen.pool_autoscalers.push_back(one->name);
    if (scales(*one, "apps", "Deployment", record.target)) seen.target_autoscalers.push_back(one->name);
  });
}

void OperatorCore::see_blindness(pool::Snapshot& seen) const {
  const auto look = [&seen](const auto& informer) {
    const auto error = informer.last_error();
    if (error && !informer.synced()) seen.blind.push_back(error->message);
    if (error && informer.synced() && refused(informer)) seen.stale.push_back(error->message);
  };
  look(pods_);
  look(config_maps_);
  seen.can_see = pods_.synced() && config_maps_.synced();
  look(deployments_);
  look(replica_sets_);
  look(services_);
  look(nodes_);
  look(autoscalers_);
  look(budgets_);
}

void OperatorCore::publish(PoolRecord& record, const api::InferencePool& pool, pool::Plan& plan, api::Now now,
                           Effects& out) {
  if (plan.agreed) record.agreed = plan.agreed;
  if (!plan.publish) {
    // All events so far are accounted for: the list says what they lead to. Not so while it is left alone
    // because our pods are behind it: then they are yet to lead to something.
    if (!record.behind_since) record.first_event_at.clear();
    return;
  }
  kube::TimePoint first_seen = now.mono;
  for (const auto& [uid, when] : record.first_event_at) first_seen = std::min(first_seen, when);
  // The write takes them along: by the time of its answer, its own watch event may have had them cleared.
  std::vector<kube::TimePoint> began;
  for (const pool::EndpointChange& change : plan.publish->changes) {
    const auto event = record.first_event_at.find(change.uid);
    began.push_back(event == record.first_event_at.end() ? now.mono : event->second);
  }
  const auto trigger = now.wall - std::chrono::duration_cast<api::Timestamp::duration>(now.mono - first_seen);
  auto call = publish::config_map(pool, plan.publish->write, trigger);
  const std::size_t content = content_of(plan.publish->write.set);
  send(PublishWrite{std::move(*plan.publish), std::move(began)},
       {Written::kConfigMap, {pool.ns, record.config_map}}, record, std::move(call), Expect::kConfigMap, now,
       out, content);
}

void OperatorCore::write_rest(PoolRecord& record, const api::InferencePool& pool, pool::Plan& plan,
                              api::Now now, Effects& out) {
  if (plan.scale_target) {
    record.replicas_in_flight |= send(ScaleTargetWrite{*plan.scale_target, std::move(plan.scale_event)},
                                      {Written::kTarget, {pool.ns, record.target}}, record,
                                      publish::scale_target(pool, *plan.scale_target), Expect::kText, now,
                                      out, content_of(*plan.scale_target));
  }
  if (plan.service) {
    send(ServiceWrite{std::move(plan.service_event)}, {Written::kService, {pool.ns, record.service}}, record,
         publish::service(pool, *plan.service), Expect::kService, now, out, content_of(*plan.service));
  }
  if (plan.budget) {
    auto call = publish::disruption_budget(pool, *plan.budget);
    send(BudgetWrite{}, {Written::kBudget, {pool.ns, plan.budget->name}}, record, std::move(call),
         Expect::kBudget, now, out, content_of(*plan.budget));
  }
  forget_needless_errors(record, plan, now);
  label_pods(record, plan, now, out);
  write_pool(record, pool, plan, now, out);
}

// A write that failed and is not wanted any more will never succeed, and so never take its error back.
void OperatorCore::forget_needless_errors(PoolRecord& record, const pool::Plan& plan, api::Now now) {
  const auto forget = [&](bool wanted, std::string& error) {
    if (wanted || error.empty()) return;
    error.clear();
    mark(record, now);
  };
  forget(plan.scale_target.has_value(), record.scale_error);
  forget(plan.service.has_value(), record.service_error);
  forget(plan.budget.has_value(), record.budget_error);
  if (record.label_errors.empty()) return;
  std::set<std::string_view> wanted;
  for (const api::PodLabelWrite& label : plan.pod_labels) wanted.insert(label.uid);
  const auto needless = std::erase_if(record.label_errors, [&](const auto& item) {
    return !wanted.contains(item.first) && !labels_under_way_.contains(item.first);
  });
  if (needless > 0) mark(record, now);
}

// The pool itself takes one write at a time: first what others wait for, then how things stand.
void OperatorCore::write_pool(PoolRecord& record, const api::InferencePool& pool, pool::Plan& plan,
                              api::Now now, Effects& out) {
  const WrittenObject object{Written::kPool, record.key};
  if (plan.adopt_replicas) {
    record.replicas_in_flight |=
        send(AdoptReplicasWrite{*plan.adopt_replicas, std::move(plan.adopt_event)}, object, record,
             publish::adopt_replicas(pool, *plan.adopt_replicas), Expect::kPool, now, out);
  } else if (plan.status) {
    const bool in_vain = !record.dropped_fields.empty() && *plan.status == record.status_wanted &&
                         pool.status == record.status_stored &&
                         now.mono < record.status_asked_at + kStatusAskedAgain;
    if (in_vain) return;
    if (now.mono < record.status_not_before) {
      queue_.add_after(record.key, record.status_not_before - now.mono, now.mono);
      return;
    }
    auto call = publish::status(pool, *plan.status);
    if (send(StatusWrite{std::move(*plan.status), pool.status.conditions}, object, record, std::move(call),
             Expect::kPool, now, out)) {
      record.status_not_before =
          now.mono + (record.dropped_fields.empty() ? kStatusInterval : kStatusIntervalInVain);
    }
  }
}

void OperatorCore::label_pods(const PoolRecord& record, const pool::Plan& plan, api::Now now, Effects& out) {
  for (const api::PodLabelWrite& label : plan.pod_labels) {
    if (labels_in_flight_ >= options_.label_writes_in_flight) {
      label_waiters_.insert(record.key);
      return;
    }
    const auto note = plan.drain_notes.find(label.uid);
    send(PodLabelWrite{label, note == plan.drain_notes.end() ? std::nullopt : std::optional{note->second}},
         {Written::kPod, {record.key.ns, label.name}}, record, publish::pod_label(record.key.ns, label),
         Expect::kPod, now, out, content_of(label));
  }
}

// Where some of a ReplicaSet's pods drain, it has too many. They are released for it to take, and the others
// stay held until it has had the time: it would take any of them.
void OperatorCore::let_drained_go_first(const std::vector<PodPtr>& strays, kube::TimePoint now) {
  std::set<std::string_view> drain;  // UIDs of controllers
  for (const PodPtr& pod : strays) {
    const auto state = pool::drain_state(pod->serving, pod->drain_marks());
    if (!pool::drains(state) || pod->controller->empty() || !pool::is_active(*pod) || may_be_of_a_pool(*pod))
      continue;
    drain.insert(*pod->controller);
    GoFirst& wait =
        go_first_.try_emplace(*pod->controller, GoFirst{now, now + kDrainedGoFirst}).first->second;
    // Its time begins when its label says that it may go.
    if (std::holds_alternative<pool::Draining>(state) && now < wait.began + kReleaseLimit)
      wait.until = now + kDrainedGoFirst;
  }
  std::erase_if(go_first_,
                [&](const auto& item) { return !drain.contains(item.first) && item.second.until <= now; });
}

// What to write of a pod that no pool selects any more; nothing if that has to wait.
std::optional<api::PodLabelWrite> OperatorCore::stray_write(const api::Pod& pod, kube::TimePoint now) {
  const auto wait = go_first_.find(*pod.controller);
  if (wait == go_first_.end() || wait->second.until <= now) return pool::take_off(pod);
  strays_due_ = std::min(wait->second.until, strays_due_.value_or(wait->second.until));
  const auto state = pool::drain_state(pod.serving, pod.drain_marks());
  return std::holds_alternative<pool::Draining>(state) ? std::optional{pool::release(pod)} : std::nullopt;
}

// Of one that does not know whom it selects: it has the pod on its list, or its status tells whom it
// selected, which an operator that is new knows no other way.
bool OperatorCore::may_be_of_a_pool(const api::Pod& pod) {
  const auto selected = [&](const PoolRecord& record) {
    const auto pool = pools_.store().find(record.key);
    return pool && !pool->status.selector.empty() && api::may_select(pool->status.selector, *pod.labels);
  };
  const auto pools = table_.in_namespace(pod.ns, [&](const PoolRecord& record) {
    if (record.deleting || record.selector_known) return false;
    return record.once_published.contains(pod.uid) || (!record.selector && selected(record));
  });
  return !pools.empty();
}

// Our label or marks on a pod that no pool selects: it was relabelled out, or its pool went while nobody was
// looking.
void OperatorCore::unlabel_strays(api::Now now, Effects& out) {
  strays_due_.reset();
  const auto& strays = pods_.store().by_index(pods_by_pool_, kStrayIndex);
  let_drained_go_first(strays, now.mono);
  for (const PodPtr& pod : strays) {
    if (labels_in_flight_ >= options_.label_writes_in_flight || may_be_of_a_pool(*pod)) continue;
    const auto write = stray_write(*pod, now.mono);
    if (!write) continue;
    PoolRecord nobody;
    nobody.key = {pod->ns, ""};
    const WrittenObject object{Written::kPod, {pod->ns, pod->name}};
    if (const auto until = ledger_.blocked_until(object, now.mono, content_of(*write))) {
      // No pool comes back for it. One that is in flight is answered, and that is a step.
      if (*until != kube::TimePoint::max()) strays_due_ = std::min(*until, strays_due_.value_or(*until));
      continue;
    }
    send(PodLabelWrite{*write, std::nullopt}, object, nobody, publish::pod_label(pod->ns, *write),
         Expect::kPod, now, out, content_of(*write));
  }
}

bool OperatorCore::send(Purpose purpose, WrittenObject object, const PoolRecord& record, kube::Call call,
                        Expect expect, api::Now now, Effects& out, std::optional<std::size_t> content) {
  if (const auto until = ledger_.blocked_until(object, now.mono, content)) {
    if (!record.key.name.empty()) {
      const bool in_flight = *until == kube::TimePoint::max();
      queue_.add_after(record.key, in_flight ? kInFlightElsewhere : *until - now.mono, now.mono);
    }
    return false;
  }
  ledger_.sent(object, content);
  if (const auto* label = std::get_if<PodLabelWrite>(&purpose)) {
    ++labels_in_flight_;
    labels_under_way_.insert_or_assign(label->what.uid, label->what.serving.value_or(std::string()));
  }
  send_unguarded(std::move(purpose), std::move(object), record, std::move(call), expect, now, out);
  return true;
}

void OperatorCore::send_unguarded(Purpose purpose, WrittenObject object, const PoolRecord& record,
                                  kube::Call call, Expect expect, api::Now now, Effects& out) {
  call.deadline = std::chrono::duration_cast<std::chrono::milliseconds>(options_.write_timeout);
  const std::uint64_t id = ++last_id_;
  pending_.emplace(
      id, Pending{std::move(purpose), std::move(object), record.key, record.uid, call.verb, now.mono});
  out.sends.push_back(Send{id, std::move(call), expect});
}

}  // namespace poolwarden::control
