#include "scenarios/shrink.h"

#include <algorithm>
#include <cctype>
#include <numeric>
#include <sstream>

namespace poolwarden::scenarios {
namespace {

Kept without(const Kept& kept, std::size_t first, std::size_t count) {
  Kept left(kept.begin(), kept.begin() + static_cast<std::ptrdiff_t>(first));
  const std::size_t next = std::min(first + count, kept.size());
  left.insert(left.end(), kept.begin() + static_cast<std::ptrdiff_t>(next), kept.end());
  return left;
}

// A name of an object has a hyphen, and a time or a number a digit.
bool is_plain_word(const std::string& word) {
  const auto is = [&word](auto what) { return std::any_of(word.begin(), word.end(), what); };
  return is([](unsigned char c) { return std::isalpha(c) != 0; }) &&
         !is([](unsigned char c) { return std::isdigit(c) != 0 || c == '-' || c == '['; });
}

}  // namespace

Shrunk shrink(std::size_t count, const std::function<bool(const Kept&)>& fails, int most_tries) {
  Shrunk result;
  result.kept.resize(count);
  std::iota(result.kept.begin(), result.kept.end(), std::size_t{0});
  std::size_t chunk = std::max<std::size_t>(count / 2, 1);
  bool cut = false;  // anything, with chunks of this size
  // From the end: what comes after the failure goes first.
  std::size_t left = result.kept.size();  // how many of them are yet to be tried, from the beginning
  while (!result.kept.empty() && result.tries < most_tries) {
    if (left == 0) {
      if (chunk == 1 && !cut) break;
      if (!cut) chunk = (chunk + 1) / 2;
      cut = false;
      left = result.kept.size();
    }
    const std::size_t size = std::min(chunk, left);
    left -= size;
    Kept candidate = without(result.kept, left, size);
    ++result.tries;
    if (!fails(candidate)) continue;
    result.kept = std::move(candidate);
    cut = true;
  }
  return result;
}

std::string failure_kind(std::string_view failure) {
  constexpr int kWords = 4;
  std::istringstream words{std::string(failure.substr(0, failure.find('\n')))};
  std::string kind;
  int count = 0;
  for (std::string word; count < kWords && words >> word;) {
    if (!is_plain_word(word)) continue;
    kind += (count++ == 0 ? "" : " ") + word;
  }
  return kind;
}

}  // namespace poolwarden::scenarios
