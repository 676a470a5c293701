#include "commands/session.h"

#include "commands/list_pages.h"
#include "kube/cpprest_transport.h"

#include <cstdint>
#include <optional>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace poolwarden::commands {
namespace {

using nlohmann::json;
using Clock = std::chrono::steady_clock;

// Beyond a call's own deadline, which the transport keeps.
constexpr std::chrono::seconds kSpare{5};

kube::Error interrupted_error() {
  return {kube::ErrorClass::kShutdown, 0, "Interrupted", "interrupted", std::nullopt};
}

kube::Result<json> parse(const kube::Call& call, const std::string& body) {
  json document = json::parse(body, nullptr, false);
  if (document.is_object()) return document;
  return tl::unexpected(kube::Error{
      kube::ErrorClass::kTerminal, 200, "Unreadable",
      fmt::format("{}: the answer is not a JSON object: is the server in the kubeconfig an API server?",
                  kube::describe(call)),
      std::nullopt});
}

}  // namespace

// Where the one thread waits: for the answer of its call, or for Ctrl-C.
struct Session::Waiting {
  kube::Mutex mutex;
  kube::CondVar changed;
  bool stopped POOLWARDEN_GUARDED_BY(mutex) = false;
  std::function<void()> react POOLWARDEN_GUARDED_BY(mutex);
  std::uint64_t asked POOLWARDEN_GUARDED_BY(mutex) = 0;  // an answer to an earlier call is not ours
  std::optional<kube::Result<std::string>> answer POOLWARDEN_GUARDED_BY(mutex);

  void stop() POOLWARDEN_EXCLUDES(mutex) {
    std::function<void()> call;
    {
      const kube::MutexLock lock(mutex);
      stopped = true;
      call = std::exchange(react, nullptr);
    }
    changed.notify_all();
    if (call) call();
  }

  void answered(std::uint64_t number, kube::Result<std::string> result) POOLWARDEN_EXCLUDES(mutex) {
    {
      const kube::MutexLock lock(mutex);
      if (number != asked) return;
      answer = std::move(result);
    }
    changed.notify_all();
  }
};

Session::Session(std::shared_ptr<Waiting> waiting, std::unique_ptr<telemetry::StopSignals> signals,
                 std::unique_ptr<kube::Transport> transport, std::string ns)
    : waiting_(std::move(waiting)),
      signals_(std::move(signals)),
      transport_(std::move(transport)),
      dated_(*transport_, clock_, [] { return Clock::now(); }),
      client_(dated_),
      ns_(std::move(ns)) {
  signals_->on_stop([waiting = waiting_] { waiting->stop(); });
}

Session::~Session() {
  signals_->on_stop({});
}

kube::Result<std::unique_ptr<Session>> Session::open(const kube::AccessOptions& options,
                                                     const std::string& ns) {
  auto signals = std::make_unique<telemetry::StopSignals>();
  auto access = kube::find_cluster_access(options, kube::AccessEnvironment::of_process());
  if (!access) return tl::unexpected(std::move(access.error()));
  std::string own_ns = ns.empty() ? access->ns : ns;
  auto transport = kube::make_cpprest_transport(
      std::move(*access), {.threads = 2, .max_connections = 4, .keep_warm = std::chrono::seconds(0)});
  if (!transport) return tl::unexpected(std::move(transport.error()));
  return std::unique_ptr<Session>(
      new Session(std::make_shared<Waiting>(), std::move(signals), std::move(*transport), std::move(own_ns)));
}

api::Now Session::now() const {
  const auto mono = Clock::now();
  return {mono, clock_.at_or(mono, std::chrono::system_clock::now())};
}

kube::Result<json> Session::call(const kube::Call& call) {
  std::uint64_t number = 0;
  {
    const kube::MutexLock lock(waiting_->mutex);
    if (waiting_->stopped) return tl::unexpected(interrupted_error());
    number = ++waiting_->asked;
    waiting_->answer.reset();
  }
  client_.send(call, [waiting = waiting_, number](kube::Result<std::string> result) {
    waiting->answered(number, std::move(result));
  });
  kube::Result<std::string> result = tl::unexpected(interrupted_error());
  {
    const auto until = Clock::now() + call.deadline + kSpare;
    const kube::MutexLock lock(waiting_->mutex);
    bool in_time = true;
    while (!waiting_->answer && !waiting_->stopped && in_time)
      in_time = waiting_->changed.wait_until(waiting_->mutex, until);
    if (waiting_->answer) {
      result = std::move(*waiting_->answer);
    } else if (!waiting_->stopped) {
      result = tl::unexpected(kube::Error{kube::ErrorClass::kRetry, 0, "DeadlineExceeded",
                                          kube::describe(call) + ": no answer", std::nullopt});
    }
  }
  if (!result) return tl::unexpected(std::move(result.error()));
  return parse(call, *result);
}

kube::Result<std::vector<json>> Session::list(kube::Call scope) {
  return list_pages(std::move(scope), [this](const kube::Call& page) { return call(page); });
}

bool Session::pause(std::chrono::milliseconds time) {
  const auto until = Clock::now() + time;
  const kube::MutexLock lock(waiting_->mutex);
  bool in_time = true;
  while (!waiting_->stopped && in_time) in_time = waiting_->changed.wait_until(waiting_->mutex, until);
  return !waiting_->stopped;
}

bool Session::interrupted() const {
  const kube::MutexLock lock(waiting_->mutex);
  return waiting_->stopped;
}

void Session::on_interrupt(std::function<void()> react) {
  {
    const kube::MutexLock lock(waiting_->mutex);
    if (!waiting_->stopped) {
      waiting_->react = std::move(react);
      return;
    }
  }
  if (react) react();
}

}  // namespace poolwarden::commands
