#include "engine/metrics_text.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <system_error>
#include <utility>

#include <fmt/format.h>

namespace poolwarden::engine {
namespace {

bool is_blank(char c) {
  return c == ' ' || c == '\t';
}
bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}
bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

// What is left of one line. Each function takes what it is named after from the front, or says no.
class Cursor {
 public:
  explicit Cursor(std::string_view line) : left_(line) {}

  std::string_view left() const { return left_; }
  bool at_end() const { return left_.empty(); }
  bool at(char c) const { return left_.starts_with(c); }
  bool take(char c) {
    if (!at(c)) {
      return false;
    }
    left_.remove_prefix(1);
    return true;
  }
  bool blanks() {
    const auto end = std::find_if_not(left_.begin(), left_.end(), is_blank);
    const bool any = end != left_.begin();
    left_.remove_prefix(static_cast<std::size_t>(end - left_.begin()));
    return any;
  }
  // Empty if there is none. The colon is for metrics, not for labels.
  std::string_view name(bool with_colons) {
    const auto belongs = [with_colons](char c) { return is_letter(c) || (with_colons && c == ':'); };
    if (left_.empty() || !belongs(left_.front())) {
      return {};
    }
    return word([&](char c) { return belongs(c) || is_digit(c); });
  }
  // {a="b",c="d\"e",}: a comma may end the list. Each label is told, its value as it is quoted there.
  template <class OnLabel>
  bool labels(OnLabel on_label) {
    if (!take('{')) {
      return false;
    }
    while (true) {
      blanks();
      if (take('}')) {
        return true;
      }
      if (!label(on_label)) {
        return false;
      }
      blanks();
      if (!take(',')) {
        return take('}');
      }
    }
  }
  // As Go's ParseFloat has it: "+Inf" and "NaN" among them.
  std::optional<double> number() {
    std::string_view text = word([](char c) { return !is_blank(c); });
    if (text.starts_with('+')) {
      text.remove_prefix(1);
      if (text.starts_with('-')) {
        return std::nullopt;
      }
    }
    double value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size()) {
      return std::nullopt;
    }
    return value;
  }

 private:
  template <class Belongs>
  std::string_view word(Belongs belongs) {
    const auto end = std::find_if_not(left_.begin(), left_.end(), belongs);
    const std::string_view taken = left_.substr(0, static_cast<std::size_t>(end - left_.begin()));
    left_.remove_prefix(taken.size());
    return taken;
  }
  template <class OnLabel>
  bool label(OnLabel& on_label) {
    const std::string_view key = name(false);
    if (key.empty()) {
      return false;
    }
    blanks();
    if (!take('=')) {
      return false;
    }
    blanks();
    const auto value = take('"') ? rest_of_quoted() : std::nullopt;
    if (value) {
      on_label(key, *value);
    }
    return value.has_value();
  }
  std::optional<std::string_view> rest_of_quoted() {
    for (std::size_t i = 0; i < left_.size(); ++i) {
      if (left_[i] == '\\') {
        ++i;
      } else if (left_[i] == '"') {
        const std::string_view inside = left_.substr(0, i);
        left_.remove_prefix(i + 1);
        return inside;
      }
    }
    return std::nullopt;
  }

  std::string_view left_;
};

void ignore_label(std::string_view, std::string_view) {}

// Whether what stands between quotes means `value`. A backslash makes the next character itself, and n a
// newline.
bool means(std::string_view quoted, std::string_view value) {
  std::size_t at = 0;
  for (const char wanted : value) {
    if (at < quoted.size() && quoted[at] == '\\') {
      ++at;
      if (at >= quoted.size() || wanted != (quoted[at] == 'n' ? '\n' : quoted[at])) {
        return false;
      }
    } else if (at >= quoted.size() || wanted != quoted[at]) {
      return false;
    }
    ++at;
  }
  return at == quoted.size();
}

// " # {trace_id="x"} 0.5 1612345678.123": https://prometheus.io/docs/specs/om/open_metrics_spec/#exemplars
bool rest_is_exemplar(Cursor& cursor) {
  cursor.blanks();
  if (!cursor.labels(ignore_label)) {
    return false;
  }
  cursor.blanks();
  if (!cursor.number()) {
    return false;
  }
  if (cursor.blanks() && !cursor.at_end() && !cursor.number()) {
    return false;
  }
  cursor.blanks();
  return cursor.at_end();
}

std::optional<MetricSample> parse_sample(Cursor cursor) {
  MetricSample sample;
  sample.name = cursor.name(true);
  if (sample.name.empty()) {
    return std::nullopt;
  }
  bool parted = cursor.blanks();
  if (cursor.at('{')) {
    const std::string_view from_here = cursor.left();
    if (!cursor.labels(ignore_label)) {
      return std::nullopt;
    }
    sample.labels = from_here.substr(0, from_here.size() - cursor.left().size());
    cursor.blanks();
    parted = true;  // a brace needs no blank after it
  }
  const auto value = cursor.number();
  if (!parted || !value) {
    return std::nullopt;
  }
  sample.value = *value;
  cursor.blanks();
  if (!cursor.at_end() && !cursor.at('#')) {
    if (!cursor.number()) {  // the timestamp
      return std::nullopt;
    }
    cursor.blanks();
  }
  if (cursor.take('#')) {
    return rest_is_exemplar(cursor) ? std::optional(sample) : std::nullopt;
  }
  return cursor.at_end() ? std::optional(sample) : std::nullopt;
}

// What a document is whose first line this is, if it is something else than metrics.
std::string foreign(std::string_view line) {
  const auto first = std::find_if_not(line.begin(), line.end(), is_blank);
  if (first == line.end() || (*first != '<' && *first != '[' && *first != '{')) {
    return {};
  }
  return fmt::format("the answer is {} and not metrics", *first == '<' ? "HTML" : "JSON");
}

}  // namespace

bool MetricSample::has_labels(const std::vector<std::pair<std::string, std::string>>& wanted) const {
  return std::all_of(wanted.begin(), wanted.end(), [this](const auto& label) {
    bool found = false;
    Cursor(labels).labels([&](std::string_view key, std::string_view quoted) {
      found = found || (key == label.first && means(quoted, label.second));
    });
    return found;
  });
}

MetricsText::MetricsText(OnSample on_sample, IsWanted is_wanted)
    : on_sample_(std::move(on_sample)), is_wanted_(std::move(is_wanted)) {}

void MetricsText::feed(std::string_view piece) {
  while (wrong_.empty() && !piece.empty()) {
    const std::size_t newline = piece.find('\n');
    const bool ends = newline != std::string_view::npos;
    const std::string_view part = piece.substr(0, newline);
    piece.remove_prefix(ends ? newline + 1 : piece.size());
    if (skips_) {
      skips_ = !ends;
    } else if (begun_.size() + part.size() > kMaxLine) {
      pass_over(part);
      skips_ = !ends;
    } else if (!ends) {
      begun_.append(part);
    } else if (begun_.empty()) {
      take(part);
    } else {
      begun_.append(part);
      take(begun_);
      begun_.clear();
    }
  }
}

// Of a line that is too long, the start is enough to tell whether it may be skipped.
void MetricsText::pass_over(std::string_view start) {
  begun_.append(start.substr(0, kMaxLine - begun_.size()));
  ++lines_read_;
  Cursor cursor(begun_);
  cursor.blanks();
  const bool is_comment = cursor.at('#');
  const std::string_view name = cursor.name(true);
  const bool is_named = !name.empty() && !cursor.at_end();
  if (!is_comment && (!is_named || !is_wanted_ || is_wanted_(name))) {
    wrong_ = lines_read_ == 1 ? foreign(begun_) : std::string();
    if (wrong_.empty()) {
      wrong_ = fmt::format("line {} of the metrics is longer than {} bytes", lines_read_, kMaxLine);
    }
  }
  begun_.clear();
}

void MetricsText::take(std::string_view line) {
  if (line.ends_with('\r')) {
    line.remove_suffix(1);
  }
  if (line.empty()) {
    return;
  }
  ++lines_read_;
  Cursor cursor(line);
  cursor.blanks();
  if (cursor.at_end() || cursor.at('#')) {
    return;
  }
  if (const auto sample = parse_sample(cursor)) {
    return on_sample_(*sample);
  }
  wrong_ = lines_read_ == 1 ? foreign(line) : std::string();
  if (wrong_.empty()) {
    wrong_ = fmt::format("line {} is no metric", lines_read_);
  }
}

tl::expected<void, std::string> MetricsText::finish() {
  if (wrong_.empty() && (skips_ || !begun_.empty())) {
    wrong_ = lines_read_ == 0 ? foreign(begun_) : std::string();
    if (wrong_.empty()) {
      wrong_ = "the metrics end in the middle of a line";
    }
  }
  if (!wrong_.empty()) {
    return tl::unexpected(wrong_);
  }
  return {};
}

}  // namespace poolwarden::engine
