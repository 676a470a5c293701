#include "support/apiserver/selector.h"

#include "support/apiserver/json_path.h"
#include "support/apiserver/request.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace poolwarden::apiserver {
namespace {

using nlohmann::json;

TEST(SelectorTest, MatchesAsKubernetesDoes) {
  struct Row {
    const char* selector;
    json labels;
    bool matches;
  };
  const Row rows[] = {
      {"", {{"a", "1"}}, true},
      {"a=1", {{"a", "1"}}, true},
      {"a==1", {{"a", "2"}}, false},
      {"a!=1", json::object(), true},
      {"a notin (1,2)", {{"a", "3"}}, true},
      {"a in (1, 2)", {{"a", "2"}}, true},
      {"a", json::object(), false},
      {"!a", json::object(), true},
      {"n>5", {{"n", "6"}}, true},
      {"n<5", {{"n", "x"}}, false},
      {"example.com/a=1,b", {{"example.com/a", "1"}, {"b", ""}}, true},
  };
  for (const Row& row : rows) {
    const auto selector = Selector::parse(row.selector);
    ASSERT_TRUE(selector) << row.selector;
    EXPECT_EQ(selector->matches(&row.labels), row.matches) << row.selector;
  }
  for (const char* bad : {"a=$", "=1", "a in (b", "(a)"}) EXPECT_FALSE(Selector::parse(bad)) << bad;
}

TEST(SelectorTest, AnObjectWithoutSelectorSelectsNothing) {
  const json labels = {{"a", "1"}};
  EXPECT_FALSE(Selector::from_object(json()).matches(&labels));
  EXPECT_TRUE(Selector::from_object(json::object()).matches(&labels));
  const json full = json::parse(
      R"({"matchLabels":{"a":"1"},"matchExpressions":[{"key":"b","operator":"NotIn","values":["x"]},{"key":"c","operator":"DoesNotExist"}]})");
  EXPECT_TRUE(Selector::from_object(full).matches(&labels));
  EXPECT_EQ(Selector::from_object(full).to_string(), "a=1,b notin (x),!c");
}

TEST(RequestTest, PathsAreTakenApart) {
  struct Row {
    const char* target;
    const char* expected;  // group|version|plural|ns|name|subresource|verb
  };
  const Row rows[] = {
      {"/api/v1/pods", "|v1|pods||||list"},
      {"/api/v1/namespaces/ns/pods/a/status", "|v1|pods|ns|a|status|get"},
      {"/api/v1/namespaces/ns", "|v1|namespaces||ns||get"},
      {"/api/v1/namespaces/ns/status", "|v1|namespaces||ns|status|get"},
      {"/apis/apps/v1/namespaces/ns/deployments?watch=1", "apps|v1|deployments|ns|||watch"},
      {"/apis/g.io/v1/things/a%2Fb", "g.io|v1|things||a/b||get"},
  };
  for (const Row& row : rows) {
    kube::HttpRequest request;
    request.target = row.target;
    const ParsedRequest parsed = parse_request(request);
    EXPECT_EQ(parsed.group + "|" + parsed.version + "|" + parsed.plural + "|" + parsed.ns + "|" +
                  parsed.name + "|" + parsed.subresource + "|" + parsed.verb,
              row.expected)
        << row.target;
  }
  kube::HttpRequest request;
  request.target = "/version";
  EXPECT_FALSE(parse_request(request).resource);
}

TEST(JsonPathTest, LeadsToColumns) {
  const json root = json::parse(
      R"({"spec":{"a.b":1,"list":[{"type":"Ready","status":"True"},{"type":"Other","status":"False"}],"n":[5,6]}})");
  struct Row {
    const char* path;
    std::vector<json> expected;
  };
  const Row rows[] = {
      {".spec['a.b']", {1}},
      {".spec.n[1]", {6}},
      {".spec.n[*]", {5, 6}},
      {R"(.spec.list[?(@.type=="Ready")].status)", {"True"}},
      {".spec.list[0].type", {"Ready"}},
      {".spec.none", {}},
      {".spec.list[", {}},
  };
  for (const Row& row : rows) {
    std::vector<json> found;
    for (const json* value : json_path(root, row.path)) found.push_back(*value);
    EXPECT_EQ(found, row.expected) << row.path;
  }
}

}  // namespace
}  // namespace poolwarden::apiserver
