#include "gateway/fallen_pods.h"

#include <functional>
#include <utility>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace poolwarden::gateway {
namespace {

using namespace std::chrono_literals;
using pool::Withdrawal;
using testing::ElementsAre;
using testing::IsEmpty;

api::Pod pod(const std::string& name, std::int64_t version) {
  api::Pod out;
  out.ns = "default";
  out.name = name;
  out.uid = "uid-" + name;
  out.resource_version = std::to_string(version);
  out.labels = std::make_shared<const api::Labels>();
  out.node = std::make_shared<const std::string>("node-1");
  out.controller = std::make_shared<const std::string>();
  out.ip = "10.0.0.1";
  out.phase = api::PodPhase::kRunning;
  out.ready = api::Tristate::kTrue;
  out.containers_ready = api::Tristate::kTrue;
  return out;
}
api::Pod unready(const std::string& name, std::int64_t version) {
  api::Pod out = pod(name, version);
  out.ready = api::Tristate::kFalse;
  out.containers_ready = api::Tristate::kFalse;
  return out;
}
api::Pod terminating(const std::string& name, std::int64_t version) {
  api::Pod out = pod(name, version);
  out.deletion_timestamp = api::Timestamp{} + std::chrono::hours(24);
  return out;
}

// A list of a, b and c, made from version 10 of the pods; and the pods as they are told.
struct PodsBench {
  std::map<std::string, std::shared_ptr<const api::Pod>> store;
  FallenPods fallen{[this](const std::string& name) {
    const auto found = store.find(name);
    return found == store.end() ? nullptr : found->second;
  }};
  kube::TimePoint now{1h};

  PodsBench() { list({"a", "b", "c"}); }
  void list(const std::vector<std::string>& names, const std::string& version = "10",
            const std::string& newest = {}) {
    api::EndpointSet set{"default", "vllm", 1, {}};
    for (const std::string& name : names) {
      api::Endpoint endpoint;
      endpoint.pod = name;
      endpoint.uid = "uid-" + name;
      set.endpoints.push_back(endpoint);
    }
    fallen.list_seen(set, {version, newest.empty() ? version : newest});
  }
  void sees(api::Pod pod) {
    auto after = std::make_shared<const api::Pod>(std::move(pod));
    const auto before = std::exchange(store[after->name], after);
    fallen.pod_seen({before ? kube::DeltaKind::kModified : kube::DeltaKind::kAdded, before, after, now}, now);
  }
  void ends(const std::string& name) {
    const auto held = store.extract(name);
    fallen.pod_seen({kube::DeltaKind::kDeleted, held.mapped(), nullptr, now}, now);
  }
  std::vector<std::string> out() const {
    std::vector<std::string> words;
    for (const auto& [uid, reason] : fallen.fallen())
      words.push_back(uid.substr(4) + " " + std::string(to_string(reason)));
    return words;
  }
};

struct PodsRow {
  std::string situation;
  std::function<void(PodsBench&)> what;
  std::vector<std::string> out;
};

class FallenTable : public testing::TestWithParam<PodsRow> {};

TEST_P(FallenTable, IsJudgedSo) {
  PodsBench bench;
  GetParam().what(bench);
  EXPECT_EQ(bench.out(), GetParam().out) << GetParam().situation;
}

api::Pod changed(api::Pod pod, const std::function<void(api::Pod&)>& change) {
  change(pod);
  return pod;
}

INSTANTIATE_TEST_SUITE_P(
    OnePod, FallenTable,
    testing::Values(
        PodsRow{"well", [](PodsBench& b) { b.sees(pod("a", 11)); }, {}},
        PodsRow{"never seen: it may have no label yet", [](PodsBench&) {}, {}},
        PodsRow{"terminating", [](PodsBench& b) { b.sees(terminating("a", 11)); }, {"a Terminating"}},
        PodsRow{"not ready", [](PodsBench& b) { b.sees(unready("a", 11)); }, {"a NotReady"}},
        PodsRow{"ready again",
                [](PodsBench& b) {
                  b.sees(unready("a", 11));
                  b.sees(pod("a", 12));
                },
                {}},
        PodsRow{"its kubelet is not heard of",
                [](PodsBench& b) {
                  b.sees(changed(pod("a", 11), [](api::Pod& p) { p.ready = api::Tristate::kUnknown; }));
                },
                {}},
        PodsRow{"the node controller says that it is not ready",
                [](PodsBench& b) {
                  b.sees(changed(pod("a", 11), [](api::Pod& p) { p.ready = api::Tristate::kFalse; }));
                },
                {}},
        PodsRow{"failed",
                [](PodsBench& b) {
                  b.sees(changed(pod("a", 11), [](api::Pod& p) { p.phase = api::PodPhase::kFailed; }));
                },
                {"a Failed"}},
        PodsRow{"no address",
                [](PodsBench& b) { b.sees(changed(pod("a", 11), [](api::Pod& p) { p.ip.clear(); })); },
                {"a NoAddress"}},
        PodsRow{
            "the list knew it, and has it all the same", [](PodsBench& b) { b.sees(unready("a", 10)); }, {}},
        PodsRow{"the list is written anew by somebody who knew it",
                [](PodsBench& b) {
                  b.sees(unready("a", 11));
                  b.list({"a", "b", "c"}, "12");
                },
                {}},
        PodsRow{"one of the shards did not know it",
                [](PodsBench& b) {
                  b.sees(unready("a", 11));
                  b.list({"a", "b", "c"}, "10", "12");
                },
                {"a NotReady"}},
        PodsRow{"a list that does not say what it was made from",
                [](PodsBench& b) {
                  b.list({"a", "b", "c"}, "");
                  b.sees(terminating("a", 11));
                },
                {"a Terminating"}},
        PodsRow{"not of this list", [](PodsBench& b) { b.sees(terminating("x", 11)); }, {}},
        PodsRow{"another pod has its name now",
                [](PodsBench& b) { b.sees(changed(pod("a", 11), [](api::Pod& p) { p.uid = "uid-other"; })); },
                {"a Deleted"}},
        PodsRow{"the pod that had its name before, seen late",
                [](PodsBench& b) { b.sees(changed(pod("a", 9), [](api::Pod& p) { p.uid = "uid-other"; })); },
                {}},
        PodsRow{"it terminated and is gone",
                [](PodsBench& b) {
                  b.sees(terminating("a", 11));
                  b.ends("a");
                },
                {"a Deleted"}},
        PodsRow{"gone, and off the list",
                [](PodsBench& b) {
                  b.sees(terminating("a", 11));
                  b.ends("a");
                  b.list({"b", "c"}, "12");
                },
                {}}),
    [](const auto& row) { return "Row" + std::to_string(row.index); });

INSTANTIATE_TEST_SUITE_P(Many, FallenTable,
                         testing::Values(PodsRow{"two of three are not ready",
                                                 [](PodsBench& b) {
                                                   b.sees(unready("a", 11));
                                                   b.sees(unready("b", 12));
                                                 },
                                                 {"a NotReady", "b NotReady"}},
                                         PodsRow{"the last ones are not ready: the list decides",
                                                 [](PodsBench& b) {
                                                   for (const char* name : {"a", "b", "c"})
                                                     b.sees(unready(name, 11));
                                                 },
                                                 {}},
                                         PodsRow{"the last ones terminate",
                                                 [](PodsBench& b) {
                                                   for (const char* name : {"a", "b", "c"})
                                                     b.sees(terminating(name, 11));
                                                 },
                                                 {"a Terminating", "b Terminating", "c Terminating"}},
                                         PodsRow{"one terminates, the others are not ready",
                                                 [](PodsBench& b) {
                                                   b.sees(terminating("a", 11));
                                                   b.sees(unready("b", 12));
                                                   b.sees(unready("c", 13));
                                                 },
                                                 {"a Terminating"}}),
                         [](const auto& row) { return "Row" + std::to_string(row.index); });

TEST(FallenPods, EndThatWasNotSeenToComeIsAskedFor) {
  PodsBench bench;
  bench.sees(pod("a", 11));
  bench.ends("a");
  EXPECT_THAT(bench.out(), IsEmpty()) << "its label may have been taken off";
  EXPECT_EQ(bench.fallen.next_deadline(), bench.now);
  EXPECT_THAT(bench.fallen.take_questions(bench.now), ElementsAre("a"));
  EXPECT_THAT(bench.fallen.take_questions(bench.now), IsEmpty()) << "it has been asked";
  bench.fallen.answered("a", nullptr);
  EXPECT_THAT(bench.out(), ElementsAre("a Deleted"));
  EXPECT_EQ(bench.fallen.next_deadline(), std::nullopt);
}

TEST(FallenPods, PodWithoutItsLabelStaysAsTheListSays) {
  PodsBench bench;
  bench.sees(pod("a", 11));
  bench.ends("a");
  ASSERT_THAT(bench.fallen.take_questions(bench.now), ElementsAre("a"));
  const api::Pod there = pod("a", 12);
  bench.fallen.answered("a", &there);
  EXPECT_THAT(bench.out(), IsEmpty());
}

TEST(FallenPods, NamesakeAnswersForNobody) {
  PodsBench bench;
  bench.sees(pod("a", 11));
  bench.ends("a");
  ASSERT_THAT(bench.fallen.take_questions(bench.now), ElementsAre("a"));
  api::Pod other = pod("a", 12);
  other.uid = "uid-other";
  bench.fallen.answered("a", &other);
  EXPECT_THAT(bench.out(), ElementsAre("a Deleted"));
}

TEST(FallenPods, QuestionWithoutAnAnswerIsAskedAgain) {
  PodsBench bench;
  bench.sees(pod("a", 11));
  bench.ends("a");
  ASSERT_THAT(bench.fallen.take_questions(bench.now), ElementsAre("a"));
  bench.fallen.ask_again("a", bench.now);
  EXPECT_THAT(bench.fallen.take_questions(bench.now), IsEmpty());
  bench.now += FallenPods::kAskAgain;
  EXPECT_THAT(bench.fallen.take_questions(bench.now), ElementsAre("a"));
}

TEST(FallenPods, AllPodsLoseTheirLabel_FewAreAskedForAtOnce) {
  PodsBench bench;
  std::vector<std::string> names;
  for (int i = 100; i < 200; ++i) names.push_back("p" + std::to_string(i));
  bench.list(names);
  for (const std::string& name : names) bench.sees(pod(name, 11));
  for (const std::string& name : names) bench.ends(name);
  auto questions = bench.fallen.take_questions(bench.now);
  EXPECT_EQ(questions.size(), FallenPods::kQuestions);
  EXPECT_EQ(bench.fallen.next_deadline(), std::nullopt) << "until one is answered";
  std::size_t asked = 0;
  while (!questions.empty()) {
    asked += questions.size();
    for (const std::string& name : questions) {
      const api::Pod there = pod(name, 12);
      bench.fallen.answered(name, &there);
    }
    questions = bench.fallen.take_questions(bench.now);
  }
  EXPECT_EQ(asked, names.size());
  EXPECT_THAT(bench.out(), IsEmpty());
}

TEST(FallenPods, LateAnswerDoesNotOverruleAPodThatIsSeenAgain) {
  PodsBench bench;
  bench.sees(pod("a", 11));
  bench.ends("a");
  ASSERT_THAT(bench.fallen.take_questions(bench.now), ElementsAre("a"));
  bench.sees(pod("a", 13));
  bench.fallen.answered("a", nullptr);
  EXPECT_THAT(bench.out(), IsEmpty());
}

TEST(FallenPods, NothingIsKeptOfPodsThatLeftTheList) {
  PodsBench bench;
  bench.sees(pod("a", 11));
  bench.ends("a");
  bench.list({"b", "c"}, "12");
  EXPECT_THAT(bench.fallen.take_questions(bench.now), IsEmpty());
  bench.fallen.answered("a", nullptr);
  bench.list({"a", "b"}, "13");
  EXPECT_THAT(bench.out(), IsEmpty()) << "whoever lists it knows better";
}

TEST(FallenPods, UnreadyOneThatTheListKeepsIsKept) {
  PodsBench bench;
  api::Endpoint endpoint;
  endpoint.pod = "a";
  endpoint.uid = "uid-a";
  endpoint.unready = true;
  api::Endpoint other = endpoint;
  other.pod = "b";
  other.uid = "uid-b";
  other.unready = false;
  bench.fallen.list_seen({"default", "vllm", 1, {endpoint, other}}, {"10", "10"});
  bench.sees(unready("a", 11));
  EXPECT_THAT(bench.fallen.fallen(), IsEmpty());
  bench.sees(terminating("a", 12));
  EXPECT_EQ(bench.fallen.fallen().size(), 1U) << "but not beyond its end";
}

}  // namespace
}  // namespace poolwarden::gateway
