// A program of ours under test: started as a child, its output at hand, stopped with the object.
//
// Used by one thread; a thread of its own collects the output.
#pragma once

#include "support/cluster/log_buffer.h"
#include "support/cluster/spawn.h"

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>

#include <tl/expected.hpp>

namespace poolwarden::cluster {

class RunningProgram {
 public:
  static tl::expected<std::unique_ptr<RunningProgram>, std::string> start(const SpawnSpec& spec);
  ~RunningProgram();  // kills it and what it started
  RunningProgram(const RunningProgram&) = delete;
  RunningProgram& operator=(const RunningProgram&) = delete;

  pid_t pid() const { return child_.pid; }
  // The first line of output that contains `part`, once it is there.
  std::optional<std::string> wait_for_line(std::string_view part, std::chrono::milliseconds timeout) const;
  std::string output() const;
  void signal(int number) const;
  // Its exit code (128 + signal), once it has exited; its output is complete then.
  std::optional<int> wait_for_exit(std::chrono::milliseconds timeout);

 private:
  explicit RunningProgram(Child child);
  void collect();

  Child child_;
  LogBuffer log_;
  std::optional<int> exit_code_;
  std::thread collector_;
};

}  // namespace poolwarden::cluster
