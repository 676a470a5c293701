#include "gateway/gateway_sync.h"

#include "api/names.h"
#include "kube/resource.h"

#include <algorithm>
#include <deque>
#include <utility>

#include <fmt/format.h>

namespace poolwarden::gateway {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::size_t kQueueCapacity = 256;
constexpr std::chrono::milliseconds kLongestWait{1'000};
// Longer than kMaxPasses at a HAProxy that takes its whole deadline each time.
constexpr std::chrono::seconds kLoopStuck{60};

}  // namespace

GatewaySync::GatewaySync(GatewaySyncOptions options, kube::Transport& transport, telemetry::Log& log,
                         GatewayMetrics& metrics)
    : options_(std::move(options)),
      log_(log),
      metrics_(metrics),
      queue_(std::make_shared<Queue>(kQueueCapacity)),
      client_(transport),
      list_(options_.config_map, options_.pool),
      first_(*this, Part::kFirst, {options_.ns, {}, "metadata.name=" + options_.config_map}),
      core_(options_.core),
      haproxy_(options_.haproxy) {}

GatewaySync::Feed::Feed(GatewaySync& owner, Part part, kube::WatchScope scope)
    : InformerFeed(owner.options_.reflector, base::unseeded_random(), owner.client_, kube::kConfigMaps,
                   std::move(scope), &Clock::now,
                   // A closed queue takes nothing more: then nobody is left to read it.
                   [queue = owner.queue_, part](kube::InformerInput<api::ConfigMap> what) {
                     (void)queue->push({part, std::move(what)});
                   }) {}

// One turn: wait for an answer of the API server or a deadline; bring the cache up to date; hand what changed
// to the core; do what it asks. All of HAProxy's answers are waited for here, there is nothing else to do.
void GatewaySync::run() {
  last_turn_ = Clock::now().time_since_epoch().count();
  first_.start(Clock::now());
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
  std::vector<Delta> deltas;
  for (Input& input : inputs) {
    Feed& feed = input.part == Part::kFirst ? first_ : *others_;
    note_watch(feed.step(std::move(input.what), Clock::now(), deltas));
  }
  std::vector<CoreEffect> effects;
  for (const Delta& delta : deltas) take_list(delta, effects);
  carry_out(std::move(effects));
  if (list_.shards() > 1 && !others_) follow_others();

  const kube::TimePoint now = Clock::now();
  note_watch(first_.tick(now));
  if (others_) note_watch(others_->tick(now));
  note_api_server(now);
  carry_out(core_.step(input::Tick{}, now));
}

void GatewaySync::follow_others() {
  log_.info("the list has several ConfigMaps",
            {{"config_map", options_.config_map}, {"config_maps", list_.shards()}});
  const std::string ours = std::string(api::kPoolLabel) + "=" + options_.pool;
  others_.emplace(*this, Part::kOthers,
                  kube::WatchScope{options_.ns, ours + "," + std::string(api::kShardLabel), {}});
  others_->start(Clock::now());
}

kube::TimePoint GatewaySync::next_wake() const {
  kube::TimePoint wake = Clock::now() + kLongestWait;
  if (const auto deadline = core_.next_deadline()) wake = std::min(wake, *deadline);
  if (const auto deadline = first_.next_deadline()) wake = std::min(wake, *deadline);
  const auto others = others_ ? others_->next_deadline() : std::nullopt;
  return others ? std::min(wake, *others) : wake;
}

void GatewaySync::take_list(const Delta& delta, std::vector<CoreEffect>& effects) {
  if (delta.after == nullptr) {
    // A server that does not know field selectors sends the whole namespace.
    if (!api::shard_number(options_.config_map, delta.before->name)) return;
    list_.gone(delta.before->name);
    log_.warn("the ConfigMap is gone; HAProxy keeps the last list",
              {{"namespace", options_.ns}, {"config_map", delta.before->name}});
    return;
  }
  if (delta.before != nullptr && delta.before->endpoints_json == delta.after->endpoints_json) return;
  auto list = list_.saw(*delta.after);
  if (!list) {
    metrics_.list_unreadable();
    log_.error("the published list cannot be used; HAProxy keeps the last one", {{"problem", list.error()}});
    return;
  }
  if (!*list) return;
  auto more = core_.step(input::ListSeen{*std::move(*list), delta.decoded_at}, Clock::now());
  std::move(more.begin(), more.end(), std::back_inserter(effects));
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
            answer = observe(what.attempt);
          } else if constexpr (std::is_same_v<What, effect::Apply>) {
            answer = apply(what);
          } else {
            report(what);
          }
        },
        next);
    if (!answer) continue;
    auto more = core_.step(std::move(*answer), Clock::now());
    std::move(more.begin(), more.end(), std::back_inserter(waiting));
  }
}

CoreInput GatewaySync::observe(std::uint64_t attempt) {
  const std::string& backend = options_.core.names.backend;
  auto answers = haproxy_.ask(snapshot_commands(backend));
  if (!answers) return input::Failed{attempt, std::move(answers.error())};
  auto snapshot = parse_snapshot(*answers, backend);
  if (!snapshot) return input::Failed{attempt, std::move(snapshot.error())};
  return input::SnapshotArrived{attempt, std::move(*snapshot)};
}

CoreInput GatewaySync::apply(const effect::Apply& wanted) {
  std::vector<std::string> lines;
  lines.reserve(wanted.commands.size());
  for (const Command& command : wanted.commands) lines.push_back(command.text);
  auto answers = haproxy_.ask(lines);
  if (!answers) return input::Failed{wanted.attempt, std::move(answers.error())};
  return input::Answered{wanted.attempt, std::move(*answers)};
}

void GatewaySync::report(const effect::Acknowledged& done) {
  const double seconds = std::chrono::duration<double>(done.latency.value_or(kube::Duration::zero())).count();
  const auto say = [&](std::string_view what) {
    if (done.latency) {
      log_.info(what, {{"pool", options_.pool},
                       {"pod", done.pod},
                       {"address", done.command.address.to_string()},
                       {"server", done.command.server},
                       {"latency_seconds", seconds}});
    } else {
      log_.info(what, {{"pool", options_.pool},
                       {"pod", done.pod},
                       {"address", done.command.address.to_string()},
                       {"server", done.command.server}});
    }
  };
  switch (done.command.kind) {
    case CommandKind::kWithdraw:
      if (done.latency) metrics_.withdrawn(*done.latency);
      say("withdrawn from HAProxy");
      break;
    case CommandKind::kAdmit:
      if (done.latency) metrics_.admitted(*done.latency);
      say("admitted to HAProxy");
      break;
    case CommandKind::kPark:
      log_.info("drained, server is free",
                {{"pool", options_.pool}, {"pod", done.pod}, {"server", done.command.server}});
      break;
    case CommandKind::kReaddress:
      break;  // half of an admission
  }
}

void GatewaySync::report(const effect::Settled& settled) {
  metrics_.settled(settled.revision, settled.ready, settled.draining, settled.slots, settled.unplaced.size());
  last_haproxy_problem_.clear();
  readiness_ = Readiness::kReady;
  if (settled.latency) {
    log_.info("HAProxy has the list", {{"pool", options_.pool},
                                       {"revision", settled.revision},
                                       {"ready", settled.ready},
                                       {"draining", settled.draining},
                                       {"latency_seconds", *settled.latency}});
  }
  if (settled.unplaced.size() != last_unplaced_ && !settled.unplaced.empty()) {
    log_.error(
        "HAProxy has no server left for some endpoints: raise the number in the backend's server-template",
        {{"backend", options_.core.names.backend},
         {"servers", settled.slots},
         {"draining", settled.draining},
         {"unplaced", settled.unplaced.size()},
         {"first_pod", settled.unplaced.front()}});
  }
  last_unplaced_ = settled.unplaced.size();
}

void GatewaySync::report(const effect::HaproxyFound& found) {
  metrics_.haproxy_found();
  if (found.restarted_from) {
    metrics_.haproxy_restarted();
    log_.warn("HAProxy was restarted or reloaded; giving it the list",
              {{"pid", found.pid}, {"previous_pid", *found.restarted_from}, {"version", found.version}});
  } else {
    log_.info("HAProxy answers",
              {{"socket", to_string(options_.haproxy)}, {"pid", found.pid}, {"version", found.version}});
  }
}

void GatewaySync::report(const effect::HaproxyFailed& failed) {
  metrics_.haproxy_failed();
  readiness_ = Readiness::kNoHaproxy;
  if (failed.error.message == last_haproxy_problem_) return;  // said already
  last_haproxy_problem_ = failed.error.message;
  log_.error(
      "HAProxy cannot be given the list; it will be tried again",
      {{"problem", failed.error.message}, {"failures", failed.failures}, {"retry_seconds", failed.delay}});
}

void GatewaySync::report(const effect::ListProblems& list) {
  for (const std::string& problem : list.problems) {
    log_.warn("part of the published list cannot be given to HAProxy", {{"problem", problem}});
  }
}

void GatewaySync::note_watch(const std::vector<kube::ReflectorAction>& actions) {
  for (const kube::ReflectorAction& action : actions) {
    if (const auto* restarted = std::get_if<kube::Restarted>(&action)) {
      metrics_.watch_restarted(restarted->reason);
    }
  }
}

void GatewaySync::note_api_server(kube::TimePoint now) {
  const kube::TimePoint others_fresh = others_ ? others_->informer().fresh_at() : now;
  metrics_.set_watch_silence(
      std::max(kube::Duration::zero(), now - std::min(first_.informer().fresh_at(), others_fresh)));
  auto error = first_.informer().last_error();
  if (!error && others_) error = others_->informer().last_error();
  const std::string problem = error ? error->message : std::string{};
  if (problem != last_api_problem_) {
    if (problem.empty()) {
      log_.info("the API server answers again");
    } else {
      log_.warn("the API server cannot be read; HAProxy is held to the last list", {{"problem", problem}});
    }
    last_api_problem_ = problem;
  }
  note_missing();
  if (first_.informer().synced() && first_.informer().store().empty() && !logged_absence_) {
    logged_absence_ = true;
    log_.warn("there is no such ConfigMap yet: is the pool's name right, and does the operator run?",
              {{"namespace", options_.ns}, {"config_map", options_.config_map}});
  }
}

void GatewaySync::note_missing() {
  if (!others_ || !others_->informer().synced()) return;
  std::vector<std::string> missing = list_.missing();
  if (missing == logged_missing_) return;
  logged_missing_ = std::move(missing);
  if (logged_missing_.empty()) return;
  log_.warn("the list has ConfigMaps that are not there or cannot be read; HAProxy keeps what it has of them",
            {{"namespace", options_.ns},
             {"config_map", logged_missing_.front()},
             {"missing", logged_missing_.size()}});
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
    case Readiness::kNoHaproxy:
      return fmt::format("HAProxy on {} has not been given the list; see the log",
                         to_string(options_.haproxy));
    case Readiness::kNoList:
      break;
  }
  return fmt::format("the list in ConfigMap {}/{} has not been read yet", options_.ns, options_.config_map);
}

}  // namespace poolwarden::gateway
