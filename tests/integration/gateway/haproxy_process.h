// A real HAProxy under test, with the configuration of examples/gateway or one given, on loopback addresses
// that no other process of the tests uses. Ended with SIGKILL unless told otherwise.
#pragma once

#include "test_process.h"

#include <cstdint>
#include <string>
#include <vector>

namespace poolwarden::gateway {

class HaproxyProcess {
 public:
  // Nothing runs yet.
  explicit HaproxyProcess(std::string config = POOLWARDEN_HAPROXY_CFG);

  // Returns once it answers on its socket; a failure of the running test otherwise.
  void start();
  // As `systemctl reload` does: a new process takes over the sockets, the one before finishes what it has.
  // Returns once the new one answers.
  void reload();
  void kill() { process_.kill(); }

  const std::string& socket_path() const { return socket_; }
  std::string state_path() const { return directory_.file("pool.state"); }
  const std::string& ip() const { return ip_; }
  static constexpr std::uint16_t kPort = 8080;
  std::string log() const;  // its standard error

 private:
  void run(std::vector<std::string> more);

  const TempDir directory_;
  const std::string config_;
  const std::string ip_;
  const std::string socket_;
  TestProcess process_;
  std::vector<TestProcess> before_;  // of reloads
};

// Runs `haproxy -c` on the file: its output, and its exit code in `code`.
std::string check_config(const std::string& file, int* code);

}  // namespace poolwarden::gateway
