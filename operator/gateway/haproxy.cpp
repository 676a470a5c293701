#include "gateway/haproxy.h"

#include <cerrno>
#include <chrono>
#include <unistd.h>

#include <fmt/format.h>

namespace poolwarden::gateway {

Process HaproxyObservation::process() const {
  return {std::to_string(snapshot_.pid), snapshot_.version};
}

Plan HaproxyObservation::plan(const std::vector<WantedServer>& wanted) const {
  return make_plan(wanted, snapshot_, names_);
}

std::vector<ServerAddress> HaproxyObservation::addresses() const {
  std::vector<ServerAddress> out;
  for (const ObservedServer& server : snapshot_.servers) {
    if (server.address) out.push_back(*server.address);
  }
  return out;
}

Haproxy::Haproxy(RuntimeAddress address, BackendName names, const std::string& state_file,
                 std::chrono::milliseconds away)
    : socket_(address),
      address_(std::move(address)),
      names_(std::move(names)),
      state_file_(state_file.empty() ? std::nullopt : std::optional<OutputFile>({state_file, "HAProxy"})),
      away_(away) {
  if (!state_file_) return;
  // What a gateway-sync before this one has kept is worth more than nothing. Problems are told by observe().
  const auto before = state_file_->read();
  if (before && !*before) (void)state_file_->replace(std::string(kEmptyStateFile));
}

kube::Result<std::shared_ptr<const Observation>> Haproxy::observe() {
  auto answers = socket_.ask(snapshot_commands(names_.backend));
  if (!answers) {
    forget_when_away(std::chrono::steady_clock::now());
    return tl::unexpected(std::move(answers.error()));
  }
  away_since_.reset();
  auto snapshot = parse_snapshot(*answers, names_.backend);
  if (!snapshot) return tl::unexpected(std::move(snapshot.error()));
  keep(to_state_file(*answers));
  return std::make_shared<const HaproxyObservation>(std::move(*snapshot), names_);
}

void Haproxy::keep(const std::string& state) {
  if (!state_file_) return;
  // Somebody else may have written it.
  const auto before = state_file_->read();
  const bool same = before && *before && **before == state;
  const auto written = same ? kube::Result<void>{} : state_file_->replace(state);
  complaint_.reset();
  if (written) return;
  complaint_ = written.error().message;
  // HAProxy starts better with free servers than with those that there were once.
  if (::unlink(state_file_->path().c_str()) != 0 && errno != ENOENT)
    *complaint_ += "; what it says is out of date, and a HAProxy that is reloaded would go by it: remove it";
}

// Of a HAProxy that is away for longer than a restart takes nobody knows when it comes back, and what has
// gone by then.
void Haproxy::forget_when_away(kube::TimePoint now) {
  if (!away_since_) away_since_ = now;
  if (state_file_ && now - *away_since_ >= away_) keep(std::string(kEmptyStateFile));
}

kube::Result<std::vector<std::optional<std::string>>> Haproxy::carry_out(
    const std::vector<Command>& commands) {
  std::vector<std::string> lines;
  lines.reserve(commands.size());
  for (const Command& command : commands) lines.push_back(command.text);
  auto answers = socket_.ask(lines);
  if (!answers) return tl::unexpected(std::move(answers.error()));
  std::vector<std::optional<std::string>> refusals;
  refusals.reserve(commands.size());
  for (std::size_t i = 0; i < commands.size(); ++i)
    refusals.push_back(refusal_of(commands[i], answers->at(i)));
  return refusals;
}

}  // namespace poolwarden::gateway
