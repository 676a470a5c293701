// Keys of node taints that mean something for the pods there, as long as no flag says others.
#pragma once

#include <array>
#include <string_view>

namespace poolwarden::api::taint {

// Cluster autoscaler and Karpenter taint a node before they evict its pods; the other announces its end
// within moments.
inline constexpr std::array<std::string_view, 3> kDrain{
    "ToBeDeletedByClusterAutoscaler", "karpenter.sh/disrupted", "node.cloudprovider.kubernetes.io/shutdown"};

// With one of these a node is as good as gone.
inline constexpr std::array<std::string_view, 3> kWithdraw{"node.kubernetes.io/out-of-service",
                                                           "aws-node-termination-handler/spot-itn",
                                                           "cloud.google.com/impending-node-termination"};

}  // namespace poolwarden::api::taint
