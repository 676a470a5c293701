#include "scenarios/drain_story.h"

#include "scenarios/drain_draw.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace poolwarden::scenarios {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// What exited is started again at every such moment, whatever acts there are.
constexpr kube::Duration kRestarts = seconds(2);

sim::WorldOptions drain_world(const DrainSettings& settings) {
  sim::WorldOptions options;
  options.seed = settings.seed;
  options.controllers = true;
  options.gate = true;
  options.nodes = kDrainNodes;
  options.behaviour = [](const cluster::LaunchSpec& spec) {
    cluster::SimBehaviour behaviour;
    behaviour.start_delay = milliseconds(200);
    behaviour.ready_delay = milliseconds(1500);
    behaviour.stop_delay = milliseconds(300);
    if (spec.image == "crashes") behaviour.crash_after = milliseconds(900);
    return behaviour;
  };
  return options;
}

sim::EngineOptions engine_options(const DrainSettings& settings) {
  sim::EngineOptions options;
  options.seed = settings.seed + 5;
  if (settings.honest_engines) return options;
  options.metrics_of_next_pod = [dice = Dice(settings.seed + 7)]() mutable {
    const int roll = dice.below(20);
    if (roll == 0) return sim::Metrics::kLies;
    if (roll == 1) return sim::Metrics::kHangs;
    return sim::Metrics::kHonest;
  };
  return options;
}

// Two gateways that confirm, the one at once and the other late, in every second world whose watches tell
// what happens.
bool has_consumers(const DrainSettings& settings) {
  return !settings.faulty && settings.seed % 2 == 0;
}

sim::DrainInvariantOptions drain_options(const DrainSettings& settings, const sim::SimConsumers& consumers) {
  const bool faulty = settings.faulty;
  sim::DrainInvariantOptions options;
  if (!faulty) options.awaited = [&consumers](const std::string& uid) { return consumers.awaited(uid); };
  options.pool = "vllm";
  options.target = "vllm";
  options.stateful = settings.target != DrainTarget::kDeployment;
  options.watches_fail = faulty;
  // A watch that is silent is given up after some two minutes, and then listed anew.
  options.memory = faulty ? kube::Duration(std::chrono::minutes(4)) : kube::Duration(seconds(4));
  return options;
}

}  // namespace

DrainStory::DrainStory(std::uint64_t seed) : DrainStory(draw_drain_script(seed)) {}

DrainStory::DrainStory(DrainScript script)
    : script_(std::move(script)),
      world_(drain_world(script_.settings)),
      engines_(world_.time(), world_.model(), engine_options(script_.settings)),
      drains_(world_.time(), world_.model(), engines_, drain_options(script_.settings, consumers_)),
      acts_(world_, cluster_, engines_, script_.settings,
            [this](std::string what) { tell(std::move(what)); }),
      end_dice_(script_.settings.seed, ~std::uint64_t{0}) {
  if (script_.settings.faulty) world_.invariants().watches_fail();
  world_.add_watcher([this](const std::set<std::string>& changed) {
    engines_.changed(changed);
    drains_.changed(changed);
  });
}

void DrainStory::set_up() {
  const DrainSettings& settings = script_.settings;
  for (int i = 0; i < settings.operators; ++i) {
    world_
        .add_operator({.name = std::string(1, static_cast<char>('a' + i)),
                       .seed = settings.seed + static_cast<std::uint64_t>(i),
                       .leader_elect = settings.operators > 1,
                       .engines = [this](const auto& request) { return engines_.answer(request); }})
        .start();
  }
  acts_.make_target();
  acts_.make_pool();
  engines_.send_requests("vllm-endpoints");
  if (!has_consumers(settings)) return;
  Dice dice(settings.seed + 11);
  consumers_.start("edge-1", {.pool = "vllm"});
  consumers_.start("edge-2", {.pool = "vllm", .kind = "envoy", .delay = milliseconds(50 + dice.below(8000))});
}

std::string DrainStory::run() {
  set_up();
  for (const DrainAct& act : script_.acts) {
    pass(act.at - elapsed());
    notes_.push_back(acts_.perform(act));
    if (auto text = wrong(); !text.empty()) return text;
  }
  pass(milliseconds(20));
  end_all_trouble();
  settle();
  if (auto text = wrong(); !text.empty()) return text;
  if (auto text = wrong_at_rest(); !text.empty()) return text;
  if (!script_.settings.upgrade) return {};
  if (auto text = upgrade_nodes(); !text.empty()) return text;
  settle();
  if (auto text = wrong(); !text.empty()) return text;
  return wrong_at_rest();
}

// Nothing, for a time that is over.
void DrainStory::pass(kube::Duration time) {
  const kube::Duration until = elapsed() + time;
  for (kube::Duration now = elapsed(); now < until; now = elapsed()) {
    const kube::Duration next = (now / kRestarts + 1) * kRestarts;
    world_.time().run_for(std::min(next, until) - now);
    if (next <= until) restart_the_exited();
  }
}

// As a Deployment of operators does.
void DrainStory::restart_the_exited() {
  for (std::size_t i = 0; i < world_.operators(); ++i) {
    if (!world_.op(i).exited()) continue;
    tell(fmt::format("operator {} had ended ({}) and is started again", i, world_.op(i).exited()->why));
    world_.op(i).start();
  }
}

// The only pod of a StatefulSet stays on its node: docs/drain.md. So whoever empties that node scales up
// before.
void DrainStory::have_two() {
  const json pool = cluster_.get("inferencepools", "vllm");
  if (script_.settings.target == DrainTarget::kDeployment) return;
  if (pool.value("/spec/replicas"_json_pointer, 0) != 1) return;
  acts_.perform({{}, "scale", {"pool", "2"}});
  settle();
}

// A person cordons all nodes but one at once, and empties them in an order of their own. What others took out
// of service is theirs: nobody waits for that for ever, so they put it back before.
std::string DrainStory::upgrade_nodes() {
  have_two();
  for (const auto& pod : world_.model().list(kube::kPods, "default"))
    acts_.merge("pods", pod->body().at("metadata").at("name"),
                R"({"metadata":{"annotations":{"poolwarden.io/drain":null}}})");
  for (int i = 1; i <= kDrainNodes; ++i)
    acts_.merge("nodes", fmt::format("node-{}", i),
                fmt::format(R"({{"spec":{{"taints":null,"unschedulable":{}}}}})", i == 1 ? "null" : "true"));
  std::vector<int> order{2, 3};
  if (end_dice_.chance(50)) std::swap(order[0], order[1]);
  const auto pods = static_cast<std::int64_t>(world_.model().list(kube::kPods, "default").size());
  // As docs/drain.md promises; and a replacement takes its time as well.
  const seconds at_most = (seconds(script_.settings.timeout) + seconds(60)) * (2 * pods + 1) + seconds(60);
  for (const int i : order) {
    const std::string node = fmt::format("node-{}", i);
    tell("a person empties " + node);
    const kube::Duration began = elapsed();
    while (acts_.ask_to_leave(node) > 0) {
      if (elapsed() - began > at_most)
        return fmt::format("{} is not empty after {} s", node, at_most.count());
      pass(seconds(5));
    }
  }
  for (int i = 1; i <= kDrainNodes; ++i)
    acts_.merge("nodes", fmt::format("node-{}", i), R"({"spec":{"unschedulable":null}})");
  return {};
}

bool DrainStory::is_tainted(const std::string& node) const {
  return cluster_.get("nodes", node).contains("/spec/taints"_json_pointer);
}

void DrainStory::end_all_trouble() {
  tell("all trouble ends");
  acts_.end_trouble();
  for (int i = 1; i <= kDrainNodes; ++i) {
    const std::string node = fmt::format("node-{}", i);
    if (i == 1 || end_dice_.chance(50)) {
      acts_.merge("nodes", node, R"({"spec":{"unschedulable":null,"taints":null}})");
    } else if (script_.settings.target != DrainTarget::kDeployment && is_tainted(node)) {
      // A pod of a StatefulSet leaves its node by eviction only, and here cordoned nodes are evicted from.
      // While nobody evicts, the pods there take turns for ever.
      acts_.merge("nodes", node, R"({"spec":{"unschedulable":true}})");
    }
  }
}

// Until the operators have written nothing for longer than any drain may take, and than any wait of theirs.
void DrainStory::settle() {
  constexpr int kMostMinutes = 60;
  std::uint64_t seen = 0;
  int quiet = 0;
  for (int n = 0; n < kMostMinutes && quiet < 3; ++n) {
    pass(seconds(60));
    acts_.evict();
    const std::uint64_t now = drains_.operator_writes();
    quiet = std::exchange(seen, now) == now ? quiet + 1 : 0;
  }
  rests_ = quiet >= 3;
}

std::string DrainStory::wrong() const {
  if (!drains_.violations().empty()) return drains_.violations().front();
  if (!world_.invariants().violations().empty()) return world_.invariants().violations().front();
  return {};
}

std::string DrainStory::wrong_at_rest() const {
  if (!rests_)
    return "it does not come to rest: an hour after all trouble has ended things are still written";
  if (const auto wrong = drains_.at_rest(); !wrong.empty()) return fmt::format("{}", fmt::join(wrong, "\n"));
  const auto fit = world_.invariants().fit_pods("default", "vllm");
  const auto published = world_.invariants().published_pods("default", "vllm");
  if (fit != published) {
    return fmt::format("at rest [{}] is published and [{}] should be", fmt::join(published, " "),
                       fmt::join(fit, " "));
  }
  return {};
}

std::string DrainStory::told() const {
  std::string text;
  for (const std::string& line : drains_.history()) {
    std::size_t after_time = 0;
    const double at = std::stod(line, &after_time) - std::chrono::duration<double>(began_).count();
    text += fmt::format("{:9.3f}{}\n", at, line.substr(after_time));
  }
  text += "At the end:\n";
  for (const auto& set : world_.model().list({"apps", "v1", "replicasets", "ReplicaSet"}, "default")) {
    text += fmt::format("  {} wants {}\n", set->body().at("metadata").at("name").get<std::string>(),
                        set->body().at("spec").at("replicas").dump());
  }
  for (const auto& pod : world_.model().list(kube::kPods, "default")) {
    const json& metadata = pod->body().at("metadata");
    text += fmt::format("  {} on {} {} {}{}\n", metadata.at("name").get<std::string>(),
                        pod->body().value("/spec/nodeName"_json_pointer, ""),
                        metadata.value("labels", json()).dump(), metadata.value("annotations", json()).dump(),
                        metadata.contains("deletionTimestamp") ? ", terminating" : "");
  }
  for (std::size_t i = 0; i < world_.operators(); ++i) {
    const auto& logs = world_.op(i).record().logs;
    for (std::size_t n = logs.size() > 60 ? logs.size() - 60 : 0; n < logs.size(); ++n) {
      text += fmt::format("  log {}: {}", i, logs[n].message);
      for (const auto& [key, value] : logs[n].fields) text += fmt::format(" {}={}", key, value);
      text += "\n";
    }
  }
  return text;
}

}  // namespace poolwarden::scenarios
