// The caches of everything the operator watches, and the indices over them.
//
// take() brings one kind's cache up to date and says what changed; what that means is for its caller. Objects
// are shared and immutable: a pointer from a store is good until the next take() or observe() of its kind.
//
// Pure: time is an argument. Owned by the loop.
#pragma once

#include "api/interner.h"
#include "api/target_kind.h"
#include "base/text.h"
#include "control/controller_metrics.h"
#include "control/effects.h"
#include "control/feed_health.h"
#include "kube/informer.h"
#include "kube/random.h"
#include "pool/observation.h"

#include <array>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace poolwarden::control {

using PodPtr = std::shared_ptr<const api::Pod>;

// Where pods of a namespace are found that carry our label although no pool selects them.
inline constexpr std::string_view kOrphanIndex = "!";
// Where workers are found that are held for their leaders, of which no pool selects them either.
inline constexpr std::string_view kMemberIndex = "?";
inline std::string orphan_index(std::string_view ns) {
  return std::string(kOrphanIndex).append(ns);
}

template <class Kind>
struct KindCache {
  KindCache(const kube::ReflectorOptions& options, const kube::RandomSource& random)
      : informer(options, random) {}
  kube::Informer<typename Kind::Codec> informer;
  bool started = false;
  std::string logged;             // the problem as last logged, empty while all is well
  std::string logged_unreadable;  // the same of the newest object that could not be read
};

template <class... Kinds>
class CacheTable : private KindCache<Kinds>... {
 public:
  CacheTable(const kube::ReflectorOptions& options, const kube::RandomSource& random)
      : KindCache<Kinds>(options, random)... {}

  template <class Kind>
  KindCache<Kind>& get() {
    return *this;
  }
  template <class Kind>
  const KindCache<Kind>& get() const {
    return *this;
  }
};

struct FeedOptions {
  kube::ReflectorOptions reflector;
  // Keys of taints by which a node announces that its pods must go, and of those by which they are as good as
  // gone.
  std::vector<std::string> drain_taints;
  std::vector<std::string> withdraw_taints;
  // Of those with which a node ends so many seconds later, whoever is still there.
  std::vector<std::string> drain_all_taints = {};
  std::chrono::seconds taint_deadline{90};
  std::chrono::seconds max_drain_timeout = std::chrono::hours(24);  // whatever a pool asks for
};

class FeedTable {
 public:
  // Names the keys in the index of pools for a pod, "ns/name" or orphan_index().
  using PoolsOf = std::function<void(const api::Pod&, std::vector<std::string>& keys)>;

  // Whether a pool publishes under that name, in one of its shards.
  using IsList = std::function<bool(const std::string& ns, const std::string& name)>;

  // Anybody may label ConfigMaps as ours: where no pool has a list of that name, the documents are not kept.
  FeedTable(
      FeedOptions options, const kube::RandomSource& random, ControllerMetrics& metrics, PoolsOf pools_of,
      IsList is_list = [](const std::string&, const std::string&) { return true; });

  void start(kube::TimePoint now, Effects& out);
  // What a kind's cache says now: each difference goes to `changed`. True if the kind has just synced, or
  // came into or went out of reach: what was decided without it is to be decided again.
  template <class Kind, class Changed>
  bool take(KindInput<Kind> in, kube::TimePoint now, Effects& out, Changed&& changed);
  // The object as the API server returned it for a write of ours.
  template <class Kind, class Changed>
  void observe(typename Kind::Object object, kube::TimePoint now, Changed&& changed);
  void tick(kube::TimePoint now, Effects& out);
  std::optional<kube::TimePoint> next_deadline() const;
  // The API server said something, be it a refusal. Kinds that wait only because it was silent try again.
  void server_answered(kube::TimePoint now);

  template <class Kind>
  const kube::Store<typename Kind::Object>& store() const {
    return caches_.get<Kind>().informer.store();
  }
  template <class Kind>
  bool synced() const {
    return caches_.get<Kind>().informer.synced();
  }
  // Read once, maybe, and not to be read any more until a person acts.
  template <class Kind>
  bool out_of_reach() const {
    const auto error = caches_.get<Kind>().informer.last_error();
    return error && error->is_out_of_reach();
  }
  // What it tells is told now: it was read, and a watch of it is open.
  template <class Kind>
  bool hears() const {
    return synced<Kind>() && caches_.get<Kind>().informer.watching();
  }
  // Nothing has come of it for longer than a watch that lives is silent.
  template <class Kind>
  bool is_stale(kube::TimePoint now) const {
    const auto& informer = caches_.get<Kind>().informer;
    return informer.last_error() || now - informer.last_byte() > kSilence;
  }
  // Of each kind that is awaited: synced, or known to be out of reach. Of pools: synced.
  bool settled() const;
  // How new a kind's cache is.
  template <class Kind>
  const std::string& version() const {
    return caches_.get<Kind>().informer.resource_version();
  }
  const std::string& pods_version() const { return version<Pods>(); }
  // Messages for a person about kinds that conditions tell of: those never read, and those read once.
  struct Problems {
    std::vector<std::string> watch_errors;
    std::vector<std::string> stale;
  };
  Problems problems() const;
  std::chrono::seconds taint_deadline() const { return options_.taint_deadline; }
  std::chrono::seconds max_drain_timeout() const { return options_.max_drain_timeout; }
  template <class Kind>
  FeedHealth health() const;
  std::array<FeedHealth, WatchedKinds::kSize> health() const;

  // Sorted by name, as all that follow.
  const std::vector<PodPtr>& pods_of_pool(std::string_view key) const {
    return store<Pods>().by_index(pods_by_pool_, key);
  }
  const std::vector<PodPtr>& pods_of_controller(std::string_view uid) const {
    return store<Pods>().by_index(pods_by_controller_, uid);
  }
  const std::vector<PodPtr>& pods_on_node(std::string_view name) const {
    return store<Pods>().by_index(pods_by_node_, name);
  }
  std::shared_ptr<const api::ReplicaSet> replica_set(std::string_view uid) const;
  std::shared_ptr<const api::StatefulSet> stateful_set(std::string_view uid) const;
  // How many pods a set of one of these kinds wants. Nothing: there is none, or it is being deleted.
  std::optional<std::int32_t> wanted_by(std::string_view uid) const;
  // What the pool scales. Null: the cache does not have it, or the pool scales nothing.
  std::shared_ptr<const api::Workload> target_of(const api::InferencePool& pool) const;
  // Whether objects of a kind that pools may scale have been read.
  bool has_read(api::TargetKind kind) const;
  // Of a kind that is watched since a pool names it: it may be read, as far as is known, and is not yet.
  bool is_awaited(api::TargetKind kind) const;
  // The pods of the group that a pod is of, itself among them: kMaxGroup at most. None, if it is of no group.
  std::span<const PodPtr> group_of(const api::Pod& pod) const;
  const std::vector<std::shared_ptr<const api::ReplicaSet>>& replica_sets_of(std::string_view uid) const {
    return store<ReplicaSets>().by_index(sets_by_controller_, uid);
  }
  // HorizontalPodAutoscalers of the namespace that scale such an object.
  const std::vector<std::shared_ptr<const api::Autoscaler>>& autoscalers_of(std::string_view ns,
                                                                            std::string_view group,
                                                                            std::string_view kind,
                                                                            std::string_view name) const;
  // Whoever manages them.
  const std::vector<std::shared_ptr<const api::EndpointSlice>>& slices_of_pool(std::string_view ns,
                                                                               std::string_view pool) const;
  std::vector<std::string> orphan_namespaces() const;
  // Whom pools of a namespace select has changed: the index of its pods is made anew when it is next needed.
  // What one namespace changes does not cost the others.
  void pools_changed(const std::string& ns) { outdated_.insert(ns); }
  // To be called before pods_of_pool() is asked of a namespace.
  void reindex_if_needed(const std::string& ns);
  // A pool publishes under this name now: what was not kept of ConfigMaps of its list is looked up anew.
  void list_named(const std::string& ns, const std::string& config_map);
  // One of those that are outdated. True if there are more.
  bool reindex_one();
  void sweep();

 private:
  // A watch that lives says something about once a minute.
  static constexpr kube::Duration kSilence = std::chrono::minutes(2);

  template <class Kind>
  void emit(std::vector<kube::ReflectorAction> actions, Effects& out);
  template <class Kind>
  void log_problem(Effects& out);
  template <class Kind>
  void tell_unreadable(Effects& out);
  template <class Kind>
  void tell_age();
  void intern(api::Pod& pod);
  void keep_last_labels(api::Pod& pod);
  void drop_documents(api::ConfigMap& map);
  void drop_documents();
  void classify(api::Node& node) const;
  void add_indices(PoolsOf pools_of);
  template <class Kind>
  void start(kube::TimePoint now, Effects& out);
  void start_named(const api::InferencePool& pool, kube::TimePoint now, Effects& out);

  FeedOptions options_;
  ControllerMetrics& metrics_;
  IsList is_list_;
  WatchedKinds::Apply<CacheTable, std::type_identity_t> caches_;
  std::size_t unplaced_bytes_ = 0;  // of documents that came before pools were known
  api::Interner<api::Labels> label_sets_;
  api::Interner<std::string> node_names_;
  api::Interner<std::string> controllers_;
  kube::IndexId pods_by_pool_{};
  kube::IndexId pods_by_controller_{};
  kube::IndexId pods_by_node_{};
  kube::IndexId pods_by_group_{};
  kube::IndexId sets_by_uid_{};
  kube::IndexId stateful_sets_by_uid_{};
  kube::IndexId sets_by_controller_{};
  kube::IndexId autoscalers_by_target_{};
  kube::IndexId slices_by_pool_{};
  bool reindex_pods_ = false;       // all of them
  std::set<std::string> outdated_;  // namespaces
  kube::TimePoint heard_{};         // when the API server last answered anything
};

template <class Kind>
void FeedTable::emit(std::vector<kube::ReflectorAction> actions, Effects& out) {
  for (kube::ReflectorAction& action : actions) {
    if (const auto* restarted = std::get_if<kube::Restarted>(&action)) {
      metrics_.watch_restarted(Kind::name(), kube::to_string(restarted->reason));
      continue;
    }
    out.watches.push_back(WatchWork{WatchedKinds::index<Kind>(), std::move(action)});
  }
}

template <class Kind, class Changed>
bool FeedTable::take(KindInput<Kind> in, kube::TimePoint now, Effects& out, Changed&& changed) {
  auto& informer = caches_.get<Kind>().informer;
  std::vector<kube::Delta<typename Kind::Object>> deltas;
  const bool was_synced = informer.synced();
  const bool was_out_of_reach = out_of_reach<Kind>();
  emit<Kind>(informer.step(std::move(in.input), now, deltas), out);
  if constexpr (std::is_same_v<Kind, Pools>) {
    for (const auto& delta : deltas)
      if (delta.after) start_named(*delta.after, now, out);
  }
  for (const auto& delta : deltas) changed(delta);
  tell_age<Kind>();
  log_problem<Kind>(out);
  tell_unreadable<Kind>(out);
  const bool synced_now = informer.synced() && !was_synced;
  reindex_pods_ |= synced_now;
  if (std::is_same_v<Kind, Pools> && synced_now) {
    unplaced_bytes_ = 0;
    drop_documents();
  }
  return synced_now || was_out_of_reach != out_of_reach<Kind>();
}

template <class Kind, class Changed>
void FeedTable::observe(typename Kind::Object object, kube::TimePoint now, Changed&& changed) {
  std::vector<kube::Delta<typename Kind::Object>> deltas;
  caches_.get<Kind>().informer.observe(std::move(object), now, deltas);
  for (const auto& delta : deltas) changed(delta);
}

template <class Kind>
FeedHealth FeedTable::health() const {
  const auto& informer = caches_.get<Kind>().informer;
  const auto error = informer.last_error();
  return {informer.synced(),
          out_of_reach<Kind>(),
          informer.last_byte(),
          informer.fresh_at(),
          error ? base::printable(error->message) : std::string(),
          caches_.get<Kind>().started};
}

// An alert compares it. What the operator does without would be told for ever.
template <class Kind>
void FeedTable::tell_age() {
  const auto& informer = caches_.get<Kind>().informer;
  // In this order: each event comes here, and health() copies the words of an error.
  const bool does_without = Kind::optional() && health<Kind>().does_without(true);
  metrics_.last_byte(Kind::name(), does_without ? informer.last_byte() : informer.fresh_at());
}

// Each is counted; one that comes again and again is one line.
template <class Kind>
void FeedTable::tell_unreadable(Effects& out) {
  KindCache<Kind>& cache = caches_.get<Kind>();
  const kube::UnreadableTally& all = cache.informer.unreadable();
  if (all.count == 0) return;
  metrics_.unreadable(Kind::name(), all.count);
  if (all.problem == cache.logged_unreadable) return;
  cache.logged_unreadable = all.problem;
  out.logs.push_back({telemetry::Level::kWarn,
                      "an object cannot be read: its last state stays in force",
                      {{"resource", std::string(Kind::name())}, {"problem", all.problem}}});
}

// Once when it begins or changes, once when it is over: a server that is away for an hour is one line.
template <class Kind>
void FeedTable::log_problem(Effects& out) {
  KindCache<Kind>& cache = caches_.get<Kind>();
  const auto error = cache.informer.last_error();
  if ((error ? std::string_view(error->message) : std::string_view()) == cache.logged) return;
  cache.logged = error ? error->message : std::string();
  const std::string resource(Kind::name());
  if (!error) {
    out.logs.push_back({telemetry::Level::kInfo, "reads " + resource + " again", {}});
    return;
  }
  std::vector<std::pair<std::string, std::string>> fields = {{"error", error->message}};
  if (std::is_same_v<Kind, Pools> && error->is_not_found())
    fields.emplace_back("fix", "kubectl apply -f crds/poolwarden.io_inferencepools.yaml");
  if (std::is_same_v<Kind, StatefulSets>)
    fields.emplace_back("meanwhile", "pools of StatefulSets are not scaled, and the gate holds their pods");
  if (!Kind::always())
    fields.emplace_back("meanwhile", "pools that name one in spec.scaleTargetRef are not scaled");
  if (std::is_same_v<Kind, EndpointSlices>)
    fields.emplace_back("meanwhile", "Services keep their selector, whatever spec.publish asks for");
  if (std::is_same_v<Kind, ConsumerLeases>)
    fields.emplace_back("meanwhile", "drains wait for settleSeconds, as if no consumer confirmed");
  out.logs.push_back({telemetry::Level::kWarn, "cannot read " + resource + ": the last state stays in force",
                      std::move(fields)});
}

}  // namespace poolwarden::control
