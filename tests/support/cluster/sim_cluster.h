// A whole cluster in virtual time, for simulations: the in-memory API server, controllers, scheduler, kubelet
// and hollow containers. No threads, no sockets, no sleeping; deterministic from the model's seed.
//
// Whoever changes the model calls settle() or advance(), which let the cluster react.
#pragma once

#include "support/apiserver/model.h"
#include "support/cluster/control_plane.h"
#include "support/cluster/kubelet.h"
#include "support/cluster/sim_runtime.h"

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace poolwarden::cluster {

struct SimClusterOptions {
  apiserver::ModelOptions model;
  SimRuntime::BehaviourOf behaviour_of;
  DeleteGate gate;
  PodTiming timing;
  int nodes = 3;
  std::vector<std::string> zones = {"zone-a", "zone-b", "zone-c"};
  Timestamp start = Timestamp{} + std::chrono::hours(24 * 365 * 56);
};

class SimCluster {
 public:
  explicit SimCluster(SimClusterOptions options = {});

  apiserver::Model& model() { return model_; }
  Kubelet& kubelet() { return kubelet_; }
  SimRuntime& runtime() { return runtime_; }
  Timestamp now() const { return now_; }

  // Everything that happens without time passing.
  void settle();
  // Lets time pass, stopping at each moment at which something is due.
  void advance(std::chrono::milliseconds duration);
  // When something is due next although nothing changes.
  std::optional<Timestamp> next_deadline() const;

  kube::HttpResponse request(const kube::HttpRequest& request, const apiserver::RequestInfo& info = {});

 private:
  apiserver::Model model_;
  SimRuntime runtime_;
  Kubelet kubelet_;
  ControlPlane controllers_;
  Timestamp now_;
};

}  // namespace poolwarden::cluster
