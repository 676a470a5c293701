// A reflector without jitter, with its clock, and its state and actions as text: what its tests step.
#pragma once

#include "kube/reflector.h"
#include "thing.h"

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace poolwarden::kube {

inline Error error_of(ErrorClass cls, int status = 0) {
  return Error{cls, status, "Reason", "message", std::nullopt};
}

inline double in_seconds(Duration duration) {
  return std::chrono::duration<double>(duration).count();
}

class Machine {
 public:
  explicit Machine(
      RandomSource random = [] { return 0.0; }, const ReflectorOptions& options = {})
      : reflector(options, std::move(random)) {}

  // Steps with an answer to the latest attempt unless told otherwise.
  std::string step(decltype(ReflectorInput::what) what, std::optional<std::uint64_t> attempt = std::nullopt) {
    const ReflectorStep out = reflector.step({attempt.value_or(latest), std::move(what)}, now);
    std::string text;
    for (const auto& action : out.actions) text += describe(action) + " ";
    return text + effect(out.cache);
  }
  std::string start() { return step(ReflectorInput::Start{}); }
  std::string page(std::string version, std::string more = "") {
    return step(ReflectorInput::PageListed{std::move(version), std::move(more)});
  }
  std::string page_too_long() {
    Error error = error_of(ErrorClass::kTerminal);
    error.reason = kAnswerTooLarge;
    return list_failed(std::move(error));
  }
  std::string list_failed(Error error) { return step(ReflectorInput::ListFailed{std::move(error)}); }
  std::string opened() { return step(ReflectorInput::WatchOpened{}); }
  std::string data(std::string version) { return step(ReflectorInput::WatchData{std::move(version)}); }
  std::string ended(std::optional<Error> error = std::nullopt) {
    return step(ReflectorInput::WatchEnded{std::move(error)});
  }
  std::string tick() { return step(ReflectorInput::Tick{}); }
  // Lets time pass until the next deadline.
  std::string due() {
    now = std::max(now, *reflector.next_deadline());
    return tick();
  }
  void pass(Duration duration) { now += duration; }

  std::string state() const {
    if (const auto* listing = std::get_if<Reflector::Listing>(&reflector.state())) {
      return fmt::format("listing page {}", listing->progress.pages + 1);
    }
    if (std::holds_alternative<Reflector::Connecting>(reflector.state())) return "connecting";
    if (const auto* watching = std::get_if<Reflector::Watching>(&reflector.state())) {
      return watching->had_event ? "watching" : "watching, no event";
    }
    if (const auto* waiting = std::get_if<Reflector::Waiting>(&reflector.state())) {
      const std::string next =
          waiting->list ? fmt::format("list page {}", waiting->list->pages + 1) : "watch";
      return fmt::format("waiting {}s to {}", in_seconds(waiting->until - now), next);
    }
    return "idle";
  }

  Reflector reflector;
  TimePoint now = at(std::chrono::seconds(0));
  std::uint64_t latest = 0;
  int limit = 0;  // of the latest list

 private:
  std::string describe(const ReflectorAction& action) {
    if (const auto* list = std::get_if<StartList>(&action)) {
      latest = list->attempt;
      limit = list->limit;
      return list->continue_token.empty() ? "list" : fmt::format("list({})", list->continue_token);
    }
    if (const auto* watch = std::get_if<StartWatch>(&action)) {
      latest = watch->attempt;
      return fmt::format("watch({})", watch->resource_version);
    }
    if (const auto* cancel = std::get_if<CancelStream>(&action)) {
      EXPECT_EQ(cancel->attempt, latest);
      return "cancel";
    }
    return fmt::format("restarted({})", to_string(std::get<Restarted>(action).reason));
  }
  static std::string effect(CacheEffect effect) {
    switch (effect) {
      case CacheEffect::kNone:
        return ".";
      case CacheEffect::kStage:
        return "+stage";
      case CacheEffect::kSwapIn:
        return "+swap in";
      case CacheEffect::kSwapInRewound:
        return "+swap in rewound";
      case CacheEffect::kApply:
        return "+apply";
      case CacheEffect::kDropStage:
        return "+drop stage";
    }
    return "?";
  }
};

// Each state as tests start from it; attempt and version are the same as far as they can be.
inline Machine in_state(std::string_view state) {
  Machine m;
  if (state == "idle") return m;
  m.start();
  if (state == "listing") return m;
  if (state == "waiting to list") return m.list_failed(error_of(ErrorClass::kRetry)), m;
  if (state == "listing page 2" || state == "waiting for page 2") {
    m.page("110", "tok");
    if (state == "waiting for page 2") m.list_failed(error_of(ErrorClass::kRetry));
    return m;
  }
  m.page("100");
  if (state == "relisting") return m.ended(error_of(ErrorClass::kRelist, 410)), m.due(), m;
  if (state == "connecting") return m;
  if (state == "waiting to watch") return m.ended(error_of(ErrorClass::kRetry)), m;
  m.opened();
  if (state == "just opened") return m;
  m.data("105");
  if (state == "just watching") return m;
  m.pass(std::chrono::seconds(10));
  if (state == "watching") return m;
  ADD_FAILURE() << "no such state: " << state;
  return m;
}

}  // namespace poolwarden::kube
