#include "gateway/haproxy.h"

#include <unistd.h>

#include <fmt/format.h>

namespace poolwarden::gateway {

Process HaproxyObservation::process() const {
  return {std::to_string(snapshot_.pid), snapshot_.version};
}

Plan HaproxyObservation::plan(const std::vector<WantedServer>& wanted) const {
  Plan out = make_plan(wanted, snapshot_, names_);
  out.remark = remark_;
  return out;
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
  return std::make_shared<const HaproxyObservation>(std::move(*snapshot), names_,
                                                    keep(to_state_file(*answers)));
}

std::string Haproxy::keep(const std::string& state) {
  if (!state_file_ || state == kept_) return {};
  const auto written = state_file_->replace(state);
  if (written) {
    kept_ = state;
    return {};
  }
  // Without it HAProxy starts with free servers, which is told from servers that are gone.
  kept_.clear();
  ::unlink(state_file_->path().c_str());
  return written.error().message;
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
