// What became of the writes: caches, memory, events, log lines and measurements follow the acknowledgement,
// never the intention.
#include "api/names.h"
#include "control/operator_core.h"
#include "pool/conditions.h"
#include "publish/calls.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace poolwarden::control {
namespace {

// A ConfigMap that is not ours is looked at again after this.
constexpr kube::Duration kForeignMemory = std::chrono::seconds(60);
constexpr std::uint32_t kFailuresBeforeTelling = 3;

double milliseconds(kube::Duration duration) {
  return std::chrono::duration<double, std::milli>(duration).count();
}

std::string_view result_of(const kube::Error& error) {
  return kube::to_string(error.cls);
}

// A passing failure mends itself; what a person must see is one that will not, or that does not stop.
bool worth_telling(const kube::Error& error, std::uint32_t failures) {
  switch (error.cls) {
    case kube::ErrorClass::kForbidden:
    case kube::ErrorClass::kTerminal:
      return true;
    case kube::ErrorClass::kRetry:
      return failures >= kFailuresBeforeTelling;
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

const api::Condition* find_condition(const std::vector<api::Condition>& conditions, std::string_view type) {
  const auto found = std::find_if(conditions.begin(), conditions.end(),
                                  [type](const api::Condition& condition) { return condition.type == type; });
  return found == conditions.end() ? nullptr : &*found;
}

kube::Result<std::string> text_of(kube::Result<Answer> answer) {
  if (!answer) return tl::unexpected(std::move(answer.error()));
  return std::get<std::string>(std::move(*answer));
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

}  // namespace

void OperatorCore::answered(CallAnswered answer, api::Now now, Effects& out) {
  auto node = pending_.extract(answer.id);
  if (!node) return;
  Pending& pending = node.mapped();
  const std::string_view result =
      answer.answer ? std::string_view("success") : result_of(answer.answer.error());
  meters_.call_took(pending.verb, result, now.mono - pending.sent_at);
  if (const auto* lease = std::get_if<LeaseCall>(&pending.purpose)) {
    lease_outputs(elector_->answer(lease->attempt, text_of(std::move(answer.answer)), now.mono, now.wall),
                  now, out);
    return;
  }
  if (pending.verb != kube::Verb::kGet) meters_.wrote(kind_of(pending), result);
  if (const auto* event = std::get_if<EventWrite>(&pending.purpose)) {
    event_in_flight_ = false;
    events_.finished(event->id, text_of(std::move(answer.answer)), now.mono);
    return;
  }
  if (const auto* label = std::get_if<PodLabelWrite>(&pending.purpose)) {
    --labels_in_flight_;
    labels_under_way_.erase(label->what.uid);
    for (const kube::ObjectKey& waiter : std::exchange(label_waiters_, {})) queue_.add(waiter, now.mono);
  }
  if (std::holds_alternative<ScaleTargetWrite>(pending.purpose) ||
      std::holds_alternative<AdoptReplicasWrite>(pending.purpose)) {
    PoolRecord* record = table_.find(pending.pool);
    if (record != nullptr && record->uid == pending.pool_uid) record->replicas_in_flight = false;
  }
  if (answer.answer) {
    succeeded(pending, std::move(*answer.answer), now, out);
  } else {
    failed(pending, answer.answer.error(), now, out);
  }
  // Whatever changed while this write was under way is decided now, as one.
  if (PoolRecord* record = table_.find(pending.pool)) mark(*record, now, kube::Lane::kUrgent);
}

std::string_view OperatorCore::kind_of(const Pending& pending) {
  if (std::holds_alternative<EventWrite>(pending.purpose)) return "Event";
  return to_string(pending.object.kind);
}

void OperatorCore::succeeded(Pending& pending, Answer answer, api::Now now, Effects& out) {
  ledger_.succeeded(pending.object, now.mono);
  PoolRecord* record = table_.find(pending.pool);
  if (record != nullptr && record->uid != pending.pool_uid) record = nullptr;  // a namesake's answer
  if (record != nullptr) forget_error(*record, pending);

  if (std::holds_alternative<ConfigMapLookup>(pending.purpose)) {
    if (record != nullptr) {
      record->unlabelled = std::get<api::ConfigMap>(std::move(answer));
      record->unlabelled_until = now.mono + kForeignMemory;
    }
    return;
  }
  if (record != nullptr) {
    if (auto* publish = std::get_if<PublishWrite>(&pending.purpose)) {
      acknowledged(*record, *publish, pending.sent_at, now, out);
    } else if (auto* scale = std::get_if<ScaleTargetWrite>(&pending.purpose)) {
      scaled(*record, *scale, answer, now, out);
    } else if (auto* adopt = std::get_if<AdoptReplicasWrite>(&pending.purpose)) {
      record->agreed = api::Agreement{adopt->what.to, adopt->what.target_uid};
      if (adopt->event) note(*record, *adopt->event, now);
      out.logs.push_back({Severity::kInfo,
                          "took over the target's replicas",
                          {{"pool", record->key.to_string()}, {"replicas", std::to_string(adopt->what.to)}}});
    } else if (auto* service = std::get_if<ServiceWrite>(&pending.purpose)) {
      if (service->event) note(*record, *service->event, now);
    } else if (auto* label = std::get_if<PodLabelWrite>(&pending.purpose)) {
      labelled(*record, *label, now, out);
    } else if (auto* status = std::get_if<StatusWrite>(&pending.purpose)) {
      if (const auto* stored = std::get_if<api::InferencePool>(&answer)) {
        tell_of_degradation(*record, status->before, stored->status, now);
        compare_status(*record, status->what, stored->status, now, out);
      }
    }
  }
  // What we wrote is true from now on, whenever the watch brings it (rule: no decision on an older cache).
  if (auto* pod = std::get_if<api::Pod>(&answer)) {
    observe(pods_, std::move(*pod), now);
  } else if (auto* config_map = std::get_if<api::ConfigMap>(&answer)) {
    if (record != nullptr) record->published_from = config_map->resource_version;
    observe(config_maps_, std::move(*config_map), now);
  } else if (auto* of_service = std::get_if<api::Service>(&answer)) {
    observe(services_, std::move(*of_service), now);
  } else if (auto* budget = std::get_if<api::DisruptionBudget>(&answer)) {
    observe(budgets_, std::move(*budget), now);
  } else if (auto* of_pool = std::get_if<api::InferencePool>(&answer)) {
    observe(pools_, std::move(*of_pool), now);
  }
}

void OperatorCore::acknowledged(PoolRecord& record, const PublishWrite& published, kube::TimePoint sent_at,
                                api::Now now, Effects& out) {
  record.take_published(published.what.write.set);
  for (std::size_t i = 0; i < published.what.changes.size(); ++i) {
    const pool::EndpointChange& change = published.what.changes[i];
    const kube::Duration latency = now.mono - published.began[i];
    const std::string pod = record.key.ns + "/" + change.pod;
    if (change.reason == pool::Withdrawal::kNone) {
      out.logs.push_back({Severity::kInfo,
                          change.again ? "readmitted pod" : "admitted pod",
                          {{"pod", pod}, {"pool", record.key.to_string()}, {"ip", change.ip}}});
      if (change.again) {
        note_change(record, change,
                    {std::string(api::event::kReadmitted), false,
                     fmt::format("{} is ready again and back in the list", change.pod)},
                    now);
      }
      continue;
    }
    meters_.withdrawal(latency);
    const std::string reason(pool::to_string(change.reason));
    out.logs.push_back({Severity::kInfo,
                        "withdrew pod",
                        {{"pod", pod},
                         {"pool", record.key.to_string()},
                         {"reason", reason},
                         {"detail", change.detail},
                         {"latency_ms", fmt::format("{:.2f}", milliseconds(latency))}}});
    if (change.reason == pool::Withdrawal::kDraining) continue;  // told by its label, as DrainStarted
    note_change(
        record, change,
        {std::string(api::event::kWithdrawn), false,
         fmt::format("{} left the list of endpoints: {}{}{} ({:.1f} ms after the event)", change.pod, reason,
                     change.detail.empty() ? "" : ", ", change.detail, milliseconds(latency))},
        now);
  }
  if (published.what.event) note(record, *published.what.event, now);
  // Events that came while the write was under way are still to be published, so they keep their time.
  std::erase_if(record.first_event_at, [sent_at](const auto& item) { return item.second <= sent_at; });
}

void OperatorCore::scaled(PoolRecord& record, const ScaleTargetWrite& write, const Answer& answer,
                          api::Now now, Effects& out) {
  record.agreed = api::Agreement{write.what.agreed, write.what.target_uid};
  if (write.event) note(record, *write.event, now);
  out.logs.push_back({Severity::kInfo,
                      "scaled the target",
                      {{"pool", record.key.to_string()},
                       {"target", record.target},
                       {"from", std::to_string(write.what.from)},
                       {"to", std::to_string(write.what.to)}}});
  // The answer is a Scale; from it the Deployment's new state is known before the watch brings it. Without
  // that, the old count in the cache would look as if someone had scaled the target back.
  const auto target = deployments_.store().find({record.key.ns, record.target});
  const auto* text = std::get_if<std::string>(&answer);
  if (!target || text == nullptr) return;
  const auto scale = nlohmann::json::parse(*text, nullptr, false);
  api::Identity identity;
  api::read_identity(scale, identity);
  if (identity.uid != target->uid || identity.resource_version.empty()) return;
  api::Deployment now_known = *target;
  now_known.resource_version = identity.resource_version;
  now_known.replicas = write.what.to;
  observe(deployments_, std::move(now_known), now);
}

// A definition older than this program does not know all of status: the API server leaves out those fields
// without a word, and each pass would write them again.
void OperatorCore::compare_status(PoolRecord& record, const api::PoolStatus& wanted,
                                  const api::PoolStatus& stored, api::Now now, Effects& out) {
  auto dropped = api::differing_fields(wanted, stored);
  record.status_wanted = wanted;
  record.status_stored = stored;
  record.status_asked_at = now.mono;
  if (dropped == record.dropped_fields) return;
  record.dropped_fields = std::move(dropped);
  if (record.dropped_fields.empty()) return;
  out.logs.push_back({Severity::kWarn,
                      pool::outdated_definition(record.dropped_fields),
                      {{"pool", record.key.to_string()}}});
}

// Once when something goes wrong, and when it is something else: people look at Events first.
void OperatorCore::tell_of_degradation(const PoolRecord& record, const std::vector<api::Condition>& before,
                                       const api::PoolStatus& stored, api::Now now) {
  const auto* is = find_condition(stored.conditions, api::condition::kDegraded);
  const auto* was = find_condition(before, api::condition::kDegraded);
  if (is == nullptr || is->status != "True") return;
  if (was != nullptr && was->status == is->status && was->reason == is->reason) return;
  note(record, {std::string(api::event::kDegraded), true, fmt::format("{}: {}", is->reason, is->message)},
       now);
}

void OperatorCore::failed(Pending& pending, const kube::Error& error, api::Now now, Effects& out) {
  ledger_.failed(pending.object, error, now.mono);
  if (error.cls == kube::ErrorClass::kShutdown) return;
  meters_.retried();  // what it was for is decided anew, and sent again when the ledger allows
  PoolRecord* record = table_.find(pending.pool);
  if (record != nullptr && record->uid != pending.pool_uid) record = nullptr;
  const bool publishing = std::holds_alternative<PublishWrite>(pending.purpose);
  if (publishing && error.already_exists() && record != nullptr) {
    look_up_config_map(*record, now, out);
    return;
  }
  if (!worth_telling(error, ledger_.failures(pending.object))) return;
  const std::string message = with_advice(error.message);
  out.logs.push_back({Severity::kWarn,
                      "a write failed",
                      {{"object", pending.object.key.to_string()},
                       {"kind", std::string(kind_of(pending))},
                       {"pool", pending.pool.to_string()},
                       {"error", message}}});
  if (record == nullptr) return;
  remember_error(*record, pending, std::string(reason_of(error)), message);
  if (publishing) {
    note(*record,
         {std::string(api::event::kPublishFailed), true,
          "the last list of endpoints stays published: " + message},
         now);
  }
}

// Our create was refused because the name is there, yet our watch does not show it: it lacks our label.
// Whose it is decides what happens next.
void OperatorCore::look_up_config_map(const PoolRecord& record, api::Now now, Effects& out) {
  const kube::ObjectKey key{record.key.ns, record.config_map};
  const WrittenObject object{Written::kConfigMap, key};
  ledger_.sent(object);
  send_unguarded(ConfigMapLookup{}, object, record, kube::get(kube::kConfigMaps, key.ns, key.name),
                 Expect::kConfigMap, now, out);
}

void OperatorCore::remember_error(PoolRecord& record, const Pending& pending, std::string reason,
                                  std::string text) {
  switch (pending.object.kind) {
    case Written::kConfigMap:
      record.config_map_error = std::move(text);
      record.config_map_error_reason = std::move(reason);
      break;
    case Written::kService:
      record.service_error = std::move(text);
      break;
    case Written::kTarget:
      record.scale_error = std::move(text);
      break;
    case Written::kBudget:
      record.budget_error = std::move(text);
      break;
    case Written::kPod:
      // Each pod its own: that another's label was taken says nothing about this one's.
      if (const auto* label = std::get_if<PodLabelWrite>(&pending.purpose)) {
        record.label_errors.erase(label->what.uid);
        if (!text.empty()) record.label_errors.emplace(label->what.uid, std::move(text));
      }
      break;
    case Written::kPool:
      break;  // where the condition would be written is what cannot be written; the log line has to do
  }
}

void OperatorCore::forget_error(PoolRecord& record, const Pending& pending) {
  remember_error(record, pending, {}, {});
}

void OperatorCore::note(const PoolRecord& record, const pool::EventNote& note, api::Now now) {
  kube::EventTarget target;
  target.api_version = std::string(api::kApiVersion);
  target.kind = std::string(api::kPoolKind);
  target.ns = record.key.ns;
  target.name = record.key.name;
  target.uid = record.uid;
  record_event(std::move(target), note, now);
}

void OperatorCore::note_change(const PoolRecord& record, const pool::EndpointChange& change,
                               const pool::EventNote& event, api::Now now) {
  note(record, event, now);
  kube::EventTarget target;
  target.api_version = "v1";
  target.kind = "Pod";
  target.ns = record.key.ns;
  target.name = change.pod;
  target.uid = change.uid;
  record_event(std::move(target), event, now);
}

void OperatorCore::record_event(kube::EventTarget target, const pool::EventNote& event, api::Now now) {
  const auto type = event.warning ? kube::EventType::kWarning : kube::EventType::kNormal;
  events_.record(target, type, event.reason, event.reason, event.message, now.mono, now.wall);
}

// One event at a time and after everything else: events explain, they must never delay.
void OperatorCore::post_events(api::Now now, Effects& out) {
  if (event_in_flight_ || !may_act(now.mono)) return;
  auto next = events_.next(now.mono);
  if (!next) return;
  event_in_flight_ = true;
  const PoolRecord nobody;
  send_unguarded(EventWrite{next->id}, {}, nobody, std::move(next->call), Expect::kText, now, out);
}

}  // namespace poolwarden::control
