#include "gateway/gateway_sync_main.h"

#include "base/address.h"
#include "base/host.h"
#include "base/text.h"
#include "gateway/envoy.h"
#include "gateway/gateway_metrics.h"
#include "gateway/gateway_sync.h"
#include "gateway/haproxy.h"
#include "gateway/proxy_name.h"
#include "gateway/template_gateway.h"
#include "gateway/worker_router.h"
#include "kube/cpprest_transport.h"
#include "kube/kubeconfig.h"
#include "kube/read_file.h"
#include "telemetry/health_server.h"
#include "telemetry/log.h"
#include "telemetry/stop_signals.h"

#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <fmt/format.h>

namespace poolwarden::gateway {
namespace {

constexpr int kCannotStart = 1;
constexpr int kWrongFlag = 2;

int fail(int code, std::string_view message) {
  fmt::print(stderr, "poolwarden gateway-sync: {}\n", base::printable(message));
  return code;
}

struct Settings {
  GatewaySyncOptions sync;
  telemetry::LogOptions log;
  std::unique_ptr<Gateway> gateway;
  // What is not begun before the pool's namespace is known.
  std::function<std::unique_ptr<Gateway>(const std::string& ns)> make_gateway;
  std::string kind;          // "haproxy", as the operator shows it
  std::string not_known_by;  // the gateway cannot be asked what it holds, and this is why
};

tl::expected<void, std::string> choose_haproxy(const GatewaySyncFlags& flags, Settings& settings) {
  if (!is_proxy_name(flags.backend)) {
    return tl::unexpected(fmt::format(
        "--backend: '{}' is not a name HAProxy allows (letters, digits, _ - . :)", flags.backend));
  }
  if (!is_proxy_name(flags.server_prefix)) {
    return tl::unexpected(
        fmt::format("--server-prefix: '{}' is not a name HAProxy allows (letters, digits, _ - . :)",
                    flags.server_prefix));
  }
  if (flags.withdraw_by != "drain" && flags.withdraw_by != "maint")
    return tl::unexpected(fmt::format("--withdraw-by: '{}' is neither drain nor maint", flags.withdraw_by));
  const auto withdraw_by = flags.withdraw_by == "drain" ? WithdrawBy::kDrain : WithdrawBy::kMaintenance;
  auto socket = parse_runtime_address(flags.haproxy_socket);
  if (!socket) return tl::unexpected("--haproxy-socket: " + socket.error());
  std::optional<ZoneWeights> weights;
  if (!flags.haproxy_zone_weights.empty()) {
    auto parsed = parse_zone_weights(flags.haproxy_zone_weights);
    if (!parsed) return tl::unexpected("--haproxy-zone-weights: " + parsed.error());
    weights = *std::move(parsed);
  }
  settings.kind = "haproxy";
  settings.gateway = std::make_unique<Haproxy>(
      std::move(*socket), BackendName{flags.backend, flags.server_prefix, withdraw_by, std::move(weights)},
      flags.haproxy_state_file);
  return {};
}

// The first word of the file; a line break after it is usual.
tl::expected<std::string, std::string> read_key(const std::string& path) {
  constexpr std::size_t kMaxKey = 4096;
  auto text = kube::read_file(path, kMaxKey);
  if (!text) return tl::unexpected("--worker-api-key-file: " + text.error());
  while (!text->empty() && (text->back() == '\n' || text->back() == '\r')) text->pop_back();
  if (!base::is_plain_word(*text))
    return tl::unexpected(fmt::format("--worker-api-key-file: {} is not one word of plain ASCII", path));
  return *std::move(text);
}

tl::expected<void, std::string> choose_worker_router(const GatewaySyncFlags& flags, Settings& settings) {
  const auto dialect = parse_worker_dialect(flags.dialect);
  if (!dialect) {
    return tl::unexpected(fmt::format(
        "--dialect: '{}' is none of vllm-router, sglang-router, smg; --worker-api needs one", flags.dialect));
  }
  if (flags.worker_foreign != "remove" && flags.worker_foreign != "keep")
    return tl::unexpected(
        fmt::format("--worker-foreign: '{}' is neither remove nor keep", flags.worker_foreign));
  auto router = parse_http_target(flags.worker_api);
  if (!router) return tl::unexpected("--worker-api: " + router.error());
  if (!flags.worker_api_key_file.empty()) {
    auto key = read_key(flags.worker_api_key_file);
    if (!key) return tl::unexpected(key.error());
    router->key = *std::move(key);
  }
  settings.kind = flags.dialect;
  settings.gateway = std::make_unique<WorkerRouter>(
      *std::move(router), *dialect,
      flags.worker_foreign == "keep" ? ForeignWorkers::kKeep : ForeignWorkers::kRemove);
  return {};
}

tl::expected<void, std::string> choose_envoy(const GatewaySyncFlags& flags, Settings& settings) {
  EnvoyOptions options;
  options.directory = flags.envoy_eds_dir;
  while (options.directory.size() > 1 && options.directory.ends_with('/')) options.directory.pop_back();
  options.cluster = flags.envoy_cluster.empty() ? flags.pool : flags.envoy_cluster;
  if (!is_envoy_name(options.cluster)) {
    return tl::unexpected(
        fmt::format("--envoy-cluster: '{}' is not a name that can be a file's, too (letters, digits, _ - . "
                    ":, no dot first)",
                    options.cluster));
  }
  if (flags.envoy_admin != "none") {
    auto admin = parse_http_target(flags.envoy_admin);
    if (!admin) return tl::unexpected("--envoy-admin: " + admin.error());
    options.admin = *std::move(admin);
  }
  settings.kind = "envoy";
  if (!options.admin) settings.not_known_by = "--envoy-admin=none";
  settings.gateway = std::make_unique<Envoy>(std::move(options));
  return {};
}

tl::expected<Reload, std::string> choose_reload(const GatewaySyncFlags& flags) {
  if (!flags.exec.empty() && !flags.signal.empty())
    return tl::unexpected(std::string("--exec and --signal are two ways to reload one gateway: give one"));
  if (flags.exec_timeout_milliseconds < 1 || flags.exec_timeout_milliseconds > 30'000) {
    return tl::unexpected(
        fmt::format("--exec-timeout-ms: {} is not between 1 and 30000", flags.exec_timeout_milliseconds));
  }
  if (flags.exec_pace_milliseconds < 0 || flags.exec_pace_milliseconds > 10'000) {
    return tl::unexpected(
        fmt::format("--exec-pace-ms: {} is not between 0 and 10000", flags.exec_pace_milliseconds));
  }
  if (!flags.signal.empty()) {
    auto signal = parse_reload_signal(flags.signal);
    if (!signal) return tl::unexpected("--signal: " + signal.error());
    return *std::move(signal);
  }
  if (flags.exec.empty()) return Reload{};
  auto words = split_command(flags.exec);
  if (!words) return tl::unexpected("--exec: " + words.error());
  return ReloadProgram{*std::move(words), std::chrono::milliseconds(flags.exec_timeout_milliseconds)};
}

tl::expected<void, std::string> choose_template(const GatewaySyncFlags& flags, Settings& settings) {
  TemplateOptions options;
  std::set<std::string> outs;
  for (const std::string& text : flags.templates) {
    auto paths = parse_template_paths(text);
    if (!paths) return tl::unexpected("--template: " + paths.error());
    if (!outs.insert(paths->out).second)
      return tl::unexpected(fmt::format("--template: two templates would write {}", paths->out));
    options.templates.push_back(*std::move(paths));
  }
  auto reload = choose_reload(flags);
  if (!reload) return tl::unexpected(reload.error());
  options.reload = *std::move(reload);
  options.pace = std::chrono::milliseconds(flags.exec_pace_milliseconds);
  options.names.pool = flags.pool;
  settings.kind = "template";
  if (options.reload.index() == 0) settings.not_known_by = "neither --exec nor --signal";
  // It has no answer: a gateway that refuses the file goes on with the one before.
  if (std::holds_alternative<ReloadSignal>(options.reload)) settings.not_known_by = "--signal";
  settings.make_gateway = [options](const std::string& ns) mutable {
    options.names.ns = ns;
    return std::make_unique<TemplateGateway>(std::move(options));
  };
  return {};
}

// A flag of one gateway says nothing of another: whoever gives it meant something else.
tl::expected<void, std::string> check_companions(const GatewaySyncFlags& flags) {
  const GatewaySyncFlags unset;
  struct Companion {
    std::string_view flag;
    bool given;
    std::string_view gateway;
    std::string_view needs;
    bool chosen;
  };
  const bool router = !flags.worker_api.empty();
  const bool envoy = !flags.envoy_eds_dir.empty();
  const bool file = !flags.templates.empty();
  constexpr std::string_view kFile = "a gateway with a file";
  const bool haproxy = !router && !envoy && !file;
  const Companion companions[] = {
      {"--haproxy-state-file", !flags.haproxy_state_file.empty(), "HAProxy", "--haproxy-socket", haproxy},
      {"--haproxy-zone-weights", !flags.haproxy_zone_weights.empty(), "HAProxy", "--haproxy-socket", haproxy},
      {"--dialect", !flags.dialect.empty(), "a router", "--worker-api", router},
      {"--worker-api-key-file", !flags.worker_api_key_file.empty(), "a router", "--worker-api", router},
      {"--worker-foreign", flags.worker_foreign != unset.worker_foreign, "a router", "--worker-api", router},
      {"--envoy-cluster", !flags.envoy_cluster.empty(), "Envoy", "--envoy-eds-dir", envoy},
      {"--envoy-admin", flags.envoy_admin != unset.envoy_admin, "Envoy", "--envoy-eds-dir", envoy},
      {"--exec", !flags.exec.empty(), kFile, "--template", file},
      {"--exec-timeout-ms", flags.exec_timeout_milliseconds != unset.exec_timeout_milliseconds, kFile,
       "--template", file},
      {"--exec-pace-ms", flags.exec_pace_milliseconds != unset.exec_pace_milliseconds, kFile, "--template",
       file},
      {"--signal", !flags.signal.empty(), kFile, "--template", file}};
  for (const Companion& companion : companions) {
    if (companion.given && !companion.chosen) {
      return tl::unexpected(
          fmt::format("{} is for {}: it needs {}", companion.flag, companion.gateway, companion.needs));
    }
  }
  return {};
}

// HAProxy, unless another is chosen.
tl::expected<void, std::string> choose_gateway(const GatewaySyncFlags& flags, Settings& settings) {
  std::vector<std::string_view> chosen;
  if (flags.haproxy_socket != GatewaySyncFlags{}.haproxy_socket) chosen.push_back("--haproxy-socket");
  if (!flags.worker_api.empty()) chosen.push_back("--worker-api");
  if (!flags.envoy_eds_dir.empty()) chosen.push_back("--envoy-eds-dir");
  if (!flags.templates.empty()) chosen.push_back("--template");
  if (chosen.size() > 1) {
    return tl::unexpected(
        fmt::format("{} and {} are two gateways: run one gateway-sync for each", chosen[0], chosen[1]));
  }
  if (auto right = check_companions(flags); !right) return right;
  if (!flags.envoy_eds_dir.empty()) return choose_envoy(flags, settings);
  if (!flags.worker_api.empty()) return choose_worker_router(flags, settings);
  if (!flags.templates.empty()) return choose_template(flags, settings);
  return choose_haproxy(flags, settings);
}

// Empty: nothing is confirmed.
tl::expected<std::string, std::string> consumer_of(const GatewaySyncFlags& flags) {
  if (flags.consumer == "none") return std::string();
  const std::string name = flags.consumer.empty() ? base::host_name() : flags.consumer;
  if (name.size() > 253 || base::ascii(name, '?') != name)
    return tl::unexpected(
        fmt::format("--consumer: '{}' is longer than 253 characters, or not plain text", name));
  return name;
}

// All flags that can be wrong by themselves, before anything is started.
tl::expected<Settings, std::string> check(const GatewaySyncFlags& flags) {
  Settings settings;
  if (flags.pool.empty()) {
    return tl::unexpected(
        std::string("--pool is needed: the name of the inferencepools.poolwarden.io to follow"));
  }
  if (flags.poll_milliseconds < 50 || flags.poll_milliseconds > 60'000) {
    return tl::unexpected(fmt::format("--poll-ms: {} is not between 50 and 60000", flags.poll_milliseconds));
  }
  if (auto chosen = choose_gateway(flags, settings); !chosen) return tl::unexpected(chosen.error());
  auto consumer = consumer_of(flags);
  if (!consumer) return tl::unexpected(consumer.error());
  const auto format = telemetry::parse_log_format(flags.log_format);
  if (!format)
    return tl::unexpected(fmt::format("--log-format: '{}' is neither text nor json", flags.log_format));
  const auto level = telemetry::parse_level(flags.log_level);
  if (!level)
    return tl::unexpected(
        fmt::format("--log-level: '{}' is none of debug, info, warn, error", flags.log_level));
  settings.log.format = *format;
  settings.log.level = *level;
  settings.sync.ns = flags.ns;
  settings.sync.pool = flags.pool;
  settings.sync.config_map = flags.config_map.empty() ? flags.pool + "-endpoints" : flags.config_map;
  if (!settings.not_known_by.empty()) consumer->clear();
  settings.sync.consumer = {flags.ns, flags.pool, *std::move(consumer), settings.kind};
  settings.sync.core.addresses.allow_loopback = flags.allow_loopback;
  settings.sync.core.poll = std::chrono::milliseconds(flags.poll_milliseconds);
  return settings;
}

int run(Settings settings, const GatewaySyncFlags& flags, kube::ClusterAccess access) {
  telemetry::StopSignals signals;
  telemetry::Log log(settings.log);
  GatewayMetrics metrics;
  const std::string server = access.server;
  const std::string source = access.source;
  auto transport = kube::make_cpprest_transport(std::move(access), {.max_connections = 2});
  if (!transport) return fail(kCannotStart, transport.error().message);
  GatewaySync sync(settings.sync, *settings.gateway, **transport, log, metrics);

  telemetry::HealthOptions health;
  health.metrics_bind_address = flags.metrics_bind_address;
  health.probe_bind_address = flags.health_probe_bind_address;
  health.healthz.push_back({"loop", [&sync] { return sync.loop_problem(); }});
  health.readyz.push_back({"list", [&sync] { return sync.readiness_problem(); }});
  auto probes = telemetry::HealthServer::start(std::move(health), metrics.collectable());
  if (!probes) return fail(kCannotStart, probes.error());

  log.info(fmt::format("following a pool for {}", settings.gateway->name()),
           {{"namespace", settings.sync.ns},
            {"pool", settings.sync.pool},
            {"config_map", settings.sync.config_map},
            {"consumer", settings.sync.consumer.consumer},
            {"server", server},
            {"access", source},
            {"gateway", settings.gateway->where()}});
  if (!settings.not_known_by.empty()) {
    log.warn(
        fmt::format("{} is not asked what it holds ({}): the operator is told nothing, and drains "
                    "wait spec.drain.settleSeconds instead",
                    settings.gateway->name(), settings.not_known_by));
  }
  signals.on_stop([&log, &sync, &settings] {
    log.info(fmt::format("ending; {} keeps its list", settings.gateway->name()));
    sync.stop();
  });
  sync.run();
  signals.on_stop({});
  probes->reset();     // its checks refer to the loop
  transport->reset();  // ends its callbacks
  return 0;
}

}  // namespace

int run_gateway_sync(const GatewaySyncFlags& flags) {
  auto settings = check(flags);
  if (!settings) return fail(kWrongFlag, settings.error());
  auto access =
      kube::find_cluster_access({flags.kubeconfig, flags.context}, kube::AccessEnvironment::of_process());
  if (!access) return fail(kCannotStart, access.error().message);
  if (settings->sync.ns.empty()) settings->sync.ns = access->ns;
  settings->sync.consumer.ns = settings->sync.ns;
  if (settings->make_gateway) settings->gateway = settings->make_gateway(settings->sync.ns);
  settings->sync.core.gateway = std::string(settings->gateway->name());
  if (auto own = base::canonical_ip(access->host))
    settings->sync.core.addresses.never.insert(std::move(*own));
  // In a pod, its name is the host's.
  if (std::getenv("KUBERNETES_SERVICE_HOST") != nullptr) settings->sync.pod = base::host_name();
  return run(std::move(*settings), flags, std::move(*access));
}

namespace {

void add_haproxy_options(CLI::App& command, GatewaySyncFlags& flags) {
  command
      .add_option("--haproxy-socket", flags.haproxy_socket,
                  "HAProxy's stats socket: a path, or an IP address and port")
      ->capture_default_str();
  command.add_option(
      "--haproxy-state-file", flags.haproxy_state_file,
      "File in which the servers' state is kept for a HAProxy that is restarted or reloaded: the backend's "
      "server-state-file-name (default: none)");
  command.add_option("--haproxy-zone-weights", flags.haproxy_zone_weights,
                     "Weights of servers by the zone of their pods' nodes, 1 to 256: "
                     "\"zone-a=100,zone-b=25,*=25\" (default: those of haproxy.cfg)");
  command.add_option("--backend", flags.backend, "The backend in haproxy.cfg that serves the pool")
      ->capture_default_str();
  command
      .add_option("--server-prefix", flags.server_prefix,
                  "First argument of the backend's server-template; servers with other names are left alone")
      ->capture_default_str();
  command
      .add_option("--withdraw-by", flags.withdraw_by,
                  "drain, or maint where a cookie or a stick-table pins clients to a server of HAProxy: they "
                  "would still get to one that drains")
      ->capture_default_str();
}

void add_router_options(CLI::App& command, GatewaySyncFlags& flags) {
  command.add_option("--worker-api", flags.worker_api,
                     "Instead of HAProxy: the URL of a router with a worker API, \"http://127.0.0.1:30000\"");
  command.add_option("--dialect", flags.dialect, "Which router: vllm-router, sglang-router or smg");
  command.add_option("--worker-api-key-file", flags.worker_api_key_file,
                     "File with the key that the router wants of administrators (default: it wants none)");
  command
      .add_option("--worker-foreign", flags.worker_foreign,
                  "Workers whose URL is not http://, an IP address and a port: remove or keep")
      ->capture_default_str();
}

void add_envoy_options(CLI::App& command, GatewaySyncFlags& flags) {
  command.add_option("--envoy-eds-dir", flags.envoy_eds_dir,
                     "Instead of HAProxy: the directory that Envoy's cluster watches (watched_directory)");
  command.add_option(
      "--envoy-cluster", flags.envoy_cluster,
      "The cluster's name in Envoy, and its file's: <envoy-cluster>.json (default: the pool's name)");
  command
      .add_option("--envoy-admin", flags.envoy_admin,
                  "Envoy's admin interface, which is asked what Envoy holds; none: the file alone counts")
      ->capture_default_str();
}

void add_template_options(CLI::App& command, GatewaySyncFlags& flags) {
  command
      .add_option("--template", flags.templates,
                  "Instead of HAProxy: IN:OUT, a mustache template and the file that is made of it for the "
                  "gateway; more than one may be given")
      ->allow_extra_args(false);
  command.add_option(
      "--exec", flags.exec,
      "The program, with arguments, that has the gateway read its files: \"nginx -s reload\". No "
      "shell runs it; '...' and \"...\" keep blanks");
  command
      .add_option("--exec-timeout-ms", flags.exec_timeout_milliseconds,
                  "How long the program may take, in milliseconds; then it is killed and tried again")
      ->capture_default_str();
  command
      .add_option("--exec-pace-ms", flags.exec_pace_milliseconds,
                  "How long a reload goes on after the program, in milliseconds: the list counts as held "
                  "after that, and no other "
                  "reload begins before")
      ->capture_default_str();
  command.add_option("--signal", flags.signal,
                     "Instead of --exec: SIGNAL:PIDFILE, a signal for the process that the file names: "
                     "\"HUP:/run/nginx.pid\"");
}

}  // namespace

void add_gateway_sync_command(CLI::App& app, int& exit_code) {
  auto flags = std::make_shared<GatewaySyncFlags>();
  CLI::App* command = app.add_subcommand(
      "gateway-sync",
      "Keep the servers of a HAProxy, an Envoy, a router or a gateway with a file equal to a pool's "
      "published endpoints.\n\n"
      "Runs beside the gateway and follows one pool's ConfigMap. An endpoint that leaves the list is "
      "drained\n"
      "at once: it gets no more requests and finishes those it has. HAProxy is never reloaded. If the "
      "API\n"
      "server cannot be reached the gateway keeps the last list, also when it restarts.\n"
      "haproxy.cfg needs a stats socket with 'level admin' and, in the backend, free servers:\n"
      "    server-template pod- 64 127.0.0.1:1 disabled\n"
      "A complete configuration is in examples/gateway.\n"
      "Envoy needs a cluster of type EDS that follows <envoy-eds-dir>/<envoy-cluster>.json: examples/envoy.\n"
      "A router with a worker API needs nothing: examples/routers.\n"
      "Any other gateway that is configured by a file needs a template of that file: examples/nginx.");
  command->add_option("--pool", flags->pool, "Name of the inferencepools.poolwarden.io to follow")
      ->required();
  command->add_option("-n,--namespace", flags->ns,
                      "The pool's namespace (default: the context's, or this pod's own)");
  command->add_option("--config-map", flags->config_map,
                      "The pool's spec.publish.configMap.name (default: <pool>-endpoints)");
  add_haproxy_options(*command, *flags);
  add_router_options(*command, *flags);
  add_envoy_options(*command, *flags);
  add_template_options(*command, *flags);
  command->add_option(
      "--consumer", flags->consumer,
      "Name under which the operator is told what this gateway holds (default: the host's name, "
      "in a pod the pod's; none: it is not told)");
  command
      ->add_option("--poll-ms", flags->poll_milliseconds,
                   "How often the gateway's own state is compared with the list, in milliseconds")
      ->capture_default_str();
  command->add_flag("--allow-loopback", flags->allow_loopback,
                    "Send to endpoints with loopback addresses too: for stand-ins on one machine");
  command->add_option("--kubeconfig", flags->kubeconfig,
                      "Kubeconfig file (default: $KUBECONFIG, the pod's service account, ~/.kube/config)");
  command->add_option("--context", flags->context, "Context of the kubeconfig (default: its current one)");
  command
      ->add_option("--metrics-bind-address", flags->metrics_bind_address,
                   "Where to serve /metrics: 'host:port', ':port' or '0' for nowhere")
      ->capture_default_str();
  command
      ->add_option("--health-probe-bind-address", flags->health_probe_bind_address,
                   "Where to serve /healthz and /readyz: 'host:port', ':port' or '0' for nowhere")
      ->capture_default_str();
  command->add_option("--log-format", flags->log_format, "text or json")->capture_default_str();
  command->add_option("--log-level", flags->log_level, "debug, info, warn or error")->capture_default_str();
  command->callback([flags, &exit_code] { exit_code = run_gateway_sync(*flags); });
}

}  // namespace poolwarden::gateway
