// What an inference engine says at /metrics.
#include "engine/load.h"
#include "fuzz.h"

#include <cmath>
#include <string>

namespace {

using poolwarden::engine::Load;

bool same(const tl::expected<Load, std::string>& a, const tl::expected<Load, std::string>& b) {
  return a.has_value() ? b.has_value() && *a == *b : !b.has_value() && a.error() == b.error();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace poolwarden;
  const std::string_view text = fuzz::as_text(data, size);
  if (const auto load = engine::read_server_load(text))
    fuzz::expect(load->taken_in && std::isfinite(*load->taken_in) && *load->taken_in >= 0,
                 "what a server has taken in is a number of requests");
  for (const auto type : {api::EngineType::kVllm, api::EngineType::kSglang, api::EngineType::kTrtllm,
                          api::EngineType::kCustom}) {
    api::EngineSpec spec;
    spec.type = type;
    spec.in_flight_metrics = {"a", "b{c=\"d\"}"};
    spec.cache_usage_metric = "c";
    const engine::EngineMetrics metrics = engine::metrics_of(spec);
    const auto whole = engine::read_load(text, metrics);
    engine::LoadText pieces(metrics);
    pieces.feed(text.substr(0, size / 3));
    pieces.feed(text.substr(size / 3));
    fuzz::expect(same(whole, pieces.finish()), "the same, wherever the text is cut into pieces");
    if (whole) {
      fuzz::expect(text.ends_with('\n'), "a load is read from nothing but whole lines");
      fuzz::expect(std::isfinite(whole->in_flight) && whole->in_flight >= 0,
                   "a load is a number of requests");
      fuzz::expect(!whole->cache_usage || std::isfinite(*whole->cache_usage),
                   "a share of the cache is a number");
    } else {
      fuzz::expect(!whole.error().empty() && whole.error().size() < 400, "a reason that a person can read");
    }
  }
  return 0;
}
