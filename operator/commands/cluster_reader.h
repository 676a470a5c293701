// Looks up what the commands reason about: one call each, read into views.
//
// "Not there" is an absent Lookup and never a problem; what may not be read is a problem that names the verb.
#pragma once

#include "api/endpoint_set.h"
#include "commands/gate.h"
#include "commands/lookup.h"
#include "commands/membership.h"
#include "commands/session.h"
#include "commands/view.h"
#include "kube/resource.h"

#include <cstdint>
#include <string>
#include <vector>

namespace poolwarden::commands {

class ClusterReader {
 public:
  explicit ClusterReader(Session& session) : session_(session) {}

  // An empty namespace: all of them.
  kube::Result<std::vector<PoolView>> pools(const std::string& ns);
  kube::Result<std::vector<SelectingPool>> selecting_pools(const std::string& ns);
  kube::Result<std::vector<PodView>> pods_on(const std::string& node);
  kube::Result<PoolView> pool(const std::string& ns, const std::string& name);
  kube::Result<PodView> pod(const std::string& ns, const std::string& name);
  kube::Result<NodeView> node(const std::string& name);

  Lookup<api::EndpointSet> list_of(const PoolView& pool);  // all of its ConfigMaps, or a problem
  Lookup<NodeView> find_node(const std::string& name);
  Lookup<SetView> set_of(const PodView& pod);
  Lookup<std::vector<BudgetView>> budgets(const std::string& ns);
  Lookup<std::vector<EventView>> events_of(const PodView& pod);  // newest first
  Lookup<GateView> gate();
  // Of the operator that looks after `ns`: where manifests/ puts it, or in that namespace itself.
  Lookup<LeaseView> lease(const std::string& ns);

 private:
  Lookup<api::EndpointSet> shard_of(const PoolView& pool, std::int32_t shard);
  template <class T, class Read>
  Lookup<T> look_up(const kube::Call& call, Read read);
  Lookup<api::Workload> target_of(const api::InferencePool& pool);
  Lookup<api::LabelSelector> selector_of(const api::InferencePool& pool);

  Session& session_;
};

}  // namespace poolwarden::commands
