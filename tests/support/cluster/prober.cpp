#include "support/cluster/prober.h"

#include "support/cluster/spawn.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <httplib.h>

namespace poolwarden::cluster {
namespace {

int millis(std::chrono::seconds duration) {
  return static_cast<int>(std::chrono::duration_cast<std::chrono::milliseconds>(duration).count());
}

// https://kubernetes.io/docs/tasks/configure-pod-container/configure-liveness-readiness-startup-probes/
bool http_get(const ProbeSpec& spec, const std::string& host) {
  httplib::Client client(host, spec.port);
  client.set_connection_timeout(spec.timeout);
  client.set_read_timeout(spec.timeout);
  client.set_write_timeout(spec.timeout);
  httplib::Headers headers = {{"User-Agent", "kube-probe/1.32"}, {"Accept", "*/*"}, {"Connection", "close"}};
  for (const auto& [name, value] : spec.headers) headers.emplace(name, value);
  const httplib::Result result = client.Get(spec.path, headers);
  return result && result->status >= 200 && result->status < 400;
}

bool tcp_connect(const ProbeSpec& spec, const std::string& host) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(spec.port));
  if (::inet_pton(AF_INET, host.c_str(), &address.sin_addr) != 1) return false;
  const int sock = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (sock < 0) return false;
  int error = 0;
  if (::connect(sock, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    pollfd entry{sock, POLLOUT, 0};
    socklen_t length = sizeof error;
    error = errno;
    if (error == EINPROGRESS && ::poll(&entry, 1, millis(spec.timeout)) > 0) {
      ::getsockopt(sock, SOL_SOCKET, SO_ERROR, &error, &length);
    }
  }
  ::close(sock);
  return error == 0;
}

bool exec_command(const ProbeTarget& target) {
  const auto child = spawn({target.spec.command, target.env});
  if (!child) return false;
  ::close(child->output);  // what it says is not kept
  pollfd entry{child->pidfd, POLLIN, 0};
  const bool in_time = ::poll(&entry, 1, millis(target.spec.timeout)) > 0;
  if (!in_time) kill_group(child->pid);
  const int code = reap(child->pid);
  ::close(child->pidfd);
  return in_time && code == 0;
}

}  // namespace

bool run_probe(const ProbeTarget& target) {
  const std::string& host = target.spec.host.empty() ? target.ip : target.spec.host;
  switch (target.spec.kind) {
    case ProbeKind::kHttp:
      return http_get(target.spec, host);
    case ProbeKind::kTcp:
      return tcp_connect(target.spec, host);
    case ProbeKind::kExec:
      return exec_command(target);
  }
  return false;
}

Prober::Prober(std::size_t threads) {
  for (std::size_t i = 0; i < threads; ++i) threads_.emplace_back([this] { work(); });
}

Prober::~Prober() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    tasks_.clear();
  }
  wake_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void Prober::submit(ProbeTarget target, Done done) {
  {
    const std::lock_guard lock(mutex_);
    if (stopping_) return;
    tasks_.emplace_back(std::move(target), std::move(done));
  }
  wake_.notify_one();
}

void Prober::work() {
  std::unique_lock lock(mutex_);
  while (true) {
    wake_.wait(lock, [this] { return stopping_ || !tasks_.empty(); });
    if (stopping_) return;
    const auto [target, done] = std::move(tasks_.front());
    tasks_.pop_front();
    lock.unlock();
    done(run_probe(target));
    lock.lock();
  }
}

}  // namespace poolwarden::cluster
