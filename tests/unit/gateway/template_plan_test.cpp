// What a gateway with a file is to be told, for what the list wants and what it was told.
#include "gateway/template_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace poolwarden::gateway {
namespace {

using api::EndpointState;
using testing::ElementsAre;
using testing::IsEmpty;

const ServerAddress kFileA{"10.0.0.1", 8000};
const ServerAddress kFileB{"10.0.0.2", 8000};

std::vector<std::string> file_told(const Plan& plan) {
  std::vector<std::string> out;
  for (const Command& command : plan.commands) out.push_back(command.text);
  return out;
}

// What it has after one turn.
std::vector<ListedServer> file_after(const std::vector<WantedServer>& wanted,
                                     const std::vector<ListedServer>& before) {
  return list_after(before, make_template_plan(wanted, {before, true, false}).commands);
}

TEST(TemplatePlan, WithdrawalsAreFirst) {
  const TemplateSnapshot snapshot{{{kFileB, "b", "", true}}, true, false};
  EXPECT_THAT(file_told(make_template_plan({{kFileA, "a"}}, snapshot)),
              ElementsAre("10.0.0.2:8000 draining", "10.0.0.1:8000 ready", "10.0.0.2:8000 left out"));
  EXPECT_THAT(file_told(make_template_plan({{kFileB, "b"}}, snapshot)), IsEmpty());
}

TEST(TemplatePlan, OneTurnIsEnough) {
  const std::vector<std::vector<WantedServer>> lists = {
      {},
      {{kFileA, "a"}},
      {{kFileA, "a", EndpointState::kDraining}, {kFileB, "b"}},
      {{kFileA, "another", EndpointState::kReady, "z1"}, {kFileB, "b", EndpointState::kDraining}},
  };
  for (const auto& from : lists) {
    for (const auto& to : lists) {
      const auto held = file_after(to, file_after(from, {}));
      ASSERT_EQ(held.size(), to.size());
      for (std::size_t i = 0; i < to.size(); ++i) {
        EXPECT_EQ(held[i],
                  (ListedServer{to[i].address, to[i].pod, to[i].zone, to[i].state == EndpointState::kReady}));
      }
      EXPECT_THAT(make_template_plan(to, {held, true, false}).commands, IsEmpty());
    }
  }
}

TEST(TemplatePlan, WhatNobodyKnowsIsToldOnceMore) {
  const TemplateSnapshot unknown{{{kFileA, "a", "", true}}, false, false};
  EXPECT_THAT(file_told(make_template_plan({{kFileA, "a"}}, unknown)), ElementsAre("the list as it is"));
  EXPECT_THAT(file_told(make_template_plan({}, {{}, false, false})), ElementsAre("the list as it is"))
      << "an empty list is one";
}

TEST(TemplatePlan, NothingIsSaidOrCountsDuringAReload) {
  const TemplateSnapshot busy{{{kFileA, "a", "", true}, {kFileB, "b", "", false}}, true, true};
  for (const std::vector<WantedServer>& wanted :
       {std::vector<WantedServer>{}, {{kFileA, "a"}, {kFileB, "b", EndpointState::kDraining}}}) {
    const Plan plan = make_template_plan(wanted, busy);
    EXPECT_THAT(plan.commands, IsEmpty());
    EXPECT_TRUE(plan.waits_for);
    EXPECT_EQ(plan.ready, 1U);
    EXPECT_EQ(plan.draining, 1U);
  }
}

}  // namespace
}  // namespace poolwarden::gateway
