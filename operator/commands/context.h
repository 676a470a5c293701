// What every command has at hand, and what each one is asked for.
#pragma once

#include "api/time.h"
#include "commands/console.h"
#include "commands/export.h"
#include "commands/session.h"

#include <chrono>
#include <optional>
#include <string>

namespace poolwarden::commands {

inline constexpr int kDone = 0;
inline constexpr int kNotAsAsked = 1;
inline constexpr int kUsage = 2;
inline constexpr int kInterrupted = 130;  // 128 + SIGINT, as shells count

struct Context {
  Session& session;
  Console& console;
  std::string program;  // "poolwarden" or "kubectl poolwarden", for commands that a person may copy
};

// Says what went wrong, on one line. The exit code.
int fail(Context& context, const std::string& message);
int fail(Context& context, const kube::Error& error);
int usage(Context& context, const std::string& message);

struct StatusOptions {
  std::string pool;  // empty: all
  bool all_namespaces = false;
  std::optional<DocumentFormat> document;  // nothing: text for people
};
int run_status(Context& context, const StatusOptions& options);

int run_why(Context& context, const std::string& pod, std::optional<DocumentFormat> document);

struct DrainOptions {
  std::string target;  // NAME, pod/NAME or node/NAME
  bool undo = false;
  bool wait = true;
  // Zero: without limit. Nothing: as long as the pool's own drain may take, for a pod.
  std::optional<std::chrono::seconds> timeout;
};
int run_drain(Context& context, const DrainOptions& options);
int run_delete(Context& context, const DrainOptions& options);

struct WatchOptions {
  std::string pool;  // empty: all
  bool all_namespaces = false;
};
int run_watch(Context& context, const WatchOptions& options);

}  // namespace poolwarden::commands
