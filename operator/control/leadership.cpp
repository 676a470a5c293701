#include "control/leadership.h"

#include <utility>

namespace poolwarden::control {

Leadership::Leadership(std::optional<kube::LeaseConfig> config, const kube::RandomSource& random,
                       WriteDispatcher& writes, ControllerMetrics& metrics)
    : writes_(writes), metrics_(metrics) {
  if (!config) return;
  identity_ = config->identity;
  elector_.emplace(std::move(*config), random);
}

Leadership::Change Leadership::start(api::Now now, Effects& out) {
  if (!elector_) metrics_.leading(true);
  return tick(now, out);
}

Leadership::Change Leadership::tick(api::Now now, Effects& out) {
  if (!elector_) return {};
  const auto due = elector_->next_deadline();
  return due && *due <= now.mono ? carry_out(elector_->tick(now.mono, now.wall), now, out) : Change{};
}

Leadership::Change Leadership::answered(const LeaseCall& call, kube::Result<std::string> body, api::Now now,
                                        Effects& out) {
  if (!elector_) return {};
  return carry_out(elector_->answer(call.attempt, body, now.mono, now.wall), now, out);
}

Leadership::Change Leadership::release(api::Now now, Effects& out) {
  if (!elector_) return {.won = false, .lost = {}, .released = true};
  const Change change = carry_out(elector_->release(now.mono, now.wall), now, out);
  if (std::exchange(led_, false)) metrics_.leading(false);
  return change;
}

std::optional<kube::TimePoint> Leadership::next_deadline() const {
  return elector_ ? elector_->next_deadline() : std::nullopt;
}

Leadership::Change Leadership::carry_out(std::vector<kube::LeaseOutput> outputs, api::Now now, Effects& out) {
  Change change;
  for (kube::LeaseOutput& output : outputs) {
    if (auto* send = std::get_if<kube::SendLeaseCall>(&output)) {
      writes_.send_unthrottled(LeaseCall{send->attempt}, {}, {}, std::move(send->call), Expect::kText,
                               now.mono, out);
    } else if (std::holds_alternative<kube::BecameLeader>(output)) {
      led_ = true;
      metrics_.leading(true);
      out.logs.push_back({telemetry::Level::kInfo, "became the leader", {{"identity", identity_}}});
      change.won = true;
    } else if (auto* lost = std::get_if<kube::LostLeadership>(&output)) {
      led_ = false;
      metrics_.leading(false);
      change.lost = std::move(lost->reason);
    } else {
      change.released = true;
    }
  }
  return change;
}

}  // namespace poolwarden::control
