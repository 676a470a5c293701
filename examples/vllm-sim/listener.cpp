#include "listener.h"

#include <algorithm>
#include <arpa/inet.h>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <poll.h>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>
#include <vector>

namespace vllm_sim {
namespace {

using namespace std::chrono_literals;

constexpr int kKeepAliveMs = 5000;  // uvicorn's timeout_keep_alive, which vLLM leaves at 5 s
constexpr int kIoTimeoutMs = 30'000;
constexpr int kBacklog = 512;  // the library's 5 makes a burst of connections wait for a retransmitted SYN
constexpr std::size_t kMaxThreads = 2048;

thread_local int current_socket = -1;

bool ready(int fd, short events, int timeout_ms) {
  pollfd entry{fd, events, 0};
  return ::poll(&entry, 1, timeout_ms) > 0;
}

class SocketStream final : public httplib::Stream {
 public:
  explicit SocketStream(int fd) : fd_(fd) {}

  bool is_readable() const override { return ready(fd_, POLLIN, kIoTimeoutMs); }
  bool is_writable() const override { return ready(fd_, POLLOUT, kIoTimeoutMs); }

  ssize_t read(char* out, std::size_t size) override {
    if (begin_ == end_) {
      if (!is_readable()) return -1;
      const ssize_t got = ::recv(fd_, buffer_, sizeof buffer_, 0);
      if (got <= 0) return got;
      begin_ = 0;
      end_ = static_cast<std::size_t>(got);
    }
    const std::size_t part = std::min(size, end_ - begin_);
    std::copy_n(buffer_ + begin_, part, out);
    begin_ += part;
    return static_cast<ssize_t>(part);
  }

  ssize_t write(const char* data, std::size_t size) override {
    if (!is_writable()) return -1;
    return ::send(fd_, data, size, MSG_NOSIGNAL);
  }

  void get_remote_ip_and_port(std::string& ip, int& port) const override { name(&::getpeername, ip, port); }
  void get_local_ip_and_port(std::string& ip, int& port) const override { name(&::getsockname, ip, port); }
  socket_t socket() const override { return fd_; }

  // Something to read already, or before the time is up.
  bool wait_for_request(int timeout_ms) const { return begin_ != end_ || ready(fd_, POLLIN, timeout_ms); }

 private:
  using NameCall = int (*)(int, sockaddr*, socklen_t*);
  void name(NameCall call, std::string& ip, int& port) const {
    sockaddr_in address{};
    socklen_t length = sizeof address;
    if (call(fd_, reinterpret_cast<sockaddr*>(&address), &length) != 0) return;
    char text[INET_ADDRSTRLEN] = {};
    ::inet_ntop(AF_INET, &address.sin_addr, text, sizeof text);
    ip = text;
    port = ntohs(address.sin_port);
  }

  int fd_;
  char buffer_[16 * 1024];
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
};

// A thread a connection, made when none is idle: a generation occupies its thread for as long as it lasts.
class GrowingPool final : public httplib::TaskQueue {
 public:
  void enqueue(std::function<void()> task) override {
    const std::lock_guard lock(mutex_);
    tasks_.push_back(std::move(task));
    if (tasks_.size() > idle_ && threads_.size() < kMaxThreads) threads_.emplace_back([this] { work(); });
    wake_.notify_one();
  }

  void shutdown() override {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    wake_.notify_all();
    for (std::thread& thread : threads_) thread.join();
  }

 private:
  void work() {
    std::unique_lock lock(mutex_);
    while (true) {
      ++idle_;
      wake_.wait(lock, [this] { return stopping_ || !tasks_.empty(); });
      --idle_;
      if (tasks_.empty()) return;
      const std::function<void()> task = std::move(tasks_.front());
      tasks_.pop_front();
      lock.unlock();
      task();
      lock.lock();
    }
  }

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::function<void()>> tasks_;
  std::vector<std::thread> threads_;
  std::size_t idle_ = 0;
  bool stopping_ = false;
};

}  // namespace

Listener::Listener() {
  new_task_queue = [] { return new GrowingPool; };
  set_tcp_nodelay(true);
  // The library would set SO_REUSEPORT, with which two servers silently share one port.
  set_socket_options([](socket_t sock) {
    const int on = 1;
    ::setsockopt(sock, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  });
}

int Listener::bind(const std::string& host, int port) {
  const int bound = port == 0 ? bind_to_any_port(host) : (bind_to_port(host, port) ? port : -1);
  if (bound > 0) ::listen(svr_sock_, kBacklog);
  return bound;
}

bool Listener::sleep_unless_gone(std::chrono::nanoseconds duration) {
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(duration);
  const timespec timeout{seconds.count(), (duration - seconds).count()};
  pollfd entry{current_socket, POLLRDHUP, 0};
  return ::ppoll(&entry, 1, &timeout, nullptr) <= 0;
}

bool Listener::serve_one(httplib::Stream& stream, bool last, bool& closed) {
  bool counted = false;
  const bool ok = process_request(stream, last, closed, [&](httplib::Request& request) {
    // The library would compress, and hold a stream's tokens back while doing so. vLLM does not compress.
    request.headers.erase("Accept-Encoding");
    counted = true;
    ++in_flight_;
  });
  if (counted) --in_flight_;
  return ok;
}

bool Listener::process_and_close_socket(socket_t sock) {
  SocketStream stream(sock);
  current_socket = sock;
  bool ok = true;
  bool closed = false;
  while (ok && !closed && is_running() && stream.wait_for_request(kKeepAliveMs)) {
    ok = serve_one(stream, /*last=*/false, closed);
  }
  current_socket = -1;
  ::shutdown(sock, SHUT_RDWR);
  ::close(sock);
  return ok;
}

}  // namespace vllm_sim
