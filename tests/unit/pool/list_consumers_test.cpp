#include "pool/list_consumers.h"

#include "pool/consumer_words.h"

#include <gmock/gmock.h>

namespace poolwarden::pool {
namespace {

using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

using Revisions = std::vector<std::int64_t>;

ListConsumers::TimePoint heard_at(int second) {
  return ListConsumers::TimePoint{seconds{second}};
}

api::ConsumerLease lease(const std::string& name, Revisions applied, std::int32_t duration = 30) {
  api::ConsumerLease out;
  out.ns = "default";
  out.name = name;
  out.uid = name + "-uid";
  out.pool = "vllm";
  out.kind = "haproxy";
  out.holder = name;
  out.seconds = duration;
  out.applied = std::move(applied);
  return out;
}

// Who is awaited, and "name has/wanted" of it; empty if nobody is.
std::string awaited(const ListConsumers& consumers, const Revisions& wanted, std::int64_t newest = 100) {
  const auto one = consumers.awaited(wanted, newest);
  return one ? one->name + " " + std::to_string(one->has) + "/" + std::to_string(one->wanted) : "";
}

struct AwaitedRow {
  const char* situation;
  Revisions applied;
  Revisions wanted;
  std::int64_t newest;
  const char* awaited;
};

TEST(ListConsumers, IsAwaitedUntilItHoldsEachShard) {
  for (const AwaitedRow& row : {AwaitedRow{"it holds it", {11}, {11}, 11, ""},
                                {"it holds a newer one", {12}, {11}, 12, ""},
                                {"it holds an older one", {10}, {11}, 11, "edge 10/11"},
                                {"it has said nothing", {}, {11}, 11, "edge 0/11"},
                                {"both shards", {11, 10}, {11, 10}, 11, ""},
                                {"not the second shard", {11, 9}, {11, 10}, 11, "edge 9/10"},
                                {"a shard that it does not know", {11}, {11, 10}, 11, "edge 0/10"},
                                {"more shards than there are", {11, 10, 9}, {11, 10}, 11, ""},
                                {"furthest behind with the first", {5, 9}, {11, 10}, 11, "edge 5/11"},
                                {"a revision that is yet to come", {99}, {11}, 11, "edge 0/11"},
                                {"no list yet", {}, {}, 0, ""}}) {
    ListConsumers consumers;
    consumers.saw(lease("edge", row.applied), heard_at(0));
    EXPECT_EQ(awaited(consumers, row.wanted, row.newest), row.awaited) << row.situation;
  }
}

TEST(ListConsumers, TheSlowestIsNamed) {
  ListConsumers consumers;
  EXPECT_EQ(awaited(consumers, {11}), "") << "nobody confirms";
  consumers.saw(lease("a", {10}), heard_at(0));
  consumers.saw(lease("b", {7}), heard_at(0));
  consumers.saw(lease("c", {11}), heard_at(0));
  EXPECT_EQ(awaited(consumers, {11}), "b 7/11");
  consumers.saw(lease("b", {11}), heard_at(1));
  EXPECT_EQ(awaited(consumers, {11}), "a 10/11");
  consumers.saw(lease("a", {11}), heard_at(1));
  EXPECT_EQ(awaited(consumers, {11}), "");
  consumers.saw(lease("a", {4}), heard_at(2));
  EXPECT_EQ(awaited(consumers, {11}), "a 4/11") << "it has taken back what it said";
}

TEST(ListConsumers, OnlyARenewalIsNoNews) {
  ListConsumers consumers;
  EXPECT_TRUE(consumers.saw(lease("a", {1}), heard_at(0)));
  EXPECT_FALSE(consumers.saw(lease("a", {1}), heard_at(10)));
  EXPECT_TRUE(consumers.saw(lease("a", {2}), heard_at(20)));
  auto another = lease("a", {2});
  another.uid = "other";
  EXPECT_TRUE(consumers.saw(another, heard_at(21)));
  another.kind = "envoy";
  EXPECT_TRUE(consumers.saw(another, heard_at(22)));
  another.unreadable = true;
  EXPECT_TRUE(consumers.saw(another, heard_at(23)));
  another.applied_at = api::Timestamp{seconds{7}};
  EXPECT_FALSE(consumers.saw(another, heard_at(24))) << "told with the next change";
  another.holder.clear();
  EXPECT_TRUE(consumers.saw(another, heard_at(25))) << "it has said goodbye";
  EXPECT_FALSE(consumers.saw(another, heard_at(26)));
  EXPECT_TRUE(consumers.empty());
  EXPECT_FALSE(consumers.gone("a"));
}

TEST(ListConsumers, IsLiveForAsLongAsItsLeaseAndNoLonger) {
  struct {
    std::int32_t duration;
    int lasts;
  } const rows[] = {{30, 30}, {10, 10}, {1, 5}, {5, 5}, {120, 120}, {100'000, 120}};
  for (const auto& row : rows) {
    ListConsumers consumers;
    consumers.saw(lease("a", {1}, row.duration), heard_at(0));
    consumers.saw(lease("a", {1}, row.duration), heard_at(100));
    EXPECT_EQ(consumers.next_silence(), heard_at(100 + row.lasts)) << row.duration;
    EXPECT_THAT(consumers.fall_silent(heard_at(100 + row.lasts - 1)), IsEmpty()) << row.duration;
    EXPECT_EQ(consumers.live(), 1U);
    EXPECT_THAT(consumers.fall_silent(heard_at(100 + row.lasts)), ElementsAre("a")) << row.duration;
    EXPECT_THAT(consumers.fall_silent(heard_at(101 + row.lasts)), IsEmpty()) << "it is told once";
    EXPECT_EQ(consumers.live(), 0U);
    EXPECT_EQ(awaited(consumers, {11}), "") << "it is left out";
    EXPECT_EQ(consumers.next_silence(), std::nullopt);
  }
}

TEST(ListConsumers, SilentOneIsHeardAgain_ItCounts) {
  ListConsumers consumers;
  consumers.saw(lease("a", {1}), heard_at(0));
  consumers.saw(lease("a", {1}), heard_at(1));
  consumers.fall_silent(heard_at(60));
  EXPECT_TRUE(consumers.saw(lease("a", {1}), heard_at(70)));
  EXPECT_EQ(awaited(consumers, {11}), "a 1/11");
  EXPECT_THAT(consumers.silent_lately(heard_at(70)), IsEmpty());
}

// A Lease of long ago that nobody has taken away. It counts for its duration, as nobody knows better.
TEST(ListConsumers, NeverHeardOf_FallsSilentWithoutAWord) {
  ListConsumers consumers;
  consumers.saw(lease("old", {1}), heard_at(0));
  EXPECT_EQ(awaited(consumers, {11}), "old 1/11");
  EXPECT_THAT(consumers.fall_silent(heard_at(30)), IsEmpty());
  EXPECT_EQ(consumers.live(), 0U);
  EXPECT_THAT(consumers.silent_lately(heard_at(30)), IsEmpty());
}

TEST(ListConsumers, SilenceIsToldForAWhile) {
  ListConsumers consumers;
  for (const int second : {0, 10}) {
    consumers.saw(lease("a", {1}), heard_at(second));
    consumers.saw(lease("b", {1}), heard_at(second));
  }
  EXPECT_THAT(consumers.fall_silent(heard_at(40)), ElementsAre("a", "b"));
  EXPECT_THAT(consumers.silent_lately(heard_at(40 + 599)), ElementsAre("a", "b"));
  consumers.gone("b");
  EXPECT_THAT(consumers.silent_lately(heard_at(40 + 599)), ElementsAre("a"));
  EXPECT_THAT(consumers.silent_lately(heard_at(40 + 600)), IsEmpty());
}

TEST(ListConsumers, WhatWasMissedIsHeldAgainstNobody) {
  ListConsumers consumers;
  consumers.saw(lease("a", {1}), heard_at(0));
  consumers.saw(lease("a", {1}), heard_at(1));
  consumers.heard_again(heard_at(100));
  EXPECT_THAT(consumers.fall_silent(heard_at(129)), IsEmpty());
  EXPECT_THAT(consumers.fall_silent(heard_at(130)), ElementsAre("a"));
  consumers.heard_again(heard_at(200));
  EXPECT_EQ(consumers.live(), 0U) << "who was silent before has to say something";
}

TEST(ListConsumers, AreBounded) {
  ListConsumers consumers;
  for (std::size_t i = 0; i < ListConsumers::kMost; ++i)
    EXPECT_TRUE(consumers.saw(lease("c-" + std::to_string(i), {11}), heard_at(0)));
  EXPECT_FALSE(consumers.saw(lease("one-more", {1}), heard_at(0)));
  EXPECT_EQ(consumers.size(), ListConsumers::kMost);
  EXPECT_EQ(awaited(consumers, {11}), "");
  consumers.gone("c-0");
  EXPECT_TRUE(consumers.saw(lease("one-more", {1}), heard_at(10))) << "at its next renewal it has room";
}

TEST(ListConsumers, SlowestFirst_AndTheSilentLast) {
  ListConsumers consumers;
  consumers.saw(lease("dead", {1}), heard_at(0));
  consumers.fall_silent(heard_at(60));
  consumers.saw(lease("b", {11, 10}), heard_at(60));
  consumers.saw(lease("a", {11, 10}), heard_at(60));
  consumers.saw(lease("slow", {9, 10}), heard_at(60));
  std::vector<std::string> told;
  for (const auto& one : consumers.slowest_first({.by_shard = {11, 10}, .newest = 11})) {
    told.push_back(one.name + " " + std::to_string(one.revision) + " -" + std::to_string(one.behind) +
                   (one.live ? "" : " silent"));
  }
  EXPECT_THAT(told, ElementsAre("slow 9 -2", "a 11 -0", "b 11 -0", "dead 1 -10 silent"));
}

TEST(ConfirmationTimes, EachWriteIsConfirmedOnce) {
  ConfirmationTimes times;
  times.written(1, 11, heard_at(10));
  times.written(2, 12, heard_at(11));
  times.written(1, 13, heard_at(12));
  EXPECT_THAT(times.confirmed({10, 9}, {11, 9}, heard_at(13)), ElementsAre(seconds{3}));
  EXPECT_THAT(times.confirmed({10, 9}, {13, 12}, heard_at(13)),
              ElementsAre(seconds{3}, seconds{2}, seconds{1}));
  EXPECT_THAT(times.confirmed({13, 12}, {13, 12}, heard_at(14)), IsEmpty()) << "a renewal";
  EXPECT_THAT(times.confirmed({13, 12}, {11, 12}, heard_at(14)), IsEmpty()) << "backwards";
  EXPECT_THAT(times.confirmed({}, {10}, heard_at(14)), IsEmpty());
  for (int i = 0; i < 1000; ++i) times.written(1, 14 + i, heard_at(20));
  EXPECT_LE(times.confirmed({}, {2000}, heard_at(21)).size(), 64U);
}

TEST(ConsumerWords, NamesAreMadeShortAndPrintable) {
  AwaitedConsumer one{.name = "edge\n\x1b[31m" + std::string(500, 'x'), .kind = "haproxy"};
  one.has = 11;
  one.wanted = 12;
  EXPECT_THAT(wait_words(one), HasSubstr("to confirm revision 12 of the list: it holds 11"));
  EXPECT_THAT(wait_words(one), Not(HasSubstr("\x1b")));
  EXPECT_LT(wait_words(one).size(), 300U);
  one.unreadable = true;
  EXPECT_THAT(wait_words(one), HasSubstr("poolwarden.io/applied-revisions cannot be read"));
  EXPECT_THAT(silence_words({"a", "b", "c", "d", "e", "f"}), HasSubstr(": a, b, c, d and 2 more. "));
}

}  // namespace
}  // namespace poolwarden::pool
