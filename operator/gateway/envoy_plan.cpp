#include "gateway/envoy_plan.h"

#include "base/text.h"

#include <algorithm>
#include <map>
#include <utility>

#include <fmt/format.h>

namespace poolwarden::gateway {
namespace {

using HostMap = std::map<ServerAddress, EnvoyHost>;

HostMap by_address(const std::vector<EnvoyHost>& hosts) {
  HostMap out;
  for (const EnvoyHost& host : hosts) out.emplace(host.address, host);
  return out;
}

std::vector<EnvoyHost> in_order(HostMap hosts) {
  std::vector<EnvoyHost> out;
  out.reserve(hosts.size());
  for (auto& [address, host] : hosts) out.push_back(std::move(host));
  return out;
}

Command tell(CommandKind kind, const ServerAddress& address, const std::string& zone,
             const std::string& cluster) {
  Command command{kind, address.to_string(), address, {}, zone};
  switch (kind) {
    case CommandKind::kWithdraw:
      command.text = fmt::format("{} DRAINING in {}", command.server, cluster);
      break;
    case CommandKind::kPark:
      command.text = fmt::format("{} left out of {}", command.server, cluster);
      break;
    case CommandKind::kReaddress:
    case CommandKind::kAdmit:
      command.text = fmt::format("{} HEALTHY in {}", command.server, cluster);
      break;
    case CommandKind::kWeigh:
    case CommandKind::kRewrite:
      break;  // no plan of this one's has them
  }
  return command;
}

// As it comes back from Envoy, whatever the label on the node was.
std::string zone_of(const WantedServer& want) {
  return base::ascii(std::string_view(want.zone).substr(0, kMaxEnvoyZone));
}

}  // namespace

std::vector<EnvoyHost> agreed(const EnvoySnapshot& snapshot) {
  HostMap all = by_address(snapshot.held);
  const HostMap file = by_address(snapshot.file);
  for (auto& [address, host] : all) {
    const auto written = file.find(address);
    if (written == file.end() || written->second.health != host.health || written->second.zone != host.zone)
      host.health = EnvoyHealth::kOther;
  }
  for (const auto& [address, host] : file) {
    const bool fresh = all.emplace(address, host).second;
    if (fresh) all[address].health = EnvoyHealth::kOther;
  }
  return in_order(std::move(all));
}

Plan make_envoy_plan(const std::vector<WantedServer>& wanted, const EnvoySnapshot& snapshot,
                     const std::string& cluster) {
  Plan plan;
  for (const EnvoyHost& host : snapshot.held) {
    if (host.health == EnvoyHealth::kHealthy) ++plan.ready;
    if (host.health == EnvoyHealth::kDraining) ++plan.draining;
  }
  plan.places = snapshot.held.size();
  std::map<ServerAddress, const WantedServer*> by_list;
  for (const WantedServer& want : wanted) by_list.emplace(want.address, &want);
  const HostMap hosts = by_address(agreed(snapshot));
  std::vector<Command> rest;
  for (const auto& [address, host] : hosts) {
    const auto want = by_list.find(address);
    const bool listed = want != by_list.end();
    if (listed && want->second->state == api::EndpointState::kReady) continue;
    if (host.health != EnvoyHealth::kDraining) {
      plan.commands.push_back(tell(CommandKind::kWithdraw, address, host.zone, cluster));
    } else if (host.busy == 0 && !listed) {
      rest.push_back(tell(CommandKind::kPark, address, host.zone, cluster));
    }
  }
  for (const WantedServer& want : wanted) {
    if (want.state != api::EndpointState::kReady) continue;
    const auto host = hosts.find(want.address);
    if (host == hosts.end() || host->second.health != EnvoyHealth::kHealthy ||
        host->second.zone != zone_of(want))
      rest.push_back(tell(CommandKind::kAdmit, want.address, zone_of(want), cluster));
  }
  std::move(rest.begin(), rest.end(), std::back_inserter(plan.commands));
  return plan;
}

std::vector<EnvoyHost> with_commands(std::vector<EnvoyHost> hosts, const std::vector<Command>& commands) {
  HostMap out = by_address(hosts);
  for (const Command& command : commands) {
    switch (command.kind) {
      case CommandKind::kWithdraw:
        out[command.address] = {command.address, EnvoyHealth::kDraining, command.zone};
        break;
      case CommandKind::kPark:
        out.erase(command.address);
        break;
      case CommandKind::kReaddress:
      case CommandKind::kAdmit:
        out[command.address] = {command.address, EnvoyHealth::kHealthy, command.zone};
        break;
      case CommandKind::kWeigh:
      case CommandKind::kRewrite:
        break;
    }
  }
  return in_order(std::move(out));
}

bool is_carried_out(const Command& command, const std::vector<EnvoyHost>& held) {
  const auto found = std::lower_bound(
      held.begin(), held.end(), command.address,
      [](const EnvoyHost& host, const ServerAddress& address) { return host.address < address; });
  const bool there = found != held.end() && found->address == command.address;
  switch (command.kind) {
    case CommandKind::kPark:
      return !there;
    case CommandKind::kWithdraw:
      return !there || found->health == EnvoyHealth::kDraining;
    case CommandKind::kReaddress:
    case CommandKind::kAdmit:
    case CommandKind::kWeigh:
    case CommandKind::kRewrite:
      break;
  }
  return there && found->health == EnvoyHealth::kHealthy && found->zone == command.zone;
}

}  // namespace poolwarden::gateway
