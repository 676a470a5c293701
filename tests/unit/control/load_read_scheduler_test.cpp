#include "control/load_read_scheduler.h"

#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace poolwarden::control {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class LoadReadSchedulerOfFour : public testing::Test {
 protected:
  void enqueue(const std::string& uid, bool last_read_failed = false, std::size_t ports = 1) {
    enqueue_of("default", uid, last_read_failed, ports);
  }
  void enqueue_of(const std::string& ns, const std::string& uid, bool last_read_failed = false,
                  std::size_t ports = 1) {
    LoadRead read{uid, {ns, "pool"}, {}};
    read.request.sources.resize(ports);
    scheduler.enqueue(std::move(read), last_read_failed);
  }
  std::vector<std::string> take() {
    std::vector<std::string> out;
    for (const LoadRead& read :
         scheduler.take([this](const std::string& uid) { return !unwanted.contains(uid); }))
      out.push_back(read.pod_uid);
    return out;
  }

  LoadReadScheduler scheduler{8};  // a namespace that is alone has half of the places
  std::set<std::string> unwanted;
};

TEST_F(LoadReadSchedulerOfFour, GoInTheOrderTheyCame) {
  for (const char* uid : {"f", "e", "d", "c", "b", "a"}) enqueue(uid);
  EXPECT_THAT(take(), ElementsAre("f", "e", "d", "c"));
  EXPECT_THAT(take(), IsEmpty());
  scheduler.finished("d");
  enqueue("d");
  EXPECT_THAT(take(), ElementsAre("b")) << "whoever has just been asked is the last again";
  scheduler.finished("f");
  scheduler.finished("e");
  EXPECT_THAT(take(), ElementsAre("a", "d"));
  scheduler.finished("c");
  EXPECT_THAT(take(), IsEmpty());
}

TEST_F(LoadReadSchedulerOfFour, LastReadFailed_GetsHalfOfThePlaces) {
  for (const char* uid : {"hangs1", "hangs2", "hangs3", "hangs4"}) enqueue(uid, true);
  EXPECT_THAT(take(), ElementsAre("hangs1", "hangs2"));
  for (const char* uid : {"a", "b", "c"}) enqueue(uid);
  EXPECT_THAT(take(), ElementsAre("a", "b"));
  scheduler.finished("a");
  EXPECT_THAT(take(), ElementsAre("c"));
  scheduler.finished("hangs1");
  EXPECT_THAT(take(), ElementsAre("hangs3")) << "and is asked all the same";
  scheduler.finished("b");
  enqueue("d");
  EXPECT_THAT(take(), ElementsAre("d"));
}

TEST_F(LoadReadSchedulerOfFour, EachSourceTakesAPlace) {
  enqueue("a", false, 3);
  enqueue("b", false, 2);
  enqueue("c");
  EXPECT_THAT(take(), ElementsAre("a")) << "nobody overtakes b, or it might wait for ever";
  scheduler.finished("a");
  EXPECT_THAT(take(), ElementsAre("b", "c"));
  scheduler.finished("b");
  scheduler.finished("c");
  enqueue("more than there are", true, 9);
  EXPECT_THAT(take(), ElementsAre("more than there are"));
  enqueue("a");
  EXPECT_THAT(take(), IsEmpty());
  scheduler.finished("more than there are");
  EXPECT_THAT(take(), ElementsAre("a"));
}

TEST_F(LoadReadSchedulerOfFour, KeepTheirTurnWhenTheyAreWantedAgain) {
  for (const char* uid : {"a", "b", "c", "d", "e", "f", "e"}) enqueue(uid);
  EXPECT_THAT(take(), ElementsAre("a", "b", "c", "d"));
  scheduler.finished("a");
  EXPECT_THAT(take(), ElementsAre("e"));
  for (const char* uid : {"b", "c", "d"}) scheduler.finished(uid);
  EXPECT_THAT(take(), ElementsAre("f")) << "e waited once";
}

TEST_F(LoadReadSchedulerOfFour, ForgetWhomNobodyWantsAnyMore) {
  for (const char* uid : {"a", "b", "c", "d", "e", "f"}) enqueue(uid);
  unwanted = {"b", "c", "e"};
  EXPECT_THAT(take(), ElementsAre("a", "d", "f"));
  unwanted.clear();
  scheduler.finished("b");
  scheduler.finished("a");
  scheduler.finished("a");
  for (const char* uid : {"1", "2", "3"}) enqueue(uid);
  EXPECT_THAT(take(), ElementsAre("1", "2")) << "what did not begin did not end";
}

TEST_F(LoadReadSchedulerOfFour, NamespaceThatComesLater_FindsRoomAtOnce) {
  for (int i = 0; i < 100; ++i) enqueue_of("noisy", "noisy" + std::to_string(i));
  EXPECT_EQ(take().size(), 4U) << "and none of them ends";
  enqueue_of("calm", "a");
  enqueue_of("calm", "b");
  EXPECT_THAT(take(), ElementsAre("a", "b")) << "not behind a hundred, and not when those have timed out";
  enqueue_of("third", "c");
  EXPECT_THAT(take(), ElementsAre("c"));
  for (const char* uid : {"noisy0", "noisy1", "noisy2"}) scheduler.finished(uid);
  EXPECT_THAT(take(), ElementsAre("noisy4"))
      << "of eight places among three and one to come, two are its share";
  scheduler.finished("a");
  scheduler.finished("b");
  scheduler.finished("c");
  EXPECT_THAT(take(), ElementsAre("noisy5", "noisy6")) << "they are its own again";
}

TEST_F(LoadReadSchedulerOfFour, NamespacesTakeTurns) {
  for (const char* ns : {"a", "b", "c"}) {
    for (int i = 1; i <= 3; ++i) enqueue_of(ns, ns + std::to_string(i));
  }
  EXPECT_THAT(take(), ElementsAre("a1", "b1", "c1", "a2", "b2", "c2"));
  scheduler.finished("a1");
  EXPECT_THAT(take(), ElementsAre("a3"));
  for (const char* uid : {"a2", "b1", "c1"}) scheduler.finished(uid);
  EXPECT_THAT(take(), ElementsAre("b3", "c3"));
}

TEST_F(LoadReadSchedulerOfFour, EnginesThatHang_LeaveTheirNeighboursHalfOfItsShare) {
  enqueue_of("calm", "there");
  for (const char* uid : {"hangs1", "hangs2", "hangs3"}) enqueue_of("noisy", uid, true);
  EXPECT_THAT(take(), ElementsAre("there", "hangs1")) << "half of a share of two";
  enqueue_of("noisy", "answers");
  EXPECT_THAT(take(), ElementsAre("answers"));
}

TEST_F(LoadReadSchedulerOfFour, LargeReading_WaitsForRoomAndIsNotOvertaken) {
  enqueue_of("a", "small", false, 2);
  enqueue_of("b", "large", false, 7);
  enqueue_of("c", "last");
  EXPECT_THAT(take(), ElementsAre("small"));
  scheduler.finished("small");
  EXPECT_THAT(take(), ElementsAre("large", "last"));
}

TEST_F(LoadReadSchedulerOfFour, MoreNamespacesThanPlaces_EachGetsItsTurn) {
  for (int ns = 0; ns < 100; ++ns) {
    for (int i = 0; i < 2; ++i) enqueue_of("ns" + std::to_string(ns), std::to_string(2 * ns + i));
  }
  std::set<std::string> served;
  while (served.size() < 200) {
    const auto taken = take();
    ASSERT_FALSE(taken.empty());
    for (const std::string& uid : taken) {
      EXPECT_TRUE(served.insert(uid).second);
      scheduler.finished(uid);
    }
  }
  EXPECT_THAT(take(), IsEmpty());
}

}  // namespace
}  // namespace poolwarden::control
