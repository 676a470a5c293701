// Label and field selectors, as they come in a query.
// https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#label-selectors
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json_fwd.hpp>
#include <tl/expected.hpp>

namespace poolwarden::apiserver {

struct Requirement {
  enum class Op { kIn, kNotIn, kExists, kNotExists, kGreater, kLess };
  std::string key;
  Op op = Op::kIn;
  std::vector<std::string> values;
};

class Selector {
 public:
  bool empty() const { return requirements_.empty(); }
  // Whether a map of strings (labels) meets every requirement; null stands for no labels at all.
  bool matches(const nlohmann::json* labels) const;

  // "app=vllm,tier in (a,b),!gone". The error is the real server's wording.
  static tl::expected<Selector, std::string> parse(std::string_view text);
  // metav1.LabelSelector; an empty one matches everything, null nothing.
  static Selector from_object(const nlohmann::json& selector);
  std::string to_string() const;

 private:
  std::vector<Requirement> requirements_;
};

struct FieldTerm {
  std::string path;  // metadata.name
  std::string value;
  bool equal = true;
};
tl::expected<std::vector<FieldTerm>, std::string> parse_field_selector(std::string_view text);

}  // namespace poolwarden::apiserver
