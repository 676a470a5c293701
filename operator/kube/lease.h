// Leader election over a Lease, as a machine without clock and network. Answers and the time go in, calls to
// send and news of leadership come out.
//
// Promises: of all electors of one Lease, at most one is valid() at any moment, however late messages
// arrive and however many are lost, provided that
//   - the clocks of their machines run at about the same speed (they may show different times: no time
//     written by another machine is ever compared with ours);
//   - no two living processes have the same identity (process_identity.h);
//   - nobody deletes the Lease in the very moment in which a new process starts. An elector that has seen a
//     holder waits for that holder's term to end even if the Lease disappears; one that has just started
//     cannot know of it.
// And there is a leader again within about a lease duration plus a retry period of the last one's end.
//
// How: valid() counts from BEFORE the renewal that succeeded was sent, another's term from AFTER we first saw
// it, so ours always ends first. (client-go counts from the answer; with a slow answer its two leaders
// overlap: kubernetes#44887.) A write of unknown outcome is recognised by the renewTime it carried, and then
// counts from when it was sent. What this process did not write belongs to somebody else. Where the identity
// outlives its process, that somebody may have had our own name. Then it is dead, and its term is taken over
// at once. The write still carries the resourceVersion that was read, so only one can win.
//
// valid() alone does not stop a write that is already on its way. Check valid(now + the write's deadline)
// before each write, and let writes carry a resourceVersion.
//
// Owned and used by one thread.
#pragma once

#include "kube/client.h"
#include "kube/lease_record.h"
#include "kube/random.h"
#include "kube/result.h"
#include "kube/time.h"

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace poolwarden::kube {

struct LeaseConfig {
  std::string identity;
  std::string ns;
  std::string name;
  // Whoever had this identity before us is dead: see process_identity.h.
  bool outlives_process = false;
  // client-go's defaults. The leader gives up at the renew deadline, and others may take over when the
  // duration has passed. The time between is for clocks of different speed and writes on their way.
  std::chrono::milliseconds duration{15'000};
  std::chrono::milliseconds renew_deadline{10'000};
  std::chrono::milliseconds retry_period{2'000};
};

// What a person must change, or nothing. Identity, namespace and name must be set, and (as client-go demands)
// duration > renew deadline > 1.2 * retry period. The duration must be whole seconds, as the API has it.
std::optional<std::string> problem_with(const LeaseConfig& config);

// What to do, in this order.
struct SendLeaseCall {
  std::uint64_t attempt = 0;  // to be given back with the answer
  Call call;
};
struct BecameLeader {};
struct LostLeadership {  // stop writing now, finish what is in flight, exit
  std::string reason;
};
struct LeaseReleased {};  // release() is done: exit
using LeaseOutput = std::variant<SendLeaseCall, BecameLeader, LostLeadership, LeaseReleased>;

// Transitions:
//   Observing -> Acquiring   the Lease is not there, not held, ours by an earlier write or by a dead process
//                            of our name, or its holder's term has ended
//   Acquiring -> Leading     our write succeeded, soon enough to be worth something
//   Acquiring -> Observing   it failed, or nobody knows
//   Leading   -> Leading     renewed
//   Leading   -> Lost        no renewal succeeded before the renew deadline; or someone else wrote to it
//   Leading, Acquiring -> Releasing    release()
//   Observing -> Released    release()
//   Releasing -> Released    our holderIdentity is written away, or that failed: then it runs out by itself
// Lost and Released are final.
struct Observing {
  TimePoint next_try{};
};
struct Acquiring {};
struct Leading {
  enum class Step : std::uint8_t { kUpdate, kRead, kCreate };
  TimePoint renewed_at{};  // when the last renewal that succeeded was sent
  TimePoint next_try{};
  Step step = Step::kUpdate;
  LeaseRecord held;
};
struct Releasing {
  std::optional<LeaseRecord> held;  // nothing: we may hold it once the write in flight is answered
};
struct Released {};
struct Lost {
  std::string reason;
};
using LeaseState = std::variant<Observing, Acquiring, Leading, Releasing, Released, Lost>;

class LeaseElector {
 public:
  // Precondition: problem_with(config) is nothing.
  LeaseElector(LeaseConfig config, RandomSource random);

  // Call at the start, and at or after next_deadline().
  [[nodiscard]] std::vector<LeaseOutput> tick(TimePoint now, WallTime wall);
  // The answer to an attempt; ignored when the attempt was given up in the meantime.
  [[nodiscard]] std::vector<LeaseOutput> answer(std::uint64_t attempt, const Result<std::string>& body,
                                                TimePoint now, WallTime wall);
  // For a clean exit, once nothing that needs leadership is in flight: lets the next one take over at once.
  [[nodiscard]] std::vector<LeaseOutput> release(TimePoint now, WallTime wall);

  // We hold the lease and still will at `at`, whatever happens until then.
  bool valid(TimePoint at) const;
  std::optional<TimePoint> next_deadline() const;
  // Who else was seen to hold the lease, while that holder's term lasts. Empty: nobody.
  std::string holder(TimePoint now) const;

  const LeaseState& state() const { return state_; }

 private:
  enum class Kind : std::uint8_t { kGet, kCreate, kUpdate, kRelease };
  using Outputs = std::vector<LeaseOutput>;

  struct Attempt {
    std::uint64_t id = 0;
    Kind kind = Kind::kGet;
    TimePoint sent_at{};
    std::string renew_time;  // what it writes
  };
  struct Written {
    std::string renew_time;
    TimePoint sent_at{};
  };
  struct Observation {
    LeaseRecord record;
    TimePoint since{};  // when this holder with this renewTime was first seen
  };
  struct Moment {
    TimePoint mono;
    WallTime wall;
  };

  void on_answer(Observing& state, const Attempt& attempt, const Result<std::string>& body, Moment now,
                 Outputs& out);
  void on_answer(Acquiring& state, const Attempt& attempt, const Result<std::string>& body, Moment now,
                 Outputs& out);
  void on_answer(Leading& state, const Attempt& attempt, const Result<std::string>& body, Moment now,
                 Outputs& out);
  void on_answer(Releasing& state, const Attempt& attempt, const Result<std::string>& body, Moment now,
                 Outputs& out);
  void on_answer(Released&, const Attempt&, const Result<std::string>&, Moment, Outputs&) {}
  void on_answer(Lost&, const Attempt&, const Result<std::string>&, Moment, Outputs&) {}
  void dispatch(const Attempt& attempt, const Result<std::string>& body, Moment now, Outputs& out);

  void observed(LeaseRecord record, TimePoint now);
  bool term_ended(const Observation& seen, TimePoint now) const;
  const Written* find_written(const LeaseTerm& term) const;
  bool was_ours(const LeaseTerm& term) const;
  void acquire(Moment now, Outputs& out);
  void renew(Leading& state, Moment now, Outputs& out);
  void leading_read(Leading& state, const Result<std::string>& body, Moment now, Outputs& out);
  void leading_wrote(Leading& state, const Attempt& attempt, const Result<std::string>& body, Moment now,
                     Outputs& out);
  void send_release(const LeaseRecord& held, Moment now, Outputs& out);
  void send(Kind kind, Call call, std::string renew_time, TimePoint now, Outputs& out);
  void lose(std::string reason, Outputs& out);
  bool lose_if_overdue(TimePoint now, Outputs& out);
  void finish_release(Outputs& out);
  LeaseTerm our_term(WallTime wall);
  TimePoint next_observation(TimePoint now) const;
  std::chrono::milliseconds call_deadline() const { return config_.renew_deadline / 2; }
  TimePoint given_up_at(const Attempt& attempt) const;
  std::string lease_name() const { return config_.ns + "/" + config_.name; }

  LeaseConfig config_;
  RandomSource random_;
  LeaseState state_{Observing{}};
  std::optional<Attempt> in_flight_;  // at most one; none in Released and Lost
  std::optional<Observation> seen_;   // the Lease as last read, while we are not Leading
  std::vector<Written> written_;      // our writes of unknown outcome, oldest first, bounded
  std::uint64_t last_attempt_ = 0;
  WallTime last_written_{WallTime::min()};  // renewTimes of ours only ever grow, so that each is different
  std::optional<Error> last_error_;         // for the reason why leadership is lost
};

}  // namespace poolwarden::kube
