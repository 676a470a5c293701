// A story of drains from a script.
#include "scenarios/drain_story.h"

#include "scenarios/drain_draw.h"
#include "scenarios/drain_file.h"

#include <stdexcept>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace poolwarden::scenarios {
namespace {

using std::chrono::seconds;

DrainScript script_of(const std::string& acts) {
  return parse_drain_script("seed 3\ntimeout 5\nreplicas 3\nengines honest\nupgrade no\n" + acts);
}

TEST(DrainStory, RunAgain_IsTheSame) {
  DrainStory first(3);
  DrainStory second(parse_drain_script(to_text(draw_drain_script(3))));
  EXPECT_EQ(first.run(), second.run());
  EXPECT_EQ(first.told(), second.told());
}

TEST(DrainStory, ActsOfAScript_AreDoneAtTheirTimes) {
  DrainStory story(script_of("25.000 scale target 2\n40 pod 7 delete\n"));
  EXPECT_EQ(story.run(), "");
  EXPECT_THAT(story.told(), testing::HasSubstr(R"(25.000 -- deployments vllm: {"spec":{"replicas":2}})"));
  EXPECT_THAT(story.notes(), testing::ElementsAre("", testing::StartsWith("vllm-")));
  EXPECT_EQ(story.counts().started, 1U);
}

TEST(DrainStory, LostKubelets_AreNotHeardOfUntilTheyAreSeen) {
  DrainStory story(script_of("1 kubelet all lost\n25.500 clock 0 3600\n40 kubelet all seen\n"));
  EXPECT_EQ(story.run(), "");
  const std::string told = story.told();
  const auto seen = told.find("40.000 -- kubelet of node-1: seen");
  const auto ready = told.find("unlabelled -> true");
  ASSERT_NE(seen, std::string::npos);
  ASSERT_NE(ready, std::string::npos);
  EXPECT_LT(seen, ready) << "nobody hears that they are ready before";
  EXPECT_THAT(told, testing::HasSubstr("the clock of operator 0: 3600 s ahead"));
}

TEST(DrainStory, NothingToActOn_GoesOn) {
  DrainStory story(
      script_of("1 gate delete\n1 scale target 0\n20 pod 1 crash\n20 engine 1 hangs\n"
                "20 mark 1 drained\n20 operator 0 start\n"));
  EXPECT_EQ(story.run(), "");
  EXPECT_THAT(story.notes(), testing::ElementsAre("", "", "no pod", "no pod", "no pod", "it runs"));
}

TEST(DrainStory, UnknownAct_IsNamed) {
  struct Row {
    const char* act;
    const char* problem;
  };
  for (const Row& row : {
           Row{"1 dance", "there is no act 'dance'"},
           Row{"1 scale pool", "1.000 scale: a word is missing"},
           Row{"1 scale pool many", "1.000 scale: 'many' is no number"},
           Row{"1 node node-1 paint", "1.000 node: there is no 'paint' of it"},
           Row{"1 node node-9 cordon", "1.000 node: there is no node node-9"},
           Row{"1 kubelet node-9 lost", "1.000 kubelet: there is no node node-9"},
           Row{"1 kubelet all asleep", "1.000 kubelet: there is no 'asleep' of it"},
           Row{"1 clock 0 soon", "1.000 clock: 'soon' is no number"},
           Row{"1 network 0 fault slow * * count=1 seconds=1", "1.000 network: there is no 'slow' of it"},
           Row{"1 network 0 fault conflict * * 1 1", "1.000 network: '1' should begin with count="},
       }) {
    DrainStory story(script_of(row.act));
    try {
      story.run();
      ADD_FAILURE() << row.act;
    } catch (const std::runtime_error& problem) {
      EXPECT_STREQ(problem.what(), row.problem);
    }
  }
}

// An act that there is not fails whatever else a story has.
TEST(DrainFile, StoryThatFails_IsCutToTheActs) {
  DrainScript script = script_of("21 scale target 2\n22 node node-9 cordon\n23 scale target 4\n");
  const CutStory cut =
      cut_drain_story(script, "an exception: 22.000 node: there is no node node-9", seconds(600));
  ASSERT_EQ(cut.script.acts.size(), 1U);
  EXPECT_EQ(cut.script.acts[0].verb, "node");
  const std::string file = drain_file(cut, 3, "out/drain-seed-3.txt");
  EXPECT_THAT(file, testing::HasSubstr("cut from 3 acts to 1"));
  EXPECT_THAT(file, testing::HasSubstr("there is no node node-9"));
  EXPECT_TRUE(parse_drain_script(file) == cut.script) << file;
}

TEST(DrainFile, StoryThatDoesNotFailAgain_IsLeft) {
  const DrainScript script = script_of("21 scale target 2\n");
  const CutStory cut = cut_drain_story(script, "vllm-a is released with 3 in flight", seconds(600));
  EXPECT_EQ(cut.failure, "");
  EXPECT_TRUE(cut.script == script);
}

}  // namespace
}  // namespace poolwarden::scenarios
