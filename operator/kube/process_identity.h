// The name under which a process takes part in an election. No two living processes have the same name. A
// process that takes a dead one's place may have its name.
//
// The name is the host's, the boot's and the network namespace's. A container that restarts in its pod keeps
// all three. Whether an earlier process of that name is dead, the kernel tells. Each process holds an
// abstract Unix socket of the host's name for as long as it lives. A network namespace has only one socket of
// a name. If a process cannot have the socket, the other one lives, be it stopped. Such a process, or one
// that cannot tell where it is, gets a random name, which nobody has had before.
//
// Keep the value until nothing that was sent under the name can be sent any more. Any thread.
#pragma once

#include <string>
#include <utility>

namespace poolwarden::kube {

class ProcessIdentity {
 public:
  // `host` is what people know the process by: in a pod, the pod's name. `election` is what it takes part in,
  // so that two processes of one host may have the same name in different ones.
  static ProcessIdentity claim(const std::string& host, const std::string& election);

  ProcessIdentity(ProcessIdentity&& other) noexcept
      : name_(std::move(other.name_)), socket_(std::exchange(other.socket_, -1)) {}
  ProcessIdentity& operator=(ProcessIdentity&&) = delete;
  ProcessIdentity(const ProcessIdentity&) = delete;
  ProcessIdentity& operator=(const ProcessIdentity&) = delete;
  ~ProcessIdentity();

  const std::string& name() const { return name_; }
  // Others before this process may have had the name, and none of them lives.
  bool outlives_process() const { return socket_ >= 0; }

 private:
  ProcessIdentity(std::string name, int socket) : name_(std::move(name)), socket_(socket) {}

  std::string name_;
  int socket_;
};

}  // namespace poolwarden::kube
