#include "support/apiserver/faults.h"

#include <array>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace poolwarden::apiserver {
namespace {

using nlohmann::json;

struct Named {
  FaultKind kind;
  std::string_view name;
};

constexpr std::array kNames = {
    Named{FaultKind::kGoneAtConnect, "gone_at_connect"},
    Named{FaultKind::kConflict, "conflict"},
    Named{FaultKind::kTooManyRequests, "too_many_requests"},
    Named{FaultKind::kInternalError, "internal_error"},
    Named{FaultKind::kUnavailable, "unavailable"},
    Named{FaultKind::kHtml, "html"},
    Named{FaultKind::kGarbage, "garbage"},
    Named{FaultKind::kHugeLine, "huge_line"},
    Named{FaultKind::kEmptyStream, "empty_stream"},
    Named{FaultKind::kGoneInStream, "gone_in_stream"},
    Named{FaultKind::kErrorInStream, "error_in_stream"},
    Named{FaultKind::kSplit, "split"},
    Named{FaultKind::kStall, "stall"},
    Named{FaultKind::kCut, "cut"},
    Named{FaultKind::kDelayBefore, "delay_before"},
    Named{FaultKind::kDelayAfter, "delay_after"},
    Named{FaultKind::kLostAnswer, "lost_answer"},
    Named{FaultKind::kDropConnection, "drop_connection"},
    Named{FaultKind::kStaleList, "stale_list"},
};

bool matches(const std::string& wanted, std::string_view have) {
  return wanted.empty() || wanted == have;
}

bool matches(const FaultRule& rule, const FaultSubject& subject) {
  return matches(rule.verb, subject.verb) && matches(rule.resource, subject.resource) &&
         matches(rule.ns, subject.ns) && matches(rule.name, subject.name) && matches(rule.user, subject.user);
}

tl::expected<void, std::string> read_field(const std::string& key, const json& value, FaultRule& rule) {
  const auto wrong = [&key](std::string_view what) {
    return tl::unexpected(fmt::format("{}: must be {}", key, what));
  };
  struct Text {
    std::string_view key;
    std::string FaultRule::*field;
  };
  constexpr std::array kTexts = {Text{"verb", &FaultRule::verb}, Text{"resource", &FaultRule::resource},
                                 Text{"namespace", &FaultRule::ns}, Text{"name", &FaultRule::name},
                                 Text{"user", &FaultRule::user}};
  for (const Text& text : kTexts) {
    if (key != text.key) continue;
    if (!value.is_string()) return wrong("a string");
    rule.*text.field = value.get<std::string>();
    return {};
  }
  if (key == "probability" || key == "seconds") {
    if (!value.is_number() || value.get<double>() < 0) return wrong("a number, not negative");
    (key == "seconds" ? rule.seconds : rule.probability) = value.get<double>();
    return {};
  }
  if (key == "skip" || key == "count" || key == "bytes") {
    if (!value.is_number_unsigned()) return wrong("a whole number, not negative");
    const auto number = value.get<std::uint64_t>();
    if (key == "skip") rule.skip = number;
    if (key == "count") rule.count = number;
    if (key == "bytes") rule.bytes = number;
    return {};
  }
  return tl::unexpected(fmt::format("{}: there is no such field", key));
}

}  // namespace

std::string_view to_string(FaultKind kind) {
  for (const Named& named : kNames) {
    if (named.kind == kind) return named.name;
  }
  return "?";
}

std::optional<FaultKind> parse_fault_kind(std::string_view name) {
  for (const Named& named : kNames) {
    if (named.name == name) return named.kind;
  }
  return std::nullopt;
}

tl::expected<FaultRule, std::string> parse_fault_rule(const json& rule) {
  if (!rule.is_object() || !rule.contains("fault") || !rule["fault"].is_string()) {
    return tl::unexpected(std::string("a rule is an object with a field \"fault\""));
  }
  FaultRule out;
  const std::optional<FaultKind> kind = parse_fault_kind(rule["fault"].get<std::string>());
  if (!kind)
    return tl::unexpected(fmt::format("fault: there is no fault \"{}\"", rule["fault"].get<std::string>()));
  out.kind = *kind;
  for (const auto& [key, value] : rule.items()) {
    if (key == "fault") continue;
    if (auto read = read_field(key, value, out); !read) return tl::unexpected(read.error());
  }
  return out;
}

std::optional<FaultRule> FaultSet::strike(const FaultSubject& subject) {
  for (FaultRule& rule : rules_) {
    if (!matches(rule, subject) || rule.count == std::uint64_t{0}) continue;
    if (rule.skip > 0) {
      --rule.skip;
      continue;
    }
    if (rule.probability < 1.0 && std::uniform_real_distribution<double>(0, 1)(random_) >= rule.probability)
      continue;
    if (rule.count) --*rule.count;
    ++struck_;
    return rule;
  }
  return std::nullopt;
}

json FaultSet::to_json() const {
  json rules = json::array();
  for (const FaultRule& rule : rules_) {
    json entry = {{"fault", to_string(rule.kind)},
                  {"verb", rule.verb},
                  {"resource", rule.resource},
                  {"namespace", rule.ns},
                  {"name", rule.name},
                  {"user", rule.user},
                  {"skip", rule.skip},
                  {"seconds", rule.seconds},
                  {"bytes", rule.bytes},
                  {"probability", rule.probability}};
    if (rule.count) entry["count"] = *rule.count;
    rules.push_back(std::move(entry));
  }
  return {{"rules", rules}, {"struck", struck_}};
}

}  // namespace poolwarden::apiserver
