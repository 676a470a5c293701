// The pools the operator knows: what each selects, and what it remembers of each beyond the cluster's state.
//
// Matching pods to pools is the loop's most frequent question, so answers are kept by label set. Pods share
// their (interned) labels, and a pool's selector changes rarely. A change costs the answers of its namespace.
//
// Pure; owned by the loop. Records are stable in memory until removed.
#pragma once

#include "api/inference_pool.h"
#include "api/objects.h"
#include "api/pod.h"
#include "api/target_kind.h"
#include "base/token_bucket.h"
#include "control/list_memory.h"
#include "control/off_list_marks.h"
#include "kube/object_key.h"
#include "kube/time.h"
#include "pool/observation.h"
#include "pool/replica_moves.h"
#include "pool/slipped_deletes.h"

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

namespace poolwarden::control {

// Failed writes that only a person can mend, as the API server worded them. A success takes its error back.
struct WriteErrors {
  struct OfConfigMap {
    std::string reason;  // "Forbidden", "Invalid", "WriteFailed"
    std::string text;
  };
  std::map<std::string, OfConfigMap> config_maps;  // by name
  std::string service;
  std::map<std::string, std::string> slices;  // by name
  std::string budget;
  std::string scale;
  std::map<std::string, std::string> labels;  // by UID of the pod whose label was refused
};

// How status was last written, and whether the API server kept all of it: a definition of another release
// drops fields.
struct StatusMemory {
  kube::TimePoint not_before{};
  base::TokenBucket counts{std::chrono::seconds(10), 2};  // for writes that tell of nothing but counts
  std::vector<std::string> dropped_fields;
  api::PoolStatus wanted, stored;
  kube::TimePoint asked_at{};
};

struct PoolRecord {
  kube::ObjectKey key;
  std::string uid;
  bool deleting = false;
  std::string target;  // name of the scale target, or empty
  api::TargetKind target_kind = api::TargetKind::kNone;
  std::string config_map;  // names of what it publishes; the list's others are named after the first
  std::string service;
  // Its own or its target's. While that cannot be told (target missing, spec invalid) the last one stays, and
  // selector_known is false: nothing is taken from pods then.
  std::optional<api::LabelSelector> selector;
  bool selector_known = false;
  bool decides = false;    // about its pods: selector_known, and nothing is wrong with its spec
  bool may_panic = false;  // whether one that is not ready leaves its list depends on the others

  // Memory that the cluster does not hold (yet); rebuilt from nothing after a restart.
  ListMemory list;
  OffListMarks off_list;
  pool::SlippedDeletes slipped_deletes;
  pool::ReplicaMoves replica_moves;
  WriteErrors errors;
  StatusMemory status;
  std::optional<api::Agreement> agreed;
  bool replicas_in_flight = false;               // a scale or adopt write of ours is under way
  std::optional<kube::TimePoint> behind_since;   // its list was made from newer pods than we know
  std::optional<kube::TimePoint> on_hold_since;  // it does not decide, as far as passes have seen
  // ConfigMaps of our names that our watch does not show, by name.
  struct Unlabelled {
    api::ConfigMap config_map;
    kube::TimePoint until{};  // when to look at it again
  };
  std::map<std::string, Unlabelled> unlabelled;
  base::TokenBucket service_counts{std::chrono::minutes(1), 1};  // for `ready-endpoints` of its Service
  std::map<std::string, std::size_t> slices_written;  // by name: what its slices were last made to say
  kube::TimePoint list_sent_at{};                     // of the first write of its list that is under way
  kube::TimePoint next_pass{};                        // a pass costs its pods: the next one not before
};

class PoolTable {
 public:
  // Takes a pool as it now is. `target` is its target if the cache has it. True if whom it selects,
  // or whether it decides about them, changed (then the caller reindexes).
  bool upsert(const api::InferencePool& pool, const api::Workload* target);
  // True if it was there.
  bool remove(const kube::ObjectKey& key);

  PoolRecord* find(const kube::ObjectKey& key);
  // Whether one publishes under that name, in one of its shards.
  bool publishes(const std::string& ns, const std::string& config_map);
  // Pools of a namespace for which `test` holds.
  template <class Test>
  std::vector<PoolRecord*> in_namespace(const std::string& ns, Test test) {
    std::vector<PoolRecord*> found;
    for (auto it = records_.lower_bound({ns, ""}); it != records_.end() && it->first.ns == ns; ++it) {
      if (test(it->second)) found.push_back(&it->second);
    }
    return found;
  }
  // Those that live and have not known, since we began, whom they select: all they have is their list. In
  // name order.
  const std::vector<PoolRecord*>& unsure(const std::string& ns) const;
  // The first by namespace and name, and of no namespace more than so many. Costs no more than it finds.
  std::vector<const PoolRecord*> first(std::size_t most, std::size_t most_of_namespace) const;
  template <class Visit>
  void for_each(Visit visit) {
    for (auto& item : records_) visit(item.second);
  }

  // The living pools that select a pod, in name order. The reference is good until the next call of upsert(),
  // remove() or trim(): asking for other pods meanwhile does it no harm.
  const std::vector<PoolRecord*>& matching(const api::Pod& pod) { return selecting(pod).pools; }
  bool is_selected_by(const api::Pod& pod, const PoolRecord& record);
  // The first of them that decides about its pods: the pod's drain is its to decide. Null: none does.
  const PoolRecord* leader(const api::Pod& pod) { return selecting(pod).leader; }
  // Throws the answers away when they are many: pods with labels of their own (a StatefulSet's) would fill
  // the memory. Call it where no answer is held.
  void trim();
  std::size_t size() const { return records_.size(); }

 private:
  struct LabelSet {
    std::string ns;
    std::shared_ptr<const api::Labels> labels;  // held, so that the pointer names these labels only
    bool operator==(const LabelSet& other) const { return labels == other.labels && ns == other.ns; }
  };
  struct LabelSetHash {
    std::size_t operator()(const LabelSet& set) const noexcept {
      return std::hash<std::string>{}(set.ns) ^ std::hash<const void*>{}(set.labels.get());
    }
  };
  struct Selecting {
    std::vector<PoolRecord*> pools;
    const PoolRecord* leader = nullptr;
  };
  static constexpr std::size_t kMaxCachedLabelSets = 20'000;

  const Selecting& selecting(const api::Pod& pod);
  void invalidate(const std::string& ns);

  std::map<kube::ObjectKey, PoolRecord> records_;
  std::unordered_map<LabelSet, Selecting, LabelSetHash> matches_;
  std::unordered_map<std::string, std::vector<PoolRecord*>> unsure_;  // by namespace
};

}  // namespace poolwarden::control
