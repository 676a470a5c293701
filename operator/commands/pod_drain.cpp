#include "commands/pod_drain.h"

#include "api/names.h"
#include "commands/cluster_reader.h"
#include "commands/durations.h"
#include "commands/membership.h"
#include "commands/operator_liveness.h"

#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

namespace poolwarden::commands {
namespace {

using nlohmann::json;

constexpr std::chrono::milliseconds kPoll{500};
constexpr std::chrono::seconds kBeyondTheDrain{60};
constexpr const char* kRequested = "requested";

std::string name_of(const PodView& pod) {
  return fmt::format("pod {}/{}", pod.ns, pod.name);
}

std::string undo_command(const Context& context, const PodView& pod) {
  return fmt::format("{} drain {} -n {} --undo", context.program, pod.name, pod.ns);
}

// The pod's UID goes with it, so that a namesake is never written.
kube::Call annotate(const PodView& pod, const json& value) {
  const json body = {
      {"metadata",
       {{"uid", pod.uid}, {"annotations", {{std::string(api::kDrainRequestAnnotation), value}}}}}};
  return kube::guarded(kube::merge_patch(kube::kPods, pod.ns, pod.name, body.dump()));
}

int fail_to_annotate(Context& context, const PodView& pod, const kube::Error& error) {
  if (error.cls == kube::ErrorClass::kConflict || error.is_not_found())
    return fail(context, fmt::format("{} was replaced or deleted meanwhile; look again: {} status",
                                     name_of(pod), context.program));
  return fail(context, error);
}

// One drain, from the request to its end.
class Wait {
 public:
  Wait(Context& context, const DrainSubject& subject, const DrainRequest& request)
      : context_(context),
        subject_(subject),
        request_(request),
        reader_(context.session),
        started_(context_.session.now().mono),
        follow_(subject.pod.uid, started_) {}

  DrainReport run() {
    while (true) {
      const auto look = look_once();
      if (!look && look.error().cls == kube::ErrorClass::kShutdown) return stopped();
      if (!look) return {DrainResult::kFailed, fail(context_, look.error())};
      if (!unreadable_) {
        if (const auto report = take(follow_.look(*look, context_.session.now()))) return *report;
      }
      if (is_over()) return timed_out();
      if (!context_.session.pause(kPoll)) return stopped();
    }
  }

 private:
  // A passing failure is no news of the pod; only one that stays is.
  kube::Result<DrainLook> look_once() {
    DrainLook out;
    unreadable_ = false;
    auto pod = reader_.pod(subject_.pod.ns, subject_.pod.name);
    if (!pod && pod.error().cls == kube::ErrorClass::kRetry) {
      unreadable_ = true;
      context_.console.progress(pod.error().message, pod.error().message);
      return out;
    }
    if (!pod && pod.error().is_not_found()) return out;
    if (!pod) return tl::unexpected(std::move(pod.error()));
    out.pod = std::move(*pod);
    if (const auto pool = reader_.pool(subject_.pool.ns, subject_.pool.name)) {
      if (const EndpointView* found = pool->endpoint(subject_.pod.name)) out.endpoint = *found;
    }
    return out;
  }

  std::optional<DrainReport> take(const DrainStep& step) {
    context_.console.progress(fmt::format("{}: {}", name_of(subject_.pod), step.words), step.news);
    if (step.unheeded && !std::exchange(warned_unheeded_, true)) warn_unheeded();
    switch (step.end) {
      case DrainEnd::kNone:
        return std::nullopt;
      case DrainEnd::kReleased:
        context_.console.end_progress();
        return DrainReport{DrainResult::kReleased, kDone};
      case DrainEnd::kGone:
        context_.console.end_progress();
        return DrainReport{DrainResult::kGone, kDone};
      case DrainEnd::kTerminating:
        context_.console.end_progress();
        return DrainReport{DrainResult::kTerminating, kNotAsAsked};
      case DrainEnd::kCancelled:
        return DrainReport{
            DrainResult::kFailed,
            fail(context_, fmt::format("{}: someone took the request to drain it off, so it serves on",
                                       name_of(subject_.pod)))};
    }
    return std::nullopt;
  }

  void warn_unheeded() {
    const auto problem = operator_problem(reader_.lease(subject_.pod.ns), context_.session.now().wall);
    context_.console.warn(
        problem.value_or("nobody has begun the drain: does an operator run that looks after this namespace? "
                         "See kubectl -n poolwarden-system get pods") +
        "; still waiting");
  }

  bool is_over() const {
    const auto limit = request_.timeout.value_or(std::chrono::seconds(subject_.pool.drain_timeout_seconds) +
                                                 kBeyondTheDrain);
    return limit.count() > 0 && context_.session.now().mono - started_ >= limit;
  }

  std::string what_stays() const {
    return fmt::format("{} has {}, and stays asked to drain. Take that back with: {}", name_of(subject_.pod),
                       request_.verb == "delete" ? "not been deleted" : "not been seen drained",
                       undo_command(context_, subject_.pod));
  }

  DrainReport timed_out() {
    const auto waited =
        std::chrono::duration_cast<std::chrono::seconds>(context_.session.now().mono - started_);
    return {DrainResult::kFailed,
            fail(context_, fmt::format("not drained within {}: {}", in_words(waited), what_stays()))};
  }

  DrainReport stopped() {
    fail(context_, "interrupted: " + what_stays());
    return {DrainResult::kFailed, kInterrupted};
  }

  Context& context_;
  const DrainSubject& subject_;
  const DrainRequest& request_;
  ClusterReader reader_;
  const std::chrono::steady_clock::time_point started_;
  DrainFollow follow_;
  bool unreadable_ = false;
  bool warned_unheeded_ = false;
};

}  // namespace

tl::expected<DrainSubject, int> find_pool_of(Context& context, PodView pod) {
  auto pools = ClusterReader(context.session).selecting_pools(pod.ns);
  if (!pools) return tl::unexpected(fail(context, pools.error()));
  const auto found = pools_of(pod, *pools);
  if (found.empty()) {
    const NoPool none = why_in_no_pool(pod, *pools);
    if (!none.certain)
      return tl::unexpected(
          fail(context, fmt::format("whether {} is in a pool cannot be told: {}", name_of(pod), none.words)));
    return tl::unexpected(fail(context, fmt::format("{} is in no pool: {}, so nobody would drain it; kubectl "
                                                    "delete pod {} -n {} deletes it at once",
                                                    name_of(pod), none.words, pod.name, pod.ns)));
  }
  return DrainSubject{.pod = std::move(pod), .pool = found.front()->pool};
}

DrainReport drain_pod(Context& context, const DrainSubject& subject, const DrainRequest& request) {
  const PodView& pod = subject.pod;
  if (auto asked = context.session.call(annotate(pod, kRequested)); !asked)
    return {DrainResult::kFailed, fail_to_annotate(context, pod, asked.error())};
  if (request.wait) return Wait(context, subject, request).run();
  context.console.say(
      fmt::format("{}: asked to drain; take it back with: {}", name_of(pod), undo_command(context, pod)));
  return {DrainResult::kAsked, kDone};
}

int undo_pod_drain(Context& context, const PodView& pod) {
  if (pod.annotation(api::kDrainRequestAnnotation).empty()) {
    std::string text = fmt::format("{} is not asked to drain: nothing to undo", name_of(pod));
    if (const std::string reason = pod.annotation(api::kDrainReasonAnnotation); !reason.empty())
      text += fmt::format("; it drains for another reason ({}): {} why {} -n {}", reason, context.program,
                          pod.name, pod.ns);
    context.console.say(text);
    return kDone;
  }
  if (auto done = context.session.call(annotate(pod, nullptr)); !done)
    return fail_to_annotate(context, pod, done.error());
  context.console.say(
      fmt::format("{}: not asked to drain any more; the operator takes it back unless there "
                  "is another reason",
                  name_of(pod)));
  return kDone;
}

}  // namespace poolwarden::commands
