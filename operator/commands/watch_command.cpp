// `watch`: a table of pools that follows the API server's watch; lines where there is no terminal.
#include "base/random.h"
#include "commands/cluster_reader.h"
#include "commands/context.h"
#include "commands/status_report.h"
#include "commands/watch_changes.h"
#include "kube/bounded_queue.h"
#include "kube/informer.h"
#include "kube/informer_runner.h"
#include "publish/calls.h"

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include <fmt/format.h>

namespace poolwarden::commands {
namespace {

using Input = kube::InformerInput<PoolView>;
using Queue = kube::BoundedQueue<Input>;
using Clock = std::chrono::steady_clock;

constexpr std::size_t kQueueCapacity = 256;
// Ages are counted in seconds, and the table is drawn as often.
constexpr std::chrono::milliseconds kFrame{1000};

class Watch {
 public:
  Watch(Context& context, const WatchOptions& options)
      : context_(context),
        options_(options),
        queue_(std::make_shared<Queue>(kQueueCapacity)),
        informer_({}, base::unseeded_random()),
        runner_(context.session.client(), publish::kInferencePools,
                {options.all_namespaces ? "" : context.session.ns(),
                 {},
                 options.pool.empty() ? "" : "metadata.name=" + options.pool},
                &Clock::now, [queue = queue_](Input input) { (void)queue->push(std::move(input)); }) {}
  // Whoever waits to put something in is let go, so that the transport can end.
  ~Watch() { queue_->close(); }
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;

  int run() {
    context_.session.on_interrupt([queue = queue_] { queue->close(); });
    runner_.run(informer_.start(Clock::now()));
    while (true) {
      const kube::WaitResult woken = queue_->wait_until(next_wake());
      if (woken == kube::WaitResult::kClosed) return ended(kDone);
      if (const auto code = turn(woken)) return ended(*code);
    }
  }

 private:
  // What was never seen, and what may not be watched, is for a person to mend.
  bool is_final(const kube::Error& error) const { return !informer_.synced() || error.http_status == 403; }

  kube::TimePoint next_wake() const {
    kube::TimePoint wake = Clock::now() + kFrame;
    if (const auto deadline = informer_.next_deadline()) wake = std::min(wake, *deadline);
    return wake;
  }

  std::optional<int> turn(kube::WaitResult woken) {
    std::vector<Input> inputs;
    if (woken == kube::WaitResult::kItems) queue_->try_pop_all(inputs);
    std::vector<kube::Delta<PoolView>> deltas;
    for (Input& input : inputs) runner_.run(informer_.step(std::move(input), Clock::now(), deltas));
    if (const auto deadline = informer_.next_deadline(); deadline && Clock::now() >= *deadline)
      runner_.run(informer_.tick(Clock::now()));
    if (const auto error = informer_.last_error(); error && is_final(*error)) return fail(context_, *error);
    tell_of_trouble();
    if (!informer_.synced()) return std::nullopt;
    if (const auto code = first_look()) return code;
    const bool gone = take(deltas);
    draw();
    if (!gone) return std::nullopt;
    context_.console.say(fmt::format("pool {}/{} was deleted", context_.session.ns(), options_.pool));
    return kDone;
  }

  std::optional<int> first_look() {
    if (std::exchange(looked_, true) || !informer_.store().empty()) return std::nullopt;
    if (!options_.pool.empty())
      return fail(context_, fmt::format("there is no inferencepools.poolwarden.io {} in namespace {}",
                                        options_.pool, context_.session.ns()));
    if (!context_.console.is_terminal())
      context_.console.warn("there are no inferencepools.poolwarden.io yet; watching");
    return std::nullopt;
  }

  // True once the one pool that is watched is gone.
  bool take(const std::vector<kube::Delta<PoolView>>& deltas) {
    bool gone = false;
    const api::Timestamp time = now().wall;
    for (const auto& delta : deltas) {
      gone = gone || (delta.after == nullptr && !options_.pool.empty());
      if (delta.after != nullptr) gone = false;  // deleted and made again
      if (context_.console.is_terminal()) continue;
      for (const std::string& line : changes(delta.before.get(), delta.after.get(), time))
        context_.console.say(fmt::format("{}  {}", api::to_rfc3339(time), line));
    }
    return gone;
  }

  std::vector<PoolView> pools() const {
    std::vector<PoolView> out;
    informer_.store().for_each([&out](const auto& pool) { out.push_back(*pool); });
    std::sort(out.begin(), out.end(), [](const PoolView& a, const PoolView& b) {
      return std::pair(a.ns, a.name) < std::pair(b.ns, b.name);
    });
    return out;
  }

  std::string picture(std::size_t width) const {
    const api::Timestamp time = now().wall;
    const Paint& paint = context_.console.paint();
    const auto seen = pools();
    std::string out = fmt::format("{}\n", paint(Style::kFaint, api::to_rfc3339(time)));
    if (!trouble_.empty()) out += paint(Style::kBad, cut_to(trouble_, width)) + "\n";
    if (!options_.pool.empty() && seen.size() == 1)
      return out + status_text(seen.front(), time, paint, width);
    const auto namespaces = options_.all_namespaces ? Namespaces::kAll : Namespaces::kOne;
    out += status_table(seen, namespaces, time, paint, width) + "\n";
    return out + endpoint_table(seen, namespaces, time, paint, width);
  }

  // From the top left corner, line over line, so that nothing flickers. What does not fit is left out.
  void draw() {
    if (!context_.console.is_terminal()) return;
    const WindowSize window = context_.console.window();
    const std::string text = picture(window.columns);
    std::string frame = std::exchange(drawn_, true) ? "\x1b[H" : "\x1b[2J\x1b[H";
    std::size_t rows = 0;
    for (std::size_t start = 0; start < text.size();) {
      const std::size_t end = text.find('\n', start);
      const bool room = window.rows == 0 || ++rows < window.rows;
      if (!room) break;
      frame.append(text, start, end - start).append("\x1b[K\n");
      start = end + 1;
    }
    context_.console.write(frame + "\x1b[J");
    context_.console.flush();
  }

  // An API server that is away is waited for: what was last seen stays.
  void tell_of_trouble() {
    const auto error = informer_.last_error();
    const std::string words = error ? one_line(error->message) : std::string{};
    if (words == trouble_) return;
    trouble_ = words;
    if (context_.console.is_terminal()) return;
    context_.console.warn(words.empty() ? "the API server answers again" : words + "; trying again");
  }

  int ended(int code) {
    context_.session.on_interrupt({});
    return code;
  }

  Context& context_;
  const WatchOptions& options_;
  std::shared_ptr<Queue> queue_;  // shared with callbacks, which may come late
  kube::Informer<PoolViewCodec> informer_;
  kube::InformerRunner<PoolViewCodec> runner_;
  std::string trouble_;
  bool looked_ = false;
  bool drawn_ = false;
};

}  // namespace

int run_watch(Context& context, const WatchOptions& options) {
  if (!options.pool.empty() && options.all_namespaces)
    return usage(context, "watch POOL is about one pool: leave --all-namespaces out, and say -n NAMESPACE");
  return Watch(context, options).run();
}

}  // namespace poolwarden::commands
