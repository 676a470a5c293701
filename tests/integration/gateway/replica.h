// An inference server as HAProxy sees it: takes POSTs, takes its time, answers with its name. It can die as
// processes do: every connection reset, the port refused.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <list>
#include <mutex>
#include <string>
#include <thread>

namespace poolwarden::gateway {

enum class Behaviour {
  kAnswer,      // 200, after `delay`
  kHold,        // 200, once release() was called
  kRefuse,      // 503
  kHangUp,      // takes the request and closes
  kHalfHeader,  // closes in the middle of the answer's header
  kHalfAnswer,  // closes in the middle of the answer's body
};

class Replica {
 public:
  Replica(std::string name, std::string ip, std::chrono::milliseconds delay = std::chrono::milliseconds(0));
  ~Replica();
  Replica(const Replica&) = delete;
  Replica& operator=(const Replica&) = delete;

  static constexpr std::uint16_t kPort = 8000;
  const std::string& name() const { return name_; }
  const std::string& ip() const { return ip_; }

  void start();
  void abort();  // resets every connection and stops listening; start() again makes a new process of it
  void behave(Behaviour behaviour) { behaviour_ = behaviour; }
  void release();

  int requests() const { return requests_; }  // taken so far
  int answered() const { return answered_; }

 private:
  struct Connection {
    int fd = -1;
    std::thread thread;
  };
  void accept_loop(int listener);
  void serve(int fd);
  bool respond(int fd);  // false: the connection is to be closed

  const std::string name_;
  const std::string ip_;
  const std::chrono::milliseconds delay_;
  std::atomic<Behaviour> behaviour_{Behaviour::kAnswer};
  std::atomic<int> requests_{0};
  std::atomic<int> answered_{0};
  std::thread acceptor_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool running_ = false;
  bool released_ = false;
  int listener_ = -1;
  std::list<Connection> connections_;
};

}  // namespace poolwarden::gateway
