// The subcommands, nothing else.
#include "base/text.h"
#include "commands/command_line.h"
#include "control/operator_command.h"
#include "gateway/gateway_sync_main.h"
#include "status_page/status_page.h"
#include "status_page/style.h"
#include "telemetry/build_info.h"

#include <cstdio>
#include <exception>
#include <iostream>
#include <map>
#include <sstream>
#include <string>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

namespace {

using poolwarden::control::DrainGate;
using poolwarden::control::OperatorOptions;
using poolwarden::telemetry::Level;
using poolwarden::telemetry::LogFormat;

std::string version_text() {
  const auto build = poolwarden::telemetry::build_info();
  return fmt::format("poolwarden {} (commit {}, {})", build.version, build.commit, build.compiler);
}

void add_operator(CLI::App& app, OperatorOptions& options) {
  CLI::App* command = app.add_subcommand(
      "operator",
      "Watches InferencePools and their pods, keeps the published endpoint lists true, syncs replicas");
  command->footer(
      "The cluster is found as kubectl finds it: --kubeconfig, $KUBECONFIG, the pod's service account,\n"
      "~/.kube/config. Stop with SIGTERM: writes in flight finish and the lease is given back.\n"
      "Exit code 0 after a stop that was asked for, 1 when it cannot start or lost its lease.");
  command->add_option("--kubeconfig", options.kubeconfig, "Kubeconfig file to use instead of the above");
  command->add_option("--context", options.context, "Context of the kubeconfig (default: its current one)");
  command->add_option("--namespace", options.ns, "Look after this namespace only (default: all)");
  command->add_flag(
      "--leader-elect", options.leader_elect,
      "Of several replicas only the holder of a Lease writes; the others keep their caches warm");
  command->add_option("--leader-elect-namespace", options.leader_elect_namespace,
                      "Namespace of the Lease (default: the pod's, or the context's)");
  command->add_option("--leader-elect-resource-name", options.leader_elect_name, "Name of the Lease")
      ->capture_default_str();
  command
      ->add_option("--metrics-bind-address", options.metrics_bind_address,
                   "Serves /metrics; 0 switches it off")
      ->capture_default_str();
  command
      ->add_option("--health-probe-bind-address", options.probe_bind_address,
                   "Serves /healthz and /readyz; 0 switches it off")
      ->capture_default_str();
  command
      ->add_option("--drain-gate", options.drain_gate,
                   "Whether the gate holds deletes: auto looks in the cluster, on and off take it as given")
      ->transform(CLI::CheckedTransformer(std::map<std::string, DrainGate>{{"auto", DrainGate::kAuto},
                                                                           {"on", DrainGate::kOn},
                                                                           {"off", DrainGate::kOff}})
                      .description(""))
      ->default_str("auto");
  command
      ->add_option("--drain-on-taints", options.drain_taints,
                   "Keys of node taints that announce that pods must go: they are drained")
      ->delimiter(',')
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
      ->capture_default_str();
  command
      ->add_option("--withdraw-on-taints", options.withdraw_taints,
                   "Keys of node taints with which pods are as good as gone: they are withdrawn at once")
      ->delimiter(',')
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
      ->capture_default_str();
  command
      ->add_option(
          "--drain-all-on-taints", options.drain_all_taints,
          "Keys of node taints with which a node ends within moments: all its pods are drained at once")
      ->delimiter(',')
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
      ->capture_default_str();
  command
      ->add_option("--taint-deadline-seconds", options.taint_deadline_seconds,
                   "For how long pods on such a node drain at most, from when its taint was seen")
      ->check(CLI::Range(0, 86'400))
      ->capture_default_str();
  command
      ->add_option("--max-drain-timeout", options.max_drain_timeout_seconds,
                   "For how many seconds a pod drains at most, whatever its pool asks for")
      ->check(CLI::Range(1, 86'400))
      ->capture_default_str();
  command
      ->add_option("--uninstall-hold-bind-address", options.uninstall_hold_bind_address,
                   "Where the install's webhook leads that gives time to clean up on uninstall; 0: nowhere")
      ->capture_default_str();
  command->add_flag("--allow-loopback-engines", options.allow_loopback_engines,
                    "Ask engines with loopback addresses for their load too: for stand-ins on one machine");
  command
      ->add_flag("--status-page", options.status_page,
                 "Serves a page for people at / beside /metrics; --status-page=false switches it off")
      ->default_str("true");
  command->add_option("--log-format", options.log_format, "text or json")
      ->transform(CLI::CheckedTransformer(std::map<std::string, LogFormat>{{"text", LogFormat::kText},
                                                                           {"json", LogFormat::kJson}})
                      .description(""))
      ->default_str("text");
  command->add_option("--log-level", options.log_level, "debug, info, warn or error")
      ->transform(CLI::CheckedTransformer(std::map<std::string, Level>{{"debug", Level::kDebug},
                                                                       {"info", Level::kInfo},
                                                                       {"warn", Level::kWarn},
                                                                       {"error", Level::kError}})
                      .description(""))
      ->default_str("info");
}

// --help and --version arrive here too. Complaints quote what was given, line by line.
int say(const CLI::App& app, const CLI::ParseError& problem) {
  std::stringstream complaint;
  const bool wrong = app.exit(problem, std::cout, complaint) != 0;
  for (std::string line; std::getline(complaint, line);)
    std::cerr << poolwarden::base::printable(line) << '\n';
  return wrong ? 2 : 0;
}

int run(int argc, char** argv) {
  CLI::App app("Poolwarden: on Kubernetes, no LLM request fails because a replica went away.",
               poolwarden::commands::program_name(argc > 0 ? argv[0] : ""));
  app.set_version_flag("--version", version_text());
  app.require_subcommand(1);
  app.option_defaults()->take_last();  // a flag given again overrides: wrappers append theirs
  OperatorOptions operator_options;
  add_operator(app, operator_options);
  int exit_code = 0;
  poolwarden::gateway::add_gateway_sync_command(app, exit_code);
  poolwarden::commands::add_user_commands(app, exit_code);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& problem) {
    return say(app, problem);
  }
  if (app.got_subcommand("operator")) {
    return poolwarden::control::run_operator(
        operator_options, {poolwarden::status_page::page, poolwarden::status_page::policy()});
  }
  return exit_code;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const std::exception& error) {
    // Nothing of ours throws; what a library throws past us ends here, and not in a core dump without words.
    std::fputs(("poolwarden: " + poolwarden::base::printable(error.what()) + "\n").c_str(), stderr);
    return 1;
  }
}
