// A real HAProxy under test, with the configuration of examples/gateway or one given, on loopback addresses
// that no other process of the tests uses. Ended with SIGKILL unless told otherwise.
#pragma once

#include "test_process.h"

#include <cstdint>
#include <string>

namespace poolwarden::gateway {

class HaproxyProcess {
 public:
  // Nothing runs yet.
  explicit HaproxyProcess(std::string config = POOLWARDEN_HAPROXY_CFG);

  // Returns once it answers on its socket; a failure of the running test otherwise.
  void start();
  void kill() { process_.kill(); }

  const std::string& socket_path() const { return socket_; }
  const std::string& ip() const { return ip_; }
  static constexpr std::uint16_t kPort = 8080;
  std::string log() const;  // its standard error

 private:
  const TempDir directory_;
  const std::string config_;
  const std::string ip_;
  const std::string socket_;
  TestProcess process_;
};

// Runs `haproxy -c` on the file: its output, and its exit code in `code`.
std::string check_config(const std::string& file, int* code);

}  // namespace poolwarden::gateway
