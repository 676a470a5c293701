#include "pool/load_words.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace poolwarden::pool {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

PodLoad load_of(double in_flight) {
  PodLoad out;
  out.load = Load{.in_flight = in_flight, .cache_usage = {}};
  return out;
}

TEST(LoadWords, FigureAndWhatThereIsToKnow) {
  EXPECT_EQ(in_flight_words(nullptr), "and how many requests are in flight is unknown");
  PodLoad load;
  load.problem = "it answered 404";
  EXPECT_EQ(in_flight_words(&load), "and how many requests are in flight is unknown: it answered 404");
  load.still_sent_to = true;
  EXPECT_THAT(in_flight_words(&load), HasSubstr("unknown: it answered 404; it still gets new requests"));

  load = load_of(3);
  EXPECT_EQ(in_flight_words(&load), "with 3 in flight");
  EXPECT_EQ(remark_on(load), "");
  load.still_sent_to = true;
  EXPECT_THAT(in_flight_words(&load), StartsWith("with 3 in flight: it still gets new requests"));
  load.still = std::chrono::seconds(60);
  EXPECT_THAT(in_flight_words(&load),
              AllOf(HasSubstr("still gets new requests"), Not(HasSubstr("stands still"))));
  load.still_sent_to = false;
  EXPECT_THAT(in_flight_words(&load), StartsWith("with 3 in flight: its engine stands still"));
  load.still = std::chrono::seconds(9);
  EXPECT_EQ(in_flight_words(&load), "with 3 in flight") << "a long prompt takes as long";
}

}  // namespace
}  // namespace poolwarden::pool
