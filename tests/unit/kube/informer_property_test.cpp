// Random histories of a server, random faults between it and an informer, from a seed: nothing may go back
// in time, nothing deleted may come back, the differences must add up to the store, and when the faults end
// the store must become what the server has.

#include "kube/informer.h"
#include "support/seeds.h"
#include "thing.h"

#include <cstdint>
#include <iterator>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace poolwarden::kube {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using Input = InformerInput<Thing>;

// What etcd and the watch cache hold.
class Server {
 public:
  struct Entry {
    std::uint64_t version;
    WatchEventType type;
    Thing object;
  };

  Thing write(const std::string& name) {
    auto& object = objects[name];
    const bool is_new = object.uid.empty();
    if (is_new) object = {"ns", name, fmt::format("uid-{}", ++last_uid_), "", "", 0};
    ++object.count;
    object.resource_version = std::to_string(++version);
    log.push_back({version, is_new ? WatchEventType::kAdded : WatchEventType::kModified, object});
    return object;
  }
  void remove(const std::string& name) {
    const auto found = objects.find(name);
    if (found == objects.end()) return;
    Thing object = std::move(found->second);
    objects.erase(found);
    object.resource_version = std::to_string(++version);
    log.push_back({version, WatchEventType::kDeleted, std::move(object)});
  }

  std::map<std::string, Thing> objects;
  std::vector<Entry> log;
  std::uint64_t version = 100;
  std::uint64_t compacted = 0;  // watches and continue tokens from before are gone

 private:
  std::uint64_t last_uid_ = 0;
};

class World {
 public:
  explicit World(std::uint64_t seed) : random_(seed) {
    for (int i = 0; i < 5; ++i) server_.write(fmt::format("thing-{}", i));
    carry_out(informer_.start(now_));
  }

  void step_with_faults() {
    now_ += milliseconds(pick(400));
    if (informer_.next_deadline() <= now_) carry_out(informer_.tick(now_));
    switch (pick(12)) {
      case 0:
      case 1:
        observed_.push_back(server_.write(name()));  // its answer is on the way
        break;
      case 2:
        server_.write(name());
        break;
      case 3:
        server_.remove(name());
        break;
      case 4:
        if (chance(10)) server_.compacted = server_.version - pick(3);
        break;
      case 5:
        observe_one();
        break;
      case 6:
        late_one();
        break;
      default:
        answer(true);
    }
    check();
  }

  // No more faults: everything is answered, and what is late comes.
  void settle() {
    while (!observed_.empty()) observe_one();
    while (!late_.empty()) late_one();
    for (int i = 0; i < 200; ++i) {
      if (!list_ && !watch_) now_ = std::max(now_, *informer_.next_deadline());
      if (informer_.next_deadline() <= now_) carry_out(informer_.tick(now_));
      answer(false);
      check();
    }
  }

  void expect_converged() const {
    std::map<std::string, Thing> held;
    informer_.store().for_each([&](const auto& object) { held.emplace(object->name, *object); });
    EXPECT_EQ(held, server_.objects);
    EXPECT_FALSE(informer_.last_error());
  }

 private:
  std::uint64_t pick(std::uint64_t below) { return random_() % below; }
  bool chance(std::uint64_t percent) { return pick(100) < percent; }
  std::string name() { return fmt::format("thing-{}", pick(8)); }

  void carry_out(std::vector<ReflectorAction> actions) {
    for (auto& action : actions) {
      if (const auto* list = std::get_if<StartList>(&action)) {
        ASSERT_FALSE(watch_) << "a list while a watch runs";
        list_ = *list;
      } else if (const auto* watch = std::get_if<StartWatch>(&action)) {
        watch_ = Watch{watch->attempt, std::stoull(watch->resource_version), false};
      } else if (std::holds_alternative<CancelStream>(action)) {
        watch_.reset();
      }
    }
  }

  void post(std::uint64_t attempt, decltype(Input::what) what, bool faults) {
    Input input{attempt, now_, std::move(what)};
    if (faults && chance(5)) late_.push_back(input);
    std::vector<Delta<Thing>> deltas;
    carry_out(informer_.step(std::move(input), now_, deltas));
    account(deltas);
  }
  void watch_lost() { post(watch_->attempt, Input::WatchEnded{error(ErrorClass::kRetry)}, false); }
  void late_one() {
    if (late_.empty()) return;
    const std::size_t which = pick(late_.size());
    // A transport does not say the same thing twice on a stream that runs.
    if (watch_ && late_[which].attempt == watch_->attempt) watch_lost();
    Input input = late_[which];
    late_.erase(late_.begin() + static_cast<std::ptrdiff_t>(which));
    std::vector<Delta<Thing>> deltas;
    carry_out(informer_.step(std::move(input), now_, deltas));
    account(deltas);
  }
  void observe_one() {
    if (observed_.empty()) return;
    const std::size_t which = pick(observed_.size());
    std::vector<Delta<Thing>> deltas;
    informer_.observe(observed_[which], now_, deltas);
    observed_.erase(observed_.begin() + static_cast<std::ptrdiff_t>(which));
    account(deltas);
  }

  static Error error(ErrorClass cls) { return Error{cls, 500, "Fault", "injected", std::nullopt}; }

  void answer(bool faults) {
    if (list_) return answer_list(*std::exchange(list_, std::nullopt), faults);
    if (!watch_) return;
    if (faults && chance(12)) {
      const std::uint64_t attempt = watch_->attempt;
      switch (pick(4)) {
        case 0:
          return post(attempt, Input::WatchEnded{}, faults);
        case 1:
          return post(attempt, Input::WatchEnded{error(ErrorClass::kRetry)}, faults);
        case 2:
          return post(attempt, Input::WatchEnded{error(ErrorClass::kRelist)}, faults);
        default:
          now_ += seconds(200);  // silence
          return;
      }
    }
    answer_watch(faults);
  }

  void answer_list(const StartList& list, bool faults) {
    if (faults && chance(15)) {
      return post(list.attempt,
                  Input::ListFailed{error(chance(70) ? ErrorClass::kRetry : ErrorClass::kRelist)}, faults);
    }
    if (faults && chance(5)) {  // a replica that lags
      return post(list.attempt, Input::ListArrived{{{}, "50", ""}}, faults);
    }
    if (list.continue_token.empty()) {
      snapshot_ = server_.objects;
      snapshot_version_ = server_.version;
    } else if (snapshot_version_ < server_.compacted) {
      return post(list.attempt, Input::ListFailed{error(ErrorClass::kRelist)}, faults);
    }
    ListPage<Thing> page{{}, std::to_string(snapshot_version_), ""};
    auto at = snapshot_.lower_bound(list.continue_token);
    for (int i = 0; i < 3 && at != snapshot_.end(); ++i, ++at) page.items.push_back(at->second);
    if (at != snapshot_.end()) page.continue_token = at->first;
    post(list.attempt, Input::ListArrived{std::move(page)}, faults);
  }

  void answer_watch(bool faults) {
    if (watch_->position < server_.compacted) {
      return post(watch_->attempt, Input::WatchEnded{error(ErrorClass::kRelist)}, faults);
    }
    if (!watch_->open) {
      watch_->open = true;
      return post(watch_->attempt, Input::WatchOpened{}, faults);
    }
    std::vector<WatchEvent<Thing>> events;
    const std::size_t limit = faults ? pick(4) : 100;
    for (const auto& entry : server_.log) {
      if (entry.version <= watch_->position || events.size() >= limit) continue;
      events.push_back({entry.type, entry.object, std::to_string(entry.version)});
      watch_->position = entry.version;
    }
    if (!faults && events.empty()) watch_->position = server_.version;
    if (events.empty()) events.push_back({WatchEventType::kBookmark, {}, std::to_string(watch_->position)});
    post(watch_->attempt, Input::WatchArrived{std::move(events)}, faults);
  }

  // Differences against what was reported before.
  void account(const std::vector<Delta<Thing>>& deltas) {
    for (const auto& delta : deltas) {
      const Thing& object = delta.after ? *delta.after : *delta.before;
      const auto found = reported_.find(object.name);
      ASSERT_EQ(found == reported_.end(), delta.before == nullptr) << "before is what was reported";
      if (delta.before) {
        ASSERT_EQ(*delta.before, found->second);
      }
      if (delta.kind == DeltaKind::kDeleted) {
        dead_.insert(object.uid);
        reported_.erase(found);
        continue;
      }
      ASSERT_FALSE(dead_.contains(object.uid)) << object.uid << " came back";
      if (delta.before) {
        ASSERT_EQ(delta.before->uid, object.uid) << "another object under a modification";
        ASSERT_GT(object.count, delta.before->count) << object.name << " went back in time";
      }
      reported_[object.name] = object;
    }
  }

  void check() const {
    std::map<std::string, Thing> held;
    informer_.store().for_each([&](const auto& object) { held.emplace(object->name, *object); });
    ASSERT_EQ(held, reported_) << "the differences do not add up";
    ASSERT_TRUE(informer_.next_deadline());
  }

  struct Watch {
    std::uint64_t attempt = 0;
    std::uint64_t position = 0;
    bool open = false;
  };

  std::mt19937_64 random_;
  TimePoint now_ = at(seconds(0));
  Server server_;
  Informer<SaxThingCodec> informer_{ReflectorOptions{}, seeded_random(1)};
  std::optional<StartList> list_;
  std::optional<Watch> watch_;
  std::map<std::string, Thing> snapshot_;
  std::uint64_t snapshot_version_ = 0;
  std::vector<Thing> observed_;
  std::vector<Input> late_;
  std::map<std::string, Thing> reported_;
  std::set<std::string> dead_;
};

TEST(InformerProperty, ConvergesAndNeverGoesBack) {
  for (std::uint64_t seed = 1; seed <= test::seeds(100); ++seed) {
    SCOPED_TRACE(fmt::format("seed {}", seed));
    World world(seed);
    for (int i = 0; i < 300 && !testing::Test::HasFatalFailure(); ++i) world.step_with_faults();
    if (testing::Test::HasFatalFailure()) return;
    world.settle();
    world.expect_converged();
    if (testing::Test::HasFailure()) return;
  }
}

}  // namespace
}  // namespace poolwarden::kube
