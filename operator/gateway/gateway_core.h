// The gateway feed as a state machine. The published list, HAProxy's answers and the time come in. What to
// ask of HAProxy and what to tell people comes out. It has no I/O and no clock.
//
// Promises: HAProxy is never touched before a list has been seen. HAProxy is held to the last list seen, also
// after HAProxy restarted and while nothing comes from the API server. Withdrawals are acknowledged before
// anything else is said. A HAProxy that is away is tried again for ever, at most a second apart. It decides
// from HAProxy's own state each time and keeps none of its own about it.
//
// Owned and used by one thread. Every Observe and every Apply must be answered by one input that carries its
// attempt, an error included.
#pragma once

#include "api/endpoint_set.h"
#include "gateway/haproxy_answers.h"
#include "gateway/haproxy_plan.h"
#include "kube/result.h"
#include "kube/time.h"

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace poolwarden::gateway {

struct CoreOptions {
  BackendName names;
  // How often HAProxy is looked at when nothing changes. So long may a restarted HAProxy be without servers,
  // and a drained server wait to be parked. One look is three short questions over a local socket.
  kube::Duration poll = std::chrono::milliseconds(500);
};

// The delays between attempts while HAProxy fails: 50, 100, 200, 400, 800, 1000, 1000, ... ms.
inline constexpr std::chrono::milliseconds kFirstRetry{50};
inline constexpr std::chrono::milliseconds kLastRetry{1'000};
// Withdraw, readdress, admit, see that it is so: four looks. More means that someone else says otherwise.
inline constexpr int kMaxPasses = 8;

namespace input {
struct ListSeen {  // a readable list; unreadable and missing ones are no input: the last one stays
  api::EndpointSet list;
  kube::TimePoint decoded_at{};
};
struct SnapshotArrived {
  std::uint64_t attempt = 0;
  HaproxySnapshot snapshot;
};
struct Answered {  // one answer a command, in order
  std::uint64_t attempt = 0;
  std::vector<std::string> answers;
};
struct Failed {
  std::uint64_t attempt = 0;
  kube::Error error;
};
struct Tick {};
}  // namespace input

using CoreInput =
    std::variant<input::ListSeen, input::SnapshotArrived, input::Answered, input::Failed, input::Tick>;

namespace effect {
struct Observe {
  std::uint64_t attempt = 0;
};
struct Apply {
  std::uint64_t attempt = 0;
  std::vector<Command> commands;
};
// The rest is for logs and metrics.
struct Acknowledged {  // HAProxy carried a command out
  Command command;
  std::string pod;                        // empty: not known any more
  std::optional<kube::Duration> latency;  // since the list that asked for it was decoded
};
struct Settled {  // HAProxy agrees with the list
  std::int64_t revision = 0;
  std::size_t slots = 0;
  std::size_t ready = 0;
  std::size_t draining = 0;
  std::vector<std::string> unplaced;      // pods without a slot
  std::optional<kube::Duration> latency;  // set once for each list
};
struct HaproxyFound {  // first answer, first after failures, or first of another process
  std::int64_t pid = 0;
  std::string version;
  std::optional<std::int64_t> restarted_from;  // the pid before
};
struct HaproxyFailed {
  kube::Error error;
  int failures = 1;        // in a row
  kube::Duration delay{};  // until the next attempt
};
struct ListProblems {  // parts of the list that cannot be carried out
  std::vector<std::string> problems;
};
}  // namespace effect

using CoreEffect = std::variant<effect::Observe, effect::Apply, effect::Acknowledged, effect::Settled,
                                effect::HaproxyFound, effect::HaproxyFailed, effect::ListProblems>;

class GatewayCore {
 public:
  explicit GatewayCore(CoreOptions options);

  std::vector<CoreEffect> step(CoreInput input, kube::TimePoint now);
  std::optional<kube::TimePoint> next_deadline() const;
  // HAProxy answers, and holds (or held, a moment ago) the last list.
  bool serving() const { return settled_once_ && failures_ == 0; }
  std::string_view state_name() const;  // for tests and messages

 private:
  // AwaitingList -> Observing   a list is seen
  // Observing    -> Applying    HAProxy's state differs from the list
  // Observing    -> Resting     it agrees
  // Applying     -> Observing   HAProxy carried the commands out: look again
  // Resting      -> Observing   a list is seen; time to look again
  // BackingOff   -> Observing   a list is seen; time to try again
  // Observing, Applying -> BackingOff   HAProxy failed or refused, or kMaxPasses did not settle it
  // Anything else leaves the state as it is; an answer to another attempt is dropped.
  struct AwaitingList {};
  struct Observing {
    std::uint64_t attempt = 0;
    int pass = 0;
  };
  struct Applying {
    std::uint64_t attempt = 0;
    int pass = 0;
    std::vector<Command> commands;
  };
  struct Resting {
    kube::TimePoint next;
  };
  struct BackingOff {
    kube::TimePoint until;
  };
  using State = std::variant<AwaitingList, Observing, Applying, Resting, BackingOff>;
  using Effects = std::vector<CoreEffect>;

  void on(input::ListSeen seen, kube::TimePoint now, Effects& out);
  void on(const input::SnapshotArrived& arrived, kube::TimePoint now, Effects& out);
  void on(const input::Answered& answered, kube::TimePoint now, Effects& out);
  void on(const input::Failed& failed, kube::TimePoint now, Effects& out);
  void on(const input::Tick& tick, kube::TimePoint now, Effects& out);

  void observe(int pass, Effects& out);
  void settle(const HaproxyPlan& plan, kube::TimePoint now, Effects& out);
  void back_off(kube::Error error, kube::TimePoint now, Effects& out);
  void note_process(const HaproxySnapshot& snapshot, Effects& out);
  void forget_names(const HaproxySnapshot& snapshot);

  const CoreOptions options_;
  State state_;
  std::uint64_t attempts_ = 0;
  // The list
  std::vector<WantedServer> wanted_;
  std::int64_t revision_ = 0;
  std::optional<kube::TimePoint> pending_since_;  // when the first list not yet settled was decoded
  std::map<ServerAddress, std::string> pods_;     // of the list, and of what HAProxy still has
  // HAProxy
  int failures_ = 0;        // in a row, refusals included; 0 once settled
  bool reachable_ = false;  // its last answer was one
  bool settled_once_ = false;
  std::optional<std::int64_t> pid_;
};

}  // namespace poolwarden::gateway
