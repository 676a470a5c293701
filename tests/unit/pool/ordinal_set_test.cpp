// Whom a StatefulSet's controller deletes next.
#include "pool/ordinal_set.h"

#include "api/names.h"
#include "world.h"

#include <functional>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace poolwarden::pool {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr const char* kOld = "web-1";
constexpr const char* kNew = "web-2";

// web-0 to web-3, all ready and of the newest template, which the set is to have.
struct Set {
  Set() {
    set.name = "web";
    set.uid = "web-uid";
    set.replicas = 4;
    set.available_replicas = 4;
    set.update_revision = kNew;
    for (int i = 0; i < 4; ++i) add(i, kNew);
  }
  void add(int ordinal, const std::string& revision) {
    api::Pod pod = ready_pod(fmt::format("web-{}", ordinal), fmt::format("10.0.1.{}", ordinal));
    pods.push_back(with_labels(pod, {{std::string(api::kRevisionHashLabel), revision}}));
  }
  void outdate(std::size_t ordinal) {
    pods.at(ordinal) = with_labels(pods.at(ordinal), {{std::string(api::kRevisionHashLabel), kOld}});
  }
  void outdate_all() {
    for (std::size_t i = 0; i < 4; ++i) outdate(i);
  }
  void unready(std::size_t ordinal) { pods.at(ordinal).ready = api::Tristate::kFalse; }
  std::vector<std::string> next() const {
    std::vector<const api::Pod*> all;
    for (const api::Pod& pod : pods) all.push_back(&pod);
    std::vector<std::string> out;
    for (const Leaver& leaver : next_to_leave(set, all))
      out.push_back(fmt::format("{} {}", leaver.pod->name, to_string(leaver.reason)));
    return out;
  }

  api::StatefulSet set;
  std::vector<api::Pod> pods;
};

using Names = std::vector<std::string>;

TEST(OrdinalSet, WhichPodsLeaveNext) {
  struct {
    const char* situation;
    std::function<void(Set&)> change;
    Names next;
  } const rows[] = {
      {"all is as it should be", [](Set&) {}, {}},
      {"two are too many", [](Set& s) { s.set.replicas = 2; }, {"web-3 ScaleDown", "web-2 ScaleDown"}},
      {"all are too many",
       [](Set& s) { s.set.replicas = 0; },
       {"web-3 ScaleDown", "web-2 ScaleDown", "web-1 ScaleDown", "web-0 ScaleDown"}},
      {"one of these goes already",
       [](Set& s) { s.set.replicas = 2, s.pods[3].deletion_timestamp = api::Timestamp{}; },
       {"web-2 ScaleDown"}},
      {"ordinals begin at 2",
       [](Set& s) { s.set.first_ordinal = 2, s.set.replicas = 2; },
       {"web-1 ScaleDown", "web-0 ScaleDown"}},
      {"one that stays is not ready, and the set is ordered",
       [](Set& s) { s.set.replicas = 2, s.unready(0); },
       {}},
      {"one that stays is not there, and the set is ordered",
       [](Set& s) { s.set.replicas = 2, s.pods.erase(s.pods.begin()); },
       {}},
      {"one that stays has not been ready for long, and the set is ordered",
       [](Set& s) { s.set.replicas = 2, s.set.min_ready_seconds = 30, s.set.available_replicas = 3; },
       {}},
      {"one that stays is not ready, and the set is not ordered",
       [](Set& s) { s.set.replicas = 3, s.set.ordered = false, s.unready(0); },
       {"web-3 ScaleDown"}},
      {"the set is being deleted", [](Set& s) { s.set.replicas = 2, s.set.deleting = true; }, {}},
      {"a pod of another name", [](Set& s) { s.pods[3].name = "web-x", s.set.replicas = 3; }, {}},
      {"an update", [](Set& s) { s.outdate_all(); }, {"web-3 Rollout"}},
      {"an update that has done one",
       [](Set& s) { s.outdate(0), s.outdate(1), s.outdate(2); },
       {"web-2 Rollout"}},
      {"an update of which one is not ready yet",
       [](Set& s) { s.outdate(0), s.outdate(1), s.outdate(2), s.unready(3); },
       {}},
      {"an update of which one has not been ready for long",
       [](Set& s) { s.outdate(0), s.set.min_ready_seconds = 30, s.set.available_replicas = 3; },
       {}},
      {"an update of which one is terminating",
       [](Set& s) { s.outdate_all(), s.pods[3].deletion_timestamp = api::Timestamp{}; },
       {}},
      {"an update down to a partition", [](Set& s) { s.outdate(0), s.outdate(1), s.set.partition = 2; }, {}},
      {"a partition counts from the first ordinal",
       [](Set& s) {
         s.outdate_all(), s.pods.erase(s.pods.begin()), s.set.first_ordinal = 1, s.set.replicas = 3,
                                                        s.set.partition = 2;
       },
       {"web-3 Rollout"}},
      {"an update of two at a time",
       [](Set& s) { s.outdate_all(), s.set.max_unavailable = "2"; },
       {"web-3 Rollout", "web-2 Rollout"}},
      {"an update of two at a time in order, and one is not ready",
       [](Set& s) { s.outdate_all(), s.set.max_unavailable = "2", s.unready(0); },
       {}},
      {"an update of two at a time in parallel, and one is not ready",
       [](Set& s) { s.outdate_all(), s.set.ordered = false, s.set.max_unavailable = "2", s.unready(0); },
       {"web-3 Rollout"}},
      {"an update of one at a time in parallel, and one is not ready",
       [](Set& s) { s.outdate_all(), s.set.ordered = false, s.set.max_unavailable = "1", s.unready(0); },
       {}},
      {"an update in parallel where nobody says how many, and a lower one is not ready",
       [](Set& s) { s.outdate_all(), s.set.ordered = false, s.unready(0); },
       {"web-3 Rollout"}},
      {"an update in parallel where nobody says how many, and a higher one is not ready",
       [](Set& s) { s.outdate(0), s.outdate(1), s.set.ordered = false, s.unready(3); },
       {}},
      {"an update in parallel where nobody says how many, and a higher one is not there",
       [](Set& s) { s.outdate_all(), s.set.ordered = false, s.pods.pop_back(); },
       {}},
      {"an update in parallel where nobody says how many, down to a partition",
       [](Set& s) { s.outdate(0), s.outdate(1), s.set.ordered = false, s.set.partition = 2; },
       {}},
      {"an update in parallel, and one too many is on its way out",
       [](Set& s) {
         s.outdate_all(), s.set.ordered = false, s.set.replicas = 3, s.set.available_replicas = 3;
         s.pods[3].deletion_timestamp = api::Timestamp{};
       },
       {"web-2 Rollout"}},
      {"an update in order, and one too many is on its way out",
       [](Set& s) { s.outdate_all(), s.set.replicas = 3, s.pods[3].deletion_timestamp = api::Timestamp{}; },
       {}},
      {"an update on delete", [](Set& s) { s.outdate_all(), s.set.rolls = false; }, {}},
      {"an update that the controller has yet to see", [](Set& s) { s.set.update_revision.clear(); }, {}},
      {"an update, and too many besides",
       [](Set& s) { s.outdate_all(), s.set.replicas = 3; },
       {"web-3 ScaleDown"}},
  };
  for (const auto& row : rows) {
    Set set;
    row.change(set);
    EXPECT_EQ(set.next(), row.next) << row.situation;
  }
}

TEST(OrdinalSet, OrdinalsAreReadAsKubernetesWritesThem) {
  api::StatefulSet set;
  set.name = "web-a";
  EXPECT_EQ(ordinal_of(set, "web-a-0"), 0);
  EXPECT_EQ(ordinal_of(set, "web-a-17"), 17);
  for (const char* name :
       {"web-a", "web-a-", "web-b-0", "web-a-x", "web-a-1x", "web-a--1", "web-a-99999999999", ""})
    EXPECT_FALSE(ordinal_of(set, name)) << name;
}

TEST(OrdinalSet, HowManyMayBeUnavailable) {
  api::StatefulSet set;
  set.replicas = 10;
  const std::pair<const char*, int> rows[] = {
      {"", 1},      {"1", 1},  {"3", 3},  {"0", 1}, {"99", 10}, {"25%", 2},
      {"100%", 10}, {"0%", 1}, {"-4", 1}, {"x", 1}, {"%", 1},   {"999999999999999999999", 1}};
  for (const auto& [text, expected] : rows) {
    set.max_unavailable = text;
    EXPECT_EQ(max_unavailable(set), expected) << text;
  }
  set.replicas = 0;
  EXPECT_EQ(max_unavailable(set), 1);
}

}  // namespace
}  // namespace poolwarden::pool
