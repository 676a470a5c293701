#include "engine/load.h"

#include <optional>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace poolwarden::engine {
namespace {

using api::EngineSpec;
using api::EngineType;
using testing::HasSubstr;

// As curl shows it, of a vLLM with two data-parallel ranks.
constexpr std::string_view kVllm =
    "# HELP vllm:num_requests_running Number of requests in model execution batches.\n"
    "# TYPE vllm:num_requests_running gauge\n"
    "vllm:num_requests_running{engine=\"0\",model_name=\"facebook/opt-125m\"} 3.0\n"
    "vllm:num_requests_running{engine=\"1\",model_name=\"facebook/opt-125m\"} 2.0\n"
    "# HELP vllm:num_requests_waiting Number of requests waiting to be processed.\n"
    "# TYPE vllm:num_requests_waiting gauge\n"
    "vllm:num_requests_waiting{engine=\"0\",model_name=\"facebook/opt-125m\"} 1.0\n"
    "vllm:num_requests_waiting{engine=\"1\",model_name=\"facebook/opt-125m\"} 0.0\n"
    "vllm:num_requests_waiting_by_reason{engine=\"0\",model_name=\"facebook/opt-125m\",reason=\"capacity\"} "
    "1.0\n"
    "vllm:kv_cache_usage_perc{engine=\"0\",model_name=\"facebook/opt-125m\"} 0.5\n"
    "vllm:kv_cache_usage_perc{engine=\"1\",model_name=\"facebook/opt-125m\"} 0.25\n"
    "vllm:e2e_request_latency_seconds_bucket{engine=\"0\",le=\"+Inf\",model_name=\"facebook/opt-125m\"} "
    "12.0\n"
    "vllm:cache_config_info{block_size=\"16\",cache_dtype=\"auto\",engine=\"0\"} 1.0\n";

EngineSpec of_type(EngineType type) {
  EngineSpec spec;
  spec.type = type;
  return spec;
}

EngineSpec custom(std::vector<std::string> in_flight, std::string cache = {}) {
  EngineSpec spec = of_type(EngineType::kCustom);
  spec.in_flight_metrics = std::move(in_flight);
  spec.cache_usage_metric = std::move(cache);
  return spec;
}

struct LoadRow {
  const char* situation;
  EngineSpec engine;
  std::string text;
  Load load;
};

void PrintTo(const LoadRow& row, std::ostream* out) {
  *out << row.situation;
}

class KnownLoad : public testing::TestWithParam<LoadRow> {};

TEST_P(KnownLoad, IsRead) {
  const LoadRow& row = GetParam();
  SCOPED_TRACE(row.situation);
  const auto load = read_load(row.text, metrics_of(row.engine));
  ASSERT_TRUE(load) << load.error();
  EXPECT_EQ(load->in_flight, row.load.in_flight);
  EXPECT_EQ(load->cache_usage, row.load.cache_usage);
  EXPECT_EQ(load->work, row.load.work);
}

INSTANTIATE_TEST_SUITE_P(
    Engines, KnownLoad,
    testing::Values(
        LoadRow{"vLLM, two ranks", of_type(EngineType::kVllm), std::string(kVllm), {6, 0.375}},
        LoadRow{"vLLM, idle",
                of_type(EngineType::kVllm),
                "vllm:num_requests_running{engine=\"0\"} 0.0\nvllm:num_requests_waiting{engine=\"0\"} 0.0\n"
                "vllm:kv_cache_usage_perc{engine=\"0\"} 0.0\n",
                {0, 0}},
        LoadRow{
            "vLLM before its V1, with a request on the CPU and the cache's old name",
            of_type(EngineType::kVllm),
            "vllm:num_requests_running{model_name=\"m\"} 0\nvllm:num_requests_waiting{model_name=\"m\"} 0\n"
            "vllm:num_requests_swapped{model_name=\"m\"} 2\nvllm:gpu_cache_usage_perc{model_name=\"m\"} "
            "0.125\n",
            {2, 0.125}},
        LoadRow{"vLLM that says the cache under both its names: the new one counts",
                of_type(EngineType::kVllm),
                "vllm:gpu_cache_usage_perc 0.5\nvllm:kv_cache_usage_perc 0.25\n"
                "vllm:num_requests_running 1\nvllm:num_requests_waiting 0\n",
                {1, 0.25}},
        LoadRow{
            "SGLang",
            of_type(EngineType::kSglang),
            "sglang:num_running_reqs{model_name=\"m\"} 2.0\nsglang:num_queue_reqs{model_name=\"m\"} 3.0\n"
            "sglang:token_usage{model_name=\"m\"} 0.28\nsglang:num_requests_total{model_name=\"m\"} 99.0\n",
            {5, 0.28}},
        LoadRow{"SGLang, with a request that waits for its grammar",
                of_type(EngineType::kSglang),
                "sglang:num_running_reqs 0.0\nsglang:num_queue_reqs 0.0\nsglang:num_grammar_queue_reqs 1.0\n",
                {1, std::nullopt}},
        LoadRow{"SGLang, disaggregated: the prefill's and the decoder's queues",
                of_type(EngineType::kSglang),
                "sglang:num_running_reqs 0.0\nsglang:num_queue_reqs 0.0\n"
                "sglang:num_prefill_prealloc_queue_reqs 1.0\nsglang:num_prefill_bootstrap_queue_reqs 1.0\n"
                "sglang:num_prefill_inflight_queue_reqs 1.0\nsglang:num_decode_prealloc_queue_reqs 1.0\n"
                "sglang:num_decode_transfer_queue_reqs 1.0\n",
                {5, std::nullopt}},
        LoadRow{"TensorRT-LLM",
                of_type(EngineType::kTrtllm),
                "trtllm_num_requests_running{engine_type=\"trtllm\",model_name=\"m\"} 4.0\n"
                "trtllm_num_requests_waiting{engine_type=\"trtllm\",model_name=\"m\"} 1.0\n"
                "trtllm_kv_cache_utilization{engine_type=\"trtllm\",model_name=\"m\"} 0.62\n",
                {5, 0.62}},
        LoadRow{"llama.cpp",
                of_type(EngineType::kLlamaCpp),
                "llamacpp:requests_processing 4\nllamacpp:requests_deferred 2\nllamacpp:n_decode_total 25\n",
                {6, std::nullopt, {}, 25}},
        LoadRow{"llama.cpp of 2024, which told its cache",
                of_type(EngineType::kLlamaCpp),
                "llamacpp:requests_processing 1\nllamacpp:requests_deferred 0\n"
                "llamacpp:kv_cache_usage_ratio 0.25\n",
                {1, 0.25}},
        LoadRow{"a custom engine",
                custom({"busy", "queued"}, "cache"),
                "busy 1\nqueued 2\ncache 0.5\nvllm:x 9\n",
                {3, 0.5}},
        LoadRow{"a custom engine without a cache", custom({"busy"}), "busy 1\n", {1, std::nullopt}},
        LoadRow{
            "TensorRT-LLM in Triton, which tells its gauges apart by a label, its capacity among them",
            custom({"nv_trt_llm_request_metrics{request_type=\"active\"}",
                    "nv_trt_llm_request_metrics{request_type=\"waiting\"}"},
                   "nv_trt_llm_kv_cache_block_metrics{kv_cache_block_type=\"fraction\",version=\"1\"}"),
            "nv_trt_llm_request_metrics{model=\"m\",request_type=\"waiting\",version=\"1\"} 1\n"
            "nv_trt_llm_request_metrics{model=\"m\",request_type=\"max\",version=\"1\"} 256\n"
            "nv_trt_llm_request_metrics{model=\"m\",request_type=\"active\",version=\"1\"} 2\n"
            "nv_trt_llm_kv_cache_block_metrics{kv_cache_block_type=\"used\",model=\"m\",version=\"1\"} 60\n"
            "nv_trt_llm_kv_cache_block_metrics{kv_cache_block_type=\"fraction\",model=\"m\",version=\"1\"} "
            "0.25\n",
            {3, 0.25}},
        LoadRow{"a long line of another metric",
                custom({"busy"}),
                "adapters{names=\"" + std::string(100'000, 'x') + "\"} 1\nbusy 1\n",
                {1, std::nullopt}}));

INSTANTIATE_TEST_SUITE_P(Cache, KnownLoad,
                         testing::Values(LoadRow{"no cache usage is told",
                                                 custom({"busy"}, "cache"),
                                                 "busy 1\n",
                                                 {1, std::nullopt}},
                                         LoadRow{"the cache usage is no number",
                                                 custom({"busy"}, "cache"),
                                                 "busy 1\ncache NaN\n",
                                                 {1, std::nullopt}},
                                         LoadRow{"the cache usage is negative",
                                                 custom({"busy"}, "cache"),
                                                 "busy 1\ncache -1\n",
                                                 {1, std::nullopt}},
                                         LoadRow{"the cache usage of one rank is infinite",
                                                 custom({"busy"}, "cache"),
                                                 "busy 1\ncache 0.5\ncache +Inf\n",
                                                 {1, std::nullopt}}));

INSTANTIATE_TEST_SUITE_P(
    Work, KnownLoad,
    testing::Values(
        LoadRow{"vLLM's counters of tokens",
                of_type(EngineType::kVllm),
                "vllm:num_requests_running{engine=\"0\"} 3\nvllm:num_requests_waiting{engine=\"0\"} 0\n"
                "vllm:prompt_tokens_total{engine=\"0\"} 100\n"
                "vllm:generation_tokens_total{engine=\"0\"} 20\n"
                "vllm:generation_tokens_total{engine=\"1\"} 5\n",
                {3, std::nullopt, {}, 125}},
        LoadRow{"one of them is nonsense",
                of_type(EngineType::kVllm),
                "vllm:num_requests_running 3\nvllm:num_requests_waiting 0\n"
                "vllm:prompt_tokens_total NaN\nvllm:generation_tokens_total 20\n",
                {3, std::nullopt, {}, 20}},
        LoadRow{"an engine of which no counter is known",
                custom({"busy"}),
                "busy 3\nvllm:generation_tokens_total 20\n",
                {3, std::nullopt, {}, std::nullopt}}));

struct UnknownRow {
  const char* situation;
  EngineSpec engine;
  std::string text;
  std::string reason;  // the part that matters
};

void PrintTo(const UnknownRow& row, std::ostream* out) {
  *out << row.situation;
}

class UnknownLoad : public testing::TestWithParam<UnknownRow> {};

TEST_P(UnknownLoad, IsNeverIdle) {
  const UnknownRow& row = GetParam();
  SCOPED_TRACE(row.situation);
  const auto load = read_load(row.text, metrics_of(row.engine));
  ASSERT_FALSE(load) << load->in_flight;
  EXPECT_THAT(load.error(), HasSubstr(row.reason));
}

INSTANTIATE_TEST_SUITE_P(
    Absent, UnknownLoad,
    testing::Values(
        UnknownRow{"nothing at all", of_type(EngineType::kVllm), "",
                   "vllm:num_requests_running is not among"},
        UnknownRow{
            "vLLM with --disable-log-stats", of_type(EngineType::kVllm), "python_info 1\n",
            "vllm:num_requests_running is not among the metrics (vLLM has these metrics unless it runs with "
            "--disable-log-stats)"},
        UnknownRow{"only what runs", of_type(EngineType::kVllm), "vllm:num_requests_running 0\n",
                   "vllm:num_requests_waiting is not among"},
        UnknownRow{"only what waits", of_type(EngineType::kVllm), "vllm:num_requests_waiting 0\n",
                   "vllm:num_requests_running is not among"},
        UnknownRow{"only help and type", of_type(EngineType::kVllm),
                   "# HELP vllm:num_requests_running x\n# TYPE vllm:num_requests_running gauge\n",
                   "is not among"},
        UnknownRow{"names that only begin alike", custom({"busy"}), "busy_total 0\nbusy:x 0\nbus 0\n",
                   "busy is not among the metrics (spec.engine.inFlightMetrics asks for it)"},
        UnknownRow{"another engine's", of_type(EngineType::kSglang), std::string(kVllm),
                   "SGLang has these metrics with"},
        UnknownRow{"TensorRT-LLM before its first request", of_type(EngineType::kTrtllm),
                   "# TYPE trtllm_num_requests_running gauge\n", "once it has served a request"},
        UnknownRow{"llama.cpp without its flag", of_type(EngineType::kLlamaCpp), "",
                   "llama-server has these metrics with --metrics"},
        UnknownRow{"one of the custom names", custom({"busy", "queued"}), "busy 0\n", "queued is not among"},
        UnknownRow{"no sample with the label", custom({"busy{kind=\"a\"}"}), "busy 0\nbusy{kind=\"b\"} 0\n",
                   "busy{kind=\"a\"} is not among the metrics"},
        UnknownRow{"no custom names", custom({}), "busy 0\n",
                   "spec.engine.inFlightMetrics names no metric"}));

INSTANTIATE_TEST_SUITE_P(
    Impossible, UnknownLoad,
    testing::Values(
        UnknownRow{"negative", custom({"busy"}), "busy -1\n",
                   "busy is negative, which is no number of requests"},
        UnknownRow{"negative in one rank, which would hide another's", custom({"busy"}), "busy 1\nbusy -1\n",
                   "busy is negative"},
        UnknownRow{"NaN", custom({"busy"}), "busy NaN\n", "busy is NaN"},
        UnknownRow{"NaN in one of two ranks", custom({"busy"}), "busy 0\nbusy NaN\n", "busy is NaN"},
        UnknownRow{"infinite", custom({"busy"}), "busy +Inf\n", "busy is infinite"},
        UnknownRow{"infinite and its opposite", custom({"busy"}), "busy +Inf\nbusy -Inf\n",
                   "busy is infinite"},
        UnknownRow{"more in sum than a double holds", custom({"busy"}), "busy 1e308\nbusy 1e308\n",
                   "no number"},
        UnknownRow{"negative where it need not be there", of_type(EngineType::kVllm),
                   "vllm:num_requests_running 0\nvllm:num_requests_waiting 0\nvllm:num_requests_swapped -1\n",
                   "vllm:num_requests_swapped is negative"}));

INSTANTIATE_TEST_SUITE_P(
    Broken, UnknownLoad,
    testing::Values(UnknownRow{"half a line, after all that was asked for", custom({"busy"}),
                               "busy 0\nbusy{rank=\"1\"} ", "end in the middle of a line"},
                    UnknownRow{"a number that was cut, and reads as another", custom({"busy"}),
                               "busy 1\nbusy 0", "end in the middle of a line"},
                    UnknownRow{"a line that is no metric, after all that was asked for", custom({"busy"}),
                               "busy 0\n!\n", "line 2 is no metric"},
                    UnknownRow{"HTML", of_type(EngineType::kVllm), "<html><body>It works!</body></html>\n",
                               "the answer is HTML and not metrics"},
                    UnknownRow{"10 MB of one letter", custom({"busy"}), std::string(10u << 20, 'x'),
                               "longer than"}));

TEST(LoadOfAll, AddsRequestsAndTakesTheMeanOfCaches) {
  EXPECT_EQ(load_of_all({{2, 0.5}}), (Load{2, 0.5}));
  EXPECT_EQ(load_of_all({{2, 0.5}, {3, 0.25}}), (Load{5, 0.375}));
  EXPECT_EQ(load_of_all({{2, 0.5}, {3, std::nullopt}}), (Load{5, std::nullopt}));
  EXPECT_EQ(load_of_all({{2, {}, {}, 10}, {3, {}, {}, 5}}), (Load{5, {}, {}, 15}));
  EXPECT_EQ(load_of_all({{2, {}, {}, 10}, {3, {}, {}, {}}}), (Load{5, {}, {}, {}}))
      << "of one nothing can be said";
}

TEST(LoadOfAll, WhatServersHaveTakenInCountsWhereItIsMore) {
  const Load server{.in_flight = 0, .cache_usage = {}, .taken_in = 3};
  EXPECT_EQ(load_of_all({{2, 0.5, {}, 10}, server}), (Load{3, 0.5, {}, 10}));
  EXPECT_EQ(load_of_all({server, {5, 0.5}}), (Load{5, 0.5})) << "they are the same requests";
  EXPECT_EQ(load_of_all({server, {0, {}}, server}), (Load{6, {}}));
  EXPECT_EQ(load_of_all({server}), (Load{3, {}}));
}

TEST(ServerLoad, IsReadOrUnknown) {
  EXPECT_EQ(read_server_load("{\"server_load\":3}")->taken_in, 3);
  EXPECT_EQ(read_server_load("{\"server_load\":0,\"more\":[]}\n")->taken_in, 0);
  for (const char* text : {"", "3", "[]", "{}", "{\"server_load\":-1}", "{\"server_load\":\"3\"}",
                           "{\"server_load\":null}", "{\"server_load\":3", "server_load 3\n", "<html>"}) {
    const auto load = read_server_load(text);
    ASSERT_FALSE(load) << text;
    EXPECT_EQ(load.error(), "the answer has no server_load that is a number of requests") << text;
  }
}

struct PortsRow {
  const char* situation;
  std::vector<tl::expected<Load, NoLoad>> ports;
  std::optional<Load> load;  // nothing: unknown
  bool refused = false;
};

TEST(LoadOfThoseThatAnswer, RefusedBesideAnAnswer_IsNothingInFlight) {
  const auto refused = [](const char* why) { return tl::unexpected(NoLoad{.why = why, .refused = true}); };
  const auto unknown = [](const char* why) { return tl::unexpected(NoLoad{.why = why, .refused = false}); };
  for (const PortsRow& row : {PortsRow{"all answer", {Load{2, 0.5}, Load{3, 0.25}}, Load{5, 0.375}},
                              {"one refuses", {refused("r"), Load{3, 0.25}}, Load{3, 0.25}},
                              {"one is unknown", {Load{3, 0.25}, unknown("first")}, {}},
                              {"one refuses, one is unknown", {refused("r"), unknown("first")}, {}},
                              {"all three", {refused("r"), Load{0, {}}, unknown("first")}, {}},
                              {"all refuse", {refused("first"), refused("r")}, {}, true}}) {
    const auto load = load_of_those_that_answer(row.ports);
    ASSERT_EQ(load.has_value(), row.load.has_value()) << row.situation;
    if (load) {
      EXPECT_EQ(*load, *row.load) << row.situation;
    } else {
      EXPECT_EQ(load.error().why, "first") << row.situation;
      EXPECT_EQ(load.error().refused, row.refused) << row.situation;
    }
  }
}

TEST(LoadOfThoseThatAnswer, RefusedKey_IsToldWhicheverPortFailedFirst) {
  const auto unknown = [](const char* why, std::uint64_t key) {
    return tl::unexpected(NoLoad{.why = why, .refused = false, .refused_key = key});
  };
  const auto load = load_of_those_that_answer({unknown("HTTP 404", 0), Load{1, {}}, unknown("HTTP 401", 7)});
  ASSERT_FALSE(load);
  EXPECT_EQ(load.error().why, "HTTP 404");
  EXPECT_EQ(load.error().refused_key, 7U);
}

}  // namespace
}  // namespace poolwarden::engine
