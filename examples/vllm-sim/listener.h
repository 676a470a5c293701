// cpp-httplib's server with three things that a stand-in for an inference server needs and the library does
// not offer: a handler can see that its client hung up while it generates, the number of requests whose
// answer is not yet written is known, and the pool of connection threads grows on demand.
#pragma once

#include <atomic>
#include <chrono>

#include <httplib.h>

namespace vllm_sim {

class Listener : public httplib::Server {
 public:
  Listener();

  // Binds host:port (0: any free one) and returns the port, or -1 with errno set.
  int bind(const std::string& host, int port);

  // Requests read and not yet fully answered.
  int in_flight() const { return in_flight_.load(); }

  // From a handler's thread: sleeps, but returns false at once when the client has closed its connection.
  static bool sleep_unless_gone(std::chrono::nanoseconds duration);

 private:
  bool process_and_close_socket(socket_t sock) override;
  bool serve_one(httplib::Stream& stream, bool last, bool& closed);

  std::atomic<int> in_flight_{0};
};

}  // namespace vllm_sim
