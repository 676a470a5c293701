// A whole cluster on a virtual clock: the API server's model with the CRD installed, the stand-in controllers
// and kubelet if wanted, any number of operators, and the invariants watching all of it.
//
// Everything follows from the seed. Single-threaded.
#pragma once

#include "support/apiserver/model.h"
#include "support/cluster/deployment_controller.h"
#include "support/cluster/kubelet.h"
#include "support/cluster/replicaset_controller.h"
#include "support/cluster/scheduler.h"
#include "support/cluster/sim_runtime.h"
#include "support/cluster/statefulset_controller.h"
#include "support/sim/invariants.h"
#include "support/sim/sim_operator.h"
#include "support/sim/virtual_time.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json_fwd.hpp>

namespace poolwarden::sim {

struct WorldOptions {
  std::uint64_t seed = 1;
  bool controllers = false;   // Deployments get pods, and pods get ready, by themselves
  bool replica_sets = false;  // ReplicaSets and StatefulSets get pods, and delete them, by themselves
  bool gate = false;          // the policy that holds deletes is installed
  int nodes = 2;
  // Looking at every pod at each change costs the square of them: off, where only requests are counted.
  bool invariants = true;
  cluster::SimRuntime::BehaviourOf behaviour;  // with controllers
};

class SimWorld {
 public:
  explicit SimWorld(WorldOptions options);
  SimWorld(const SimWorld&) = delete;
  SimWorld& operator=(const SimWorld&) = delete;

  VirtualTime& time() { return time_; }
  apiserver::Model& model() { return model_; }
  const apiserver::Model& model() const { return model_; }
  const Invariants& invariants() const { return invariants_; }
  Invariants& invariants() { return invariants_; }

  SimOperator& add_operator(SimOperator::Options options);
  SimOperator& op(std::size_t index) { return *operators_.at(index); }
  const SimOperator& op(std::size_t index) const { return *operators_.at(index); }
  std::size_t operators() const { return operators_.size(); }
  cluster::SimRuntime& runtime() { return runtime_; }
  cluster::Kubelet& kubelet() { return kubelet_; }  // of all nodes
  // To be called after each change, with the plurals that changed.
  using Watcher = std::function<void(const std::set<std::string>&)>;
  void add_watcher(Watcher watcher) { watchers_.push_back(std::move(watcher)); }
  // Installs the gate, or puts it back as it should be.
  void install_gate();

  // A request by a person; anything but a 2xx is a mistake of the test, and thrown.
  nlohmann::json request(kube::HttpMethod method, const std::string& target, const nlohmann::json& body,
                         const std::string& content_type = "application/json");
  nlohmann::json merge_patch(const std::string& target, const nlohmann::json& body);
  // Null when it is not there.
  nlohmann::json find(const kube::ResourceType& type, const std::string& ns, const std::string& name) const;

  // Runs until nothing but timers further than `quiet` away is left to do, or `limit` has passed.
  void settle(kube::Duration limit);
  std::uint64_t changes() const { return model_.revision(); }

 private:
  void listen(std::string_view plural);
  void digest();
  void step_controllers();
  void schedule_controllers(kube::Duration delay);

  WorldOptions options_;
  VirtualTime time_;
  apiserver::Model model_;
  Invariants invariants_{model_};
  std::vector<std::unique_ptr<SimOperator>> operators_;
  std::vector<Watcher> watchers_;
  std::set<std::string> changed_;
  bool digest_due_ = false;

  cluster::SimRuntime runtime_;
  cluster::Kubelet kubelet_{runtime_};
  cluster::Scheduler scheduler_;
  cluster::DeploymentController deployments_;
  cluster::ReplicaSetController replica_sets_;
  cluster::StatefulSetController stateful_sets_;
  bool controllers_stale_ = true;  // something changed since they looked
  kube::TimePoint controllers_due_ = kube::TimePoint::max();
};

}  // namespace poolwarden::sim
