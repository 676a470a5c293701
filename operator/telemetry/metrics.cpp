#include "telemetry/metrics.h"

#include "telemetry/process_metrics.h"
#include "telemetry/watch_families.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <deque>
#include <map>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include <prometheus/collectable.h>
#include <prometheus/counter.h>
#include <prometheus/family.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>

namespace poolwarden::telemetry {
namespace {

using prometheus::Counter;
using prometheus::Family;
using prometheus::Gauge;
using prometheus::Histogram;
using Buckets = Histogram::BucketBoundaries;

const Buckets& latency_buckets() {
  static const Buckets kBuckets{0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05,
                                0.1,    0.25,  0.5,    1,     2.5,  5,     10};
  return kBuckets;
}

// Generations take seconds to minutes; spec.drain.timeoutSeconds is 300 by default.
const Buckets& drain_buckets() {
  static const Buckets kBuckets{1, 2.5, 5, 10, 20, 40, 60, 120, 300, 600, 1800, 3600};
  return kBuckets;
}

// A gateway applies a list within milliseconds; one that reads a file takes a minute.
const Buckets& confirmation_buckets() {
  static const Buckets kBuckets{0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120};
  return kBuckets;
}

constexpr std::array kDrainResults = {"completed", "timed_out", "cancelled", "lost"};
constexpr std::array kEventDropReasons = {"full", "limited", "failed"};
constexpr std::array kGateStates = {"present", "missing", "edited", "unknown"};

// client-go: prometheus.ExponentialBuckets(10e-9, 10, 12)
// https://github.com/kubernetes/component-base/blob/master/metrics/prometheus/workqueue/metrics.go
const Buckets& work_queue_buckets() {
  static const Buckets kBuckets{1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1, 10, 100, 1000};
  return kBuckets;
}

Family<Gauge>& gauges(prometheus::Registry& registry, const char* name, const char* help) {
  return prometheus::BuildGauge().Name(name).Help(help).Register(registry);
}
Family<Counter>& counters(prometheus::Registry& registry, const char* name, const char* help) {
  return prometheus::BuildCounter().Name(name).Help(help).Register(registry);
}
Family<Histogram>& histograms(prometheus::Registry& registry, const char* name, const char* help) {
  return prometheus::BuildHistogram().Name(name).Help(help).Register(registry);
}

// Counters count up only: brings one to a total that is kept elsewhere.
void raise_to(Counter& counter, double total) {
  counter.Increment(std::max(0.0, total - counter.Value()));
}

using PoolKey = std::pair<std::string, std::string>;
using GaugeOfPool = std::map<PoolKey, Gauge*>;

void set(GaugeOfPool& pools, Family<Gauge>& family, std::string_view ns, std::string_view pool, double value,
         prometheus::Labels more = {}) {
  auto [entry, is_new] = pools.try_emplace({std::string(ns), std::string(pool)});
  if (is_new) {
    more.insert({{"namespace", std::string(ns)}, {"pool", std::string(pool)}});
    entry->second = &family.Add(more);
  }
  entry->second->Set(value);
}

void remove(GaugeOfPool& pools, Family<Gauge>& family, const PoolKey& key) {
  if (const auto gone = pools.extract(key)) family.Remove(gone.mapped());
}

struct ProcessSeries {
  explicit ProcessSeries(prometheus::Registry& r)
      : cpu(counters(r, "process_cpu_seconds_total", "User and system CPU time spent.").Add({})),
        resident(gauges(r, "process_resident_memory_bytes", "Resident memory.").Add({})),
        virtual_memory(gauges(r, "process_virtual_memory_bytes", "Virtual memory.").Add({})),
        start(gauges(r, "process_start_time_seconds", "Start of the process, since the epoch.").Add({})),
        threads(gauges(r, "process_threads", "Threads of the process.").Add({})),
        open_fds(gauges(r, "process_open_fds", "Open file descriptors.").Add({})),
        max_fds(gauges(r, "process_max_fds", "Most file descriptors the process may open.").Add({})) {}

  void refresh() {
    const auto stats = read_process_stats();
    if (!stats) return;
    raise_to(cpu, stats->cpu_seconds);
    resident.Set(static_cast<double>(stats->resident_bytes));
    virtual_memory.Set(static_cast<double>(stats->virtual_bytes));
    start.Set(stats->start_time_seconds);
    threads.Set(static_cast<double>(stats->threads));
    open_fds.Set(static_cast<double>(stats->open_fds));
    max_fds.Set(static_cast<double>(stats->max_fds));
  }

  Counter& cpu;
  Gauge& resident;
  Gauge& virtual_memory;
  Gauge& start;
  Gauge& threads;
  Gauge& open_fds;
  Gauge& max_fds;
};

struct QueueFamilies {
  explicit QueueFamilies(prometheus::Registry& r)
      : depth(gauges(r, "workqueue_depth", "Keys waiting in the work queue.")),
        adds(counters(r, "workqueue_adds_total", "Keys added to the work queue.")),
        retries(counters(r, "workqueue_retries_total", "Keys added again after a failure.")),
        queue_seconds(histograms(r, "workqueue_queue_duration_seconds",
                                 "How long a key waits before it is worked on.")),
        work_seconds(histograms(r, "workqueue_work_duration_seconds", "How long working on a key takes.")),
        unfinished(gauges(r, "workqueue_unfinished_work_seconds",
                          "Seconds of work in progress that work_duration has not seen yet.")),
        longest(gauges(r, "workqueue_longest_running_processor_seconds",
                       "How long the longest running work has been running.")) {}

  Family<Gauge>& depth;
  Family<Counter>& adds;
  Family<Counter>& retries;
  Family<Histogram>& queue_seconds;
  Family<Histogram>& work_seconds;
  Family<Gauge>& unfinished;
  Family<Gauge>& longest;
};

}  // namespace

// A queue's one worker sets it, a scrape reads it.
struct RunningWork {
  prometheus::Gauge* unfinished = nullptr;
  prometheus::Gauge* longest = nullptr;
  Metrics::Clock clock;
  // Ticks of the clock when the work in hand began; 0: none is.
  std::atomic<std::chrono::steady_clock::rep> since{0};

  void refresh(std::chrono::steady_clock::time_point now) const {
    const auto began = since.load();
    const std::chrono::steady_clock::time_point then{std::chrono::steady_clock::duration{began}};
    const double seconds = began == 0 ? 0 : std::max(Seconds(now - then), Seconds(0)).count();
    unfinished->Set(seconds);
    longest->Set(seconds);
  }
};

void QueueSeries::set_depth(std::size_t keys) {
  depth_->Set(static_cast<double>(keys));
}
void QueueSeries::added() {
  adds_->Increment();
}
void QueueSeries::retried() {
  retries_->Increment();
}
void QueueSeries::waited(Seconds in_queue) {
  queue_seconds_->Observe(in_queue.count());
}
void QueueSeries::started() {
  running_->since = running_->clock().time_since_epoch().count();
}
void QueueSeries::worked(Seconds on_key) {
  running_->since = 0;
  work_seconds_->Observe(on_key.count());
}

// Is itself the collectable, so that what is computed at a scrape lives as long as the server may ask for it.
struct Metrics::Impl final : prometheus::Collectable {
  explicit Impl(Clock c) : clock(std::move(c)) {}

  std::vector<prometheus::MetricFamily> Collect() const override {
    const std::lock_guard lock(mutex);
    const auto now = clock();
    for (const auto& [resource, when] : last_bytes) {
      const Seconds age = std::max<std::chrono::steady_clock::duration>(now - when, {});
      watches.last_byte_age.Add({{"resource", resource}}).Set(age.count());
    }
    for (const RunningWork& work : running) work.refresh(now);
    if (loop_inputs) loop_depth.Set(static_cast<double>(loop_inputs()));
    if (dropped_logs) raise_to(log_drops, static_cast<double>(dropped_logs()));
    process.refresh();
    return registry->Collect();
  }

  std::shared_ptr<prometheus::Registry> registry = std::make_shared<prometheus::Registry>();
  prometheus::Registry& r = *registry;
  Clock clock;

  Histogram& withdrawal =
      histograms(
          r, "poolwarden_withdrawal_seconds",
          "From the decoded watch event that took an endpoint away to the acknowledged write of the list.")
          .Add({}, latency_buckets());
  Counter& standby_withdrawals =
      counters(r, "poolwarden_standby_withdrawals_total",
               "Endpoints that this process took off a list while another should have led.")
          .Add({});
  Family<Gauge>& endpoints =
      gauges(r, "poolwarden_endpoints", "Pods of a pool by what the published list says of them.");
  Family<Gauge>& wanted_replicas = gauges(r, "poolwarden_wanted_replicas",
                                          "Replicas that a pool or its target asks for, the more of them.");
  Histogram& drains = histograms(r, "poolwarden_drain_seconds",
                                 "From a pod's withdrawal to the end of its drain, however it ended.")
                          .Add({}, drain_buckets());
  Family<Counter>& drain_results =
      counters(r, "poolwarden_drains_total", "Drains that ended, by how they did.");
  Family<Gauge>& oldest_drain =
      gauges(r, "poolwarden_drain_oldest_seconds",
             "Age of the oldest drain of a pool that is under way, or whose pod was released and not taken.");
  Family<Gauge>& consumers = gauges(
      r, "poolwarden_consumers", "Consumers of a pool's list that confirm what they hold of it, by state.");
  Family<Gauge>& consumer_lag =
      gauges(r, "poolwarden_consumer_revisions_behind",
             "By how many revisions of the list the slowest live consumer of a pool is behind.");
  Family<Histogram>& confirmations =
      histograms(r, "poolwarden_consumer_confirm_seconds",
                 "From the acknowledged write of a list to a consumer's confirmation of it.");
  Family<Gauge>& gate = gauges(r, "poolwarden_drain_gate",
                               "1 for the state that the gate is in which holds deletes of serving pods.");
  WatchFamilies watches{r};
  Family<Counter>& writes =
      counters(r, "poolwarden_writes_total", "Writes to the API server by kind of object and result.");
  Family<Histogram>& api_calls = histograms(r, "poolwarden_api_request_seconds",
                                            "Calls to the API server, watches excepted, by verb and result.");
  Gauge& leader = gauges(r, "poolwarden_leader", "1 while this process holds the lease and writes.").Add({});
  Histogram& loop_lag = histograms(r, "poolwarden_loop_lag_seconds", "How long an input waited for the loop.")
                            .Add({}, latency_buckets());
  Gauge& loop_depth = gauges(r, "poolwarden_loop_inputs", "Inputs waiting for the loop.").Add({});
  Counter& log_drops =
      counters(r, "poolwarden_log_lines_dropped_total", "Log lines lost because nobody took them.").Add({});
  Family<Counter>& unreadable = counters(r, "poolwarden_unreadable_objects_total",
                                         "Objects that came from the API server and could not be read.");
  Family<Counter>& event_drops =
      counters(r, "poolwarden_events_dropped_total", "Kubernetes Events that were not written, by reason.");
  QueueFamilies queues{r};
  mutable ProcessSeries process{r};

  mutable std::mutex mutex;  // guards what follows
  std::map<std::string, std::chrono::steady_clock::time_point, std::less<>> last_bytes;
  std::map<PoolKey, std::array<Gauge*, 3>> pools;  // ready, draining, withdrawn
  GaugeOfPool wanted;
  GaugeOfPool oldest_drains;
  GaugeOfPool live_consumers;
  GaugeOfPool silent_consumers;
  GaugeOfPool consumer_lags;
  std::map<PoolKey, Histogram*> confirmation_times;
  std::function<std::uint64_t()> dropped_logs;
  std::function<std::size_t()> loop_inputs;
  std::deque<RunningWork> running;  // one a queue
};

Metrics::Metrics(const BuildInfo& build, Clock clock) : impl_(std::make_shared<Impl>(std::move(clock))) {
  gauges(impl_->r, "poolwarden_build_info", "1; the labels say what is running.")
      .Add({{"version", std::string(build.version)},
            {"commit", std::string(build.commit)},
            {"compiler", std::string(build.compiler)}})
      .Set(1);
  for (const char* result : kDrainResults) impl_->drain_results.Add({{"result", result}});
  for (const char* state : kGateStates) impl_->gate.Add({{"state", state}});
  for (const char* reason : kEventDropReasons) impl_->event_drops.Add({{"reason", reason}});
}

Metrics::~Metrics() = default;

void Metrics::observe_withdrawal(Seconds latency) {
  impl_->withdrawal.Observe(latency.count());
}

void Metrics::count_standby_withdrawal() {
  impl_->standby_withdrawals.Increment();
}

void Metrics::set_endpoints(std::string_view ns, std::string_view pool, std::size_t ready,
                            std::size_t draining, std::size_t withdrawn) {
  const std::lock_guard lock(impl_->mutex);
  auto [entry, is_new] = impl_->pools.try_emplace({std::string(ns), std::string(pool)});
  auto& series = entry->second;
  if (is_new) {
    const auto add = [&](const char* state) {
      return &impl_->endpoints.Add(
          {{"namespace", std::string(ns)}, {"pool", std::string(pool)}, {"state", state}});
    };
    series = {add("ready"), add("draining"), add("withdrawn")};
  }
  series[0]->Set(static_cast<double>(ready));
  series[1]->Set(static_cast<double>(draining));
  series[2]->Set(static_cast<double>(withdrawn));
}

void Metrics::set_wanted_replicas(std::string_view ns, std::string_view pool,
                                  std::optional<std::int32_t> replicas) {
  const std::lock_guard lock(impl_->mutex);
  if (replicas) {
    set(impl_->wanted, impl_->wanted_replicas, ns, pool, *replicas);
  } else {
    remove(impl_->wanted, impl_->wanted_replicas, {std::string(ns), std::string(pool)});
  }
}

// For all of its series; the caller has the lock.
void Metrics::remove_consumers(Impl& impl, const std::pair<std::string, std::string>& key) {
  remove(impl.live_consumers, impl.consumers, key);
  remove(impl.silent_consumers, impl.consumers, key);
  remove(impl.consumer_lags, impl.consumer_lag, key);
  if (const auto gone = impl.confirmation_times.extract(key)) impl.confirmations.Remove(gone.mapped());
}

void Metrics::remove_pool(std::string_view ns, std::string_view pool) {
  const std::lock_guard lock(impl_->mutex);
  const PoolKey key{ns, pool};
  if (const auto gone = impl_->pools.extract(key)) {
    for (Gauge* gauge : gone.mapped()) impl_->endpoints.Remove(gauge);
  }
  remove(impl_->wanted, impl_->wanted_replicas, key);
  remove(impl_->oldest_drains, impl_->oldest_drain, key);
  remove_consumers(*impl_, key);
}

void Metrics::set_consumers(std::string_view ns, std::string_view pool, std::size_t live, std::size_t silent,
                            std::int64_t behind) {
  const std::lock_guard lock(impl_->mutex);
  if (live + silent == 0) return remove_consumers(*impl_, {std::string(ns), std::string(pool)});
  set(impl_->live_consumers, impl_->consumers, ns, pool, static_cast<double>(live), {{"state", "live"}});
  set(impl_->silent_consumers, impl_->consumers, ns, pool, static_cast<double>(silent),
      {{"state", "silent"}});
  set(impl_->consumer_lags, impl_->consumer_lag, ns, pool, static_cast<double>(behind));
}

void Metrics::observe_confirmation(std::string_view ns, std::string_view pool, Seconds took) {
  const std::lock_guard lock(impl_->mutex);
  auto [entry, is_new] = impl_->confirmation_times.try_emplace({std::string(ns), std::string(pool)});
  if (is_new) {
    entry->second = &impl_->confirmations.Add({{"namespace", std::string(ns)}, {"pool", std::string(pool)}},
                                              confirmation_buckets());
  }
  entry->second->Observe(took.count());
}

void Metrics::observe_drain(std::string_view result, Seconds took) {
  impl_->drains.Observe(took.count());
  impl_->drain_results.Add({{"result", std::string(result)}}).Increment();
}

void Metrics::set_oldest_drain(std::string_view ns, std::string_view pool, Seconds age) {
  const std::lock_guard lock(impl_->mutex);
  set(impl_->oldest_drains, impl_->oldest_drain, ns, pool, age.count());
}

void Metrics::set_drain_gate(std::string_view state) {
  for (const char* one : kGateStates) impl_->gate.Add({{"state", one}}).Set(state == one ? 1 : 0);
}

void Metrics::set_last_byte(std::string_view resource, std::chrono::steady_clock::time_point when) {
  const std::lock_guard lock(impl_->mutex);
  impl_->last_bytes.insert_or_assign(std::string(resource), when);
}

void Metrics::declare_watch(std::string_view resource, std::initializer_list<std::string_view> reasons) {
  for (const std::string_view reason : reasons) {
    impl_->watches.restarts.Add({{"resource", std::string(resource)}, {"reason", std::string(reason)}});
  }
  impl_->unreadable.Add({{"resource", std::string(resource)}});
}

void Metrics::set_unreadable(std::string_view resource, std::uint64_t total) {
  raise_to(impl_->unreadable.Add({{"resource", std::string(resource)}}), static_cast<double>(total));
}

void Metrics::watch_restarted(std::string_view resource, std::string_view reason) {
  impl_->watches.restarts.Add({{"resource", std::string(resource)}, {"reason", std::string(reason)}})
      .Increment();
}

void Metrics::declare_write(std::string_view kind, std::initializer_list<std::string_view> results) {
  for (const std::string_view result : results) {
    impl_->writes.Add({{"kind", std::string(kind)}, {"result", std::string(result)}});
  }
}

void Metrics::wrote(std::string_view kind, std::string_view result) {
  impl_->writes.Add({{"kind", std::string(kind)}, {"result", std::string(result)}}).Increment();
}

void Metrics::observe_api_call(std::string_view verb, std::string_view result, Seconds latency) {
  impl_->api_calls.Add({{"verb", std::string(verb)}, {"result", std::string(result)}}, latency_buckets())
      .Observe(latency.count());
}

QueueSeries Metrics::queue(std::string_view name) {
  const prometheus::Labels labels{{"name", std::string(name)}};
  QueueFamilies& families = impl_->queues;
  QueueSeries series;
  series.depth_ = &families.depth.Add(labels);
  series.adds_ = &families.adds.Add(labels);
  series.retries_ = &families.retries.Add(labels);
  series.queue_seconds_ = &families.queue_seconds.Add(labels, work_queue_buckets());
  series.work_seconds_ = &families.work_seconds.Add(labels, work_queue_buckets());
  const std::lock_guard lock(impl_->mutex);
  RunningWork& running = impl_->running.emplace_back();
  running.unfinished = &families.unfinished.Add(labels);
  running.longest = &families.longest.Add(labels);
  running.clock = impl_->clock;
  series.running_ = &running;
  return series;
}

void Metrics::set_leader(bool leading) {
  impl_->leader.Set(leading ? 1 : 0);
}
void Metrics::observe_loop_lag(Seconds lag) {
  impl_->loop_lag.Observe(lag.count());
}
void Metrics::count_loop_inputs(std::function<std::size_t()> waiting) {
  const std::lock_guard lock(impl_->mutex);
  impl_->loop_inputs = std::move(waiting);
}

void Metrics::count_dropped_logs(std::function<std::uint64_t()> dropped) {
  const std::lock_guard lock(impl_->mutex);
  impl_->dropped_logs = std::move(dropped);
}

void Metrics::set_dropped_events(std::string_view reason, std::uint64_t total) {
  raise_to(impl_->event_drops.Add({{"reason", std::string(reason)}}), static_cast<double>(total));
}

std::shared_ptr<prometheus::Collectable> Metrics::collectable() const {
  return impl_;
}

}  // namespace poolwarden::telemetry
