#include "support/cluster/container_machine.h"

#include "support/cluster/overloaded.h"

#include <algorithm>

namespace poolwarden::cluster {

using namespace container;
using namespace std::chrono_literals;

namespace {

constexpr auto kMinimumGrace = 2s;
constexpr auto kHealthyRun = 10min;

}  // namespace

std::vector<Effect> ContainerMachine::step(const Input& input, Timestamp now) {
  return std::visit([&](const auto& each) { return on(each, now); }, input);
}

bool ContainerMachine::is_up() const {
  return up_since().has_value();
}

bool ContainerMachine::is_over() const {
  return std::holds_alternative<Terminated>(state_);
}

std::optional<Timestamp> ContainerMachine::up_since() const {
  using Since = std::optional<Timestamp>;
  return std::visit(
      Overloaded{[](const Running& at) { return Since(at.since); },
                 [](const PreStop& at) { return Since(at.since); },
                 [](const Stopping& at) { return Since(at.since); }, [](const auto&) { return Since(); }},
      state_);
}

std::optional<Timestamp> ContainerMachine::next_deadline() const {
  using Deadline = std::optional<Timestamp>;
  return std::visit(
      Overloaded{[](const Waiting& at) { return Deadline(at.until); },
                 [](const PreStop& at) {
                   return Deadline(at.hook_over ? std::min(*at.hook_over, at.kill_at) : at.kill_at);
                 },
                 [](const Stopping& at) { return at.killed ? Deadline() : Deadline(at.kill_at); },
                 [](const auto&) { return Deadline(); }},
      state_);
}

std::chrono::milliseconds ContainerMachine::backoff() const {
  if (failures_in_a_row_ <= 1) return 0ms;
  const int doublings = std::min(failures_in_a_row_ - 2, 20);
  return std::min(rules_.first_backoff * (std::int64_t{1} << doublings), rules_.longest_backoff);
}

std::vector<Effect> ContainerMachine::terminate(Timestamp since, Timestamp kill_at, Timestamp now) {
  state_ = Stopping{since, std::max<Timestamp>(kill_at, now + kMinimumGrace), false};
  return {Effect::kTerm};
}

std::vector<Effect> ContainerMachine::kill(Timestamp since) {
  state_ = Stopping{since, {}, true};
  return {Effect::kKill};
}

std::vector<Effect> ContainerMachine::stop_running(Timestamp since, std::chrono::seconds grace,
                                                   Timestamp now) {
  if (grace <= 0s) return kill(since);
  const Timestamp kill_at = now + grace;
  const PreStopHook& hook = rules_.pre_stop;
  if (!hook.present()) return terminate(since, kill_at, now);
  if (hook.sleep) {
    state_ = PreStop{since, now + *hook.sleep, kill_at};
    return {};
  }
  state_ = PreStop{since, std::nullopt, kill_at};
  return {Effect::kRunHook};
}

std::vector<Effect> ContainerMachine::on(const Tick&, Timestamp now) {
  if (const auto* waiting = std::get_if<Waiting>(&state_); waiting != nullptr && now >= waiting->until) {
    state_ = Starting{};
    return {Effect::kStart};
  }
  if (const auto* hook = std::get_if<PreStop>(&state_); hook != nullptr) {
    const bool over = now >= hook->kill_at || (hook->hook_over && now >= *hook->hook_over);
    if (over) return terminate(hook->since, hook->kill_at, now);
  }
  if (auto* stopping = std::get_if<Stopping>(&state_);
      stopping != nullptr && !stopping->killed && now >= stopping->kill_at) {
    stopping->killed = true;
    return {Effect::kKill};
  }
  return {};
}

std::vector<Effect> ContainerMachine::on(const Started&, Timestamp now) {
  if (std::holds_alternative<Starting>(state_)) {
    state_ = Running{now};
    return {};
  }
  // It was to stop while it started: the signal sent then may have met nothing.
  if (const auto* stopping = std::get_if<Stopping>(&state_); stopping != nullptr) {
    return {stopping->killed ? Effect::kKill : Effect::kTerm};
  }
  return {};
}

std::vector<Effect> ContainerMachine::on(const StartFailed& input, Timestamp now) {
  if (std::holds_alternative<Stopping>(state_)) {
    state_ = Terminated{std::nullopt, now, 128, "ContainerStatusUnknown"};
    return {};
  }
  if (!std::holds_alternative<Starting>(state_)) return {};
  ++failures_in_a_row_;
  state_ = Waiting{input.reason, input.message, now + std::max(backoff(), rules_.first_backoff)};
  return {};
}

std::vector<Effect> ContainerMachine::on(const Exited& input, Timestamp now) {
  std::optional<Timestamp> since = up_since();
  if (!since && !std::holds_alternative<Starting>(state_)) return {};
  const bool stopped = !std::holds_alternative<Running>(state_) && !std::holds_alternative<Starting>(state_);
  Terminated exit{since, now, input.exit_code, input.exit_code == 0 ? "Completed" : "Error"};
  const bool again =
      !for_good_ && (rules_.restart == RestartPolicy::kAlways ||
                     (rules_.restart == RestartPolicy::kOnFailure && (stopped || input.exit_code != 0)));
  if (!again) {
    state_ = std::move(exit);
    return {};
  }
  if (since && now - *since >= kHealthyRun) failures_in_a_row_ = 0;
  ++failures_in_a_row_;
  ++restarts_;
  last_exit_ = std::move(exit);
  const auto delay = backoff();
  state_ = Waiting{delay > 0ms ? "CrashLoopBackOff" : "ContainerCreating",
                   delay > 0ms ? "back-off restarting failed container" : "", now + delay};
  return {};
}

std::vector<Effect> ContainerMachine::on(const HookDone&, Timestamp now) {
  if (const auto* hook = std::get_if<PreStop>(&state_); hook != nullptr) {
    return terminate(hook->since, hook->kill_at, now);
  }
  return {};
}

std::vector<Effect> ContainerMachine::on(const Stop& input, Timestamp now) {
  for_good_ = for_good_ || input.for_good;
  if (std::holds_alternative<Waiting>(state_)) {
    if (for_good_) state_ = Terminated{std::nullopt, now, 137, "ContainerStatusUnknown"};
    return {};
  }
  if (std::holds_alternative<Starting>(state_)) {
    if (!for_good_) return {};
    return input.grace <= 0s ? kill(now) : terminate(now, now + input.grace, now);
  }
  if (const auto* running = std::get_if<Running>(&state_); running != nullptr) {
    return stop_running(running->since, input.grace, now);
  }
  if (input.grace <= 0s && is_up()) {
    const auto* stopping = std::get_if<Stopping>(&state_);
    return stopping != nullptr && stopping->killed ? std::vector<Effect>{} : kill(*up_since());
  }
  shorten(input.grace, now);
  return {};
}

void ContainerMachine::shorten(std::chrono::seconds grace, Timestamp now) {
  const Timestamp at = now + grace;
  if (auto* hook = std::get_if<PreStop>(&state_); hook != nullptr)
    hook->kill_at = std::min(hook->kill_at, at);
  if (auto* stopping = std::get_if<Stopping>(&state_); stopping != nullptr && !stopping->killed) {
    stopping->kill_at = std::min(stopping->kill_at, at);
  }
}

}  // namespace poolwarden::cluster
