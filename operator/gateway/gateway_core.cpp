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
  if (const auto* told = std::get_if<Waiting>(&state_)) return told->next;
  if (const auto* resting = std::get_if<Resting>(&state_)) return resting->next;
  if (const auto* waiting = std::get_if<BackingOff>(&state_)) return waiting->until;
  return std::nullopt;
}

std::string_view GatewayCore::state_name() const {
  constexpr std::string_view kNames[] = {"awaiting-list", "observing", "applying",
                                         "waiting",       "resting",   "backing-off"};
  static_assert(std::size(kNames) == std::variant_size_v<State>);
  return kNames[state_.index()];
}

void GatewayCore::on(input::ListSeen seen, kube::TimePoint, Effects& out) {
  list_ = std::move(seen.list);
  revisions_ = std::move(seen.revisions);
  std::vector<std::string> problems = want(seen.decoded_at);
  // That they are mended is told too.
  if (!problems.empty() || list_problems_) {
    list_problems_ = !problems.empty();
    out.emplace_back(effect::ListProblems{std::move(problems)});
  }
  look_now(out);
}

void GatewayCore::on(input::PodsFell fell, kube::TimePoint, Effects& out) {
  if (fell.uids == fallen_) return;
  fallen_ = std::move(fell.uids);
  if (!list_) return;
  (void)want(fell.decoded_at);  // of the list alone: told when it came
  look_now(out);
}

std::vector<std::string> GatewayCore::want(kube::TimePoint decoded_at) {
  std::vector<std::string> problems;
  wanted_ = wanted_servers(*list_, fallen_, options_.addresses, &problems);
  for (const WantedServer& want : wanted_) pods_[want.address] = want.pod;
  if (!pending_since_) pending_since_ = decoded_at;
  return problems;
}

// What the gateway had when it last agreed is half a second old at most. To ask it again first would double
// the time in which a pod that goes is sent requests. It is asked afterwards. The plan is made as the answer
// comes, from all that has come by then.
void GatewayCore::look_now(Effects& out) {
  // While something is asked of the gateway its answer comes first; the pass after it knows what is new.
  if (std::holds_alternative<Observing>(state_) || std::holds_alternative<Applying>(state_)) return;
  const auto* resting = std::get_if<Resting>(&state_);
  auto remembered = resting == nullptr ? nullptr : resting->agreed;
  if (remembered == nullptr) return observe(0, out);
  state_ = Observing{++attempts_, 0, true};
  out.emplace_back(effect::Observe{attempts_, std::move(remembered)});
}

void GatewayCore::on(const input::Observed& observed, kube::TimePoint now, Effects& out) {
  const auto* observing = std::get_if<Observing>(&state_);
  if (observing == nullptr || observing->attempt != observed.attempt) return;
  const int pass = observing->pass;
  const bool remembered = observing->remembered;
  note_process(*observed.observation, out);
  forget_names(*observed.observation);
  Plan plan = observed.observation->plan(wanted_);
  if (remembered && (plan.problem || plan.commands.empty())) {
    observe(0, out);
  } else if (plan.problem) {
    back_off(unsettled(*plan.problem), now, out);
  } else if (!plan.commands.empty() && pass >= kMaxPasses) {
    back_off(
        unsettled(fmt::format("{} does not stay as it is told ('{}' is needed again and again): is another "
                              "program changing its servers?",
                              options_.gateway, plan.commands.front().text)),
        now, out);
  } else if (!plan.commands.empty()) {
    state_ = Applying{++attempts_, pass, plan.commands};
    out.emplace_back(effect::Apply{attempts_, std::move(plan.commands)});
  } else if (plan.waits_for) {
    state_ = Waiting{now + kLookAgain};
  } else {
    settle(plan, observed.observation, now, out);
  }
}

void GatewayCore::on(const input::Answered& answered, kube::TimePoint now, Effects& out) {
  auto* applying = std::get_if<Applying>(&state_);
  if (applying == nullptr || applying->attempt != answered.attempt) return;
  const int pass = applying->pass;
  const std::vector<Command> commands = std::move(applying->commands);
  if (answered.refusals.size() != commands.size()) {
    back_off(unsettled(fmt::format("{} gave {} answers to {} commands", options_.gateway,
                                   answered.refusals.size(), commands.size())),
             now, out);
    return;
  }
  std::optional<std::string> refused;
  for (std::size_t i = 0; i < commands.size(); ++i) {
    if (const auto& problem = answered.refusals[i]) {
      if (!refused) refused = problem;
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

void GatewayCore::settle(const Plan& plan, std::shared_ptr<const Observation> seen, kube::TimePoint now,
                         Effects& out) {
  effect::Settled settled{list_->revision, revisions_,    plan.places,  plan.ready,
                          plan.draining,   plan.unplaced, std::nullopt, plan.why_unplaced};
  if (pending_since_) settled.latency = std::max(kube::Duration::zero(), now - *pending_since_);
  pending_since_.reset();
  settled_once_ = true;
  failures_ = 0;
  if (!seen->may_be_reused()) seen = nullptr;
  state_ = Resting{now + options_.poll, std::move(seen)};
  out.emplace_back(std::move(settled));
}

void GatewayCore::back_off(kube::Error error, kube::TimePoint now, Effects& out) {
  failures_ = std::min(failures_ + 1, 1'000'000);
  const kube::Duration delay = retry_delay(failures_);
  state_ = BackingOff{now + delay};
  out.emplace_back(effect::GatewayFailed{std::move(error), failures_, delay});
}

void GatewayCore::note_process(const Observation& observation, Effects& out) {
  Process process = observation.process();
  const bool same = process_ && process_->id == process.id;
  if (same && reachable_) return;
  std::optional<std::string> before;
  if (process_ && !same) before = process_->id;
  out.emplace_back(effect::GatewayFound{process, std::move(before)});
  process_ = std::move(process);
  reachable_ = true;
}

void GatewayCore::forget_names(const Observation& observation) {
  std::set<ServerAddress> held;
  for (const WantedServer& want : wanted_) held.insert(want.address);
  for (ServerAddress& address : observation.addresses()) held.insert(std::move(address));
  std::erase_if(pods_, [&](const auto& named) { return !held.contains(named.first); });
}

}  // namespace poolwarden::gateway
