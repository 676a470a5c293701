// What /proc says of this process, as the numbers behind Prometheus' standard process_* metrics.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace poolwarden::telemetry {

struct ProcessStats {
  std::uint64_t resident_bytes = 0;
  std::uint64_t virtual_bytes = 0;
  double cpu_seconds = 0;
  double start_time_seconds = 0;  // since the epoch
  std::uint64_t threads = 0;
  std::uint64_t open_fds = 0;
  std::uint64_t max_fds = 0;
};

// Any thread. Nothing if /proc cannot be read.
std::optional<ProcessStats> read_process_stats();

// The fields of /proc/<pid>/stat that are used, in the units of proc(5): ticks and pages.
struct ProcStat {
  std::uint64_t user_ticks = 0;
  std::uint64_t system_ticks = 0;
  std::uint64_t threads = 0;
  std::uint64_t start_ticks = 0;  // since boot
  std::uint64_t virtual_bytes = 0;
  std::uint64_t resident_pages = 0;

  bool operator==(const ProcStat&) const = default;
};

// The second field is the program's name in parentheses, which may hold spaces and parentheses itself.
std::optional<ProcStat> parse_proc_stat(std::string_view line);

}  // namespace poolwarden::telemetry
