#include "support/apiserver/selector.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <optional>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace poolwarden::apiserver {
namespace {

using nlohmann::json;

bool is_space(char c) {
  return c == ' ' || c == '\t';
}

std::string_view trim(std::string_view text) {
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  return text;
}

// Splits at commas outside parentheses.
std::vector<std::string_view> split_terms(std::string_view text) {
  std::vector<std::string_view> terms;
  std::size_t begin = 0;
  int depth = 0;
  for (std::size_t i = 0; i <= text.size(); ++i) {
    if (i == text.size() || (text[i] == ',' && depth == 0)) {
      if (const std::string_view term = trim(text.substr(begin, i - begin)); !term.empty())
        terms.push_back(term);
      begin = i + 1;
    } else if (text[i] == '(') {
      ++depth;
    } else if (text[i] == ')') {
      --depth;
    }
  }
  return terms;
}

bool is_key(std::string_view key) {
  return !key.empty() && std::all_of(key.begin(), key.end(), [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-' || c == '_' || c == '.' || c == '/';
  });
}

bool is_value(std::string_view value) {
  return value.empty() || (is_key(value) && value.size() <= 63);
}

using Op = Requirement::Op;

// "key in (a,b)" and "key notin (a,b)"; nothing when the term has no such form.
std::optional<Requirement> parse_set_term(std::string_view term) {
  const std::size_t open = term.find('(');
  if (open == std::string_view::npos || term.back() != ')') return std::nullopt;
  const std::string_view head = trim(term.substr(0, open));
  const std::size_t space = head.find_last_of(" \t");
  if (space == std::string_view::npos) return std::nullopt;
  const std::string_view word = head.substr(space + 1);
  if (word != "in" && word != "notin") return std::nullopt;
  Requirement out{std::string(trim(head.substr(0, space))), word == "in" ? Op::kIn : Op::kNotIn, {}};
  std::string_view values = term.substr(open + 1, term.size() - open - 2);
  while (true) {
    const std::size_t comma = values.find(',');
    out.values.emplace_back(trim(values.substr(0, comma)));
    if (comma == std::string_view::npos) break;
    values.remove_prefix(comma + 1);
  }
  return out;
}

std::optional<Requirement> parse_term(std::string_view term) {
  if (auto set = parse_set_term(term)) return set;
  if (term.front() == '!') return Requirement{std::string(trim(term.substr(1))), Op::kNotExists, {}};
  struct Form {
    std::string_view text;
    Op op;
  };
  constexpr Form kForms[] = {
      {"!=", Op::kNotIn}, {"==", Op::kIn}, {"=", Op::kIn}, {">", Op::kGreater}, {"<", Op::kLess}};
  for (const Form& form : kForms) {
    const std::size_t at = term.find(form.text);
    if (at == std::string_view::npos) continue;
    return Requirement{std::string(trim(term.substr(0, at))),
                       form.op,
                       {std::string(trim(term.substr(at + form.text.size())))}};
  }
  return Requirement{std::string(term), Op::kExists, {}};
}

bool contains(const std::vector<std::string>& values, const std::string& value) {
  return std::find(values.begin(), values.end(), value) != values.end();
}

std::optional<long> to_number(const std::string& text) {
  long value = 0;
  const char* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc{} || rest != end) return std::nullopt;
  return value;
}

bool meets(const Requirement& requirement, const std::string* value) {
  switch (requirement.op) {
    case Op::kIn:
      return value != nullptr && contains(requirement.values, *value);
    case Op::kNotIn:
      return value == nullptr || !contains(requirement.values, *value);
    case Op::kExists:
      return value != nullptr;
    case Op::kNotExists:
      return value == nullptr;
    case Op::kGreater:
    case Op::kLess: {
      if (value == nullptr) return false;
      const std::optional<long> have = to_number(*value);
      const std::optional<long> bound = to_number(requirement.values.front());
      if (!have || !bound) return false;
      return requirement.op == Op::kGreater ? *have > *bound : *have < *bound;
    }
  }
  return false;
}

}  // namespace

bool Selector::matches(const json* labels) const {
  return std::all_of(requirements_.begin(), requirements_.end(), [labels](const Requirement& requirement) {
    const std::string* value = nullptr;
    if (labels != nullptr && labels->is_object()) {
      const auto found = labels->find(requirement.key);
      if (found != labels->end()) value = found->get_ptr<const std::string*>();
    }
    return meets(requirement, value);
  });
}

tl::expected<Selector, std::string> Selector::parse(std::string_view text) {
  Selector out;
  for (std::string_view term : split_terms(text)) {
    std::optional<Requirement> requirement = parse_term(term);
    if (!requirement || !is_key(requirement->key) ||
        !std::all_of(requirement->values.begin(), requirement->values.end(), is_value)) {
      return tl::unexpected(
          fmt::format("unable to parse requirement: invalid label selector term \"{}\"", term));
    }
    out.requirements_.push_back(std::move(*requirement));
  }
  return out;
}

Selector Selector::from_object(const json& selector) {
  Selector out;
  if (!selector.is_object()) {
    // metav1.LabelSelectorAsSelector: nil selects nothing. No key is ever both there and not there.
    out.requirements_.push_back({"nothing", Op::kExists, {}});
    out.requirements_.push_back({"nothing", Op::kNotExists, {}});
    return out;
  }
  if (const auto labels = selector.find("matchLabels"); labels != selector.end() && labels->is_object()) {
    for (const auto& [key, value] : labels->items()) {
      if (value.is_string()) out.requirements_.push_back({key, Op::kIn, {value.get<std::string>()}});
    }
  }
  const auto expressions = selector.find("matchExpressions");
  if (expressions == selector.end() || !expressions->is_array()) return out;
  for (const json& expression : *expressions) {
    if (!expression.is_object()) continue;
    const std::string op = expression.value("operator", std::string());
    Requirement requirement{expression.value("key", std::string()), Op::kIn, {}};
    if (op == "NotIn") requirement.op = Op::kNotIn;
    if (op == "Exists") requirement.op = Op::kExists;
    if (op == "DoesNotExist") requirement.op = Op::kNotExists;
    if (const auto values = expression.find("values"); values != expression.end() && values->is_array()) {
      for (const json& value : *values) {
        if (value.is_string()) requirement.values.push_back(value.get<std::string>());
      }
    }
    out.requirements_.push_back(std::move(requirement));
  }
  return out;
}

std::string Selector::to_string() const {
  std::string out;
  for (const Requirement& requirement : requirements_) {
    if (!out.empty()) out += ',';
    const bool single = requirement.values.size() == 1;
    switch (requirement.op) {
      case Op::kIn:
        out += single ? fmt::format("{}={}", requirement.key, requirement.values.front())
                      : fmt::format("{} in ({})", requirement.key, fmt::join(requirement.values, ","));
        break;
      case Op::kNotIn:
        out += fmt::format("{} notin ({})", requirement.key, fmt::join(requirement.values, ","));
        break;
      case Op::kExists:
        out += requirement.key;
        break;
      case Op::kNotExists:
        out += "!" + requirement.key;
        break;
      case Op::kGreater:
        out += fmt::format("{}>{}", requirement.key, requirement.values.front());
        break;
      case Op::kLess:
        out += fmt::format("{}<{}", requirement.key, requirement.values.front());
        break;
    }
  }
  return out;
}

tl::expected<std::vector<FieldTerm>, std::string> parse_field_selector(std::string_view text) {
  std::vector<FieldTerm> out;
  for (std::string_view term : split_terms(text)) {
    FieldTerm field;
    std::size_t at = term.find('=');
    if (at == std::string_view::npos || at == 0) {
      return tl::unexpected(fmt::format("invalid selector: '{}'; can't understand '{}'", text, term));
    }
    std::string_view path = term.substr(0, at);
    std::string_view value = term.substr(at + 1);
    if (path.back() == '!') {
      field.equal = false;
      path.remove_suffix(1);
    } else if (!value.empty() && value.front() == '=') {
      value.remove_prefix(1);
    }
    field.path = std::string(trim(path));
    field.value = std::string(trim(value));
    out.push_back(std::move(field));
  }
  return out;
}

}  // namespace poolwarden::apiserver
