// The operator without its body: every decision and all state, no sockets, no threads, no clock.
//
// step() takes what has arrived, brings the caches up to date, runs a pass over each pool that changed, and
// returns what is to be sent. One thread owns it. The same inputs at the same times give the same effects,
// so the whole operator can be run from a seed against a simulated API server.
//
// What it promises:
//   - a pass reads one consistent snapshot and writes only what differs; at rest it writes nothing
//   - withdrawals are sent before anything else of the same step, and wait for nothing but their own
//     ConfigMap's previous write
//   - nothing is decided before every cache it needs has synced once, nor without a valid lease
//   - every pool is looked at again within the resync period whatever happens, and no failure drops it
#pragma once

#include "api/interner.h"
#include "api/time.h"
#include "control/effects.h"
#include "control/load_turns.h"
#include "control/meters.h"
#include "control/pool_table.h"
#include "control/write_ledger.h"
#include "kube/event_recorder.h"
#include "kube/informer.h"
#include "kube/lease.h"
#include "kube/random.h"
#include "kube/rate_limiter.h"
#include "kube/work_queue.h"
#include "pool/plan.h"

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <variant>
#include <vector>

namespace poolwarden::control {

using PodPtr = std::shared_ptr<const api::Pod>;

// Whether deletes are held by the gate: looked up in the cluster, or as told.
enum class DrainGate : std::uint8_t { kAuto, kOn, kOff };

struct CoreOptions {
  bool leader_elect = false;
  kube::LeaseConfig lease;
  kube::ReflectorOptions reflector;
  std::string instance = "poolwarden";  // who reports events: the pod's name
  kube::Duration write_timeout = std::chrono::seconds(10);
  kube::Duration resync = std::chrono::minutes(10);
  kube::Duration stop_patience = std::chrono::seconds(5);  // for writes in flight, then for the lease
  std::size_t passes_per_step = 256;                       // so that a burst cannot keep inputs waiting
  std::size_t label_writes_in_flight = 64;  // so that labels cannot crowd out withdrawals on the wire
  // Sources of engines' load that are asked at once: all that the reader can, so that none waits there.
  std::size_t load_sources_in_flight = engine::LoadReaderOptions{}.max_connections;
  DrainGate drain_gate = DrainGate::kAuto;
  // Keys of taints by which a node announces that its pods must go, and of those by which they are as good as
  // gone.
  std::vector<std::string> drain_taints;
  std::vector<std::string> withdraw_taints;
  std::uint64_t seed = 1;  // of all jitter
};

// What a probe may know: a copy is handed out after each step.
struct FeedHealth {
  bool synced = false;
  kube::TimePoint last_byte{};
  std::string problem;  // empty while it lists or watches
};
struct CoreHealth {
  std::array<FeedHealth, kFeedCount> feeds;
  bool leading = false;
  bool stopping = false;
};

std::string_view to_string(Feed feed);  // "pods", as the API names it

class OperatorCore {
 public:
  OperatorCore(CoreOptions options, Meters& meters);

  Effects start(api::Now now);
  // `inputs` is emptied. An empty one is a tick.
  Effects step(std::vector<Input>& inputs, api::Now now);
  // When to step at the latest, even if nothing arrives.
  std::optional<kube::TimePoint> next_deadline() const;

  CoreHealth health() const;
  std::size_t in_flight() const { return pending_.size(); }

 private:
  // What an awaited answer was for.
  struct PublishWrite {
    pool::PublishEndpoints what;
    std::vector<kube::TimePoint> began;  // of each of its changes: when the stopwatch was started
  };
  struct ScaleTargetWrite {
    api::ScaleWrite what;
    std::optional<pool::EventNote> event;
  };
  struct AdoptReplicasWrite {
    api::AdoptWrite what;
    std::optional<pool::EventNote> event;
  };
  struct ServiceWrite {
    std::optional<pool::EventNote> event;
  };
  struct PodLabelWrite {
    api::PodLabelWrite what;
    std::optional<pool::DrainNote> note;
  };
  struct BudgetWrite {};
  struct StatusWrite {
    api::PoolStatus what;
    std::vector<api::Condition> before;
  };
  struct ConfigMapLookup {};
  struct EventWrite {
    std::uint64_t id = 0;
  };
  struct LeaseCall {
    std::uint64_t attempt = 0;
  };
  using Purpose =
      std::variant<PublishWrite, ScaleTargetWrite, AdoptReplicasWrite, ServiceWrite, PodLabelWrite,
                   BudgetWrite, StatusWrite, ConfigMapLookup, EventWrite, LeaseCall>;
  struct Pending {
    Purpose purpose;
    WrittenObject object;  // meaningless for events and the lease
    kube::ObjectKey pool;
    std::string pool_uid;
    kube::Verb verb = kube::Verb::kGet;
    kube::TimePoint sent_at{};
  };

  // The strays of a controller are held back for those of them that drain.
  struct GoFirst {
    kube::TimePoint began;
    kube::TimePoint until;  // put off while a release is yet to be written, to some time after `began` at most
  };

  // Running -> Stopping, on StopRequested or a lost lease. Stopping -> the Exit effect, once nothing is in
  // flight or at the deadline.
  struct Running {};
  enum class Stage : std::uint8_t { kFinishing, kReleasing };  // writes first, then the lease
  struct Stopping {
    Exit exit;
    kube::TimePoint deadline{};
    Stage stage = Stage::kFinishing;
    bool released = false;
  };

  template <class Self, class Visit>
  static void each_feed(Self& self, Visit visit) {
    visit(self.pools_, Feed::kPools);
    visit(self.config_maps_, Feed::kConfigMaps);
    visit(self.pods_, Feed::kPods);
    visit(self.deployments_, Feed::kDeployments);
    visit(self.replica_sets_, Feed::kReplicaSets);
    visit(self.services_, Feed::kServices);
    visit(self.nodes_, Feed::kNodes);
    visit(self.autoscalers_, Feed::kAutoscalers);
    visit(self.budgets_, Feed::kBudgets);
    visit(self.gate_policies_, Feed::kGatePolicies);
    visit(self.gate_bindings_, Feed::kGateBindings);
  }

  // --- core_feeds.cpp: what arrives, and which pools it concerns
  void take(Input input, api::Now now, Effects& out);
  template <class Codec>
  void feed(kube::Informer<Codec>& informer, Feed which, typename kube::Informer<Codec>::Input input,
            api::Now now, Effects& out);
  template <class Codec>
  void tick_feed(kube::Informer<Codec>& informer, Feed which, api::Now now, Effects& out);
  template <class Codec>
  void observe(kube::Informer<Codec>& informer, typename Codec::Object object, api::Now now);
  void tick_feeds(api::Now now, Effects& out);
  void heard_from_server(kube::TimePoint now);
  void log_problem(Feed which, const std::optional<kube::Error>& error, Effects& out);
  void emit(Feed which, std::vector<kube::ReflectorAction> actions, Effects& out);
  void changed(const kube::Delta<api::InferencePool>& delta, api::Now now);
  void changed(const kube::Delta<api::ConfigMap>& delta, api::Now now);
  void changed(const kube::Delta<api::Pod>& delta, api::Now now);
  void changed(const kube::Delta<api::Deployment>& delta, api::Now now);
  void changed(const kube::Delta<api::Service>& delta, api::Now now);
  void changed(const kube::Delta<api::Node>& delta, api::Now now);
  void changed(const kube::Delta<api::Autoscaler>& delta, api::Now now);
  void changed(const kube::Delta<api::ReplicaSet>& delta, api::Now now);
  void changed(const kube::Delta<api::DisruptionBudget>& delta, api::Now now);
  void changed(const kube::Delta<api::GatePart>& delta, api::Now now);
  void mark_all(api::Now now);
  void mark(const PoolRecord& record, api::Now now, kube::Lane lane = kube::Lane::kNormal);
  void mark_namespace(const std::string& ns, api::Now now);
  void saw_event(PoolRecord& record, const std::string& pod_uid, kube::TimePoint at) const;
  std::vector<PoolRecord*> publishers_without_selector(const api::Pod& pod);
  void take_published(PoolRecord& record, const api::ConfigMap* config_map);

  // --- core_pass.cpp: one pool, from snapshot to writes
  void run_passes(api::Now now, Effects& out);
  bool may_act(kube::TimePoint now) const;
  bool settled() const;
  void index_pods();
  void come_back(const PoolRecord& record, std::optional<kube::Duration> look_again, api::Now now);
  void count_endpoints(const PoolRecord& record, const pool::Snapshot& seen, const pool::Plan& plan);
  pool::Snapshot snapshot(PoolRecord& record, const api::InferencePool& pool, api::Now now);
  void see_pods(PoolRecord& record, pool::Snapshot& snapshot);
  void see_longer_drain(const api::Pod& pod, const kube::ObjectKey& other, pool::Snapshot& snapshot) const;
  void see_pods_version(PoolRecord& record, pool::Snapshot& snapshot, kube::TimePoint now) const;
  void see_autoscalers(const PoolRecord& record, pool::Snapshot& snapshot) const;
  void see_blindness(pool::Snapshot& snapshot) const;
  void publish(PoolRecord& record, const api::InferencePool& pool, pool::Plan& plan, api::Now now,
               Effects& out);
  void write_rest(PoolRecord& record, const api::InferencePool& pool, pool::Plan& plan, api::Now now,
                  Effects& out);
  void forget_needless_errors(PoolRecord& record, const pool::Plan& plan, api::Now now);
  void write_pool(PoolRecord& record, const api::InferencePool& pool, pool::Plan& plan, api::Now now,
                  Effects& out);
  void label_pods(const PoolRecord& record, const pool::Plan& plan, api::Now now, Effects& out);
  void let_drained_go_first(const std::vector<PodPtr>& strays, kube::TimePoint now);
  std::optional<api::PodLabelWrite> stray_write(const api::Pod& pod, kube::TimePoint now);
  bool may_be_of_a_pool(const api::Pod& pod);
  void unlabel_strays(api::Now now, Effects& out);
  bool selects(const PoolRecord& record, const api::Pod& pod);
  // True if it was sent; otherwise the pool comes back when the object is free again.
  bool send(Purpose purpose, WrittenObject object, const PoolRecord& record, kube::Call call, Expect expect,
            api::Now now, Effects& out, std::optional<std::size_t> content = {});
  void send_unguarded(Purpose purpose, WrittenObject object, const PoolRecord& record, kube::Call call,
                      Expect expect, api::Now now, Effects& out);

  // --- core_drains.cpp: what draining needs to see, and to ask
  void index_replica_sets();
  void classify(api::Node& node) const;
  void see_drains(PoolRecord& record, pool::Snapshot& snapshot, api::Now now);
  void see_replica_sets(pool::Snapshot& snapshot, api::Now now);
  bool has_lasted(const std::string& replica_set, bool too_many, kube::TimePoint now);
  void see_gate(pool::Snapshot& snapshot);
  void look_at_gate(pool::Snapshot& snapshot) const;
  void see_budgets(const PoolRecord& record, pool::Snapshot& snapshot) const;
  void want_loads(const PoolRecord& record, const api::InferencePool& pool, const pool::Plan& plan,
                  api::Now now);
  engine::LoadRequest load_request(const pool::WantedReading& wanted, const api::InferencePool& pool);
  void read_loads(api::Now now, Effects& out);
  void arrived(LoadArrived load, api::Now now);
  void see_placement(const kube::Delta<api::Pod>& delta, api::Now now);
  void count_lost_drain(const kube::Delta<api::Pod>& delta, api::Now now);
  void labelled(PoolRecord& record, const PodLabelWrite& label, api::Now now, Effects& out);

  // --- core_answers.cpp: what became of the writes
  void answered(CallAnswered answer, api::Now now, Effects& out);
  void succeeded(Pending& pending, Answer answer, api::Now now, Effects& out);
  void failed(Pending& pending, const kube::Error& error, api::Now now, Effects& out);
  void acknowledged(PoolRecord& record, const PublishWrite& published, kube::TimePoint sent_at, api::Now now,
                    Effects& out);
  void scaled(PoolRecord& record, const ScaleTargetWrite& write, const Answer& answer, api::Now now,
              Effects& out);
  void look_up_config_map(const PoolRecord& record, api::Now now, Effects& out);
  static void compare_status(PoolRecord& record, const api::PoolStatus& wanted, const api::PoolStatus& stored,
                             api::Now now, Effects& out);
  void tell_of_degradation(const PoolRecord& record, const std::vector<api::Condition>& before,
                           const api::PoolStatus& stored, api::Now now);
  static void remember_error(PoolRecord& record, const Pending& pending, std::string reason,
                             std::string text);
  static void forget_error(PoolRecord& record, const Pending& pending);
  static std::string_view kind_of(const Pending& pending);
  void note(const PoolRecord& record, const pool::EventNote& event, api::Now now);
  void note_change(const PoolRecord& record, const pool::EndpointChange& change, const pool::EventNote& event,
                   api::Now now);
  void record_event(kube::EventTarget target, const pool::EventNote& event, api::Now now);
  void post_events(api::Now now, Effects& out);

  // --- operator_core.cpp: leadership and the end
  bool leads() const { return led_ || !elector_; }
  void run_lease(api::Now now, Effects& out);
  void lease_outputs(std::vector<kube::LeaseOutput> outputs, api::Now now, Effects& out);
  void stop(Exit exit, api::Now now, Effects& out);
  void run_stop(api::Now now, Effects& out);
  std::size_t writes_in_flight() const;
  void sweep(api::Now now);
  void forget_departed(PoolRecord& record);

  CoreOptions options_;
  Meters& meters_;
  kube::RandomSource random_;

  kube::Informer<api::PoolCodec> pools_;
  kube::Informer<api::ConfigMapCodec> config_maps_;
  kube::Informer<api::PodCodec> pods_;
  kube::Informer<api::DeploymentCodec> deployments_;
  kube::Informer<api::ReplicaSetCodec> replica_sets_;
  kube::Informer<api::ServiceCodec> services_;
  kube::Informer<api::NodeCodec> nodes_;
  kube::Informer<api::AutoscalerCodec> autoscalers_;
  kube::Informer<api::DisruptionBudgetCodec> budgets_;
  kube::Informer<api::GatePolicyCodec> gate_policies_;
  kube::Informer<api::GateBindingCodec> gate_bindings_;
  api::Interner<api::LabelMap> label_sets_;
  api::Interner<std::string> node_names_;
  api::Interner<std::string> controllers_;
  kube::IndexId pods_by_pool_{};
  kube::IndexId pods_by_controller_{};
  kube::IndexId sets_by_uid_{};
  kube::IndexId sets_by_controller_{};
  bool reindex_pods_ = false;

  PoolTable table_;
  kube::WorkQueue<kube::ObjectKey> queue_;
  WriteLedger ledger_;
  std::unordered_map<std::uint64_t, Pending> pending_;
  std::uint64_t last_id_ = 0;
  std::size_t labels_in_flight_ = 0;
  std::map<std::string, std::string> labels_under_way_;  // pod UID -> serving label that is being written
  pool::LoadBook loads_;
  LoadTurns load_turns_;
  pool::EmptiedNodes emptied_nodes_;
  std::map<std::string, kube::TimePoint> surplus_since_;  // by UID of the ReplicaSet
  std::set<kube::ObjectKey> label_waiters_;               // pools that found no place among those
  std::map<std::string, GoFirst> go_first_;    // where strays drain, by UID of the controller
  std::optional<kube::TimePoint> strays_due_;  // when the label of a pod of no pool is to be taken off
  kube::EventRecorder events_;
  bool event_in_flight_ = false;
  std::optional<kube::LeaseElector> elector_;  // nothing: leader election is off
  bool led_ = false;
  bool can_decide_ = false;  // the last step was allowed to run passes
  kube::TimePoint next_sweep_{};
  kube::TimePoint heard_{};                       // when the API server last answered anything
  std::array<std::string, kFeedCount> problems_;  // as last logged, empty while all is well
  std::variant<Running, Stopping> state_;
};

}  // namespace poolwarden::control
