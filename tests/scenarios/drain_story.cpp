#include "scenarios/drain_story.h"

#include "publish/calls.h"
#include "support/cluster/pod_facts.h"

#include <algorithm>
#include <array>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace poolwarden::scenarios {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr int kActs = 30;
constexpr int kNodes = 3;

sim::WorldOptions world_options(std::uint64_t seed) {
  sim::WorldOptions options;
  options.seed = seed;
  options.controllers = true;
  options.gate = true;
  options.nodes = kNodes;
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

sim::EngineOptions engine_options(std::uint64_t seed) {
  sim::EngineOptions options;
  options.seed = seed + 5;
  options.metrics_of_next_pod = [dice = std::mt19937_64(seed + 7)]() mutable {
    const auto roll = dice() % 20;
    if (roll == 0) return sim::Metrics::kLies;
    if (roll == 1) return sim::Metrics::kHangs;
    return sim::Metrics::kHonest;
  };
  return options;
}

sim::DrainInvariantOptions drain_options(bool faulty) {
  sim::DrainInvariantOptions options;
  options.pool = "vllm";
  options.deployment = "vllm";
  options.watches_fail = faulty;
  // A watch that is silent is given up after some two minutes, and then listed anew.
  options.memory = faulty ? kube::Duration(std::chrono::minutes(4)) : kube::Duration(seconds(4));
  return options;
}

}  // namespace

DrainStory::DrainStory(std::uint64_t seed)
    : seed_(seed),
      faulty_(seed % 2 == 0),
      dice_(seed),
      world_(world_options(seed)),
      engines_(world_.time(), world_.model(), engine_options(seed)),
      drains_(world_.time(), world_.model(), engines_, drain_options(faulty_)) {
  if (faulty_) world_.invariants().watches_fail();
  world_.add_watcher([this](const std::set<std::string>& changed) {
    engines_.changed(changed);
    drains_.changed(changed);
  });
}

void DrainStory::merge(const std::string& resource, const std::string& name, const std::string& body) {
  tell(fmt::format("{} {}: {}", resource, name, body));
  cluster_.merge(resource, name, body);
}

void DrainStory::make_pool() {
  tell("the pool is made");
  cluster_.create_pool("vllm", {{"target", "vllm"},
                                {"timeout", std::to_string(timeout_)},
                                {"replace-first", chance(20) ? "true" : "false"}});
}

void DrainStory::set_up() {
  constexpr std::array kTimeouts{0, 5, 20, 60};
  timeout_ = kTimeouts[static_cast<std::size_t>(below(4))];
  const bool elect = chance(30);
  for (int i = 0; i < (elect ? 2 : 1); ++i) {
    world_
        .add_operator({.name = i == 0 ? "a" : "b",
                       .seed = seed_ + static_cast<std::uint64_t>(i),
                       .leader_elect = elect,
                       .engines = [this](const auto& request) { return engines_.answer(request); }})
        .start();
  }
  cluster_.create_deployment("vllm", {{"replicas", std::to_string(2 + below(4))}, {"probe", "5"}});
  make_pool();
  engines_.send_requests("vllm-endpoints");
  world_.time().run_for(seconds(20));
}

std::string DrainStory::run() {
  set_up();
  for (int n = 0; n < kActs; ++n) {
    world_.time().run_for(milliseconds(below(chance(30) ? 15'000 : 1'500)));
    restart_the_exited();
    if (chance(30)) evict();
    if (n % 4 == 0) mend();
    world_.time().run_for(milliseconds(20));
    act();
    if (auto text = wrong(); !text.empty()) return text;
  }
  world_.time().run_for(milliseconds(20));
  end_all_trouble();
  settle();
  if (auto text = wrong(); !text.empty()) return text;
  if (auto text = wrong_at_rest(); !text.empty()) return text;
  if (auto text = upgrade_nodes(); !text.empty()) return text;
  settle();
  if (auto text = wrong(); !text.empty()) return text;
  return wrong_at_rest();
}

void DrainStory::act() {
  constexpr std::array<std::pair<int, Act>, 10> kChoices{{{30, &DrainStory::act_on_replicas},
                                                          {12, &DrainStory::act_on_rollout},
                                                          {12, &DrainStory::act_on_pod},
                                                          {12, &DrainStory::act_on_marks},
                                                          {8, &DrainStory::act_on_node},
                                                          {8, &DrainStory::act_on_operator},
                                                          {8, &DrainStory::act_on_network},
                                                          {6, &DrainStory::act_on_engine},
                                                          {3, &DrainStory::act_on_gate},
                                                          {1, &DrainStory::act_on_pool}}};
  int roll = below(100);
  for (const auto& [weight, what] : kChoices) {
    if (roll < weight) {
      (this->*what)();
      return;
    }
    roll -= weight;
  }
}

bool DrainStory::act_on_replicas() {
  const std::string body = fmt::format(R"({{"spec":{{"replicas":{}}}}})", below(7));
  const bool has_pool = !cluster_.get("inferencepools", "vllm").is_null();
  merge(has_pool && chance(50) ? "inferencepools" : "deployments", "vllm", body);
  return true;
}

bool DrainStory::act_on_rollout() {
  const auto roll_to = [this](int version, bool crashes) {
    merge("deployments", "vllm",
          fmt::format(
              R"({{"spec":{{"template":{{"metadata":{{"annotations":{{"version":"{}"}}}},)"
              R"("spec":{{"containers":[{{"name":"server","image":"{}","ports":[{{"containerPort":8000}}],)"
              R"("readinessProbe":{{"httpGet":{{"path":"/health","port":8000}},"periodSeconds":5,)"
              R"("failureThreshold":1}}}}]}}}}}}}})",
              version, crashes ? "crashes" : "sim"));
  };
  switch (below(6)) {
    case 0:
    case 1:
      template_before_ = std::exchange(template_, below(1000));
      roll_to(template_, false);
      break;
    case 2:
      template_before_ = std::exchange(template_, 1000 + below(1000));
      roll_to(template_, true);
      break;
    case 3:
      std::swap(template_, template_before_);
      roll_to(template_, template_ >= 1000);
      break;
    case 4:
      merge("deployments", "vllm", R"({"spec":{"paused":true}})");
      break;
    default:
      merge("deployments", "vllm", R"({"spec":{"paused":false}})");
      break;
  }
  return true;
}

std::optional<json> DrainStory::some_pod() {
  const auto pods = world_.model().list(kube::kPods, "default");
  if (pods.empty()) return std::nullopt;
  return pods.at(static_cast<std::size_t>(below(static_cast<int>(pods.size()))))->body();
}

bool DrainStory::act_on_pod() {
  const auto pod = some_pod();
  if (!pod) return false;
  const std::string name = pod->at("metadata").at("name");
  switch (below(6)) {
    case 0:
      tell("a person deletes " + name);
      cluster_.terminate(name, 5);
      break;
    case 1:
      tell("a person deletes " + name + " by force");
      cluster_.terminate(name, 0);
      break;
    case 2:
      tell("the container of " + name + " crashes");
      world_.runtime().crash(name, 1, world_.time().now().wall);
      engines_.lose(pod->at("metadata").at("uid"));
      break;
    case 3:
      tell(name + " does not answer its probes");
      world_.runtime().set_failing(name, true);
      break;
    case 4:
      tell(name + " answers its probes");
      world_.runtime().set_failing(name, false);
      break;
    default:
      tell(name + " is relabelled");
      cluster_.relabel(name, "app", chance(50) ? "vllm" : "other");
      break;
  }
  return true;
}

// Of a pod, by people and other programs.
bool DrainStory::act_on_marks() {
  const auto pod = some_pod();
  if (!pod) return false;
  const std::string name = pod->at("metadata").at("name");
  switch (below(7)) {
    case 0:
      merge("pods", name, R"({"metadata":{"labels":{"poolwarden.io/serving":"drained"}}})");
      break;
    case 1:
      merge("pods", name, R"({"metadata":{"labels":{"poolwarden.io/serving":"draining"}}})");
      break;
    case 2:
      merge("pods", name, R"({"metadata":{"labels":{"poolwarden.io/serving":null}}})");
      break;
    case 3:
      merge("pods", name, R"({"metadata":{"annotations":{"poolwarden.io/drain":"requested"}}})");
      break;
    case 4:
      merge("pods", name, R"({"metadata":{"annotations":{"poolwarden.io/drain":null}}})");
      break;
    case 5:
      merge("pods", name,
            R"({"metadata":{"annotations":{"controller.kubernetes.io/pod-deletion-cost":null}}})");
      break;
    default:
      merge("pods", name,
            fmt::format(
                R"({{"metadata":{{"annotations":{{"controller.kubernetes.io/pod-deletion-cost":"{}"}}}}}})",
                below(200) - 100));
      break;
  }
  return true;
}

std::string DrainStory::some_node() {
  return "node-" + std::to_string(1 + below(kNodes));
}

bool DrainStory::act_on_node() {
  const std::string node = some_node();
  switch (below(7)) {
    case 0:
    case 1:
      merge("nodes", node, R"({"spec":{"unschedulable":true}})");
      break;
    case 2:
      merge("nodes", node, R"({"spec":{"unschedulable":null}})");
      break;
    case 3:
      merge("nodes", node,
            R"({"spec":{"taints":[{"key":"ToBeDeletedByClusterAutoscaler","effect":"NoSchedule"}]}})");
      break;
    case 4:
      merge("nodes", node,
            R"({"spec":{"taints":[{"key":"node.kubernetes.io/out-of-service","effect":"NoExecute"}]}})");
      break;
    case 5:
      merge("nodes", node,
            R"({"spec":{"taints":[{"key":"aws-node-termination-handler/spot-itn","effect":"NoSchedule"}]}})");
      break;
    default:
      merge("nodes", node, R"({"spec":{"taints":null}})");
      break;
  }
  return true;
}

sim::SimOperator& DrainStory::some_operator() {
  return world_.op(static_cast<std::size_t>(below(static_cast<int>(world_.operators()))));
}

bool DrainStory::act_on_operator() {
  sim::SimOperator& op = some_operator();
  if (!op.running()) {
    tell("an operator is started");
    op.start();
  } else if (chance(70)) {
    tell("an operator is killed");
    op.kill();
  } else {
    tell("an operator is stopped");
    op.stop();
  }
  return true;
}

bool DrainStory::act_on_network() {
  sim::SimOperator& op = some_operator();
  if (!faulty_) {
    tell("all watches end");
    op.cut();
    if (chance(50)) world_.model().compact();
    return true;
  }
  using apiserver::FaultKind;
  constexpr std::array kFaults{
      FaultKind::kConflict,    FaultKind::kInternalError,  FaultKind::kTooManyRequests,
      FaultKind::kLostAnswer,  FaultKind::kDelayBefore,    FaultKind::kDelayAfter,
      FaultKind::kUnavailable, FaultKind::kDropConnection, FaultKind::kGoneAtConnect};
  constexpr std::array kVerbs{"", "patch", "update", "watch", "list"};
  constexpr std::array kResources{"", "pods", "configmaps", "replicasets", "nodes"};
  switch (below(5)) {
    case 0:
      tell("the API server is away");
      op.network().down = true;
      op.cut();
      break;
    case 1:
      tell("nothing arrives any more");
      op.network().silent = true;
      break;
    case 2:
      tell("the network is well");
      op.network().faults.clear();
      op.network().down = false;
      op.network().silent = false;
      break;
    default: {
      apiserver::FaultRule rule;
      rule.kind = kFaults[static_cast<std::size_t>(below(static_cast<int>(kFaults.size())))];
      rule.verb = kVerbs[static_cast<std::size_t>(below(static_cast<int>(kVerbs.size())))];
      rule.resource = kResources[static_cast<std::size_t>(below(static_cast<int>(kResources.size())))];
      rule.count = static_cast<std::uint64_t>(1 + below(8));
      rule.seconds = 1 + below(4);
      tell(fmt::format("fault {} for {} '{}' '{}'", static_cast<int>(rule.kind), *rule.count, rule.verb,
                       rule.resource));
      op.network().faults.add(rule);
      break;
    }
  }
  return true;
}

bool DrainStory::act_on_engine() {
  const auto pod = some_pod();
  if (!pod) return false;
  const std::string uid = pod->at("metadata").at("uid");
  if (engines_.metrics(uid) == sim::Metrics::kLies) return false;  // once a liar, always a liar
  constexpr std::array kModes{sim::Metrics::kHonest, sim::Metrics::kHonest, sim::Metrics::kHangs,
                              sim::Metrics::kGone, sim::Metrics::kBroken};
  const auto mode = kModes[static_cast<std::size_t>(below(static_cast<int>(kModes.size())))];
  tell(fmt::format("metrics of {}: {}", pod->at("metadata").at("name").get<std::string>(), to_string(mode)));
  engines_.set_metrics(uid, mode);
  return true;
}

bool DrainStory::act_on_gate() {
  if (cluster_.get("validatingadmissionpolicybindings", "poolwarden-drain-gate").is_null() || chance(30)) {
    tell("the gate is installed");
    world_.install_gate();
  } else if (chance(50)) {
    tell("the gate's binding is deleted");
    cluster_.remove("validatingadmissionpolicybindings", "poolwarden-drain-gate");
  } else {
    merge("validatingadmissionpolicybindings", "poolwarden-drain-gate",
          R"({"spec":{"validationActions":["Audit"]}})");
  }
  return true;
}

bool DrainStory::act_on_pool() {
  if (cluster_.get("inferencepools", "vllm").is_null()) {
    make_pool();
  } else {
    tell("the pool is deleted");
    cluster_.remove("inferencepools", "vllm");
  }
  return true;
}

// As kubectl drain does, which asks again and again.
void DrainStory::evict() {
  for (int i = 1; i <= kNodes; ++i) {
    const std::string node = fmt::format("node-{}", i);
    if (cluster_.get("nodes", node).value("/spec/unschedulable"_json_pointer, false)) ask_to_leave(node);
  }
}

// How many stay.
std::size_t DrainStory::ask_to_leave(const std::string& node) {
  std::size_t held = 0;
  for (const auto& pod : world_.model().list(kube::kPods, "default")) {
    if (pod->body().value("/spec/nodeName"_json_pointer, "") != node) continue;
    if (!cluster::is_active(pod->body())) continue;
    if (!cluster_.evict(pod->body().at("metadata").at("name"))) ++held;
  }
  return held;
}

// A person cordons all nodes but one at once, and empties them in an order of their own. What others took out
// of service is theirs: nobody waits for that for ever, so they put it back before.
std::string DrainStory::upgrade_nodes() {
  for (const auto& pod : world_.model().list(kube::kPods, "default"))
    merge("pods", pod->body().at("metadata").at("name"),
          R"({"metadata":{"annotations":{"poolwarden.io/drain":null}}})");
  for (int i = 1; i <= kNodes; ++i)
    merge("nodes", fmt::format("node-{}", i),
          fmt::format(R"({{"spec":{{"taints":null,"unschedulable":{}}}}})", i == 1 ? "null" : "true"));
  std::vector<int> order{2, 3};
  std::shuffle(order.begin(), order.end(), dice_);
  const auto pods = static_cast<std::int64_t>(world_.model().list(kube::kPods, "default").size());
  // As docs/drain.md promises; and a replacement takes its time as well.
  const seconds at_most = (seconds(timeout_) + seconds(60)) * (2 * pods + 1) + seconds(60);
  for (const int i : order) {
    const std::string node = fmt::format("node-{}", i);
    tell("a person empties " + node);
    const kube::Duration began = world_.time().elapsed();
    while (ask_to_leave(node) > 0) {
      if (world_.time().elapsed() - began > at_most)
        return fmt::format("{} is not empty after {} s", node, at_most.count());
      world_.time().run_for(seconds(5));
      restart_the_exited();
    }
  }
  for (int i = 1; i <= kNodes; ++i)
    merge("nodes", fmt::format("node-{}", i), R"({"spec":{"unschedulable":null}})");
  return {};
}

// As a Deployment of operators does. One that was killed comes back after a while, too.
void DrainStory::restart_the_exited() {
  for (std::size_t i = 0; i < world_.operators(); ++i) {
    if (!world_.op(i).running() && !world_.op(i).exited() && chance(30)) {
      tell(fmt::format("operator {} is started again", i));
      world_.op(i).start();
    }
    if (world_.op(i).exited()) {
      tell(fmt::format("operator {} had ended ({}) and is started again", i, world_.op(i).exited()->why));
      world_.op(i).start();
    }
  }
}

// What is broken all the time hides everything else.
void DrainStory::mend() {
  if (cluster_.get("inferencepools", "vllm").is_null()) make_pool();
  if (chance(60)) world_.install_gate();
  if (!faulty_ || chance(50)) return;
  for (std::size_t i = 0; i < world_.operators(); ++i) {
    world_.op(i).network().down = false;
    world_.op(i).network().silent = false;
  }
}

void DrainStory::end_all_trouble() {
  tell("all trouble ends");
  world_.install_gate();
  if (cluster_.get("inferencepools", "vllm").is_null()) make_pool();
  for (std::size_t i = 0; i < world_.operators(); ++i) {
    world_.op(i).network().faults.clear();
    world_.op(i).network().down = false;
    world_.op(i).network().silent = false;
    if (!world_.op(i).running()) world_.op(i).start();
  }
  for (const auto& pod : world_.model().list(kube::kPods, "default"))
    world_.runtime().set_failing(pod->body().at("metadata").at("name"), false);
  if (template_ >= 1000) {
    template_ = 1;
    cluster_.merge("deployments", "vllm",
                   R"({"spec":{"template":{"spec":{"containers":[{"name":"server","image":"sim"}]}}}})");
  }
  cluster_.merge("deployments", "vllm", R"({"spec":{"paused":false}})");
  for (int i = 1; i <= kNodes; ++i) {
    if (i == 1 || chance(50))
      merge("nodes", fmt::format("node-{}", i), R"({"spec":{"unschedulable":null,"taints":null}})");
  }
}

// Until the operators have written nothing for longer than any drain may take, and than any wait of theirs.
void DrainStory::settle() {
  constexpr int kMostMinutes = 60;
  std::uint64_t seen = 0;
  int quiet = 0;
  for (int n = 0; n < kMostMinutes && quiet < 3; ++n) {
    world_.time().run_for(seconds(60));
    restart_the_exited();
    evict();
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
  for (const std::string& line : drains_.history()) text += line + "\n";
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
