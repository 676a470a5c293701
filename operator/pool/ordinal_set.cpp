#include "pool/ordinal_set.h"

#include "api/names.h"
#include "pool/membership.h"

#include <algorithm>
#include <charconv>
#include <utility>

namespace poolwarden::pool {
namespace {

struct Placed {
  std::int32_t ordinal = 0;
  const api::Pod* pod = nullptr;
};

bool is_wanted(const api::StatefulSet& set, std::int32_t ordinal) {
  const std::int64_t beyond = std::int64_t{set.first_ordinal} + set.replicas;
  return ordinal >= set.first_ordinal && ordinal < beyond;
}

bool is_outdated(const api::StatefulSet& set, const api::Pod& pod) {
  return pod.labels->find(api::kRevisionHashLabel) != std::optional<std::string_view>{set.update_revision};
}

bool is_ready(const api::Pod& pod) {
  return is_active(pod) && pod.ready == api::Tristate::kTrue;
}

// Of all pods, those that are ready, and not for as long as the set asks for: only its status tells.
std::int32_t newly_ready(const api::StatefulSet& set, const std::vector<Placed>& placed) {
  if (set.min_ready_seconds == 0) return 0;
  const auto ready =
      std::count_if(placed.begin(), placed.end(), [](const Placed& one) { return is_ready(*one.pod); });
  return std::max(static_cast<std::int32_t>(ready) - set.available_replicas, 0);
}

// Of those that it is to have.
std::int32_t unavailable(const api::StatefulSet& set, const std::vector<Placed>& placed) {
  const auto ready = std::count_if(placed.begin(), placed.end(), [&set](const Placed& one) {
    return is_wanted(set, one.ordinal) && is_ready(*one.pod);
  });
  return std::max(set.replicas - static_cast<std::int32_t>(ready), 0) + newly_ready(set, placed);
}

// A Kubernetes without the feature MaxUnavailableStatefulSet leaves maxUnavailable out. It takes one, and
// waits only for pods above that.
std::vector<Leaver> first_outdated(const api::StatefulSet& set, const std::vector<Placed>& placed,
                                   std::int64_t last) {
  if (newly_ready(set, placed) > 0) return {};
  std::int64_t expected = std::int64_t{set.first_ordinal} + set.replicas - 1;
  for (const Placed& one : placed) {
    if (one.ordinal != expected || one.ordinal < last) break;  // the one expected is not there
    --expected;
    if (is_active(*one.pod) && is_outdated(set, *one.pod)) return {{one.pod, DrainReason::kRollout}};
    if (!is_ready(*one.pod)) break;
  }
  return {};
}

std::vector<Leaver> outdated(const api::StatefulSet& set, const std::vector<Placed>& placed) {
  if (!set.rolls || set.update_revision.empty()) return {};
  const std::int32_t away = unavailable(set, placed);
  if (set.ordered && away > 0) return {};
  const std::int64_t last = std::int64_t{set.first_ordinal} + set.partition;
  if (set.max_unavailable.empty()) return first_outdated(set, placed, last);
  std::vector<Leaver> out;
  std::int32_t may_go = max_unavailable(set) - away;
  for (const Placed& one : placed) {
    if (may_go <= 0 || one.ordinal < last) break;
    if (!is_active(*one.pod) || !is_outdated(set, *one.pod)) continue;
    out.push_back({one.pod, DrainReason::kRollout});
    --may_go;
  }
  return out;
}

}  // namespace

std::optional<std::int32_t> ordinal_of(const api::StatefulSet& set, std::string_view pod) {
  const std::size_t length = set.name.size() + 1;
  if (pod.size() <= length || !pod.starts_with(set.name) || pod[set.name.size()] != '-') return std::nullopt;
  const std::string_view digits = pod.substr(length);
  std::int32_t ordinal = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), ordinal);
  const bool whole = error == std::errc{} && end == digits.data() + digits.size() && ordinal >= 0;
  return whole ? std::optional{ordinal} : std::nullopt;
}

std::int32_t max_unavailable(const api::StatefulSet& set) {
  std::int64_t number = 1;
  const std::string& text = set.max_unavailable;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (text.empty() || error != std::errc{}) return 1;
  const bool of_hundred = std::string_view(end, text.data() + text.size()) == "%";
  // A part of a pod is none; nothing at all would never end.
  if (of_hundred) number = std::clamp<std::int64_t>(number, 0, 100) * set.replicas / 100;
  return static_cast<std::int32_t>(std::clamp<std::int64_t>(number, 1, std::max(set.replicas, 1)));
}

std::vector<Leaver> next_to_leave(const api::StatefulSet& set, const std::vector<const api::Pod*>& pods) {
  if (set.deleting) return {};
  std::vector<Placed> placed;
  bool any_beyond = false;
  for (const api::Pod* pod : pods) {
    const auto ordinal = ordinal_of(set, pod->name);
    if (!ordinal) continue;
    placed.push_back({*ordinal, pod});
    // In parallel, those that are on their way out are waited for no more.
    any_beyond |= !is_wanted(set, *ordinal) && (set.ordered || is_active(*pod));
  }
  std::sort(placed.begin(), placed.end(),
            [](const Placed& a, const Placed& b) { return a.ordinal > b.ordinal; });
  if (!any_beyond) {
    std::erase_if(placed, [&set](const Placed& one) { return !is_wanted(set, one.ordinal); });
    return outdated(set, placed);
  }
  std::vector<Leaver> out;
  if (set.ordered && unavailable(set, placed) > 0) return out;
  for (const Placed& one : placed) {
    if (!is_wanted(set, one.ordinal) && is_active(*one.pod))
      out.push_back({one.pod, DrainReason::kScaleDown});
  }
  return out;
}

}  // namespace poolwarden::pool
