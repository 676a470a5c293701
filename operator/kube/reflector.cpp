#include "kube/reflector.h"

#include "kube/resource_version.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

namespace poolwarden::kube {
namespace {

Error retry_error(std::string reason, std::string message, int http_status = 0) {
  return Error{ErrorClass::kRetry, http_status, std::move(reason), std::move(message), std::nullopt};
}

RestartReason reason_of(const Error& error) {
  switch (error.cls) {
    case ErrorClass::kRelist:
      return RestartReason::kExpired;
    case ErrorClass::kForbidden:
      return RestartReason::kForbidden;
    default:
      return RestartReason::kFailed;
  }
}

// The same request will do later; anything else must be made anew from the beginning.
bool passes(const Error& error) {
  return error.cls == ErrorClass::kRetry || error.cls == ErrorClass::kForbidden ||
         error.cls == ErrorClass::kShutdown;
}

// Of a list that should go on: a server at fault could go on for ever.
std::optional<Error> endless(const Reflector::ListProgress& before, const Reflector::ListProgress& after,
                             std::size_t max_objects) {
  const auto error = [](std::string what) {
    return Error{ErrorClass::kRelist, 0, "EndlessList", std::move(what), std::nullopt};
  };
  if (after.continue_token == before.continue_token)
    return error("the list does not go on: a page names itself as the next one");
  if (after.objects >= max_objects)
    return error(fmt::format("the list has more than {} objects", max_objects));
  return std::nullopt;
}

}  // namespace

std::string_view to_string(RestartReason reason) {
  switch (reason) {
    case RestartReason::kClosed:
      return "closed";
    case RestartReason::kShort:
      return "short";
    case RestartReason::kExpired:
      return "expired";
    case RestartReason::kFailed:
      return "failed";
    case RestartReason::kForbidden:
      return "forbidden";
    case RestartReason::kStale:
      return "stale";
    case RestartReason::kLost:
      return "lost";
  }
  return "unknown";
}

Reflector::Reflector(ReflectorOptions options, RandomSource random)
    : options_(options),
      random_(std::move(random)),
      backoff_(options.backoff),
      page_limit_(options.page_limit) {}

bool Reflector::awaits(std::uint64_t attempt) const {
  if (const auto* listing = std::get_if<Listing>(&state_)) return listing->attempt == attempt;
  if (const auto* connecting = std::get_if<Connecting>(&state_)) return connecting->attempt == attempt;
  if (const auto* watching = std::get_if<Watching>(&state_)) return watching->attempt == attempt;
  return false;
}

std::optional<TimePoint> Reflector::next_deadline() const {
  if (const auto* listing = std::get_if<Listing>(&state_)) return listing->deadline;
  if (const auto* connecting = std::get_if<Connecting>(&state_)) return connecting->deadline;
  if (const auto* watching = std::get_if<Watching>(&state_)) return watching->deadline;
  if (const auto* waiting = std::get_if<Waiting>(&state_)) return waiting->until;
  return std::nullopt;
}

ReflectorStep Reflector::step(const ReflectorInput& input, TimePoint now) {
  ReflectorStep out;
  if (std::holds_alternative<ReflectorInput::Start>(input.what)) {
    if (std::holds_alternative<Idle>(state_)) start_list({}, now, out);
    return out;
  }
  if (std::holds_alternative<ReflectorInput::Tick>(input.what)) {
    on_tick(now, out);
    return out;
  }
  if (std::holds_alternative<ReflectorInput::ServerIsBack>(input.what)) {
    on_server_back(now);
    return out;
  }
  if (!awaits(input.attempt)) return out;

  if (std::holds_alternative<Listing>(state_)) {
    const Listing listing = std::get<Listing>(state_);  // a copy: the state is about to change
    if (const auto* page = std::get_if<ReflectorInput::PageListed>(&input.what)) {
      on_page(listing, *page, now, out);
    } else if (const auto* failed = std::get_if<ReflectorInput::ListFailed>(&input.what)) {
      on_list_failed(listing, failed->error, reason_of(failed->error), now, out);
    }
    return out;
  }
  // Connecting or Watching.
  if (std::holds_alternative<ReflectorInput::WatchOpened>(input.what)) {
    on_watch_data({}, now, out);
  } else if (const auto* data = std::get_if<ReflectorInput::WatchData>(&input.what)) {
    on_watch_data(*data, now, out);
    out.cache = CacheEffect::kApply;
  } else if (const auto* ended = std::get_if<ReflectorInput::WatchEnded>(&input.what)) {
    on_watch_ended(ended->error, now, out);
  }
  return out;
}

// Starting.

void Reflector::start_list(ListProgress progress, TimePoint now, ReflectorStep& out) {
  StartList action{++last_attempt_, progress.continue_token, page_limit_, options_.list_deadline};
  backoff_.attempt_started(now);
  state_ = Listing{last_attempt_, std::move(progress), now + options_.list_deadline + options_.grace};
  out.actions.emplace_back(std::move(action));
}

void Reflector::start_watch(TimePoint now, ReflectorStep& out) {
  const auto spread = options_.watch_timeout_max - options_.watch_timeout_min;
  const auto timeout =
      options_.watch_timeout_min +
      std::chrono::seconds(static_cast<std::int64_t>(static_cast<double>(spread.count()) * random_()));
  backoff_.attempt_started(now);
  state_ = Connecting{++last_attempt_, now + options_.list_deadline + options_.grace};
  out.actions.emplace_back(
      StartWatch{last_attempt_, resource_version_, timeout, options_.idle_timeout, options_.list_deadline});
}

void Reflector::wait(Duration delay, std::optional<ListProgress> list, TimePoint now) {
  state_ = Waiting{now + delay, std::move(list)};
}

// The server's own wish counts when it is longer than ours, up to a limit.
Duration Reflector::delay_after(const Error& error) {
  Duration delay;
  if (error.cls == ErrorClass::kForbidden) {
    const double kept = 1.0 - 0.5 * random_();
    delay =
        std::chrono::duration_cast<Duration>(std::chrono::duration<double>(options_.forbidden_retry) * kept);
  } else {
    delay = backoff_.next_delay(random_);
  }
  if (error.retry_after) delay = std::max<Duration>(delay, *error.retry_after);
  return std::min<Duration>(delay, options_.retry_after_limit);
}

// Listing.

void Reflector::on_page(const Listing& listing, const ReflectorInput::PageListed& page, TimePoint now,
                        ReflectorStep& out) {
  ListProgress progress = listing.progress;
  const bool first = progress.pages == 0;
  const std::string& expected = first ? resource_version_ : progress.resource_version;
  const bool unexpected = first ? older(page.resource_version, expected) : page.resource_version != expected;
  if (unexpected && (!first || ++stale_lists_ <= kStaleListLimit)) {
    on_list_failed(
        listing,
        Error{ErrorClass::kRelist, 0, "StaleList",
              fmt::format("the server listed version {} after version {}", page.resource_version, expected),
              std::nullopt},
        RestartReason::kStale, now, out);
    return;
  }
  if (first) {
    progress.rewound = unexpected;
    progress.resource_version = page.resource_version;
  }
  ++progress.pages;
  progress.objects += std::max<std::size_t>(page.objects, 1);
  progress.continue_token = page.continue_token;
  if (page.bytes <= options_.short_page) page_limit_ = std::min(options_.page_limit, page_limit_ * 2);
  last_error_.reset();
  if (!page.continue_token.empty()) {
    if (const auto error = endless(listing.progress, progress, options_.max_objects)) {
      on_list_failed(listing, *error, RestartReason::kFailed, now, out);
      return;
    }
    out.cache = CacheEffect::kStage;
    start_list(std::move(progress), now, out);
    return;
  }
  out.cache = progress.rewound ? CacheEffect::kSwapInRewound : CacheEffect::kSwapIn;
  stale_lists_ = 0;
  empty_watches_ = 0;
  resource_version_ = progress.resource_version;
  start_watch(now, out);
}

void Reflector::on_list_failed(const Listing& listing, const Error& error, RestartReason reason,
                               TimePoint now, ReflectorStep& out) {
  out.actions.emplace_back(Restarted{reason});
  if (error.reason == kAnswerTooLarge && page_limit_ > 1) {
    page_limit_ /= 2;
    start_list(listing.progress, now, out);
    return;
  }
  last_error_ = error;
  if (passes(error)) {
    wait(delay_after(error), listing.progress, now);  // the page is asked for again, what is staged stays
    return;
  }
  out.cache = CacheEffect::kDropStage;
  wait(delay_after(error), ListProgress{}, now);
}

// Watching.

void Reflector::on_watch_data(const ReflectorInput::WatchData& data, TimePoint now, ReflectorStep&) {
  if (const auto* connecting = std::get_if<Connecting>(&state_)) {
    state_ = Watching{connecting->attempt, now, false, {}};
    backoff_.attempt_started(now);
    last_error_.reset();
  }
  auto& watching = std::get<Watching>(state_);
  watching.deadline = now + options_.idle_timeout + options_.grace;
  if (data.resource_version.empty()) return;
  watching.had_event = true;
  empty_watches_ = 0;
  expired_ = 0;
  backoff_.data_flowed();
  if (!older(data.resource_version, resource_version_)) resource_version_ = data.resource_version;
}

void Reflector::on_watch_ended(const std::optional<Error>& error, TimePoint now, ReflectorStep& out) {
  const auto* watching = std::get_if<Watching>(&state_);
  if (error) {
    on_watch_failed(*error, reason_of(*error), now, out);
  } else if (watching != nullptr) {
    on_watch_closed(Watching(*watching), now, out);
  } else {
    on_watch_failed(retry_error("NoAnswer", "the watch ended before the server answered"),
                    RestartReason::kFailed, now, out);
  }
}

void Reflector::on_watch_closed(const Watching& watching, TimePoint now, ReflectorStep& out) {
  backoff_.attempt_ended(now);
  out.actions.emplace_back(CancelStream{watching.attempt});
  if (now - watching.opened >= kShortWatch) {
    out.actions.emplace_back(Restarted{RestartReason::kClosed});
    start_watch(now, out);
    return;
  }
  out.actions.emplace_back(Restarted{RestartReason::kShort});
  last_error_ = retry_error("ShortWatch", "the server ended the watch within a second", 200);
  // Perhaps it means that our version is gone and does not say so.
  if (!watching.had_event && ++empty_watches_ >= kEmptyWatchLimit) {
    empty_watches_ = 0;
    wait(backoff_.next_delay(random_), ListProgress{}, now);
    return;
  }
  wait(backoff_.next_delay(random_), std::nullopt, now);
}

void Reflector::on_watch_failed(const Error& error, RestartReason reason, TimePoint now, ReflectorStep& out) {
  std::uint64_t attempt = 0;
  bool was_silent = false;
  if (const auto* connecting = std::get_if<Connecting>(&state_)) attempt = connecting->attempt;
  if (const auto* watching = std::get_if<Watching>(&state_)) {
    attempt = watching->attempt;
    was_silent = !watching->had_event && now - watching->opened >= options_.idle_timeout;
  }
  out.actions.emplace_back(CancelStream{attempt});
  out.actions.emplace_back(Restarted{reason});
  last_error_ = error;
  const bool was_healthy = backoff_.attempt_ended(now);
  const bool list = was_silent || !passes(error);
  const bool at_once = was_healthy && error.cls != ErrorClass::kForbidden && !error.retry_after;
  if (at_once && list) {
    start_list({}, now, out);
  } else if (at_once) {
    start_watch(now, out);
  } else {
    Duration delay = delay_after(error);
    if (reason == RestartReason::kExpired && ++expired_ == 1) delay = std::min(delay, soon());
    wait(delay, list ? std::optional(ListProgress{}) : std::nullopt, now);
  }
}

// Jittered, for every watcher of the server is in the same case.
Duration Reflector::soon() const {
  return std::chrono::duration_cast<Duration>(options_.backoff.initial * (1.0 - 0.5 * random_()));
}

// Only what got no answer at all: a server that refuses, or asks for patience, has said what it wants.
void Reflector::on_server_back(TimePoint now) {
  auto* waiting = std::get_if<Waiting>(&state_);
  const bool unanswered =
      last_error_ && last_error_->cls == ErrorClass::kRetry && last_error_->http_status == 0;
  if (waiting != nullptr && unanswered) waiting->until = std::min(waiting->until, now + soon());
}

void Reflector::on_tick(TimePoint now, ReflectorStep& out) {
  const auto deadline = next_deadline();
  if (!deadline || now < *deadline) return;
  if (const auto* waiting = std::get_if<Waiting>(&state_)) {
    const Waiting over = *waiting;
    over.list ? start_list(*over.list, now, out) : start_watch(now, out);
  } else if (const auto* listing = std::get_if<Listing>(&state_)) {
    on_list_failed(Listing(*listing),
                   retry_error("NoAnswer", "no answer to the list, long after its deadline"),
                   RestartReason::kLost, now, out);
  } else {
    on_watch_failed(retry_error("Silent", "nothing came on the watch, not even a bookmark"),
                    RestartReason::kLost, now, out);
  }
}

}  // namespace poolwarden::kube
