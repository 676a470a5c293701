// Envoy's admin interface and its file of endpoints, as bytes.
#include "gateway/envoy_answers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace poolwarden::gateway {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// As Envoy 1.40 has it: zeros are left out, 64-bit numbers are strings.
constexpr const char* kClusters = R"({"cluster_statuses":[{"name":"other"},{"name":"vllm","host_statuses":[
 {"address":{"socket_address":{"address":"fd00::0:1","port_value":8001}},
  "stats":[{"type":"GAUGE","name":"rq_active","value":"3"},{"name":"rq_total","value":"9"}],
  "health_status":{"eds_health_status":"DRAINING"},"locality":{"zone":"a"}},
 {"address":{"socket_address":{"address":"10.0.0.1","port_value":8001}},
  "stats":[{"type":"GAUGE","name":"rq_active"}],
  "health_status":{"eds_health_status":"HEALTHY"},"locality":{}},
 {"address":{"pipe":{"path":"/run/s"}}},
 {"address":{"socket_address":{"address":"10.0.0.2","port_value":8001}},
  "stats":[{"name":"rq_active","value":"many"}],"health_status":{"failed_active_health_check":true}}]}]})";

TEST(EnvoyClusters, Reads) {
  const auto hosts = parse_clusters(kClusters, "vllm");
  ASSERT_TRUE(hosts) << hosts.error().message;
  ASSERT_TRUE(*hosts);
  EXPECT_THAT(**hosts, ElementsAre(EnvoyHost{{"10.0.0.1", 8001}, EnvoyHealth::kHealthy, "", 0},
                                   EnvoyHost{{"10.0.0.2", 8001}, EnvoyHealth::kOther, "", 1},
                                   EnvoyHost{{"fd00::1", 8001}, EnvoyHealth::kDraining, "a", 3}));
  const auto empty = parse_clusters(kClusters, "other");
  ASSERT_TRUE(empty && *empty);
  EXPECT_THAT(**empty, IsEmpty());
  const auto none = parse_clusters(kClusters, "nobody");
  ASSERT_TRUE(none);
  EXPECT_FALSE(*none);
  EXPECT_TRUE(parse_clusters("{}", "vllm")) << "Envoy has no clusters";
}

TEST(EnvoyClusters, NonsenseIsAnError) {
  for (const std::string& body :
       {std::string(), std::string("no"), std::string("[]"), std::string("null"), std::string(100'000, '['),
        std::string("{\"a\":1}"), std::string("{\"cluster_statuses\":[")}) {
    EXPECT_FALSE(parse_clusters(body, "vllm")) << body.substr(0, 20);
    EXPECT_FALSE(parse_server_info(body)) << body.substr(0, 20);
    EXPECT_FALSE(parse_assignment(body, "vllm")) << body.substr(0, 20);
    EXPECT_FALSE(parse_updates(body, "vllm").rejected) << body.substr(0, 20);
  }
  for (const char* body : {R"({"cluster_statuses":7})", R"({"cluster_statuses":[7,{"name":7}]})"}) {
    const auto hosts = parse_clusters(body, "vllm");
    ASSERT_TRUE(hosts);
    EXPECT_FALSE(*hosts);
  }
}

TEST(EnvoyServerInfo, Reads) {
  const auto info = parse_server_info(
      R"({"version":"9e55/1.40.0/Clean/RELEASE/BoringSSL","uptime_current_epoch":"12s","command_line_options":{"restart_epoch":2}})");
  ASSERT_TRUE(info);
  EXPECT_EQ(info->version, "1.40.0");
  EXPECT_EQ(info->epoch, 2);
  EXPECT_EQ(info->uptime, std::chrono::seconds(12));
  for (const char* body :
       {R"({"uptime_current_epoch":12})", R"({"uptime_current_epoch":"s"})",
        R"({"uptime_current_epoch":"-1s"})", R"({"uptime_current_epoch":"99999999999999999999s"})"})
    EXPECT_FALSE(parse_server_info(body)) << body;
}

TEST(EnvoyUpdates, AreThoseOfTheCluster) {
  const auto updates = parse_updates(
      R"({"stats":[{"name":"cluster.a_b.c.update_rejected","value":4},{"name":"cluster.a_b.c.update_failure","value":"5"},
                   {"name":"cluster.x.update_rejected","value":9},{"histograms":{}}]})",
      "a:b.c");
  EXPECT_EQ(updates.rejected, 4);
  EXPECT_EQ(updates.failed, 5);
  EXPECT_EQ(updates_path("a:b.c"),
            "/stats?format=json&filter=%5Ecluster%5C.a_b%5C.c%5C.update_(rejected|failure)%24");
}

TEST(EnvoyAssignment, IsReadAsItWasWritten) {
  const std::vector<EnvoyHost> hosts{{{"10.0.0.1", 8000}, EnvoyHealth::kHealthy, "b"},
                                     {{"10.0.0.2", 8000}, EnvoyHealth::kDraining, ""},
                                     {{"fd00::1", 8000}, EnvoyHealth::kHealthy, "a"}};
  const std::string text = to_assignment("vllm", hosts);
  const auto read = parse_assignment(text, "vllm");
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(*read, hosts);
  EXPECT_EQ(to_assignment("vllm", hosts), text);
  EXPECT_THAT(text,
              HasSubstr(R"("@type":"type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment")"));
  EXPECT_FALSE(parse_assignment(text, "other"));
  EXPECT_TRUE(parse_assignment(to_assignment("vllm", {}), "vllm"));
}

TEST(EnvoyAssignment, ItsVersionChangesWithItsHostsAlone) {
  const auto version = [](const std::vector<EnvoyHost>& hosts) {
    const std::string text = to_assignment("vllm", hosts);
    return text.substr(text.find("version_info"));
  };
  EXPECT_EQ(version({{{"10.0.0.1", 1}, EnvoyHealth::kHealthy, "", 1}}),
            version({{{"10.0.0.1", 1}, EnvoyHealth::kHealthy, "", 2}}));
  EXPECT_NE(version({{{"10.0.0.1", 1}, EnvoyHealth::kHealthy}}),
            version({{{"10.0.0.1", 1}, EnvoyHealth::kDraining}}));
}

TEST(EnvoyAssignment, TheSameAddressTwiceIsPutRight) {
  const EnvoyHost host{{"10.0.0.1", 1}, EnvoyHealth::kHealthy, "a"};
  const EnvoyHost again{{"10.0.0.1", 1}, EnvoyHealth::kHealthy, "b"};
  const auto read = parse_assignment(to_assignment("vllm", {host, again}), "vllm");
  ASSERT_TRUE(read);
  ASSERT_EQ(read->size(), 1U);
  EXPECT_EQ(read->front().health, EnvoyHealth::kOther);
}

TEST(EnvoyName, IsAWordAndAFile) {
  for (const char* name : {"vllm", "a.b", "A_b-c:1"}) EXPECT_TRUE(is_envoy_name(name)) << name;
  for (const std::string& name : {std::string(), std::string(".."), std::string("a/b"), std::string("a b"),
                                  std::string("a\nb"), std::string(201, 'a')})
    EXPECT_FALSE(is_envoy_name(name)) << name;
}

}  // namespace
}  // namespace poolwarden::gateway
