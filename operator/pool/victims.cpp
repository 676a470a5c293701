#include "pool/victims.h"

#include <algorithm>
#include <charconv>
#include <compare>
#include <limits>
#include <optional>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace poolwarden::pool {
namespace {

constexpr double kUnknown = std::numeric_limits<double>::infinity();

// A node with as many is far from empty. Without a limit, a node of thousands of pods would be sorted anew
// for each of them that goes.
constexpr std::int32_t kManyNeighbours = 64;

bool is_neighbour(const Candidate& candidate, const api::Pod& pod) {
  return candidate.pod != &pod && candidate.neighbours > 0 && *candidate.pod->node == *pod.node;
}

bool stands_still(const Candidate& candidate) {
  return candidate.load != nullptr && candidate.load->load && candidate.load->stalled();
}

double in_flight(const Candidate& candidate) {
  const bool known = candidate.load != nullptr && candidate.load->load;
  if (!known) return kUnknown;
  return stands_still(candidate) ? 0 : candidate.load->load->in_flight;
}

double cache_usage(const Candidate& candidate) {
  const bool known = candidate.load != nullptr && candidate.load->load && candidate.load->load->cache_usage;
  return known ? *candidate.load->load->cache_usage : kUnknown;
}

// What two candidates differ in first.
enum class Difference : std::uint8_t {
  kServes,
  kCost,
  kInFlight,
  kStill,
  kCache,
  kNode,
  kNeighbours,
  kAge,
  kName
};

struct Comparison {
  Difference by;
  bool first_goes;
};

template <class Value>
Comparison differ(Difference by, const Value& x, const Value& y) {
  return {by, x < y};
}

std::optional<Comparison> by_node(const Candidate& a, const Candidate& b) {
  if (a.node_is_emptied != b.node_is_emptied)
    return differ(Difference::kNode, b.node_is_emptied, a.node_is_emptied);
  const auto few_a = std::min(a.neighbours, kManyNeighbours), few_b = std::min(b.neighbours, kManyNeighbours);
  if (few_a != few_b) return differ(Difference::kNeighbours, few_a, few_b);
  return std::nullopt;
}

std::optional<Comparison> by_load(const Candidate& a, const Candidate& b) {
  if (in_flight(a) != in_flight(b)) return differ(Difference::kInFlight, in_flight(a), in_flight(b));
  if (stands_still(a) != stands_still(b)) return differ(Difference::kStill, stands_still(a), stands_still(b));
  if (cache_usage(a) != cache_usage(b)) return differ(Difference::kCache, cache_usage(a), cache_usage(b));
  return std::nullopt;
}

Comparison compare(const Candidate& a, const Candidate& b, api::Prefer prefer) {
  if (a.serves != b.serves) return differ(Difference::kServes, a.serves, b.serves);
  const auto cost_a = deletion_cost(*a.pod);
  const auto cost_b = deletion_cost(*b.pod);
  if (cost_a != cost_b) return differ(Difference::kCost, cost_a, cost_b);
  const bool node_first = prefer == api::Prefer::kEmptyNode;
  if (const auto by = node_first ? by_node(a, b) : by_load(a, b)) return *by;
  if (const auto by = node_first ? by_load(a, b) : by_node(a, b)) return *by;
  if (a.pod->created != b.pod->created) return differ(Difference::kAge, b.pod->created, a.pod->created);
  return differ(Difference::kName, a.pod->name, b.pod->name);
}

std::string requests(const Candidate& candidate) {
  if (in_flight(candidate) == kUnknown) return "unknown";
  return fmt::format("{:.0f}{}", candidate.load->load->in_flight,
                     stands_still(candidate) ? " that do not move" : "");
}

std::string room(const Candidate& candidate) {
  if (candidate.neighbours == 0)
    return fmt::format("no other pod of a pool stays on node {}", *candidate.pod->node);
  return fmt::format("fewer other pods of pools, {}, stay on node {} than on others", candidate.neighbours,
                     *candidate.pod->node);
}

std::string warmth(const Candidate& candidate) {
  const double value = cache_usage(candidate);
  return value == kUnknown ? "unknown" : fmt::format("{:.0f} %", value * 100);
}

template <class Text>
std::string beside(const std::vector<Candidate>& ranked, Text text) {
  constexpr std::size_t kNamed = 4;
  std::vector<std::string> others;
  for (std::size_t i = 1; i < ranked.size() && i <= kNamed; ++i) others.push_back(text(ranked[i]));
  if (ranked.size() > kNamed + 1) others.emplace_back("...");
  return fmt::format("{} (the others: {})", text(ranked[0]), fmt::join(others, ", "));
}

std::string explain_load(const std::vector<Candidate>& ranked, Difference by) {
  switch (by) {
    case Difference::kInFlight:
      return (stands_still(ranked[0])
                  ? "its engine stands still, so what it counts as in flight is taken for none, "
                  : "it had the fewest requests in flight, ") +
             beside(ranked, requests);
    case Difference::kStill:
      return "it had nothing in flight, and others only stand still, " + beside(ranked, requests);
    case Difference::kCache:
      return "as many requests are in flight on others, but its cache was the coldest, " +
             beside(ranked, warmth);
    case Difference::kNode:
      return "it is no busier than others, and its node is being emptied";
    case Difference::kNeighbours:
      return "it is no busier than others, and " + room(ranked[0]);
    case Difference::kAge:
      return "it is no busier than others, and the youngest";
    case Difference::kServes:
    case Difference::kCost:
    case Difference::kName:
      break;
  }
  return "it is no busier than others, and the first by name";
}

// Where the node comes first, those of other nodes say nothing of why this one goes.
std::vector<Candidate> equals_but_in_load(const std::vector<Candidate>& ranked) {
  std::vector<Candidate> out;
  for (const Candidate& one : ranked) {
    const bool is_equal = one.serves == ranked[0].serves && !by_node(one, ranked[0]) &&
                          deletion_cost(*one.pod) == deletion_cost(*ranked[0].pod);
    if (is_equal) out.push_back(one);
  }
  return out;
}

}  // namespace

std::int32_t deletion_cost(const api::Pod& pod) {
  const std::string text = pod.drain_annotations().deletion_cost.value_or(std::string{});
  // "+5" and "007" are malformed to Kubernetes.
  const bool leading_zero = text.size() > 1 && text[0] == '0';
  std::int32_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return leading_zero || error != std::errc{} || end != text.data() + text.size() ? 0 : value;
}

void rank(std::vector<Candidate>& candidates, api::Prefer prefer) {
  std::sort(candidates.begin(), candidates.end(),
            [prefer](const Candidate& a, const Candidate& b) { return compare(a, b, prefer).first_goes; });
}

void leaves(std::vector<Candidate>& candidates, const api::Pod& pod) {
  if (pod.node->empty()) return;
  for (Candidate& other : candidates) {
    if (is_neighbour(other, pod)) --other.neighbours;
  }
}

void take_first(std::vector<Candidate>& ranked, api::Prefer prefer) {
  const api::Pod& taken = *ranked.front().pod;
  ranked.erase(ranked.begin());
  if (taken.node->empty()) return;
  // From the front, so that one that moves forward is not met again.
  for (auto it = ranked.begin(); it != ranked.end(); ++it) {
    if (!is_neighbour(*it, taken)) continue;
    if (--it->neighbours >= kManyNeighbours) continue;
    const auto place = std::upper_bound(
        ranked.begin(), it, *it,
        [prefer](const Candidate& a, const Candidate& b) { return compare(a, b, prefer).first_goes; });
    std::rotate(place, it, it + 1);
  }
}

std::string explain(const std::vector<Candidate>& ranked, api::Prefer prefer) {
  if (ranked.size() < 2) return "no other could go";
  const Difference by = compare(ranked[0], ranked[1], prefer).by;
  if (by == Difference::kServes) return "it was not serving any more";
  if (by == Difference::kCost)
    return fmt::format("it has the lowest deletion cost, {}", deletion_cost(*ranked[0].pod));
  if (prefer == api::Prefer::kIdle) return explain_load(ranked, by);
  if (by == Difference::kNode) return "its node is being emptied";
  if (by == Difference::kNeighbours) return room(ranked[0]);
  return "of those whose nodes have as few other pods of pools, " +
         explain_load(equals_but_in_load(ranked), by);
}

}  // namespace poolwarden::pool
