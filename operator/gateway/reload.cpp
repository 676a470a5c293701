#include "gateway/reload.h"

#include "base/fd.h"
#include "gateway/output_file.h"
#include "kube/child_process.h"

#include <cerrno>
#include <charconv>
#include <csignal>
#include <optional>
#include <sys/syscall.h>
#include <system_error>
#include <unistd.h>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace poolwarden::gateway {
namespace {

constexpr std::string_view kShare =
    "containers of one pod need shareProcessNamespace: true, and a pid file in a volume of both";

kube::Error not_reloaded(std::string message) {
  return {kube::ErrorClass::kRetry, 0, "NotReloaded", std::move(message), std::nullopt};
}

kube::Result<void> run_program(const ReloadProgram& program) {
  kube::ChildProcess child;
  child.command = program.words.front();
  child.args.assign(program.words.begin() + 1, program.words.end());
  child.deadline = program.deadline;
  child.for_its_effect = true;
  if (auto run = kube::run_child(child, {}); !run) {
    std::string message = "--exec: " + run.error().message;
    if (run.error().not_found)
      message += " (poolwarden's own image has no other programs; --signal needs none)";
    return tl::unexpected(not_reloaded(std::move(message)));
  }
  return {};
}

kube::Result<void> send_signal(const ReloadSignal& signal) {
  // Not by fopen(): the gateway could keep us waiting with a pipe.
  const auto text = OutputFile(signal.pid_file, "a signal").read();
  if (!text) return tl::unexpected(not_reloaded("--signal: " + text.error().message));
  if (!*text) {
    return tl::unexpected(not_reloaded(
        fmt::format("--signal: there is no {}: does the gateway run, and does it write its pid there?",
                    signal.pid_file)));
  }
  const auto pid = parse_pid(**text, ::getpid());
  if (!pid)
    return tl::unexpected(not_reloaded(fmt::format("--signal: {}: {}", signal.pid_file, pid.error())));
  // By a descriptor: kill() takes the number of any thread, ours too, for its process.
  const base::Fd process(static_cast<int>(::syscall(SYS_pidfd_open, *pid, 0)));
  if (process.get() >= 0 && ::syscall(SYS_pidfd_send_signal, process.get(), signal.number, nullptr, 0) == 0)
    return {};
  const int error = errno;
  return tl::unexpected(not_reloaded(
      fmt::format("--signal: cannot send {} to process {} of {}: {}: {}", signal.name, *pid, signal.pid_file,
                  std::system_category().message(error),
                  error == EPERM ? std::string_view("the gateway must run as the same user") : kShare)));
}

}  // namespace

tl::expected<std::vector<std::string>, std::string> split_command(std::string_view command) {
  std::vector<std::string> words;
  bool in_word = false;
  char quote = 0;
  for (const char c : command) {
    if (c == 0) return tl::unexpected(std::string("it has a NUL"));
    const bool blank = c == ' ' || c == '\t' || c == '\n';
    if (quote == 0 && blank) {
      in_word = false;
      continue;
    }
    if (!in_word) words.emplace_back();
    in_word = true;
    if (quote == 0 && (c == '\'' || c == '"')) {
      quote = c;
    } else if (c == quote) {
      quote = 0;
    } else {
      words.back() += c;
    }
  }
  if (quote != 0) return tl::unexpected(fmt::format("a {} is not closed", quote));
  if (words.empty() || words.front().empty()) return tl::unexpected(std::string("it names no program"));
  return words;
}

tl::expected<ReloadSignal, std::string> parse_reload_signal(std::string_view text) {
  constexpr std::pair<std::string_view, int> kSignals[] = {
      {"HUP", SIGHUP}, {"USR1", SIGUSR1}, {"USR2", SIGUSR2}, {"WINCH", SIGWINCH}};
  const std::size_t colon = text.find(':');
  if (colon == std::string_view::npos || colon + 1 == text.size())
    return tl::unexpected(fmt::format("'{}' is not SIGNAL:PIDFILE, as in HUP:/run/nginx.pid", text));
  std::string_view name = text.substr(0, colon);
  if (name.starts_with("SIG")) name.remove_prefix(3);
  for (const auto& [known, number] : kSignals) {
    if (name == known) return ReloadSignal{number, std::string(known), std::string(text.substr(colon + 1))};
  }
  return tl::unexpected(fmt::format("'{}' is none of HUP, USR1, USR2, WINCH", name));
}

tl::expected<pid_t, std::string> parse_pid(std::string_view text, pid_t own) {
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r' || text.back() == ' '))
    text.remove_suffix(1);
  pid_t pid = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), pid);
  if (error != std::errc() || end != text.data() + text.size() || pid < 1)
    return tl::unexpected(std::string("it does not hold the number of a process"));
  // In a container that shares nothing, both the gateway and we are process 1.
  if (pid == 1 || pid == own)
    return tl::unexpected(fmt::format("process {} is not the gateway's here: {}", pid, kShare));
  return pid;
}

kube::Result<void> run_reload(const Reload& reload) {
  if (const auto* program = std::get_if<ReloadProgram>(&reload)) return run_program(*program);
  if (const auto* signal = std::get_if<ReloadSignal>(&reload)) return send_signal(*signal);
  return {};
}

std::string to_string(const Reload& reload) {
  if (const auto* program = std::get_if<ReloadProgram>(&reload))
    return fmt::format("{}", fmt::join(program->words, " "));
  if (const auto* signal = std::get_if<ReloadSignal>(&reload))
    return fmt::format("{} to {}", signal->name, signal->pid_file);
  return {};
}

}  // namespace poolwarden::gateway
