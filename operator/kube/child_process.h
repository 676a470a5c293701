// Runs a program without a shell and returns what it printed.
#pragma once

#include <chrono>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include <tl/expected.hpp>

namespace poolwarden::kube {

struct ChildProcess {
  std::string command;  // with a slash a path, else looked up in $PATH
  std::vector<std::string> args;
  std::vector<std::pair<std::string, std::string>> env;  // on top of our own
  std::chrono::milliseconds deadline{30'000};
  std::size_t max_output_bytes = 1u << 20;
  // Nobody wants the answer: the program may print as much as it likes, and a failure quotes the last of it,
  // whichever stream it went to.
  bool for_its_effect = false;
};

struct ChildFailure {
  bool not_found = false;
  std::string message;  // for a person; with the beginning of what the program wrote to stderr, or see above
};

// Blocks until the program ends, its deadline passes or `stop` is requested. In the last two cases the
// program and its descendants in the same process group are killed. Its standard input is empty, and it
// inherits no file of ours. Anything but exit status 0 is a failure.
tl::expected<std::string, ChildFailure> run_child(const ChildProcess& child, const std::stop_token& stop);

}  // namespace poolwarden::kube
