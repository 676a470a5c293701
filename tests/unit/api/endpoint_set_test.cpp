#include "api/endpoint_set.h"

#include "api/json_text.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace poolwarden::api {
namespace {

using testing::HasSubstr;

Endpoint endpoint(std::string pod, std::string ip) {
  return {.pod = pod,
          .uid = pod + "-uid",
          .ip = std::move(ip),
          .ports = {{.number = 8000, .name = "http"}, {.number = 8001, .name = ""}},
          .node = "node-1",
          .zone = "",
          .state = EndpointState::kReady};
}

EndpointSet two() {
  EndpointSet set{.ns = "default", .pool = "vllm", .revision = 7, .endpoints = {}};
  set.endpoints.push_back(endpoint("vllm-b", "fd00::1"));
  set.endpoints.push_back(endpoint("vllm-a", "10.0.0.1"));
  set.endpoints[0].zone = "eu-1a";
  set.endpoints[0].state = EndpointState::kDraining;
  sort_canonically(set);
  return set;
}

TEST(EndpointSet, CanonicalJsonIsThisToTheByte) {
  EXPECT_EQ(
      to_canonical_json(two()),
      R"({"apiVersion":"poolwarden.io/v1alpha1","endpoints":[)"
      R"({"ip":"10.0.0.1","node":"node-1","pod":"vllm-a","ports":[{"name":"http","number":8000},{"number":8001}],)"
      R"("state":"ready","uid":"vllm-a-uid"},)"
      R"({"ip":"fd00::1","node":"node-1","pod":"vllm-b","ports":[{"name":"http","number":8000},{"number":8001}],)"
      R"("state":"draining","uid":"vllm-b-uid","zone":"eu-1a"}],)"
      R"("kind":"EndpointSet","namespace":"default","pool":"vllm","revision":7})"
      "\n");
}

TEST(EndpointSet, OneThatIsUnreadySaysSo_WithAndWithoutAZone) {
  EndpointSet set = two();
  for (Endpoint& endpoint : set.endpoints) endpoint.unready = true;
  const std::string document = to_canonical_json(set);
  EXPECT_THAT(document, HasSubstr(R"("uid":"vllm-a-uid","unready":true},{)"));
  EXPECT_THAT(document, HasSubstr(R"("uid":"vllm-b-uid","unready":true,"zone":"eu-1a"}])"));
  EXPECT_EQ(parse_endpoint_set(document, nullptr), set);
  std::string inside;
  append_canonical_json_string(inside, set);
  EXPECT_EQ(nlohmann::json::parse(inside).get<std::string>(), document);
  // A name that has to be escaped takes the long way.
  set.endpoints[0].zone = "a\"b";
  EXPECT_EQ(nlohmann::json::parse(to_canonical_json(set))["endpoints"][0]["unready"], true);
}

TEST(EndpointSet, AShardSaysWhichOneItIs) {
  EndpointSet first{.ns = "default", .pool = "vllm", .revision = 1, .endpoints = {}, .shards = 3};
  EndpointSet second{.ns = "default", .pool = "vllm", .revision = 2, .endpoints = {}, .shard = 2};
  EXPECT_THAT(to_canonical_json(first), HasSubstr(R"("revision":1,"shards":3})"));
  EXPECT_THAT(to_canonical_json(second), HasSubstr(R"("revision":2,"shard":2})"));
  EXPECT_EQ(parse_endpoint_set(to_canonical_json(first), nullptr), first);
  EXPECT_EQ(parse_endpoint_set(to_canonical_json(second), nullptr), second);
}

TEST(EndpointSet, AShardThatIsNoNumber_IsRefused) {
  for (const char* value : {"0", "-1", "101", "1.5", "\"2\"", "[]", "99999999999"}) {
    for (const char* key : {"shard", "shards"}) {
      std::string problem;
      const std::string text = fmt::format(
          R"({{"apiVersion":"poolwarden.io/v1alpha1","endpoints":[],"kind":"EndpointSet","namespace":"default",)"
          R"("pool":"vllm","revision":1,"{}":{}}})",
          key, value);
      EXPECT_FALSE(parse_endpoint_set(text, &problem)) << text;
      EXPECT_THAT(problem, HasSubstr("no number from 1 to 100"));
    }
  }
}

TEST(ShardName, IsReadBack) {
  EXPECT_EQ(shard_name("x-endpoints", 1), "x-endpoints");
  for (const std::int32_t shard : {1, 2, 10, kMaxShards})
    EXPECT_EQ(shard_number("x-endpoints", shard_name("x-endpoints", shard)), shard);
  for (const char* name : {"", "x", "x-endpoints-", "x-endpoints-1", "x-endpoints-02", "x-endpoints--2",
                           "x-endpoints_2", "x-endpoints-2x", "x-endpoints-101", "y-endpoints-2"})
    EXPECT_EQ(shard_number("x-endpoints", name), std::nullopt) << name;
}

TEST(EndpointSet, AnEmptyListIsADocumentToo) {
  const EndpointSet set{.ns = "default", .pool = "vllm", .revision = 1, .endpoints = {}};
  EXPECT_EQ(
      to_canonical_json(set),
      R"({"apiVersion":"poolwarden.io/v1alpha1","endpoints":[],"kind":"EndpointSet","namespace":"default",)"
      R"("pool":"vllm","revision":1})"
      "\n");
  EXPECT_EQ(to_text(set), "");
}

TEST(EndpointSet, KeysAreSortedAsAnyJsonLibrarySortsThem) {
  const std::string text = to_canonical_json(two());
  EXPECT_EQ(nlohmann::json::parse(text).dump() + "\n", text);
}

// The API server lets none of these through. Whoever reads the list must not depend on that.
TEST(EndpointSet, AnyByteAnywhereIsEscaped) {
  for (int byte = 0; byte < 256; ++byte) {
    for (std::size_t at = 0; at < 17; ++at) {
      EndpointSet set = two();
      set.endpoints[0].pod = std::string(17, 'x');
      set.endpoints[0].pod[at] = static_cast<char>(byte);
      const std::string text = to_canonical_json(set);
      std::string quoted;
      append_json_string(quoted, text);
      std::string body;
      append_canonical_json_string(body, set);
      ASSERT_EQ(body, quoted) << byte << " at " << at;
      const auto read = nlohmann::json::parse(text)["endpoints"][0]["pod"].get<std::string>();
      if (byte < 128) {
        ASSERT_EQ(read, set.endpoints[0].pod) << byte << " at " << at;
      }
    }
  }
}

TEST(EndpointSet, PortsAndStateAreOfEachEndpointItself) {
  EndpointSet set = two();
  set.endpoints.push_back(endpoint("vllm-c", "10.0.0.3"));
  set.endpoints[2].ports.pop_back();
  set.endpoints.push_back(endpoint("vllm-d", "10.0.0.4"));
  std::string problem;
  EXPECT_EQ(parse_endpoint_set(to_canonical_json(set), &problem), set) << problem;
}

TEST(EndpointSet, NamesakesAreOrderedByUid) {
  EndpointSet set;
  set.endpoints = {endpoint("a", "10.0.0.1"), endpoint("a", "10.0.0.2")};
  set.endpoints[0].uid = "2";
  set.endpoints[1].uid = "1";
  sort_canonically(set);
  EXPECT_EQ(set.endpoints[0].uid, "1");
}

TEST(EndpointSet, TextHasAReadyAddressAndPortPerLine) {
  EndpointSet set = two();
  EXPECT_EQ(to_text(set), "10.0.0.1:8000\n10.0.0.1:8001\n") << "not the draining one";
  set.endpoints[1].state = EndpointState::kReady;
  EXPECT_EQ(to_text(set), "10.0.0.1:8000\n10.0.0.1:8001\n[fd00::1]:8000\n[fd00::1]:8001\n");
}

TEST(EndpointSet, WhatIsWrittenIsReadBack) {
  const EndpointSet set = two();
  std::string problem;
  EXPECT_EQ(parse_endpoint_set(to_canonical_json(set), &problem), set) << problem;
}

struct HostileRow {
  const char* situation;
  std::string text;
  const char* problem;
};

std::string with(const std::string& from, const std::string& to) {
  std::string text = to_canonical_json(two());
  const auto at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

TEST(EndpointSet, HostileDocumentsAreRefusedWithAReason) {
  const HostileRow rows[] = {
      {"empty", "", "not JSON"},
      {"not JSON", "endpoints: []", "not JSON"},
      {"an array", "[]", "not a JSON object"},
      {"another kind", with("\"EndpointSet\"", "\"ConfigMap\""), "kind is not EndpointSet"},
      {"another version", with("io/v1alpha1", "io/v9"), "apiVersion is not"},
      {"no pool", with("\"pool\":\"vllm\"", "\"pool\":3"), "namespace or pool"},
      {"a revision that is text", with("\"revision\":7", "\"revision\":\"7\""), "revision"},
      {"a revision with a fraction", with("\"revision\":7", "\"revision\":7.5"), "revision"},
      {"a revision beyond 64 bits", with("\"revision\":7", "\"revision\":18446744073709551615"), "revision"},
      {"endpoints that are an object", with("\"endpoints\":[", "\"x\":["), "endpoints are not an array"},
      {"a command in a name", with("vllm-a\"", "a; disable server b\""), "endpoints[0]: its pod is no name"},
      {"a line break in a uid", with("vllm-a-uid", "a\\nb"), "endpoints[0]: its uid"},
      {"a host name for an address", with("10.0.0.1", "evil.example"),
       "endpoints[0]: its ip is no IP address"},
      {"no address", with("\"ip\":\"fd00::1\",", ""), "endpoints[1]: its ip is no IP address"},
      {"a node with a space", with("node-1", "node 1"), "node or zone"},
      {"port 0", with("8000", "0"), "a port is not"},
      {"port 65536", with("8000", "65536"), "a port is not"},
      {"no ports", with(R"([{"name":"http","number":8000},{"number":8001}])", "[]"), "has no ports"},
      {"an endpoint that is a number", with("\"endpoints\":[", "\"endpoints\":[1,"), "endpoints[0]"},
  };
  for (const HostileRow& row : rows) {
    std::string problem;
    EXPECT_EQ(parse_endpoint_set(row.text, &problem), std::nullopt) << row.situation;
    EXPECT_THAT(problem, HasSubstr(row.problem)) << row.situation;
    EXPECT_EQ(parse_endpoint_set(row.text, nullptr), std::nullopt) << "nobody has to want the reason";
  }
}

TEST(EndpointSet, TooLargeADocumentIsNotEvenParsed) {
  std::string problem;
  EXPECT_EQ(parse_endpoint_set(std::string(9U << 20U, ' '), &problem), std::nullopt);
  EXPECT_THAT(problem, HasSubstr("more than"));
}

TEST(EndpointSet, DeepNestingIsHarmless) {
  std::string problem;
  EXPECT_EQ(parse_endpoint_set(std::string(1U << 20U, '['), &problem), std::nullopt);
  std::string closed = std::string(100'000, '[') + std::string(100'000, ']');
  EXPECT_EQ(parse_endpoint_set(closed, &problem), std::nullopt);
}

TEST(EndpointSet, EachTruncationIsRefused) {
  const std::string whole = to_canonical_json(two());
  for (std::size_t length = 0; length + 1 < whole.size(); ++length) {
    EXPECT_EQ(parse_endpoint_set(whole.substr(0, length), nullptr), std::nullopt) << length;
  }
}

TEST(EndpointSet, ANewerWritersAdditionsAreRead) {
  const auto more =
      parse_endpoint_set(with("\"ip\":\"10.0.0.1\"", "\"weight\":{\"x\":[1]},\"ip\":\"10.0.0.1\""), nullptr);
  ASSERT_TRUE(more);
  EXPECT_EQ(*more, two());
  const auto warming = parse_endpoint_set(with("\"ready\"", "\"warming\""), nullptr);
  ASSERT_TRUE(warming);
  ASSERT_EQ(warming->endpoints.size(), 1U) << "a state it does not know is not one to send requests to";
  EXPECT_EQ(warming->endpoints[0].pod, "vllm-b");
}

struct EscapeRow {
  const char* situation;
  std::string text;
  std::string wanted;
};

TEST(JsonText, IsEscaped) {
  const EscapeRow rows[] = {
      {"plain", "vllm-0", R"("vllm-0")"},
      {"empty", "", R"("")"},
      {"quotes and backslashes", R"(a"b\c)", R"("a\"b\\c")"},
      {"white space", "a\nb\tc\rd", R"("a\nb\tc\rd")"},
      {"other controls", std::string("a\x01z\x1f", 4), R"("a\u0001z\u001f")"},
      {"a nought byte", std::string("a\0b", 3), R"("a\u0000b")"},
      {"UTF-8 stays", "\xc3\xbc\"", "\"\xc3\xbc\\\"\""},
      {"no UTF-8 is replaced", "a\xff", "\"a\xef\xbf\xbd\""},
      {"an escape first and last", "\"x\"", R"("\"x\"")"},
  };
  for (const EscapeRow& row : rows) {
    std::string out = "<";
    append_json_string(out, row.text);
    EXPECT_EQ(out, "<" + row.wanted) << row.situation;
  }
}

TEST(JsonText, EveryByteReadsBack) {
  for (int byte = 0; byte < 128; ++byte) {
    const std::string text(3, static_cast<char>(byte));
    std::string out;
    append_json_string(out, text);
    EXPECT_EQ(nlohmann::json::parse(out).get<std::string>(), text) << byte;
  }
}

}  // namespace
}  // namespace poolwarden::api
