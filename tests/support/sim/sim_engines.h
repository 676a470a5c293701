// The engines of simulated pods: the requests that a gateway sends them, which last, and what their metrics
// say of those.
//
// The gateway knows the published list as it was a moment ago, and sends to what that calls ready. A pod that
// is deleted, or whose process ends, loses what it has in flight. Everything follows from the seed.
#pragma once

#include "support/apiserver/model.h"
#include "support/sim/sim_operator.h"
#include "support/sim/virtual_time.h"

#include <cstdint>
#include <functional>
#include <map>
#include <random>
#include <set>
#include <string>
#include <vector>

namespace poolwarden::sim {

enum class Metrics : std::uint8_t { kHonest, kHangs, kGone, kBroken, kLies };  // kLies: always idle
std::string_view to_string(Metrics metrics);

struct EngineOptions {
  std::uint64_t seed = 1;
  kube::Duration gateway_lag = std::chrono::milliseconds(400);  // at most
  kube::Duration between_requests = std::chrono::milliseconds(600);
  kube::Duration longest_request = std::chrono::seconds(40);
  std::function<Metrics()> metrics_of_next_pod = {};  // none: all are honest
};

class SimEngines {
 public:
  SimEngines(VirtualTime& time, const apiserver::Model& model, EngineOptions options);

  // To be called after changes of these resources.
  void changed(const std::set<std::string>& plurals);
  // What the pod's metrics say.
  EngineAnswer answer(const engine::LoadRequest& request);

  // Requests begin to come, for the pool of that ConfigMap in the namespace "default".
  void send_requests(std::string config_map);
  void set_metrics(const std::string& uid, Metrics metrics) { pods_[uid].metrics = metrics; }
  Metrics metrics(const std::string& uid) const;
  int in_flight(const std::string& uid);
  // The pod's process has ended, and what it had in flight with it.
  void lose(const std::string& uid);

 private:
  struct Pod {
    std::string ip;  // empty: it answers nobody
    Metrics metrics = Metrics::kHonest;
    std::multiset<kube::TimePoint> requests;  // when they end
  };

  void look_at_pods();
  void look_at_list();
  void send_one();
  kube::Duration up_to(kube::Duration most);

  VirtualTime& time_;
  const apiserver::Model& model_;
  EngineOptions options_;
  std::mt19937_64 dice_;
  std::map<std::string, Pod> pods_;  // by uid
  std::string config_map_;
  std::vector<std::string> known_;  // to the gateway: addresses of ready endpoints
  std::uint64_t newest_list_ = 0;   // of those that it has, or that are on their way to it
  std::uint64_t lists_ = 0;
};

}  // namespace poolwarden::sim
