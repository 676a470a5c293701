// `poolwarden operator`: builds the parts, joins them, runs the loop until it ends.
#pragma once

#include "api/taints.h"
#include "control/operator_core.h"
#include "control/sight.h"
#include "telemetry/health_server.h"
#include "telemetry/log.h"

#include <functional>
#include <string>
#include <vector>

namespace poolwarden::control {

struct OperatorOptions {
  std::string kubeconfig;  // empty: $KUBECONFIG, the pod's service account, ~/.kube/config
  std::string context;
  std::string ns;  // empty: all namespaces
  bool leader_elect = false;
  std::string leader_elect_namespace;  // empty: the pod's, or the kubeconfig context's
  std::string leader_elect_name = "poolwarden";
  std::string metrics_bind_address = ":8080";
  std::string probe_bind_address = ":8081";
  DrainGate drain_gate = DrainGate::kAuto;
  std::vector<std::string> drain_taints{api::taint::kDrain.begin(), api::taint::kDrain.end()};  // keys
  std::vector<std::string> withdraw_taints{api::taint::kWithdraw.begin(), api::taint::kWithdraw.end()};
  std::vector<std::string> drain_all_taints{api::taint::kDrainAll.begin(), api::taint::kDrainAll.end()};
  int taint_deadline_seconds = 90;
  int max_drain_timeout_seconds = 86'400;
  std::string uninstall_hold_bind_address = "0";  // control/uninstall_delay_webhook.h
  bool allow_loopback_engines = false;            // engine::LoadReaderOptions
  bool status_page = true;                        // beside the metrics
  telemetry::LogFormat log_format = telemetry::LogFormat::kText;
  telemetry::Level log_level = telemetry::Level::kInfo;
};

// How the status page is made. Called on the thread of a server, at most once a second.
struct StatusPageMaker {
  // `sight` is null before the loop has looked for the first time.
  std::function<std::string(const Sight* sight, kube::TimePoint now)> make;
  std::string policy;  // telemetry::HttpAnswer::policy
};

// Returns the process's exit code: 0 after a stop that was asked for, 1 otherwise, with a line in the log
// that says why. Call it from main before any other thread exists.
int run_operator(const OperatorOptions& options, const StatusPageMaker& page);

}  // namespace poolwarden::control
