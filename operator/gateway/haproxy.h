// HAProxy as a gateway that a pool's list is given to: its Runtime API (haproxy_socket.h), what it says
// (haproxy_answers.h) and what is to be said to it (haproxy_plan.h).
#pragma once

#include "gateway/gateway.h"
#include "gateway/haproxy_answers.h"
#include "gateway/haproxy_plan.h"
#include "gateway/haproxy_socket.h"
#include "gateway/output_file.h"

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
  // `state_file`: where the servers' state is kept for a HAProxy that is restarted or reloaded; empty:
  // nowhere.
  Haproxy(RuntimeAddress address, BackendName names, const std::string& state_file = {});

  kube::Result<std::shared_ptr<const Observation>> observe() override;
  kube::Result<std::vector<std::optional<std::string>>> carry_out(
      const std::vector<Command>& commands) override;
  std::string_view name() const override { return "HAProxy"; }
  std::string where() const override { return to_string(address_); }
  std::optional<std::string> complaint() const override { return complaint_; }

 private:
  void keep(const std::string& state);

  HaproxySocket socket_;
  const RuntimeAddress address_;
  const BackendName names_;
  const std::optional<OutputFile> state_file_;
  std::string kept_;  // what is in it
  std::optional<std::string> complaint_;
};

}  // namespace poolwarden::gateway
