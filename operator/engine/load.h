// How busy an inference engine is, out of what it says at /metrics.
//
// Absence is never idleness. The load is unknown if a name that must be there is missing. It is unknown if
// its value cannot be a count of requests (negative, NaN, infinite). It is unknown, too, if the text is
// broken or cut off. The reason is then given for a person. Pure; values only, but for LoadText, which is
// owned and used by one thread.
#pragma once

#include "api/inference_pool.h"
#include "api/metric_selector.h"
#include "engine/metrics_text.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <tl/expected.hpp>

namespace poolwarden::engine {

// Names of metrics, in full, each perhaps with labels (metric_selector.h). Of each, all samples count that
// have these labels, whatever their others: data-parallel ranks and served models each have one of their own.
struct EngineMetrics {
  std::vector<std::string> in_flight;              // all must be there; their sum is what is in flight
  std::vector<std::string> in_flight_where_known;  // added to it by the versions that have them
  std::vector<std::string> cache_usage;            // the first that is there says it; none need be
  std::string
      hint;  // for a person who wonders why one is missing: what must be switched on, or where to look
  std::vector<std::string> work = {};  // counters that move while anything is in flight; none need be there

  bool operator==(const EngineMetrics&) const = default;
};

EngineMetrics metrics_of(const api::EngineSpec& engine);

struct Load {
  double in_flight = 0;               // requests running or waiting; a sum of finite numbers >= 0
  std::optional<double> cache_usage;  // share of the KV cache that is in use, 0 to 1
  // Requests that its HTTP server has taken in and not answered in full; of a source that tells nothing else.
  std::optional<double> taken_in = {};
  std::optional<double> work = {};  // done so far, in a unit of its own: it only says whether anything moves

  bool operator==(const Load&) const = default;
};

// Why there is no load.
struct NoLoad {
  std::string why;                // for a person
  bool refused = false;           // nobody listens on any of the ports that were asked
  std::uint64_t refused_key = 0;  // of the ApiKey that the engine did not accept; 0: of none
};

// The load that one document tells, read as it arrives.
class LoadText {
 public:
  explicit LoadText(const EngineMetrics& metrics);
  LoadText(const LoadText&) = delete;
  LoadText& operator=(const LoadText&) = delete;

  void feed(std::string_view piece) { text_.feed(piece); }
  tl::expected<Load, std::string> finish();  // after the last piece, once

 private:
  // Of the samples of one name, with the labels that are asked for.
  struct Sum {
    std::string asked;  // as it was written
    api::MetricSelector wanted;
    std::size_t samples = 0;
    double sum = 0;
    std::optional<double> impossible;  // the first that can be no count and no share
  };
  static std::vector<Sum> sums_of(const std::vector<std::string>& names);
  void add(const MetricSample& sample);
  bool is_wanted(std::string_view name) const;

  const std::string hint_;
  std::vector<Sum> required_;
  std::vector<Sum> optional_;
  std::vector<Sum> cache_;
  std::vector<Sum> work_;
  MetricsText text_;
};

tl::expected<Load, std::string> read_load(std::string_view body, const EngineMetrics& metrics);

// The load that vLLM tells at /load, {"server_load": 3}: of a small document, whole.
inline constexpr std::size_t kMaxServerLoad = 4u << 10;
tl::expected<Load, std::string> read_server_load(std::string_view body);

// Of a replica that has several ports, one for each data-parallel rank. Precondition: at least one. What its
// HTTP servers have taken in is what is in flight and somewhat more: the larger of the two figures counts.
Load load_of_all(const std::vector<Load>& ports);
// The same where some ports may not have answered. Nobody listens on a port that refuses the connection
// beside others that answer, so it has nothing in flight. Where all refuse, nothing is known.
tl::expected<Load, NoLoad> load_of_those_that_answer(const std::vector<tl::expected<Load, NoLoad>>& ports);

}  // namespace poolwarden::engine
