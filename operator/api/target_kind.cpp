#include "api/target_kind.h"

#include <algorithm>

#include <fmt/format.h>

namespace poolwarden::api {

namespace {

// Whether an apiVersion is "group/version". Asked in each pass, and so without making that text.
bool is_version(std::string_view api_version, const ScalableKind& kind) {
  return api_version.size() == kind.group.size() + 1 + kind.version.size() &&
         api_version.starts_with(kind.group) && api_version[kind.group.size()] == '/' &&
         api_version.ends_with(kind.version);
}

}  // namespace

TargetKind target_kind(const InferencePool& pool) {
  if (!pool.scale_target) return TargetKind::kNone;
  for (const ScalableKind& one : kScalableKinds) {
    if (pool.scale_target->kind == one.kind && is_version(pool.scale_target->api_version, one)) return one.id;
  }
  return TargetKind::kOther;
}

const ScalableKind* scalable(TargetKind kind) {
  const auto* found = std::find_if(kScalableKinds.begin(), kScalableKinds.end(),
                                   [kind](const ScalableKind& one) { return one.id == kind; });
  return found == kScalableKinds.end() ? nullptr : found;
}

std::string scalable_kinds() {
  std::string out;
  for (const ScalableKind& one : kScalableKinds) {
    if (!out.empty()) out += &one == &kScalableKinds.back() ? " or " : ", ";
    out += fmt::format("a {} of {}/{}", one.kind, one.group, one.version);
  }
  return out;
}

}  // namespace poolwarden::api
