// Which pools a change concerns: one function for each watched kind.
//
// A change only marks pools; what should be done is decided when they are looked at. What marks nothing:
// changes in which no decision can differ, and what a write of ours did. While a write of an object is under
// way nobody knows whose change it was: the answer tells (WriteDispatcher::changed).
//
// Also keeps what must be remembered of changes themselves: which endpoints of a list are unfit, when that
// was seen, which nodes drain.
//
// Pure: time is an argument. Owned by the loop.
#pragma once

#include "control/consumer_watch.h"
#include "control/controller_metrics.h"
#include "control/feed_table.h"
#include "control/known_nodes.h"
#include "control/node_survey.h"
#include "control/pool_table.h"
#include "control/write_dispatcher.h"
#include "kube/work_queue.h"
#include "pool/drain_ages.h"
#include "pool/draining_nodes.h"
#include "pool/releases.h"

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace poolwarden::control {

// Pools of a namespace that is busy do not hold up others.
using PoolQueue = kube::WorkQueue<kube::ObjectKey, std::hash<kube::ObjectKey>, kube::ByNamespace>;

class ChangeRouter {
 public:
  ChangeRouter(FeedTable& feeds, PoolTable& table, WriteDispatcher& writes, PoolQueue& queue,
               ControllerMetrics& metrics)
      : feeds_(feeds),
        table_(table),
        writes_(writes),
        queue_(queue),
        metrics_(metrics),
        nodes_(feeds),
        survey_(feeds, table) {}

  // Whether this process acts on what it sees: else no stopwatch is started.
  void set_acting(bool acting) { acting_ = acting; }

  void changed(const kube::Delta<api::InferencePool>& delta, api::Now now);
  void changed(const kube::Delta<api::ConfigMap>& delta, api::Now now);
  void changed(const kube::Delta<api::Pod>& delta, api::Now now);
  void changed(const kube::Delta<api::Deployment>& delta, api::Now now);
  void changed(const kube::Delta<api::StatefulSet>& delta, api::Now now);
  void changed(const kube::Delta<api::LeaderWorkerSet>& delta, api::Now now);
  void changed(const kube::Delta<api::Rollout>& delta, api::Now now);
  void changed(const kube::Delta<api::ReplicaSet>& delta, api::Now now);
  void changed(const kube::Delta<api::Service>& delta, api::Now now);
  void changed(const kube::Delta<api::EndpointSlice>& delta, api::Now now);
  void changed(const kube::Delta<api::Node>& delta, api::Now now);
  void changed(const kube::Delta<api::Autoscaler>& delta, api::Now now);
  void changed(const kube::Delta<api::DisruptionBudget>& delta, api::Now now);
  void changed(const kube::Delta<api::GatePart>& delta, api::Now now);
  void changed(const kube::Delta<api::ConsumerLease>& delta, api::Now now);

  // What our own write made: the caches take it in, and no pool is looked at for it.
  void wrote(const kube::Delta<api::InferencePool>& delta);
  // The label of a pod was written for a pool (null: for none): others that have the pod must know.
  void wrote_label(const kube::ObjectKey& pod, const PoolRecord* writer, api::Now now);

  void mark(const PoolRecord& record, api::Now now, kube::Lane lane = kube::Lane::kNormal) {
    queue_.add(record.key, now.mono, lane);
  }
  void mark_namespace(const std::string& ns, api::Now now);
  void mark_all(api::Now now);

  const pool::DrainingNodes& draining_nodes() const { return draining_nodes_; }
  const pool::Releases& releases() const { return releases_; }
  const pool::DrainAges& drain_ages() const { return drain_ages_; }
  pool::NodeLookup node_lookup() { return nodes_.lookup(); }
  // Once a step, after all changes: pools are marked for which nodes have become unseen, or seen again, in
  // numbers.
  void look_at_nodes(api::Now now);
  // The same, of pools of which a consumer has fallen silent: those, for whoever tells of it.
  std::vector<ConsumerWatch::Silence> look_at_consumers(api::Now now);
  std::optional<kube::TimePoint> next_deadline() const;
  ConsumerWatch& consumers() { return consumers_; }
  std::optional<pool::UnseenNodes> unseen_nodes(const PoolRecord& record) const {
    return survey_.unseen(record.key);
  }
  // Forgets what no pod needs any more.
  void sweep() { nodes_.sweep(); }

 private:
  void pools_changed(const std::string& ns);
  // False if the delta says nothing new.
  template <class Target>
  bool target_changed(api::TargetKind kind, const kube::Delta<Target>& delta, api::Now now);
  // Pools of the leader of its group, if the pod is another of the group.
  void mark_leaders_of(const api::Pod& pod, api::Now now);
  void mark_pools_of(std::string_view controller, api::Now now);
  bool is_under_way(const api::Pod& pod) const;
  void concerns(PoolRecord& record, const kube::Delta<api::Pod>& delta, api::Now now);
  void judge_listed(PoolRecord& record, const std::string& uid, const api::Pod* pod, kube::TimePoint at);
  void saw_event(PoolRecord& record, const std::string& uid, kube::TimePoint at) const;
  std::vector<PoolRecord*> publishers_without_selector(const api::Pod& pod);
  void record_release(const kube::Delta<api::Pod>& delta, api::Now now);
  void record_slip(PoolRecord& record, const kube::Delta<api::Pod>& delta, api::Now now) const;
  void record_binding(const kube::Delta<api::Pod>& delta, api::Now now);
  void count_lost_drain(const kube::Delta<api::Pod>& delta, api::Now now);

  FeedTable& feeds_;
  PoolTable& table_;
  WriteDispatcher& writes_;
  PoolQueue& queue_;
  ControllerMetrics& metrics_;
  KnownNodes nodes_;
  NodeSurvey survey_;
  ConsumerWatch consumers_;
  pool::DrainingNodes draining_nodes_;
  pool::Releases releases_;
  pool::DrainAges drain_ages_;
  bool acting_ = false;
};

}  // namespace poolwarden::control
