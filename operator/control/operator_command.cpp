#include "control/operator_command.h"

#include "base/host.h"
#include "control/loop.h"
#include "control/operator_core.h"
#include "control/prometheus_controller_metrics.h"
#include "control/shell.h"
#include "control/sight_board.h"
#include "control/uninstall_delay_webhook.h"
#include "engine/load_reader.h"
#include "kube/cpprest_transport.h"
#include "kube/kubeconfig.h"
#include "kube/process_identity.h"
#include "telemetry/build_info.h"
#include "telemetry/metrics.h"
#include "telemetry/stop_signals.h"

#include <chrono>
#include <malloc.h>
#include <memory>
#include <optional>
#include <random>
#include <unistd.h>
#include <utility>

#include <fmt/format.h>

namespace poolwarden::control {
namespace {

using std::chrono::seconds;

constexpr kube::Duration kStuck = seconds(60);
// Of 16 connections: one for the Lease, four for lists, three for what drains wait for and pages of lists.
// The rest has eight.
constexpr kube::ReservedConnections kReserved{1, 4, 3, 0};

std::string host_name() {
  std::string name = base::host_name();
  return name.empty() ? "unknown" : name;
}

double age_seconds(kube::TimePoint then, kube::TimePoint now) {
  return std::chrono::duration<double>(now - then).count();
}

std::optional<std::string> loop_problem(const Loop& loop) {
  const auto health = loop.health();
  const auto now = std::chrono::steady_clock::now();
  if (!health || now - health->at < kStuck) return std::nullopt;
  return fmt::format("the loop has not turned for {:.0f} s", age_seconds(health->at, now));
}

std::optional<std::string> stale_watches(const Loop& loop) {
  const auto health = loop.health();
  if (!health) return std::nullopt;
  const auto now = std::chrono::steady_clock::now();
  for (std::size_t i = 0; i < WatchedKinds::kSize; ++i) {
    if (auto problem = stuck(WatchedKinds::kNames[i], health->core.feeds[i], now)) return problem;
  }
  return std::nullopt;
}

std::optional<std::string> feed_problem(const Loop& loop, std::size_t kind) {
  const auto health = loop.health();
  if (!health) return "not started yet";
  return not_up_to_date(health->core.feeds[kind], WatchedKinds::kOptional[kind],
                        std::chrono::steady_clock::now());
}

telemetry::HealthOptions health_options(const OperatorOptions& options, const Loop& loop) {
  telemetry::HealthOptions health;
  health.metrics_bind_address = options.metrics_bind_address;
  health.probe_bind_address = options.probe_bind_address;
  health.healthz = {{"loop", [&loop] { return loop_problem(loop); }},
                    {"watches", [&loop] { return stale_watches(loop); }}};
  health.readyz = {{"loop", [&loop] { return loop_problem(loop); }}};
  WatchedKinds::for_each([&]<class Kind>() {
    if (!Kind::awaited()) return;
    health.readyz.push_back(
        {std::string(Kind::name()), [&loop] { return feed_problem(loop, WatchedKinds::index<Kind>()); }});
  });
  return health;
}

telemetry::HtmlPage status_page(const StatusPageMaker& maker, SightBoard& board) {
  return {[make = maker.make, &board] {
            const auto now = std::chrono::steady_clock::now();
            return make(board.look(now).get(), now);
          },
          maker.policy};
}

std::string lease_namespace(const OperatorOptions& options, const kube::ClusterAccess& access) {
  return options.leader_elect_namespace.empty() ? access.ns : options.leader_elect_namespace;
}

CoreOptions core_options(const OperatorOptions& options, const kube::ClusterAccess& access,
                         const kube::ProcessIdentity& identity) {
  std::random_device entropy;
  CoreOptions core;
  core.leader_elect = options.leader_elect;
  core.instance = host_name();
  core.seed = (std::uint64_t{entropy()} << 32) | entropy();
  // A container that restarts in its pod takes the Lease back at once.
  core.lease.identity = identity.name();
  core.lease.outlives_process = identity.outlives_process();
  core.lease.ns = lease_namespace(options, access);
  core.lease.name = options.leader_elect_name;
  core.drain_gate = options.drain_gate;
  core.feeds.drain_taints = options.drain_taints;
  core.feeds.withdraw_taints = options.withdraw_taints;
  core.feeds.drain_all_taints = options.drain_all_taints;
  core.feeds.taint_deadline = std::chrono::seconds(options.taint_deadline_seconds);
  core.feeds.max_drain_timeout = std::chrono::seconds(options.max_drain_timeout_seconds);
  core.stopwatch = [] { return std::chrono::steady_clock::now(); };
  return core;
}

// A page of a list is a hundred times longer than what is kept of it, and is read on any of many threads. By
// itself the C library keeps a heap for each thread, and in each the room of the longest page that it has
// read. https://man7.org/linux/man-pages/man3/mallopt.3.html
void keep_the_heap_small() {
#ifdef __GLIBC__
  constexpr int kMiB = 1 << 20;
  ::mallopt(M_ARENA_MAX, 2);  // the loop's, and one for all that read
  ::mallopt(M_MMAP_THRESHOLD, kMiB);
  ::mallopt(M_TRIM_THRESHOLD, kMiB);
#endif
}

// The parts joined. Destroyed in the reverse order: the transport first, since its threads use the rest.
int run(const OperatorOptions& options, const StatusPageMaker& page, const kube::ClusterAccess& access,
        telemetry::StopSignals& signals, telemetry::Log& log) {
  telemetry::Metrics metrics(telemetry::build_info());
  metrics.count_dropped_logs([&log] { return log.dropped(); });
  PrometheusControllerMetrics controller_metrics(metrics);
  const auto identity = kube::ProcessIdentity::claim(
      host_name(), lease_namespace(options, access) + "/" + options.leader_elect_name);
  OperatorCore core(core_options(options, access, identity), controller_metrics);
  kube::ServerClock clock;
  SightBoard board;
  const bool shows = options.status_page && !telemetry::is_off(options.metrics_bind_address);
  Loop loop(core, log, controller_metrics, clock, shows ? &board : nullptr);
  metrics.count_loop_inputs([&loop] { return loop.waiting(); });
  telemetry::HealthOptions health = health_options(options, loop);
  if (shows) health.status_page = status_page(page, board);
  auto server = telemetry::HealthServer::start(std::move(health), metrics.collectable());
  if (!server) {
    log.error("cannot start", {{"error", server.error()}});
    return 1;
  }
  const auto webhook = UninstallDelayWebhook::listen(options.uninstall_hold_bind_address);
  if (!webhook) {
    log.error("cannot start", {{"error", webhook.error()}});
    return 1;
  }
  kube::TransportOptions transport_options;
  transport_options.reserved = kReserved;
  transport_options.keep_warm = seconds(20);
  auto transport = kube::make_cpprest_transport(access, transport_options);
  if (!transport) {
    log.error("cannot start", {{"error", transport.error().message}});
    return 1;
  }
  log.info("starting", {{"version", telemetry::build_info().version},
                        {"commit", telemetry::build_info().commit},
                        {"server", access.server},
                        {"from", access.source},
                        {"namespace", options.ns.empty() ? "(all)" : options.ns},
                        {"metrics_port", (*server)->metrics_port()},
                        {"probe_port", (*server)->probe_port()}});
  signals.on_stop([&loop] { loop.request_stop(); });
  const auto now = [] { return std::chrono::steady_clock::now(); };
  kube::DatedTransport dated(**transport, clock, now);
  Exit exit;
  {
    engine::LoadReaderOptions load_options;
    load_options.allow_loopback = options.allow_loopback_engines;
    engine::LoadReader loads(load_options);
    Shell shell(
        dated, options.ns, now, [&loop](Input input) { loop.post(std::move(input)); },
        [&loads](engine::LoadRequest request, engine::LoadReader::Callback done) {
          loads.read(std::move(request), std::move(done));
        });
    exit = loop.run(shell);
  }
  signals.on_stop({});
  transport->reset();
  log.info("stopped", {{"why", exit.why}});
  return exit.failed ? 1 : 0;
}

}  // namespace

int run_operator(const OperatorOptions& options, const StatusPageMaker& page) {
  keep_the_heap_small();
  telemetry::StopSignals signals;
  telemetry::LogOptions log_options;
  log_options.format = options.log_format;
  log_options.level = options.log_level;
  telemetry::Log log(log_options);
  const auto access =
      kube::find_cluster_access({options.kubeconfig, options.context}, kube::AccessEnvironment::of_process());
  if (!access) {
    log.error("cannot start", {{"error", access.error().message}});
    return 1;
  }
  return run(options, page, *access, signals, log);
}

}  // namespace poolwarden::control
