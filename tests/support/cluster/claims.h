// Which pods belong to a controller: those it has and still selects, and the orphans that it selects.
//
// As Kubernetes' PodControllerRefManager does: what is no longer selected is released, an orphan is adopted.
#pragma once

#include "support/cluster/writer.h"

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include <nlohmann/json_fwd.hpp>

namespace poolwarden::cluster {

using Pods = std::vector<ObjectPtr>;

// The pods of one step, by who controls them.
struct PodIndex {
  std::unordered_map<std::string, Pods> by_controller;  // uid
  std::map<std::string, Pods> orphans;                  // namespace
};

PodIndex index_pods(const Model& model);

struct Claimant {
  const nlohmann::json& owner;  // of apps/v1
  std::string_view kind;
  std::function<bool(const nlohmann::json& pod)> selects;
};

Pods claim_pods(const Model& model, Writer& writer, const PodIndex& index, const Claimant& claimant);

}  // namespace poolwarden::cluster
