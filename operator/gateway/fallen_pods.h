// Which pods of the published list must not be sent anything more, by what the API server has said of the
// pods themselves since the list was made. So a gateway need not wait until somebody has written the list
// anew, and nobody need be there to write it.
//
// Promises: it only ever takes away, and only ready endpoints of the list. The judgement is the operator's
// own (pool/standby_withdrawal.h). What the API server says of a pod because it cannot see the pod's node
// takes nobody away. What the list says later stands: of a pod's word that the list knew already, the list is
// right. A pod that is ready again is back, for the list still has it. That pods are not ready never takes
// the last ones away: whether none or all of them should serve then, the list decides.
//
// The watch has only pods with the label that the operator gives to its endpoints. One that is not seen may
// be without that label, and so its absence means nothing. Nor does its end, unless it was seen to terminate:
// the label may have been taken off. Then the pod is asked for by name, and it has gone if it is not there.
//
// Pure: time is an argument. Owned and used by one thread. Holds no more than the list does.
#pragma once

#include "api/endpoint_set.h"
#include "api/pod.h"
#include "kube/informer.h"
#include "kube/time.h"
#include "pool/plan.h"

#include <chrono>
#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace poolwarden::gateway {

// Which version of the pods a list was made from. Shards may differ: the oldest and the newest of them. Empty
// where one does not say.
struct PodsVersions {
  std::string oldest;
  std::string newest;
};

class FallenPods {
 public:
  using PodPtr = std::shared_ptr<const api::Pod>;
  // A pod as the watch has it; null: the watch does not have it.
  using PodLookup = std::function<PodPtr(const std::string& name)>;
  static constexpr std::chrono::seconds kAskAgain{1};
  // Under way at once: all pods of a namespace may lose their label together.
  static constexpr std::size_t kQuestions = 16;

  explicit FallenPods(PodLookup pod) : pod_(std::move(pod)) {}

  void list_seen(const api::EndpointSet& list, PodsVersions versions);
  // The lookup has what follows from the delta by then, and maybe from later ones.
  void pod_seen(const kube::Delta<api::Pod>& delta, kube::TimePoint now);

  // By UID, and why. Only pods of the list.
  const std::map<std::string, pool::Withdrawal>& fallen() const { return fallen_; }

  // Pods to ask the API server for by name. Each is asked for once, until an answer or a failure is told.
  std::vector<std::string> take_questions(kube::TimePoint now);
  std::optional<kube::TimePoint> next_deadline() const;
  void answered(const std::string& name, const api::Pod* pod);  // null: there is none
  void ask_again(const std::string& name, kube::TimePoint now);

 private:
  struct Listed {
    std::string uid;
    bool unready = false;  // on the list though it is not ready
  };
  struct Question {
    std::string uid;
    kube::TimePoint due{};
    bool asked = false;
  };
  std::size_t asked() const;
  pool::Withdrawal judge(const std::string& name, const Listed& listed) const;
  bool list_knew(const api::Pod& pod) const;
  void look_at(const std::string& name, const Listed& listed);
  void decide();

  const PodLookup pod_;
  std::map<std::string, Listed> listed_;  // ready endpoints, by the pod's name
  PodsVersions versions_;
  std::set<std::string> gone_;  // UIDs of the list whose pods have been seen to go
  std::map<std::string, Question> questions_;
  std::map<std::string, pool::Withdrawal> unfit_;  // by the pod's name: each by itself
  std::map<std::string, pool::Withdrawal> fallen_;
};

}  // namespace poolwarden::gateway
