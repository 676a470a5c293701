// How fast a watch of pods is read: bytes in the pieces a socket delivers, through the splitter and the SAX
// decoder, to Pods. And, beside it, a page of a list.
#include "api/codecs.h"
#include "bench/hollow_pod.h"
#include "kube/line_splitter.h"
#include "kube/watch_decoder.h"

#include <string>
#include <string_view>
#include <variant>

#include <benchmark/benchmark.h>
#include <nlohmann/json.hpp>

namespace {

using poolwarden::api::PodCodec;

void rates(benchmark::State& state, std::size_t bytes, int pods) {
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(bytes));
  state.SetItemsProcessed(state.iterations() * pods);
  state.counters["bytes/pod"] = static_cast<double>(bytes) / pods;
}

void BM_watch(benchmark::State& state) {
  constexpr int kPods = 500;
  std::string stream;
  for (int i = 0; i < kPods; ++i) stream += poolwarden::bench::pod_event({.number = i}) + "\n";
  const auto chunk = static_cast<std::size_t>(state.range(0));

  for (auto _ : state) {
    poolwarden::kube::LineSplitter splitter;
    int pods = 0;
    for (std::size_t at = 0; at < stream.size(); at += chunk) {
      const bool fits = splitter.feed(std::string_view(stream).substr(at, chunk), [&](std::string_view line) {
        auto decoded = poolwarden::kube::decode_watch_line<PodCodec>(line);
        if (decoded) ++pods;
        benchmark::DoNotOptimize(decoded);
      });
      if (!fits) state.SkipWithError("a line is too long");
    }
    if (pods != kPods) state.SkipWithError("not every event was decoded");
  }
  rates(state, stream.size(), kPods);
}
BENCHMARK(BM_watch)->ArgName("chunk")->Arg(4'096)->Arg(65'536)->Unit(benchmark::kMillisecond);

void BM_list_page(benchmark::State& state) {
  constexpr int kPods = 500;
  std::string page = R"({"kind":"PodList","apiVersion":"v1","metadata":{"resourceVersion":"7"},"items":[)";
  for (int i = 0; i < kPods; ++i)
    page += (i == 0 ? "" : ",") + poolwarden::bench::pod_object({.number = i}).dump();
  page += "]}";

  for (auto _ : state) {
    auto decoded = poolwarden::kube::decode_list<PodCodec>(page);
    if (!decoded || decoded->items.size() != kPods) state.SkipWithError("the page was not decoded");
    benchmark::DoNotOptimize(decoded);
  }
  rates(state, page.size(), kPods);
}
BENCHMARK(BM_list_page)->Unit(benchmark::kMillisecond);

}  // namespace

BENCHMARK_MAIN();
