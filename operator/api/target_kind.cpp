#include "api/target_kind.h"

#include <algorithm>

#include <fmt/format.h>

namespace poolwarden::api {

TargetKind target_kind(const InferencePool& pool) {
  if (!pool.scale_target) return TargetKind::kNone;
  for (const ScalableKind& one : kScalableKinds) {
    const bool same_kind = pool.scale_target->kind == one.kind;
    if (same_kind && pool.scale_target->api_version == fmt::format("{}/{}", one.group, one.version))
      return one.id;
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
