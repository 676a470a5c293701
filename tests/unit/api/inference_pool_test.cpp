#include "api/inference_pool.h"

#include <utility>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace poolwarden::api {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

InferencePool usable() {
  InferencePool pool;
  pool.name = "vllm";
  pool.scale_target = ScaleTargetRef{.api_version = "apps/v1", .kind = "Deployment", .name = "vllm"};
  pool.target_ports = {{.number = 8000, .name = "http"}};
  return pool;
}

TEST(PoolProblems, AUsablePoolHasNone) {
  EXPECT_THAT(problems(usable()), IsEmpty());
  InferencePool pool = usable();
  pool.scale_target.reset();
  pool.selector = LabelSelector{{{"app", "vllm"}}, {}};
  pool.replicas = 0;
  EXPECT_THAT(problems(pool), IsEmpty()) << "it only publishes";
}

EngineSpec https(EngineTls tls) {
  EngineSpec engine;
  engine.scheme = EngineScheme::kHttps;
  engine.tls = base::Shared(std::move(tls));
  return engine;
}

TEST(PoolProblems, EngineBehindTlsAndWithAKey_HasNone) {
  InferencePool pool = usable();
  for (const EngineTls& tls :
       {EngineTls{"QQ==", "", false}, EngineTls{"QQ==", "vllm.models.svc", false}, EngineTls{"", "", true}}) {
    pool.engine = https(tls);
    pool.engine.api_key_secret = SecretKeyRef{"vllm-keys.v2", "API_KEY.txt"};
    EXPECT_THAT(problems(pool), IsEmpty());
  }
}

struct ProblemRow {
  const char* situation;
  std::function<void(InferencePool&)> spoil;
  const char* wanted;
};

TEST(PoolProblems, EachNamesItsField) {
  const ProblemRow rows[] = {
      {"a metric with half a label",
       [](auto& p) {
         p.engine.type = EngineType::kCustom;
         p.engine.in_flight_metrics = {"busy", "busy{type=}"};
       },
       "spec.engine.inFlightMetrics: busy{type=} is neither a metric's name nor name{label=\"value\"}"},
      {"what only vLLM tells",
       [](auto& p) {
         p.engine.type = EngineType::kSglang;
         p.engine.server_load = true;
       },
       "spec.engine.serverLoad is what engine type vllm tells at /load"},
      {"a cache that is no metric",
       [](auto& p) {
         p.engine.type = EngineType::kCustom;
         p.engine.in_flight_metrics = {"busy{type=\"active\"}"};
         p.engine.cache_usage_metric = "the cache";
       },
       "spec.engine.cacheUsageMetric: the cache is neither"},
      {"tls without https",
       [](auto& p) {
         p.engine.tls = base::Shared(EngineTls{"QQ==", "", false});
       },
       "spec.engine.tls is how an engine with scheme https is checked: set scheme to https, or leave tls "
       "out"},
      {"https without tls", [](auto& p) { p.engine.scheme = EngineScheme::kHttps; },
       "spec.engine.scheme https needs either tls.caBundle or tls.insecureSkipVerify: true: give one of "
       "them"},
      {"https that trusts nobody",
       [](auto& p) {
         p.engine = https({"", "vllm.example", false});
       },
       "spec.engine.scheme https needs either"},
      {"https that checks and does not",
       [](auto& p) {
         p.engine = https({"QQ==", "", true});
       },
       "spec.engine.scheme https needs either"},
      {"a name that is none",
       [](auto& p) {
         p.engine = https({"QQ==", "a b", false});
       },
       "spec.engine.tls.serverName: a b is no DNS name"},
      {"a Secret of another path",
       [](auto& p) {
         p.engine.api_key_secret = SecretKeyRef{"../configmaps/x", "api-key"};
       },
       "spec.engine.apiKeySecret.name: \"../configmaps/x\" is no name of a Secret"},
      {"a Secret without a name",
       [](auto& p) {
         p.engine.api_key_secret = SecretKeyRef{"", "api-key"};
       },
       "spec.engine.apiKeySecret.name: \"\" is no name of a Secret"},
      {"a key that is none",
       [](auto& p) {
         p.engine.api_key_secret = SecretKeyRef{"keys", "a/b"};
       },
       "spec.engine.apiKeySecret.key: \"a/b\" is no key of a Secret"},
      {"neither target nor selector", [](auto& p) { p.scale_target.reset(); },
       "spec.scaleTargetRef or spec.selector is required"},
      {"a target without a name", [](auto& p) { p.scale_target->name.clear(); },
       "spec.scaleTargetRef.name is empty"},
      {"an empty selector", [](auto& p) { p.selector = LabelSelector{}; }, "spec.selector is empty"},
      {"a broken selector",
       [](auto& p) {
         p.selector = LabelSelector{{{"a b", "c"}}, {}};
       },
       "spec.selector matchLabels"},
      {"a selector on our own label",
       [](auto& p) {
         p.selector = LabelSelector{{{"poolwarden.io/serving", "true"}}, {}};
       },
       "must not use"},
      {"an expression on our own label",
       [](auto& p) {
         p.selector = LabelSelector{{}, {{.key = "poolwarden.io/serving", .op = "Exists", .values = {}}}};
       },
       "must not use"},
      {"negative replicas", [](auto& p) { p.replicas = -1; }, "spec.replicas is -1"},
      {"no ports", [](auto& p) { p.target_ports.clear(); }, "must have 1 to 8 ports"},
      {"nine ports",
       [](auto& p) {
         for (int i = 1; i <= 8; ++i) p.target_ports.push_back({.number = i, .name = ""});
       },
       "must have 1 to 8 ports"},
      {"port 0", [](auto& p) { p.target_ports[0].number = 0; }, "0 is not a port number"},
      {"port 65536", [](auto& p) { p.target_ports[0].number = 65536; }, "65536 is not a port number"},
      {"a number twice", [](auto& p) { p.target_ports.push_back({.number = 8000, .name = "b"}); },
       "8000 is there twice"},
      {"a name twice", [](auto& p) { p.target_ports.push_back({.number = 8001, .name = "http"}); },
       "\"http\" is there twice"},
      {"a name that an unnamed port gets",
       [](auto& p) {
         p.target_ports[0].name = "port-8001";
         p.target_ports.push_back({.number = 8001, .name = ""});
       },
       "\"port-8001\" is there twice"},
  };
  for (const ProblemRow& row : rows) {
    InferencePool pool = usable();
    row.spoil(pool);
    EXPECT_THAT(problems(pool), ElementsAre(HasSubstr(row.wanted))) << row.situation;
  }
}

TEST(PortNames, ArePublishedAs) {
  InferencePool pool = usable();
  EXPECT_EQ(published_port_name(pool, {.number = 8000, .name = "api"}), "api");
  EXPECT_EQ(published_port_name(pool, {.number = 8000, .name = ""}), "http");
  pool.target_ports.push_back({.number = 8001, .name = ""});
  EXPECT_EQ(published_port_name(pool, {.number = 8001, .name = ""}), "port-8001");
}

}  // namespace
}  // namespace poolwarden::api
