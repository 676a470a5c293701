// A gauge as spec.engine names it: a metric, and labels that a sample of it must have.
//
//   busy
//   nv_trt_llm_request_metrics{request_type="active"}
//
// One to four labels, compared for equality, without blanks. A value has no quotes and no backslashes.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace poolwarden::api {

struct MetricSelector {
  std::string name;
  std::vector<std::pair<std::string, std::string>> labels;  // name and value; empty: whatever they are

  bool operator==(const MetricSelector&) const = default;
};

// Nothing if it is not written so.
std::optional<MetricSelector> parse_metric_selector(std::string_view text);

}  // namespace poolwarden::api
