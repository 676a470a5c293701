// One operator process in a simulation: the real core and shell, on a virtual clock and a simulated network.
//
// It can be started, stopped as by SIGTERM, killed as by SIGKILL, and started again; what the old process had
// sent then still arrives, and its answer never comes back. Like a container in its pod it keeps its name. It
// can also be paused, as by SIGSTOP or a machine that is out of CPU: it neither hears nor does anything, and
// when it goes on it first acts on what it knew.
#pragma once

#include "control/operator_core.h"
#include "control/shell.h"
#include "support/apiserver/model.h"
#include "support/sim/sim_transport.h"
#include "support/sim/virtual_time.h"

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace poolwarden::sim {

// What the metrics and the log of a process said.
struct SimRecord {
  std::vector<control::LogLine> logs;
  std::vector<kube::Duration> withdrawals;
  std::size_t standby_withdrawals = 0;
  std::map<std::string, std::size_t> drains;  // that ended, by result
  std::uint64_t steps = 0;
};

// What engines answer, when asked for their load. `after`: how long they take; longer than the request's
// deadline is no answer.
struct EngineAnswer {
  tl::expected<engine::Load, engine::NoLoad> load;
  kube::Duration after = std::chrono::milliseconds(1);
};
using Engines = std::function<EngineAnswer(const engine::LoadRequest&)>;  // none: all are idle

class SimOperator {
 public:
  struct Options {
    std::string name = "operator-0";
    std::string user = "poolwarden";
    std::uint64_t seed = 1;
    bool leader_elect = false;
    Engines engines = {};
    pool::ListLimits list_limits = {};
    api::Timestamp::duration wall_skew{};  // of its machine's clock
    // How many pods a step of its looks at, and how long a step takes. Nothing arrives meanwhile.
    std::size_t step_pods = control::CoreOptions{}.step_pods;
    kube::Duration step_time{};
  };

  SimOperator(VirtualTime& time, apiserver::Model& model, Options options);
  ~SimOperator();

  void start();
  void stop();  // asks; exited() tells when it has ended
  void kill();
  void pause();
  void resume();
  bool paused() const { return paused_; }
  bool running() const { return process_ != nullptr; }
  const std::optional<control::Exit>& exited() const { return exit_; }

  // Its wall clock is set, by so much from the true time.
  void set_clock(kube::Duration ahead) {
    options_.wall_skew = std::chrono::duration_cast<api::Timestamp::duration>(ahead);
  }

  void model_changed();  // to be called on every change
  void cut();
  SimNetwork& network() { return network_; }
  const SimNetwork& network() const { return network_; }
  const SimRecord& record() const { return record_; }
  control::CoreHealth health() const;

 private:
  struct Process;

  void step(Process& process);
  void perform(Process& process, control::Effects effects);
  void read_load(const std::shared_ptr<bool>& alive, const engine::LoadRequest& request,
                 engine::LoadReader::Callback done);
  void wake(Process& process);
  api::Now now() const;

  VirtualTime& time_;
  apiserver::Model& model_;
  Options options_;
  SimNetwork network_;
  SimRecord record_;
  std::unique_ptr<Process> process_;
  std::uint64_t starts_ = 0;
  bool paused_ = false;
  std::optional<control::Exit> exit_;
};

}  // namespace poolwarden::sim
