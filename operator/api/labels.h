// Labels, as a map to work with and as one block of text to keep.
//
// A cluster has as many sets of labels as it has pods, nearly: those of a StatefulSet or a Job have labels of
// their own. A map of strings costs some five times its text, the block its text.
#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace poolwarden::api {

using LabelMap = std::map<std::string, std::string, std::less<>>;

// Immutable. What holds a NUL is no label, as Kubernetes has it, and is left out.
class Labels {
 public:
  // Of one object. Kubernetes has no limit of its own but that of an object, 1.5 MiB.
  static constexpr std::size_t kMaxBytes = 4096;

  Labels() = default;
  // Of an object that has more of them than are kept: nobody can tell what selects it.
  static Labels unknown();
  bool known() const { return text_ != kUnknown; }
  // Implicit: whoever has a map may ask what selects it.
  Labels(const LabelMap& labels);  // NOLINT(google-explicit-constructor)

  // A view of the value: good for as long as the labels are.
  std::optional<std::string_view> find(std::string_view key) const;
  LabelMap to_map() const;

  bool operator==(const Labels&) const = default;
  auto operator<=>(const Labels&) const = default;

 private:
  static constexpr std::string_view kUnknown{"\0", 1};

  std::string text_;  // each key and each value with a NUL after it, in the order of the keys
};

}  // namespace poolwarden::api
