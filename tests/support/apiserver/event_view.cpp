#include "support/apiserver/event_view.h"

#include <string_view>

#include <nlohmann/json.hpp>

namespace poolwarden::apiserver {
namespace {

struct Names {
  std::string_view core;
  std::string_view events_v1;
};

// What is not listed has the same name in both.
constexpr Names kRenamed[] = {
    {"involvedObject", "regarding"},
    {"message", "note"},
    {"source", "deprecatedSource"},
    {"firstTimestamp", "deprecatedFirstTimestamp"},
    {"count", "deprecatedCount"},
    {"lastTimestamp", "deprecatedLastTimestamp"},
    {"reportingComponent", "reportingController"},
};

}  // namespace

nlohmann::json events_v1_view(const nlohmann::json& core) {
  nlohmann::json out = core;
  for (const Names& names : kRenamed) {
    if (const auto found = core.find(names.core); found != core.end()) {
      out[std::string(names.events_v1)] = *found;
      out.erase(std::string(names.core));
    }
  }
  return out;
}

nlohmann::json core_view(const nlohmann::json& events_v1) {
  nlohmann::json out = events_v1;
  for (const Names& names : kRenamed) {
    if (const auto found = events_v1.find(names.events_v1); found != events_v1.end()) {
      out[std::string(names.core)] = *found;
      out.erase(std::string(names.events_v1));
    }
  }
  return out;
}

}  // namespace poolwarden::apiserver
