// Looks up what the commands reason about: one call each, read into views.
//
// "Not there" is an absent Fact and never a problem; what may not be read is a problem that names the verb.
#pragma once

#include "api/endpoint_set.h"
#include "commands/fact.h"
#include "commands/gate.h"
#include "commands/membership.h"
#include "commands/session.h"
#include "commands/view.h"
#include "kube/resource.h"

#include <string>
#include <vector>

namespace poolwarden::commands {

inline constexpr kube::ResourceType kPools{"poolwarden.io", "v1alpha1", "inferencepools", "InferencePool"};

class FactFinder {
 public:
  explicit FactFinder(Session& session) : session_(session) {}

  // An empty namespace: all of them.
  kube::Result<std::vector<PoolView>> pools(const std::string& ns);
  kube::Result<std::vector<SelectingPool>> selecting_pools(const std::string& ns);
  kube::Result<std::vector<PodView>> pods_on(const std::string& node);
  kube::Result<PoolView> pool(const std::string& ns, const std::string& name);
  kube::Result<PodView> pod(const std::string& ns, const std::string& name);
  kube::Result<NodeView> node(const std::string& name);

  Fact<api::EndpointSet> list_of(const PoolView& pool);
  Fact<NodeView> node_fact(const std::string& name);
  Fact<ReplicaSetView> replica_set_of(const PodView& pod);
  Fact<std::vector<BudgetView>> budgets(const std::string& ns);
  Fact<std::vector<EventView>> events_of(const PodView& pod);  // newest first
  Fact<GateView> gate();
  // Of the operator that looks after `ns`: where manifests/ puts it, or in that namespace itself.
  Fact<LeaseView> lease(const std::string& ns);

 private:
  template <class T, class Read>
  Fact<T> fact(const kube::Call& call, Read read);
  Fact<api::LabelSelector> selector_of(const PoolView& pool);

  Session& session_;
};

}  // namespace poolwarden::commands
