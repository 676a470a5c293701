#include "support/sim/sim_operator.h"

#include "control/operator_command.h"
#include "kube/server_clock.h"

#include <iterator>
#include <utility>

namespace poolwarden::sim {
namespace {

class RecordingMetrics final : public control::ControllerMetrics {
 public:
  explicit RecordingMetrics(SimRecord& record) : record_(record) {}
  void withdrawal(kube::Duration latency) override { record_.withdrawals.push_back(latency); }
  void standby_withdrawal() override { ++record_.standby_withdrawals; }
  void drained(std::string_view result, kube::Duration) override { ++record_.drains[std::string(result)]; }

 private:
  SimRecord& record_;
};

// Below this a step that asks to be repeated at once would stop the clock.
constexpr kube::Duration kStepTime = std::chrono::microseconds(10);
// Until a process that goes on has read what came meanwhile.
constexpr kube::Duration kWakingTime = std::chrono::milliseconds(2);

}  // namespace

struct SimOperator::Process {
  Process(SimOperator& owner, control::CoreOptions options, std::uint64_t seed)
      : metrics(owner.record_),
        core(std::move(options), metrics),
        transport(owner.time_, owner.model_, owner.network_, kube::seeded_random(seed), owner.options_.user),
        dated(transport, clock, [&time = owner.time_] { return time.now().mono; }),
        shell(
            dated, "", [&time = owner.time_] { return time.now().mono; },
            [this, &owner](control::Input input) {
              inbox.push_back(std::move(input));
              if (!std::exchange(step_due, true)) owner.wake(*this);
            },
            [this, &owner](const engine::LoadRequest& request, auto done) {
              owner.read_load(alive, request, std::move(done));
            }) {}

  RecordingMetrics metrics;
  control::OperatorCore core;
  kube::ServerClock clock;
  SimTransport transport;
  kube::DatedTransport dated;
  std::vector<control::Input> inbox;
  control::Shell shell;
  bool step_due = false;
  kube::TimePoint busy_until{};
  kube::TimePoint timer = kube::TimePoint::max();
  std::shared_ptr<bool> alive = std::make_shared<bool>(true);
};

SimOperator::SimOperator(VirtualTime& time, apiserver::Model& model, Options options)
    : time_(time), model_(model), options_(std::move(options)) {}

SimOperator::~SimOperator() {
  kill();
}

// As the loop of a real one.
api::Now SimOperator::now() const {
  const api::Now true_time = time_.now();
  const api::Timestamp own = true_time.wall + options_.wall_skew;
  return {true_time.mono, process_ ? process_->clock.at_or(true_time.mono, own) : own};
}

void SimOperator::start() {
  kill();
  exit_.reset();
  control::CoreOptions options;
  options.seed = options_.seed * 1000 + ++starts_;
  options.instance = options_.name;
  options.leader_elect = options_.leader_elect;
  options.list_limits = options_.list_limits;
  options.step_pods = options_.step_pods;
  options.lease.identity = options_.name;
  options.lease.outlives_process = true;
  options.lease.ns = "poolwarden-system";
  options.lease.name = "poolwarden";
  options.load_sources_in_flight = 32;  // so that a story of a few dozen pods may want more
  const control::OperatorOptions defaults;
  options.feeds.drain_taints = defaults.drain_taints;
  options.feeds.withdraw_taints = defaults.withdraw_taints;
  options.feeds.drain_all_taints = defaults.drain_all_taints;
  process_ = std::make_unique<Process>(*this, std::move(options), options_.seed * 77 + starts_);
  perform(*process_, process_->core.start(now()));
}

void SimOperator::stop() {
  if (!process_) return;
  process_->inbox.emplace_back(control::StopRequested{});
  if (!std::exchange(process_->step_due, true)) wake(*process_);
}

void SimOperator::kill() {
  if (!process_) return;
  *process_->alive = false;
  process_.reset();
  paused_ = false;
}

void SimOperator::pause() {
  paused_ = process_ != nullptr;
}

void SimOperator::resume() {
  if (!std::exchange(paused_, false)) return;
  Process& process = *process_;
  auto missed = std::exchange(process.inbox, {});
  step(process);
  if (!process_) return;
  process.inbox.insert(process.inbox.begin(), std::make_move_iterator(missed.begin()),
                       std::make_move_iterator(missed.end()));
  process.step_due = true;
  time_.after(kWakingTime, [this, &process, alive = process.alive] {
    if (*alive) step(process);
  });
}

void SimOperator::wake(Process& process) {
  time_.at(process.busy_until, [this, &process, alive = process.alive] {
    if (*alive) step(process);
  });
}

void SimOperator::step(Process& process) {
  process.step_due = false;
  if (paused_) return;
  ++record_.steps;
  process.busy_until = time_.now().mono + options_.step_time;
  perform(process, process.core.step(process.inbox, now()));
}

void SimOperator::perform(Process& process, control::Effects effects) {
  process.shell.perform(effects);
  for (control::LogLine& line : effects.logs) record_.logs.push_back(std::move(line));
  if (effects.exit) {
    exit_ = std::move(effects.exit);
    return kill();
  }
  const auto deadline = process.core.next_deadline();
  if (!deadline || *deadline >= process.timer) return;
  process.timer = std::max(*deadline, time_.now().mono + std::max(kStepTime, options_.step_time));
  time_.at(process.timer, [this, &process, alive = process.alive, when = process.timer] {
    if (!*alive || process.timer != when) return;
    process.timer = kube::TimePoint::max();
    if (!process.step_due) step(process);
  });
}

void SimOperator::read_load(const std::shared_ptr<bool>& alive, const engine::LoadRequest& request,
                            engine::LoadReader::Callback done) {
  EngineAnswer answer{engine::Load{}};
  if (options_.engines) answer = options_.engines(request);
  if (answer.after >= request.deadline) {
    answer = {tl::unexpected(engine::NoLoad{"no answer in time"}), request.deadline};
  }
  time_.after(answer.after, [alive, answer, done = std::move(done)] {
    if (*alive) done(answer.load);
  });
}

void SimOperator::model_changed() {
  if (process_) process_->transport.changed();
}

void SimOperator::cut() {
  if (process_) process_->transport.cut();
}

control::CoreHealth SimOperator::health() const {
  return process_ ? process_->core.health() : control::CoreHealth{};
}

}  // namespace poolwarden::sim
