// What the gateway feed needs to know of a gateway, whatever it is: HAProxy, Envoy, a router with a worker
// API, or one that is configured by a file.
//
// A gateway is asked what it holds, which is an Observation. The Observation says what is to be done so that
// the gateway holds what the list wants, which is a Plan. The gateway carries the plan out. Nothing else is
// remembered of it, so a plan made after any restart, on either side, is right.
//
// Promises of each: observe() and carry_out() return within a few seconds, with an answer or an error that
// says what is wrong and how to mend it. A program that a person named may take its time limit, 30 s at most.
// Whatever answers there, nothing it sends makes this hang, crash or grow.
//
// Owned and used by one thread; both block it, for a millisecond as a rule.
#pragma once

#include "gateway/wanted_servers.h"
#include "kube/result.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace poolwarden::gateway {

enum class CommandKind : std::uint8_t {
  kWithdraw,   // no new request; those it has go on
  kPark,       // drained and idle: its place is free for another endpoint
  kReaddress,  // a free place gets an endpoint
  kWeigh,      // its share of the requests
  kAdmit,      // requests from now on
  kRewrite,    // what it has already, told once more; of no server
};

struct Command {
  CommandKind kind = CommandKind::kWithdraw;
  std::string server;  // as the gateway calls it
  ServerAddress address;
  std::string text;       // what it is in the gateway's own language
  std::string zone = {};  // of the address's node; may be empty, and is where it is of no use

  bool operator==(const Command&) const = default;
};

struct Plan {
  std::vector<Command> commands;         // none: the gateway agrees with the list, or `problem` says why not
  std::size_t places = 0;                // for servers of ours
  std::size_t ready = 0;                 // as observed
  std::size_t draining = 0;              // as observed: still at work, not taking requests
  std::vector<std::string> unplaced;     // pods for which there is no place
  std::string why_unplaced = {};         // the first of them; empty: all places are taken
  std::optional<std::string> problem;    // nothing can be done until a person mends this
  std::optional<std::string> waits_for;  // nothing is to be done, and it does not agree yet
};

// The gateway's process, so that a restart can be told. Empty where a gateway does not say.
struct Process {
  std::string id;
  std::string version;
};

// A gateway, seen at one moment. Pure.
class Observation {
 public:
  virtual ~Observation() = default;
  virtual Process process() const = 0;
  // Withdrawals first. Alone, where what is said beside them could hold them up; else with all that may be
  // said now.
  virtual Plan plan(const std::vector<WantedServer>& wanted) const = 0;
  // All addresses that it has, of the list or not.
  virtual std::vector<ServerAddress> addresses() const = 0;
  // Whether the next change may be planned from it as well, where the gateway agreed at that moment. True
  // only where a command means the same whatever has happened since: it names an address, and no place that
  // may be another's by now.
  virtual bool may_be_reused() const { return false; }
};

class Gateway {
 public:
  virtual ~Gateway() = default;
  virtual kube::Result<std::shared_ptr<const Observation>> observe() = 0;
  // One answer a command, in order: why it was refused, for a person; nothing if it was carried out. After an
  // error it is not known which were heard.
  virtual kube::Result<std::vector<std::optional<std::string>>> carry_out(
      const std::vector<Command>& commands) = 0;
  // "HAProxy": for messages.
  virtual std::string_view name() const = 0;
  // Where it is spoken to, for messages.
  virtual std::string where() const = 0;
  // As of the last observe(): what a person should mend, though the list is carried out all the same.
  virtual std::optional<std::string> complaint() const { return std::nullopt; }
};

}  // namespace poolwarden::gateway
