#include "control/load_turns.h"

#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace poolwarden::control {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class LoadTurnsOfFour : public testing::Test {
 protected:
  void join(const std::string& uid, bool in_trouble = false, std::size_t ports = 1) {
    LoadRead read{uid, {"default", "pool"}, {}};
    read.request.sources.resize(ports);
    turns.join(std::move(read), in_trouble);
  }
  std::vector<std::string> take() {
    std::vector<std::string> out;
    for (const LoadRead& read :
         turns.take([this](const std::string& uid) { return !unwanted.contains(uid); }))
      out.push_back(read.pod_uid);
    return out;
  }

  LoadTurns turns{4};
  std::set<std::string> unwanted;
};

TEST_F(LoadTurnsOfFour, GoInTheOrderTheyCame) {
  for (const char* uid : {"f", "e", "d", "c", "b", "a"}) join(uid);
  EXPECT_THAT(take(), ElementsAre("f", "e", "d", "c"));
  EXPECT_THAT(take(), IsEmpty());
  turns.ended("d");
  join("d");
  EXPECT_THAT(take(), ElementsAre("b")) << "whoever has just been asked is the last again";
  turns.ended("f");
  turns.ended("e");
  EXPECT_THAT(take(), ElementsAre("a", "d"));
  EXPECT_EQ(turns.waiting(), 0U);
}

TEST_F(LoadTurnsOfFour, WhoeverIsInTroubleLeavesHalfOfThePlaces) {
  for (const char* uid : {"hangs1", "hangs2", "hangs3", "hangs4"}) join(uid, true);
  EXPECT_THAT(take(), ElementsAre("hangs1", "hangs2"));
  for (const char* uid : {"a", "b", "c"}) join(uid);
  EXPECT_THAT(take(), ElementsAre("a", "b"));
  turns.ended("a");
  EXPECT_THAT(take(), ElementsAre("c"));
  turns.ended("hangs1");
  EXPECT_THAT(take(), ElementsAre("hangs3")) << "and is asked all the same";
  turns.ended("b");
  join("d");
  EXPECT_THAT(take(), ElementsAre("d"));
}

TEST_F(LoadTurnsOfFour, EachSourceTakesAPlace) {
  join("a", false, 3);
  join("b", false, 2);
  join("c");
  EXPECT_THAT(take(), ElementsAre("a")) << "nobody overtakes b, or it might wait for ever";
  turns.ended("a");
  EXPECT_THAT(take(), ElementsAre("b", "c"));
  turns.ended("b");
  turns.ended("c");
  join("more than there are", true, 9);
  EXPECT_THAT(take(), ElementsAre("more than there are"));
  join("a");
  EXPECT_THAT(take(), IsEmpty());
  turns.ended("more than there are");
  EXPECT_THAT(take(), ElementsAre("a"));
}

TEST_F(LoadTurnsOfFour, KeepTheirTurnWhenTheyAreWantedAgain) {
  for (const char* uid : {"a", "b", "c", "d", "e", "f", "e"}) join(uid);
  EXPECT_EQ(turns.waiting(), 6U);
  take();
  turns.ended("a");
  EXPECT_THAT(take(), ElementsAre("e"));
}

TEST_F(LoadTurnsOfFour, ForgetWhomNobodyWantsAnyMore) {
  for (const char* uid : {"a", "b", "c", "d", "e", "f"}) join(uid);
  unwanted = {"b", "c", "e"};
  EXPECT_THAT(take(), ElementsAre("a", "d", "f"));
  EXPECT_EQ(turns.waiting(), 0U);
  turns.ended("b");
  turns.ended("a");
  turns.ended("a");
  for (const char* uid : {"1", "2", "3"}) join(uid);
  EXPECT_THAT(take(), ElementsAre("1", "2")) << "what did not begin did not end";
}

}  // namespace
}  // namespace poolwarden::control
