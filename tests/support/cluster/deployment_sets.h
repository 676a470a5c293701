// A Deployment's ReplicaSets as its controller sees them: which is the new one, which are old, and how they
// are created and scaled.
#pragma once

#include "support/cluster/rollout.h"
#include "support/cluster/writer.h"

#include <cstdint>
#include <string>
#include <vector>

namespace poolwarden::cluster {

inline constexpr std::string_view kTemplateHashLabel = "pod-template-hash";
inline constexpr std::string_view kRevisionAnnotation = "deployment.kubernetes.io/revision";
inline constexpr std::string_view kDesiredAnnotation = "deployment.kubernetes.io/desired-replicas";
inline constexpr std::string_view kMaxAnnotation = "deployment.kubernetes.io/max-replicas";

// What makes a ReplicaSet the one of a template: the template without the hash label.
nlohmann::json bare_template(const nlohmann::json& owner);
std::string template_hash(const nlohmann::json& deployment);
std::int64_t revision_of(const nlohmann::json& object);
SetSize size_of(const nlohmann::json& set);

struct DeploymentSets {
  ObjectPtr new_set;                // null: not made yet
  std::vector<ObjectPtr> old_sets;  // oldest first, those without pods included

  std::vector<ObjectPtr> all() const;
  std::vector<SetSize> old_sizes() const;
  std::int64_t max_old_revision() const;
};

// The sets that the deployment controls, after adopting orphans that match its selector.
DeploymentSets sets_of(Model& model, const nlohmann::json& deployment, Writer& writer);

// All three do one write at most and return whether they wrote.
bool create_new_set(const nlohmann::json& deployment, std::int64_t revision, std::int64_t replicas,
                    Writer& writer);
bool scale_set(const nlohmann::json& set, std::int64_t replicas, const RolloutLimits& limits, Writer& writer);
bool set_revision(const kube::ResourceType& type, const nlohmann::json& object, std::int64_t revision,
                  Writer& writer);

}  // namespace poolwarden::cluster
