// Every metric Poolwarden exposes, as typed methods: names, labels, buckets and help texts live here alone.
//
// Series whose labels are known are there at 0 from the start. So a rate() sees the first increment, and an
// alert can tell "none" from "not measured". Series of a pool go when the pool goes.
//
// Owned by main and handed down by reference. Every method may be called from any thread, and none blocks on
// I/O. collectable() is what a HealthServer serves.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace prometheus {
class Collectable;
class Counter;
class Gauge;
class Histogram;
}  // namespace prometheus

namespace poolwarden::telemetry {

using Seconds = std::chrono::duration<double>;

struct BuildInfo {
  std::string_view version;
  std::string_view commit;
  std::string_view compiler;
};

// One work queue's series, under client-go's names with label name=<queue>. A handle: cheap to copy, valid as
// long as the Metrics it came from.
struct RunningWork;  // when the work in hand began
class QueueSeries {
 public:
  void set_depth(std::size_t keys);
  void added();
  void retried();
  void waited(Seconds in_queue);
  void worked(Seconds on_key);
  // Work on a key begins, and worked() ends it: what is between them is told at each scrape.
  void started();

 private:
  friend class Metrics;
  prometheus::Gauge* depth_ = nullptr;
  prometheus::Counter* adds_ = nullptr;
  prometheus::Counter* retries_ = nullptr;
  prometheus::Histogram* queue_seconds_ = nullptr;
  prometheus::Histogram* work_seconds_ = nullptr;
  RunningWork* running_ = nullptr;
};

class Metrics {
 public:
  using Clock = std::function<std::chrono::steady_clock::time_point()>;

  explicit Metrics(const BuildInfo& build, Clock clock = &std::chrono::steady_clock::now);
  ~Metrics();
  Metrics(const Metrics&) = delete;
  Metrics& operator=(const Metrics&) = delete;

  // Watch event decoded -> ConfigMap write acknowledged.
  void observe_withdrawal(Seconds latency);
  // One of those, by a replica that does not lead.
  void count_standby_withdrawal();

  // States are "ready", "draining" and "withdrawn".
  void set_endpoints(std::string_view ns, std::string_view pool, std::size_t ready, std::size_t draining,
                     std::size_t withdrawn);
  // No series while it is not known how many are wanted.
  void set_wanted_replicas(std::string_view ns, std::string_view pool, std::optional<std::int32_t> replicas);

  // One drain that ended: "completed", "timed_out", "cancelled" or "lost".
  void observe_drain(std::string_view result, Seconds took);
  // How long the pool's oldest drain has been under way; 0 without one.
  void set_oldest_drain(std::string_view ns, std::string_view pool, Seconds age);
  // Consumers that confirm, and by how many revisions the slowest is behind. No series where there is none.
  void set_consumers(std::string_view ns, std::string_view pool, std::size_t live, std::size_t silent,
                     std::int64_t behind);
  // From the answered write of a list to a consumer's confirmation.
  void observe_confirmation(std::string_view ns, std::string_view pool, Seconds took);
  // Takes away all series of the pool.
  void remove_pool(std::string_view ns, std::string_view pool);
  // "present", "missing", "edited" or "unknown".
  void set_drain_gate(std::string_view state);

  // Resource is a plural ("pods"). The age is computed at each scrape; nothing is shown before the first
  // byte.
  void set_last_byte(std::string_view resource, std::chrono::steady_clock::time_point when);
  // Makes the resource's restart counters at 0, one for each reason.
  void declare_watch(std::string_view resource, std::initializer_list<std::string_view> reasons);
  void watch_restarted(std::string_view resource, std::string_view reason);

  // Kind is what was written ("ConfigMap"); result is "success" or the class of the error ("conflict").
  void declare_write(std::string_view kind, std::initializer_list<std::string_view> results);
  void wrote(std::string_view kind, std::string_view result);

  // One call to the API server, watches excepted: verb as in kube ("merge-patch"), result as for wrote().
  void observe_api_call(std::string_view verb, std::string_view result, Seconds latency);

  QueueSeries queue(std::string_view name);

  void set_leader(bool leading);
  // The loop: how long an input waited before its step, and how many wait now.
  void observe_loop_lag(Seconds lag);
  // Read at each scrape, for poolwarden_loop_inputs; must be callable from any thread.
  void count_loop_inputs(std::function<std::size_t()> waiting);
  // Read at each scrape, for poolwarden_log_lines_dropped_total; must be callable from any thread.
  void count_dropped_logs(std::function<std::uint64_t()> dropped);
  // How many objects of a declared resource came and could not be read since the start.
  void set_unreadable(std::string_view resource, std::uint64_t total);
  // How many Events were dropped since the start: "full" (too many at once), "limited" (too many for one
  // object) or "failed" (refused, or tried too often). One thread's to call.
  void set_dropped_events(std::string_view reason, std::uint64_t total);

  std::shared_ptr<prometheus::Collectable> collectable() const;

 private:
  struct Impl;
  static void remove_consumers(Impl& impl, const std::pair<std::string, std::string>& key);
  std::shared_ptr<Impl> impl_;
};

}  // namespace poolwarden::telemetry
