// The cluster as a scenario sees it: short names for the objects a person or a controller would write.
//
// Every object lives in the namespace "default". Pods here are written by the scenario itself, as the kubelet
// would, so that each moment of a pod's life can be held still.
#pragma once

#include "support/sim/sim_world.h"

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

namespace poolwarden::scenarios {

using nlohmann::json;
// "key=value" words of a line.
using Options = std::map<std::string, std::string>;

class ScenarioCluster {
 public:
  explicit ScenarioCluster(sim::SimWorld& world) : world_(world) {}

  void create_pool(const std::string& name, const Options& options);
  void create_deployment(const std::string& name, const Options& options);
  // The scenario plays the Deployment's controller; the ReplicaSet's own deletes and makes pods by itself.
  void create_replica_set(const std::string& name, int replicas, const Options& options);
  // As its Deployment's controller does, which notes how many the Deployment wants.
  void scale_replica_set(const std::string& name, int replicas);
  // Its controller makes and deletes its pods. So it does not make those that the scenario wrote first.
  void create_stateful_set(const std::string& name, int replicas, const Options& options);
  // With another template, and so with another revision of its pods.
  void update_stateful_set(const std::string& name, const Options& options);
  // A pod that a controller made gets a node and an address, runs and is ready.
  void bring_up(const std::string& name, const Options& options);
  void create_pod(const std::string& name, const std::string& state, const Options& options);
  void set_ready(const std::string& pod, bool ready);
  void set_phase(const std::string& pod, const std::string& phase, const std::string& reason);
  void set_condition(const std::string& pod, const std::string& type, bool value, const std::string& reason);
  void set_ips(const std::string& pod, const std::vector<std::string>& ips);
  void relabel(const std::string& pod, const std::string& key, const std::string& value);
  void terminate(const std::string& pod, int grace_seconds);
  void remove_pod(const std::string& pod);
  // As kubectl drain does: true if the eviction was granted.
  bool evict(const std::string& pod);
  void create_node(const std::string& name, const std::string& zone);
  // What a node's condition Ready says: True, False, or Unknown while its kubelet is not heard of.
  void set_node_ready(const std::string& name, const std::string& status);
  // As the node controller does with the pods of a node that is not heard of: Ready alone turns False.
  void mark_unready(const std::string& pod);
  void mark_pods_on(const std::string& node);  // those that are ready
  std::vector<std::string> pods_on(const std::string& node) const;
  // An HorizontalPodAutoscaler of a pool or of a target, which the scenario plays itself.
  void create_autoscaler(const std::string& name, const std::string& of, const std::string& scaled);
  void set_definition(const std::string& without_status_field);
  // A Secret with the key of engines.
  void create_secret(const std::string& name, const std::string& api_key);
  void create_foreign(const std::string& kind, const std::string& name);
  // Of pods labelled app, of which it lets one go at a time.
  void create_budget(const std::string& name, const std::string& app);
  void merge(const std::string& resource, const std::string& name, const std::string& body,
             const std::string& subresource = {});
  void remove(const std::string& resource, const std::string& name);

  json get(const std::string& resource, const std::string& name) const;

  static std::string path(const std::string& resource, const std::string& name = {});

 private:
  json metadata_in_stateful_set(const std::string& set, const std::string& pod, const json& metadata) const;
  void run_pod(const std::string& name, bool ready, const Options& options);
  void patch_status(const std::string& pod, const json& status);
  void set_conditions(const std::string& pod, const std::set<std::string>& types, bool value,
                      const std::string& reason);

  sim::SimWorld& world_;
  int last_ip_ = 0;
  json current_definition_;  // spec of the InferencePool's definition, before it was changed
};

}  // namespace poolwarden::scenarios
