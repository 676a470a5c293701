#include "telemetry/process_metrics.h"

#include <array>
#include <cstddef>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <sys/resource.h>
#include <system_error>
#include <unistd.h>

namespace poolwarden::telemetry {
namespace {

std::string read_file(const char* path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

// "btime 1700000000" in /proc/stat: when the machine booted.
double boot_time_seconds() {
  std::istringstream stat(read_file("/proc/stat"));
  for (std::string line; std::getline(stat, line);) {
    if (line.starts_with("btime ")) return std::strtod(line.c_str() + 6, nullptr);
  }
  return 0;
}

std::uint64_t count_open_fds() {
  std::error_code failed;
  std::uint64_t count = 0;
  std::filesystem::directory_iterator fds("/proc/self/fd", failed);
  for (; !failed && fds != std::filesystem::directory_iterator(); fds.increment(failed)) ++count;
  return count > 0 ? count - 1 : 0;  // one of them is the directory being read
}

}  // namespace

std::optional<ProcStat> parse_proc_stat(std::string_view line) {
  const std::size_t name_end = line.rfind(')');
  if (name_end == std::string_view::npos) return std::nullopt;
  // What follows is field 3 of proc(5), the state, a letter; the numbers start at field 4.
  std::istringstream fields{std::string(line.substr(name_end + 1))};
  std::string state;
  fields >> state;
  constexpr std::size_t kFirst = 4;
  std::array<std::string, 25 - kFirst> values;
  for (std::string& value : values) {
    if (!(fields >> value)) return std::nullopt;
  }
  const auto field = [&](std::size_t number) -> std::uint64_t {
    return std::strtoull(values.at(number - kFirst).c_str(), nullptr, 10);
  };
  return ProcStat{.user_ticks = field(14),
                  .system_ticks = field(15),
                  .threads = field(20),
                  .start_ticks = field(22),
                  .virtual_bytes = field(23),
                  .resident_pages = field(24)};
}

std::optional<ProcessStats> read_process_stats() {
  const auto stat = parse_proc_stat(read_file("/proc/self/stat"));
  if (!stat) return std::nullopt;
  static const double boot = boot_time_seconds();
  const auto ticks = static_cast<double>(::sysconf(_SC_CLK_TCK));
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  return ProcessStats{
      .resident_bytes = stat->resident_pages * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE)),
      .virtual_bytes = stat->virtual_bytes,
      .cpu_seconds = static_cast<double>(stat->user_ticks + stat->system_ticks) / ticks,
      .start_time_seconds = boot + static_cast<double>(stat->start_ticks) / ticks,
      .threads = stat->threads,
      .open_fds = count_open_fds(),
      .max_fds = limit.rlim_cur};
}

}  // namespace poolwarden::telemetry
