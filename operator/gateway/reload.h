// How a gateway that is configured by a file is made to read it: a program, a signal, or nothing, where it
// looks by itself.
//
// Promises: a program is run without a shell and is killed at its deadline with its process group. An error
// tells its exit status and the last of its output. A signal goes to the process that the gateway's pid file
// names, and never to ourselves, to process 1 or to a group.
//
// Any thread; run_reload() blocks it, for the program's deadline at most.
#pragma once

#include "kube/result.h"

#include <chrono>
#include <string>
#include <string_view>
#include <sys/types.h>
#include <variant>
#include <vector>

#include <tl/expected.hpp>

namespace poolwarden::gateway {

struct ReloadProgram {
  std::vector<std::string> words;  // at least one
  std::chrono::milliseconds deadline{10'000};
};

struct ReloadSignal {
  int number = 0;
  std::string name;  // "HUP"
  std::string pid_file;
};

using Reload = std::variant<std::monostate, ReloadProgram, ReloadSignal>;

// Words apart by blanks; '...' and "..." keep blanks, and have no escapes. The errors are for a person.
tl::expected<std::vector<std::string>, std::string> split_command(std::string_view command);
// "HUP:/run/nginx.pid"
tl::expected<ReloadSignal, std::string> parse_reload_signal(std::string_view text);
// What a pid file says; `own` is our own process.
tl::expected<pid_t, std::string> parse_pid(std::string_view text, pid_t own);

kube::Result<void> run_reload(const Reload& reload);
// For messages; empty where there is none.
std::string to_string(const Reload& reload);

}  // namespace poolwarden::gateway
