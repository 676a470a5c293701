#include "control/known_nodes.h"

#include "kube/resource_version.h"

#include <compare>

namespace poolwarden::control {
namespace {

// Stands for a node of which nothing is known.
const api::Node kUnseenNode{};

}  // namespace

void KnownNodes::changed(const kube::Delta<api::Node>& delta) {
  if (delta.after) {
    gone_.erase(delta.after->name);
  } else {
    gone_.insert(delta.before->name);
  }
}

pool::NodeLookup KnownNodes::lookup() {
  if (!feeds_.synced<Nodes>()) return {};
  return [this](const api::Pod& pod) { return find(pod); };
}

const api::Node* KnownNodes::find(const api::Pod& pod) {
  const api::Node* node = feeds_.store<Nodes>().find("", *pod.node).get();
  if (node != nullptr) return node;
  return is_gone(pod) ? nullptr : &kUnseenNode;
}

bool KnownNodes::is_gone(const api::Pod& pod) {
  if (gone_.contains(*pod.node)) return true;
  const auto order = kube::compare_versions(feeds_.version<Nodes>(), pod.resource_version);
  // Where versions give no order, a watch that is open is taken for one that has told everything.
  const bool in_step = order == std::partial_ordering::unordered ? feeds_.hears<Nodes>() : order >= 0;
  if (in_step) gone_.insert(*pod.node);
  return in_step;
}

void KnownNodes::sweep() {
  std::erase_if(gone_, [this](const std::string& name) { return feeds_.pods_on_node(name).empty(); });
}

}  // namespace poolwarden::control
