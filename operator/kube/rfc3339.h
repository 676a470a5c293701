// RFC 3339 times, as exec plugins write them. to_micro_time() (micro_time.h) is the way back.
#pragma once

#include "kube/time.h"

#include <optional>
#include <string>

namespace poolwarden::kube {

// "2026-01-02T03:04:05Z", with any fraction and any offset. Nothing for anything else.
std::optional<WallTime> parse_rfc3339(const std::string& text);

}  // namespace poolwarden::kube
