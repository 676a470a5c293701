// Environment, arguments and $(VAR), as Kubernetes fills them in.
#include "support/cluster/launch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace poolwarden::cluster {
namespace {

using nlohmann::json;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;

struct LaunchRow {
  const char* text;
  const char* expanded;
};
class Expand : public testing::TestWithParam<LaunchRow> {};
TEST_P(Expand, AsKubernetesDoes) {
  EXPECT_EQ(expand(GetParam().text, {{"A", "1"}, {"B", "two"}, {"A", "3"}}), GetParam().expanded);
}
INSTANTIATE_TEST_SUITE_P(Rows, Expand,
                         testing::Values(LaunchRow{"", ""}, LaunchRow{"plain", "plain"},
                                         LaunchRow{"$(B)", "two"}, LaunchRow{"x$(B)y$(B)", "xtwoytwo"},
                                         LaunchRow{"$(A)", "3"}, LaunchRow{"$(NONE)", "$(NONE)"},
                                         LaunchRow{"$$(B)", "$(B)"}, LaunchRow{"$B", "$B"},
                                         LaunchRow{"$(B", "$(B"}, LaunchRow{"$", "$"}, LaunchRow{"$$", "$"},
                                         LaunchRow{"$()", "$()"}));

json pod() {
  return {{"metadata",
           {{"name", "vllm-1"},
            {"namespace", "ns"},
            {"uid", "u"},
            {"labels", {{"app.kubernetes.io/name", "vllm"}}}}},
          {"spec", {{"nodeName", "node-7"}}}};
}

TEST(LaunchSpec, FillsInTheDownwardApi) {
  const json container = json::parse(R"json({
    "name": "c", "image": "vllm:v1", "command": ["server"], "args": ["--host", "$(POD_IP)", "--name=$(WHO)"],
    "env": [{"name": "APP", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['app.kubernetes.io/name']"}}},
            {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
            {"name": "WHO", "value": "$(APP)@$(NODE)"}]})json");
  const auto spec = launch_spec(pod(), container, "127.0.7.1");
  ASSERT_TRUE(spec) << spec.error();
  EXPECT_THAT(spec->command, ElementsAre("server"));
  EXPECT_THAT(spec->args, ElementsAre("--host", "127.0.7.1", "--name=vllm@node-7"));
  EXPECT_THAT(spec->env, Contains(Pair("POD_NAME", "vllm-1")));
  EXPECT_THAT(spec->env, Contains(Pair("POD_NAMESPACE", "ns")));
}

TEST(LaunchSpec, SaysWhatItDoesNotKnow) {
  const json container = json::parse(
      R"({"name": "c", "env": [{"name": "K", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]})");
  const auto spec = launch_spec(pod(), container, "127.0.7.1");
  ASSERT_FALSE(spec);
  EXPECT_THAT(spec.error(), HasSubstr("env K"));
}

TEST(LaunchSpec, RefusesAnUnknownFieldPath) {
  const json container = json::parse(
      R"({"name": "c", "env": [{"name": "K", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['"}}}]})");
  EXPECT_FALSE(launch_spec(pod(), container, "127.0.7.1"));
}

}  // namespace
}  // namespace poolwarden::cluster
