#include "control/feed_table.h"

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace poolwarden::control {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

const kube::TimePoint kFeedStart{1000s};

struct CountingMetrics final : ControllerMetrics {
  void unreadable(std::string_view resource, std::uint64_t count) override {
    unreadable_objects[std::string(resource)] = count;
  }
  void last_byte(std::string_view resource, kube::TimePoint when) override {
    read_at.insert_or_assign(std::string(resource), when);
  }
  std::map<std::string, std::uint64_t> unreadable_objects;
  std::map<std::string, kube::TimePoint> read_at;
};

api::Pod pod_on(const std::string& name, const std::string& node) {
  api::Pod pod;
  pod.ns = "default";
  pod.name = name;
  pod.uid = name + "-uid";
  pod.resource_version = "5";
  pod.labels = std::make_shared<const api::Labels>();
  pod.node = std::make_shared<const std::string>(node);
  pod.controller = std::make_shared<const std::string>();
  return pod;
}

class Feeds : public ::testing::Test {
 protected:
  Feeds()
      : feeds_(
            {.reflector = {},
             .drain_taints = {"drain"},
             .withdraw_taints = {"gone", "broken"},
             .drain_all_taints = {"ends"}},
            kube::seeded_random(1), metrics_, [](const api::Pod&, std::vector<std::string>&) {},
            [this](const std::string&, const std::string& name) { return lists_.contains(name); }) {
    feeds_.start(kFeedStart, out_);
  }

  template <class Kind>
  std::uint64_t attempt() const {
    for (auto work = out_.watches.rbegin(); work != out_.watches.rend(); ++work) {
      const auto* list = std::get_if<kube::StartList>(&work->action);
      if (work->kind == WatchedKinds::index<Kind>() && list != nullptr) return list->attempt;
    }
    return 0;
  }
  template <class Kind>
  bool list(std::vector<typename Kind::Object> items, kube::Unreadable unreadable = {}) {
    kube::ListPage<typename Kind::Object> page;
    page.items = std::move(items);
    page.resource_version = "9";
    page.unreadable = std::move(unreadable);
    KindInput<Kind> in{{attempt<Kind>(), kFeedStart,
                        typename kube::InformerInput<typename Kind::Object>::ListArrived{std::move(page)}}};
    return feeds_.take(std::move(in), kFeedStart, out_, [](const auto&) {});
  }
  // The list of the kind is answered with that status, so much later.
  template <class Kind>
  void refuse(int status, kube::Duration later) {
    using Failed = typename kube::InformerInput<typename Kind::Object>::ListFailed;
    const auto cls = status == 403 ? kube::ErrorClass::kForbidden : kube::ErrorClass::kRetry;
    Failed failed{{cls, status, "Reason", "refused", std::nullopt}};
    const kube::TimePoint now = kFeedStart + later;
    feeds_.take(KindInput<Kind>{{attempt<Kind>(), now, std::move(failed)}}, now, out_, [](const auto&) {});
  }
  template <class Kind>
  FeedHealth health() const {
    return feeds_.health()[WatchedKinds::index<Kind>()];
  }
  std::vector<std::string> logged() const {
    std::vector<std::string> lines;
    for (const LogLine& line : out_.logs) lines.push_back(line.message);
    return lines;
  }

  std::set<std::string> lists_;  // names under which pools publish
  CountingMetrics metrics_;
  FeedTable feeds_;
  Effects out_;
};

TEST_F(Feeds, Start_AsksForEachKindInOrder_ButNotForThoseOfOtherProjects) {
  std::vector<std::size_t> kinds;
  for (const WatchWork& work : out_.watches) kinds.push_back(work.kind);
  std::vector<std::size_t> wanted;
  WatchedKinds::for_each([&]<class Kind>() {
    if (Kind::always()) wanted.push_back(WatchedKinds::index<Kind>());
  });
  EXPECT_EQ(kinds, wanted);
  EXPECT_EQ(wanted.size(), WatchedKinds::kSize - 2);
  EXPECT_FALSE(health<Rollouts>().started);
  EXPECT_FALSE(not_up_to_date(health<Rollouts>(), true, kFeedStart + 1h));
  EXPECT_FALSE(stuck("rollouts", health<Rollouts>(), kFeedStart + 1h));
}

TEST_F(Feeds, AKindOfAnotherProject_IsAskedForOnceAPoolNamesIt) {
  const auto before = static_cast<std::ptrdiff_t>(out_.watches.size());
  api::InferencePool pool;
  pool.ns = "default";
  pool.name = pool.uid = "a";
  pool.resource_version = "5";
  pool.scale_target = api::ScaleTargetRef{"argoproj.io/v1alpha1", "Rollout", "vllm"};
  list<Pools>({pool});
  std::vector<std::size_t> kinds;
  std::for_each(out_.watches.begin() + before, out_.watches.end(), [&kinds](const WatchWork& work) {
    if (std::holds_alternative<kube::StartList>(work.action)) kinds.push_back(work.kind);
  });
  EXPECT_THAT(kinds, ElementsAre(WatchedKinds::index<Rollouts>()));
  EXPECT_EQ(feeds_.target_of(pool), nullptr);
  EXPECT_FALSE(feeds_.has_read(api::TargetKind::kRollout));
  api::Rollout rollout;
  rollout.ns = "default";
  rollout.name = "vllm";
  rollout.uid = "u";
  rollout.resource_version = "6";
  EXPECT_TRUE(list<Rollouts>({rollout}));
  EXPECT_TRUE(feeds_.has_read(api::TargetKind::kRollout));
  ASSERT_NE(feeds_.target_of(pool), nullptr);
  EXPECT_EQ(feeds_.target_of(pool)->uid, "u");
}

TEST_F(Feeds, FirstList_SyncsItsKindAndNoOther) {
  EXPECT_FALSE(feeds_.synced<Pods>());
  EXPECT_TRUE(list<Pods>({pod_on("a", "n1")})) << "what was decided without pods is to be decided again";
  EXPECT_TRUE(feeds_.synced<Pods>());
  EXPECT_FALSE(feeds_.synced<Nodes>());
  EXPECT_FALSE(feeds_.settled());
}

TEST_F(Feeds, Pods_AreFoundByTheirNode) {
  list<Pods>({pod_on("a", "n1"), pod_on("b", "n2"), pod_on("c", "n1"), pod_on("d", "")});
  std::vector<std::string> names;
  for (const PodPtr& pod : feeds_.pods_on_node("n1")) names.push_back(pod->name);
  EXPECT_THAT(names, ElementsAre("a", "c"));
  EXPECT_THAT(feeds_.pods_on_node("n3"), IsEmpty());
}

TEST_F(Feeds, Taints_AreKeptAsWhatTheyMean) {
  api::Node node;
  node.name = node.uid = "n1";
  node.resource_version = "5";
  node.taints = {"broken", "drain", "ends", "other"};
  list<Nodes>({node});
  const auto seen = feeds_.store<Nodes>().find("", "n1");
  ASSERT_TRUE(seen);
  EXPECT_EQ(seen->withdraw_taint, "broken");
  EXPECT_EQ(seen->drain_taint, "drain");
  EXPECT_EQ(seen->deadline_taint, "ends");
  EXPECT_THAT(seen->taints, IsEmpty());
}

TEST_F(Feeds, UnreadableObject_IsCountedAndTold) {
  kube::Unreadable unreadable;
  unreadable.add({"default", "b"}, "it is no object");
  list<Pods>({pod_on("a", "n1")}, unreadable);
  EXPECT_EQ(metrics_.unreadable_objects["pods"], 1U);
  EXPECT_THAT(logged(), ElementsAre("an object cannot be read: its last state stays in force"));
  EXPECT_EQ(out_.logs.front().fields.at(1).second, "default/b: it is no object");
  EXPECT_EQ(feeds_.store<Pods>().size(), 1U) << "the others are there";
}

// What selects it cannot be told any more, but that it is not ready can.
TEST_F(Feeds, LabelsAreTooLong_StayAsTheyLastWere) {
  api::Pod known = pod_on("a", "n1");
  known.labels = std::make_shared<const api::Labels>(api::LabelMap{{"app", "vllm"}});
  api::Pod stranger = pod_on("b", "n1");
  stranger.labels = std::make_shared<const api::Labels>(api::Labels::unknown());
  list<Pods>({known, stranger});
  EXPECT_FALSE(feeds_.store<Pods>().find("default", "b")->labels->known());
  EXPECT_EQ(metrics_.unreadable_objects["pods"], 1U);
  EXPECT_THAT(out_.logs.front().fields.at(1).second,
              ::testing::StartsWith("default/b: its labels have more than 4096 bytes together"));
  api::Pod grown = known;
  grown.labels = stranger.labels;
  grown.resource_version = "12";
  grown.ready = api::Tristate::kFalse;
  feeds_.observe<Pods>(grown, kFeedStart, [](const auto&) {});
  const auto seen = feeds_.store<Pods>().find("default", "a");
  EXPECT_EQ(seen->ready, api::Tristate::kFalse);
  EXPECT_EQ(seen->labels->find("app"), "vllm");
  grown.uid = "of-a-namesake";
  grown.resource_version = "13";
  feeds_.observe<Pods>(grown, kFeedStart, [](const auto&) {});
  EXPECT_FALSE(feeds_.store<Pods>().find("default", "a")->labels->known());
}

TEST_F(Feeds, ManyClaimToBeListsBeforePoolsAreKnown_NoMoreIsKeptThanAFewLists) {
  const std::string document(std::size_t{1} << 20, 'x');
  std::vector<api::ConfigMap> maps;
  for (int i = 0; i < 100; ++i) {
    api::ConfigMap map;
    map.ns = "default";
    map.name = "claims-" + std::to_string(i);
    map.uid = map.name + "-uid";
    map.resource_version = "5";
    map.endpoints_json = document;
    maps.push_back(std::move(map));
  }
  list<ConfigMaps>(std::move(maps));
  std::size_t kept = 0;
  feeds_.store<ConfigMaps>().for_each([&kept](const auto& map) { kept += map->endpoints_json.size(); });
  EXPECT_EQ(kept, 64 * document.size());
}

TEST_F(Feeds, ConfigMapIsNoPoolsList_LosesItsDocuments) {
  const auto map_of = [](const std::string& name, const std::string& version) {
    api::ConfigMap map;
    map.ns = "default";
    map.name = name;
    map.uid = name + "-uid";
    map.resource_version = version;
    map.endpoints_json = map.endpoints_text = "what a tenant wrote";
    return map;
  };
  const auto keeps = [this](const std::string& name) {
    const auto map = feeds_.store<ConfigMaps>().find("default", name);
    return map && !map->without_documents && !map->endpoints_json.empty() && !map->endpoints_text.empty();
  };
  lists_ = {"a"};
  list<ConfigMaps>({map_of("a", "5"), map_of("b", "6")});
  EXPECT_TRUE(keeps("b")) << "pools are not known yet";
  list<Pools>({});
  EXPECT_TRUE(keeps("a"));
  EXPECT_FALSE(keeps("b"));
  feeds_.observe<ConfigMaps>(map_of("b", "12"), kFeedStart, [](const auto&) {});
  EXPECT_EQ(feeds_.store<ConfigMaps>().find("default", "b")->resource_version, "12");
  EXPECT_FALSE(keeps("b"));
  // A pool comes that has this name: the ConfigMap is as one that the watch does not show, and is looked up.
  lists_ = {"a", "b"};
  feeds_.list_named("default", "b");
  EXPECT_FALSE(feeds_.store<ConfigMaps>().find("default", "b"));
  feeds_.observe<ConfigMaps>(map_of("b", "13"), kFeedStart, [](const auto&) {});
  EXPECT_TRUE(keeps("b"));
}

TEST_F(Feeds, Autoscalers_AreFoundByWhatTheyScale) {
  std::vector<api::Autoscaler> all;
  for (const char* name : {"x", "y", "z"}) {
    api::Autoscaler& one = all.emplace_back();
    one.ns = "default";
    one.name = one.uid = name;
    one.resource_version = "5";
    one.target_group = "apps";
    one.target_kind = "Deployment";
    one.target_name = *name == 'y' ? "other" : "vllm";
  }
  list<Autoscalers>(all);
  std::vector<std::string> names;
  for (const auto& one : feeds_.autoscalers_of("default", "apps", "Deployment", "vllm"))
    names.push_back(one->name);
  EXPECT_THAT(names, ElementsAre("x", "z"));
  EXPECT_THAT(feeds_.autoscalers_of("elsewhere", "apps", "Deployment", "vllm"), IsEmpty());
}

TEST_F(Feeds, ListRefused_KindIsAsOldAsItWas) {
  for (const int status : {500, 403}) {
    refuse<Pods>(status, 60s);
    EXPECT_EQ(metrics_.read_at["pods"], kFeedStart) << status;
    EXPECT_EQ(health<Pods>().fresh_at, kFeedStart);
    EXPECT_EQ(health<Pods>().last_byte, kFeedStart + 60s);
    EXPECT_EQ(health<Pods>().problem, "refused");
    EXPECT_EQ(health<Pods>().out_of_reach, status == 403);
    feeds_.tick(kFeedStart + 10min, out_);  // asks again
  }
}

TEST_F(Feeds, NodesNeverGranted_TellNoAgeToAnAlert) {
  refuse<Nodes>(403, 60s);
  EXPECT_EQ(metrics_.read_at["nodes"], kFeedStart + 60s) << "it would fire for ever";
  feeds_.tick(kFeedStart + 10min, out_);
  refuse<Nodes>(500, 11min);
  EXPECT_EQ(metrics_.read_at["nodes"], kFeedStart) << "this refusal is the server's trouble";
}

TEST_F(Feeds, UnreadablePool_IsOfItsKind) {
  kube::Unreadable unreadable;
  unreadable.add({"default", "p"}, "it is no object");
  list<Pools>({}, unreadable);
  EXPECT_EQ(metrics_.unreadable_objects["inferencepools"], 1U);
  EXPECT_FALSE(metrics_.unreadable_objects.contains("pods"));
}

}  // namespace
}  // namespace poolwarden::control
