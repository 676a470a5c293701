// A real HAProxy under test, with the configuration of examples/gateway or one given, on loopback addresses
// that no other process of the tests uses. Ended with SIGKILL unless told otherwise.
#pragma once

#include <cstdint>
#include <string>
#include <sys/types.h>

namespace poolwarden::gateway {

// A fresh loopback address for each call, apart from other test processes' by this process' id.
std::string fresh_ip();

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

class HaproxyProcess {
 public:
  // Nothing runs yet.
  explicit HaproxyProcess(std::string config = POOLWARDEN_HAPROXY_CFG);
  ~HaproxyProcess();
  HaproxyProcess(const HaproxyProcess&) = delete;
  HaproxyProcess& operator=(const HaproxyProcess&) = delete;

  // Returns once it answers on its socket; a failure of the running test otherwise.
  void start();
  void kill();

  const std::string& socket_path() const { return socket_; }
  const std::string& ip() const { return ip_; }
  static constexpr std::uint16_t kPort = 8080;
  std::string log() const;  // its standard error

 private:
  const TempDir directory_;
  const std::string config_;
  const std::string ip_;
  const std::string socket_;
  pid_t pid_ = -1;
};

// Runs `haproxy -c` on the file: its output, and its exit code in `code`.
std::string check_config(const std::string& file, int* code);

}  // namespace poolwarden::gateway
