#include "control/engine_loads.h"

#include "kube/base64.h"
#include "parts.h"

#include <gmock/gmock.h>

namespace poolwarden::control {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

struct Asking {
  std::optional<kube::TimePoint> request(const std::string& pod, bool withdrawn = false) {
    return loads.request({pod + "-uid", pod, "10.0.0.1", withdrawn, 5s, active}, pool, others, now);
  }
  // The UIDs of the pods whose engines are asked now.
  std::vector<std::string> read() {
    out = {};
    loads.read(now, out);
    std::vector<std::string> pods;
    for (const LoadRead& one : out.load_reads) pods.push_back(one.pod_uid);
    return pods;
  }
  std::vector<std::int32_t> ports_asked() const {
    std::vector<std::int32_t> ports;
    for (const engine::LoadSource& source : out.load_reads.at(0).request.sources)
      ports.push_back(source.port);
    return ports;
  }
  void arrive(const std::string& pod, std::optional<pool::Load> load, std::string problem = {}) {
    loads.arrived({pod + "-uid", {"default", "a"}, load, std::move(problem)}, now);
  }

  kube::TimePoint now = Parts::kStart;
  api::InferencePool pool = made_pool("a", "vllm");
  std::vector<const api::InferencePool*> others;
  std::vector<std::int32_t> active;
  EngineLoads loads{4};  // of which a namespace that is alone has half
  Effects out;
};

TEST(EngineLoads, Wanted_IsAskedOnceAndLookedForAgain) {
  Asking asking;
  EXPECT_EQ(asking.request("p"), asking.now + 1s);
  EXPECT_THAT(asking.read(), ElementsAre("p-uid"));
  EXPECT_EQ(asking.out.load_reads[0].pool, (kube::ObjectKey{"default", "a"}));
  EXPECT_EQ(asking.out.load_reads[0].request.ip, "10.0.0.1");
  EXPECT_EQ(asking.request("p"), std::nullopt) << "its answer marks the pool";
  EXPECT_THAT(asking.read(), IsEmpty());
}

TEST(EngineLoads, Sources_AreThePortsOfAllItsPoolsOnce) {
  Asking asking;
  api::InferencePool same = made_pool("b", "vllm");
  api::InferencePool more = made_pool("c", "vllm");
  more.target_ports = {{.number = 8000, .name = ""}, {.number = 8001, .name = ""}};
  asking.others = {&same, &more};
  asking.request("p");
  asking.read();
  EXPECT_THAT(asking.ports_asked(), ElementsAre(8000, 8001));
}

TEST(EngineLoads, PortOfMetrics_IsTheOnlySource) {
  Asking asking;
  asking.pool.target_ports.push_back({.number = 8001, .name = ""});
  asking.pool.engine.metrics_port = 9000;
  asking.pool.engine.metrics_path = "/load";
  asking.request("p");
  asking.read();
  EXPECT_THAT(asking.ports_asked(), ElementsAre(9000));
  EXPECT_EQ(asking.out.load_reads[0].request.sources[0].path, "/load");
}

TEST(EngineLoads, PortsThePodDoesNotServeOn_AreNotAsked) {
  Asking asking;
  asking.pool.target_ports = {{.number = 8000, .name = ""}, {.number = 8001, .name = ""}};
  asking.active = {8001, 9999};
  asking.request("p");
  asking.read();
  EXPECT_THAT(asking.ports_asked(), ElementsAre(8001));
  EXPECT_TRUE(asking.out.load_reads[0].asks_all_ports);
}

TEST(EngineLoads, RefusalAtAPortOfMetrics_ProvesNothing) {
  Asking asking;
  asking.pool.engine.metrics_port = 9000;
  asking.request("p");
  asking.read();
  EXPECT_FALSE(asking.out.load_reads[0].asks_all_ports) << "the engine itself listens on another";
}

TEST(EngineLoads, PortThatAnotherPoolAsks_IsAskedForBoth) {
  Asking asking;
  asking.pool.engine.metrics_port = 9000;
  api::InferencePool other = made_pool("b", "vllm");
  asking.others = {&other};
  asking.request("p");
  asking.read();
  EXPECT_TRUE(asking.out.load_reads[0].asks_all_ports) << "8000, for the other";
}

TEST(EngineLoads, Refusal_IsKnownOfThePod) {
  Asking asking;
  asking.request("p");
  asking.read();
  asking.loads.arrived({"p-uid", {"default", "a"}, std::nullopt, "refused the connection", true}, asking.now);
  EXPECT_TRUE(asking.loads.tracker().find("p-uid")->refused);
}

TEST(EngineLoads, ServerLoad_IsAskedOfEachPortBesideTheMetrics) {
  Asking asking;
  asking.pool.target_ports = {{.number = 8000, .name = ""}, {.number = 8001, .name = ""}};
  asking.pool.engine.metrics_port = 9000;
  asking.pool.engine.server_load = true;
  asking.request("p");
  asking.read();
  EXPECT_THAT(asking.ports_asked(), ElementsAre(8000, 8001, 9000));
  const auto& sources = asking.out.load_reads[0].request.sources;
  EXPECT_EQ(sources[0], engine::server_load_of(8000));
  EXPECT_EQ(sources[2].path, "/metrics");
}

TEST(EngineLoads, SamePortOfAnotherEngine_IsAskedForBoth) {
  Asking asking;
  api::InferencePool other = made_pool("b", "vllm");
  other.engine.type = api::EngineType::kSglang;
  asking.others = {&other};
  asking.request("p");
  asking.read();
  EXPECT_THAT(asking.ports_asked(), ElementsAre(8000, 8000));
}

TEST(EngineLoads, MoreSourcesThanAReadingMayHave_AreUnknownAtOnce) {
  Asking asking;
  std::vector<api::InferencePool> pools(5, made_pool("b", "vllm"));
  for (std::size_t i = 0; i < pools.size(); ++i) {
    pools[i].target_ports.clear();
    for (std::size_t port = 0; port < 8; ++port)
      pools[i].target_ports.push_back({.number = static_cast<std::int32_t>(9000 + 8 * i + port), .name = ""});
    asking.others.push_back(&pools[i]);
  }
  EXPECT_EQ(asking.request("p"), asking.now + 1s);
  EXPECT_THAT(asking.read(), IsEmpty());
  EXPECT_EQ(asking.loads.tracker().find("p-uid")->problem,
            "the pools that select it name more than 32 ports to ask");
}

TEST(EngineLoads, Request_IsReadFromTheBudgetOfItsNamespace) {
  Asking asking;
  asking.pool.ns = "team";
  asking.request("p");
  asking.read();
  EXPECT_EQ(asking.out.load_reads[0].request.ns, "team");
}

TEST(EngineLoads, MoreThanPlaces_WaitTheirTurn) {
  Asking asking;
  for (const char* pod : {"p", "q", "r"}) asking.request(pod);
  EXPECT_THAT(asking.read(), ElementsAre("p-uid", "q-uid"));
  EXPECT_EQ(asking.request("r"), asking.now + 1s) << "still wanted, or it is forgotten";
  asking.arrive("q", pool::Load{.in_flight = 3, .cache_usage = 0.5});
  EXPECT_THAT(asking.read(), ElementsAre("r-uid"));
}

TEST(EngineLoads, NamespaceWhoseEnginesHang_DelaysNoOther) {
  Asking asking;
  for (const char* pod : {"p", "q", "r", "s"}) asking.request(pod);
  EXPECT_THAT(asking.read(), ElementsAre("p-uid", "q-uid"));
  asking.pool.ns = "calm";
  asking.request("c");
  EXPECT_THAT(asking.read(), ElementsAre("c-uid")) << "while the others are being asked";
}

TEST(EngineLoads, NotWantedWhenItsTurnComes_IsForgotten) {
  Asking asking;
  for (const char* pod : {"p", "q", "r"}) asking.request(pod);
  asking.read();
  asking.now += pool::EngineLoadTracker::kFresh + 1s;
  asking.arrive("p", pool::Load{});
  EXPECT_THAT(asking.read(), IsEmpty());
}

TEST(EngineLoads, Answer_IsKnownAndDueAgainAfterThePoll) {
  Asking asking;
  asking.request("p", /*withdrawn=*/true);
  asking.read();
  asking.now += 100ms;
  asking.arrive("p", pool::Load{.in_flight = 3, .cache_usage = {}});
  ASSERT_NE(asking.loads.tracker().recent("p-uid", asking.now), nullptr);
  EXPECT_EQ(asking.loads.tracker().recent("p-uid", asking.now)->load->in_flight, 3);
  EXPECT_EQ(asking.request("p", true), asking.now + 5s) << "as spec.drain has it";
  EXPECT_THAT(asking.read(), IsEmpty());
  EXPECT_EQ(asking.request("p", false), asking.now + 1s) << "pods are chosen among sooner";
}

TEST(EngineLoads, Refusal_IsBoundedAndCutBetweenCharacters) {
  Asking asking;
  asking.request("p");
  asking.read();
  asking.arrive("p", std::nullopt, "x" + std::string(1000, '\xc3') + "\xa9");
  EXPECT_LE(asking.loads.tracker().find("p-uid")->problem.size(), 260U);
  asking.now += 1min;
  asking.request("p");
  asking.read();
  std::string text = "x";
  for (int i = 0; i < 1000; ++i) text += "\u00e9";
  asking.arrive("p", std::nullopt, text);
  EXPECT_EQ(asking.loads.tracker().find("p-uid")->problem, text.substr(0, 255) + " ...");
}

api::Secret key_secret(const std::string& value) {
  api::Secret secret;
  secret.data["api-key"] = kube::base64_encode(value);
  return secret;
}

TEST(EngineLoads, PoolWithAKey_IsAskedOnceItsSecretIsRead) {
  Asking asking;
  asking.pool.engine.api_key_secret = api::SecretKeyRef{"keys", "api-key"};
  asking.pool.engine.server_load = true;
  EXPECT_EQ(asking.request("p"), asking.now + 1s);
  EXPECT_THAT(asking.read(), IsEmpty());
  EXPECT_THAT(asking.loads.secrets_to_read(), ElementsAre(kube::ObjectKey{"default", "keys"}));
  EXPECT_THAT(asking.loads.secret_arrived({"default", "keys"}, key_secret("sesame"), asking.now),
              ElementsAre(kube::ObjectKey{"default", "a"}));
  asking.request("p");
  EXPECT_THAT(asking.read(), ElementsAre("p-uid"));
  const auto& sources = asking.out.load_reads[0].request.sources;
  ASSERT_EQ(sources.size(), 2U) << "/load and /metrics";
  for (const engine::LoadSource& source : sources) EXPECT_EQ(source.api_key->value, "sesame");
}

TEST(EngineLoads, NoRightToTheSecret_IsUnknownWithTheFix) {
  Asking asking;
  asking.pool.engine.api_key_secret = api::SecretKeyRef{"keys", "api-key"};
  asking.request("p");
  asking.loads.secrets_to_read();
  asking.loads.secret_arrived({"default", "keys"},
                              tl::unexpected(kube::Error{kube::ErrorClass::kForbidden, 403, "", "", {}}),
                              asking.now);
  EXPECT_EQ(asking.request("p"), asking.now + 1s) << "as after any reading in vain";
  EXPECT_THAT(asking.read(), IsEmpty());
  EXPECT_THAT(asking.loads.tracker().find("p-uid")->problem,
              ::testing::HasSubstr("the operator may not read Secret keys"));
}

TEST(EngineLoads, KeyThatTheEngineRefused_IsReadAnew) {
  Asking asking;
  asking.pool.engine.api_key_secret = api::SecretKeyRef{"keys", "api-key"};
  asking.request("p");
  asking.loads.secrets_to_read();
  asking.loads.secret_arrived({"default", "keys"}, key_secret("old"), asking.now);
  asking.now += 10s;
  asking.request("p");
  asking.read();
  LoadArrived refused{"p-uid", {"default", "a"}, std::nullopt, "answered 401"};
  refused.refused_key = asking.out.load_reads.at(0).request.sources[0].api_key->id;
  asking.loads.arrived(refused, asking.now);
  asking.now += 1s;
  asking.request("p");
  EXPECT_THAT(asking.loads.secrets_to_read(), ElementsAre(kube::ObjectKey{"default", "keys"}));
}

TEST(EngineLoads, EachPoolOfAPod_IsAskedWithItsOwnKeyAndTls) {
  Asking asking;
  asking.pool.engine.api_key_secret = api::SecretKeyRef{"keys", "api-key"};
  api::InferencePool other = made_pool("b", "vllm");
  other.engine.scheme = api::EngineScheme::kHttps;
  other.engine.tls = base::Shared(api::EngineTls{"", "", true});
  asking.others = {&other};
  asking.request("p");
  asking.loads.secrets_to_read();
  asking.loads.secret_arrived({"default", "keys"}, key_secret("sesame"), asking.now);
  asking.request("p");
  asking.read();
  const auto& sources = asking.out.load_reads.at(0).request.sources;
  ASSERT_EQ(sources.size(), 2U);
  EXPECT_TRUE(sources[0].api_key && !sources[0].tls);
  EXPECT_TRUE(!sources[1].api_key && sources[1].tls);
}

TEST(EngineLoads, HttpsWithoutTls_IsNotAskedInClear) {
  Asking asking;
  asking.pool.engine.scheme = api::EngineScheme::kHttps;
  asking.request("p");
  asking.read();
  const auto& tls = asking.out.load_reads.at(0).request.sources[0].tls;
  ASSERT_TRUE(tls);
  EXPECT_EQ(*tls, api::EngineTls{}) << "which the reader refuses";
}

TEST(EngineLoads, AnswerOfAPodNobodyAskedAbout_ChangesNothing) {
  Asking asking;
  asking.arrive("p", pool::Load{});
  EXPECT_EQ(asking.loads.tracker().find("p-uid"), nullptr);
}

TEST(EngineLoads, Sweep_ForgetsWhatIsNotWanted) {
  Asking asking;
  asking.request("p");
  asking.read();
  asking.arrive("p", pool::Load{});
  asking.loads.sweep(asking.now);
  EXPECT_NE(asking.loads.tracker().find("p-uid"), nullptr);
  asking.loads.sweep(asking.now + pool::EngineLoadTracker::kMemory + 1s);
  EXPECT_EQ(asking.loads.tracker().find("p-uid"), nullptr);
}

}  // namespace
}  // namespace poolwarden::control
