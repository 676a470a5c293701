#include "gateway/fallen_pods.h"

#include "kube/resource_version.h"
#include "pool/membership.h"
#include "pool/standby_withdrawal.h"

#include <algorithm>
#include <utility>

namespace poolwarden::gateway {
namespace {

using pool::Withdrawal;

// Soft: it may be so of all pods at once, and then says more of what they have in common.
bool is_for_readiness(Withdrawal reason) {
  return reason == Withdrawal::kNotReady || reason == Withdrawal::kNoReadyCondition ||
         reason == Withdrawal::kReadinessGate;
}

}  // namespace

void FallenPods::list_seen(const api::EndpointSet& list, PodsVersions versions) {
  listed_.clear();
  std::set<std::string> uids;
  for (const api::Endpoint& endpoint : list.endpoints) {
    if (endpoint.state != api::EndpointState::kReady) continue;
    listed_.insert_or_assign(endpoint.pod, Listed{endpoint.uid, endpoint.unready});
    uids.insert(endpoint.uid);
  }
  versions_ = std::move(versions);
  std::erase_if(gone_, [&uids](const std::string& uid) { return !uids.contains(uid); });
  std::erase_if(questions_, [&uids](const auto& question) { return !uids.contains(question.second.uid); });
  unfit_.clear();
  for (const auto& [name, listed] : listed_) look_at(name, listed);
  decide();
}

void FallenPods::pod_seen(const kube::Delta<api::Pod>& delta, kube::TimePoint now) {
  const std::string& name = (delta.after ? delta.after : delta.before)->name;
  const auto listed = listed_.find(name);
  if (delta.after) {
    gone_.erase(delta.after->uid);
  } else if (listed != listed_.end() && listed->second.uid == delta.before->uid) {
    if (pool::is_active(*delta.before)) {
      questions_[name] = {delta.before->uid, now, false};
    } else {
      gone_.insert(delta.before->uid);
    }
  }
  if (listed == listed_.end()) return;
  look_at(name, listed->second);
  decide();
}

std::size_t FallenPods::asked() const {
  return static_cast<std::size_t>(std::count_if(questions_.begin(), questions_.end(),
                                                [](const auto& question) { return question.second.asked; }));
}

std::vector<std::string> FallenPods::take_questions(kube::TimePoint now) {
  std::vector<std::string> names;
  std::size_t under_way = asked();
  for (auto& [name, question] : questions_) {
    if (under_way >= kQuestions) break;
    if (question.asked || question.due > now) continue;
    question.asked = true;
    ++under_way;
    names.push_back(name);
  }
  return names;
}

std::optional<kube::TimePoint> FallenPods::next_deadline() const {
  if (asked() >= kQuestions) return std::nullopt;  // until one is answered
  std::optional<kube::TimePoint> next;
  for (const auto& [name, question] : questions_) {
    if (!question.asked && (!next || question.due < *next)) next = question.due;
  }
  return next;
}

void FallenPods::answered(const std::string& name, const api::Pod* pod) {
  const auto question = questions_.find(name);
  if (question == questions_.end()) return;
  const std::string uid = std::move(question->second.uid);
  questions_.erase(question);
  // Without the label it is not watched any more: what the answer says of it is the last that is heard.
  const bool there = pod != nullptr && pod->uid == uid && pool::is_active(*pod);
  const PodPtr seen = pod_(name);
  if (there || (seen && seen->uid == uid)) return;
  gone_.insert(uid);
  const auto listed = listed_.find(name);
  if (listed == listed_.end()) return;
  look_at(name, listed->second);
  decide();
}

void FallenPods::ask_again(const std::string& name, kube::TimePoint now) {
  const auto question = questions_.find(name);
  if (question == questions_.end()) return;
  question->second.due = now + kAskAgain;
  question->second.asked = false;
}

bool FallenPods::list_knew(const api::Pod& pod) const {
  return kube::compare_versions(versions_.oldest, pod.resource_version) >= 0;
}

Withdrawal FallenPods::judge(const std::string& name, const Listed& listed) const {
  if (gone_.contains(listed.uid)) return Withdrawal::kDeleted;
  const PodPtr pod = pod_(name);
  if (!pod) return Withdrawal::kNone;
  if (pod->uid != listed.uid) {
    // The name is another pod's now; or the list is newer than what has been seen of the pods.
    const bool newer = kube::compare_versions(pod->resource_version, versions_.newest) > 0;
    return newer ? Withdrawal::kDeleted : Withdrawal::kNone;
  }
  if (list_knew(*pod)) return Withdrawal::kNone;
  const Withdrawal reason = pool::judge_in_standby(pod.get(), {}).reason;
  return is_for_readiness(reason) && listed.unready ? Withdrawal::kNone : reason;
}

void FallenPods::look_at(const std::string& name, const Listed& listed) {
  const Withdrawal reason = judge(name, listed);
  if (reason == Withdrawal::kNone) {
    unfit_.erase(name);
  } else {
    unfit_.insert_or_assign(name, reason);
  }
}

void FallenPods::decide() {
  const bool all = unfit_.size() == listed_.size();
  fallen_.clear();
  for (const auto& [name, reason] : unfit_) {
    if (!all || !is_for_readiness(reason)) fallen_.emplace(listed_.at(name).uid, reason);
  }
}

}  // namespace poolwarden::gateway
