#include "support/cluster/test_cluster.h"

#include "support/cluster/control_plane.h"
#include "support/cluster/drain_gate.h"
#include "support/cluster/runtime_router.h"

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>

#include <fmt/format.h>

namespace poolwarden::cluster {
namespace {

using namespace std::chrono_literals;

// Lets the loop sleep until there is a reason not to.
class Waker {
 public:
  void wake() {
    {
      const std::lock_guard lock(mutex_);
      awake_ = true;
    }
    condition_.notify_one();
  }
  void sleep_until(Timestamp deadline) {
    std::unique_lock lock(mutex_);
    condition_.wait_until(lock, deadline, [this] { return awake_; });
    awake_ = false;
  }

 private:
  std::mutex mutex_;
  std::condition_variable condition_;
  bool awake_ = false;
};

constexpr auto kLongestSleep = 1s;

tl::expected<void, std::string> send_lines(const LogBuffer& log, const apiserver::LogRequest& request,
                                           const apiserver::LogWriter& write,
                                           const std::atomic<bool>& stopping) {
  std::uint64_t next = 0;
  if (request.tail_lines)
    next = log.tail(static_cast<std::uint64_t>(std::max<std::int64_t>(*request.tail_lines, 0)));
  while (!stopping) {
    const LogBuffer::Read read = log.read(next, request.follow ? 500ms : 0ms);
    next = read.next;
    for (const LogBuffer::Line& line : read.lines) {
      const std::string stamp = request.timestamps ? api::to_rfc3339_nanos(line.at) + " " : std::string{};
      if (!write(stamp + line.text + "\n")) return {};
    }
    if (!request.follow || (read.closed && read.lines.empty())) return {};
  }
  return {};
}

}  // namespace

struct TestCluster::Impl {
  TestClusterOptions options;
  std::shared_ptr<LogStore> logs = std::make_shared<LogStore>();
  std::atomic<bool> stopping{false};
  Waker waker;
  std::unique_ptr<apiserver::Server> server;
  std::thread loop_thread;
  std::thread watch_thread;

  ~Impl() {
    stopping = true;
    waker.wake();
    if (loop_thread.joinable()) loop_thread.join();
    if (watch_thread.joinable()) watch_thread.join();
    if (server) server->stop();
  }

  // Everything is made on this thread, as pods' processes live as long as the thread that starts them.
  void loop() {
    ProcessRuntime processes(options.images, logs, [this] { waker.wake(); });
    SimRuntime hollow([this](const LaunchSpec&) { return options.hollow; });
    RuntimeRouter runtime(processes, hollow, options.hollow_images);
    Kubelet kubelet(runtime, options.timing);
    ControlPlane controllers;
    while (!stopping) {
      const Timestamp now = std::chrono::system_clock::now();
      server->with_model([&](Model& model) {
        controllers.step(model, now);
        kubelet.step(model, now);
        controllers.step(model, now);
      });
      kubelet.carry_out(now);
      Timestamp until = now + kLongestSleep;
      for (const auto& deadline : {kubelet.next_deadline(), controllers.next_deadline()}) {
        if (deadline) until = std::min(until, *deadline);
      }
      waker.sleep_until(until);
    }
  }

  void watch() {
    std::uint64_t seen = 0;
    while (!stopping) {
      const std::uint64_t revision = server->wait_for_change(seen, 200ms);
      if (revision != seen) waker.wake();
      seen = revision;
    }
  }

  tl::expected<void, std::string> send_log(const apiserver::LogRequest& request,
                                           const apiserver::LogWriter& write) const {
    const auto which = request.previous ? LogStore::Which::kPrevious : LogStore::Which::kCurrent;
    const auto log = logs->find(request.ns, request.pod, request.container, which);
    if (log) return send_lines(*log, request, write, stopping);
    if (request.previous) {
      return tl::unexpected(fmt::format("previous terminated container \"{}\" in pod \"{}\" not found",
                                        request.container, request.pod));
    }
    return tl::unexpected(fmt::format("container \"{}\" in pod \"{}\" is waiting to start: ContainerCreating",
                                      request.container, request.pod));
  }
};

TestCluster::TestCluster(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
TestCluster::~TestCluster() = default;

tl::expected<std::unique_ptr<TestCluster>, std::string> TestCluster::start(TestClusterOptions options) {
  auto impl = std::make_unique<Impl>();
  impl->options = std::move(options);
  auto server = apiserver::Server::start(impl->options.server);
  if (!server) return tl::unexpected(server.error());
  impl->server = std::move(*server);
  Impl* self = impl.get();
  impl->server->set_log_handler(
      [self](const apiserver::LogRequest& request, const apiserver::LogWriter& write) {
        return self->send_log(request, write);
      });
  impl->server->with_model([self](Model& model) {
    model.set_admission(drain_gate(model));
    create_nodes(model, self->options.nodes, self->options.zones, std::chrono::system_clock::now());
  });
  impl->loop_thread = std::thread([self] { self->loop(); });
  impl->watch_thread = std::thread([self] { self->watch(); });
  return std::unique_ptr<TestCluster>(new TestCluster(std::move(impl)));
}

apiserver::Server& TestCluster::server() {
  return *impl_->server;
}

tl::expected<void, std::string> TestCluster::load(std::string_view yaml) {
  tl::expected<void, std::string> result;
  impl_->server->with_model(
      [&](Model& model) { result = model.load(yaml, std::chrono::system_clock::now()); });
  return result;
}

}  // namespace poolwarden::cluster
