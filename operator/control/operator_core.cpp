#include "control/operator_core.h"

#include "api/names.h"
#include "pool/consumer_words.h"
#include "pool/pod_labels.h"

#include <set>
#include <type_traits>
#include <utility>

namespace poolwarden::control {
namespace {

constexpr kube::Duration kSweepPeriod = std::chrono::minutes(1);

// Each part has a source of its own, so that one part's draws do not shift another's.
kube::RandomSource random_of(const CoreOptions& options, std::uint64_t part) {
  return kube::seeded_random(options.seed * 31 + part);
}

// Whether the API server said something, be it a refusal.
template <class Kind>
bool is_answer(const KindInput<Kind>& in) {
  using Input = kube::InformerInput<typename Kind::Object>;
  if (const auto* failed = std::get_if<typename Input::ListFailed>(&in.input.what))
    return failed->error.http_status != 0;
  if (const auto* ended = std::get_if<typename Input::WatchEnded>(&in.input.what))
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

OperatorCore::OperatorCore(CoreOptions options, ControllerMetrics& metrics)
    : options_(std::move(options)),
      metrics_(metrics),
      feeds_(
          options_.feeds, random_of(options_, 1), metrics,
          [this](const api::Pod& pod, std::vector<std::string>& keys) {
            const auto& pools = table_.matching(pod);
            for (const PoolRecord* record : pools) keys.push_back(record->key.to_string());
            if (pools.empty() && pool::is_marked(pod) && !pod.deletion_timestamp)
              keys.push_back(pod.serving == api::serving::kMember ? std::string(kMemberIndex)
                                                                  : orphan_index(pod.ns));
          },
          [this](const std::string& ns, const std::string& name) { return table_.publishes(ns, name); }),
      queue_(&metrics_),
      writes_(options_.writes),
      router_(feeds_, table_, writes_, queue_, metrics_),
      loads_(options_.load_sources_in_flight),
      snapshots_(options_.drain_gate, options_.list_limits, feeds_, table_, loads_, writes_, router_),
      reconciler_(feeds_, table_, snapshots_, loads_, writes_, queue_, metrics_, random_of(options_, 2),
                  options_.resync),
      events_(options_.instance),
      outcomes_(feeds_, table_, router_, writes_, events_, metrics_),
      standby_(feeds_, table_, router_, writes_, queue_, options_.step_pods),
      leadership_(options_.leader_elect ? std::optional{options_.lease} : std::nullopt,
                  random_of(options_, 3), writes_, metrics_) {}

Effects OperatorCore::start(api::Now now) {
  Effects out;
  now_ = now.mono;
  feeds_.start(now.mono, out);
  next_sweep_ = now.mono + kSweepPeriod;
  lead(leadership_.start(now, out), now, out);
  router_.set_acting(leadership_.leads());
  return out;
}

// One turn of the loop: take in what came, renew what is due, decide, then explain.
Effects OperatorCore::step(std::vector<Input>& inputs, api::Now now) {
  Effects out;
  now_ = now.mono;
  for (Input& input : inputs) take(std::move(input), now, out);
  inputs.clear();
  feeds_.tick(now.mono, out);
  lead(leadership_.tick(now, out), now, out);
  router_.look_at_nodes(now);
  look_at_consumers(now);
  run_passes(now, out);
  standby_.step(std::holds_alternative<Running>(state_) && !leadership_.leads(), now, out);
  if (may_act(time(now))) events_.post(writes_, now, out);
  // Also of Events that were dropped while none is written.
  const kube::EventStats& events = events_.stats();
  if (std::exchange(told_drops_, events.dropped()) != events.dropped()) metrics_.events(events);
  run_stop(now, out);
  sweep(now);
  table_.trim();
  return out;
}

void OperatorCore::take(Input input, api::Now now, Effects& out) {
  if (std::visit([](const auto& what) { return is_answer(what); }, input)) feeds_.server_answered(now.mono);
  std::visit(
      [&](auto& what) {
        using What = std::decay_t<decltype(what)>;
        if constexpr (std::is_same_v<What, StopRequested>) {
          stop(Exit{false, "asked to stop"}, now, out);
        } else if constexpr (std::is_same_v<What, LoadArrived>) {
          take(what, now);
        } else {
          take(what, now, out);
        }
      },
      input);
}

template <class Kind>
void OperatorCore::take(KindInput<Kind>& in, api::Now now, Effects& out) {
  const bool look_at_all =
      feeds_.take(std::move(in), now.mono, out, [&](const auto& delta) { router_.changed(delta, now); });
  // Changes that came before another cache had synced were decided without it.
  if (look_at_all) router_.mark_all(now);
}

void OperatorCore::take(LoadArrived& in, api::Now now) {
  if (const PoolRecord* record = table_.find(in.pool)) router_.mark(*record, now);
  loads_.arrived(std::move(in), now.mono);
}

void OperatorCore::take(CallAnswered& in, api::Now now, Effects& out) {
  auto answered = writes_.answered(in, now.mono);
  if (!answered) return;
  const PendingCall& call = answered->call;
  const std::string_view result =
      in.answer ? std::string_view("success") : kube::to_string(in.answer.error().cls);
  metrics_.call_took(call.verb, result, now.mono - call.sent_at);
  const auto text = [&in]() -> kube::Result<std::string> {
    if (!in.answer) return tl::unexpected(std::move(in.answer.error()));
    return std::get<std::string>(std::move(*in.answer));
  };
  if (const auto* lease = std::get_if<LeaseCall>(&call.purpose))
    return lead(leadership_.answered(*lease, text(), now, out), now, out);
  if (call.verb != kube::Verb::kGet) metrics_.wrote(WriteOutcomes::kind_of(call), result);
  if (const auto* event = std::get_if<EventWrite>(&call.purpose)) {
    events_.posted(*event, text(), now.mono);
    return;
  }
  if (const auto* read = std::get_if<SecretRead>(&call.purpose))
    return take(*read, std::move(in.answer), now);
  standby_.answered(call, in.answer, now.mono);
  outcomes_.take(std::move(*answered), std::move(in.answer), now, out);
}

void OperatorCore::take(const SecretRead& read, kube::Result<Answer> answer, api::Now now) {
  const auto secret =
      std::move(answer).map([](Answer what) { return std::get<api::Secret>(std::move(what)); });
  for (const kube::ObjectKey& pool : loads_.secret_arrived(read.secret, secret, now.mono)) {
    if (const PoolRecord* record = table_.find(pool)) router_.mark(*record, now);
  }
}

void OperatorCore::read_secrets(api::Now now, Effects& out) {
  for (const kube::ObjectKey& secret : loads_.secrets_to_read()) {
    writes_.send_unthrottled(SecretRead{secret}, {}, {}, kube::get(kube::kSecrets, secret.ns, secret.name),
                             Expect::kSecret, now.mono, out);
  }
}

// Of those that fall silent together it is told once.
void OperatorCore::look_at_consumers(api::Now now) {
  for (const ConsumerWatch::Silence& one : router_.look_at_consumers(now)) {
    const PoolRecord* record = table_.find(one.pool);
    if (record == nullptr || one.names.empty() || !leadership_.leads()) continue;
    events_.pool(*record, {std::string(api::event::kConsumerSilent), true, pool::silence_words(one.names)},
                 now);
  }
}

void OperatorCore::lead(const Leadership::Change& change, api::Now now, Effects& out) {
  router_.set_acting(leadership_.leads());
  if (change.won) {
    table_.for_each([&](PoolRecord& record) {
      record.list.stop_watches();
      router_.mark(record, now);
    });
  }
  if (change.lost) stop(Exit{true, "lost the lease: " + *change.lost}, now, out);
  auto* stopping = std::get_if<Stopping>(&state_);
  if (change.released && stopping != nullptr) stopping->released = true;
}

bool OperatorCore::may_act(kube::TimePoint now) const {
  return std::holds_alternative<Running>(state_) && feeds_.settled() &&
         leadership_.holds_until(now + options_.writes.timeout);
}

void OperatorCore::run_passes(api::Now now, Effects& out) {
  if (const pool::Gate gate = snapshots_.gate().gate; std::exchange(told_gate_, gate) != gate)
    metrics_.drain_gate(pool::to_string(gate));
  can_decide_ = may_act(now.mono);
  if (!can_decide_) return;
  for (const kube::ObjectKey& key : writes_.take_woken(now.mono)) queue_.add(key, now.mono);

  // Every pool's withdrawals leave before any pool's labels, status and events.
  const kube::TimePoint started = time(now);
  std::vector<std::pair<kube::ObjectKey, pool::Plan>> rest;
  std::size_t pods = 0;
  bool withdrew = false;
  while (pods < options_.step_pods && time(now) - started < options_.step_budget) {
    // A pass takes its time, and the Lease may not last as long.
    if (!may_act_after(now)) break;
    // A withdrawal waits for no pass: it leaves when the step ends. The next step is not cut short as well.
    if (withdrew && !gave_way_ && queue_.size(kube::Lane::kUrgent) == 0) break;
    const kube::TimePoint began = time(now);
    const auto key = queue_.get(began);
    if (!key) break;
    feeds_.reindex_if_needed(key->ns);
    PoolRecord* record = table_.find(*key);
    const auto object = feeds_.store<Pools>().find(*key);
    const bool known = record != nullptr && object != nullptr;
    if (known && reconciler_.withdraw(*record, *object, now, out)) {
      withdrew = true;
    } else if (known) {
      pods += reconciler_.cost(*record) + 1;
      if (auto plan = reconciler_.pass(*record, *object, now, out)) rest.emplace_back(*key, std::move(*plan));
    }
    queue_.done(*key, time(now));
  }
  gave_way_ = withdrew && !gave_way_ && queue_.size() > 0;
  loads_.read(now.mono, out);
  read_secrets(now, out);
  for (auto& [key, plan] : rest) write_rest(key, plan, now, out);
  if (may_act_after(now)) reconciler_.release_orphans(now, out);
}

bool OperatorCore::may_act_after(api::Now began) {
  can_decide_ = can_decide_ && may_act(time(began));
  return can_decide_;
}

void OperatorCore::write_rest(const kube::ObjectKey& key, pool::Plan& plan, api::Now now, Effects& out) {
  PoolRecord* record = table_.find(key);
  const auto object = feeds_.store<Pools>().find(key);
  if (record == nullptr || !object) return;
  // What is not sent is decided anew.
  if (!may_act_after(now)) return queue_.add(key, now.mono);
  reconciler_.write_rest(*record, *object, plan, now, out);
}

std::optional<kube::TimePoint> OperatorCore::next_deadline() const {
  std::optional<kube::TimePoint> earliest = next_sweep_;
  kube::sooner(earliest, feeds_.next_deadline());
  kube::sooner(earliest, leadership_.next_deadline());
  if (const auto* stopping = std::get_if<Stopping>(&state_)) {
    kube::sooner(earliest, stopping->deadline);
    return earliest;
  }
  kube::sooner(earliest, standby_.next_deadline());
  // Without leadership or before the first lists nothing else can be done; what changes that is an
  // input or one of the deadlines above.
  if (!can_decide_) return earliest;
  if (queue_.size() > 0) return kube::TimePoint::min();  // more than one step looks at
  kube::sooner(earliest, queue_.next_deadline());
  kube::sooner(earliest, router_.next_deadline());
  kube::sooner(earliest, reconciler_.next_deadline());
  kube::sooner(earliest, writes_.next_deadline(now_));
  kube::sooner(earliest, events_.next_deadline());
  return earliest;
}

CoreHealth OperatorCore::health() const {
  return {feeds_.health(), leadership_.leads(), std::holds_alternative<Stopping>(state_)};
}

void OperatorCore::stop(Exit exit, api::Now now, Effects& out) {
  if (std::holds_alternative<Stopping>(state_)) return;
  out.logs.push_back(
      {exit.failed ? telemetry::Level::kError : telemetry::Level::kInfo, "stopping", {{"why", exit.why}}});
  state_ = Stopping{std::move(exit), now.mono + options_.stop_patience, Stage::kFinishing};
  queue_.shutdown();
}

void OperatorCore::run_stop(api::Now now, Effects& out) {
  auto* stopping = std::get_if<Stopping>(&state_);
  if (stopping == nullptr) return;
  const bool late = now.mono >= stopping->deadline;
  if (stopping->stage == Stage::kFinishing && (writes_.writes_in_flight() == 0 || late)) {
    stopping->stage = Stage::kReleasing;
    stopping->deadline = now.mono + options_.stop_patience;
    if (leadership_.elects() && !stopping->exit.failed) {
      lead(leadership_.release(now, out), now, out);
    } else {
      stopping->released = true;
    }
  }
  if (stopping->stage == Stage::kReleasing && (stopping->released || now.mono >= stopping->deadline))
    out.exit = stopping->exit;
}

void OperatorCore::sweep(api::Now now) {
  if (now.mono < next_sweep_) return;
  next_sweep_ = now.mono + kSweepPeriod;
  writes_.sweep(now.mono);
  // We normally forget a pod on its delete event. If the pod was relabelled out of the pool first, that event
  // is not delivered to this pool. And a stopwatch runs on while the list cannot be written. So we prune
  // here.
  const std::string* ns = nullptr;  // of those that live; pools come by namespace
  std::set<std::string> living;
  table_.for_each([&](PoolRecord& record) {
    if (!record.list.has_outgrown()) return;
    if (ns == nullptr || *ns != record.key.ns) {
      ns = &record.key.ns;
      living.clear();
      feeds_.store<Pods>().for_each_in(*ns, [&](const PodPtr& pod) { living.insert(pod->uid); });
    }
    record.list.keep_only(living);
  });
  feeds_.sweep();
  router_.sweep();
  loads_.sweep(now.mono);
  snapshots_.sweep();
  standby_.sweep();
}

}  // namespace poolwarden::control
