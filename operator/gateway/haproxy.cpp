#include "gateway/haproxy.h"

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

kube::Result<std::shared_ptr<const Observation>> Haproxy::observe() {
  auto answers = socket_.ask(snapshot_commands(names_.backend));
  if (!answers) return tl::unexpected(std::move(answers.error()));
  auto snapshot = parse_snapshot(*answers, names_.backend);
  if (!snapshot) return tl::unexpected(std::move(snapshot.error()));
  return std::make_shared<const HaproxyObservation>(std::move(*snapshot), names_);
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
