// HAProxy as a gateway that a pool's list is given to: its Runtime API (haproxy_socket.h), what it says
// (haproxy_answers.h) and what is to be said to it (haproxy_plan.h).
#pragma once

#include "gateway/gateway.h"
#include "gateway/haproxy_answers.h"
#include "gateway/haproxy_plan.h"
#include "gateway/haproxy_socket.h"
#include "gateway/output_file.h"

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace poolwarden::gateway {

class HaproxyObservation final : public Observation {
 public:
  HaproxyObservation(HaproxySnapshot snapshot, BackendName names)
      : snapshot_(std::move(snapshot)), names_(std::move(names)) {}

  Process process() const override;
  Plan plan(const std::vector<WantedServer>& wanted) const override;
  std::vector<ServerAddress> addresses() const override;

 private:
  const HaproxySnapshot snapshot_;
  const BackendName names_;
};

class Haproxy final : public Gateway {
 public:
  static constexpr std::chrono::seconds kAway{10};

  // `state_file`: where the servers' state is kept for a HAProxy that is restarted or reloaded; empty:
  // nowhere.
  // `away`: one that does not answer for so long starts with free servers, whatever it had.
  Haproxy(RuntimeAddress address, BackendName names, const std::string& state_file = {},
          std::chrono::milliseconds away = kAway);

  kube::Result<std::shared_ptr<const Observation>> observe() override;
  kube::Result<std::vector<std::optional<std::string>>> carry_out(
      const std::vector<Command>& commands) override;
  std::string_view name() const override { return "HAProxy"; }
  std::string where() const override { return to_string(address_); }
  std::optional<std::string> complaint() const override { return complaint_; }

 private:
  void keep(const std::string& state);
  void forget_when_away(kube::TimePoint now);

  HaproxySocket socket_;
  const RuntimeAddress address_;
  const BackendName names_;
  const std::optional<OutputFile> state_file_;
  const std::chrono::milliseconds away_;
  std::optional<kube::TimePoint> away_since_;
  std::optional<std::string> complaint_;
};

}  // namespace poolwarden::gateway
