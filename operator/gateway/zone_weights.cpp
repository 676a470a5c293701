#include "gateway/zone_weights.h"

#include <algorithm>
#include <charconv>
#include <optional>

#include <fmt/format.h>

namespace poolwarden::gateway {
namespace {

constexpr int kMostWeight = 256;  // HAProxy's own (SRV_UWGHT_MAX)
constexpr std::string_view kOthers = "*";

// A zone is the value of a node's label.
bool is_zone(std::string_view name) {
  constexpr std::size_t kLongestLabel = 63;
  return !name.empty() && name.size() <= kLongestLabel && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_' ||
           c == '-' || c == '.';
  });
}

std::optional<int> to_weight(std::string_view text) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

tl::expected<int, std::string> parse_weight(std::string_view zone, std::string_view text) {
  const auto weight = to_weight(text);
  if (weight == 0) {
    return tl::unexpected(fmt::format(
        "{}=0: a zone of weight 0 gets no request, so all of them fail while no other zone is left; give it "
        "a small weight",
        zone));
  }
  if (!weight || *weight < 1 || *weight > kMostWeight)
    return tl::unexpected(fmt::format("{}={}: a weight is a number from 1 to {}", zone, text, kMostWeight));
  return *weight;
}

}  // namespace

int ZoneWeights::of(std::string_view zone) const {
  const auto named = by_zone.find(zone);
  return named == by_zone.end() ? others : named->second;
}

tl::expected<ZoneWeights, std::string> parse_zone_weights(std::string_view text) {
  ZoneWeights out;
  std::optional<int> others;
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find(',', begin), text.size());
    const std::string_view part = text.substr(begin, end - begin);
    begin = end + 1;
    const std::size_t equals = part.find('=');
    const std::string_view zone = part.substr(0, equals);
    if (equals == std::string_view::npos || (zone != kOthers && !is_zone(zone))) {
      return tl::unexpected(fmt::format(
          "'{}' is not ZONE=WEIGHT; write a zone as its nodes' label topology.kubernetes.io/zone has it",
          part));
    }
    const auto weight = parse_weight(zone, part.substr(equals + 1));
    if (!weight) return tl::unexpected(weight.error());
    const bool fresh =
        zone == kOthers ? !others.has_value() : out.by_zone.emplace(std::string(zone), *weight).second;
    if (!fresh) return tl::unexpected(fmt::format("{} has two weights: give it one", zone));
    if (zone == kOthers) others = *weight;
  }
  if (!others) {
    return tl::unexpected(
        fmt::format("*=WEIGHT is missing: zones that are not named, and pods whose zone is not known, need a "
                    "weight too: '{},*=1'",
                    text));
  }
  out.others = *others;
  return out;
}

}  // namespace poolwarden::gateway
