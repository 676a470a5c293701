// What is left of a list that makes something fail, with functions that say what it takes.
#include "scenarios/shrink.h"

#include <algorithm>
#include <string>

#include <gtest/gtest.h>

namespace poolwarden::scenarios {
namespace {

constexpr int kPlenty = 1000;

std::function<bool(const Kept&)> needs(Kept needed) {
  return [needed = std::move(needed)](const Kept& kept) {
    return std::includes(kept.begin(), kept.end(), needed.begin(), needed.end());
  };
}

TEST(Shrink, FewAreNeeded_NothingElseIsLeft) {
  for (const Kept& needed :
       {Kept{}, Kept{0}, Kept{61}, Kept{30}, Kept{0, 61}, Kept{3, 4, 5}, Kept{1, 20, 33, 60}}) {
    EXPECT_EQ(shrink(62, needs(needed), kPlenty).kept, needed);
  }
}

TEST(Shrink, AllAreNeeded_AllAreLeft) {
  EXPECT_EQ(shrink(5, needs({0, 1, 2, 3, 4}), kPlenty).kept, (Kept{0, 1, 2, 3, 4}));
}

TEST(Shrink, NothingToLeaveOut_IsDone) {
  EXPECT_EQ(shrink(0, needs({}), kPlenty).tries, 0);
}

TEST(Shrink, FewAreNeeded_TakesFewTries) {
  EXPECT_LT(shrink(60, needs({7, 41}), kPlenty).tries, 60);
}

// One goes only after a later one has gone: it is tried again.
TEST(Shrink, OneHingesOnAnother_BothGo) {
  const auto fails = [](const Kept& kept) {
    const auto has = [&kept](std::size_t index) {
      return std::find(kept.begin(), kept.end(), index) != kept.end();
    };
    return has(2) && (has(9) || !has(1));
  };
  EXPECT_EQ(shrink(10, fails, kPlenty).kept, (Kept{2}));
}

TEST(Shrink, TriesAreUsedUp_WhatIsLeftFails) {
  const auto fails = needs({7, 41});
  const Shrunk shrunk = shrink(60, fails, 5);
  EXPECT_EQ(shrunk.tries, 5);
  EXPECT_TRUE(fails(shrunk.kept));
}

TEST(FailureKind, NamesAndNumbersDiffer_IsTheSame) {
  struct Row {
    const char* failure;
    const char* kind;
  };
  for (const Row& row : {
           Row{"vllm-a1-x is released with 3 in flight after 1.2 of 60 s", "is released with in"},
           Row{"vllm-b2-y is released with 1 in flight after 0.0 of 5 s", "is released with in"},
           Row{"2026-01-01T00:00:00Z pool vllm: vllm-a was published and never fit",
               "pool vllm: was published"},
           Row{"2026-01-01T00:00:00Z pool vllm: vllm-a was withdrawn although", "pool vllm: was withdrawn"},
           Row{"at rest [vllm-a vllm-b] is published and [] should be", "at rest is published"},
           Row{"vllm-a begins to drain as ScaleDown, as the 2. of its", "begins to drain as"},
           Row{"vllm-a begins to drain for its node, which leaves 0", "begins to drain for"},
           Row{"dies of signal 11 (Segmentation fault)", "dies of signal (Segmentation"},
           Row{"one line\nand another", "one line"},
           Row{"", ""},
       }) {
    EXPECT_EQ(failure_kind(row.failure), row.kind) << row.failure;
  }
}

}  // namespace
}  // namespace poolwarden::scenarios
