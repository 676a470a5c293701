// Lists and watches: what every cache is built on.
#include "model_fixture.h"

namespace poolwarden::apiserver {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Names = std::vector<std::string>;

class ListWatchTest : public ModelTest {
 protected:
  Names names(const std::string& target) {
    Names out;
    const Answer answer = get(target);
    EXPECT_EQ(answer.status, 200) << answer.body;
    for (const json& item : answer.body["items"]) out.push_back(item["metadata"]["name"]);
    return out;
  }
  std::string revision() const { return std::to_string(model.revision()); }
  int watch_status(const std::string& target) {
    kube::HttpRequest request;
    request.target = target;
    auto opened = model.open_watch(request, now, info);
    const auto* refusal = std::get_if<kube::HttpResponse>(&opened);
    return refusal != nullptr ? refusal->status : 200;
  }
};

TEST_F(ListWatchTest, SelectorsChoose) {
  post(kPodsPath, pod("a", {{"app", "x"}, {"tier", "1"}}));
  post(kPodsPath, pod("b", {{"app", "x"}}, "node-b"));
  post(kPodsPath, pod("c", {{"app", "y"}}));
  post("/api/v1/namespaces/kube-system/pods", pod("d", {{"app", "x"}}));
  struct Row {
    const char* target;
    Names expected;
  };
  const Row rows[] = {
      {"/api/v1/pods", {"a", "b", "c", "d"}},
      {"/api/v1/namespaces/default/pods", {"a", "b", "c"}},
      {"/api/v1/pods?labelSelector=app%3Dx", {"a", "b", "d"}},
      {"/api/v1/pods?labelSelector=app%3Dx%2Ctier", {"a"}},
      {"/api/v1/pods?labelSelector=app%20in%20(x%2Cy)%2C!tier", {"b", "c", "d"}},
      {"/api/v1/pods?labelSelector=app%20notin%20(x)", {"c"}},
      {"/api/v1/pods?fieldSelector=spec.nodeName%3Dnode-b", {"b"}},
      {"/api/v1/pods?fieldSelector=metadata.name%3Dc", {"c"}},
      {"/api/v1/pods?fieldSelector=metadata.namespace!%3Ddefault", {"d"}},
      {"/api/v1/pods?fieldSelector=status.phase%3DPending%2Cspec.nodeName!%3Dnode-a", {"b"}},
  };
  for (const Row& row : rows) EXPECT_EQ(names(row.target), row.expected) << row.target;
  EXPECT_EQ(get("/api/v1/pods?fieldSelector=spec.hostIP%3D1").status, 400);
  EXPECT_EQ(get("/api/v1/pods?labelSelector=a%3D%24").status, 400);
}

TEST_F(ListWatchTest, ItemsOfBuiltInListsComeWithoutTheirType) {
  post(kMapsPath, config_map("m"));
  const Answer list = get(kMapsPath);
  EXPECT_EQ(list.body["kind"], "ConfigMapList");
  EXPECT_FALSE(list.body["items"][0].contains("kind"));
}

TEST_F(ListWatchTest, PagesShowOneState) {
  for (const char* name : {"a", "b", "c", "d", "e"}) post(kMapsPath, config_map(name));
  const std::string path = std::string(kMapsPath) + "?limit=2";
  const Answer first = get(path);
  EXPECT_EQ(first.body["items"].size(), 2U);
  EXPECT_EQ(first.body["metadata"]["remainingItemCount"], 3);
  const std::string next = path + "&continue=" + first.body["metadata"]["continue"].get<std::string>();
  // What happens between the pages is not seen by the second.
  remove(std::string(kMapsPath) + "/c");
  post(kMapsPath, config_map("cc"));
  patch(std::string(kMapsPath) + "/d", {{"data", {{"x", "y"}}}});
  const Answer second = get(next);
  EXPECT_EQ(second.body["items"][0]["metadata"]["name"], "c");
  EXPECT_EQ(second.body["items"][1]["metadata"]["name"], "d");
  EXPECT_FALSE(second.body["items"][1].contains("data") && !second.body["items"][1]["data"].empty());
  EXPECT_EQ(second.body["metadata"]["resourceVersion"], first.body["metadata"]["resourceVersion"]);
  const Answer third = get(path + "&continue=" + second.body["metadata"]["continue"].get<std::string>());
  EXPECT_EQ(third.body["items"].size(), 1U);
  EXPECT_FALSE(third.body["metadata"].contains("continue"));
  model.compact();
  const Answer late = get(next);
  EXPECT_EQ(late.status, 410);
  EXPECT_EQ(late.reason(), "Expired");
  EXPECT_EQ(get(path + "&continue=zz").status, 400);
}

TEST_F(ListWatchTest, ResourceVersionsMeanWhatTheyShould) {
  post(kMapsPath, config_map("a"));
  const std::string early = revision();
  post(kMapsPath, config_map("b"));
  const std::string path = kMapsPath;
  EXPECT_EQ(names(path + "?resourceVersion=0"), (Names{"a", "b"}));
  EXPECT_EQ(names(path + "?resourceVersion=" + early), (Names{"a", "b"}));
  EXPECT_EQ(names(path + "?resourceVersionMatch=NotOlderThan&resourceVersion=" + early), (Names{"a", "b"}));
  EXPECT_EQ(names(path + "?resourceVersionMatch=Exact&resourceVersion=" + early), (Names{"a"}));
  EXPECT_EQ(names(path + "?limit=5&resourceVersion=" + early), (Names{"a"}));
  const Answer future = get(path + "?resourceVersion=99999");
  EXPECT_EQ(future.status, 504);
  EXPECT_EQ(future.reason(), "Timeout");
  EXPECT_EQ(future.body["details"]["causes"][0]["reason"], "ResourceVersionTooLarge");
  EXPECT_EQ(get(path + "?resourceVersionMatch=Exact").status, 400);
  model.compact();
  EXPECT_EQ(get(path + "?resourceVersionMatch=Exact&resourceVersion=" + early).status, 410);
}

TEST_F(ListWatchTest, AWatchTellsWhatChanged) {
  post(kPodsPath, pod("a"));
  const WatchCursor cursor = watch(std::string(kPodsPath) + "?watch=true&resourceVersion=" + revision());
  EXPECT_FALSE(model.readable(*cursor, now));
  EXPECT_EQ(events(*cursor), Names{});
  post(kPodsPath, pod("b"));
  patch(std::string(kPodsPath) + "/a", {{"metadata", {{"labels", {{"x", "y"}}}}}});
  remove(std::string(kPodsPath) + "/b", {{"gracePeriodSeconds", 0}});
  post(kMapsPath, config_map("m"));
  EXPECT_TRUE(model.readable(*cursor, now));
  EXPECT_EQ(events(*cursor), (Names{"ADDED b", "MODIFIED a", "DELETED b"}));
  EXPECT_EQ(last_events[0]["object"]["kind"], "Pod");
  EXPECT_GT(std::stoul(last_events[2]["object"]["metadata"]["resourceVersion"].get<std::string>()),
            std::stoul(last_events[1]["object"]["metadata"]["resourceVersion"].get<std::string>()))
      << "a deletion has a version of its own";
}

TEST_F(ListWatchTest, AWatchFromNowhereBeginsWithWhatIsThere) {
  post(kPodsPath, pod("a"));
  for (const char* from : {"?watch=1", "?watch=1&resourceVersion=0"}) {
    const WatchCursor cursor = watch(std::string(kPodsPath) + from);
    EXPECT_EQ(events(*cursor), Names{"ADDED a"}) << from;
  }
  const WatchCursor streaming =
      watch(std::string(kPodsPath) +
            "?watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true");
  EXPECT_EQ(events(*streaming), (Names{"ADDED a", "BOOKMARK"}));
  EXPECT_EQ(last_events[1]["object"]["metadata"]["annotations"]["k8s.io/initial-events-end"], "true");
}

TEST_F(ListWatchTest, ASelectorTurnsChangesIntoComingAndGoing) {
  const WatchCursor cursor =
      watch(std::string(kPodsPath) +
            "?watch=1&labelSelector=app%3Dx&resourceVersion=" + std::to_string(model.revision() + 0));
  const std::string at = std::string(kPodsPath) + "/a";
  post(kPodsPath, pod("a", {{"app", "y"}}));
  EXPECT_EQ(events(*cursor), Names{});
  patch(at, {{"metadata", {{"labels", {{"app", "x"}}}}}});
  EXPECT_EQ(events(*cursor), Names{"ADDED a"});
  patch(at, {{"metadata", {{"labels", {{"more", "x"}}}}}});
  EXPECT_EQ(events(*cursor), Names{"MODIFIED a"});
  const Answer out = patch(at, {{"metadata", {{"labels", {{"app", nullptr}}}}}});
  EXPECT_EQ(events(*cursor), Names{"DELETED a"});
  EXPECT_EQ(last_events[0]["object"]["metadata"]["labels"]["app"], "x") << "the last state it knew";
  EXPECT_EQ(last_events[0]["object"]["metadata"]["resourceVersion"], out.version());
}

TEST_F(ListWatchTest, BookmarksComeWhenItIsQuiet) {
  const WatchCursor cursor =
      watch(std::string(kPodsPath) + "?watch=1&allowWatchBookmarks=true&timeoutSeconds=100");
  EXPECT_EQ(model.next_deadline(*cursor), now + 60s);
  post(kMapsPath, config_map("m"));
  now += 59s;
  EXPECT_EQ(events(*cursor), Names{});
  now += 1s;
  EXPECT_EQ(events(*cursor), Names{"BOOKMARK"});
  EXPECT_EQ(last_events[0]["object"]["metadata"]["resourceVersion"], revision()) << "changes elsewhere count";
  EXPECT_EQ(model.next_deadline(*cursor), now + 40s);
  now += 40s;
  EXPECT_EQ(events(*cursor), (Names{"BOOKMARK", "END"}));
}

TEST_F(ListWatchTest, CompactedHistoryIsGone) {
  post(kPodsPath, pod("a"));
  const std::string early = revision();
  const WatchCursor behind = watch(std::string(kPodsPath) + "?watch=1&resourceVersion=" + early);
  const WatchCursor current = watch(std::string(kPodsPath) + "?watch=1&resourceVersion=" + early);
  post(kPodsPath, pod("b"));
  EXPECT_EQ(events(*current), Names{"ADDED b"});
  model.compact();
  EXPECT_EQ(events(*behind), (Names{"ERROR", "END"}));
  EXPECT_EQ(last_events[0]["object"]["code"], 410);
  EXPECT_EQ(last_events[0]["object"]["reason"], "Expired");
  EXPECT_EQ(watch_status(std::string(kPodsPath) + "?watch=1&resourceVersion=" + early), 410);
  EXPECT_EQ(events(*current), Names{}) << "one that is up to date lives on";
  EXPECT_EQ(watch_status(std::string(kPodsPath) + "?watch=1&resourceVersion=99999"), 504);
}

TEST_F(ListWatchTest, HistoryIsBounded) {
  ModelOptions options;
  options.history = 3;
  Model small(options);
  kube::HttpRequest request;
  request.method = kube::HttpMethod::kPost;
  request.target = kMapsPath;
  for (const char* name : {"a", "b", "c", "d", "e"}) {
    request.body = config_map(name).dump();
    ASSERT_EQ(small.handle(request, now).status, 201);
  }
  kube::HttpRequest open;
  open.target = std::string(kMapsPath) + "?watch=1&resourceVersion=2";
  EXPECT_EQ(std::get<kube::HttpResponse>(small.open_watch(open, now)).status, 410);
}

TEST_F(ListWatchTest, TheListenerHearsEveryChange) {
  std::vector<std::string> heard;
  model.set_listener([&heard](std::string_view plural) { heard.emplace_back(plural); });
  post(kPodsPath, pod("a"));
  post(kMapsPath, config_map("m"));
  EXPECT_THAT(heard, ::testing::Contains("pods"));
  EXPECT_EQ(heard.back(), "configmaps");
}

TEST_F(ListWatchTest, ThousandsOfPodsAreAtHand) {
  json body = pod("p");
  for (int i = 0; i < 2'000; ++i) {
    body["metadata"]["name"] = "p" + std::to_string(i);
    ASSERT_EQ(post(kPodsPath, body).status, 201);
  }
  EXPECT_EQ(get(std::string(kPodsPath) + "?limit=500").body["metadata"]["remainingItemCount"], 1'500);
}

}  // namespace
}  // namespace poolwarden::apiserver
