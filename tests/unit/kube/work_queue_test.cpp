#include "kube/work_queue.h"

#include <chrono>
#include <map>
#include <random>
#include <set>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace poolwarden::kube {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::Optional;

const TimePoint kStart = TimePoint{} + 1h;

struct Recorded : WorkQueueMetrics {
  std::size_t depth_now = 0;
  int adds = 0;
  std::vector<Duration> waited;
  std::vector<Duration> worked;

  void depth(std::size_t keys) override { depth_now = keys; }
  void added() override { ++adds; }
  void queue_duration(Duration duration) override { waited.push_back(duration); }
  void work_duration(Duration duration) override { worked.push_back(duration); }
};

using Queue = WorkQueue<std::string>;

// "a/1" is of group "a".
struct BySlash {
  std::string operator()(const std::string& key) const { return key.substr(0, key.find('/')); }
};
using GroupedQueue = WorkQueue<std::string, std::hash<std::string>, BySlash>;

template <class AnyQueue>
std::vector<std::string> drain(AnyQueue& queue, TimePoint now) {
  std::vector<std::string> keys;
  while (const auto key = queue.get(now)) {
    keys.push_back(*key);
    queue.done(*key, now);
  }
  return keys;
}

TEST(WorkQueue, HandsOutKeysInTheOrderOfAdding) {
  Queue queue;
  for (const char* key : {"b", "a", "c"}) {
    queue.add(key, kStart);
  }
  EXPECT_THAT(drain(queue, kStart), ElementsAre("b", "a", "c"));
  EXPECT_EQ(queue.get(kStart), std::nullopt);
}

TEST(WorkQueue, AKeyAddedManyTimesIsWorkedOnOnce) {
  Queue queue;
  for (int i = 0; i < 100; ++i) {
    queue.add("a", kStart);
  }
  EXPECT_EQ(queue.size(), 1U);
  EXPECT_THAT(drain(queue, kStart), ElementsAre("a"));
}

TEST(WorkQueue, AKeyIsNeverWorkedOnTwiceAtOnce) {
  Queue queue;
  queue.add("a", kStart);
  ASSERT_THAT(queue.get(kStart), Optional(std::string("a")));
  queue.add("a", kStart);
  queue.add("a", kStart);
  EXPECT_EQ(queue.size(), 0U);
  EXPECT_EQ(queue.get(kStart), std::nullopt);
  queue.done("a", kStart);
  EXPECT_THAT(drain(queue, kStart), ElementsAre("a")) << "what came meanwhile is worked on once more";
}

TEST(WorkQueue, DoneForAKeyThatWasNotHandedOutIsIgnored) {
  Queue queue;
  queue.done("a", kStart);
  queue.add("a", kStart);
  queue.done("a", kStart);
  EXPECT_THAT(drain(queue, kStart), ElementsAre("a"));
}

TEST(WorkQueue, UrgentKeysComeFirst) {
  Queue queue;
  queue.add("n1", kStart);
  queue.add("u1", kStart, Lane::kUrgent);
  queue.add("u2", kStart, Lane::kUrgent);
  EXPECT_THAT(drain(queue, kStart), ElementsAre("u1", "u2", "n1"));
}

TEST(WorkQueue, OfFiveKeysOneIsNormalSoThatNeitherLaneStarves) {
  Queue queue;
  for (int i = 0; i < 10; ++i) {
    queue.add("u" + std::to_string(i), kStart, Lane::kUrgent);
  }
  for (int i = 0; i < 3; ++i) {
    queue.add("n" + std::to_string(i), kStart);
  }
  EXPECT_THAT(drain(queue, kStart),
              ElementsAre("u0", "u1", "u2", "u3", "n0", "u4", "u5", "u6", "u7", "n1", "u8", "u9", "n2"));
}

TEST(WorkQueue, AnEmptyLaneLeavesItsShareToTheOther) {
  Queue queue;
  for (int i = 0; i < 6; ++i) {
    queue.add("u" + std::to_string(i), kStart, Lane::kUrgent);
  }
  std::vector<std::string> first;
  for (int i = 0; i < 5; ++i) {
    first.push_back(*queue.get(kStart));
  }
  EXPECT_THAT(first, ElementsAre("u0", "u1", "u2", "u3", "u4"));
  queue.add("n", kStart);
  EXPECT_THAT(drain(queue, kStart), ElementsAre("u5", "n")) << "keys taken while nobody waited do not count";
}

TEST(WorkQueue, AddingAgainWithMoreUrgencyMovesTheKey) {
  Queue queue;
  for (const char* key : {"a", "b", "c"}) {
    queue.add(key, kStart);
  }
  queue.add("c", kStart, Lane::kUrgent);
  queue.add("c", kStart, Lane::kNormal);  // never back again
  EXPECT_EQ(queue.size(), 3U);
  EXPECT_THAT(drain(queue, kStart), ElementsAre("c", "a", "b"));
}

TEST(WorkQueue, UrgencyGainedWhileTheKeyIsWorkedOnIsKept) {
  Queue queue;
  queue.add("a", kStart);
  ASSERT_TRUE(queue.get(kStart));
  queue.add("b", kStart);
  queue.add("a", kStart, Lane::kNormal);
  queue.add("a", kStart, Lane::kUrgent);
  queue.done("a", kStart);
  EXPECT_THAT(drain(queue, kStart), ElementsAre("a", "b"));
}

TEST(WorkQueue, BusyGroup_HoldsUpAnotherByOneKey) {
  GroupedQueue queue;
  for (const char* key : {"a/1", "a/2", "a/3", "a/4", "b/1", "c/1", "b/2"}) queue.add(key, kStart);
  EXPECT_EQ(queue.size(), 7U);
  EXPECT_THAT(drain(queue, kStart), ElementsAre("a/1", "b/1", "c/1", "a/2", "b/2", "a/3", "a/4"));
  EXPECT_EQ(queue.size(), 0U);
}

TEST(WorkQueue, GroupThatWasAway_IsNotOwedTurns) {
  GroupedQueue queue;
  queue.add("b/1", kStart);
  EXPECT_THAT(drain(queue, kStart), ElementsAre("b/1"));
  for (const char* key : {"a/1", "a/2", "b/2", "b/3", "b/4"}) queue.add(key, kStart);
  EXPECT_THAT(drain(queue, kStart), ElementsAre("a/1", "b/2", "a/2", "b/3", "b/4"));
}

TEST(WorkQueue, GroupsTakeTurnsInEachLane) {
  GroupedQueue queue;
  for (const char* key : {"a/1", "a/2", "a/3", "b/1"}) queue.add(key, kStart);
  queue.add("a/2", kStart, Lane::kUrgent);
  queue.add("a/4", kStart, Lane::kUrgent);
  queue.add("b/2", kStart, Lane::kUrgent);
  EXPECT_EQ(queue.size(Lane::kUrgent), 3U);
  EXPECT_EQ(queue.size(Lane::kNormal), 3U);
  EXPECT_THAT(drain(queue, kStart), ElementsAre("a/2", "b/2", "a/4", "a/1", "b/1", "a/3"));
}

// Whatever comes and goes: while a group has a key, no other is handed out twice.
TEST(WorkQueue, NoGroupWaitsForTwoKeysOfAnother) {
  for (unsigned seed = 1; seed <= 200; ++seed) {
    std::mt19937 random(seed);
    GroupedQueue queue;
    std::map<std::string, std::set<std::string>> waiting;            // keys, by group
    std::map<std::string, std::multiset<std::string>> overtaken_by;  // since the group's own last turn
    for (int step = 0; step < 400; ++step) {
      if (random() % 3 != 0) {
        // One group comes far more often than the others.
        const std::string group(1, random() % 4 == 0 ? static_cast<char>('b' + random() % 3) : 'a');
        const std::string key = group + "/" + std::to_string(random() % 20);
        queue.add(key, kStart);
        waiting[group].insert(key);
        continue;
      }
      const auto key = queue.get(kStart);
      if (!key) continue;
      queue.done(*key, kStart);
      const std::string group = BySlash{}(*key);
      ASSERT_EQ(waiting[group].erase(*key), 1U) << "seed " << seed;
      overtaken_by.erase(group);
      for (const auto& [other, keys] : waiting) {
        if (other == group || keys.empty()) continue;
        overtaken_by[other].insert(group);
        ASSERT_LE(overtaken_by[other].count(group), 1U) << other << " waits, seed " << seed;
      }
    }
  }
}

TEST(WorkQueue, AWaitingKeyComesWhenItIsDueAndNotBefore) {
  Queue queue;
  queue.add_after("a", 5s, kStart);
  EXPECT_EQ(queue.next_deadline(), kStart + 5s);
  EXPECT_EQ(queue.size(), 0U);
  EXPECT_EQ(queue.get(kStart + 5s - 1ns), std::nullopt);
  EXPECT_THAT(queue.get(kStart + 5s), Optional(std::string("a")));
  EXPECT_EQ(queue.next_deadline(), std::nullopt);
}

TEST(WorkQueue, OfTwoWaitsTheEarlierDeadlineWins) {
  Queue queue;
  queue.add_after("a", 5s, kStart);
  queue.add_after("a", 9s, kStart);
  EXPECT_EQ(queue.next_deadline(), kStart + 5s);
  queue.add_after("a", 2s, kStart);
  EXPECT_EQ(queue.next_deadline(), kStart + 2s);
  EXPECT_THAT(drain(queue, kStart + 1h), ElementsAre("a")) << "and the later ones are gone";
}

TEST(WorkQueue, WaitingKeys_ComeByDeadlineThenByAddition) {
  Queue queue;
  queue.add_after("late", 3s, kStart);
  queue.add_after("tie 1", 2s, kStart);
  queue.add_after("tie 2", 2s, kStart);
  queue.add_after("early", 1s, kStart);
  EXPECT_THAT(drain(queue, kStart + 3s), ElementsAre("early", "tie 1", "tie 2", "late"));
}

TEST(WorkQueue, NoDelayIsNow) {
  Queue queue;
  queue.add_after("a", 0s, kStart);
  queue.add_after("b", -1s, kStart);
  EXPECT_THAT(drain(queue, kStart), ElementsAre("a", "b"));
}

TEST(WorkQueue, AnAbsurdDelayIsCut) {
  Queue queue;
  queue.add_after("a", Duration::max(), kStart);
  EXPECT_EQ(queue.next_deadline(), kStart + Queue::kLongestWait);
}

TEST(WorkQueue, AWaitDoesNotHoldAnImmediateAddBack) {
  Queue queue;
  queue.add_after("a", 5s, kStart);
  queue.add("a", kStart);
  EXPECT_THAT(drain(queue, kStart), ElementsAre("a"));
  EXPECT_EQ(queue.next_deadline(), kStart + 5s) << "and the wait goes on";
  EXPECT_THAT(drain(queue, kStart + 5s), ElementsAre("a"));
}

TEST(WorkQueue, AKeyThatComesDueWhileItIsWorkedOnIsWorkedOnAgain) {
  Queue queue;
  queue.add("a", kStart);
  ASSERT_TRUE(queue.get(kStart));
  queue.add_after("a", 1s, kStart, Lane::kUrgent);
  EXPECT_EQ(queue.get(kStart + 1s), std::nullopt);
  queue.done("a", kStart + 2s);
  EXPECT_THAT(drain(queue, kStart + 2s), ElementsAre("a"));
}

TEST(WorkQueue, AWaitTakesTheMoreUrgentLaneOfItsAdds) {
  Queue queue;
  queue.add_after("a", 1s, kStart, Lane::kNormal);
  queue.add_after("a", 5s, kStart, Lane::kUrgent);
  queue.add("b", kStart);
  EXPECT_THAT(drain(queue, kStart + 1s), ElementsAre("a", "b"));
}

TEST(WorkQueue, AfterShutdown_OnlyReadyKeysCome) {
  Queue queue;
  queue.add("ready", kStart);
  queue.add("busy", kStart, Lane::kUrgent);
  ASSERT_THAT(queue.get(kStart), Optional(std::string("busy")));
  queue.add("busy", kStart);
  queue.add_after("waiting", 1s, kStart);
  queue.shutdown();
  queue.add("new", kStart);
  queue.add_after("new", 1s, kStart);
  EXPECT_EQ(queue.next_deadline(), std::nullopt);
  queue.done("busy", kStart);
  EXPECT_THAT(drain(queue, kStart + 1h), testing::UnorderedElementsAre("ready", "busy"));
}

TEST(WorkQueue, PublishesWhatClientGoPublishes) {
  Recorded metrics;
  Queue queue(&metrics);
  queue.add("a", kStart);
  queue.add("a", kStart + 1s);
  queue.add("b", kStart + 1s);
  EXPECT_EQ(metrics.adds, 2);
  EXPECT_EQ(metrics.depth_now, 2U);
  ASSERT_TRUE(queue.get(kStart + 3s));
  EXPECT_EQ(metrics.depth_now, 1U);
  ASSERT_TRUE(queue.get(kStart + 4s));
  EXPECT_THAT(metrics.waited, ElementsAre(3s, 3s));
  queue.done("a", kStart + 10s);
  queue.done("b", kStart + 12s);
  EXPECT_THAT(metrics.worked, ElementsAre(7s, 8s));
  EXPECT_EQ(metrics.depth_now, 0U);
}

// Against the simplest possible model: a set of keys that need work and a set of keys that are worked on.
template <class AnyQueue>
void keeps_its_invariants() {
  for (unsigned seed = 1; seed <= 200; ++seed) {
    std::mt19937 random(seed);
    AnyQueue queue;
    std::set<std::string> needed;
    std::set<std::string> busy;
    std::map<std::string, TimePoint> waiting;
    TimePoint now = kStart;
    const auto pass = [&](Duration time) {
      now += time;
      for (auto entry = waiting.begin(); entry != waiting.end();) {
        if (entry->second <= now) {
          needed.insert(entry->first);
          entry = waiting.erase(entry);
        } else {
          ++entry;
        }
      }
    };
    for (int step = 0; step < 400; ++step) {
      std::string key(1, static_cast<char>('a' + random() % 3));
      key += "/" + std::to_string(random() % 3);
      const Lane lane = random() % 2 == 0 ? Lane::kUrgent : Lane::kNormal;
      switch (random() % 5) {
        case 0:
          queue.add(key, now, lane);
          needed.insert(key);
          break;
        case 1: {
          const Duration delay = std::chrono::seconds(1 + random() % 5);
          queue.add_after(key, delay, now, lane);
          const auto [entry, fresh] = waiting.try_emplace(key, now + delay);
          entry->second = std::min(entry->second, now + delay);
          break;
        }
        case 2: {
          const auto got = queue.get(now);
          std::set<std::string> ready;
          std::set_difference(needed.begin(), needed.end(), busy.begin(), busy.end(),
                              std::inserter(ready, ready.end()));
          ASSERT_EQ(got.has_value(), !ready.empty()) << "seed " << seed;
          if (got) {
            ASSERT_TRUE(ready.contains(*got)) << "seed " << seed;
            needed.erase(*got);
            busy.insert(*got);
          }
          break;
        }
        case 3:
          if (!busy.empty()) {
            queue.done(*busy.begin(), now);
            busy.erase(busy.begin());
          }
          break;
        default:
          pass(std::chrono::milliseconds(random() % 2000));
      }
    }
    for (const std::string& key : busy) {
      queue.done(key, now);
    }
    pass(1h);
    std::vector<std::string> rest = drain(queue, now);
    EXPECT_EQ(std::set<std::string>(rest.begin(), rest.end()), needed) << "seed " << seed;
    EXPECT_EQ(rest.size(), needed.size()) << "seed " << seed;
  }
}

TEST(WorkQueue, KeepsItsInvariantsInAnyOrderOfCalls) {
  keeps_its_invariants<Queue>();
}

TEST(WorkQueue, KeepsItsInvariantsWithGroups) {
  keeps_its_invariants<GroupedQueue>();
}

}  // namespace
}  // namespace poolwarden::kube
