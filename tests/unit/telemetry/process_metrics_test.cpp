#include "telemetry/process_metrics.h"

#include <gtest/gtest.h>

namespace poolwarden::telemetry {
namespace {

// state ppid pgrp session tty tpgid flags minflt cminflt majflt cmajflt utime stime cutime cstime priority
// nice num_threads itrealvalue starttime vsize rss rsslim
constexpr std::string_view kNumbers =
    "S 1 2 3 0 -1 4194560 100 0 0 0 57 23 0 0 20 0 5 0 12345 104857600 2560 18446744073709551615\n";
constexpr ProcStat kParsed{.user_ticks = 57,
                           .system_ticks = 23,
                           .threads = 5,
                           .start_ticks = 12345,
                           .virtual_bytes = 104857600,
                           .resident_pages = 2560};

TEST(ParseProcStat, ReadsTheFieldsOfProc5) {
  EXPECT_EQ(parse_proc_stat("42 (poolwarden) " + std::string(kNumbers)), kParsed);
}

TEST(ParseProcStat, TheProgramsNameMayHoldAnything) {
  EXPECT_EQ(parse_proc_stat("42 (a) R 1 (b c) " + std::string(kNumbers)), kParsed);
}

TEST(ParseProcStat, BrokenLinesGiveNothing) {
  for (const std::string_view line : {"", "42", "42 (x)", "42 (x) S 1 2 3", ")"}) {
    EXPECT_EQ(parse_proc_stat(line), std::nullopt) << line;
  }
}

TEST(ReadProcessStats, SeesThisProcess) {
  const auto stats = read_process_stats();
  ASSERT_TRUE(stats);
  EXPECT_GT(stats->resident_bytes, 1U << 20);
  EXPECT_GE(stats->virtual_bytes, stats->resident_bytes);
  EXPECT_GE(stats->threads, 1U);
  EXPECT_GE(stats->open_fds, 3U);
  EXPECT_GE(stats->max_fds, stats->open_fds);
  EXPECT_GT(stats->start_time_seconds, 1.7e9);  // after 2023
}

}  // namespace
}  // namespace poolwarden::telemetry
