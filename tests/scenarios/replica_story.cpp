#include "scenarios/replica_story.h"

#include "scenarios/dice.h"
#include "scenarios/scenario_cluster.h"
#include "support/sim/sim_world.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace poolwarden::scenarios {
namespace {

using namespace std::chrono_literals;
using sim::SimOperator;
using sim::SimWorld;

// From a change of a pod to the list without it: the way to a replica, its hedge, and a few writes.
constexpr kube::Duration kDelay = 1500ms;

// Looks at the list whenever something changed, with the truth beside it. Pods have names of their own for
// ever.
class ReplicaWitness {
 public:
  explicit ReplicaWitness(SimWorld& world) : world_(world) {
    world.add_watcher([this](const std::set<std::string>&) { look(); });
  }

  void look() {
    const auto now = world_.time().now().mono;
    for (std::size_t i = 0; i < world_.operators(); ++i) look_at(world_.op(i), i, now);
    world_.invariants().watches_fail(std::any_of(visibility_.begin(), visibility_.end(),
                                                 [](const auto& each) { return each.second.lost; }));
    auto fit = world_.invariants().fit_pods("default", "vllm");
    auto surely_fit = world_.invariants().surely_fit_pods("default", "vllm");
    auto listed = world_.invariants().published_pods("default", "vllm");
    for (const std::string& name : listed_) {
      if (!surely_fit_.contains(name)) unfit_at_[name] = now;  // until now
    }
    if (fit != fit_) ++truths_;
    for (const std::string& name : listed_) {
      if (listed.contains(name) || !fit.contains(name)) continue;
      const auto unfit = unfit_at_.find(name);
      if (unfit == unfit_at_.end() || unfit->second < first_excused(now))
        problem_ = fmt::format("{} was withdrawn, and has long been fit", name);
    }
    if (listed != listed_) ++lists_;
    fit_ = std::move(fit);
    surely_fit_ = std::move(surely_fit);
    listed_ = std::move(listed);
  }

  const std::string& problem() const { return problem_; }
  int truths() const { return truths_; }
  int lists() const { return lists_; }

 private:
  struct Visibility {
    std::optional<kube::TimePoint> lost;
    kube::TimePoint back = kube::TimePoint::min();
  };

  // A replica that is paused, or whose watch of pods or nodes is silent or broken, may know what was true
  // before.
  void look_at(const SimOperator& op, std::size_t index, kube::TimePoint now) {
    Visibility& view = visibility_[index];
    const auto feeds = op.health().feeds;
    const auto is_lost = [&feeds](std::size_t kind) {
      return !feeds[kind].synced || !feeds[kind].problem.empty();
    };
    const bool lost = is_lost(control::WatchedKinds::index<control::Pods>()) ||
                      is_lost(control::WatchedKinds::index<control::Nodes>());
    const bool unsure =
        op.paused() || op.network().silent || !op.network().faults.empty() || (op.running() && lost);
    if (unsure && !view.lost) view.lost = now;
    if (!unsure && view.lost && view.back == kube::TimePoint::min()) view.back = now;
    if (unsure) view.back = kube::TimePoint::min();
    if (!unsure && view.lost && now - view.back > kDelay) view = {};
  }
  kube::TimePoint first_excused(kube::TimePoint now) const {
    kube::TimePoint first = now - kDelay;
    for (const auto& [index, view] : visibility_) {
      if (view.lost) first = std::min(first, *view.lost - kDelay);
    }
    return first;
  }

  SimWorld& world_;
  std::set<std::string> fit_, surely_fit_, listed_;
  std::map<std::string, kube::TimePoint> unfit_at_;  // the last moment at which it was
  std::map<std::size_t, Visibility> visibility_;
  int truths_ = 0;
  int lists_ = 0;
  std::string problem_;
};

class ReplicaWorld {
 public:
  explicit ReplicaWorld(std::uint64_t seed) : dice_(seed), world_(options(seed)) {
    for (std::size_t i = 0; i < 2 + seed % 2; ++i) {
      auto& op = world_.add_operator({.name = fmt::format("replica-{}", i),
                                      .seed = seed * 10 + i,
                                      .leader_elect = true,
                                      .list_limits = list_limits(seed),
                                      .wall_skew = std::chrono::seconds(dice_.below(7200) - 3600)});
      op.network().latency = std::chrono::milliseconds(1 + dice_.below(25));
      op.start();
    }
    for (const std::string& node : nodes_) cluster_.create_node(node, "zone-a");
    for (int i = 0; i < 4; ++i) create_pod();
    cluster_.create_pool("vllm", {{"app", "vllm"}});
    world_.time().run_for(5s);
  }

  // Nothing if all went well.
  std::string run() {
    for (int n = 0; n < 50; ++n) {
      act();
      witness_.look();
      world_.time().run_for(dice_.below(4) == 0 ? dice_.until(15s) : dice_.until(600ms));
      if (std::string problem = found(); !problem.empty()) return problem;
    }
    return rest();
  }
  std::size_t standby_withdrawals() const {
    std::size_t sum = 0;
    for (std::size_t i = 0; i < world_.operators(); ++i) sum += world_.op(i).record().standby_withdrawals;
    return sum;
  }

 private:
  static sim::WorldOptions options(std::uint64_t seed) {
    sim::WorldOptions made;
    made.seed = seed;
    return made;
  }

  // Every third list is a large one, of shards of two endpoints.
  static pool::ListLimits list_limits(std::uint64_t seed) {
    pool::ListLimits limits;
    if (seed % 3 == 0) limits.shard_endpoints = 2;
    return limits;
  }

  void act() {
    if (dice_.below(3) == 0)
      return act_on(world_.op(static_cast<std::size_t>(dice_.below(static_cast<int>(world_.operators())))));
    if (dice_.below(10) == 0) return unheard_.empty() ? lose_nodes() : find_nodes();
    if (living_.size() < 3 || dice_.below(5) == 0) return create_pod();
    const std::size_t index = static_cast<std::size_t>(dice_.below(static_cast<int>(living_.size())));
    const std::string name = living_[index];
    switch (dice_.below(7)) {
      case 0:
        cluster_.terminate(name, 30);
        leaving_.push_back(name);
        break;
      case 1:
        cluster_.remove_pod(name);
        break;
      case 2:
        cluster_.set_phase(name, "Failed", "");
        break;
      case 3:
        return cluster_.set_condition(name, "DisruptionTarget", dice_.below(2) == 0, "EvictionByEvictionAPI");
      case 4:
        return cluster_.relabel(name, "app", dice_.below(2) == 0 ? "vllm" : "other");
      default:  // in its kubelet's words
        if (!unheard_.contains(node_of(name))) cluster_.set_ready(name, dice_.below(2) == 0);
        return;
    }
    living_.erase(living_.begin() + static_cast<std::ptrdiff_t>(index));
  }

  void act_on(SimOperator& op) {
    if (!op.running()) return op.start();
    if (op.paused()) return op.resume();
    switch (dice_.below(6)) {
      case 0:
        return op.kill();
      case 1:
        return dice_.below(2) == 0 ? op.kill() : op.stop();
      case 2:
      case 3:
        return op.pause();
      case 4:
        return op.cut();
      default:
        break;
    }
    if (!op.network().faults.empty()) return hear_again(op);
    apiserver::FaultRule silence;
    silence.kind = apiserver::FaultKind::kStall;
    silence.verb = "watch";
    silence.resource = "pods";
    op.network().faults.add(silence);
    op.cut();
  }

  // A watch that was silenced stays silent until it is opened again, and the witness would take it for one
  // that hears.
  static void hear_again(SimOperator& op) {
    op.network().faults.clear();
    op.cut();
  }

  void create_pod() {
    std::vector<std::string> heard;
    std::copy_if(nodes_.begin(), nodes_.end(), std::back_inserter(heard),
                 [this](const std::string& node) { return !unheard_.contains(node); });
    if (heard.empty()) return;
    living_.push_back(fmt::format("pod-{}", ++created_));
    const auto index = static_cast<std::size_t>(dice_.below(static_cast<int>(heard.size())));
    cluster_.create_pod(living_.back(), "ready", {{"node", heard[index]}});
  }

  std::string node_of(const std::string& pod) const {
    return cluster_.get("pods", pod).value("/spec/nodeName"_json_pointer, "");
  }
  std::string status_of(const std::string& pod, const std::string& type) const {
    for (const json& each :
         cluster_.get("pods", pod).value("/status/conditions"_json_pointer, json::array())) {
      if (each.value("type", "") == type) return each.value("status", "");
    }
    return "";
  }

  // Their kubelets are not heard of, one after the other, or one alone. The node controller says so of each
  // node, and before or after that of its pods.
  void lose_nodes() {
    const std::size_t first = static_cast<std::size_t>(dice_.below(static_cast<int>(nodes_.size())));
    const std::size_t last = dice_.below(2) == 0 ? first + 1 : first + nodes_.size();
    for (std::size_t i = first; i < last; ++i) {
      const std::string node = nodes_[i % nodes_.size()];
      unheard_.insert(node);
      const kube::Duration when = 1s + dice_.until(12s);
      world_.time().after(when, [this, node] { cluster_.set_node_ready(node, "Unknown"); });
      world_.time().after(when + dice_.until(3s) - 1s, [this, node] { cluster_.mark_pods_on(node); });
    }
    all_heard_at_ = world_.time().now().mono + 20s;
  }
  // All come back, and their kubelets put right what was said of their pods.
  void find_nodes() {
    if (world_.time().now().mono < all_heard_at_) return;  // some are yet to be lost
    for (const std::string& node : std::exchange(unheard_, {})) {
      const kube::Duration when = dice_.until(5s);
      world_.time().after(when, [this, node] { cluster_.set_node_ready(node, "True"); });
      world_.time().after(when + 1s + dice_.until(4s), [this, node] { mend_pods_on(node); });
    }
  }
  void mend_pods_on(const std::string& node) {
    for (const std::string& pod : cluster_.pods_on(node)) {
      const bool marked = status_of(pod, "Ready") == "False" && status_of(pod, "ContainersReady") == "True";
      if (marked) cluster_.set_ready(pod, true);
    }
  }

  std::string found() const {
    const auto& broken = world_.invariants().violations();
    return broken.empty() ? witness_.problem() : broken.front();
  }

  std::string rest() {
    for (const std::string& name : leaving_) {
      if (!cluster_.get("pods", name).is_null()) cluster_.remove_pod(name);
    }
    for (std::size_t i = 0; i < world_.operators(); ++i) {
      if (!world_.op(i).network().faults.empty()) hear_again(world_.op(i));
      if (world_.op(i).paused()) world_.op(i).resume();
      if (!world_.op(i).running()) world_.op(i).start();
    }
    world_.time().run_for(4min);
    // One that was paused for longer than its Lease has ended, as it should: its container starts again.
    for (std::size_t i = 0; i < world_.operators(); ++i) {
      if (!world_.op(i).running()) world_.op(i).start();
    }
    find_nodes();
    world_.time().run_for(2min);
    world_.settle(30min);
    if (std::string problem = compare(); !problem.empty()) return problem;
    lose_nodes();
    world_.time().run_for(1min);
    world_.settle(30min);
    if (std::string problem = compare(); !problem.empty()) return "nodes are unseen: " + problem;
    find_nodes();
    world_.time().run_for(2min);
    world_.settle(30min);
    if (std::string problem = compare(); !problem.empty()) return problem;
    int leaders = 0;
    for (std::size_t i = 0; i < world_.operators(); ++i) leaders += world_.op(i).health().leading ? 1 : 0;
    if (leaders != 1) return fmt::format("{} leaders at rest", leaders);
    if (witness_.lists() > 2 * witness_.truths() + 4)
      return fmt::format("{} lists for {} truths", witness_.lists(), witness_.truths());
    const int before = witness_.lists();
    world_.time().run_for(10min);
    return witness_.lists() == before ? "" : "the list is written at rest";
  }

  // At rest, what is published and what should be.
  std::string compare() const {
    if (std::string problem = found(); !problem.empty()) return problem;
    const auto fit = world_.invariants().fit_pods("default", "vllm");
    const auto listed = world_.invariants().published_pods("default", "vllm");
    if (fit != listed) {
      return fmt::format("at rest [{}] is published and [{}] should be", fmt::join(listed, " "),
                         fmt::join(fit, " "));
    }
    return {};
  }

  Dice dice_;
  SimWorld world_;
  ScenarioCluster cluster_{world_};
  ReplicaWitness witness_{world_};
  std::vector<std::string> living_, leaving_;
  const std::vector<std::string> nodes_{"n1", "n2", "n3", "n4"};
  std::set<std::string> unheard_;  // or are about to be
  kube::TimePoint all_heard_at_{};
  int created_ = 0;
};

}  // namespace

ReplicaOutcome run_replica_story(std::uint64_t seed) {
  ReplicaWorld world(seed);
  std::string wrong = world.run();
  return {std::move(wrong), world.standby_withdrawals()};
}

}  // namespace poolwarden::scenarios
