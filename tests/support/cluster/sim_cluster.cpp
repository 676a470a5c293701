#include "support/cluster/sim_cluster.h"

#include <algorithm>

namespace poolwarden::cluster {

namespace {
// More rounds without time passing would be an endless loop, such as a container that crashes at once.
constexpr int kMaxSettleRounds = 64;
}  // namespace

SimCluster::SimCluster(SimClusterOptions options)
    : model_(options.model),
      runtime_(std::move(options.behaviour_of)),
      kubelet_(runtime_, options.timing),
      controllers_(std::move(options.gate)),
      now_(options.start) {
  create_nodes(model_, options.nodes, options.zones, now_);
}

void SimCluster::settle() {
  for (int round = 0; round < kMaxSettleRounds; ++round) {
    const std::uint64_t before = model_.revision();
    controllers_.step(model_, now_);
    kubelet_.step(model_, now_);
    kubelet_.carry_out(now_);
    const auto due = next_deadline();
    if (model_.revision() == before && (!due || *due > now_)) return;
  }
}

std::optional<Timestamp> SimCluster::next_deadline() const {
  const auto kubelet = kubelet_.next_deadline();
  const auto controllers = controllers_.next_deadline();
  if (!kubelet || !controllers) return kubelet ? kubelet : controllers;
  return std::min(*kubelet, *controllers);
}

void SimCluster::advance(std::chrono::milliseconds duration) {
  const Timestamp until = now_ + duration;
  settle();
  while (true) {
    const auto due = next_deadline();
    if (!due || *due > until) break;
    // What is overdue after settling (a crash loop without delay) must not stop the clock.
    now_ = std::max(*due, now_ + std::chrono::milliseconds(1));
    settle();
  }
  now_ = std::max(now_, until);
  settle();
}

kube::HttpResponse SimCluster::request(const kube::HttpRequest& request, const apiserver::RequestInfo& info) {
  kube::HttpResponse response = model_.handle(request, now_, info);
  settle();
  return response;
}

}  // namespace poolwarden::cluster
