// Reads the Prometheus text exposition format, version 0.0.4, as it arrives: what an inference engine says of
// itself at /metrics. Also takes what OpenMetrics adds to it (timestamps in seconds, exemplars, "# EOF").
// https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format
//
// One line that is no metric spoils the whole document, as it does for Prometheus. The sample it should have
// been may be the very one that was asked for. A last line without its newline has been cut off and spoils it
// too. Comments, and with them types and help, are skipped unread; labels must be well formed. A line that is
// too long is skipped if nobody wants a metric of its name, and spoils the document otherwise.
//
// The text is an untrusted pod's: whatever comes, nothing is thrown, and no more is held than one line. What
// is wrong with a text is told by its kind, and never quoted. Who reads a status may not be allowed to read
// what answered there. Owned and used by one thread.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <tl/expected.hpp>

namespace poolwarden::engine {

// Borrows from its line.
struct MetricSample {
  std::string_view name;
  std::string_view labels;  // as they stand there, in their braces; may be empty
  double value = 0;         // anything that a double holds: NaN, infinite, negative

  // Whether it has all of these, each a name and a value.
  bool has_labels(const std::vector<std::pair<std::string, std::string>>& wanted) const;
};

class MetricsText {
 public:
  static constexpr std::size_t kMaxLine = 64u << 10;
  // Called for each sample, in the order of the text, also for those before a line that spoils it. The sample
  // is valid for the call.
  using OnSample = std::function<void(const MetricSample&)>;
  using IsWanted = std::function<bool(std::string_view name)>;

  explicit MetricsText(OnSample on_sample, IsWanted is_wanted = nullptr);  // none: all are wanted

  // The pieces of the text in order, cut anywhere.
  void feed(std::string_view piece);
  // After the last piece: nothing, or what is wrong with the text, for a person.
  tl::expected<void, std::string> finish();

 private:
  void take(std::string_view line);
  void pass_over(std::string_view start);

  const OnSample on_sample_;
  const IsWanted is_wanted_;
  std::string begun_;           // of a line, what has come of it; at most kMaxLine
  bool skips_ = false;          // the rest of a line that is too long
  std::size_t lines_read_ = 0;  // that were not empty
  std::string wrong_;           // with the first line that is no metric; empty as long as all are
};

}  // namespace poolwarden::engine
