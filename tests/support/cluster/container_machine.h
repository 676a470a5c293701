// The life of one container: decides when it is started, stopped, killed and started again. Pure.
//
// One container of one pod; inputs come with the time, and each returns what is to be done. The kubelet owns
// it and carries the effects out. The rules are those of the kubelet's kuberuntime_container.go:
// - a stop runs preStop first; its time counts against the grace period; SIGTERM follows, and SIGKILL when
//   the grace period is over, but not sooner than 2 s after SIGTERM (minimumGracePeriodInSeconds)
// - a container that exits is started again at once the first time, then after 10 s, 20 s, 40 s ... 300 s;
//   10 minutes of running start the sequence anew
#pragma once

#include "api/time.h"

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace poolwarden::cluster {

using api::Timestamp;

struct PreStopHook {
  std::optional<std::chrono::seconds> sleep;
  std::vector<std::string> command;  // exec
  bool present() const { return sleep.has_value() || !command.empty(); }
};

enum class RestartPolicy : std::uint8_t { kAlways, kOnFailure, kNever };

struct ContainerRules {
  RestartPolicy restart = RestartPolicy::kAlways;
  PreStopHook pre_stop;
  std::chrono::milliseconds first_backoff{10'000};
  std::chrono::milliseconds longest_backoff{300'000};
};

namespace container {

struct Waiting {
  std::string reason;  // ContainerCreating, CrashLoopBackOff, ErrImagePull
  std::string message;
  Timestamp until;
};
struct Starting {};
struct Running {
  Timestamp since;
};
struct PreStop {
  Timestamp since;  // when it began to run
  std::optional<Timestamp> hook_over;
  Timestamp kill_at;
};
struct Stopping {
  Timestamp since;
  Timestamp kill_at;
  bool killed = false;
};
struct Terminated {
  std::optional<Timestamp> since;  // nothing: it never ran
  Timestamp at;
  int exit_code = 0;
  std::string reason;  // Completed, Error, ContainerStatusUnknown
};

// Waiting    -> Starting    its time has come
// Waiting    -> Terminated  it is to stop before it ever started
// Starting   -> Running     the runtime says so
// Starting   -> Waiting     the runtime could not (image, exec)
// Starting   -> Stopping    it is to stop: what starts is stopped
// Running    -> PreStop     it is to stop, and has a hook
// Running    -> Stopping    it is to stop, and has none
// Running    -> Waiting     it exited and is to be started again
// Running    -> Terminated  it exited for good
// PreStop    -> Stopping    the hook is over, or the grace period
// PreStop, Stopping -> Waiting or Terminated, as Running
// Terminated -> nothing
using State = std::variant<Waiting, Starting, Running, PreStop, Stopping, Terminated>;

struct Tick {};
struct Started {};
struct StartFailed {
  std::string reason;
  std::string message;
};
struct Exited {
  int exit_code = 0;
};
struct HookDone {};
// With grace 0, or when the object is gone: killed at once. `for_good`: the pod goes, so it is not started
// again. A second stop can only shorten the first.
struct Stop {
  std::chrono::seconds grace{30};
  bool for_good = true;
};
using Input = std::variant<Tick, Started, StartFailed, Exited, HookDone, Stop>;

enum class Effect : std::uint8_t { kStart, kRunHook, kTerm, kKill };

}  // namespace container

class ContainerMachine {
 public:
  ContainerMachine(ContainerRules rules, Timestamp now)
      : rules_(std::move(rules)), state_(container::Waiting{"ContainerCreating", {}, now}) {}
  // For tests: any state.
  ContainerMachine(ContainerRules rules, container::State state, bool for_good)
      : rules_(std::move(rules)), state_(std::move(state)), for_good_(for_good) {}

  std::vector<container::Effect> step(const container::Input& input, Timestamp now);

  const container::State& state() const { return state_; }
  const std::optional<container::Terminated>& last_exit() const { return last_exit_; }
  int restarts() const { return restarts_; }
  bool is_up() const;    // the process runs, on its way out or not
  bool is_over() const;  // terminated and not to be started again
  // When it began to run, while it is up.
  std::optional<Timestamp> up_since() const;
  std::optional<Timestamp> next_deadline() const;

 private:
  using Effects = std::vector<container::Effect>;

  Effects on(const container::Tick& input, Timestamp now);
  Effects on(const container::Started& input, Timestamp now);
  Effects on(const container::StartFailed& input, Timestamp now);
  Effects on(const container::Exited& input, Timestamp now);
  Effects on(const container::HookDone& input, Timestamp now);
  Effects on(const container::Stop& input, Timestamp now);

  Effects stop_running(Timestamp since, std::chrono::seconds grace, Timestamp now);
  Effects terminate(Timestamp since, Timestamp kill_at, Timestamp now);
  Effects kill(Timestamp since);
  void shorten(std::chrono::seconds grace, Timestamp now);
  std::chrono::milliseconds backoff() const;

  ContainerRules rules_;
  container::State state_;
  std::optional<container::Terminated> last_exit_;
  int restarts_ = 0;
  int failures_in_a_row_ = 0;
  bool for_good_ = false;
};

}  // namespace poolwarden::cluster
