// Kubernetes' controllers of EndpointSlices, as far as a pool's Service is concerned, and a client that reads
// the slices.
//
// By a Service's selector its slice is written, with the Service's labels. A Service without one is left
// alone, with the slice that it had. What that had is also in the Service's Endpoints, which are then
// mirrored into a slice, unless a label says not to.
// https://kubernetes.io/docs/concepts/services-networking/endpoint-slices/
//
// The client takes all slices of a Service together. An endpoint that was ready there and is missing,
// although its pod is ready and labelled as serving, was lost.
#pragma once

#include "support/sim/sim_world.h"

#include <map>
#include <set>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

namespace poolwarden::sim {

// Names of pods, of the namespace "default".
std::set<std::string> ready_pods_in_slices(const apiserver::Model& model, const std::string& service);

class SimSlices {
 public:
  // It is so much behind with everything.
  SimSlices(SimWorld& world, kube::Duration lag);
  SimSlices(const SimSlices&) = delete;
  SimSlices& operator=(const SimSlices&) = delete;

  const std::vector<std::string>& lost() const { return lost_; }

 private:
  void sync();
  void sync(const nlohmann::json& service);
  void put(const nlohmann::json& slice);
  void look();

  SimWorld& world_;
  kube::Duration lag_;
  bool due_ = false;
  std::map<std::string, nlohmann::json> endpoints_;  // by Service: its slice, as the Endpoints have it, too
  std::map<std::string, std::set<std::string>> ready_;
  std::vector<std::string> lost_;
};

}  // namespace poolwarden::sim
