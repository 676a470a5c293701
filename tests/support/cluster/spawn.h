// Starting a program as a child that cannot outlive this process.
//
// The child leads a process group of its own and is killed by the kernel when the thread that started it
// ends (PR_SET_PDEATHSIG), also after a kill -9 of this process; so start children from threads that live as
// long as they should. Children of children are only killed with their group, by kill_group().
#pragma once

#include <string>
#include <sys/types.h>
#include <utility>
#include <vector>

#include <tl/expected.hpp>

namespace poolwarden::cluster {

struct Child {
  pid_t pid = -1;
  int pidfd = -1;   // readable once it has exited; the caller closes it
  int output = -1;  // its stdout and stderr; the caller closes it
};

struct SpawnSpec {
  std::vector<std::string> argv;  // the program is looked for in $PATH if its name has no '/'
  std::vector<std::pair<std::string, std::string>> env;  // besides PATH, HOME and the like
};

// An error is a sentence: what could not be run, and why.
tl::expected<Child, std::string> spawn(const SpawnSpec& spec);

void kill_group(pid_t pid);  // SIGKILL to the child and everything it started
// Takes the exit status of a child that has exited: its code, or 128 + signal. Kills what it left behind.
int reap(pid_t pid);

}  // namespace poolwarden::cluster
