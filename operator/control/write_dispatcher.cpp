#include "control/write_dispatcher.h"

#include <algorithm>
#include <utility>

namespace poolwarden::control {
namespace {

bool is_of_list(const PendingCall& call) {
  return std::holds_alternative<PublishWrite>(call.purpose) ||
         std::holds_alternative<ConfigMapLookup>(call.purpose);
}

bool is_of_orphan(const PendingCall& call) {
  return call.pool.key.name.empty() && std::holds_alternative<PodLabelWrite>(call.purpose);
}

// Down to the connection, a call waits for none that is less urgent. The Lease's calls say so themselves.
kube::CallLane connection_lane(const PendingCall& call, std::optional<WriteLane> lane) {
  if (is_of_list(call) || lane == WriteLane::kList) return kube::CallLane::kUrgent;
  return lane == WriteLane::kDrain ? kube::CallLane::kAwaited : kube::CallLane::kRest;
}

}  // namespace

kube::ObjectKey WriteDispatcher::Waiters::pop() {
  kube::ObjectKey first = order_.pop();
  there_.erase(first);
  return first;
}

WriteDispatcher::WriteDispatcher(WriteLimits limits)
    : limits_(limits), rest_(limits.rest_period, limits.rest_burst) {}

bool WriteDispatcher::has_room(WriteLane lane, kube::TimePoint now) const {
  switch (lane) {
    case WriteLane::kDrain:
      return in_lane(lane) < limits_.drains_in_flight;
    case WriteLane::kRest:
      return in_lane(lane) < limits_.rest_in_flight && rest_.next_token() <= now;
    case WriteLane::kList:
      break;
  }
  return true;
}

void WriteDispatcher::wait_for_room(WriteLane lane, const kube::ObjectKey& pool) {
  (lane == WriteLane::kDrain ? drain_waiters_ : rest_waiters_).add(pool);
}

WriteDispatcher::Result WriteDispatcher::send(WriteRequest request, kube::TimePoint now, Effects& out) {
  const auto waits = [](std::optional<kube::TimePoint> until) { return Result{Outcome::kWaits, until}; };
  if (throttle_.is_in_flight(request.object)) {
    object_waiters_[request.object].insert(request.pool.key);
    return waits(std::nullopt);
  }
  const auto undoing = request.undoes ? request.content : std::nullopt;
  if (const auto until = throttle_.blocked_until(request.object, now, undoing)) return waits(until);
  if (!has_room(request.lane, now)) {
    wait_for_room(request.lane, request.pool.key);
    return waits(std::nullopt);
  }
  if (request.lane == WriteLane::kRest) rest_.try_take(now);  // has_room(): there is one
  throttle_.sent(request.object, request.content, request.undoes);
  ++in_lane(request.lane);
  if (const auto* label = std::get_if<PodLabelWrite>(&request.purpose))
    labels_under_way_.insert_or_assign(label->what.uid, label->what.serving.value_or(std::string()));
  const kube::Verb verb = request.call.verb;
  launch({std::move(request.purpose), std::move(request.object), std::move(request.pool), verb, now},
         request.lane, std::move(request.call), request.expect, out);
  return {};
}

void WriteDispatcher::send_unthrottled(Purpose purpose, WrittenObject object, PoolName pool, kube::Call call,
                                       Expect expect, kube::TimePoint now, Effects& out) {
  const kube::Verb verb = call.verb;
  launch({std::move(purpose), std::move(object), std::move(pool), verb, now}, std::nullopt, std::move(call),
         expect, out);
}

std::uint64_t WriteDispatcher::launch(PendingCall call, std::optional<WriteLane> lane, kube::Call request,
                                      Expect expect, Effects& out) {
  // The Lease has deadlines of its own.
  if (!std::holds_alternative<LeaseCall>(call.purpose)) {
    request.deadline = std::chrono::duration_cast<std::chrono::milliseconds>(limits_.timeout);
    request.lane = connection_lane(call, lane);
  }
  if (is_of_list(call)) lists_in_flight_.insert(call.pool.key);
  if (is_of_orphan(call)) orphans_in_flight_.insert(call.pool.key.ns);
  const std::uint64_t id = ++last_id_;
  Send send{id, std::move(request), expect};
  if (!std::holds_alternative<LeaseCall>(call.purpose)) send.expires = call.sent_at + limits_.timeout;
  pending_.emplace(id, Pending{std::move(call), lane});
  out.sends.push_back(std::move(send));
  return id;
}

std::optional<AnsweredCall> WriteDispatcher::answered(const CallAnswered& answer, kube::TimePoint now) {
  auto node = pending_.extract(answer.id);
  if (!node) return std::nullopt;
  Pending& pending = node.mapped();
  AnsweredCall out{std::move(pending.call)};
  if (pending.lane) --in_lane(*pending.lane);
  if (is_of_list(out.call)) lists_in_flight_.erase(lists_in_flight_.find(out.call.pool.key));
  if (is_of_orphan(out.call)) orphans_in_flight_.erase(orphans_in_flight_.find(out.call.pool.key.ns));
  if (const auto* label = std::get_if<PodLabelWrite>(&out.call.purpose))
    labels_under_way_.erase(label->what.uid);
  const bool has_object = pending.lane || std::holds_alternative<ConfigMapLookup>(out.call.purpose);
  if (!has_object) return out;
  out.changed_meanwhile = throttle_.changed_meanwhile(out.call.object);
  if (answer.answer) {
    throttle_.succeeded(out.call.object, now);
  } else {
    throttle_.failed(out.call.object, answer.answer.error(), now);
    out.failures = throttle_.failures(out.call.object);
  }
  if (auto waiters = object_waiters_.extract(out.call.object)) woken_.merge(waiters.mapped());
  return out;
}

bool WriteDispatcher::changed(const WrittenObject& object) {
  throttle_.changed(object);
  return throttle_.is_in_flight(object);
}

kube::TimePoint WriteDispatcher::rest_wakes_at() const {
  return rest_.next_token() + limits_.rest_period * (limits_.rest_batch - 1);
}

std::vector<kube::ObjectKey> WriteDispatcher::take_woken(kube::TimePoint now) {
  std::vector<kube::ObjectKey> out(woken_.begin(), woken_.end());
  woken_.clear();
  if (!drain_waiters_.empty() && has_room(WriteLane::kDrain, now)) out.push_back(drain_waiters_.pop());
  // One at a time: it may take all the room there is.
  if (!rest_waiters_.empty() && has_room(WriteLane::kRest, now) && rest_wakes_at() <= now)
    out.push_back(rest_waiters_.pop());
  return out;
}

std::optional<kube::TimePoint> WriteDispatcher::next_deadline(kube::TimePoint now) const {
  if (!woken_.empty() || (!drain_waiters_.empty() && has_room(WriteLane::kDrain, now))) return now;
  if (rest_waiters_.empty() || in_lane(WriteLane::kRest) >= limits_.rest_in_flight) return std::nullopt;
  return rest_wakes_at();
}

std::size_t WriteDispatcher::writes_in_flight() const {
  return static_cast<std::size_t>(std::count_if(pending_.begin(), pending_.end(), [](const auto& item) {
    const Purpose& purpose = item.second.call.purpose;
    return !std::holds_alternative<LeaseCall>(purpose) && !std::holds_alternative<SecretRead>(purpose);
  }));
}

}  // namespace poolwarden::control
