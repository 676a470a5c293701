#include "request.h"

#include "text.h"

#include <algorithm>
#include <optional>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace vllm_sim {
namespace {

using nlohmann::json;
using Checked = tl::expected<void, ApiError>;

constexpr std::size_t kMaxPrompts = 128;
constexpr int kDefaultCompletionTokens = 16;  // OpenAI's and vLLM's default of /v1/completions
constexpr int kDefaultChatTokens = 64;        // vLLM generates until the model stops; something short will do
constexpr int kMaxDepth = 64;

const json* field(const json& object, const char* name) {
  const auto it = object.find(name);
  return it == object.end() || it->is_null() ? nullptr : &*it;
}

// Looked at before parsing: the library's own depth callback costs quadratic time on a body of '['.
bool nests_too_deeply(std::string_view body) {
  int depth = 0;
  bool in_string = false;
  for (std::size_t i = 0; i < body.size(); ++i) {
    const char c = body[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '[' || c == '{') {
      if (++depth > kMaxDepth) return true;
    } else if (c == ']' || c == '}') {
      --depth;
    }
  }
  return false;
}

Checked read_integer(const json& body, const char* name, int low, int high, std::optional<int>& out) {
  const json* value = field(body, name);
  if (value == nullptr) return {};
  if (!value->is_number_integer()) {
    return tl::unexpected(bad_request(fmt::format("{} must be an integer", name), name));
  }
  const auto number = value->is_number_unsigned() && value->get<std::uint64_t>() > INT32_MAX
                          ? std::int64_t{INT32_MAX} + 1
                          : value->get<std::int64_t>();
  if (number < low || number > high) {
    return tl::unexpected(bad_request(
        fmt::format("{} must be at least {} and at most {}, got {}", name, low, high, value->dump()), name));
  }
  out = static_cast<int>(number);
  return {};
}

Checked read_bool(const json& body, const char* name, bool& out) {
  const json* value = field(body, name);
  if (value == nullptr) return {};
  if (!value->is_boolean())
    return tl::unexpected(bad_request(fmt::format("{} must be a boolean", name), name));
  out = value->get<bool>();
  return {};
}

// A prompt is a string or a list of token ids; a token is shown as its number.
tl::expected<std::vector<std::string>, ApiError> one_prompt(const json& prompt) {
  if (prompt.is_string()) return words_of(prompt.get_ref<const std::string&>());
  const auto is_token = [](const json& token) { return token.is_number_integer(); };
  if (prompt.is_array() && std::all_of(prompt.begin(), prompt.end(), is_token)) {
    std::vector<std::string> words;
    for (const json& token : prompt) words.push_back(token.dump());
    return words;
  }
  return tl::unexpected(
      bad_request("prompt must be a string, a list of token ids, or a list of those", "prompt"));
}

Checked read_prompts(const json& body, Generation& out) {
  const json* prompt = field(body, "prompt");
  if (prompt == nullptr) return tl::unexpected(bad_request("prompt is required", "prompt"));
  const bool is_list = prompt->is_array() && !prompt->empty() && !prompt->front().is_number();
  const json list = is_list ? *prompt : json::array({*prompt});
  if (list.size() > kMaxPrompts) {
    return tl::unexpected(bad_request(fmt::format("at most {} prompts in a request", kMaxPrompts), "prompt"));
  }
  for (const json& each : list) {
    auto words = one_prompt(each);
    if (!words) return tl::unexpected(words.error());
    out.prompts.push_back(std::move(*words));
  }
  return {};
}

// The content of a message: a string, or a list of parts of which the text ones count.
std::string content_text(const json& message) {
  const json* content = field(message, "content");
  if (content == nullptr) return {};
  if (content->is_string()) return content->get<std::string>();
  std::string text;
  if (!content->is_array()) return text;
  for (const json& part : *content) {
    if (!part.is_object()) continue;
    if (const json* words = field(part, "text"); words != nullptr && words->is_string()) {
      text += words->get<std::string>() + " ";
    }
  }
  return text;
}

// The answer repeats the last message; all of them count as prompt in a model, and in max_model_len here.
Checked read_messages(const json& body, Generation& out) {
  const json* messages = field(body, "messages");
  if (messages == nullptr || !messages->is_array() || messages->empty()) {
    return tl::unexpected(bad_request("messages must be a list with at least one message", "messages"));
  }
  for (const json& message : *messages) {
    const json* role = message.is_object() ? field(message, "role") : nullptr;
    if (role == nullptr || !role->is_string()) {
      return tl::unexpected(bad_request("each message must be an object with a role", "messages"));
    }
  }
  out.prompts.push_back(words_of(content_text(messages->back())));
  return {};
}

Checked read_model(const json& body, const Options& options, Generation& out) {
  const json* model = field(body, "model");
  if (model == nullptr || !model->is_string()) {
    return tl::unexpected(bad_request("model is required and must be a string", "model"));
  }
  out.model = model->get<std::string>();
  if (options.serves(out.model)) return {};
  return tl::unexpected(
      ApiError{404, "NotFoundError", fmt::format("The model `{}` does not exist.", out.model), "model"});
}

Checked read_lengths(const json& body, const Options& options, Generation& out) {
  std::optional<int> tokens;
  if (auto ok = read_integer(body, "max_tokens", 0, INT32_MAX, tokens); !ok) return ok;
  if (out.endpoint == Endpoint::kChat) {
    if (auto ok = read_integer(body, "max_completion_tokens", 0, INT32_MAX, tokens); !ok) return ok;
  }
  const int fallback = out.endpoint == Endpoint::kChat ? kDefaultChatTokens : kDefaultCompletionTokens;
  std::size_t longest = 0;
  for (const auto& prompt : out.prompts) longest = std::max(longest, prompt.size());
  const auto room = static_cast<std::size_t>(options.max_model_len);
  const std::size_t asked = tokens ? static_cast<std::size_t>(*tokens) : 0;
  if (longest + asked > room) {
    return tl::unexpected(bad_request(fmt::format(
        "This model's maximum context length is {} tokens. However, you requested {} tokens ({} in "
        "the prompt, {} for the answer). Please reduce the length.",
        room, longest + asked, longest, asked)));
  }
  out.max_tokens = tokens.value_or(std::min(fallback, static_cast<int>(room - longest)));
  std::optional<int> choices;
  if (auto ok = read_integer(body, "n", 1, 1, choices); !ok) return ok;
  std::optional<int> seed;
  if (auto ok = read_integer(body, "seed", 0, INT32_MAX, seed); !ok) return ok;
  out.seed = seed ? static_cast<std::uint64_t>(*seed) : options.seed;
  return {};
}

Checked read_streaming(const json& body, Generation& out) {
  if (auto ok = read_bool(body, "stream", out.stream); !ok) return ok;
  const json* stream_options = field(body, "stream_options");
  if (stream_options == nullptr) return {};
  if (!stream_options->is_object()) {
    return tl::unexpected(bad_request("stream_options must be an object", "stream_options"));
  }
  if (!out.stream) {
    return tl::unexpected(
        bad_request("stream_options can only be set when stream is true", "stream_options"));
  }
  return read_bool(*stream_options, "include_usage", out.stream_usage);
}

}  // namespace

bool Options::serves(std::string_view name) const {
  if (served_model_names.empty()) return name == model;
  return std::find(served_model_names.begin(), served_model_names.end(), name) != served_model_names.end();
}

std::string ApiError::to_json() const {
  const json error = {{"message", message},
                      {"type", type},
                      {"param", param.empty() ? json(nullptr) : json(param)},
                      {"code", status}};
  // `replace`: a message may quote what the caller sent, which need not be UTF-8.
  return json{{"error", error}}.dump(-1, ' ', false, json::error_handler_t::replace);
}

std::size_t Generation::prompt_tokens() const {
  std::size_t sum = 0;
  for (const auto& prompt : prompts) sum += prompt.size();
  return sum;
}

ApiError bad_request(std::string message, std::string param) {
  return {400, "BadRequestError", std::move(message), std::move(param)};
}

tl::expected<Generation, ApiError> parse_generation(Endpoint endpoint, std::string_view text,
                                                    const Options& options) {
  if (nests_too_deeply(text)) return tl::unexpected(bad_request("the body is nested too deeply"));
  const json body = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (body.is_discarded()) return tl::unexpected(bad_request("the body is not JSON"));
  if (!body.is_object()) return tl::unexpected(bad_request("the body must be a JSON object"));
  Generation out;
  out.endpoint = endpoint;
  if (auto ok = read_model(body, options, out); !ok) return tl::unexpected(ok.error());
  auto prompts = endpoint == Endpoint::kChat ? read_messages(body, out) : read_prompts(body, out);
  if (!prompts) return tl::unexpected(prompts.error());
  if (auto ok = read_lengths(body, options, out); !ok) return tl::unexpected(ok.error());
  if (auto ok = read_streaming(body, out); !ok) return tl::unexpected(ok.error());
  return out;
}

}  // namespace vllm_sim
