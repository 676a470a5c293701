#include "gateway/zone_weights.h"

#include <random>
#include <string>
#include <utility>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace poolwarden::gateway {
namespace {

using testing::HasSubstr;

TEST(ZoneWeights, NamesZonesAndTheOthers) {
  const auto weights = parse_zone_weights("zone-a=100,*=25,eu_1.b=256,c=1");
  ASSERT_TRUE(weights) << weights.error();
  EXPECT_EQ(weights->of("zone-a"), 100);
  EXPECT_EQ(weights->of("eu_1.b"), 256);
  EXPECT_EQ(weights->of("c"), 1);
  EXPECT_EQ(weights->of("zone-b"), 25);
  EXPECT_EQ(weights->of(""), 25) << "the zone of its node is not known";
  EXPECT_EQ(weights->of("zone-a "), 25);
  EXPECT_EQ(parse_zone_weights("*=7")->of("anywhere"), 7);
}

TEST(ZoneWeights, SaysWhatIsWrongAndHowToMendIt) {
  const std::pair<std::string, const char*> rows[] = {
      {"", "'' is not ZONE=WEIGHT"},
      {"zone-a", "'zone-a' is not ZONE=WEIGHT"},
      {"zone-a=1,", "'' is not ZONE=WEIGHT"},
      {"=1", "'=1' is not ZONE=WEIGHT"},
      {"zone-a=1, *=1",
       "' *=1' is not ZONE=WEIGHT; write a zone as its nodes' label topology.kubernetes.io/zone"},
      {"zone-*=1,*=1", "'zone-*=1' is not ZONE=WEIGHT"},
      {std::string(64, 'a') + "=1,*=1", "is not ZONE=WEIGHT"},
      {"zone-a=0,*=1",
       "zone-a=0: a zone of weight 0 gets no request, so all of them fail while no other zone"},
      {"zone-a=1,*=00", "*=0: a zone of weight 0"},
      {"zone-a=,*=1", "zone-a=: a weight is a number from 1 to 256"},
      {"zone-a=-1,*=1", "zone-a=-1: a weight is a number from 1 to 256"},
      {"zone-a=257,*=1", "zone-a=257: a weight is a number from 1 to 256"},
      {"zone-a=99999999999,*=1", "zone-a=99999999999: a weight is a number from 1 to 256"},
      {"zone-a=50%,*=1", "zone-a=50%: a weight is a number from 1 to 256"},
      {"zone-a=1=2,*=1", "zone-a=1=2: a weight is a number from 1 to 256"},
      {"zone-a=1,zone-a=1,*=1", "zone-a has two weights"},
      {"*=1,*=2", "* has two weights"},
      {"zone-a=4,zone-b=1",
       "*=WEIGHT is missing: zones that are not named, and pods whose zone is not known, need a "
       "weight too: 'zone-a=4,zone-b=1,*=1'"},
  };
  for (const auto& [text, says] : rows) {
    const auto weights = parse_zone_weights(text);
    ASSERT_FALSE(weights) << text;
    EXPECT_THAT(weights.error(), HasSubstr(says)) << text;
  }
}

TEST(ZoneWeights, OfAnyTextAreRightOrAnError) {
  std::mt19937 random(5);
  const std::string letters = "ab=,*019 -\n";
  int taken = 0;
  for (int round = 0; round < 20'000; ++round) {
    std::string text;
    while (random() % 9 != 0) text += letters[random() % letters.size()];
    if (random() % 2 == 0) text += ",*=1";
    const auto weights = parse_zone_weights(text);
    if (!weights) continue;
    ++taken;
    for (const auto& [zone, weight] : weights->by_zone) ASSERT_TRUE(weight >= 1 && weight <= 256) << text;
  }
  EXPECT_GT(taken, 10);
}

}  // namespace
}  // namespace poolwarden::gateway
