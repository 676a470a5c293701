#include "text.h"

namespace vllm_sim {

std::vector<std::string> words_of(std::string_view text) {
  std::vector<std::string> words;
  std::size_t pos = 0;
  constexpr std::string_view kSpace = " \t\r\n";
  while ((pos = text.find_first_not_of(kSpace, pos)) != std::string_view::npos) {
    const std::size_t end = text.find_first_of(kSpace, pos);
    words.emplace_back(text.substr(pos, end - pos));
    pos = end == std::string_view::npos ? text.size() : end;
  }
  return words;
}

std::string token_at(const std::vector<std::string>& prompt_words, std::uint64_t seed, std::size_t index) {
  if (prompt_words.empty()) return " ...";
  return " " + prompt_words[(index + seed % prompt_words.size()) % prompt_words.size()];
}

std::string text_of(const std::vector<std::string>& prompt_words, std::uint64_t seed, std::size_t count) {
  std::string text;
  for (std::size_t i = 0; i < count; ++i) text += token_at(prompt_words, seed, i);
  return text;
}

}  // namespace vllm_sim
