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
  // {a="b",c="d\"e",}: a comma may end the list.
  bool labels() {
    if (!take('{')) {
      return false;
    }
    while (true) {
      blanks();
      if (take('}')) {
        return true;
      }
      if (!label()) {
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
  bool label() {
    if (name(false).empty()) {
      return false;
    }
    blanks();
    if (!take('=')) {
      return false;
    }
    blanks();
    return take('"') && rest_of_quoted();
  }
  bool rest_of_quoted() {
    for (std::size_t i = 0; i < left_.size(); ++i) {
      if (left_[i] == '\\') {
        ++i;
      } else if (left_[i] == '"') {
        left_.remove_prefix(i + 1);
        return true;
      }
    }
    return false;
  }

  std::string_view left_;
};

// " # {trace_id="x"} 0.5 1612345678.123": https://prometheus.io/docs/specs/om/open_metrics_spec/#exemplars
bool rest_is_exemplar(Cursor& cursor) {
  cursor.blanks();
  if (!cursor.labels()) {
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

struct Sample {
  std::string_view name;
  double value = 0;
};

std::optional<Sample> parse_sample(Cursor cursor) {
  Sample sample;
  sample.name = cursor.name(true);
  if (sample.name.empty()) {
    return std::nullopt;
  }
  bool parted = cursor.blanks();
  if (cursor.at('{')) {
    if (!cursor.labels()) {
      return std::nullopt;
    }
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

MetricsText::MetricsText(OnSample on_sample) : on_sample_(std::move(on_sample)) {}

void MetricsText::feed(std::string_view piece) {
  if (!wrong_.empty()) {
    return;
  }
  if (!lines_.feed(piece, [this](std::string_view line) { take(line); }) && wrong_.empty()) {
    wrong_ = fmt::format("a line of the metrics is longer than {} bytes", kMaxLine);
  }
}

void MetricsText::take(std::string_view line) {
  if (!wrong_.empty()) {
    return;
  }
  ++lines_read_;
  Cursor cursor(line);
  cursor.blanks();
  if (cursor.at_end() || cursor.at('#')) {
    return;
  }
  if (const auto sample = parse_sample(cursor)) {
    return on_sample_(sample->name, sample->value);
  }
  wrong_ = lines_read_ == 1 ? foreign(line) : std::string();
  if (wrong_.empty()) {
    wrong_ = fmt::format("line {} is no metric", lines_read_);
  }
}

tl::expected<void, std::string> MetricsText::finish() {
  if (wrong_.empty() && lines_.pending() > 0) {
    static_cast<void>(lines_.feed(
        "\n", [this](std::string_view cut) { wrong_ = lines_read_ == 0 ? foreign(cut) : std::string(); }));
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
