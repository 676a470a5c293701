#include "gateway/template_plan.h"

#include <map>
#include <utility>

#include <fmt/format.h>

namespace poolwarden::gateway {
namespace {

using ServerMap = std::map<ServerAddress, ListedServer>;

ServerMap servers_by_address(const std::vector<ListedServer>& servers) {
  ServerMap out;
  for (const ListedServer& server : servers) out.emplace(server.address, server);
  return out;
}

Command say_of(CommandKind kind, const ListedServer& server) {
  const std::string_view what = kind == CommandKind::kAdmit      ? "ready"
                                : kind == CommandKind::kWithdraw ? "draining"
                                                                 : "left out";
  return {kind, server.name, server.address, fmt::format("{} {}", server.address.to_string(), what),
          server.zone};
}

ListedServer as_listed(const WantedServer& want) {
  return {want.address, want.pod, want.zone, want.state == api::EndpointState::kReady};
}

}  // namespace

Plan make_template_plan(const std::vector<WantedServer>& wanted, const TemplateSnapshot& snapshot) {
  Plan plan;
  plan.places = snapshot.servers.size();
  for (const ListedServer& server : snapshot.servers) ++(server.ready ? plan.ready : plan.draining);
  const ServerMap told = servers_by_address(snapshot.servers);
  ServerMap gone = told;
  std::vector<Command> rest;
  for (const WantedServer& want : wanted) {
    gone.erase(want.address);
    const ListedServer server = as_listed(want);
    const auto before = told.find(want.address);
    if (before != told.end() && before->second == server) continue;
    if (server.ready) {
      rest.push_back(say_of(CommandKind::kAdmit, server));
    } else {
      plan.commands.push_back(say_of(CommandKind::kWithdraw, server));
    }
  }
  for (const auto& [address, server] : gone) {
    if (server.ready) plan.commands.push_back(say_of(CommandKind::kWithdraw, server));
    rest.push_back(say_of(CommandKind::kPark, server));
  }
  plan.commands.insert(plan.commands.end(), std::make_move_iterator(rest.begin()),
                       std::make_move_iterator(rest.end()));
  if (plan.commands.empty() && !snapshot.known)
    plan.commands.push_back({CommandKind::kRewrite, {}, {}, "the list as it is"});
  if (snapshot.reloading) {
    plan.commands.clear();
    plan.waits_for = "the reload that is under way";
  }
  return plan;
}

std::vector<ListedServer> list_after(const std::vector<ListedServer>& servers,
                                     const std::vector<Command>& commands) {
  ServerMap after = servers_by_address(servers);
  for (const Command& command : commands) {
    switch (command.kind) {
      case CommandKind::kPark:
        after.erase(command.address);
        break;
      case CommandKind::kWithdraw:
      case CommandKind::kAdmit:
      case CommandKind::kReaddress:
        after[command.address] = {command.address, command.server, command.zone,
                                  command.kind != CommandKind::kWithdraw};
        break;
      case CommandKind::kWeigh:
      case CommandKind::kRewrite:
        break;
    }
  }
  std::vector<ListedServer> out;
  out.reserve(after.size());
  for (auto& [address, server] : after) out.push_back(std::move(server));
  return out;
}

}  // namespace poolwarden::gateway
