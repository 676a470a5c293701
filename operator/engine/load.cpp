#include "engine/load.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace poolwarden::engine {
namespace {

// vLLM, v1/metrics/loggers.py: the two gauges are there from the start, one sample for each "engine", unless
// no statistics are logged; "waiting" counts deferred requests too. They are brought up to date by steps of
// the engine: when all clients of a busy one go away, there is no further step, and they stay as they are.
// The counters of tokens move with each step, but for those that only prepare a part of a long prompt.
// num_requests_swapped went with V0 (vllm-project/vllm#14136); the cache's share had gpu_ in its name before
// (#18354, #29330).
EngineMetrics vllm() {
  return {{"vllm:num_requests_running", "vllm:num_requests_waiting"},
          {"vllm:num_requests_swapped"},
          {"vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc"},
          "vLLM has these metrics unless it runs with --disable-log-stats",
          {"vllm:prompt_tokens_total", "vllm:generation_tokens_total"}};
}

// SGLang, srt/observability/metrics_collector.py and
// https://docs.sglang.io/references/production_metrics.html. A request that waits for its grammar, or in a
// queue of disaggregated serving, is in none of the two that all versions have; the prefill's first queue has
// had two names. All are brought up to date when a batch is prefilled, without counting that batch, then each
// --decode-log-interval steps (40), and when idle (scheduler_metrics_mixin.py): a request is in none of them
// for the first of these steps, which two readings a second apart may miss. Before sgl-project/sglang#31517
// they may also lag 30 s behind an engine gone idle.
EngineMetrics sglang() {
  return {{"sglang:num_running_reqs", "sglang:num_queue_reqs"},
          {"sglang:num_grammar_queue_reqs", "sglang:num_prefill_prealloc_queue_reqs",
           "sglang:num_prefill_bootstrap_queue_reqs", "sglang:num_prefill_inflight_queue_reqs",
           "sglang:num_decode_prealloc_queue_reqs", "sglang:num_decode_transfer_queue_reqs"},
          {"sglang:token_usage"},
          "SGLang has these metrics with --enable-metrics"};
}

// TensorRT-LLM, tensorrt_llm/metrics/collector.py. /metrics is JSON there, and there is nothing before the
// first request has been served.
EngineMetrics trtllm() {
  return {{"trtllm_num_requests_running", "trtllm_num_requests_waiting"},
          {},
          {"trtllm_kv_cache_utilization"},
          "trtllm-serve has these metrics at /prometheus/metrics, with return_perf_metrics and "
          "enable_iter_perf_stats, once it has served a request"};
}

// llama.cpp, tools/server/server-context.cpp: a request is processed in one of --parallel slots, or deferred
// while all are taken. Tokens are counted when a slot is released, calls of llama_decode() as they are made.
// The cache's share went with ggml-org/llama.cpp#13660.
EngineMetrics llama_cpp() {
  return {{"llamacpp:requests_processing", "llamacpp:requests_deferred"},
          {},
          {"llamacpp:kv_cache_usage_ratio"},
          "llama-server has these metrics with --metrics",
          {"llamacpp:n_decode_total"}};
}

bool possible(double value) {
  return std::isfinite(value) && value >= 0;
}

// What kind of value an impossible one is. The value itself is the pod's, and is not quoted.
std::string_view kind_of_impossible(double impossible) {
  if (std::isnan(impossible)) return "NaN";
  return std::isinf(impossible) ? "infinite" : "negative";
}

}  // namespace

EngineMetrics metrics_of(const api::EngineSpec& engine) {
  switch (engine.type) {
    case api::EngineType::kVllm:
      return vllm();
    case api::EngineType::kSglang:
      return sglang();
    case api::EngineType::kTrtllm:
      return trtllm();
    case api::EngineType::kLlamaCpp:
      return llama_cpp();
    case api::EngineType::kCustom:
      break;
  }
  EngineMetrics custom{engine.in_flight_metrics, {}, {}, "spec.engine.inFlightMetrics asks for it"};
  if (!engine.cache_usage_metric.empty()) {
    custom.cache_usage.push_back(engine.cache_usage_metric);
  }
  return custom;
}

LoadText::LoadText(const EngineMetrics& metrics)
    : hint_(metrics.hint),
      required_(sums_of(metrics.in_flight)),
      optional_(sums_of(metrics.in_flight_where_known)),
      cache_(sums_of(metrics.cache_usage)),
      work_(sums_of(metrics.work)),
      text_([this](const MetricSample& sample) { add(sample); },
            [this](std::string_view name) { return is_wanted(name); }) {}

std::vector<LoadText::Sum> LoadText::sums_of(const std::vector<std::string>& names) {
  std::vector<Sum> sums;
  sums.reserve(names.size());
  for (const std::string& name : names) {
    // One that cannot be read is not among the metrics.
    sums.push_back(
        {name, api::parse_metric_selector(name).value_or(api::MetricSelector{name, {}}), 0, 0, {}});
  }
  return sums;
}

bool LoadText::is_wanted(std::string_view name) const {
  const auto is = [name](const Sum& sum) { return sum.wanted.name == name; };
  const auto any = [&is](const std::vector<Sum>& sums) { return std::any_of(sums.begin(), sums.end(), is); };
  return any(required_) || any(optional_) || any(cache_) || any(work_);
}

void LoadText::add(const MetricSample& sample) {
  for (auto* sums : {&required_, &optional_, &cache_, &work_}) {
    for (Sum& sum : *sums) {
      if (sum.wanted.name != sample.name || !sample.has_labels(sum.wanted.labels)) {
        continue;
      }
      ++sum.samples;
      sum.sum += sample.value;
      if (!sum.impossible && !possible(sample.value)) {
        sum.impossible = sample.value;
      }
    }
  }
}

tl::expected<Load, std::string> LoadText::finish() {
  if (auto whole = text_.finish(); !whole) {
    return tl::unexpected(std::move(whole.error()));
  }
  if (required_.empty()) {
    return tl::unexpected(std::string("spec.engine.inFlightMetrics names no metric"));
  }
  Load load;
  for (const auto* sums : {&required_, &optional_}) {
    for (const Sum& sum : *sums) {
      if (sum.samples == 0 && sums == &required_) {
        return tl::unexpected(fmt::format("{} is not among the metrics ({})", sum.asked, hint_));
      }
      if (sum.impossible) {
        return tl::unexpected(fmt::format("{} is {}, which is no number of requests", sum.asked,
                                          kind_of_impossible(*sum.impossible)));
      }
      load.in_flight += sum.sum;
    }
  }
  if (!possible(load.in_flight)) {
    return tl::unexpected(std::string("the numbers of requests add up to no number"));
  }
  // The mean: ranks have caches of one size, so that this is the share of all that the replica keeps. Without
  // it, or with nonsense in it, the load is known all the same: it only tells which of two idle ones is
  // colder.
  for (const Sum& sum : cache_) {
    if (sum.samples > 0) {
      const double mean = sum.sum / static_cast<double>(sum.samples);
      if (!sum.impossible && possible(mean)) {
        load.cache_usage = mean;
      }
      break;
    }
  }
  for (const Sum& sum : work_) {
    if (sum.samples > 0 && possible(sum.sum)) {
      load.work = load.work.value_or(0) + sum.sum;
    }
  }
  return load;
}

tl::expected<Load, std::string> read_load(std::string_view body, const EngineMetrics& metrics) {
  LoadText text(metrics);
  text.feed(body);
  return text.finish();
}

tl::expected<Load, std::string> read_server_load(std::string_view body) {
  const auto document = nlohmann::json::parse(body, nullptr, false);
  const auto load = document.is_object() ? document.find("server_load") : document.end();
  if (load == document.end() || !load->is_number() || !possible(load->get<double>())) {
    return tl::unexpected(std::string("the answer has no server_load that is a number of requests"));
  }
  return Load{.in_flight = 0, .cache_usage = {}, .taken_in = load->get<double>()};
}

Load load_of_all(const std::vector<Load>& ports) {
  Load all;
  double cache = 0;
  double work = 0;
  double taken_in = 0;
  double gauges = 0;
  bool all_know = true;
  bool all_work = true;
  for (const Load& port : ports) {
    if (port.taken_in) {
      taken_in += *port.taken_in;
      continue;
    }
    ++gauges;
    all.in_flight += port.in_flight;
    all_know = all_know && port.cache_usage.has_value();
    cache += port.cache_usage.value_or(0);
    all_work = all_work && port.work.has_value();
    work += port.work.value_or(0);
  }
  if (all_know && gauges > 0) {
    all.cache_usage = cache / gauges;
  }
  if (all_work && gauges > 0) {
    all.work = work;
  }
  all.in_flight = std::max(all.in_flight, taken_in);
  return all;
}

tl::expected<Load, NoLoad> load_of_those_that_answer(const std::vector<tl::expected<Load, NoLoad>>& ports) {
  std::vector<Load> loads;
  loads.reserve(ports.size());
  const NoLoad* refusal = nullptr;
  std::uint64_t refused_key = 0;  // whichever port says so
  for (const auto& port : ports) {
    if (!port && refused_key == 0) refused_key = port.error().refused_key;
  }
  for (const auto& port : ports) {
    if (port) {
      loads.push_back(*port);
    } else if (!port.error().refused) {
      NoLoad first = port.error();
      first.refused_key = refused_key;
      return tl::unexpected(std::move(first));
    } else if (refusal == nullptr) {
      refusal = &port.error();
    }
  }
  if (loads.empty() && refusal != nullptr) {
    return tl::unexpected(*refusal);
  }
  return load_of_all(loads);
}

}  // namespace poolwarden::engine
