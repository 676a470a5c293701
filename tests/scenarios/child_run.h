// A function in a process of its own: it may crash, throw or hang, and whoever started it goes on.
//
// Linux only. For programs of one thread: a child has no other. The child dies with its parent.
#pragma once

#include "base/fd.h"

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <sys/types.h>

namespace poolwarden::scenarios {

class ChildRun {
 public:
  using Work = std::function<std::string()>;
  using Clock = std::chrono::steady_clock;

  // Throws std::system_error where no process can be made.
  ChildRun(const Work& work, std::chrono::milliseconds at_most);
  ~ChildRun();  // ends it
  ChildRun(const ChildRun&) = delete;
  ChildRun& operator=(const ChildRun&) = delete;

  int fd() const { return fd_.get(); }  // readable when there is something to take
  Clock::time_point deadline() const { return deadline_; }
  // Once it has ended, what the function returned, or what became of it instead. Waits for nothing.
  std::optional<std::string> take();

 private:
  std::string how_it_ended();

  base::Fd fd_;
  pid_t pid_ = -1;
  Clock::time_point deadline_;
  std::chrono::milliseconds at_most_;
  std::string text_;
};

// Waits for it.
std::string run_in_child(const ChildRun::Work& work, std::chrono::milliseconds at_most);

}  // namespace poolwarden::scenarios
