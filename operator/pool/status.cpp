#include "pool/status.h"

#include "api/names.h"
#include "base/text.h"
#include "pool/conditions.h"
#include "pool/consumer_words.h"
#include "pool/load_words.h"
#include "pool/membership.h"
#include "pool/replica_sync.h"

#include <algorithm>

#include <fmt/format.h>

namespace poolwarden::pool {
namespace {

constexpr std::string_view kReady = "ready";
constexpr std::string_view kWithdrawn = "withdrawn";
constexpr std::size_t kMaxConsumerName = 256;      // and of its kind
constexpr std::size_t kMaxEndpointMessage = 1024;  // of an endpoint, in the definition

api::EndpointStatus plain_status(const PodVerdict& member, api::Timestamp now) {
  const api::Pod& pod = *member.pod;
  return {.pod = pod.name,
          .ip = pod.ip,
          .state = std::string{member.reason == Withdrawal::kNone ? kReady : kWithdrawn},
          .reason = std::string{to_string(member.reason)},
          .since = now,
          .in_flight = std::nullopt,
          .deadline = std::nullopt,
          .message = {}};
}

std::string waits_for(DrainReason reason) {
  switch (reason) {
    case DrainReason::kScaleDown:
    case DrainReason::kRollout:
      return "released: its controller deletes it";
    case DrainReason::kRequested:
      return "released, as a person asked: delete it, or take it back with kubectl poolwarden drain --undo";
    case DrainReason::kNodeCordoned:
    case DrainReason::kNodeTaint:
      break;
  }
  return "released: it waits to be evicted from its node";
}

void tell_load(const Observation& seen, const PodVerdict& member, api::EndpointStatus& out) {
  if (const auto* awaited = seen.snapshot->awaited_for(*member.pod)) out.message = wait_words(*awaited);
  const PodLoad* load = seen.snapshot->loads->find(member.pod->uid);
  if (load == nullptr) return;
  if (load->load) {
    constexpr double kMost = 1e9;
    out.in_flight = static_cast<std::int32_t>(std::min(load->load->in_flight, kMost));
  }
  const std::string remark = remark_on(*load);
  if (!remark.empty()) out.message += (out.message.empty() ? "" : "; ") + remark;
}

// As it was told before; null if it was not.
const api::EndpointStatus* told_before(const Observation& seen, const api::EndpointStatus& now) {
  const auto& before = seen.pool().status.endpoints;
  const auto same = std::find_if(before.begin(), before.end(), [&](const auto& endpoint) {
    return endpoint.pod == now.pod && endpoint.state == now.state && endpoint.reason == now.reason;
  });
  return same == before.end() ? nullptr : &*same;
}

// While its label cannot be written, each attempt would begin anew: it counts from the first that was told.
void tell_time(const Observation& seen, const PodVerdict& member, api::EndpointStatus& out) {
  const auto* before = told_before(seen, out);
  const bool is_written =
      !std::holds_alternative<NotDraining>(member.before) && seen.snapshot->is_written(*member.pod);
  out.since = before != nullptr && !is_written ? before->since : started(member.drain);
  out.deadline = out.since + seen.snapshot->drain_limit(*member.pod);
}

api::EndpointStatus endpoint_status(const Observation& seen, const PodVerdict& member, api::Timestamp now) {
  api::EndpointStatus out = plain_status(member, now);
  const auto* draining = std::get_if<Draining>(&member.drain);
  if (draining != nullptr || std::holds_alternative<Finishing>(member.drain)) {
    out.state = draining != nullptr ? api::serving::kDraining : api::serving::kFinishing;
    // That of one that finishes is why it is no endpoint.
    if (draining != nullptr) out.reason = to_string(draining->reason);
    tell_time(seen, member, out);
    tell_load(seen, member, out);
    return out;
  }
  if (const auto* drained = std::get_if<Drained>(&member.drain)) {
    out.state = api::serving::kDrained;
    out.reason = to_string(drained->reason);
    out.message = waits_for(member.cause.value_or(drained->reason));
  }
  if (out.state == kReady) out.message = member.waits;
  // What the pod itself does not show.
  const bool for_others =
      member.reason == Withdrawal::kGroupNotReady || member.reason == Withdrawal::kPreview;
  if (out.state == kWithdrawn && for_others) out.message = member.detail;
  if (const auto* before = told_before(seen, out)) out.since = before->since;
  return out;
}

// An HPA averages over the pods this selects: those that drain take no new work and would pull it down.
// So would those of a preview.
std::string scale_selector(const Observation& seen) {
  std::string out = fmt::format("{},{} notin ({},{})", seen.selector->to_string(), api::kServingLabel,
                                api::serving::kDrained, api::serving::kDraining);
  const api::Workload* target = seen.snapshot->target;
  if (target != nullptr && !target->active_template.empty())
    out += fmt::format(",{}={}", api::kTemplateHashLabel, target->active_template);
  return out;
}

// The list says who is ready. Status would say so of each pod again, and be written whenever one comes.
bool should_report(const api::EndpointStatus& endpoint) {
  return endpoint.state != kReady || !endpoint.message.empty();
}

void add_if_reported(const Observation& seen, const PodVerdict& pod, api::Timestamp now,
                     std::vector<api::EndpointStatus>& out) {
  api::EndpointStatus endpoint = endpoint_status(seen, pod, now);
  endpoint.message = base::cut(base::printable(endpoint.message), kMaxEndpointMessage);
  if (should_report(endpoint)) out.push_back(std::move(endpoint));
}

// What a person looks for comes first: who serves or drains, then who may serve yet, then what is left of
// others.
int rank(const api::EndpointStatus& endpoint) {
  if (endpoint.state != kWithdrawn) return 0;
  const bool has_ended = endpoint.reason == to_string(Withdrawal::kFailed) ||
                         endpoint.reason == to_string(Withdrawal::kSucceeded) ||
                         endpoint.reason == to_string(Withdrawal::kEvicted);
  return has_ended ? 2 : 1;
}

bool is_before(const api::EndpointStatus& a, const api::EndpointStatus& b) {
  return a.pod < b.pod;
}

// Sorted by name, as they are given.
void set_endpoints(std::vector<api::EndpointStatus> endpoints, api::PoolStatus& out) {
  if (endpoints.size() > api::kMaxStatusEndpoints) {
    std::stable_sort(
        endpoints.begin(), endpoints.end(),
        [](const api::EndpointStatus& a, const api::EndpointStatus& b) { return rank(a) < rank(b); });
    const auto end = endpoints.begin() + static_cast<std::ptrdiff_t>(api::kMaxStatusEndpoints);
    std::sort(endpoints.begin(), end, is_before);
  }
  const std::size_t shown = std::min(endpoints.size(), api::kMaxStatusEndpoints);
  out.endpoints_omitted = static_cast<std::int32_t>(endpoints.size() - shown);
  endpoints.resize(shown);
  out.endpoints = std::move(endpoints);
}

// Of a pool on hold, pods that are not known any more stay as they were last told.
void update_known(const Observation& seen, api::Timestamp now, api::PoolStatus& out) {
  std::vector<api::EndpointStatus> endpoints;
  for (const api::Pod* pod : seen.snapshot->pods) {
    PodVerdict known = judge(*seen.snapshot, *pod);
    if (is_active(*pod)) known.before = known.drain = drain_state(*pod);
    add_if_reported(seen, known, now, endpoints);
  }
  for (const api::EndpointStatus& endpoint : out.endpoints) {
    if (seen.pod(endpoint.pod) == nullptr && endpoint.state != kReady) endpoints.push_back(endpoint);
  }
  std::sort(endpoints.begin(), endpoints.end(), is_before);
  set_endpoints(std::move(endpoints), out);
}

void count_pods(const Observation& seen, api::Timestamp now, api::PoolStatus& out) {
  out.selector = scale_selector(seen);
  out.replicas = seen.target == TargetState::kFound ? seen.snapshot->target->status_replicas : seen.active();
  out.ready_replicas = static_cast<std::int32_t>(
      std::count_if(seen.members.begin(), seen.members.end(), [](const PodVerdict& member) {
        return is_active(*member.pod) && member.pod->ready == api::Tristate::kTrue &&
               member.reason != Withdrawal::kPreview;
      }));
  std::vector<api::EndpointStatus> endpoints;
  for (const PodVerdict& member : seen.members) add_if_reported(seen, member, now, endpoints);
  set_endpoints(std::move(endpoints), out);
  out.draining_replicas =
      static_cast<std::int32_t>(std::count_if(seen.members.begin(), seen.members.end(),
                                              [](const PodVerdict& member) { return drains(member.drain); }));
}

void tell_consumers(const Snapshot& snapshot, api::PoolStatus& out) {
  out.consumers = snapshot.consumers->slowest_first(snapshot.list_revisions);
  out.consumer_count = static_cast<std::int32_t>(out.consumers.size());
  out.consumers.resize(std::min(out.consumers.size(), api::kMaxStatusConsumers));
  for (api::ConsumerStatus& consumer : out.consumers) {
    consumer.name = base::cut(base::printable(consumer.name), kMaxConsumerName);
    consumer.kind = base::cut(base::printable(consumer.kind), kMaxConsumerName);
    if (consumer.applied_at)
      consumer.applied_at = std::chrono::floor<std::chrono::seconds>(*consumer.applied_at);
  }
}

}  // namespace

api::PoolStatus wanted_status(const Observation& seen, const Plan& plan, const PublishedList& list,
                              const std::string& service_note, api::Timestamp now) {
  const auto second = std::chrono::floor<std::chrono::seconds>(now);
  api::PoolStatus out = seen.pool().status;  // what cannot be told now stays
  out.observed_generation = seen.pool().generation;
  out.serving_replicas = list.ready;
  out.draining_replicas = 0;
  if (plan.agreed) {
    out.synced_replicas = plan.agreed->replicas;
    out.synced_target = plan.agreed->target;
  }
  // Taken back only once the target is back too.
  const bool surges = seen.target == TargetState::kFound && seen.pool().replicas &&
                      seen.snapshot->target->replicas > *seen.pool().replicas &&
                      granted_surge(*seen.snapshot) > 0;
  if (!surges || plan.surge > out.surge_replicas) out.surge_replicas = plan.surge;
  out.endpoints_revision = list.revision;
  if (seen.hold == Hold::kNone) {
    count_pods(seen, second, out);
  } else if (seen.hold != Hold::kCannotRead) {
    update_known(seen, second, out);
  }
  tell_consumers(*seen.snapshot, out);
  out.conditions = conditions(seen, list, service_note, second);
  return out;
}

bool is_news(const api::PoolStatus& before, const api::PoolStatus& after) {
  const auto same_finding = [](const api::Condition& a, const api::Condition& b) {
    return a.type == b.type && a.status == b.status && a.reason == b.reason;
  };
  const bool same = before.observed_generation == after.observed_generation &&
                    before.synced_replicas == after.synced_replicas &&
                    before.synced_target == after.synced_target &&
                    before.surge_replicas == after.surge_replicas && before.selector == after.selector;
  return !same || !std::equal(before.conditions.begin(), before.conditions.end(), after.conditions.begin(),
                              after.conditions.end(), same_finding);
}

}  // namespace poolwarden::pool
