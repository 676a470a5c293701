// What a person names to be drained.
#pragma once

#include <cstdint>
#include <string>

#include <tl/expected.hpp>

namespace poolwarden::commands {

enum class TargetKind : std::uint8_t { kEither, kPod, kNode };

struct Target {
  TargetKind kind = TargetKind::kEither;
  std::string name;
};

// "NAME", "pod/NAME", "node/NAME", with kubectl's short and plural forms. The error says what is wrong.
tl::expected<Target, std::string> parse_target(const std::string& text);

}  // namespace poolwarden::commands
