#include "scenarios/drain_acts.h"

#include "support/cluster/pod_facts.h"

#include <array>
#include <stdexcept>
#include <string_view>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace poolwarden::scenarios {
namespace {

constexpr const char* kBinding = "poolwarden-drain-gate";
constexpr const char* kBudget = "somebody-elses";
constexpr const char* kBudgets = "poddisruptionbudgets";
// What the node controller says of a node, and of its pods. The watches tell it in either order if it is
// less.
constexpr auto kApart = std::chrono::milliseconds(50);
constexpr const char* kBindings = "validatingadmissionpolicybindings";

const std::string& drain_word(const std::vector<std::string>& words, std::size_t index) {
  if (index >= words.size()) throw std::runtime_error("a word is missing");
  return words[index];
}

[[noreturn]] void no_such(const std::string& word) {
  throw std::runtime_error(fmt::format("there is no '{}' of it", word));
}

int drain_number(const std::string& word) {
  try {
    return std::stoi(word);
  } catch (const std::exception&) {
    throw std::runtime_error(fmt::format("'{}' is no number", word));
  }
}

// Of "count=3".
int drain_option(const std::string& word, std::string_view key) {
  if (!word.starts_with(key)) throw std::runtime_error(fmt::format("'{}' should begin with {}", word, key));
  return drain_number(word.substr(key.size()));
}

apiserver::FaultRule drain_fault(const std::vector<std::string>& words) {
  const auto kind = apiserver::parse_fault_kind(drain_word(words, 2));
  if (!kind) no_such(words[2]);
  apiserver::FaultRule rule;
  rule.kind = *kind;
  if (drain_word(words, 3) != "*") rule.verb = words[3];
  if (drain_word(words, 4) != "*") rule.resource = words[4];
  rule.count = static_cast<std::uint64_t>(drain_option(drain_word(words, 5), "count="));
  rule.seconds = drain_option(drain_word(words, 6), "seconds=");
  return rule;
}

// What a word of an act writes into an object.
struct Edit {
  std::string_view word;
  const char* body;
};

template <std::size_t kSize>
const char* edit_of(const std::array<Edit, kSize>& edits, const std::string& word) {
  for (const Edit& edit : edits) {
    if (edit.word == word) return edit.body;
  }
  no_such(word);
}

constexpr std::array<Edit, 5> kMarks{
    {{"drained", R"({"metadata":{"labels":{"poolwarden.io/serving":"drained"}}})"},
     {"draining", R"({"metadata":{"labels":{"poolwarden.io/serving":"draining"}}})"},
     {"unlabelled", R"({"metadata":{"labels":{"poolwarden.io/serving":null}}})"},
     {"to-drain", R"({"metadata":{"annotations":{"poolwarden.io/drain":"requested"}}})"},
     {"not-to-drain", R"({"metadata":{"annotations":{"poolwarden.io/drain":null}}})"}}};

constexpr std::array<Edit, 6> kNodeEdits{
    {{"cordon", R"({"spec":{"unschedulable":true}})"},
     {"uncordon", R"({"spec":{"unschedulable":null}})"},
     {"end-by-autoscaler",
      R"({"spec":{"taints":[{"key":"ToBeDeletedByClusterAutoscaler","effect":"NoSchedule"}]}})"},
     {"out-of-service",
      R"({"spec":{"taints":[{"key":"node.kubernetes.io/out-of-service","effect":"NoExecute"}]}})"},
     {"end-of-spot",
      R"({"spec":{"taints":[{"key":"aws-node-termination-handler/spot-itn","effect":"NoSchedule"}]}})"},
     {"untaint", R"({"spec":{"taints":null}})"}}};

}  // namespace

DrainActs::DrainActs(sim::SimWorld& world, ScenarioCluster& cluster, sim::SimEngines& engines,
                     const DrainSettings& settings, Tell tell)
    : world_(world), cluster_(cluster), engines_(engines), settings_(settings), tell_(std::move(tell)) {}

std::string DrainActs::perform(const DrainAct& act) {
  struct Verb {
    std::string_view name;
    std::string (DrainActs::*perform)(const Words&);
  };
  static constexpr std::array<Verb, 14> kVerbs{{{"scale", &DrainActs::on_replicas},
                                                {"rollout", &DrainActs::on_rollout},
                                                {"pod", &DrainActs::on_pod},
                                                {"mark", &DrainActs::on_mark},
                                                {"node", &DrainActs::on_node},
                                                {"operator", &DrainActs::on_operator},
                                                {"network", &DrainActs::on_network},
                                                {"engine", &DrainActs::on_engine},
                                                {"gate", &DrainActs::on_gate},
                                                {"pool", &DrainActs::on_pool},
                                                {"budget", &DrainActs::on_budget},
                                                {"evict", &DrainActs::on_eviction},
                                                {"kubelet", &DrainActs::on_kubelet},
                                                {"clock", &DrainActs::on_clock}}};
  for (const Verb& verb : kVerbs) {
    if (verb.name != act.verb) continue;
    try {
      return (this->*verb.perform)(act.words);
    } catch (const std::runtime_error& problem) {
      throw std::runtime_error(fmt::format("{:.3f} {}: {}", std::chrono::duration<double>(act.at).count(),
                                           act.verb, problem.what()));
    }
  }
  throw std::runtime_error(fmt::format("there is no act '{}'", act.verb));
}

void DrainActs::merge(const std::string& resource, const std::string& name, const std::string& body) {
  tell_(fmt::format("{} {}: {}", resource, name, body));
  cluster_.merge(resource, name, body);
}

void DrainActs::make_target() {
  const std::string replicas = std::to_string(settings_.replicas);
  if (!stateful()) return cluster_.create_deployment("vllm", {{"replicas", replicas}, {"probe", "5"}});
  const bool parallel = settings_.target == DrainTarget::kParallelStatefulSet;
  cluster_.create_stateful_set("vllm", settings_.replicas,
                               {{"policy", parallel ? "Parallel" : "OrderedReady"}, {"probe", "5"}});
}

void DrainActs::make_pool() {
  tell_("the pool is made");
  cluster_.create_pool("vllm", {{"target", "vllm"},
                                {"kind", stateful() ? "StatefulSet" : "Deployment"},
                                {"timeout", std::to_string(settings_.timeout)},
                                {"replace-first", settings_.replace_first ? "true" : "false"}});
}

// scale pool|target REPLICAS: the target where there is no pool
std::string DrainActs::on_replicas(const Words& words) {
  const std::string& of = drain_word(words, 0);
  if (of != "pool" && of != "target") no_such(of);
  const int replicas = drain_number(drain_word(words, 1));
  const bool pool = of == "pool" && !cluster_.get("inferencepools", "vllm").is_null();
  merge(pool ? "inferencepools" : targets(), "vllm",
        fmt::format(R"({{"spec":{{"replicas":{}}}}})", replicas));
  return pool || of != "pool" ? "" : "there is no pool: the target";
}

void DrainActs::roll_out(int version, bool crashes) {
  merge(targets(), "vllm",
        fmt::format(
            R"({{"spec":{{"template":{{"metadata":{{"annotations":{{"version":"{}"}}}},)"
            R"("spec":{{"containers":[{{"name":"server","image":"{}","ports":[{{"containerPort":8000}}],)"
            R"("readinessProbe":{{"httpGet":{{"path":"/health","port":8000}},"periodSeconds":5,)"
            R"("failureThreshold":1}}}}]}}}}}}}})",
            version, crashes ? "crashes" : "sim"));
}

// A StatefulSet cannot be paused. With a partition above all ordinals it rolls out to none.
void DrainActs::hold_rollouts(bool hold) {
  merge(targets(), "vllm",
        stateful() ? fmt::format(R"({{"spec":{{"updateStrategy":{{"rollingUpdate":{{"partition":{}}}}}}}}})",
                                 hold ? 100 : 0)
                   : fmt::format(R"({{"spec":{{"paused":{}}}}})", hold));
}

// rollout to VERSION [which-crashes] | undo | pause | resume
std::string DrainActs::on_rollout(const Words& words) {
  const std::string& what = drain_word(words, 0);
  if (what == "to") {
    const bool crashes = words.size() > 2;
    if (crashes && words[2] != "which-crashes") no_such(words[2]);
    template_before_ = std::exchange(template_, {drain_number(drain_word(words, 1)), crashes});
    roll_out(template_.version, template_.crashes);
  } else if (what == "undo") {
    std::swap(template_, template_before_);
    roll_out(template_.version, template_.crashes);
  } else if (what == "pause" || what == "resume") {
    hold_rollouts(what == "pause");
  } else {
    no_such(what);
  }
  return {};
}

json DrainActs::pod_at(const std::string& place) const {
  const auto pods = world_.model().list(kube::kPods, "default");
  const int number = drain_number(place);
  if (number < 0) throw std::runtime_error("a place is 0 or more");
  return pods.empty() ? json() : pods[static_cast<std::size_t>(number) % pods.size()]->body();
}

// pod PLACE delete|delete-by-force|crash|fail-probes|answer-its-probes|relabel APP
std::string DrainActs::on_pod(const Words& words) {
  const json pod = pod_at(drain_word(words, 0));
  const std::string& what = drain_word(words, 1);
  if (pod.is_null()) return "no pod";
  const std::string name = pod.at("metadata").at("name");
  tell_(fmt::format("pod {}: {}", name, what));
  if (what == "delete") {
    cluster_.terminate(name, 5);
  } else if (what == "delete-by-force") {
    cluster_.terminate(name, 0);
  } else if (what == "crash") {
    world_.runtime().crash(name, 1, world_.time().now().wall);
    engines_.lose(pod.at("metadata").at("uid"));
  } else if (what == "fail-probes" || what == "answer-its-probes") {
    world_.runtime().set_failing(name, what == "fail-probes");
  } else if (what == "relabel") {
    cluster_.relabel(name, "app", drain_word(words, 2));
  } else {
    no_such(what);
  }
  return name;
}

// mark PLACE drained|draining|unlabelled|to-drain|not-to-drain|cost NUMBER|cost none: of a pod, by people and
// other programs
std::string DrainActs::on_mark(const Words& words) {
  const json pod = pod_at(drain_word(words, 0));
  const std::string& what = drain_word(words, 1);
  if (pod.is_null()) return "no pod";
  const std::string name = pod.at("metadata").at("name");
  if (what == "cost") {
    const std::string& cost = drain_word(words, 2);
    const json value = cost == "none" ? json() : json(std::to_string(drain_number(cost)));
    const json annotations = {{"controller.kubernetes.io/pod-deletion-cost", value}};
    merge("pods", name, json({{"metadata", {{"annotations", annotations}}}}).dump());
  } else {
    merge("pods", name, edit_of(kMarks, what));
  }
  return name;
}

// node NAME cordon|uncordon|end-by-autoscaler|out-of-service|end-of-spot|untaint
std::string DrainActs::on_node(const Words& words) {
  const char* body = edit_of(kNodeEdits, drain_word(words, 1));
  if (cluster_.get("nodes", words[0]).is_null()) throw std::runtime_error("there is no node " + words[0]);
  merge("nodes", words[0], body);
  return {};
}

sim::SimOperator& DrainActs::operator_at(const std::string& place) {
  const int number = drain_number(place);
  if (number < 0) throw std::runtime_error("a place is 0 or more");
  return world_.op(static_cast<std::size_t>(number) % world_.operators());
}

// operator PLACE kill|stop|start: which is down is started in any case
std::string DrainActs::on_operator(const Words& words) {
  sim::SimOperator& op = operator_at(drain_word(words, 0));
  const std::string& what = drain_word(words, 1);
  if (what != "kill" && what != "stop" && what != "start") no_such(what);
  const bool starts = !op.running();
  if (!starts && what == "start") return "it runs";
  tell_(fmt::format("operator {}: {}", words[0], starts ? "start" : what));
  if (starts) {
    op.start();
  } else if (what == "kill") {
    op.kill();
  } else {
    op.stop();
  }
  return starts && what != "start" ? "it was down: started" : "";
}

// network PLACE cut|cut-and-compact|down|silent|up|well, or fault KIND VERB RESOURCE count=N seconds=N, where
// * is any verb or resource. Of an operator.
std::string DrainActs::on_network(const Words& words) {
  sim::SimOperator& op = operator_at(drain_word(words, 0));
  sim::SimNetwork& network = op.network();
  const std::string& what = drain_word(words, 1);
  if (what != "up")
    tell_(
        fmt::format("network of operator {}: {}", words[0], fmt::join(words.begin() + 1, words.end(), " ")));
  if (what == "cut" || what == "cut-and-compact") {
    op.cut();
    if (what == "cut-and-compact") world_.model().compact();
  } else if (what == "down") {
    network.down = true;
    op.cut();
  } else if (what == "silent") {
    network.silent = true;
  } else if (what == "up" || what == "well") {
    network.down = false;
    network.silent = false;
    if (what == "well") network.faults.clear();
  } else if (what == "fault") {
    network.faults.add(drain_fault(words));
  } else {
    no_such(what);
  }
  return {};
}

// engine PLACE honest|hangs|gone|broken: the metrics of a pod
std::string DrainActs::on_engine(const Words& words) {
  constexpr std::array kModes{sim::Metrics::kHonest, sim::Metrics::kHangs, sim::Metrics::kGone,
                              sim::Metrics::kBroken};
  const json pod = pod_at(drain_word(words, 0));
  const std::string& what = drain_word(words, 1);
  if (pod.is_null()) return "no pod";
  const std::string name = pod.at("metadata").at("name");
  const std::string uid = pod.at("metadata").at("uid");
  for (const sim::Metrics mode : kModes) {
    if (to_string(mode) != what) continue;
    if (engines_.metrics(uid) == sim::Metrics::kLies) return name + ", which goes on to lie";
    tell_(fmt::format("metrics of {}: {}", name, what));
    engines_.set_metrics(uid, mode);
    return name;
  }
  no_such(what);
}

// gate install|delete|audit: a gate that is not there is installed in any case
std::string DrainActs::on_gate(const Words& words) {
  const std::string& what = drain_word(words, 0);
  if (what != "install" && what != "delete" && what != "audit") no_such(what);
  const bool missing = cluster_.get(kBindings, kBinding).is_null();
  if (missing || what == "install") {
    tell_("the gate is installed");
    world_.install_gate();
  } else if (what == "delete") {
    tell_("the gate's binding is deleted");
    cluster_.remove(kBindings, kBinding);
  } else {
    merge(kBindings, kBinding, R"({"spec":{"validationActions":["Audit"]}})");
  }
  return missing && what != "install" ? "it was missing: installed" : "";
}

// pool make|delete|hold|unhold: a pool that is not there is made in any case. One on hold says nothing
// usable.
std::string DrainActs::on_pool(const Words& words) {
  const std::string& what = drain_word(words, 0);
  if (what != "make" && what != "delete" && what != "hold" && what != "unhold") no_such(what);
  const bool missing = cluster_.get("inferencepools", "vllm").is_null();
  if (missing) {
    make_pool();
  } else if (what == "delete") {
    tell_("the pool is deleted");
    cluster_.remove("inferencepools", "vllm");
  } else if (what == "hold") {
    merge("inferencepools", "vllm",
          R"({"spec":{"selector":{"matchExpressions":[{"key":"app","operator":"In"}]}}})");
  } else if (what == "unhold") {
    merge("inferencepools", "vllm", R"({"spec":{"selector":null}})");
  }
  return missing && what != "make" ? "it was missing: made" : "";
}

// budget make|delete: somebody else's, over the same pods
std::string DrainActs::on_budget(const Words& words) {
  const std::string& what = drain_word(words, 0);
  if (what != "make" && what != "delete") no_such(what);
  const bool missing = cluster_.get(kBudgets, kBudget).is_null();
  if (missing == (what == "delete")) return "there is nothing to do";
  tell_(fmt::format("somebody else's budget: {}", what));
  if (what == "make") {
    cluster_.create_budget(kBudget, "vllm");
  } else {
    cluster_.remove(kBudgets, kBudget);
  }
  return {};
}

// evict: the pods of all cordoned nodes are asked to leave
std::string DrainActs::on_eviction(const Words&) {
  evict();
  return {};
}

void DrainActs::evict() {
  for (int i = 1; i <= kDrainNodes; ++i) {
    const std::string node = fmt::format("node-{}", i);
    if (cluster_.get("nodes", node).value("/spec/unschedulable"_json_pointer, false)) ask_to_leave(node);
  }
}

std::size_t DrainActs::ask_to_leave(const std::string& node) {
  std::size_t held = 0;
  for (const std::string& name : cluster_.pods_on(node)) {
    if (cluster::is_active(cluster_.get("pods", name)) && !cluster_.evict(name)) ++held;
  }
  return held;
}

// kubelet NODE|all lost|lost-pods-first|seen: what it says does not arrive, and what runs there goes on. The
// node controller says so of the node and of its pods, in either order.
std::string DrainActs::on_kubelet(const Words& words) {
  const std::string& node = drain_word(words, 0);
  const std::string& what = drain_word(words, 1);
  if (what != "lost" && what != "lost-pods-first" && what != "seen") no_such(what);
  if (node != "all" && cluster_.get("nodes", node).is_null())
    throw std::runtime_error("there is no node " + node);
  for (int i = 1; i <= kDrainNodes; ++i) {
    const std::string name = fmt::format("node-{}", i);
    if (node != "all" && node != name) continue;
    if (what == "seen") {
      see_again(name);
    } else {
      lose_sight_of(name, what == "lost-pods-first");
    }
  }
  return {};
}

void DrainActs::lose_sight_of(const std::string& node, bool pods_first) {
  tell_(fmt::format("kubelet of {}: lost", node));
  world_.kubelet().set_node_down(node, true);
  lost_.insert(node);
  const auto mark_node = [this, node] {
    if (lost_.contains(node)) cluster_.set_node_ready(node, "Unknown");
  };
  const auto mark_pods = [this, node] {
    if (!lost_.contains(node)) return;
    cluster_.mark_pods_on(node);
  };
  if (pods_first) {
    mark_pods();
    world_.time().after(kApart, mark_node);
  } else {
    mark_node();
    world_.time().after(kApart, mark_pods);
  }
}

void DrainActs::see_again(const std::string& node) {
  tell_(fmt::format("kubelet of {}: seen", node));
  world_.kubelet().set_node_down(node, false);
  lost_.erase(node);
  cluster_.set_node_ready(node, "True");
}

// clock PLACE SECONDS: of the machine of an operator, so far ahead of the true time
std::string DrainActs::on_clock(const Words& words) {
  sim::SimOperator& op = operator_at(drain_word(words, 0));
  const int ahead = drain_number(drain_word(words, 1));
  tell_(fmt::format("the clock of operator {}: {} s ahead", words[0], ahead));
  op.set_clock(std::chrono::seconds(ahead));
  return {};
}

void DrainActs::end_trouble() {
  world_.install_gate();
  on_pool({"make"});
  on_pool({"unhold"});
  on_budget({"delete"});
  on_kubelet({"all", "seen"});
  for (std::size_t i = 0; i < world_.operators(); ++i) {
    world_.op(i).network().faults.clear();
    world_.op(i).network().down = false;
    world_.op(i).network().silent = false;
    if (!world_.op(i).running()) world_.op(i).start();
  }
  for (const auto& pod : world_.model().list(kube::kPods, "default"))
    world_.runtime().set_failing(pod->body().at("metadata").at("name"), false);
  if (std::exchange(template_.crashes, false)) {
    cluster_.merge(targets(), "vllm",
                   R"({"spec":{"template":{"spec":{"containers":[{"name":"server","image":"sim"}]}}}})");
  }
  hold_rollouts(false);
  if (stateful()) mend_set();
}

// What a StatefulSet cannot get out of by itself. It waits for a pod that crashes, and a pod that somebody
// relabelled keeps its name.
// https://kubernetes.io/docs/concepts/workloads/controllers/statefulset/#forced-rollback
void DrainActs::mend_set() {
  for (const auto& pod : world_.model().list(kube::kPods, "default")) {
    const std::string name = pod->body().at("metadata").at("name");
    if (cluster::label(pod->body(), "app") != "vllm") cluster_.relabel(name, "app", "vllm");
    if (pod->body().at("/spec/containers/0/image"_json_pointer) != "crashes") continue;
    tell_("a person deletes " + name + ", which crashes");
    cluster_.terminate(name, 0);
  }
}

}  // namespace poolwarden::scenarios
