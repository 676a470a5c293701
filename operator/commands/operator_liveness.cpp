#include "commands/operator_liveness.h"

#include "commands/durations.h"

#include <chrono>

#include <fmt/format.h>

namespace poolwarden::commands {
namespace {

// Both go by the API server's clock; but an operator of an older release by that of its machine.
constexpr std::chrono::seconds kClocksDiffer{15};

}  // namespace

std::optional<std::string> operator_problem(const Lookup<LeaseView>& lease, api::Timestamp now) {
  if (!lease.value) return std::nullopt;
  const LeaseView& seen = *lease.value;
  const std::string where = fmt::format("Lease {}/{}", seen.ns, seen.name);
  const std::string look = fmt::format("see kubectl -n {} get pods", seen.ns);
  if (seen.holder.empty()) return fmt::format("no operator seems to run: nobody holds {}; {}", where, look);
  if (!seen.renewed) return std::nullopt;
  const auto silence = since(*seen.renewed, now);
  if (silence <= std::chrono::seconds(seen.duration_seconds) + kClocksDiffer) return std::nullopt;
  return fmt::format("no operator seems to run: {} was last renewed {} ago, by {}; {}", where,
                     in_words(silence), seen.holder, look);
}

}  // namespace poolwarden::commands
