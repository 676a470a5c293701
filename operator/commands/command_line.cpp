#include "commands/command_line.h"

#include "commands/context.h"

#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <fmt/format.h>

namespace poolwarden::commands {
namespace {

struct CommonFlags {
  std::string kubeconfig;
  std::string context;
  std::string ns;
  bool all_namespaces = false;
  std::string color = "auto";
  std::string format;  // empty: text
};

ColorMode color_of(const CommonFlags& flags) {
  if (flags.color == "always") return ColorMode::kAlways;
  return flags.color == "never" ? ColorMode::kNever : ColorMode::kAuto;
}

std::optional<DocumentFormat> document_of(const CommonFlags& flags) {
  if (flags.format == "json") return DocumentFormat::kJson;
  return flags.format == "yaml" ? std::optional(DocumentFormat::kYaml) : std::nullopt;
}

// One command from start to end: a connection, the work, and everything written.
int run(const std::string& program, const CommonFlags& flags, const std::function<int(Context&)>& work) {
  Console console(color_of(flags));
  auto session = Session::open({flags.kubeconfig, flags.context}, flags.ns);
  if (!session) {
    console.warn(session.error().message);
    return kNotAsAsked;
  }
  Context context{**session, console, program};
  const int code = work(context);
  console.end_progress();
  if (console.flush()) return code;
  console.warn("not everything could be written to standard output");
  return kNotAsAsked;
}

// kubectl takes "-n=ml" as well; here the sign would be part of the value.
CLI::Validator without_equals_sign() {
  CLI::Validator out;
  out.operation([](std::string& value) {
    if (value.starts_with('=')) value.erase(0, 1);
    return std::string{};
  });
  return out;
}

void add_common_flags(CLI::App& command, CommonFlags& flags) {
  command.add_option("--kubeconfig", flags.kubeconfig,
                     "Kubeconfig file (default: $KUBECONFIG, the pod's service account, ~/.kube/config)");
  command.add_option("--context", flags.context, "Context of the kubeconfig (default: its current one)");
  command.add_option("-n,--namespace", flags.ns, "Namespace (default: the context's)")
      ->transform(without_equals_sign());
  command
      .add_option("--color", flags.color,
                  "auto, always or never; auto: on a terminal, unless NO_COLOR is set")
      ->check(CLI::IsMember({"auto", "always", "never"}).description(""))
      ->capture_default_str();
}

void add_all_namespaces(CLI::App& command, CommonFlags& flags) {
  command.add_flag("-A,--all-namespaces", flags.all_namespaces, "In all namespaces");
}

void add_format(CLI::App& command, CommonFlags& flags) {
  command
      .add_option("-o,--output", flags.format,
                  "json or yaml, for programs (docs/commands.md has the fields); default: text")
      ->check(CLI::IsMember({"json", "yaml"}).description(""))
      ->transform(without_equals_sign());
}

// "90", "90s", "5m", "1h30m", as kubectl takes them. 0: no limit.
std::optional<std::chrono::seconds> parse_duration(const std::string& text) {
  constexpr std::int64_t kLongest = std::int64_t{366} * 86400;
  std::int64_t total = 0;
  std::int64_t number = 0;
  bool digits = false;
  for (const char c : text) {
    if (c >= '0' && c <= '9') {
      number = number * 10 + (c - '0');
      digits = true;
      if (number > kLongest) return std::nullopt;
      continue;
    }
    const std::int64_t unit = c == 's' ? 1 : c == 'm' ? 60 : c == 'h' ? 3600 : 0;
    if (!digits || unit == 0) return std::nullopt;
    total += number * unit;
    number = 0;
    digits = false;
  }
  if (text.empty() || total + number > kLongest) return std::nullopt;
  return std::chrono::seconds(total + number);
}

struct DrainFlags {
  CommonFlags common;
  DrainOptions drain;
  bool no_wait = false;
  std::string timeout;
};

void add_drain_flags(CLI::App& command, DrainFlags& flags, const std::string& otherwise) {
  command.add_flag("--wait", flags.drain.wait, "Wait until it is done; the default");
  command.add_flag("--no-wait", flags.no_wait, "Do not wait")->excludes("--wait");
  command.add_option("--timeout", flags.timeout,
                     "How long to wait, as 90s, 5m or 1h; 0: without limit (default: " + otherwise + ")");
}

int run_with_timeout(const std::string& program, DrainFlags& flags,
                     int (*work)(Context&, const DrainOptions&)) {
  flags.drain.wait = !flags.no_wait;
  if (!flags.timeout.empty()) {
    flags.drain.timeout = parse_duration(flags.timeout);
    if (!flags.drain.timeout) {
      fmt::print(stderr, "poolwarden: --timeout: '{}' is no duration such as 90s, 5m or 1h\n",
                 one_line(flags.timeout));
      return kUsage;
    }
  }
  return run(program, flags.common, [&](Context& context) { return work(context, flags.drain); });
}

void add_status(CLI::App& app, const std::string& program, int& exit_code) {
  struct Flags {
    CommonFlags common;
    std::string pool;
  };
  auto flags = std::make_shared<Flags>();
  CLI::App* command =
      app.add_subcommand("status", "Shows the pools of a namespace, or one pool with each of its pods");
  command->footer(
      "Of one pool: its replicas, what is not as it should be with its fix, and each pod's state, such as\n"
      "'draining for 12 s, 3 in flight, at most 288 s more'.");
  command->add_option("POOL", flags->pool, "Name of an inferencepools.poolwarden.io (default: all)");
  add_common_flags(*command, flags->common);
  add_all_namespaces(*command, flags->common);
  add_format(*command, flags->common);
  command->callback([flags, program, &exit_code] {
    exit_code = run(program, flags->common, [&](Context& context) {
      if (!flags->pool.empty() && flags->common.all_namespaces)
        return usage(context, "status POOL is about one pool: leave --all-namespaces out");
      return run_status(context, {flags->pool, flags->common.all_namespaces, document_of(flags->common)});
    });
  });
}

void add_why(CLI::App& app, const std::string& program, int& exit_code) {
  struct Flags {
    CommonFlags common;
    std::string pod;
  };
  auto flags = std::make_shared<Flags>();
  CLI::App* command =
      app.add_subcommand("why", "Says why a pod is on its pool's list or not, and what holds its deletion");
  command->footer(
      "It reads the pod, its pools with their lists, its ReplicaSet, its node, PodDisruptionBudgets and "
      "Events;\n"
      "what it may not read it names and goes without.");
  command->add_option("POD", flags->pod, "Name of a pod")->required();
  add_common_flags(*command, flags->common);
  add_format(*command, flags->common);
  command->callback([flags, program, &exit_code] {
    exit_code = run(program, flags->common, [&](Context& context) {
      return run_why(context, flags->pod, document_of(flags->common));
    });
  });
}

void add_drain(CLI::App& app, const std::string& program, int& exit_code) {
  auto flags = std::make_shared<DrainFlags>();
  CLI::App* command = app.add_subcommand(
      "drain", "Takes a pod out of service once its requests are done, or empties a node of pool pods");
  command->footer(
      "A pod: the operator withdraws it, waits until it is idle or its pool's drain timeout is over, and "
      "keeps\n"
      "it off the list until it is deleted or the drain is undone.\n"
      "A node: it is cordoned, and each pool pod on it is evicted as soon as it is drained. Other pods "
      "stay;\n"
      "kubectl drain moves both.");
  command->add_option("NAME", flags->drain.target, "A pod of the namespace, or a node; pod/NAME or node/NAME")
      ->required();
  command->add_flag("--undo", flags->drain.undo,
                    "Take a drain back: the request off the pod, the cordon off the node");
  add_drain_flags(*command, *flags, "what the pool allows a drain and 60 s more; a node: without limit");
  add_common_flags(*command, flags->common);
  command->callback(
      [flags, program, &exit_code] { exit_code = run_with_timeout(program, *flags, run_drain); });
}

void add_delete(CLI::App& app, const std::string& program, int& exit_code) {
  auto flags = std::make_shared<DrainFlags>();
  CLI::App* command = app.add_subcommand("delete", "Drains a pod, then deletes it: no request of it is cut");
  command->footer(
      "A pod that is not drained is never deleted; kubectl delete pod does that.\n"
      "--no-wait does not wait for the deleted pod's end; for the drain it always waits.");
  command->add_option("POD", flags->drain.target, "Name of a pod")->required();
  add_drain_flags(*command, *flags, "what the pool allows a drain and 60 s more");
  add_common_flags(*command, flags->common);
  command->callback(
      [flags, program, &exit_code] { exit_code = run_with_timeout(program, *flags, run_delete); });
}

void add_watch(CLI::App& app, const std::string& program, int& exit_code) {
  struct Flags {
    CommonFlags common;
    std::string pool;
  };
  auto flags = std::make_shared<Flags>();
  CLI::App* command = app.add_subcommand("watch", "Shows pools and their pods as they change");
  command->footer(
      "A table on a terminal; else a line for each change. Ends on Ctrl-C, or when the POOL is deleted.");
  command->add_option("POOL", flags->pool, "Name of an inferencepools.poolwarden.io (default: all)");
  add_common_flags(*command, flags->common);
  add_all_namespaces(*command, flags->common);
  command->callback([flags, program, &exit_code] {
    exit_code = run(program, flags->common, [&](Context& context) {
      return run_watch(context, {flags->pool, flags->common.all_namespaces});
    });
  });
}

}  // namespace

std::string program_name(std::string_view argv0) {
  const std::size_t slash = argv0.rfind('/');
  const std::string_view base = slash == std::string_view::npos ? argv0 : argv0.substr(slash + 1);
  return base == "kubectl-poolwarden" ? "kubectl poolwarden" : "poolwarden";
}

void add_user_commands(CLI::App& app, int& exit_code) {
  const std::string program = app.get_name();
  add_status(app, program, exit_code);
  add_why(app, program, exit_code);
  add_drain(app, program, exit_code);
  add_delete(app, program, exit_code);
  add_watch(app, program, exit_code);
}

}  // namespace poolwarden::commands
