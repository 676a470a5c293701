// Keys of node taints that mean something for the pods there, as long as no flag says others.
#pragma once

#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <vector>

namespace poolwarden::api::taint {

// Cluster autoscaler and Karpenter taint a node before they evict its pods.
inline constexpr std::array<std::string_view, 2> kDrain{"ToBeDeletedByClusterAutoscaler",
                                                        "karpenter.sh/disrupted"};

// With one of these a node is as good as gone. Where a cloud says that the instance is shut down, nobody
// answers there, whatever the node's last word was.
inline constexpr std::array<std::string_view, 2> kWithdraw{"node.kubernetes.io/out-of-service",
                                                           "node.cloudprovider.kubernetes.io/shutdown"};

// A cloud takes a node back: within two minutes, or less, it is gone. So all its pods drain at once.
inline constexpr std::array<std::string_view, 2> kDrainAll{"aws-node-termination-handler/spot-itn",
                                                           "cloud.google.com/impending-node-termination"};

// The first of `keys` that is among a node's taints; empty if none is.
template <class Keys>
std::string first_of(const Keys& keys, const std::vector<std::string>& taints) {
  for (const auto& key : keys) {
    if (std::find(taints.begin(), taints.end(), key) != taints.end()) return std::string(key);
  }
  return {};
}

}  // namespace poolwarden::api::taint
