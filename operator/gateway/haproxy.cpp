#include "gateway/haproxy.h"

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

Haproxy::Haproxy(RuntimeAddress address, BackendName names, const std::string& state_file)
    : socket_(address),
      address_(std::move(address)),
      names_(std::move(names)),
      state_file_(state_file.empty() ? std::nullopt : std::optional<OutputFile>({state_file, "HAProxy"})) {
  if (!state_file_) return;
  // What a gateway-sync before this one has kept is worth more than nothing. Problems are told by observe().
  const auto before = state_file_->read();
  if (before && !*before) (void)state_file_->replace(std::string(kEmptyStateFile));
}

kube::Result<std::shared_ptr<const Observation>> Haproxy::observe() {
  auto answers = socket_.ask(snapshot_commands(names_.backend));
  if (!answers) return tl::unexpected(std::move(answers.error()));
  auto snapshot = parse_snapshot(*answers, names_.backend);
  if (!snapshot) return tl::unexpected(std::move(snapshot.error()));
  keep(to_state_file(*answers));
  return std::make_shared<const HaproxyObservation>(std::move(*snapshot), names_);
}

void Haproxy::keep(const std::string& state) {
  if (!state_file_ || state == kept_) return;
  complaint_.reset();
  kept_ = state;
  const auto written = state_file_->replace(state);
  if (written) return;
  complaint_ = written.error().message;
  // HAProxy starts better with free servers than with those that there were once.
  ::unlink(state_file_->path().c_str());
  kept_.clear();
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
