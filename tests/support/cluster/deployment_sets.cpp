#include "support/cluster/deployment_sets.h"

#include "base/hash.h"
#include "support/apiserver/json_util.h"
#include "support/apiserver/selector.h"
#include "support/cluster/pod_facts.h"

#include <algorithm>
#include <charconv>

#include <nlohmann/json.hpp>

namespace poolwarden::cluster {
namespace {

using apiserver::find_path;
using apiserver::int_at;
using apiserver::text_at;
using nlohmann::json;

std::int64_t to_number(const std::string& text, std::int64_t otherwise) {
  std::int64_t value = otherwise;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

// rand.SafeEncodeString's alphabet: no vowels, nothing that looks like something else.
std::string safe_encode(std::uint64_t number) {
  constexpr std::string_view kAlphabet = "bcdfghjklmnpqrstvwxz2456789";
  std::string text;
  for (int i = 0; i < 10; ++i, number /= kAlphabet.size()) text += kAlphabet[number % kAlphabet.size()];
  return text;
}

bool older(const ObjectPtr& a, const ObjectPtr& b) {
  const auto key = [](const ObjectPtr& set) {
    return std::make_pair(time_at(set->body(), {"metadata", "creationTimestamp"}), revision_of(set->body()));
  };
  return key(a) < key(b);
}

json annotations_for(const RolloutLimits& limits) {
  return {{std::string(kDesiredAnnotation), std::to_string(limits.replicas)},
          {std::string(kMaxAnnotation), std::to_string(limits.replicas + limits.surge)}};
}

ObjectPtr adopt(Model& model, const json& deployment, const ObjectPtr& set, Writer& writer) {
  json owners = references_without(set->body(), {});
  owners.push_back(controller_reference("apps/v1", "Deployment", deployment));
  writer.patch(kReplicaSets, set->body(), {{"metadata", {{"ownerReferences", owners}}}});
  return model.find(kReplicaSets, text_at(set->body(), {"metadata", "namespace"}),
                    text_at(set->body(), {"metadata", "name"}));
}

}  // namespace

json bare_template(const json& owner) {
  const json* found = find_path(owner, {"spec", "template"});
  json result = found != nullptr ? *found : json::object();
  const auto metadata = result.find("metadata");
  if (metadata == result.end() || !metadata->is_object()) return result;
  metadata->erase("creationTimestamp");
  if (const auto labels = metadata->find("labels"); labels != metadata->end() && labels->is_object()) {
    labels->erase(std::string(kTemplateHashLabel));
  }
  return result;
}

std::string template_hash(const json& deployment) {
  return safe_encode(base::fnv1a(bare_template(deployment).dump()));
}

std::int64_t revision_of(const json& object) {
  return to_number(annotation(object, kRevisionAnnotation), 0);
}

SetSize size_of(const json& set) {
  SetSize size;
  size.replicas = int_at(set, {"spec", "replicas"}, 1);
  size.available = int_at(set, {"status", "availableReplicas"});
  if (const std::string text = annotation(set, kMaxAnnotation); !text.empty())
    size.max_replicas = to_number(text, 0);
  return size;
}

std::vector<ObjectPtr> DeploymentSets::all() const {
  std::vector<ObjectPtr> sets = old_sets;
  if (new_set) sets.push_back(new_set);
  return sets;
}

std::vector<SetSize> DeploymentSets::old_sizes() const {
  std::vector<SetSize> sizes;
  for (const ObjectPtr& set : old_sets) sizes.push_back(size_of(set->body()));
  return sizes;
}

std::int64_t DeploymentSets::max_old_revision() const {
  std::int64_t newest = 0;
  for (const ObjectPtr& set : old_sets) newest = std::max(newest, revision_of(set->body()));
  return newest;
}

DeploymentSets sets_of(Model& model, const json& deployment, Writer& writer) {
  DeploymentSets sets;
  const std::string uid = text_at(deployment, {"metadata", "uid"});
  const auto selector =
      apiserver::Selector::from_object(deployment.value(json::json_pointer("/spec/selector"), json()));
  const json wanted = bare_template(deployment);
  for (ObjectPtr set : model.list(kReplicaSets, text_at(deployment, {"metadata", "namespace"}))) {
    const std::string owner = controller_uid(set->body());
    if (is_deleting(set->body())) continue;
    if (owner.empty() && !is_deleting(deployment) &&
        selector.matches(find_path(set->body(), {"metadata", "labels"}))) {
      set = adopt(model, deployment, set, writer);
      if (!set) continue;
    } else if (owner != uid) {
      continue;
    }
    if (!sets.new_set && bare_template(set->body()) == wanted) {
      sets.new_set = std::move(set);
    } else {
      sets.old_sets.push_back(std::move(set));
    }
  }
  std::stable_sort(sets.old_sets.begin(), sets.old_sets.end(), older);
  return sets;
}

bool create_new_set(const json& deployment, std::int64_t revision, std::int64_t replicas, Writer& writer) {
  const std::string hash = template_hash(deployment);
  const std::string hash_label(kTemplateHashLabel);
  json pod_template = bare_template(deployment);
  pod_template["metadata"]["labels"][hash_label] = hash;
  json selector = deployment.value(json::json_pointer("/spec/selector"), json::object());
  selector["matchLabels"][hash_label] = hash;
  json annotations = annotations_for(rollout_limits(deployment));
  annotations[std::string(kRevisionAnnotation)] = std::to_string(revision);
  // `kubectl rollout history` shows this one; like the real controller, copy it.
  if (const std::string cause = annotation(deployment, "kubernetes.io/change-cause"); !cause.empty()) {
    annotations["kubernetes.io/change-cause"] = cause;
  }
  const json set = {
      {"apiVersion", "apps/v1"},
      {"kind", "ReplicaSet"},
      {"metadata",
       {{"namespace", text_at(deployment, {"metadata", "namespace"})},
        {"name", text_at(deployment, {"metadata", "name"}) + "-" + hash},
        {"labels", pod_template["metadata"]["labels"]},
        {"annotations", std::move(annotations)},
        {"ownerReferences", json::array({controller_reference("apps/v1", "Deployment", deployment)})}}},
      {"spec",
       {{"replicas", replicas},
        {"minReadySeconds", int_at(deployment, {"spec", "minReadySeconds"})},
        {"selector", std::move(selector)},
        {"template", std::move(pod_template)}}}};
  return writer.create(kReplicaSets, set);
}

bool scale_set(const json& set, std::int64_t replicas, const RolloutLimits& limits, Writer& writer) {
  const json annotations = annotations_for(limits);
  const bool same_size = int_at(set, {"spec", "replicas"}, 1) == replicas;
  const bool same_notes = annotation(set, kDesiredAnnotation) == annotations.value(kDesiredAnnotation, "") &&
                          annotation(set, kMaxAnnotation) == annotations.value(kMaxAnnotation, "");
  // A set without pods is not annotated: its size says nothing about the Deployment's.
  if (same_size && (same_notes || replicas == 0)) return false;
  return writer.patch(kReplicaSets, set,
                      {{"metadata", {{"annotations", annotations}}}, {"spec", {{"replicas", replicas}}}});
}

bool set_revision(const kube::ResourceType& type, const json& object, std::int64_t revision, Writer& writer) {
  if (revision_of(object) == revision) return false;
  return writer.patch(
      type, object,
      {{"metadata", {{"annotations", {{std::string(kRevisionAnnotation), std::to_string(revision)}}}}}});
}

}  // namespace poolwarden::cluster
