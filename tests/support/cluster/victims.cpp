#include "support/cluster/victims.h"

#include "support/apiserver/json_util.h"
#include "support/cluster/pod_facts.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <numeric>

#include <nlohmann/json.hpp>

namespace poolwarden::cluster {
namespace {

using apiserver::find_path;
using apiserver::int_at;
using apiserver::text_at;
using nlohmann::json;

constexpr std::string_view kDeletionCost = "controller.kubernetes.io/pod-deletion-cost";

// Ages are compared by their order of magnitude, so that the victims are not always the newest.
int age_bucket(api::Timestamp then, api::Timestamp now) {
  const auto age = std::chrono::duration_cast<std::chrono::nanoseconds>(now - then).count();
  return age > 0 ? static_cast<int>(std::log2(static_cast<double>(age))) : -1;
}

// The younger goes first; an unknown age counts as the youngest. nothing: a tie.
std::optional<bool> younger_first(const std::optional<api::Timestamp>& a,
                                  const std::optional<api::Timestamp>& b, const VictimFacts& first,
                                  const VictimFacts& second, api::Timestamp now) {
  if (a == b) return std::nullopt;
  if (!a || !b) return !a;
  const int difference = age_bucket(*a, now) - age_bucket(*b, now);
  return difference == 0 ? first.uid < second.uid : difference < 0;
}

}  // namespace

std::int32_t parse_deletion_cost(std::string_view text) {
  const std::string_view digits = !text.empty() && text.front() == '-' ? text.substr(1) : text;
  if (digits.empty() || (digits.front() == '0' && digits.size() > 1)) return 0;
  std::int32_t cost = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), cost);
  return error == std::errc{} && end == text.data() + text.size() ? cost : 0;
}

VictimFacts victim_facts(const json& pod) {
  VictimFacts facts;
  facts.uid = text_at(pod, {"metadata", "uid"});
  facts.node = text_at(pod, {"spec", "nodeName"});
  const std::string phase = text_at(pod, {"status", "phase"});
  facts.phase = phase == "Running"   ? VictimFacts::Phase::kRunning
                : phase == "Unknown" ? VictimFacts::Phase::kUnknown
                                     : VictimFacts::Phase::kPending;
  facts.ready = is_ready(pod);
  if (facts.ready) facts.ready_since = time_at(*condition(pod, "Ready"), {"lastTransitionTime"});
  facts.deletion_cost = parse_deletion_cost(annotation(pod, kDeletionCost));
  facts.created = time_at(pod, {"metadata", "creationTimestamp"});
  if (const json* statuses = find_path(pod, {"status", "containerStatuses"}); statuses != nullptr) {
    for (const json& status : *statuses) {
      facts.restarts = std::max(facts.restarts, static_cast<int>(int_at(status, {"restartCount"})));
    }
  }
  return facts;
}

bool goes_before(const VictimFacts& a, const VictimFacts& b, api::Timestamp now) {
  if (a.node.empty() != b.node.empty()) return a.node.empty();
  if (a.phase != b.phase) return a.phase < b.phase;
  if (a.ready != b.ready) return !a.ready;
  if (a.deletion_cost != b.deletion_cost) return a.deletion_cost < b.deletion_cost;
  if (a.related_on_node != b.related_on_node) return a.related_on_node > b.related_on_node;
  if (a.ready) {
    if (const auto earlier = younger_first(a.ready_since, b.ready_since, a, b, now)) return *earlier;
  }
  if (a.restarts != b.restarts) return a.restarts > b.restarts;
  return younger_first(a.created, b.created, a, b, now).value_or(false);
}

std::vector<std::size_t> choose_victims(const std::vector<VictimFacts>& pods, std::size_t count,
                                        api::Timestamp now) {
  std::vector<std::size_t> order(pods.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return goes_before(pods[a], pods[b], now); });
  order.resize(std::min(count, order.size()));
  return order;
}

}  // namespace poolwarden::cluster
