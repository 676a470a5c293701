// The parts of ObjectMeta that Poolwarden reads, as values.
#pragma once

#include "api/labels.h"
#include "api/time.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json_fwd.hpp>

namespace poolwarden::api {

// What every cached object starts with; the kube layer's stores rely on these four names.
struct Identity {
  std::string ns;
  std::string name;
  std::string uid;
  std::string resource_version;

  bool operator==(const Identity&) const = default;
};

struct OwnerReference {
  std::string api_version;
  std::string kind;
  std::string name;
  std::string uid;
  bool controller = false;

  bool operator==(const OwnerReference&) const = default;
};

enum class Tristate : std::uint8_t { kAbsent, kTrue, kFalse, kUnknown };  // a condition's status

struct Condition {
  std::string type;
  std::string status;  // "True", "False", "Unknown"
  std::string reason;
  std::string message;
  std::int64_t observed_generation = 0;
  Timestamp last_transition{};

  bool operator==(const Condition&) const = default;
};

// Null if there is none of that type.
const Condition* find_condition(const std::vector<Condition>& conditions, std::string_view type);

// metav1.LabelSelector. https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/
struct SelectorRequirement {
  std::string key;
  std::string op;  // In, NotIn, Exists, DoesNotExist
  std::vector<std::string> values;

  bool operator==(const SelectorRequirement&) const = default;
};

// As in Kubernetes, an empty selector ({}) selects everything, and an absent selector selects nothing. "A
// null label selector matches no objects", says metav1.LabelSelector, and policy/v1 says it of a budget's
// selector.
struct LabelSelector {
  static constexpr std::size_t kMaxRequirements = 64;
  static constexpr std::size_t kMaxBytes = 4096;

  LabelMap match_labels;
  std::vector<SelectorRequirement> match_expressions;
  bool absent = false;     // the object has none
  bool too_large = false;  // it was beyond those bounds and is not kept: it matches nothing

  bool operator==(const LabelSelector&) const = default;
  bool empty() const { return !absent && !too_large && match_labels.empty() && match_expressions.empty(); }
  bool uses(std::string_view key) const;
  bool matches(const Labels& labels) const;
  // "app=vllm,tier in (a,b)", as kubectl and an HPA parse it.
  std::string to_string() const;
  // What the API server would refuse, for a person ("matchExpressions[0].operator ..."); nothing if it is
  // well formed, as {} is.
  std::optional<std::string> problem() const;
  // Keeps nothing of one that is beyond the bounds. For its readers.
  void bound();
};

// Whether such a text may select these labels. What it says of our own label is passed over, because that
// label comes and goes. What is no requirement is passed over, too.
bool may_select(std::string_view selector, const Labels& labels);

// Readers of the wire form. They take what is there and ignore what has the wrong type. The API server has
// validated it, and a broken object must not stop the others.
void read_identity(const nlohmann::json& object, Identity& out);
LabelMap read_string_map(const nlohmann::json& object, std::string_view key);
std::vector<OwnerReference> read_owners(const nlohmann::json& metadata);
// Owners are written by anybody. A few are kept, those that matter before others, and none that is long.
void bound_owners(std::vector<OwnerReference>& owners);
LabelSelector read_selector(const nlohmann::json& selector);  // absent, if it is no object
nlohmann::json to_json(const OwnerReference& owner);
nlohmann::json to_json(const Condition& condition);

}  // namespace poolwarden::api
