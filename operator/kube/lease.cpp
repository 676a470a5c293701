#include "kube/lease.h"

#include "base/time.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

namespace poolwarden::kube {
namespace {

constexpr double kJitterFactor = 1.2;  // client-go's leaderelection.JitterFactor
// The transport answers by the deadline of a call; we stop waiting a little later, for the case that it
// does not.
constexpr std::chrono::seconds kGrace{1};
constexpr std::size_t kMaxWritten = 16;

Result<LeaseRecord> read(const Result<std::string>& body) {
  if (!body) {
    return tl::unexpected(body.error());
  }
  return parse_lease(*body);
}

double seconds(std::chrono::milliseconds value) {
  return static_cast<double>(value.count()) / 1000.0;
}

}  // namespace

std::optional<std::string> problem_with(const LeaseConfig& config) {
  if (config.identity.empty() || config.ns.empty() || config.name.empty()) {
    return "leader election needs an identity, and the namespace and name of its Lease";
  }
  if (config.retry_period <= std::chrono::milliseconds::zero()) {
    return "the lease's retry period must be greater than zero";
  }
  if (seconds(config.renew_deadline) <= kJitterFactor * seconds(config.retry_period)) {
    return fmt::format(
        "the lease's renew deadline ({} s) must be greater than 1.2 times its retry period ({} s)",
        seconds(config.renew_deadline), seconds(config.retry_period));
  }
  if (config.duration <= config.renew_deadline) {
    return fmt::format("the lease duration ({} s) must be greater than the renew deadline ({} s)",
                       seconds(config.duration), seconds(config.renew_deadline));
  }
  if (config.duration.count() % 1000 != 0) {
    return fmt::format("the lease duration ({} s) must be whole seconds", seconds(config.duration));
  }
  return std::nullopt;
}

LeaseElector::LeaseElector(LeaseConfig config, RandomSource random)
    : config_(std::move(config)), random_(std::move(random)) {}

bool LeaseElector::valid(TimePoint at) const {
  const auto* leading = std::get_if<Leading>(&state_);
  return leading != nullptr && at < leading->renewed_at + config_.duration;
}

std::optional<TimePoint> LeaseElector::next_deadline() const {
  std::optional<TimePoint> due;
  if (in_flight_) {
    due = given_up_at(*in_flight_);
  } else if (const auto* observing = std::get_if<Observing>(&state_)) {
    due = observing->next_try;
  } else if (const auto* leading = std::get_if<Leading>(&state_)) {
    due = leading->next_try;
  }
  if (const auto* leading = std::get_if<Leading>(&state_)) {
    due = std::min(*due, leading->renewed_at + config_.renew_deadline);
  }
  return due;
}

std::vector<LeaseOutput> LeaseElector::tick(TimePoint now, WallTime wall) {
  Outputs out;
  const Moment moment{now, wall};
  if (in_flight_ && now >= given_up_at(*in_flight_)) {
    const Attempt attempt = *std::exchange(in_flight_, std::nullopt);
    const Error silence{ErrorClass::kRetry, 0, "Timeout", "no answer about Lease " + lease_name(),
                        std::nullopt};
    dispatch(attempt, tl::unexpected(silence), moment, out);
  }
  if (in_flight_) {
    lose_if_overdue(now, out);
    return out;
  }
  if (const auto* observing = std::get_if<Observing>(&state_)) {
    if (now >= observing->next_try) {
      send(Kind::kGet, get(kLeases, config_.ns, config_.name), {}, now, out);
    }
  } else if (auto* leading = std::get_if<Leading>(&state_)) {
    if (!lose_if_overdue(now, out) && now >= leading->next_try) {
      renew(*leading, moment, out);
    }
  }
  return out;
}

std::vector<LeaseOutput> LeaseElector::answer(std::uint64_t attempt, const Result<std::string>& body,
                                              TimePoint now, WallTime wall) {
  Outputs out;
  if (!in_flight_ || in_flight_->id != attempt) {
    return out;
  }
  dispatch(*std::exchange(in_flight_, std::nullopt), body, Moment{now, wall}, out);
  return out;
}

void LeaseElector::dispatch(const Attempt& attempt, const Result<std::string>& body, Moment now,
                            Outputs& out) {
  last_error_ = body ? std::nullopt : std::optional(body.error());
  std::visit([&](auto& state) { on_answer(state, attempt, body, now, out); }, state_);
}

std::vector<LeaseOutput> LeaseElector::release(TimePoint now, WallTime wall) {
  Outputs out;
  if (std::holds_alternative<Observing>(state_)) {
    finish_release(out);
  } else if (std::holds_alternative<Acquiring>(state_)) {
    state_ = Releasing{};  // the write in flight may succeed yet: what to undo is known when it is answered
  } else if (auto* leading = std::get_if<Leading>(&state_)) {
    LeaseRecord held = std::move(leading->held);
    state_ = Releasing{held};
    // A renewal in flight would overtake or be overtaken: its answer comes first. A read does not matter.
    if (!in_flight_ || in_flight_->kind == Kind::kGet) {
      send_release(held, Moment{now, wall}, out);
    }
  }
  return out;
}

void LeaseElector::on_answer(Observing& state, const Attempt&, const Result<std::string>& body, Moment now,
                             Outputs& out) {
  state.next_try = next_observation(now.mono);
  Result<LeaseRecord> record = read(body);
  if (record) {
    observed(std::move(*record), now.mono);
  } else if (!record.error().is_not_found()) {
    if (record.error().retry_after) {
      state.next_try = std::max(state.next_try, now.mono + *record.error().retry_after);
    }
    return;
  } else {
    // Deleted under a holder that does not know it yet: its term goes on until it ends.
    if (seen_ && !term_ended(*seen_, now.mono)) {
      return;
    }
    seen_.reset();
  }
  if (!seen_ || term_ended(*seen_, now.mono)) {
    acquire(now, out);
  }
}

void LeaseElector::on_answer(Acquiring&, const Attempt& attempt, const Result<std::string>& body, Moment now,
                             Outputs& out) {
  Result<LeaseRecord> record = read(body);
  if (!record) {
    TimePoint next_try = next_observation(now.mono);
    if (record.error().retry_after) {
      next_try = std::max(next_try, now.mono + *record.error().retry_after);
    }
    state_ = Observing{next_try};
    return;
  }
  const bool ours = record->term.holder == config_.identity && record->term.renew_time == attempt.renew_time;
  observed(std::move(*record), now.mono);
  if (!ours) {
    state_ = Observing{next_observation(now.mono)};
    return;
  }
  if (now.mono >= attempt.sent_at + config_.renew_deadline) {
    acquire(now, out);  // ours, but the answer took so long that it is worth nothing: once more
    return;
  }
  written_.clear();
  Leading leading;
  leading.renewed_at = attempt.sent_at;
  leading.next_try = attempt.sent_at + config_.retry_period;
  leading.held = std::move(seen_->record);
  seen_.reset();
  state_ = std::move(leading);
  out.emplace_back(BecameLeader{});
}

void LeaseElector::on_answer(Leading& state, const Attempt& attempt, const Result<std::string>& body,
                             Moment now, Outputs& out) {
  if (lose_if_overdue(now.mono, out)) {
    return;
  }
  if (attempt.kind == Kind::kGet) {
    leading_read(state, body, now, out);
  } else {
    leading_wrote(state, attempt, body, now, out);
  }
}

void LeaseElector::leading_read(Leading& state, const Result<std::string>& body, Moment now, Outputs& out) {
  Result<LeaseRecord> record = read(body);
  if (!record) {
    last_error_ = record.error();
    if (record.error().is_not_found()) {
      state.step =
          Leading::Step::kCreate;  // at the next try: reads and writes that chase each other are paced
    } else if (record.error().retry_after) {
      state.next_try = std::max(state.next_try, now.mono + *record.error().retry_after);
    }
    return;
  }
  const Written* written = find_written(record->term);
  const bool unchanged = record->uid == state.held.uid && record->term.holder == config_.identity &&
                         record->term.renew_time == state.held.term.renew_time;
  if (written == nullptr && !unchanged) {
    lose(fmt::format("Lease {} was taken by \"{}\"", lease_name(), record->term.holder), out);
    return;
  }
  if (written != nullptr) {
    state.renewed_at = std::max(state.renewed_at, written->sent_at);
    written_.clear();
  }
  state.held = std::move(*record);
  state.step = Leading::Step::kUpdate;
}

void LeaseElector::leading_wrote(Leading& state, const Attempt& attempt, const Result<std::string>& body,
                                 Moment now, Outputs& out) {
  Result<LeaseRecord> record = read(body);
  if (record && record->term.holder == config_.identity && record->term.renew_time == attempt.renew_time) {
    written_.clear();
    state.renewed_at = attempt.sent_at;
    state.held = std::move(*record);
    state.step = Leading::Step::kUpdate;
    return;
  }
  if (body) {
    // It was accepted, but what came back is not what we wrote, or not readable: look at it.
    last_error_ = record ? std::nullopt : std::optional(record.error());
    state.step = Leading::Step::kRead;
    return;
  }
  const Error& error = body.error();
  if (error.is_not_found() && attempt.kind == Kind::kUpdate) {
    state.step = Leading::Step::kCreate;
    renew(state, now, out);
  } else if (error.cls == ErrorClass::kConflict) {
    // An earlier write of ours whose answer was lost, someone's label, or another holder: a read tells.
    state.step = Leading::Step::kRead;
    renew(state, now, out);
  } else if (error.retry_after) {
    state.next_try = std::max(state.next_try, now.mono + *error.retry_after);
  }
}

void LeaseElector::on_answer(Releasing& state, const Attempt& attempt, const Result<std::string>& body,
                             Moment now, Outputs& out) {
  if (attempt.kind == Kind::kRelease) {
    finish_release(out);
    return;
  }
  const Result<LeaseRecord> record = read(body);
  if (record && record->term.holder == config_.identity && record->term.renew_time == attempt.renew_time) {
    state.held = *record;
    send_release(*record, now, out);
  } else if (state.held && !record && record.error().cls == ErrorClass::kRetry) {
    send_release(LeaseRecord(*state.held), now, out);
  } else {
    finish_release(out);
  }
}

void LeaseElector::observed(LeaseRecord record, TimePoint now) {
  const bool same = seen_ && seen_->record.uid == record.uid &&
                    seen_->record.term.holder == record.term.holder &&
                    seen_->record.term.renew_time == record.term.renew_time;
  const TimePoint since = same ? seen_->since : now;
  seen_ = Observation{std::move(record), since};
}

std::string LeaseElector::holder(TimePoint now) const {
  return seen_ && !term_ended(*seen_, now) ? seen_->record.term.holder : std::string();
}

bool LeaseElector::term_ended(const Observation& seen, TimePoint now) const {
  const LeaseTerm& term = seen.record.term;
  if (term.holder.empty() || was_ours(term)) {
    return true;
  }
  // A holder that does not say how long its term is gets ours.
  return now >=
         seen.since + term.duration.value_or(std::chrono::ceil<std::chrono::seconds>(config_.duration));
}

// By a write of this process whose outcome was unknown, or by a process before it whose place it has taken.
bool LeaseElector::was_ours(const LeaseTerm& term) const {
  const bool inherited = config_.outlives_process && term.holder == config_.identity;
  return inherited || find_written(term) != nullptr;
}

const LeaseElector::Written* LeaseElector::find_written(const LeaseTerm& term) const {
  if (term.holder != config_.identity) {
    return nullptr;
  }
  const auto found = std::find_if(written_.begin(), written_.end(), [&](const Written& written) {
    return written.renew_time == term.renew_time;
  });
  return found == written_.end() ? nullptr : &*found;
}

void LeaseElector::acquire(Moment now, Outputs& out) {
  LeaseTerm term = our_term(now.wall);
  state_ = Acquiring{};
  if (!seen_) {
    send(Kind::kCreate, create(kLeases, config_.ns, new_lease(config_.ns, config_.name, term)),
         term.renew_time, now.mono, out);
    return;
  }
  const LeaseTerm& before = seen_->record.term;
  if (was_ours(before)) {
    term.acquire_time = before.acquire_time;
    term.transitions = before.transitions;
  } else {
    term.transitions = before.transitions + 1;
  }
  send(Kind::kUpdate, guarded(update(kLeases, config_.ns, config_.name, updated_lease(seen_->record, term))),
       term.renew_time, now.mono, out);
}

void LeaseElector::renew(Leading& state, Moment now, Outputs& out) {
  state.next_try = now.mono + config_.retry_period;
  if (state.step == Leading::Step::kRead) {
    send(Kind::kGet, get(kLeases, config_.ns, config_.name), {}, now.mono, out);
    return;
  }
  LeaseTerm term = our_term(now.wall);
  term.acquire_time = state.held.term.acquire_time;
  term.transitions = state.held.term.transitions;
  if (state.step == Leading::Step::kCreate) {
    send(Kind::kCreate, create(kLeases, config_.ns, new_lease(config_.ns, config_.name, term)),
         term.renew_time, now.mono, out);
  } else {
    send(Kind::kUpdate, guarded(update(kLeases, config_.ns, config_.name, updated_lease(state.held, term))),
         term.renew_time, now.mono, out);
  }
}

void LeaseElector::send_release(const LeaseRecord& held, Moment now, Outputs& out) {
  // As client-go's release(): nobody, for one second (the API does not allow zero).
  LeaseTerm term = our_term(now.wall);
  term.holder.clear();
  term.duration = std::chrono::seconds{1};
  term.acquire_time = term.renew_time;
  term.transitions = held.term.transitions;
  send(Kind::kRelease, guarded(update(kLeases, config_.ns, config_.name, updated_lease(held, term))), {},
       now.mono, out);
}

void LeaseElector::send(Kind kind, Call call, std::string renew_time, TimePoint now, Outputs& out) {
  if (kind == Kind::kCreate || kind == Kind::kUpdate) {
    if (written_.size() == kMaxWritten) {
      written_.erase(written_.begin());
    }
    written_.push_back(Written{renew_time, now});
  }
  call.deadline = call_deadline();
  call.lane = CallLane::kLease;
  in_flight_ = Attempt{++last_attempt_, kind, now, std::move(renew_time)};
  out.emplace_back(SendLeaseCall{last_attempt_, std::move(call)});
}

void LeaseElector::lose(std::string reason, Outputs& out) {
  in_flight_.reset();
  state_ = Lost{reason};
  out.emplace_back(LostLeadership{std::move(reason)});
}

bool LeaseElector::lose_if_overdue(TimePoint now, Outputs& out) {
  const auto* leading = std::get_if<Leading>(&state_);
  if (leading == nullptr || now < leading->renewed_at + config_.renew_deadline) {
    return false;
  }
  lose(
      fmt::format("Lease {} could not be renewed for {} s{}{}", lease_name(), seconds(config_.renew_deadline),
                  last_error_ ? ": " : "", last_error_ ? last_error_->message : ""),
      out);
  return true;
}

void LeaseElector::finish_release(Outputs& out) {
  in_flight_.reset();
  state_ = Released{};
  out.emplace_back(LeaseReleased{});
}

LeaseTerm LeaseElector::our_term(WallTime wall) {
  const WallTime micros = std::chrono::floor<std::chrono::microseconds>(wall);
  last_written_ = last_written_ == WallTime::min()
                      ? micros
                      : std::max(micros, last_written_ + std::chrono::microseconds{1});
  LeaseTerm term;
  term.holder = config_.identity;
  term.renew_time = base::to_micro_time(last_written_);
  term.acquire_time = term.renew_time;
  term.duration = std::chrono::ceil<std::chrono::seconds>(config_.duration);
  return term;
}

TimePoint LeaseElector::next_observation(TimePoint now) const {
  const std::chrono::duration<double> wait =
      std::chrono::duration<double>(config_.retry_period) * (1.0 + kJitterFactor * random_());
  return now + std::chrono::duration_cast<Duration>(wait);
}

TimePoint LeaseElector::given_up_at(const Attempt& attempt) const {
  return attempt.sent_at + call_deadline() + kGrace;
}

}  // namespace poolwarden::kube
