// What tests of gateways need of this machine: addresses and directories of their own, and programs that are
// started and ended. Anything here is one test's.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <sys/types.h>
#include <thread>
#include <vector>

namespace poolwarden::gateway {

// A fresh loopback address for each call, apart from other test processes' by this process' id.
std::string fresh_ip();

std::string contents_of(const std::string& path);

// Looks again and again.
template <class Condition>
bool eventually(Condition condition, std::chrono::milliseconds pause = std::chrono::milliseconds(5)) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(pause);
  }
  return true;
}

// A directory of its own, gone with it.
class TempDir {
 public:
  TempDir();
  ~TempDir();
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  std::string file(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

// A program, with what it says in a file. Killed when this ends.
class TestProcess {
 public:
  TestProcess() = default;
  ~TestProcess() { kill(); }
  TestProcess(TestProcess&& other) noexcept : pid_(other.pid_) { other.pid_ = -1; }
  TestProcess& operator=(TestProcess&&) = delete;
  TestProcess(const TestProcess&) = delete;
  TestProcess& operator=(const TestProcess&) = delete;

  // A failure of the running test if it cannot be begun. Without `environment` it has ours.
  void start(std::vector<std::string> command, const std::string& output,
             std::optional<std::vector<std::string>> environment = std::nullopt);
  void kill();
  int end();   // by SIGTERM: its exit code
  int wait();  // its exit code; -1 if a signal ended it
  pid_t id() const { return pid_; }

 private:
  pid_t pid_ = -1;
};

}  // namespace poolwarden::gateway
