// A real Envoy under test, with the bootstrap of examples/envoy on loopback addresses of its own. Ended with
// SIGKILL unless told otherwise.
#pragma once

#include "test_process.h"

#include <cstdint>
#include <optional>
#include <string>

namespace poolwarden::gateway {

// Fetched once; nothing where it cannot be had.
std::optional<std::string> envoy_program();

class EnvoyProcess {
 public:
  static constexpr std::uint16_t kPort = 8080;
  static constexpr std::uint16_t kAdminPort = 9901;

  // Nothing runs yet. `service_name`: what Envoy expects the file's cluster_name to be, if not its own.
  explicit EnvoyProcess(const std::string& service_name = {});

  // Returns once it serves; a failure of the running test otherwise.
  void start();
  void kill() { process_.kill(); }

  const std::string& ip() const { return ip_; }
  std::string eds_directory() const { return directory_.file("eds"); }
  std::string file() const { return directory_.file("eds/vllm.json"); }
  std::string admin() const;
  std::string log() const;

 private:
  const TempDir directory_;
  const std::string ip_;
  TestProcess process_;
};

}  // namespace poolwarden::gateway
