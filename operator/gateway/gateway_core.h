// The gateway feed as a state machine. The published list, the gateway's answers and the time come in. What
// to ask of the gateway and what to tell people comes out. It has no I/O and no clock.
//
// Promises: the gateway is never touched before a list has been seen. It is held to the last list seen, less
// the pods that have fallen since (fallen_pods.h), also after it restarted and while nothing comes from the
// API server. Withdrawals are acknowledged before anything else is said. A gateway that is away is tried
// again for ever, at most a second apart. It decides from the gateway's own state each time and keeps none
// about it.
//
// Owned and used by one thread. Every Observe and every Apply must be answered by one input that carries its
// attempt, an error included.
#pragma once

#include "api/endpoint_set.h"
#include "gateway/gateway.h"
#include "kube/result.h"
#include "kube/time.h"

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <variant>
#include <vector>

namespace poolwarden::gateway {

struct CoreOptions {
  std::string gateway = "HAProxy";  // for messages
  // How often the gateway is looked at when nothing changes. So long may a restarted one be without servers,
  // and a drained server wait to be parked. One look is a few short questions on this machine.
  kube::Duration poll = std::chrono::milliseconds(500);
  AddressRules addresses = {};
};

// The delays between attempts while the gateway fails: 50, 100, 200, 400, 800, 1000, 1000, ... ms.
inline constexpr std::chrono::milliseconds kFirstRetry{50};
inline constexpr std::chrono::milliseconds kLastRetry{1'000};
// Between looks at a gateway that has been told and has not done it yet.
inline constexpr std::chrono::milliseconds kLookAgain{20};
// Withdraw, readdress, admit, see that it is so: four looks. More means that someone else says otherwise.
inline constexpr int kMaxPasses = 8;

namespace input {
struct ListSeen {  // a readable list; unreadable and missing ones are no input: the last one stays
  api::EndpointSet list;
  kube::TimePoint decoded_at{};
  std::vector<std::int64_t> revisions = {};  // of its shards
};
// Pods of the list that may not be sent anything more, whatever the list says: all of them, by UID.
struct PodsFell {
  std::set<std::string> uids;
  kube::TimePoint decoded_at{};
};
struct Observed {
  std::uint64_t attempt = 0;
  std::shared_ptr<const Observation> observation;  // never null
};
struct Answered {  // one answer a command, in order
  std::uint64_t attempt = 0;
  std::vector<std::optional<std::string>> refusals;
};
struct Failed {
  std::uint64_t attempt = 0;
  kube::Error error;
};
struct Tick {};
}  // namespace input

using CoreInput = std::variant<input::ListSeen, input::PodsFell, input::Observed, input::Answered,
                               input::Failed, input::Tick>;

namespace effect {
struct Observe {
  std::uint64_t attempt = 0;
  std::shared_ptr<const Observation> remembered =
      {};  // to be answered with this, and nothing asked; null: to be asked
};
struct Apply {
  std::uint64_t attempt = 0;
  std::vector<Command> commands;
};
// The rest is for logs and metrics.
struct Acknowledged {  // the gateway carried a command out
  Command command;
  std::string pod;                        // empty: not known any more
  std::optional<kube::Duration> latency;  // since what asked for it was decoded
};
struct Settled {  // the gateway agrees with the list
  std::int64_t revision = 0;
  std::vector<std::int64_t> revisions;  // of its shards
  std::size_t places = 0;
  std::size_t ready = 0;
  std::size_t draining = 0;
  std::vector<std::string> unplaced;      // pods without a place
  std::optional<kube::Duration> latency;  // set once for each list
  std::string why_unplaced = {};          // the first of them; empty: all places are taken
};
struct GatewayFound {  // first answer, first after failures, or first of another process
  Process process;
  std::optional<std::string> restarted_from;  // the id of the process before
};
struct GatewayFailed {
  kube::Error error;
  int failures = 1;        // in a row
  kube::Duration delay{};  // until the next attempt
};
struct ListProblems {  // parts of the list that cannot be carried out; none: they are mended
  std::vector<std::string> problems;
};
}  // namespace effect

using CoreEffect = std::variant<effect::Observe, effect::Apply, effect::Acknowledged, effect::Settled,
                                effect::GatewayFound, effect::GatewayFailed, effect::ListProblems>;

class GatewayCore {
 public:
  explicit GatewayCore(CoreOptions options);

  std::vector<CoreEffect> step(CoreInput input, kube::TimePoint now);
  std::optional<kube::TimePoint> next_deadline() const;
  // The gateway answers, and holds (or held, a moment ago) the last list.
  bool serving() const { return settled_once_ && failures_ == 0; }
  std::string_view state_name() const;  // for tests and messages

 private:
  // AwaitingList -> Observing   a list is seen
  // Observing    -> Applying    the gateway's state differs from the list
  // Observing    -> Waiting     it has been told, and needs some time
  // Observing    -> Resting     it agrees
  // Applying     -> Observing   it carried the commands out: look again
  // Waiting      -> Observing   a list is seen; a pod fell; time to look again
  // Resting      -> Observing   a list is seen; a pod fell; time to look again
  // BackingOff   -> Observing   a list is seen; a pod fell; time to try again
  // Observing, Applying -> BackingOff   it failed or refused, or kMaxPasses did not settle it
  // Anything else leaves the state as it is; an answer to another attempt is dropped.
  struct AwaitingList {};
  struct Observing {
    std::uint64_t attempt = 0;
    int pass = 0;
    bool remembered = false;  // it is not asked this time: it agreed a moment ago
  };
  struct Applying {
    std::uint64_t attempt = 0;
    int pass = 0;
    std::vector<Command> commands;
  };
  struct Waiting {
    kube::TimePoint next;
  };
  struct Resting {
    kube::TimePoint next;
    std::shared_ptr<const Observation> agreed;  // null: look first
  };
  struct BackingOff {
    kube::TimePoint until;
  };
  using State = std::variant<AwaitingList, Observing, Applying, Waiting, Resting, BackingOff>;
  using Effects = std::vector<CoreEffect>;

  void on(input::ListSeen seen, kube::TimePoint now, Effects& out);
  void on(input::PodsFell fell, kube::TimePoint now, Effects& out);
  void on(const input::Observed& observed, kube::TimePoint now, Effects& out);
  void on(const input::Answered& answered, kube::TimePoint now, Effects& out);
  void on(const input::Failed& failed, kube::TimePoint now, Effects& out);
  void on(const input::Tick& tick, kube::TimePoint now, Effects& out);

  void observe(int pass, Effects& out);
  // What is wanted follows from the list and the pods that fell. What of the list cannot be is returned.
  std::vector<std::string> want(kube::TimePoint decoded_at);
  void look_now(Effects& out);
  void settle(const Plan& plan, std::shared_ptr<const Observation> seen, kube::TimePoint now, Effects& out);
  void back_off(kube::Error error, kube::TimePoint now, Effects& out);
  void note_process(const Observation& observation, Effects& out);
  void forget_names(const Observation& observation);

  const CoreOptions options_;
  State state_;
  std::uint64_t attempts_ = 0;
  std::optional<api::EndpointSet> list_;
  bool list_problems_ = false;
  std::vector<std::int64_t> revisions_;  // of its shards
  std::set<std::string> fallen_;         // UIDs
  // What follows from both
  std::vector<WantedServer> wanted_;
  std::optional<kube::TimePoint> pending_since_;  // when the first change not yet settled was decoded
  std::map<ServerAddress, std::string> pods_;     // of the list, and of what the gateway still has
  // The gateway
  int failures_ = 0;        // in a row, refusals included; 0 once settled
  bool reachable_ = false;  // its last answer was one
  bool settled_once_ = false;
  std::optional<Process> process_;
};

}  // namespace poolwarden::gateway
