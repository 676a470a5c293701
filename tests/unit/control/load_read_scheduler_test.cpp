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
    LoadRead read{uid, {"default", "pool"}, {}};
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

  LoadReadScheduler scheduler{4};
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

}  // namespace
}  // namespace poolwarden::control
