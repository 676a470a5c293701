#include "gateway/gateway_sync.h"

#include "api/names.h"
#include "kube/resource.h"
#include "kube/resource_version.h"
#include "kube/watch_decoder.h"

#include <algorithm>
#include <deque>
#include <utility>

#include <fmt/format.h>

namespace poolwarden::gateway {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::size_t kQueueCapacity = 256;
constexpr std::chrono::milliseconds kLongestWait{1'000};
// Longer than kMaxPasses at a gateway that takes its whole deadline each time.
constexpr std::chrono::seconds kLoopStuck{60};

PodsVersions versions_of(const std::vector<std::string>& shards) {
  PodsVersions out{shards.front(), shards.front()};
  for (const std::string& version : shards) {
    if (!kube::is_comparable_version(version)) return {};
    if (kube::compare_versions(version, out.oldest) < 0) out.oldest = version;
    if (kube::compare_versions(version, out.newest) > 0) out.newest = version;
  }
  return out;
}

}  // namespace

GatewaySync::GatewaySync(GatewaySyncOptions options, Gateway& gateway, kube::Transport& transport,
                         telemetry::Log& log, GatewayMetrics& metrics)
    : options_(std::move(options)),
      gateway_(gateway),
      metrics_(metrics),
      report_({options_.ns, options_.pool, options_.config_map, std::string(gateway.name()), gateway.where()},
              log, metrics),
      queue_(std::make_shared<Queue>(kQueueCapacity)),
      client_(transport),
      list_(options_.config_map, options_.pool),
      first_(list_feed(Part::kFirst, {options_.ns, {}, "metadata.name=" + options_.config_map})),
      pods_(pod_feed()),
      fallen_([this](const std::string& name) { return pods_.informer().store().find(options_.ns, name); }),
      confirmation_(options_.consumer),
      core_(options_.core) {}

// A closed queue takes nothing more: then nobody is left to read it.
GatewaySync::ListFeed GatewaySync::list_feed(Part part, kube::WatchScope scope) {
  return {options_.reflector,
          base::unseeded_random(),
          client_,
          kube::kConfigMaps,
          std::move(scope),
          &Clock::now,
          [queue = queue_, part](kube::InformerInput<api::ConfigMap> what) {
            (void)queue->push(OfList{part, std::move(what)});
          }};
}

GatewaySync::PodFeed GatewaySync::pod_feed() {
  return {
      options_.reflector,
      base::unseeded_random(),
      client_,
      kube::kPods,
      {options_.ns, std::string(api::kServingLabel), {}},
      &Clock::now,
      [queue = queue_](kube::InformerInput<api::Pod> what) { (void)queue->push(OfPods{std::move(what)}); }};
}

// One turn: wait for an answer of the API server or a deadline; bring the caches up to date; hand what
// changed to the core; do what it asks. All of the gateway's answers are waited for here, there is nothing
// else to do.
void GatewaySync::run() {
  const kube::TimePoint start = Clock::now();
  last_turn_ = start.time_since_epoch().count();
  first_.start(start);
  pods_.start(start);
  if (!options_.pod.empty()) {
    client_.send(kube::get(kube::kPods, options_.ns, options_.pod),
                 [queue = queue_](kube::Result<std::string> body) {
                   (void)queue->push(OwnPodAnswered{std::move(body)});
                 });
  }
  while (true) {
    const kube::WaitResult woken = queue_->wait_until(next_wake());
    if (woken == kube::WaitResult::kClosed) return;
    turn(woken);
    last_turn_ = Clock::now().time_since_epoch().count();
  }
}

void GatewaySync::turn(kube::WaitResult woken) {
  std::vector<Input> inputs;
  if (woken == kube::WaitResult::kItems) queue_->try_pop_all(inputs);
  std::vector<CoreEffect> effects;
  for (Input& input : inputs)
    std::visit([&](auto&& what) { take(std::forward<decltype(what)>(what), effects); }, std::move(input));
  carry_out(std::move(effects));
  if (list_.shards() > 1 && !others_) follow_others();
  tick();
}

void GatewaySync::tick() {
  const kube::TimePoint now = Clock::now();
  note_watch("configmaps", first_.tick(now));
  if (others_) note_watch("configmaps", others_->tick(now));
  note_watch("pods", pods_.tick(now));
  note_api_server(now);
  carry_out(core_.step(input::Tick{}, now));
  ask_for_pods(now);
  confirm(now);
}

void GatewaySync::follow_others() {
  report_.list_has_several(static_cast<std::size_t>(list_.shards()));
  const std::string ours = std::string(api::kPoolLabel) + "=" + options_.pool;
  others_.emplace(list_feed(Part::kOthers, {options_.ns, ours + "," + std::string(api::kShardLabel), {}}));
  others_->start(Clock::now());
}

kube::TimePoint GatewaySync::next_wake() const {
  kube::TimePoint wake = Clock::now() + kLongestWait;
  for (const auto& deadline :
       {core_.next_deadline(), first_.next_deadline(), others_ ? others_->next_deadline() : std::nullopt,
        pods_.next_deadline(), fallen_.next_deadline(), confirmation_.next_deadline()}) {
    if (deadline) wake = std::min(wake, *deadline);
  }
  return wake;
}

void GatewaySync::take(OfList input, std::vector<CoreEffect>& effects) {
  std::vector<kube::Delta<api::ConfigMap>> deltas;
  ListFeed& feed = input.part == Part::kFirst ? first_ : *others_;
  note_watch("configmaps", feed.step(std::move(input.what), Clock::now(), deltas));
  for (const auto& delta : deltas) take_list(delta, effects);
}

void GatewaySync::take(OfPods input, std::vector<CoreEffect>& effects) {
  const kube::TimePoint now = Clock::now();
  std::vector<kube::Delta<api::Pod>> deltas;
  note_watch("pods", pods_.step(std::move(input.what), now, deltas));
  if (deltas.empty()) return;
  for (const auto& delta : deltas) fallen_.pod_seen(delta, now);
  take_fallen(deltas.front().decoded_at, effects);
}

void GatewaySync::take(PodAnswered input, std::vector<CoreEffect>& effects) {
  const kube::TimePoint now = Clock::now();
  // One that cannot be read is there.
  const auto pod =
      input.body.and_then([](const std::string& body) { return kube::decode_object<api::PodCodec>(body); });
  if (!pod && !pod.error().is_not_found()) return fallen_.ask_again(input.name, now);
  fallen_.answered(input.name, pod ? &*pod : nullptr);
  take_fallen(now, effects);
}

void GatewaySync::take(LeaseAnswered input, std::vector<CoreEffect>&) {
  if (const auto problem = confirmation_.answered(input.body, Clock::now())) report_.not_confirmed(*problem);
}

// Without it the Lease stays when this pod has gone, and ends by itself.
void GatewaySync::take(OwnPodAnswered input, std::vector<CoreEffect>&) {
  if (!input.body) return;
  const auto pod = kube::decode_object<api::PodCodec>(*input.body);
  if (pod) confirmation_.set_owner(pod->name, pod->uid);
}

void GatewaySync::take_list(const kube::Delta<api::ConfigMap>& delta, std::vector<CoreEffect>& effects) {
  if (delta.after == nullptr) {
    // A server that does not know field selectors sends the whole namespace.
    if (!api::shard_number(options_.config_map, delta.before->name)) return;
    list_.gone(delta.before->name);
    report_.list_gone(delta.before->name);
    return;
  }
  if (delta.before != nullptr && delta.before->endpoints_json == delta.after->endpoints_json &&
      delta.before->pods_version == delta.after->pods_version) {
    return;
  }
  auto list = list_.saw(*delta.after);
  if (!list) return report_.list_unreadable(list.error());
  if (!*list) return;
  // First: a pod that has fallen is not to be admitted by a list that does not know it yet.
  fallen_.list_seen(**list, versions_of(list_.pods_versions()));
  take_fallen(delta.decoded_at, effects);
  auto more =
      core_.step(input::ListSeen{*std::move(*list), delta.decoded_at, list_.revisions()}, Clock::now());
  std::move(more.begin(), more.end(), std::back_inserter(effects));
}

void GatewaySync::take_fallen(kube::TimePoint decoded_at, std::vector<CoreEffect>& effects) {
  std::set<std::string> uids;
  for (const auto& [uid, reason] : fallen_.fallen()) uids.insert(uid);
  report_.fallen(fallen_.fallen());
  auto more = core_.step(input::PodsFell{std::move(uids), decoded_at}, Clock::now());
  std::move(more.begin(), more.end(), std::back_inserter(effects));
}

void GatewaySync::ask_for_pods(kube::TimePoint now) {
  for (std::string& name : fallen_.take_questions(now)) {
    kube::Call call = kube::get(kube::kPods, options_.ns, name);
    client_.send(std::move(call), [queue = queue_, name](kube::Result<std::string> body) {
      (void)queue->push(PodAnswered{name, std::move(body)});
    });
  }
}

void GatewaySync::confirm(kube::TimePoint now) {
  if (options_.consumer.consumer.empty()) return;
  if (!core_.serving()) confirmation_.unknown();
  auto call = confirmation_.next(now, std::chrono::system_clock::now());
  if (!call) return;
  client_.send(*std::move(call), [queue = queue_](kube::Result<std::string> body) {
    (void)queue->push(LeaseAnswered{std::move(body)});
  });
}

void GatewaySync::carry_out(std::vector<CoreEffect> effects) {
  std::deque<CoreEffect> waiting(std::make_move_iterator(effects.begin()),
                                 std::make_move_iterator(effects.end()));
  while (!waiting.empty()) {
    const CoreEffect next = std::move(waiting.front());
    waiting.pop_front();
    std::optional<CoreInput> answer;
    std::visit(
        [&](const auto& what) {
          using What = std::decay_t<decltype(what)>;
          if constexpr (std::is_same_v<What, effect::Observe>) {
            answer = what.remembered ? CoreInput(input::Observed{what.attempt, what.remembered})
                                     : observe(what.attempt);
          } else if constexpr (std::is_same_v<What, effect::Apply>) {
            answer = apply(what);
          } else {
            report_.tell(what);
            if constexpr (std::is_same_v<What, effect::Settled>) note(what);
            if constexpr (std::is_same_v<What, effect::GatewayFailed>) readiness_ = Readiness::kNoGateway;
          }
        },
        next);
    if (!answer) continue;
    auto more = core_.step(std::move(*answer), Clock::now());
    std::move(more.begin(), more.end(), std::back_inserter(waiting));
  }
}

void GatewaySync::note(const effect::Settled& settled) {
  readiness_ = Readiness::kReady;
  confirmation_.applied(settled.revisions, Clock::now(), std::chrono::system_clock::now());
}

CoreInput GatewaySync::observe(std::uint64_t attempt) {
  auto observation = gateway_.observe();
  report_.complaint(gateway_.complaint());
  if (!observation) return input::Failed{attempt, std::move(observation.error())};
  return input::Observed{attempt, *std::move(observation)};
}

CoreInput GatewaySync::apply(const effect::Apply& wanted) {
  auto refusals = gateway_.carry_out(wanted.commands);
  if (!refusals) return input::Failed{wanted.attempt, std::move(refusals.error())};
  return input::Answered{wanted.attempt, *std::move(refusals)};
}

void GatewaySync::note_watch(std::string_view resource, const std::vector<kube::ReflectorAction>& actions) {
  for (const kube::ReflectorAction& action : actions) {
    if (const auto* restarted = std::get_if<kube::Restarted>(&action))
      metrics_.watch_restarted(resource, restarted->reason);
  }
}

void GatewaySync::note_api_server(kube::TimePoint now) {
  const auto silence = [now](kube::TimePoint fresh) { return std::max(kube::Duration::zero(), now - fresh); };
  const kube::TimePoint others_fresh = others_ ? others_->informer().fresh_at() : now;
  metrics_.set_watch_silence("configmaps", silence(std::min(first_.informer().fresh_at(), others_fresh)));
  metrics_.set_watch_silence("pods", silence(pods_.informer().fresh_at()));
  auto error = first_.informer().last_error();
  if (!error && others_) error = others_->informer().last_error();
  report_.api_server(error);
  // When nothing can be read that is told already.
  if (!error) report_.pods_watch(pods_.informer().last_error());
  if (others_ && others_->informer().synced()) report_.missing(list_.missing());
  if (first_.informer().synced() && first_.informer().store().empty()) report_.list_absent();
}

std::optional<std::string> GatewaySync::loop_problem() const {
  const kube::TimePoint last{kube::Duration(last_turn_.load())};
  const auto silence = std::chrono::duration_cast<std::chrono::seconds>(Clock::now() - last);
  if (silence < kLoopStuck) return std::nullopt;
  return fmt::format("the loop has not turned for {} s", silence.count());
}

std::optional<std::string> GatewaySync::readiness_problem() const {
  switch (readiness_.load()) {
    case Readiness::kReady:
      return std::nullopt;
    case Readiness::kNoGateway:
      return fmt::format("{} on {} has not been given the list; see the log", gateway_.name(),
                         gateway_.where());
    case Readiness::kNoList:
      break;
  }
  return fmt::format("the list in ConfigMap {}/{} has not been read yet", options_.ns, options_.config_map);
}

}  // namespace poolwarden::gateway
