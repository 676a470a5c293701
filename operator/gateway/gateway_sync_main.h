// `poolwarden gateway-sync`: flags, start and end of the gateway feed's process.
#pragma once

#include <string>
#include <vector>

namespace CLI {  // NOLINT(readability-identifier-naming)
class App;
}

namespace poolwarden::gateway {

struct GatewaySyncFlags {
  std::string pool;
  std::string ns;          // empty: the kubeconfig context's, or the pod's own
  std::string config_map;  // empty: "<pool>-endpoints"
  std::string consumer;    // empty: the host's name; "none": nothing is confirmed
  std::string haproxy_socket = "/run/haproxy/admin.sock";
  std::string haproxy_state_file;    // empty: none
  std::string haproxy_zone_weights;  // empty: weights are those of haproxy.cfg
  std::string worker_api;            // empty: the gateway is a HAProxy
  std::string dialect;
  std::string worker_api_key_file;
  std::string worker_foreign = "remove";
  std::string backend = "pool";
  std::string server_prefix = "pod-";
  std::string withdraw_by = "drain";
  std::string envoy_eds_dir;                          // empty: the gateway is no Envoy
  std::string envoy_cluster;                          // empty: the pool's name
  std::string envoy_admin = "http://127.0.0.1:9901";  // "none": the file alone counts
  std::vector<std::string> templates;                 // empty: the gateway is not configured by files
  std::string exec;
  int exec_timeout_milliseconds = 10'000;
  int exec_pace_milliseconds = 300;
  std::string signal;
  int poll_milliseconds = 500;
  bool allow_loopback = false;
  std::string kubeconfig;
  std::string context;
  std::string metrics_bind_address = ":8082";
  std::string health_probe_bind_address = ":8083";
  std::string log_format = "text";
  std::string log_level = "info";
};

// Runs until SIGTERM or SIGINT, which must not have been blocked or handled before. Returns the exit code:
// 0 after a signal, and as that signal ends a process after a second one; 1 if it cannot start; 2 if a flag's
// value is wrong. What is wrong is on stderr.
int run_gateway_sync(const GatewaySyncFlags& flags);

// Adds the subcommand. `exit_code` is set when it was chosen and has run.
void add_gateway_sync_command(CLI::App& app, int& exit_code);

}  // namespace poolwarden::gateway
