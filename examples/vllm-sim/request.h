// What the two generating endpoints are asked for, checked as vLLM checks it, and the OpenAI-style error that
// a caller gets otherwise. Pure functions; the bytes come from the network and are trusted in nothing.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <tl/expected.hpp>

namespace vllm_sim {

enum class Endpoint { kCompletions, kChat };

struct Options {
  std::string host = "0.0.0.0";
  int port = 8000;
  std::string model = "facebook/opt-125m";
  std::vector<std::string> served_model_names;  // empty: the model's own name
  int max_num_seqs = 256;
  int max_model_len = 2048;
  int time_to_first_token_ms = 0;
  int time_per_output_token_ms = 0;
  int startup_duration_s = 0;
  int shutdown_timeout_s = 0;
  int data_parallel_size = 1;
  int saturated_above = 0;  // requests in flight; 0: never
  std::uint64_t seed = 0;
  std::string metrics_api_key;  // empty: anybody may read /metrics
  std::string pod_name;         // from $POD_NAME

  const std::string& shown_model() const {
    return served_model_names.empty() ? model : served_model_names.front();
  }
  bool serves(std::string_view name) const;
};

struct ApiError {
  int status = 400;
  std::string type;
  std::string message;
  std::string param;

  std::string to_json() const;
};

struct Generation {
  Endpoint endpoint = Endpoint::kCompletions;
  std::string model;
  std::vector<std::vector<std::string>> prompts;  // words; one choice each
  int max_tokens = 16;
  std::uint64_t seed = 0;
  bool stream = false;
  bool stream_usage = false;  // stream_options.include_usage

  std::size_t prompt_tokens() const;
};

ApiError bad_request(std::string message, std::string param = {});
tl::expected<Generation, ApiError> parse_generation(Endpoint endpoint, std::string_view body,
                                                    const Options& options);

}  // namespace vllm_sim
