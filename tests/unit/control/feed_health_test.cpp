#include "control/feed_health.h"

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace poolwarden::control {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;

const kube::TimePoint kRead{1000s};

FeedHealth read_at(kube::TimePoint when) {
  return {.synced = true, .out_of_reach = false, .last_byte = when, .fresh_at = when, .problem = {}};
}

std::string ready(const FeedHealth& feed, kube::Duration later, bool optional = false) {
  return not_up_to_date(feed, optional, kRead + later).value_or("ok");
}

TEST(FeedHealth, ReadLately_IsUpToDate) {
  EXPECT_EQ(ready(read_at(kRead), 0s), "ok");
  EXPECT_EQ(ready(read_at(kRead), 179s), "ok");
  EXPECT_EQ(ready(read_at(kRead), 180s), "nothing was read for 180 s");
}

TEST(FeedHealth, ServerAnswersErrors_IsNotUpToDate) {
  FeedHealth feed = read_at(kRead);
  feed.problem = "list pods: 500";
  feed.last_byte = kRead + 300s;  // the answer that says so
  EXPECT_EQ(ready(feed, 100s), "ok") << "a short trouble is none of a probe's";
  EXPECT_EQ(ready(feed, 301s), "nothing was read for 301 s: list pods: 500");
}

TEST(FeedHealth, NeverRead_SaysWhy) {
  FeedHealth feed;
  EXPECT_EQ(ready(feed, 0s), "the first list is not complete");
  feed.problem = "list pods: forbidden";
  feed.out_of_reach = true;
  EXPECT_EQ(ready(feed, 0s), "list pods: forbidden");
}

TEST(FeedHealth, OptionalAndNeverGranted_IsDoneWithout) {
  FeedHealth feed;
  feed.problem = "list nodes: forbidden";
  feed.out_of_reach = true;
  EXPECT_EQ(ready(feed, 1h, true), "ok");
  feed.out_of_reach = false;
  feed.problem = "list nodes: 500";
  EXPECT_EQ(ready(feed, 1h, true), "list nodes: 500") << "nothing is decided until it is read or refused";
}

TEST(FeedHealth, OptionalAndTakenAway_IsOldLikeAnyOther) {
  FeedHealth feed = read_at(kRead);
  feed.problem = "watch nodes: forbidden";
  feed.out_of_reach = true;
  EXPECT_THAT(ready(feed, 1h, true), HasSubstr("nothing was read for 3600 s"));
}

TEST(FeedHealth, SilentWithoutAProblem_IsStuck) {
  FeedHealth feed = read_at(kRead);
  EXPECT_FALSE(stuck("pods", feed, kRead + 399s));
  EXPECT_EQ(stuck("pods", feed, kRead + 400s), "the watch of pods has been silent for 400 s");
  feed.problem = "list pods: 500";
  EXPECT_FALSE(stuck("pods", feed, kRead + 1h)) << "a restart would not help";
  feed.problem.clear();
  feed.last_byte = kRead + 1h;
  EXPECT_FALSE(stuck("pods", feed, kRead + 1h)) << "it has just begun to watch again";
}

}  // namespace
}  // namespace poolwarden::control
