// A real nginx under test (Debian package nginx-light), with the configuration and the template of
// examples/nginx on a loopback address of its own. Ended when this ends.
#pragma once

#include "test_process.h"

#include <cstdint>
#include <optional>
#include <string>

namespace poolwarden::gateway {

// Nothing where there is none.
std::optional<std::string> nginx_program();

class NginxProcess {
 public:
  static constexpr std::uint16_t kPort = 8080;

  // Nothing runs yet.
  NginxProcess();
  ~NginxProcess();
  NginxProcess(const NginxProcess&) = delete;
  NginxProcess& operator=(const NginxProcess&) = delete;

  // Returns once it serves; a failure of the running test otherwise.
  void start();
  // As -s reload has it: the configuration is checked, and the process is told.
  std::string reload_command() const;

  const std::string& ip() const { return ip_; }
  std::string template_file() const { return directory_.file("pool.conf.mustache"); }
  std::string pool_file() const { return directory_.file("run/pool.conf"); }
  std::string pid_file() const { return directory_.file("run/nginx.pid"); }
  std::string log() const;

 private:
  const TempDir directory_;
  const std::string ip_;
  TestProcess process_;
};

}  // namespace poolwarden::gateway
