// The text of a story of drains, and what seeds stand for.
#include "scenarios/drain_script.h"

#include "scenarios/drain_draw.h"

#include <algorithm>
#include <stdexcept>
#include <string>

#include <gtest/gtest.h>

namespace poolwarden::scenarios {
namespace {

using std::chrono::milliseconds;

TEST(DrainScript, ReadAgain_IsTheSame) {
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    const DrainScript script = draw_drain_script(seed);
    EXPECT_TRUE(parse_drain_script(to_text(script)) == script) << to_text(script);
  }
}

TEST(DrainScript, Text_IsReadable) {
  DrainScript script;
  script.settings = {.seed = 17, .faulty = true, .timeout = 20, .operators = 2, .replicas = 3};
  script.acts = {{milliseconds(21'480), "scale", {"target", "2"}}, {milliseconds(24'003), "evict", {}}};
  EXPECT_EQ(to_text(script, {"", "nobody"}),
            "seed 17\ntarget deployment\nnetwork fails\ntimeout 20\noperators 2\nreplicas 3\nreplace-first "
            "no\nengines mixed\n"
            "upgrade yes\n21.480 scale target 2\n24.003 evict                             # nobody\n");
  EXPECT_TRUE(parse_drain_script(to_text(script, {"", "nobody"})) == script);
}

TEST(DrainScript, WrittenByHand_IsRead) {
  const DrainScript script = parse_drain_script("# mine\n\nseed 3\n  20.5   pod 7 delete # now\n21 evict\n");
  ASSERT_EQ(script.acts.size(), 2U);
  EXPECT_EQ(script.settings.seed, 3U);
  EXPECT_TRUE((script.acts[0] == DrainAct{milliseconds(20'500), "pod", {"7", "delete"}}));
  EXPECT_EQ(script.acts[1].at, milliseconds(21'000));
}

TEST(DrainScript, WrongLine_IsNamed) {
  struct Row {
    const char* text;
    const char* problem;
  };
  for (const Row& row : {
           Row{"seed 1\nspeed 2", "line 2: there is no setting 'speed'"},
           Row{"seed", "line 1: a setting is a name and a value"},
           Row{"seed x", "line 1: 'x' is no number of this size"},
           Row{"timeout -1", "line 1: '-1' is no number of this size"},
           Row{"operators 0", "line 1: '0' is less than 1"},
           Row{"network slow", "line 1: 'slow' is neither fails nor well"},
           Row{"20", "line 1: an act is a time, a verb and its words"},
           Row{"2x evict", "line 1: '2x' is no number of this size"},
           Row{"21 evict\n20 evict", "line 2: this act is earlier than the one before it"},
       }) {
    try {
      parse_drain_script(row.text);
      ADD_FAILURE() << row.text;
    } catch (const std::runtime_error& problem) {
      EXPECT_STREQ(problem.what(), row.problem) << row.text;
    }
  }
}

TEST(DrainDraw, Seeds_DifferAndStay) {
  EXPECT_TRUE(draw_drain_script(7) == draw_drain_script(7));
  EXPECT_FALSE(draw_drain_script(7).acts == draw_drain_script(9).acts);
}

TEST(DrainDraw, ManySeeds_HaveEveryVerb) {
  std::vector<std::string> verbs;
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    for (const DrainAct& act : draw_drain_script(seed).acts) verbs.push_back(act.verb);
  }
  for (const char* verb : {"scale", "rollout", "pod", "mark", "node", "operator", "network", "engine", "gate",
                           "pool", "evict"}) {
    EXPECT_GT(std::count(verbs.begin(), verbs.end(), verb), 10) << verb;
  }
}

}  // namespace
}  // namespace poolwarden::scenarios
