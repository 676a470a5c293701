#include "api/meta.h"
#include "api/names.h"
#include "base/address.h"

#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace poolwarden::api {
namespace {

bool is_alnum(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

// "must begin and end with an alphanumeric character, with dashes, underscores, dots between"; 63 at most.
// https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#syntax-and-character-set
bool is_label_name(std::string_view text) {
  return !text.empty() && text.size() <= 63 && is_alnum(text.front()) && is_alnum(text.back()) &&
         std::all_of(text.begin(), text.end(),
                     [](char c) { return is_alnum(c) || c == '-' || c == '_' || c == '.'; });
}

bool is_label_value(std::string_view text) {
  return text.empty() || is_label_name(text);
}

bool is_label_key(std::string_view key) {
  const auto slash = key.find('/');
  if (slash == std::string_view::npos) return is_label_name(key);
  return base::is_dns_name(key.substr(0, slash)) && is_label_name(key.substr(slash + 1));
}

bool meets(const SelectorRequirement& requirement, const Labels& labels) {
  const auto found = labels.find(requirement.key);
  if (requirement.op == "Exists") return found.has_value();
  if (requirement.op == "DoesNotExist") return !found;
  const bool listed = found && std::find(requirement.values.begin(), requirement.values.end(), *found) !=
                                   requirement.values.end();
  if (requirement.op == "In") return listed;
  // A pod without the key meets NotIn: so says metav1.LabelSelector.
  if (requirement.op == "NotIn") return !listed;
  return false;
}

std::string to_text(const SelectorRequirement& requirement) {
  if (requirement.op == "Exists") return requirement.key;
  if (requirement.op == "DoesNotExist") return "!" + requirement.key;
  auto values = requirement.values;
  std::sort(values.begin(), values.end());
  return fmt::format("{} {} ({})", requirement.key, requirement.op == "In" ? "in" : "notin",
                     fmt::join(values, ","));
}

// The other way round; nothing of what is not such a text.
std::optional<SelectorRequirement> from_text(std::string_view text) {
  const auto space = text.find(' ');
  const auto equals = text.find('=');
  if (space == std::string_view::npos && equals != std::string_view::npos)
    return SelectorRequirement{
        std::string{text.substr(0, equals)}, "In", {std::string{text.substr(equals + 1)}}};
  if (text.starts_with('!')) return SelectorRequirement{std::string{text.substr(1)}, "DoesNotExist", {}};
  if (space == std::string_view::npos) return SelectorRequirement{std::string{text}, "Exists", {}};

  std::string_view values = text.substr(space + 1);
  const bool in = values.starts_with("in (");
  if ((!in && !values.starts_with("notin (")) || !values.ends_with(')')) return std::nullopt;
  values.remove_prefix(values.find('(') + 1);
  SelectorRequirement out{std::string{text.substr(0, space)}, in ? "In" : "NotIn", {}};
  while (!values.empty()) {
    const auto end = values.find_first_of(",)");
    out.values.emplace_back(values.substr(0, end));
    values.remove_prefix(end + 1);
  }
  return out;
}

// Takes the first requirement off a text of several. Those of values have commas of their own.
std::string_view take_requirement(std::string_view& text) {
  auto end = text.find_first_of(",(");
  if (end != std::string_view::npos && text[end] == '(') end = text.find(',', text.find(')', end));
  const std::string_view taken = text.substr(0, end);
  text.remove_prefix(std::min(taken.size() + 1, text.size()));
  return taken;
}

std::optional<std::string> problem_of(const SelectorRequirement& requirement) {
  if (!is_label_key(requirement.key)) return fmt::format("key \"{}\" is not a label key", requirement.key);
  const bool wants_values = requirement.op == "In" || requirement.op == "NotIn";
  if (!wants_values && requirement.op != "Exists" && requirement.op != "DoesNotExist")
    return fmt::format("operator \"{}\" is not one of In, NotIn, Exists, DoesNotExist", requirement.op);
  if (wants_values == requirement.values.empty())
    return fmt::format("operator {} takes {} values", requirement.op, wants_values ? "one or more" : "no");
  for (const std::string& value : requirement.values) {
    if (!is_label_value(value)) return fmt::format("value \"{}\" is not a label value", value);
  }
  return std::nullopt;
}

}  // namespace

bool LabelSelector::uses(std::string_view key) const {
  return match_labels.contains(key) ||
         std::any_of(match_expressions.begin(), match_expressions.end(),
                     [&](const auto& requirement) { return requirement.key == key; });
}

bool LabelSelector::matches(const Labels& labels) const {
  if (absent || too_large || !labels.known()) return false;
  for (const auto& [key, value] : match_labels) {
    if (labels.find(key) != value) return false;
  }
  return std::all_of(match_expressions.begin(), match_expressions.end(),
                     [&](const SelectorRequirement& requirement) { return meets(requirement, labels); });
}

void LabelSelector::bound() {
  std::size_t bytes = 0;
  for (const auto& [key, value] : match_labels) bytes += key.size() + value.size();
  for (const auto& requirement : match_expressions) {
    bytes += requirement.key.size() + requirement.op.size();
    for (const std::string& value : requirement.values) bytes += value.size() + 1;
  }
  if (match_labels.size() + match_expressions.size() <= kMaxRequirements && bytes <= kMaxBytes) return;
  *this = LabelSelector{};
  too_large = true;
}

std::string LabelSelector::to_string() const {
  std::vector<std::string> parts;
  for (const auto& [key, value] : match_labels) parts.push_back(key + "=" + value);
  for (const auto& requirement : match_expressions) parts.push_back(to_text(requirement));
  return fmt::format("{}", fmt::join(parts, ","));
}

std::optional<std::string> LabelSelector::problem() const {
  if (too_large)
    return fmt::format("more than {} requirements or {} bytes: give the pods one label that only they have",
                       kMaxRequirements, kMaxBytes);
  for (const auto& [key, value] : match_labels) {
    if (!is_label_key(key)) return fmt::format("matchLabels: \"{}\" is not a label key", key);
    if (!is_label_value(value))
      return fmt::format("matchLabels[{}]: \"{}\" is not a label value", key, value);
  }
  for (std::size_t i = 0; i < match_expressions.size(); ++i) {
    if (auto wrong = problem_of(match_expressions[i]))
      return fmt::format("matchExpressions[{}]: {}", i, *wrong);
  }
  return std::nullopt;
}

bool may_select(std::string_view selector, const Labels& labels) {
  if (!labels.known()) return false;
  while (!selector.empty()) {
    const std::string_view text = take_requirement(selector);
    if (text.empty()) continue;
    const auto requirement = from_text(text);
    if (requirement && requirement->key != kServingLabel && !meets(*requirement, labels)) return false;
  }
  return true;
}

}  // namespace poolwarden::api
