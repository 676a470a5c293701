// How fast a watch of pods is read: bytes in the pieces a socket delivers, through the splitter and the
// decoder, to Pods. And, beside it, a page of a list. Each in JSON and in protobuf, of the same pods.
#include "api/codecs.h"
#include "bench/hollow_pod.h"
#include "kube/frame_splitter.h"
#include "kube/line_splitter.h"
#include "kube/watch_decoder.h"
#include "support/protobuf/wire.h"

#include <string>
#include <string_view>
#include <vector>

#include <benchmark/benchmark.h>
#include <nlohmann/json.hpp>

namespace {

using poolwarden::api::PodCodec;

void rates(benchmark::State& state, std::size_t bytes, int pods) {
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(bytes));
  state.SetItemsProcessed(state.iterations() * pods);
  state.counters["bytes/pod"] = static_cast<double>(bytes) / pods;
}

constexpr int kPods = 500;

std::string line_of(int number) {
  return poolwarden::bench::pod_event({.number = number}) + "\n";
}
std::string frame_of(int number) {
  namespace wire = poolwarden::protobuf_wire;
  const auto pod = poolwarden::bench::pod_object({.number = number});
  return wire::framed(wire::watch_event("MODIFIED", wire::object("Pod", pod)));
}

// `decode` is called with each line or frame.
template <class Splitter, class Decode>
void watch(benchmark::State& state, std::string (*event)(int), Decode decode) {
  std::string stream;
  for (int i = 0; i < kPods; ++i) stream += event(i);
  const auto chunk = static_cast<std::size_t>(state.range(0));

  for (auto _ : state) {
    Splitter splitter;
    int pods = 0;
    for (std::size_t at = 0; at < stream.size(); at += chunk) {
      const bool fits =
          splitter.feed(std::string_view(stream).substr(at, chunk), [&](std::string_view piece) {
            auto decoded = decode(piece);
            if (decoded) ++pods;
            benchmark::DoNotOptimize(decoded);
          });
      if (!fits) state.SkipWithError("an event is too long");
    }
    if (pods != kPods) state.SkipWithError("not every event was decoded");
  }
  rates(state, stream.size(), kPods);
}

void BM_watch(benchmark::State& state) {
  watch<poolwarden::kube::LineSplitter>(state, line_of, poolwarden::kube::decode_watch_line<PodCodec>);
}
BENCHMARK(BM_watch)->ArgName("chunk")->Arg(4'096)->Arg(65'536)->Unit(benchmark::kMillisecond);

void BM_watch_protobuf(benchmark::State& state) {
  watch<poolwarden::kube::FrameSplitter>(state, frame_of, poolwarden::kube::decode_watch_frame<PodCodec>);
}
BENCHMARK(BM_watch_protobuf)->ArgName("chunk")->Arg(4'096)->Arg(65'536)->Unit(benchmark::kMillisecond);

void list_page(benchmark::State& state, const std::string& page, poolwarden::kube::Encoding encoding) {
  for (auto _ : state) {
    auto decoded = poolwarden::kube::decode_list<PodCodec>(page, encoding);
    if (!decoded || decoded->items.size() != kPods) state.SkipWithError("the page was not decoded");
    benchmark::DoNotOptimize(decoded);
  }
  rates(state, page.size(), kPods);
}

void BM_list_page(benchmark::State& state) {
  std::string page = R"({"kind":"PodList","apiVersion":"v1","metadata":{"resourceVersion":"7"},"items":[)";
  for (int i = 0; i < kPods; ++i)
    page += (i == 0 ? "" : ",") + poolwarden::bench::pod_object({.number = i}).dump();
  page += "]}";
  list_page(state, page, poolwarden::kube::Encoding::kJson);
}
BENCHMARK(BM_list_page)->Unit(benchmark::kMillisecond);

void BM_list_page_protobuf(benchmark::State& state) {
  std::vector<std::string> pods;
  for (int i = 0; i < kPods; ++i) {
    pods.push_back(poolwarden::protobuf_wire::message("Pod", poolwarden::bench::pod_object({.number = i})));
  }
  list_page(state, poolwarden::protobuf_wire::list("Pod", pods), poolwarden::kube::Encoding::kProtobuf);
}
BENCHMARK(BM_list_page_protobuf)->Unit(benchmark::kMillisecond);

}  // namespace

BENCHMARK_MAIN();
