#include "gateway/haproxy_plan.h"

#include "base/text.h"

#include <algorithm>
#include <map>
#include <set>

#include <fmt/format.h>

namespace poolwarden::gateway {
namespace {

bool is_ours(std::string_view server, std::string_view prefix) {
  if (server.size() <= prefix.size() || !server.starts_with(prefix)) return false;
  server.remove_prefix(prefix.size());
  return std::all_of(server.begin(), server.end(), [](char c) { return c >= '0' && c <= '9'; });
}

Command make_command(CommandKind kind, const BackendName& names, const ObservedServer& server,
                     const ServerAddress& address) {
  const std::string target = fmt::format("set server {}/{}", names.backend, server.name);
  Command command{kind, server.name, address, {}};
  switch (kind) {
    case CommandKind::kWithdraw:
      command.text = target + (names.withdraw_by == WithdrawBy::kDrain ? " state drain" : " state maint");
      break;
    case CommandKind::kPark:
      command.text = target + " state maint";
      break;
    case CommandKind::kReaddress:
      command.text = fmt::format("{} addr {} port {}", target, address.ip, address.port);
      break;
    case CommandKind::kAdmit:
      command.text = target + " state ready";
      break;
    case CommandKind::kWeigh:
    case CommandKind::kRewrite:
      break;  // weigh() says the one, and no plan of this one's has the other
  }
  return command;
}

// Of several slots with one address the one that serves is kept, then the one that still drains.
int rank(const ObservedServer& server) {
  switch (server.admin) {
    case AdminState::kReady:
      return 0;
    case AdminState::kDrain:
      return 1;
    case AdminState::kMaintenance:
      return 2;
  }
  return 2;
}

class Planner {
 public:
  Planner(const HaproxySnapshot& observed, const BackendName& names) : names_(names) {
    for (const ObservedServer& server : observed.servers) {
      if (is_ours(server.name, names.slot_prefix)) slots_.push_back(&server);
    }
    plan_.places = slots_.size();
    for (const ObservedServer* slot : slots_) {
      if (slot->admin == AdminState::kReady) ++plan_.ready;
      const bool at_work = slot->admin == AdminState::kMaintenance && slot->busy > 0;
      if (slot->admin == AdminState::kDrain || at_work) ++plan_.draining;
      if (!slot->address) continue;
      const ObservedServer*& best = by_address_[*slot->address];
      if (best == nullptr || rank(*slot) < rank(*best)) best = slot;
    }
  }

  Plan run(const std::vector<WantedServer>& wanted) {
    if (slots_.empty()) {
      plan_.problem = fmt::format(
          "HAProxy's backend {0} has no server named {1}1, {1}2, ...: add 'server-template {1} 64 "
          "127.0.0.1:1 "
          "disabled' to it, or correct --server-prefix",
          names_.backend, names_.slot_prefix);
      return std::move(plan_);
    }
    std::vector<const WantedServer*> unplaced;
    for (const WantedServer& want : wanted) {
      if (want.state != api::EndpointState::kReady) continue;
      if (!admit_in_place(want)) unplaced.push_back(&want);
    }
    for (const ObservedServer* slot : slots_) {
      if (!kept_.contains(slot)) take_out(*slot);
    }
    place(unplaced);
    // Withdrawals are acknowledged before anything else is said: nothing that can fail or take its time
    // stands between a list that lost an endpoint and HAProxy knowing it.
    plan_.commands = withdrawals_.empty() ? std::move(rest_) : std::move(withdrawals_);
    return std::move(plan_);
  }

 private:
  bool admit_in_place(const WantedServer& want) {
    const auto found = by_address_.find(want.address);
    if (found == by_address_.end()) return false;
    const ObservedServer& slot = *found->second;
    kept_.insert(&slot);
    weigh(slot, want);
    if (slot.admin != AdminState::kReady) say(CommandKind::kAdmit, slot, want.address);
    return true;
  }

  void weigh(const ObservedServer& slot, const WantedServer& want) {
    if (!names_.weights) return;
    const int weight = names_.weights->of(want.zone);
    if (slot.weight == weight) return;
    rest_.push_back({CommandKind::kWeigh, slot.name, want.address,
                     fmt::format("set server {}/{} weight {}", names_.backend, slot.name, weight)});
  }

  void take_out(const ObservedServer& slot) {
    const ServerAddress address = slot.address.value_or(ServerAddress{});
    // A pinned client would still get to a server that drains.
    const bool reached = slot.admin == AdminState::kReady ||
                         (slot.admin == AdminState::kDrain && names_.withdraw_by == WithdrawBy::kMaintenance);
    if (reached) return say(CommandKind::kWithdraw, slot, address);
    if (slot.admin == AdminState::kDrain && slot.busy == 0) say(CommandKind::kPark, slot, address);
    // A parked slot may still finish requests that it had when someone else put it in maintenance: its
    // address is left until it is idle, so that what it is doing can be told from what it will do.
    if (slot.admin == AdminState::kMaintenance && slot.busy == 0) free_.push_back(&slot);
  }

  void place(const std::vector<const WantedServer*>& unplaced) {
    auto next = free_.begin();
    for (const WantedServer* want : unplaced) {
      if (next == free_.end()) {
        plan_.unplaced.push_back(want->pod);
      } else {
        say(CommandKind::kReaddress, **next++, want->address);
      }
    }
  }

  void say(CommandKind kind, const ObservedServer& slot, const ServerAddress& address) {
    auto& list = kind == CommandKind::kWithdraw ? withdrawals_ : rest_;
    list.push_back(make_command(kind, names_, slot, address));
  }

  const BackendName& names_;
  std::vector<const ObservedServer*> slots_;
  std::map<ServerAddress, const ObservedServer*> by_address_;
  std::set<const ObservedServer*> kept_;
  std::vector<const ObservedServer*> free_;
  std::vector<Command> withdrawals_;
  std::vector<Command> rest_;
  Plan plan_;
};

}  // namespace

Plan make_plan(const std::vector<WantedServer>& wanted, const HaproxySnapshot& observed,
               const BackendName& names) {
  return Planner(observed, names).run(wanted);
}

std::optional<std::string> refusal_of(const Command& command, std::string_view answer) {
  // "state" is silent when it worked. "addr" always speaks, and differently from release to release, so only
  // what it says of success is known; whether the address is right is seen in the next snapshot anyway.
  if (answer.empty()) return std::nullopt;
  if (command.kind == CommandKind::kReaddress &&
      (answer.starts_with("IP changed") || answer.starts_with("port changed") ||
       answer.starts_with("no need"))) {
    return std::nullopt;
  }
  std::string text = base::ascii(answer.substr(0, 200), ' ');
  while (text.ends_with(' ')) text.pop_back();
  if (text == "Permission denied") text += " (its stats socket line needs 'level admin')";
  if (command.kind == CommandKind::kWeigh && text.find("static LB algorithm") != std::string::npos)
    text +=
        " (--haproxy-zone-weights needs 'balance leastconn', 'roundrobin' or 'random', or 'hash-type "
        "consistent')";
  return fmt::format("HAProxy refused '{}': {}", command.text, text);
}

}  // namespace poolwarden::gateway
