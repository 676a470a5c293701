// Labels, as a map to work with and as one block of text to keep.
//
// A cluster has as many sets of labels as it has pods, nearly: those of a StatefulSet or a Job have labels of
// their own. A map of strings costs some five times its text, the block its text.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace poolwarden::api {

using LabelMap = std::map<std::string, std::string, std::less<>>;

// Immutable. What holds a NUL is no label, as Kubernetes has it, and is left out.
class Labels {
 public:
  Labels() = default;
  // Implicit: whoever has a map may ask what selects it.
  Labels(const LabelMap& labels);  // NOLINT(google-explicit-constructor)

  // A view of the value: good for as long as the labels are.
  std::optional<std::string_view> find(std::string_view key) const;
  LabelMap to_map() const;

  bool operator==(const Labels&) const = default;
  auto operator<=>(const Labels&) const = default;

 private:
  std::string text_;  // each key and each value with a NUL after it, in the order of the keys
};

}  // namespace poolwarden::api
