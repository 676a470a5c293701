// What is remembered of one pool's list: which endpoints are on it, as it was last read or written, and which
// of them are known to be unfit since. Each shard is a ConfigMap with versions, writes and a document of its
// own; they are numbered from 1.
//
// The list itself is in the cluster and outlives the process; all of this is found again after a restart.
// Pure; owned by the loop.
#pragma once

#include "api/inference_pool.h"
#include "api/objects.h"
#include "kube/store.h"
#include "kube/time.h"
#include "pool/plan.h"
#include "pool/withdrawal.h"

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

namespace poolwarden::control {

class ListMemory {
 public:
  // All of the pool's ConfigMaps as they are now.
  void read_all(const api::InferencePool& pool, const kube::Store<api::ConfigMap>& config_maps);
  // One of them; null: it is not there. What it says is read once for each version.
  void read(const api::InferencePool& pool, std::int32_t shard, const api::ConfigMap* config_map);
  // What read() found; null where there is no ConfigMap, or while a write of it is under way.
  const pool::PublishedDocument* document(std::int32_t shard, const api::ConfigMap* config_map) const;
  // The highest shard that is known.
  std::int32_t shards() const { return static_cast<std::int32_t>(shards_.size()); }
  // How many the first one says there are.
  std::int32_t counted() const { return counted_; }

  // A list says that it was made from pods of this version, and that was believed for as long as it may be.
  void disbelieve(const std::string& pods_version);
  bool disbelieves(const std::string& pods_version) const { return disbelieved_.contains(pods_version); }
  // What in a shard's ConfigMap has to be put right, besides what it says of itself.
  void note_edited(std::int32_t shard, std::string what);

  // A listed pod is seen to be unfit, or fit again.
  void unfit(pool::UnfitEndpoint endpoint) { unfit_.insert_or_assign(endpoint.uid, std::move(endpoint)); }
  void fit(const std::string& uid) { unfit_.erase(uid); }
  bool withdrawal_due() const { return !unfit_.empty(); }
  // What is said of their nodes is not to be believed: who is unfit for that only is no more.
  void trust_kubelets() {
    std::erase_if(unfit_, [](const auto& item) { return item.second.only_by_its_node; });
  }
  // The shard was made from newer pods than those that said so: what may have passed since is not to be
  // believed.
  void trust_the_newer(std::int32_t shard);
  // Why a listed pod is known to be unfit; null: it is not.
  const pool::UnfitEndpoint* unfit_endpoint(const std::string& uid) const {
    const auto found = unfit_.find(uid);
    return found == unfit_.end() ? nullptr : &found->second;
  }
  std::set<std::int32_t> shards_due() const;  // those with an endpoint that is unfit

  // The shard without those that are unfit, to be written over `config_map`; nothing where that takes a look
  // at the whole pool. After it the document is unknown until written() or read().
  std::optional<pool::PublishEndpoints> withdraw(const api::InferencePool& pool, std::int32_t shard,
                                                 const api::ConfigMap& config_map,
                                                 const std::string& pods_version);
  // The same without those who are given, whoever else is unfit.
  std::optional<pool::PublishEndpoints> withdraw(const api::InferencePool& pool, std::int32_t shard,
                                                 const api::ConfigMap& config_map,
                                                 const std::string& pods_version,
                                                 const std::vector<pool::UnfitEndpoint>& unfit);
  // A write of a shard succeeded and made this version of its ConfigMap. Takes the list out of `what`.
  void written(pool::PublishEndpoints& what, std::string version);

  bool lists(const std::string& uid) const;
  const std::map<std::string, std::string>& ready(std::int32_t shard) const;  // uid -> pod name
  std::size_t ready_count() const;
  const std::set<std::string>& ever_listed() const { return ever_listed_; }  // of pods that live
  std::int64_t last_revision() const { return last_revision_; }
  // Of the shards that count, as they were last read or written.
  pool::ListRevisions revisions() const;

  // The withdrawal's stopwatch: when the first event about a pod that is not yet accounted for was decoded.
  void saw_event(const std::string& uid, kube::TimePoint at) { first_event_.try_emplace(uid, at); }
  std::vector<kube::TimePoint> began(const std::vector<pool::EndpointChange>& changes,
                                     kube::TimePoint now) const;
  kube::TimePoint first_event(kube::TimePoint now) const;
  void stop_watches() { first_event_.clear(); }
  void stop_watches_until(kube::TimePoint at);

  void forget_pod(const std::string& uid) { ever_listed_.erase(uid); }
  // Whether what is remembered of pods has outgrown the list, and should be compared with those that live.
  bool has_outgrown() const;
  void keep_only(const std::set<std::string>& living);

 private:
  struct Shard {
    pool::PublishedDocument document;
    std::string version;  // of the ConfigMap it was read from; empty: unknown
    std::map<std::string, std::string> ready;
    std::int64_t revision = 0;
  };

  Shard& at(std::int32_t shard);
  const Shard* find(std::int32_t shard) const;
  void take(const api::EndpointSet& set);
  void count(const api::EndpointSet& set);
  void forget_unlisted();
  bool may_withdraw(std::int32_t shard, const api::ConfigMap& config_map) const;

  std::vector<Shard> shards_;  // the first at 0
  std::int32_t counted_ = 1;
  std::set<std::string> ever_listed_;
  std::set<std::string> disbelieved_;
  std::map<std::string, pool::UnfitEndpoint> unfit_;  // by UID
  std::unordered_map<std::string, kube::TimePoint> first_event_;
  std::int64_t last_revision_ = 0;
  std::int64_t sent_revision_ = 0;  // newest of a withdrawal, answered or not
};

}  // namespace poolwarden::control
