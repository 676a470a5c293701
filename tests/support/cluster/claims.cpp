#include "support/cluster/claims.h"

#include "support/apiserver/json_util.h"
#include "support/cluster/pod_facts.h"

#include <nlohmann/json.hpp>

namespace poolwarden::cluster {
namespace {

using apiserver::text_at;
using nlohmann::json;

void release(Writer& writer, const json& pod, const std::string& owner) {
  writer.patch(
      kube::kPods, pod,
      {{"metadata",
        {{"uid", text_at(pod, {"metadata", "uid"})}, {"ownerReferences", references_without(pod, owner)}}}});
}

ObjectPtr adopt(const Model& model, Writer& writer, const Claimant& claimant, const json& orphan) {
  if (!claimant.selects(orphan) || !is_active(orphan)) return nullptr;
  // Another owner may have taken it in this step.
  ObjectPtr current = model.find(kube::kPods, text_at(orphan, {"metadata", "namespace"}),
                                 text_at(orphan, {"metadata", "name"}));
  if (!current || !controller_uid(current->body()).empty()) return nullptr;
  json owners = references_without(current->body(), {});
  owners.push_back(controller_reference("apps/v1", claimant.kind, claimant.owner));
  const json change = {{"metadata", {{"ownerReferences", owners}}}};
  return writer.patch(kube::kPods, current->body(), change) ? current : nullptr;
}

}  // namespace

PodIndex index_pods(const Model& model) {
  PodIndex index;
  for (ObjectPtr& pod : model.list(kube::kPods)) {
    const std::string uid = controller_uid(pod->body());
    if (uid.empty()) {
      index.orphans[text_at(pod->body(), {"metadata", "namespace"})].push_back(std::move(pod));
    } else {
      index.by_controller[uid].push_back(std::move(pod));
    }
  }
  return index;
}

Pods claim_pods(const Model& model, Writer& writer, const PodIndex& index, const Claimant& claimant) {
  Pods claimed;
  const std::string uid = text_at(claimant.owner, {"metadata", "uid"});
  if (const auto own = index.by_controller.find(uid); own != index.by_controller.end()) {
    for (const ObjectPtr& pod : own->second) {
      if (claimant.selects(pod->body())) {
        claimed.push_back(pod);
      } else if (!is_deleting(pod->body())) {
        release(writer, pod->body(), uid);
      }
    }
  }
  const auto orphans = index.orphans.find(text_at(claimant.owner, {"metadata", "namespace"}));
  if (orphans == index.orphans.end() || is_deleting(claimant.owner)) return claimed;
  for (const ObjectPtr& orphan : orphans->second) {
    if (ObjectPtr pod = adopt(model, writer, claimant, orphan->body())) claimed.push_back(std::move(pod));
  }
  return claimed;
}

}  // namespace poolwarden::cluster
