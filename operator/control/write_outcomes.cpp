#include "control/write_outcomes.h"

#include "api/names.h"
#include "pool/conditions.h"
#include "pool/endpoints.h"
#include "pool/status.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace poolwarden::control {
namespace {

// How long a ConfigMap that our watch does not show is taken to be as it was when it was looked up.
constexpr kube::Duration kForeignMemory = std::chrono::minutes(1);
constexpr std::uint32_t kFailuresBeforeReport = 3;

double in_milliseconds(kube::Duration duration) {
  return std::chrono::duration<double, std::milli>(duration).count();
}

// A passing failure mends itself; what a person must see is one that will not, or that does not stop.
bool should_report(const kube::Error& error, std::uint32_t failures) {
  switch (error.cls) {
    case kube::ErrorClass::kForbidden:
    case kube::ErrorClass::kTerminal:
      return true;
    case kube::ErrorClass::kRetry:
      return failures >= kFailuresBeforeReport;
    default:
      return false;
  }
}

// What the API server says of a refusal names the cause; this adds what a person can do about it. The words
// are those of the API server's admission plugins.
std::string with_advice(const std::string& message) {
  constexpr std::pair<std::string_view, std::string_view> kAdvice[] = {
      {"exceeded quota", "raise that ResourceQuota, or delete what else it counts"},
      {"ValidatingAdmissionPolicy", "let that policy pass what the operator's service account writes"},
      {"admission webhook", "let that webhook pass what the operator's service account writes"},
      {"is being terminated", "the namespace is being deleted, and the pool goes with it"},
  };
  for (const auto& [words, advice] : kAdvice) {
    if (message.find(words) != std::string::npos) return fmt::format("{}; {}", message, advice);
  }
  return message;
}

std::string_view reason_of(const kube::Error& error) {
  switch (error.cls) {
    case kube::ErrorClass::kForbidden:
      return api::failure::kForbidden;
    case kube::ErrorClass::kTerminal:
      return api::failure::kInvalid;
    default:
      return api::failure::kWriteFailed;
  }
}

// Where an object's failed writes are remembered. Each pod its own: that another's label was taken says
// nothing about this one's. True if something changed.
bool remember_error(PoolRecord& record, const PendingCall& call, std::string reason, std::string text) {
  WriteErrors& errors = record.errors;
  const auto put = [&text](std::string& where) { return std::exchange(where, text) != text; };
  switch (call.object.kind) {
    case Written::kConfigMap: {
      const std::string& name = call.object.key.name;
      if (text.empty()) return errors.config_maps.erase(name) > 0;
      WriteErrors::OfConfigMap& error = errors.config_maps[name];
      error.reason = std::move(reason);
      return put(error.text);
    }
    case Written::kService:
      return put(errors.service);
    case Written::kEndpointSlice: {
      const std::string& name = call.object.key.name;
      if (text.empty()) return errors.slices.erase(name) > 0;
      return put(errors.slices[name]);
    }
    case Written::kTarget:
    case Written::kStatefulTarget:
    case Written::kGroupTarget:
    case Written::kRolloutTarget:
      return put(errors.scale);
    case Written::kBudget:
      return put(errors.budget);
    case Written::kPod: {
      const auto* label = std::get_if<PodLabelWrite>(&call.purpose);
      if (label == nullptr) return false;
      if (text.empty()) return errors.labels.erase(label->what.uid) > 0;
      return put(errors.labels[label->what.uid]);
    }
    case Written::kPool:
      break;  // where the condition would be written is what cannot be written; the log line has to do
  }
  return false;
}

bool withdraws(const PendingCall& call) {
  const auto* list = std::get_if<PublishWrite>(&call.purpose);
  return list != nullptr &&
         std::any_of(list->what.changes.begin(), list->what.changes.end(),
                     [](const auto& change) { return change.reason != pool::Withdrawal::kNone; });
}

}  // namespace

std::string_view WriteOutcomes::kind_of(const PendingCall& call) {
  if (std::holds_alternative<EventWrite>(call.purpose)) return "Event";
  return to_string(call.object.kind);
}

void WriteOutcomes::take(AnsweredCall answered, kube::Result<Answer> answer, api::Now now, Effects& out) {
  PendingCall& call = answered.call;
  PoolRecord* record = table_.find(call.pool.key);
  if (record != nullptr && record->uid != call.pool.uid) record = nullptr;  // a namesake's answer
  const bool replicas = std::holds_alternative<ScaleTargetWrite>(call.purpose) ||
                        std::holds_alternative<AdoptReplicasWrite>(call.purpose);
  if (record != nullptr && replicas) record->replicas_in_flight = false;
  if (!answer) {
    failed(answered, record, answer.error(), now, out);
    if (record != nullptr)
      router_.mark(*record, now, withdraws(call) ? kube::Lane::kUrgent : lane_of(*record));
    return;
  }
  const bool cleared = record != nullptr && remember_error(*record, call, {}, {});
  const Answered in{answered, record, *answer, now, out};
  const bool look = std::visit([&](auto& purpose) { return succeeded(in, purpose); }, answered.call.purpose);
  if (record != nullptr && (look || cleared)) router_.mark(*record, now, lane_of(*record));
}

// An answer is no reason to go before other pools, unless endpoints are still on the list that are unfit.
kube::Lane WriteOutcomes::lane_of(const PoolRecord& record) {
  return record.list.withdrawal_due() ? kube::Lane::kUrgent : kube::Lane::kNormal;
}

template <class Kind>
bool WriteOutcomes::observe(const Answered& in) {
  auto* object = std::get_if<typename Kind::Object>(&in.answer);
  if (object == nullptr) return false;
  const kube::ObjectKey key{object->ns, object->name};
  const std::string version = object->resource_version;
  feeds_.observe<Kind>(std::move(*object), in.now.mono, [&](const auto& delta) {
    if constexpr (std::is_same_v<Kind, Pools>) router_.wrote(delta);
  });
  const auto there = feeds_.store<Kind>().find(key);
  return in.answered.changed_meanwhile && (!there || there->resource_version != version);
}

bool WriteOutcomes::succeeded(const Answered& in, PublishWrite& write) {
  auto* config_map = std::get_if<api::ConfigMap>(&in.answer);
  const std::string version = config_map == nullptr ? std::string() : config_map->resource_version;
  observe<ConfigMaps>(in);
  if (in.record == nullptr) return false;
  for (std::size_t i = 0; i < write.what.changes.size(); ++i)
    tell_change(*in.record, write, i, in.now, in.out);
  router_.consumers().list_written(in.record->key, write.what.write.set.shard, write.what.write.set.revision,
                                   in.now.mono);
  in.record->list.written(write.what, version);
  if (write.what.event) events_.pool(*in.record, *write.what.event, in.now);
  // Events that came while the write was under way are still to be published.
  in.record->list.stop_watches_until(in.call().sent_at);
  return true;
}

void WriteOutcomes::tell_change(PoolRecord& record, const PublishWrite& write, std::size_t index,
                                api::Now now, Effects& out) {
  const pool::EndpointChange& change = write.what.changes[index];
  const kube::Duration latency = now.mono - write.began[index];
  const std::string pod = record.key.ns + "/" + change.pod;
  if (change.reason == pool::Withdrawal::kNone) {
    out.logs.push_back({telemetry::Level::kInfo,
                        change.again ? "readmitted pod" : "admitted pod",
                        {{"pod", pod}, {"pool", record.key.to_string()}, {"ip", change.ip}}});
    if (!change.again) return;
    return events_.pod(record, change.pod, change.uid,
                       {std::string(api::event::kReadmitted), false,
                        fmt::format("{} is ready again and back in the list", change.pod)},
                       now);
  }
  metrics_.withdrawal(latency);
  const std::string reason(pool::to_string(change.reason));
  out.logs.push_back({telemetry::Level::kInfo,
                      write.for_leader ? "withdrew pod in place of the leader" : "withdrew pod",
                      {{"pod", pod},
                       {"pool", record.key.to_string()},
                       {"reason", reason},
                       {"detail", change.detail},
                       {"latency_ms", fmt::format("{:.2f}", in_milliseconds(latency))}}});
  if (write.for_leader) return metrics_.standby_withdrawal();  // whoever leads tells of what it finds
  if (change.reason == pool::Withdrawal::kDraining) return;    // told by its label, as DrainStarted
  events_.withdrawn(
      record, change,
      {std::string(api::event::kWithdrawn), false,
       fmt::format("{} left the list of endpoints: {}{}{} ({:.1f} ms after the event)", change.pod, reason,
                   change.detail.empty() ? "" : ", ", change.detail, in_milliseconds(latency))},
      now);
}

// The answer is a Scale; from it the target's new state is known before the watch brings it. Without that,
// the old count in the cache would look as if someone had scaled the target back.
template <class Kind>
void WriteOutcomes::know_scaled_target(const PoolRecord& record, const ScaleTargetWrite& write,
                                       const Answer& answer, api::Now now) {
  const auto target = feeds_.store<Kind>().find({record.key.ns, record.target});
  const auto* text = std::get_if<std::string>(&answer);
  if (!target || text == nullptr) return;
  const auto scale = nlohmann::json::parse(*text, nullptr, false);
  api::Identity identity;
  api::read_identity(scale, identity);
  if (identity.uid != target->uid || identity.resource_version.empty()) return;
  typename Kind::Object now_known = *target;
  now_known.resource_version = identity.resource_version;
  now_known.replicas = write.what.to;
  feeds_.observe<Kind>(std::move(now_known), now.mono,
                       [&](const auto& delta) { router_.changed(delta, now); });
}

bool WriteOutcomes::succeeded(const Answered& in, ScaleTargetWrite& write) {
  if (in.record == nullptr) return false;
  in.record->agreed = api::Agreement{write.what.agreed, write.what.target_uid};
  in.record->replica_moves.scaled(write.what.from, write.what.to, in.now.mono);
  if (write.event) events_.pool(*in.record, *write.event, in.now);
  in.out.logs.push_back({telemetry::Level::kInfo,
                         "scaled the target",
                         {{"pool", in.record->key.to_string()},
                          {"target", in.record->target},
                          {"from", std::to_string(write.what.from)},
                          {"to", std::to_string(write.what.to)}}});
  visit_target(in.record->target_kind,
               [&]<class Kind>() { know_scaled_target<Kind>(*in.record, write, in.answer, in.now); });
  return true;
}

bool WriteOutcomes::succeeded(const Answered& in, AdoptReplicasWrite& write) {
  observe<Pools>(in);
  if (in.record == nullptr) return false;
  in.record->agreed = api::Agreement{write.what.to, write.what.target_uid};
  if (write.what.from) in.record->replica_moves.adopted(*write.what.from, write.what.to, in.now.mono);
  if (write.event) events_.pool(*in.record, *write.event, in.now);
  in.out.logs.push_back(
      {telemetry::Level::kInfo,
       "took over the target's replicas",
       {{"pool", in.record->key.to_string()}, {"replicas", std::to_string(write.what.to)}}});
  return true;
}

bool WriteOutcomes::succeeded(const Answered& in, ServiceWrite& write) {
  if (in.record != nullptr && write.event) events_.pool(*in.record, *write.event, in.now);
  const bool look = observe<Services>(in);
  return look || write.leads_on;
}

bool WriteOutcomes::succeeded(const Answered& in, EndpointSliceWrite& write) {
  const bool look = observe<EndpointSlices>(in) || write.leads_on;
  if (in.record == nullptr) return look;
  auto& written = in.record->slices_written;
  if (!write.content) {
    written.erase(write.name);
    return look;
  }
  // What it was last made to say is what it had to be made to say again.
  const auto [last, is_new] = written.try_emplace(write.name, *write.content);
  const bool undone = !is_new && std::exchange(last->second, *write.content) == *write.content;
  if (undone)
    events_.pool(*in.record,
                 {std::string(api::event::kOverwriteUndone), true,
                  fmt::format("EndpointSlice {} was changed or deleted by someone else; put back. Poolwarden "
                              "keeps it, so change the pool or its pods instead",
                              write.name)},
                 in.now);
  return look;
}

bool WriteOutcomes::succeeded(const Answered& in, BudgetWrite&) {
  return observe<Budgets>(in);
}

bool WriteOutcomes::succeeded(const Answered& in, PodLabelWrite& write) {
  observe<Pods>(in);
  router_.wrote_label({in.call().object.key.ns, write.what.name}, in.record, in.now);
  if (in.record != nullptr && write.note) report_drain(*in.record, write, in.now, in.out);
  // Of a drain, the next step follows; and of a pod that changed meanwhile, another label.
  return write.note || !write.what.annotations.empty() || in.answered.changed_meanwhile;
}

void WriteOutcomes::report_drain(PoolRecord& record, const PodLabelWrite& label, api::Now now, Effects& out) {
  const pool::DrainNote& note = *label.note;
  const bool ended = note.step != pool::DrainResult::kNone && note.step != pool::DrainResult::kStarted;
  if (ended) metrics_.drained(pool::to_string(note.step), note.took);
  out.logs.push_back({note.event.warning ? telemetry::Level::kWarn : telemetry::Level::kInfo,
                      note.event.message,
                      {{"pod", record.key.ns + "/" + label.what.name}, {"pool", record.key.to_string()}}});
  events_.pod(record, label.what.name, label.what.uid, note.event, now);
}

bool WriteOutcomes::succeeded(const Answered& in, StatusWrite& write) {
  bool look = false;
  const auto* stored = std::get_if<api::InferencePool>(&in.answer);
  if (in.record != nullptr && stored != nullptr) {
    report_degraded(*in.record, write.before.conditions, stored->status, in.now);
    look = compare_status(*in.record, write.what, stored->status, in.now, in.out);
    // What replicas wait for is in status.
    look |= pool::is_news(write.before, stored->status);
  }
  return observe<Pools>(in) || look;
}

// A definition older than this program does not know all of status: the API server leaves out those fields
// without a word, and each pass would write them again.
bool WriteOutcomes::compare_status(PoolRecord& record, const api::PoolStatus& wanted,
                                   const api::PoolStatus& stored, api::Now now, Effects& out) {
  auto dropped = api::differing_fields(wanted, stored);
  record.status.wanted = wanted;
  record.status.stored = stored;
  record.status.asked_at = now.mono;
  if (dropped == record.status.dropped_fields) return false;
  record.status.dropped_fields = std::move(dropped);
  if (!record.status.dropped_fields.empty()) {
    out.logs.push_back({telemetry::Level::kWarn,
                        pool::outdated_definition(record.status.dropped_fields),
                        {{"pool", record.key.to_string()}}});
  }
  return true;
}

// Once when something goes wrong, and when it is something else: people look at Events first.
void WriteOutcomes::report_degraded(const PoolRecord& record, const std::vector<api::Condition>& before,
                                    const api::PoolStatus& stored, api::Now now) {
  const auto* is = api::find_condition(stored.conditions, api::condition::kDegraded);
  const auto* was = api::find_condition(before, api::condition::kDegraded);
  if (is == nullptr || is->status != "True") return;
  if (was != nullptr && was->status == is->status && was->reason == is->reason) return;
  events_.pool(record,
               {std::string(api::event::kDegraded), true, fmt::format("{}: {}", is->reason, is->message)},
               now);
}

bool WriteOutcomes::succeeded(const Answered& in, ConfigMapLookup&) {
  if (in.record == nullptr) return false;
  auto map = std::get<api::ConfigMap>(std::move(in.answer));
  const auto label = map.labels.find(api::kPoolLabel);
  const bool may_be_ours =
      pool::is_owned_by(map, in.record->uid) ||
      (map.owners.empty() && label != map.labels.end() && label->second == in.record->key.name);
  if (!may_be_ours) {  // who has it is all that is told of it
    std::string().swap(map.endpoints_json);
    std::string().swap(map.endpoints_text);
  }
  in.record->unlabelled[in.call().object.key.name] = {std::move(map), in.now.mono + kForeignMemory};
  return true;
}

void WriteOutcomes::failed(const AnsweredCall& answered, PoolRecord* record, const kube::Error& error,
                           api::Now now, Effects& out) {
  const PendingCall& call = answered.call;
  if (error.cls == kube::ErrorClass::kShutdown) return;
  metrics_.retried();  // what it was for is decided anew, and sent again when the throttle allows
  const auto* list = std::get_if<PublishWrite>(&call.purpose);
  const bool publishing = list != nullptr;
  // The stopwatch runs on: another shard's answer may have stopped it meanwhile.
  for (std::size_t i = 0; publishing && record != nullptr && i < list->began.size(); ++i)
    record->list.saw_event(list->what.changes[i].uid, list->began[i]);
  if (publishing && error.already_exists() && record != nullptr)
    return look_up(call.object, *record, now, out);
  const bool slice_taken = call.object.kind == Written::kEndpointSlice && error.already_exists();
  if (!slice_taken && !should_report(error, answered.failures)) return;
  std::string message = with_advice(error.message);
  if (slice_taken)
    message += fmt::format("; it lacks our labels or those of this pool: kubectl delete endpointslice {}",
                           call.object.key.name);
  out.logs.push_back({telemetry::Level::kWarn,
                      "a write failed",
                      {{"object", call.object.key.to_string()},
                       {"kind", std::string(kind_of(call))},
                       {"pool", call.pool.key.to_string()},
                       {"error", message}}});
  if (record == nullptr || (publishing && list->for_leader)) return;
  remember_error(*record, call, std::string(reason_of(error)), message);
  if (!publishing) return;
  events_.pool(*record,
               {std::string(api::event::kPublishFailed), true,
                "the last list of endpoints stays published: " + message},
               now);
}

// Our create was refused because the name is there, yet our watch does not show it: it lacks our label.
// Whose it is decides what happens next.
void WriteOutcomes::look_up(const WrittenObject& config_map, const PoolRecord& record, api::Now now,
                            Effects& out) {
  const kube::ObjectKey& key = config_map.key;
  writes_.hold(config_map);
  writes_.send_unthrottled(ConfigMapLookup{}, config_map, {record.key, record.uid},
                           kube::get(kube::kConfigMaps, key.ns, key.name), Expect::kConfigMap, now.mono, out);
}

}  // namespace poolwarden::control
