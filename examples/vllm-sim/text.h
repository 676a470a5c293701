// The text that the stand-in "generates": the prompt's own words again, round and round. Deterministic, so
// that a test can tell a whole answer from a cut one, and which answer belongs to which prompt.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace vllm_sim {

// One token is one word here.
std::vector<std::string> words_of(std::string_view text);

// Token number `index` of the answer, with its leading space. The seed rotates the words.
std::string token_at(const std::vector<std::string>& prompt_words, std::uint64_t seed, std::size_t index);

// The first `count` tokens together.
std::string text_of(const std::vector<std::string>& prompt_words, std::uint64_t seed, std::size_t count);

}  // namespace vllm_sim
