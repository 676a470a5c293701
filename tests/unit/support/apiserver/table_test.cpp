// What kubectl prints.
#include "support/apiserver/table.h"

#include "model_fixture.h"

namespace poolwarden::apiserver {
namespace {

constexpr const char* kTable = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";

class TableTest : public ModelTest {
 protected:
  // "NAME=a READY=0/1 ..." of the first row, the wide columns too.
  std::string row(const std::string& target) {
    const Answer table = ask(kube::HttpMethod::kGet, target, json(), "", kTable);
    EXPECT_EQ(table.body["kind"], "Table");
    std::string out;
    for (std::size_t i = 0; i < table.body["columnDefinitions"].size(); ++i) {
      const json& cell = table.body["rows"][0]["cells"][i];
      out += (i > 0 ? " " : "") + table.body["columnDefinitions"][i]["name"].get<std::string>() + "=" +
             (cell.is_string() ? cell.get<std::string>() : cell.dump());
    }
    return out;
  }
};

TEST_F(TableTest, Pods) {
  post(kPodsPath, pod("a"));
  const std::string at = std::string(kPodsPath) + "/a";
  patch(
      at + "/status",
      json::parse(
          R"({"status":{"phase":"Running","podIP":"10.0.0.1","containerStatuses":[{"name":"main","ready":true,"restartCount":2,"state":{"running":{}}}]}})"));
  now += 90s;
  EXPECT_EQ(row(kPodsPath),
            "Name=a Ready=1/1 Status=Running Restarts=2 Age=90s IP=10.0.0.1 Node=node-a Nominated "
            "Node=<none> Readiness Gates=<none>");
  patch(
      at + "/status",
      json::parse(
          R"({"status":{"containerStatuses":[{"name":"main","ready":false,"restartCount":3,"state":{"waiting":{"reason":"CrashLoopBackOff"}}}]}})"));
  EXPECT_THAT(row(kPodsPath), ::testing::HasSubstr("Ready=0/1 Status=CrashLoopBackOff Restarts=3"));
  remove(at);
  EXPECT_THAT(row(at), ::testing::HasSubstr("Status=Terminating"));
}

TEST_F(TableTest, Workloads) {
  load(
      "{apiVersion: apps/v1, kind: Deployment, metadata: {name: d}, spec: {replicas: 2, selector: "
      "{matchLabels: {a: b}}, "
      "template: {metadata: {labels: {a: b}}, spec: {containers: [{name: c, image: i}]}}}, status: "
      "{readyReplicas: 1, updatedReplicas: 2, availableReplicas: 1}}");
  EXPECT_EQ(row("/apis/apps/v1/deployments"),
            "Name=d Ready=1/2 Up-to-date=2 Available=1 Age=0s Containers=c Images=i Selector=a=b");
  load(
      "{apiVersion: apps/v1, kind: StatefulSet, metadata: {name: s}, spec: {replicas: 2, selector: "
      "{matchLabels: {a: b}}, "
      "template: {metadata: {labels: {a: b}}, spec: {containers: [{name: c, image: i}]}}}, status: "
      "{readyReplicas: 1}}");
  EXPECT_EQ(row("/apis/apps/v1/statefulsets"), "Name=s Ready=1/2 Age=0s Containers=c Images=i");
}

TEST_F(TableTest, AWatchSendsItsHeaderOnce) {
  post(kPodsPath, pod("a"));
  post(kPodsPath, pod("b"));
  kube::HttpRequest request;
  request.target = std::string(kPodsPath) + "?watch=1";
  request.accept = kTable;
  auto opened = model.open_watch(request, now);
  Watch& cursor = *std::get<WatchCursor>(opened);
  events(cursor);
  ASSERT_EQ(last_events.size(), 2U);
  EXPECT_FALSE(last_events[0]["object"]["columnDefinitions"].empty());
  EXPECT_TRUE(last_events[1]["object"]["columnDefinitions"].empty());
  EXPECT_EQ(last_events[1]["object"]["rows"][0]["object"]["metadata"]["name"], "b");
}

TEST_F(TableTest, PartialMetadataIsMetadataAlone) {
  post(kPodsPath, pod("a"));
  const Answer list = ask(kube::HttpMethod::kGet, kPodsPath, json(), "",
                          "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io");
  EXPECT_EQ(list.body["kind"], "PartialObjectMetadataList");
  EXPECT_EQ(list.body["items"][0]["metadata"]["name"], "a");
  EXPECT_FALSE(list.body["items"][0].contains("spec"));
}

TEST(HumanDurationTest, IsKubectls) {
  struct Row {
    std::int64_t seconds;
    const char* expected;
  };
  const Row rows[] = {{0, "0s"},       {119, "119s"},        {120, "2m"},      {150, "2m30s"},
                      {600, "10m"},    {10'799, "179m"},     {10'800, "3h"},   {12'000, "3h20m"},
                      {28'800, "8h"},  {172'799, "47h"},     {172'800, "2d"},  {180'000, "2d2h"},
                      {691'200, "8d"}, {63'072'000, "2y0d"}, {-5, "<invalid>"}};
  for (const Row& row : rows)
    EXPECT_EQ(human_duration(std::chrono::seconds(row.seconds)), row.expected) << row.seconds;
}

}  // namespace
}  // namespace poolwarden::apiserver
