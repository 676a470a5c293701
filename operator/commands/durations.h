// Times and counts in words.
#pragma once

#include "api/time.h"
#include "base/text.h"

#include <chrono>
#include <optional>
#include <string>

namespace poolwarden::commands {

std::string in_words(std::chrono::seconds time);  // "12 s", "25 min", "3 h", "4 days"; never below 0 s
std::string in_short(std::chrono::seconds time);  // "12s", "25m", "3h", "4d", as kubectl's AGE
std::chrono::seconds since(api::Timestamp then, api::Timestamp now);  // never negative: clocks differ
std::string age(const std::optional<api::Timestamp>& then, api::Timestamp now);  // in_short(), or "-"
using base::plural;                                                              // "1 pod", "2 pods"

}  // namespace poolwarden::commands
