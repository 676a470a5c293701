// The parts of the operator below OperatorCore, wired as OperatorCore wires them, over caches that a test
// fills. Nothing runs by itself: a test tells what the API server says, and looks at what follows.
#pragma once

#include "api/names.h"
#include "control/change_router.h"
#include "control/controller_metrics.h"
#include "control/effects.h"
#include "control/engine_loads.h"
#include "control/feed_table.h"
#include "control/pool_events.h"
#include "control/pool_table.h"
#include "control/reconciler.h"
#include "control/snapshot_builder.h"
#include "control/write_dispatcher.h"
#include "control/write_outcomes.h"
#include "kube/random.h"
#include "pool/pod_labels.h"

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace poolwarden::control {

// What the parts tell as they work.
struct NotedMetrics final : ControllerMetrics {
  void retried() override { ++retries; }
  void withdrawal(kube::Duration latency) override { withdrawals.push_back(latency); }
  void standby_withdrawal() override { ++standby_withdrawals; }
  void drained(std::string_view result, kube::Duration) override { drains.emplace_back(result); }
  void pool_gone(std::string_view, std::string_view pool) override { gone.emplace_back(pool); }
  void leading(bool yes) override { leads = yes; }
  void consumers(std::string_view, std::string_view pool, std::optional<ConsumerCounts> counts) override {
    consumers_of[std::string(pool)] = counts;
  }
  void consumer_confirmed(std::string_view, std::string_view, kube::Duration took) override {
    confirmations.push_back(took);
  }
  // Told in each pass over a pool.
  void endpoints(std::string_view, std::string_view pool, EndpointCounts) override {
    passes.emplace_back(pool);
    if (on_pass) on_pass();
  }

  int retries = 0;
  int standby_withdrawals = 0;
  std::vector<kube::Duration> withdrawals;
  std::vector<std::string> drains, gone, passes;
  std::vector<kube::Duration> confirmations;
  std::map<std::string, std::optional<ConsumerCounts>> consumers_of;  // by pool
  std::function<void()> on_pass;
  std::optional<bool> leads;
};

// A pool with a selector of its own, which publishes port 8000.
inline api::InferencePool made_pool(const std::string& name, const std::string& app) {
  api::InferencePool pool;
  pool.ns = "default";
  pool.name = name;
  pool.uid = name + "-uid";
  pool.generation = 1;
  if (!app.empty()) pool.selector = api::LabelSelector{{{"app", app}}, {}};
  pool.target_ports = {{.number = 8000, .name = ""}};
  pool.publish = {.config_map_name = name + "-endpoints", .service_name = name, .create_service = true};
  return pool;
}

// A ready pod on node-1.
inline api::Pod made_pod(const std::string& name, const std::string& app) {
  api::Pod pod;
  pod.ns = "default";
  pod.name = name;
  pod.uid = name + "-uid";
  pod.labels = std::make_shared<const api::Labels>(api::LabelMap{{"app", app}});
  pod.node = std::make_shared<const std::string>("node-1");
  pod.controller = std::make_shared<const std::string>();
  pod.ip = "10.0.0.1";
  pod.phase = api::PodPhase::kRunning;
  pod.ready = pod.containers_ready = api::Tristate::kTrue;
  pod.has_readiness_probe = true;
  return pod;
}

inline api::Pod unready(api::Pod pod) {
  pod.ready = pod.containers_ready = api::Tristate::kFalse;
  return pod;
}

inline api::Pod labelled(api::Pod pod, std::string serving) {
  pod.serving = std::move(serving);
  return pod;
}

inline api::Pod drain_requested(api::Pod pod) {
  api::DrainAnnotations annotations;
  annotations.request = "true";
  pod.annotations = std::make_shared<const api::DrainAnnotations>(std::move(annotations));
  return pod;
}

inline api::Pod draining(api::Pod pod) {
  api::DrainAnnotations annotations;
  annotations.started = "2023-11-14T22:00:00Z";
  annotations.reason = "ScaleDown";
  pod.serving = std::string(api::serving::kDraining);
  pod.annotations = std::make_shared<const api::DrainAnnotations>(std::move(annotations));
  return pod;
}

inline api::Node made_node(const std::string& name) {
  api::Node node;
  node.name = node.uid = name;
  return node;
}

// A ConfigMap as the operator writes it.
// `shard` of `shards` of them.
inline api::ConfigMap made_list(const api::InferencePool& pool, const std::vector<std::string>& pods,
                                std::int64_t revision = 5, std::int32_t shard = 1, std::int32_t shards = 1) {
  api::EndpointSet set{.ns = pool.ns,
                       .pool = pool.name,
                       .revision = revision,
                       .endpoints = {},
                       .shard = shard,
                       .shards = shards};
  for (const std::string& pod : pods) {
    set.endpoints.push_back({.pod = pod,
                             .uid = pod + "-uid",
                             .ip = "10.0.0.1",
                             .ports = pool.target_ports,
                             .node = "node-1",
                             .zone = "",
                             .state = api::EndpointState::kReady});
  }
  api::sort_canonically(set);
  api::ConfigMap map;
  map.ns = pool.ns;
  map.name = api::shard_name(pool.publish.config_map_name, shard);
  map.uid = map.name + "-uid";
  map.labels = {{std::string(api::kPoolLabel), pool.name},
                {std::string(api::kManagedByLabel), std::string(api::kManagedByValue)}};
  if (shard > 1) map.labels.emplace(api::kShardLabel, std::to_string(shard));
  map.owners = {{.api_version = std::string(api::kApiVersion),
                 .kind = std::string(api::kPoolKind),
                 .name = pool.name,
                 .uid = pool.uid,
                 .controller = true}};
  map.revision = std::to_string(revision);
  map.endpoints_json = api::to_canonical_json(set);
  map.endpoints_text = api::to_text(set);
  return map;
}

// The list that another made from pods that are yet to be heard of.
inline api::ConfigMap of_newer_pods(api::ConfigMap list) {
  list.pods_version = "100000";
  return list;
}

// Of a consumer that confirms these revisions.
inline api::ConsumerLease made_lease(const std::string& name, const std::string& pool,
                                     std::vector<std::int64_t> applied) {
  api::ConsumerLease lease;
  lease.ns = "default";
  lease.name = name;
  lease.uid = name + "-uid";
  lease.pool = pool;
  lease.kind = "haproxy";
  lease.holder = name;
  lease.applied = std::move(applied);
  return lease;
}

inline kube::Error made_error(kube::ErrorClass cls, int status, std::string reason, std::string message) {
  return {cls, status, std::move(reason), std::move(message), std::nullopt};
}

class Parts {
 public:
  static constexpr kube::TimePoint kStart{std::chrono::seconds(100'000)};

  explicit Parts(DrainGate gate = DrainGate::kOff)
      : feeds(
            {.reflector = {},
             .drain_taints = {"drain"},
             .withdraw_taints = {"gone"},
             .max_drain_timeout = std::chrono::minutes(10)},
            kube::seeded_random(1), metrics,
            [this](const api::Pod& pod, std::vector<std::string>& keys) {
              const auto& pools = table.matching(pod);
              for (const PoolRecord* record : pools) keys.push_back(record->key.to_string());
              if (pools.empty() && pool::is_marked(pod) && !pod.deletion_timestamp)
                keys.push_back(pod.serving == api::serving::kMember ? std::string(kMemberIndex)
                                                                    : orphan_index(pod.ns));
            },
            [this](const std::string& ns, const std::string& name) { return table.publishes(ns, name); }),
        router(feeds, table, writes, queue, metrics),
        snapshots(gate, {}, feeds, table, loads, writes, router),
        reconciler(feeds, table, snapshots, loads, writes, queue, metrics, kube::seeded_random(2),
                   std::chrono::minutes(10)),
        outcomes(feeds, table, router, writes, events, metrics) {
    router.set_acting(true);
    feeds.start(now.mono, out);
  }

  // The first list of a kind: those, and no others.
  template <class Kind>
  void list(std::vector<typename Kind::Object> items) {
    using Arrival = kube::InformerInput<typename Kind::Object>;
    kube::ListPage<typename Kind::Object> page;
    for (auto& item : items) item.resource_version = next_version();
    page.items = std::move(items);
    page.resource_version = next_version();
    take<Kind>(typename Arrival::ListArrived{std::move(page)});
  }
  // Of each kind that is not listed yet: there is none. Nothing is marked after it.
  void list_the_rest() {
    WatchedKinds::for_each([this]<class Kind>() {
      if (!feeds.synced<Kind>() && !feeds.out_of_reach<Kind>()) list<Kind>({});
    });
    marked();
  }
  // The watch tells that an object is there, or has changed. Its version, if it has none.
  template <class Kind>
  void see(typename Kind::Object object) {
    using Arrival = kube::InformerInput<typename Kind::Object>;
    if (object.resource_version.empty()) object.resource_version = next_version();
    typename Arrival::WatchArrived arrived;
    const std::string version = object.resource_version;
    arrived.events.push_back({kube::WatchEventType::kModified, std::move(object), version});
    take<Kind>(std::move(arrived));
  }
  template <class Kind>
  void lose(const std::string& name) {
    using Arrival = kube::InformerInput<typename Kind::Object>;
    auto object = feeds.store<Kind>().find({Kind::type().namespaced ? "default" : "", name});
    ASSERT_TRUE(object) << name;
    typename Arrival::WatchArrived arrived;
    arrived.events.push_back({kube::WatchEventType::kDeleted, *object, next_version()});
    take<Kind>(std::move(arrived));
  }
  // Its watch is open.
  template <class Kind>
  void open() {
    take<Kind>(typename kube::InformerInput<typename Kind::Object>::WatchOpened{});
  }
  // It may not be read, or not any more.
  template <class Kind>
  void forbid() {
    using Arrival = kube::InformerInput<typename Kind::Object>;
    kube::Error error = made_error(kube::ErrorClass::kForbidden, 403, "Forbidden",
                                   fmt::format("needs verbs list and watch on {}", Kind::name()));
    if (feeds.synced<Kind>()) return take<Kind>(typename Arrival::WatchEnded{std::move(error)});
    take<Kind>(typename Arrival::ListFailed{std::move(error)});
  }

  void pass_time(std::chrono::milliseconds time) {
    now.mono += time;
    now.wall += time;
  }
  std::string next_version() { return std::to_string(++version_); }

  PoolRecord& record(const std::string& pool) { return *table.find({"default", pool}); }
  std::shared_ptr<const api::InferencePool> pool(const std::string& name) const {
    return feeds.store<Pools>().find({"default", name});
  }
  // The pools to look at, in the order in which they would be; none of them after it.
  std::vector<std::string> marked() {
    std::vector<std::string> names;
    while (const auto key = queue.get(now.mono)) {
      names.push_back(key->name);
      queue.done(*key, now.mono);
    }
    return names;
  }

  // What was sent, as "merge-patch pods a", with what else may be in the name of the object.
  std::vector<std::string> sent() const {
    std::vector<std::string> calls;
    for (const Send& send : out.sends) {
      const kube::Call& call = send.call;
      calls.push_back(fmt::format("{} {}{}{}{}{}", kube::to_string(call.verb), call.type.plural,
                                  call.name.empty() ? "" : " ", call.name,
                                  call.subresource.empty() ? "" : "/", call.subresource));
    }
    return calls;
  }
  std::vector<std::string> logged() const {
    std::vector<std::string> lines;
    for (const LogLine& line : out.logs) lines.push_back(line.message);
    return lines;
  }
  // Answers what was sent as the n-th, as OperatorCore does.
  void answer(std::size_t n, kube::Result<Answer> what) {
    CallAnswered in{out.sends.at(n).id, std::move(what)};
    auto answered = writes.answered(in, now.mono);
    ASSERT_TRUE(answered) << "it was answered before";
    outcomes.take(std::move(*answered), std::move(in.answer), now, out);
  }
  void refuse(std::size_t n, kube::Error error) { answer(n, tl::unexpected(std::move(error))); }

  // The notes of the Events that are told, each with the kind and name of what it is about.
  std::vector<std::string> told();

  api::Now now{kStart, api::Timestamp{std::chrono::seconds(1'700'000'000)}};
  NotedMetrics metrics;
  PoolTable table;
  FeedTable feeds;
  PoolQueue queue;
  WriteDispatcher writes;
  ChangeRouter router;
  EngineLoads loads{4};
  SnapshotBuilder snapshots;
  Reconciler reconciler;
  PoolEvents events{"operator-0"};
  WriteOutcomes outcomes;
  Effects out;

 private:
  template <class Kind, class What>
  void take(What what) {
    KindInput<Kind> in{{attempt<Kind>(), now.mono, std::move(what)}};
    const bool look_at_all =
        feeds.take(std::move(in), now.mono, out, [this](const auto& delta) { router.changed(delta, now); });
    if (look_at_all) router.mark_all(now);
    feeds.reindex_if_needed("default");
  }
  template <class Kind>
  std::uint64_t attempt() const {
    for (auto work = out.watches.rbegin(); work != out.watches.rend(); ++work) {
      if (work->kind != WatchedKinds::index<Kind>()) continue;
      if (const auto* list = std::get_if<kube::StartList>(&work->action)) return list->attempt;
      if (const auto* watch = std::get_if<kube::StartWatch>(&work->action)) return watch->attempt;
    }
    return 0;
  }

  int version_ = 100;
};

// Posts the Events that wait, one after the other, and says them.
std::vector<std::string> post_all(PoolEvents& events, WriteDispatcher& writes, api::Now now);

inline std::vector<std::string> Parts::told() {
  return post_all(events, writes, now);
}

}  // namespace poolwarden::control
