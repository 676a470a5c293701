#include "control/loop.h"

#include <algorithm>
#include <malloc.h>
#include <utility>
#include <vector>

namespace poolwarden::control {
namespace {

// From here on people who compare two logs would wonder.
constexpr std::chrono::seconds kFarApart{60};

// What lists and a burst of writes leave behind is spread over pages that the C library keeps.
void give_freed_memory_back() {
#ifdef __GLIBC__
  ::malloc_trim(0);
#endif
}

}  // namespace

api::Now Loop::read_clocks() {
  const auto mono = std::chrono::steady_clock::now();
  const auto own = std::chrono::system_clock::now();
  const auto wall = clock_.at_or(mono, own);
  const auto ahead = std::chrono::round<std::chrono::seconds>(own - wall);
  if (std::chrono::abs(ahead) >= kFarApart && !std::exchange(tells_apart_, true)) {
    log_.warn("this machine's clock is not the API server's, which is the one that drains go by",
              {{"ahead_seconds", ahead.count()}});
  }
  return {mono, wall};
}

void Loop::post(Input input) {
  // False only after the end: then nobody is interested any more.
  [[maybe_unused]] const bool taken = queue_.push(std::move(input));
}

Exit Loop::run(Shell& shell) {
  Effects effects = core_.start(read_clocks());
  std::vector<Input> inputs;
  for (;;) {
    // Withdrawals leave before the log says so.
    shell.perform(effects);
    for (const LogLine& line : effects.logs) write(line);
    const api::Now now = read_clocks();
    show_health(now.mono);
    if (effects.exit) break;
    if (board_ != nullptr && board_->due(now.mono)) board_->show(core_.sight(now));
    queue_.wait_until(sleep_until(now.mono));
    queue_.try_pop_all(inputs);
    const api::Now woken = read_clocks();
    measure(inputs, woken.mono);
    if (quiet_.begins(!inputs.empty(), woken.mono)) give_freed_memory_back();
    effects = core_.step(inputs, woken);
  }
  queue_.close();
  return *effects.exit;
}

kube::TimePoint Loop::sleep_until(kube::TimePoint now) const {
  const kube::TimePoint heartbeat = now + kHeartbeat;
  const kube::TimePoint showing = board_ != nullptr ? board_->next_due() : heartbeat;
  return std::min({core_.next_deadline().value_or(heartbeat), heartbeat, showing});
}

std::optional<LoopHealth> Loop::health() const {
  const kube::MutexLock lock(health_mutex_);
  return health_;
}

void Loop::show_health(kube::TimePoint now) {
  LoopHealth health{core_.health(), now};
  const kube::MutexLock lock(health_mutex_);
  health_ = std::move(health);
}

void Loop::measure(const std::vector<Input>& inputs, kube::TimePoint now) {
  if (inputs.empty()) return;
  kube::TimePoint oldest = now;
  for (const Input& input : inputs) {
    std::visit(
        [&oldest](const auto& what) {
          if constexpr (requires { what.input.decoded_at; }) oldest = std::min(oldest, what.input.decoded_at);
        },
        input);
  }
  metrics_.step_took(now - oldest);
}

void Loop::write(const LogLine& line) {
  std::vector<telemetry::Field> fields;
  fields.reserve(line.fields.size());
  for (const auto& [key, value] : line.fields) fields.emplace_back(key, value);
  log_.write(line.level, line.message, fields);
}

}  // namespace poolwarden::control
