// Envoy as a gateway that a pool's list is given to: the file of endpoints that it follows (output_file.h),
// what its admin interface says (envoy_answers.h), and what the file is to hold (envoy_plan.h).
//
// A command is carried out once Envoy itself says so: its admin interface is asked until it does. What it
// says is the state of its main thread; its workers follow within a turn of their loops. An Envoy that starts
// finds the last file written. Its own start needs a file, so one without endpoints is written where there is
// none.
//
// While the file can be neither read nor made, what Envoy says counts: the list may be held all the same, and
// complaint() says what is to be mended. A list that is to be given needs the file.
//
// Without an admin interface the file alone counts, and nobody knows whether Envoy has taken it up.
//
// Owned and used by one thread. observe() blocks it for some milliseconds, carry_out() for at most kPatience
// more than Envoy takes to answer.
#pragma once

#include "gateway/envoy_answers.h"
#include "gateway/envoy_plan.h"
#include "gateway/gateway.h"
#include "gateway/http_exchange.h"
#include "gateway/output_file.h"

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace poolwarden::gateway {

struct EnvoyOptions {
  std::string directory;
  std::string cluster;              // one that is_envoy_name() takes
  std::optional<HttpTarget> admin;  // nothing: the file alone counts
};

class EnvoyObservation final : public Observation {
 public:
  EnvoyObservation(EnvoySnapshot snapshot, Process process, std::string cluster)
      : snapshot_(std::move(snapshot)), process_(std::move(process)), cluster_(std::move(cluster)) {}

  Process process() const override { return process_; }
  Plan plan(const std::vector<WantedServer>& wanted) const override;
  std::vector<ServerAddress> addresses() const override;
  // A command of its own makes the whole file anew, and Envoy is asked after it.
  bool may_be_reused() const override { return true; }

 private:
  const EnvoySnapshot snapshot_;
  const Process process_;
  const std::string cluster_;
};

// Tells one process of Envoy from the next by how long it has been running, which it says in whole seconds.
class EnvoyLife {
 public:
  Process seen(const EnvoyServer& server, kube::TimePoint now);

 private:
  std::optional<kube::TimePoint> started_;
  std::chrono::seconds uptime_{0};
  std::int64_t epoch_ = 0;
  int lives_ = 0;
};

class Envoy final : public Gateway {
 public:
  // How long a change may take to be taken up, and how often that is asked.
  static constexpr std::chrono::milliseconds kPatience{250};
  static constexpr std::chrono::milliseconds kAskAgain{3};
  static constexpr std::chrono::milliseconds kDeadline{2'000};

  // Writes a file without endpoints if there is none: Envoy does not start without.
  explicit Envoy(EnvoyOptions options);

  kube::Result<std::shared_ptr<const Observation>> observe() override;
  kube::Result<std::vector<std::optional<std::string>>> carry_out(
      const std::vector<Command>& commands) override;
  std::string_view name() const override { return "Envoy"; }
  std::string where() const override;
  std::optional<std::string> complaint() const override { return complaint_; }

 private:
  kube::Result<void> look();
  kube::Result<void> read_file();
  kube::Result<HttpAnswer> ask(const std::string& path, kube::TimePoint deadline) const;
  kube::Result<std::vector<EnvoyHost>> ask_hosts(kube::TimePoint deadline) const;
  std::string why_not_taken(const Command& command) const;
  std::string config_lines() const;

  const EnvoyOptions options_;
  const OutputFile file_;
  EnvoyLife life_;
  // As last seen. A file that is gone is written from them again.
  EnvoySnapshot snapshot_;
  Process process_;
  std::optional<std::string> complaint_;
};

}  // namespace poolwarden::gateway
