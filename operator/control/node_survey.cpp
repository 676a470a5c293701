#include "control/node_survey.h"

#include "pool/membership.h"
#include "pool/pod_group.h"

#include <algorithm>
#include <cstddef>
#include <utility>

namespace poolwarden::control {
namespace {

bool carries(const api::Pod& pod) {
  return !pod.node->empty() && pool::is_active(pod);
}

// Whether it makes no difference to the count which of the two a pod is.
bool counts_as(const api::Pod& a, const api::Pod& b) {
  return a.uid == b.uid && a.node == b.node && a.labels == b.labels && carries(a) == carries(b) &&
         pool::is_unready_by_its_node(a) == pool::is_unready_by_its_node(b);
}

}  // namespace

void NodeSurvey::changed(const kube::Delta<api::Node>& delta) {
  const std::string& name = delta.after ? delta.after->name : delta.before->name;
  if (delta.after && delta.after->ready == api::Tristate::kUnknown) suspects_.insert(name);
  if (counted_) changed_.insert(name);
}

void NodeSurvey::changed(const kube::Delta<api::Pod>& delta) {
  if (delta.before && delta.after && counts_as(*delta.before, *delta.after)) return;
  if (delta.before) look_again_at(*delta.before);
  if (delta.after) look_again_at(*delta.after);
}

void NodeSurvey::look_again_at(const api::Pod& pod) {
  if (pod.node->empty()) return;
  if (pool::is_unready_by_its_node(pod)) suspects_.insert(*pod.node);
  if (counted_) changed_.insert(*pod.node);
}

// Those that do not know whom they select have the pods that were on their lists.
std::vector<PoolRecord*> NodeSurvey::unsure_pools() {
  std::vector<PoolRecord*> out;
  table_.for_each([&out](PoolRecord& record) {
    if (!record.deleting && !record.selector) out.push_back(&record);
  });
  return out;
}

// What carries a worker carries its leader's answers.
void NodeSurvey::add_leaders(const api::Pod& pod, std::set<std::string>& pools) const {
  if (!pool::is_worker(*pod.labels)) return;
  for (const PodPtr& other : feeds_.group_of(pod)) {
    if (!pool::is_leader(*other->labels)) continue;
    for (const PoolRecord* record : table_.matching(*other)) pools.insert(record->key.to_string());
  }
}

void NodeSurvey::add(const api::Pod& pod, const std::vector<PoolRecord*>& unsure, Count& count) {
  const std::size_t before = count.node.pools.size();
  const auto& pools = table_.matching(pod);
  for (const PoolRecord* record : pools) count.node.pools.insert(record->key.to_string());
  add_leaders(pod, count.node.pools);
  for (const PoolRecord* record : unsure) {
    if (record->key.ns == pod.ns && record->list.ever_listed().contains(pod.uid))
      count.node.pools.insert(record->key.to_string());
  }
  const bool is_of_a_pool = !pools.empty() || count.node.pools.size() > before;
  count.marked |= is_of_a_pool && pool::is_unready_by_its_node(pod);
}

void NodeSurvey::set(const std::string& name, Count count) {
  const auto node = feeds_.store<Nodes>().find("", name);
  const bool unknown = node && node->ready == api::Tristate::kUnknown;
  // One that says itself that it is not ready is heard of, whatever is said of its pods.
  const bool says_no = node && node->ready == api::Tristate::kFalse;
  count.node.unheard = unknown || (count.marked && !says_no);
  if (count.node.unheard) {
    suspects_.insert(name);
  } else {
    suspects_.erase(name);
  }
  sight_.set(name, std::move(count.node));
}

void NodeSurvey::count_all() {
  const auto unsure = unsure_pools();
  std::map<std::string, Count> all;
  feeds_.store<Pods>().for_each([&](const PodPtr& pod) {
    const bool may_count = !table_.matching(*pod).empty() || !unsure.empty() || pool::is_worker(*pod->labels);
    if (!carries(*pod) || !may_count) return;
    add(*pod, unsure, all[*pod->node]);
  });
  for (const std::string& name : std::exchange(suspects_, {})) all.try_emplace(name);
  sight_.forget_nodes();
  for (auto& [name, count] : all) set(name, std::move(count));
  changed_.clear();
  counted_ = true;
}

void NodeSurvey::count_changed() {
  if (changed_.empty()) return;
  const auto unsure = unsure_pools();
  for (const std::string& name : std::exchange(changed_, {})) {
    Count count;
    for (const PodPtr& pod : feeds_.pods_on_node(name)) {
      if (carries(*pod)) add(*pod, unsure, count);
    }
    set(name, std::move(count));
  }
}

// Only what the API server says of nodes that are there. Where nodes are not read nothing is known of them.
void NodeSurvey::count_the_cluster() {
  hears_ = feeds_.hears<Nodes>();
  if (!hears_) return sight_.set_all(0, 0);
  const auto& nodes = feeds_.store<Nodes>();
  const auto is_there = [&nodes](const std::string& name) { return nodes.find("", name) != nullptr; };
  const auto unheard = std::count_if(suspects_.begin(), suspects_.end(), is_there);
  sight_.set_all(nodes.size(), static_cast<std::size_t>(unheard));
}

pool::NodeSight::Change NodeSurvey::look(kube::TimePoint now) {
  if (suspects_.empty() && !counted_ && !sight_.is_blind()) return {};
  // Before the first lists are in, the nodes that are known are not all.
  if (feeds_.settled()) {
    const bool same = counted_ && changed_.empty() && hears_ == feeds_.hears<Nodes>();
    if (counted_) {
      count_changed();
    } else {
      count_all();
    }
    if (!same) count_the_cluster();
  }
  pool::NodeSight::Change change = sight_.look(now);
  if (suspects_.empty() && !sight_.is_blind()) {
    sight_ = {};
    changed_.clear();
    counted_ = false;
  }
  return change;
}

std::optional<pool::UnseenNodes> NodeSurvey::unseen(const kube::ObjectKey& pool) const {
  if (!sight_.is_blind()) return std::nullopt;
  return sight_.unseen(pool.to_string());
}

}  // namespace poolwarden::control
