#include "gateway/gateway_core.h"

#include "base/backoff.h"

#include <algorithm>
#include <set>

#include <fmt/format.h>

namespace poolwarden::gateway {
namespace {

// The first failure costs kFirstRetry.
kube::Duration retry_delay(int failures) {
  return base::exponential_delay(kFirstRetry, static_cast<std::uint32_t>(std::max(failures, 1) - 1),
                                 kLastRetry);
}

kube::Error unsettled(const std::string& message) {
  return {kube::ErrorClass::kRetry, 0, "NotSettled", message, std::nullopt};
}

}  // namespace

GatewayCore::GatewayCore(CoreOptions options) : options_(std::move(options)) {}

std::vector<CoreEffect> GatewayCore::step(CoreInput input, kube::TimePoint now) {
  Effects out;
  std::visit([&](auto&& what) { on(std::forward<decltype(what)>(what), now, out); }, std::move(input));
  return out;
}

std::optional<kube::TimePoint> GatewayCore::next_deadline() const {
  if (const auto* resting = std::get_if<Resting>(&state_)) return resting->next;
  if (const auto* waiting = std::get_if<BackingOff>(&state_)) return waiting->until;
  return std::nullopt;
}

std::string_view GatewayCore::state_name() const {
  constexpr std::string_view kNames[] = {"awaiting-list", "observing", "applying", "resting", "backing-off"};
  static_assert(std::size(kNames) == std::variant_size_v<State>);
  return kNames[state_.index()];
}

void GatewayCore::on(input::ListSeen seen, kube::TimePoint, Effects& out) {
  std::vector<std::string> problems;
  wanted_ = wanted_servers(seen.list, &problems);
  if (!problems.empty()) out.emplace_back(effect::ListProblems{std::move(problems)});
  revision_ = seen.list.revision;
  for (const WantedServer& want : wanted_) pods_[want.address] = want.pod;
  if (!pending_since_) pending_since_ = seen.decoded_at;
  // While something is asked of HAProxy its answer comes first; the pass after it uses the new list.
  if (!std::holds_alternative<Observing>(state_) && !std::holds_alternative<Applying>(state_))
    observe(0, out);
}

void GatewayCore::on(const input::SnapshotArrived& arrived, kube::TimePoint now, Effects& out) {
  const auto* observing = std::get_if<Observing>(&state_);
  if (observing == nullptr || observing->attempt != arrived.attempt) return;
  const int pass = observing->pass;
  note_process(arrived.snapshot, out);
  forget_names(arrived.snapshot);
  HaproxyPlan plan = make_plan(wanted_, arrived.snapshot, options_.names);
  if (plan.slots == 0) {
    back_off(unsettled(fmt::format(
                 "HAProxy's backend {0} has no server named {1}1, {1}2, ...: add 'server-template "
                 "{1} 64 127.0.0.1:1 disabled' to it, or correct --server-prefix",
                 options_.names.backend, options_.names.slot_prefix)),
             now, out);
  } else if (plan.commands.empty()) {
    settle(plan, now, out);
  } else if (pass >= kMaxPasses) {
    back_off(
        unsettled(fmt::format("backend {} does not stay as it is told ('{}' is needed again and again): is "
                              "another program changing its servers?",
                              options_.names.backend, plan.commands.front().text)),
        now, out);
  } else {
    state_ = Applying{++attempts_, pass, plan.commands};
    out.emplace_back(effect::Apply{attempts_, std::move(plan.commands)});
  }
}

void GatewayCore::on(const input::Answered& answered, kube::TimePoint now, Effects& out) {
  auto* applying = std::get_if<Applying>(&state_);
  if (applying == nullptr || applying->attempt != answered.attempt) return;
  const int pass = applying->pass;
  const std::vector<Command> commands = std::move(applying->commands);
  if (answered.answers.size() != commands.size()) {
    back_off(unsettled(fmt::format("HAProxy gave {} answers to {} commands", answered.answers.size(),
                                   commands.size())),
             now, out);
    return;
  }
  std::optional<std::string> refused;
  for (std::size_t i = 0; i < commands.size(); ++i) {
    if (auto problem = refusal_of(commands[i], answered.answers[i])) {
      if (!refused) refused = std::move(problem);
      continue;
    }
    const auto pod = pods_.find(commands[i].address);
    std::optional<kube::Duration> latency;
    if (pending_since_) latency = std::max(kube::Duration::zero(), now - *pending_since_);
    out.emplace_back(
        effect::Acknowledged{commands[i], pod == pods_.end() ? std::string{} : pod->second, latency});
  }
  if (refused) {
    back_off(unsettled(*refused), now, out);
  } else {
    observe(pass + 1, out);
  }
}

void GatewayCore::on(const input::Failed& failed, kube::TimePoint now, Effects& out) {
  const auto* observing = std::get_if<Observing>(&state_);
  const auto* applying = std::get_if<Applying>(&state_);
  const bool current = (observing != nullptr && observing->attempt == failed.attempt) ||
                       (applying != nullptr && applying->attempt == failed.attempt);
  if (!current) return;
  reachable_ = false;
  back_off(failed.error, now, out);
}

void GatewayCore::on(const input::Tick&, kube::TimePoint now, Effects& out) {
  const auto deadline = next_deadline();
  if (deadline && now >= *deadline) observe(0, out);
}

void GatewayCore::observe(int pass, Effects& out) {
  state_ = Observing{++attempts_, pass};
  out.emplace_back(effect::Observe{attempts_});
}

void GatewayCore::settle(const HaproxyPlan& plan, kube::TimePoint now, Effects& out) {
  effect::Settled settled{revision_, plan.slots, plan.ready, plan.draining, plan.unplaced, std::nullopt};
  if (pending_since_) settled.latency = std::max(kube::Duration::zero(), now - *pending_since_);
  pending_since_.reset();
  settled_once_ = true;
  failures_ = 0;
  state_ = Resting{now + options_.poll};
  out.emplace_back(std::move(settled));
}

void GatewayCore::back_off(kube::Error error, kube::TimePoint now, Effects& out) {
  failures_ = std::min(failures_ + 1, 1'000'000);
  const kube::Duration delay = retry_delay(failures_);
  state_ = BackingOff{now + delay};
  out.emplace_back(effect::HaproxyFailed{std::move(error), failures_, delay});
}

void GatewayCore::note_process(const HaproxySnapshot& snapshot, Effects& out) {
  if (pid_ == snapshot.pid && reachable_) return;
  std::optional<std::int64_t> before;
  if (pid_ && *pid_ != snapshot.pid) before = pid_;
  out.emplace_back(effect::HaproxyFound{snapshot.pid, snapshot.version, before});
  pid_ = snapshot.pid;
  reachable_ = true;
}

void GatewayCore::forget_names(const HaproxySnapshot& snapshot) {
  std::set<ServerAddress> held;
  for (const WantedServer& want : wanted_) held.insert(want.address);
  for (const ObservedServer& server : snapshot.servers) {
    if (server.address) held.insert(*server.address);
  }
  std::erase_if(pods_, [&](const auto& named) { return !held.contains(named.first); });
}

}  // namespace poolwarden::gateway
