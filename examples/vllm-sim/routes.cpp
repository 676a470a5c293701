#include "routes.h"

#include "text.h"

#include <chrono>
#include <memory>
#include <unistd.h>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace vllm_sim {
namespace {

using nlohmann::json;

constexpr std::size_t kMaxBody = 4U << 20U;
constexpr std::size_t kKeepAliveRequests = 1'000'000;
constexpr const char* kJson = "application/json";
constexpr int kClientGone = 499;  // as proxies call it in their logs; nobody is left to read it
constexpr const char* kImitatedVersion = "0.18.0";  // the first with --shutdown-timeout

std::string dump(const json& value) {
  return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

std::int64_t unix_seconds() {
  return std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch())
      .count();
}

std::string next_id(Endpoint endpoint) {
  static std::atomic<std::uint64_t> counter{0};
  const char* prefix = endpoint == Endpoint::kChat ? "chatcmpl" : "cmpl";
  return fmt::format("{}-{:x}-{:x}", prefix, ::getpid(), ++counter);
}

void send(httplib::Response& res, const ApiError& error) {
  res.status = error.status;
  res.set_content(error.to_json(), kJson);
}

json usage_of(const Generation& gen, std::size_t completion_tokens) {
  return {{"prompt_tokens", gen.prompt_tokens()},
          {"completion_tokens", completion_tokens},
          {"total_tokens", gen.prompt_tokens() + completion_tokens}};
}

// What every answer and every chunk of one request has in common.
json envelope(const Generation& gen, const std::string& id, std::int64_t created) {
  const bool chat = gen.endpoint == Endpoint::kChat;
  const char* object = !chat ? "text_completion" : (gen.stream ? "chat.completion.chunk" : "chat.completion");
  return {{"id", id}, {"object", object}, {"created", created}, {"model", gen.model}};
}

json whole_choice(const Generation& gen, std::size_t index) {
  std::string text = text_of(gen.prompts[index], gen.seed, static_cast<std::size_t>(gen.max_tokens));
  json choice = {{"index", index}, {"logprobs", nullptr}, {"finish_reason", "length"}};
  if (gen.endpoint == Endpoint::kChat) {
    choice["message"] = {{"role", "assistant"}, {"content", text.empty() ? text : text.substr(1)}};
  } else {
    choice["text"] = std::move(text);
  }
  return choice;
}

json chunk_choice(const Generation& gen, std::size_t prompt, std::size_t token) {
  const bool last = token + 1 == static_cast<std::size_t>(gen.max_tokens);
  std::string text = token_at(gen.prompts[prompt], gen.seed, token);
  json choice = {
      {"index", prompt}, {"logprobs", nullptr}, {"finish_reason", last ? json("length") : json(nullptr)}};
  if (gen.endpoint == Endpoint::kChat) {
    choice["delta"] = {{"content", token == 0 ? text.substr(1) : text}};
    if (token == 0) choice["delta"]["role"] = "assistant";
  } else {
    choice["text"] = std::move(text);
  }
  return choice;
}

class Routes {
 public:
  Routes(Engine& engine, const Options& options, const Draining& draining)
      : engine_(engine), options_(options), draining_(draining) {}

  // A server that is saturated gets to it late: what probes it finds out that nobody answers in time.
  void health(httplib::Response& res) const {
    constexpr auto kLooksAgain = std::chrono::milliseconds(50);
    const auto most = static_cast<std::size_t>(options_.saturated_above);
    while (most > 0 && engine_.in_flight() > most) {
      if (Listener::sleep_unless_gone(kLooksAgain)) continue;
      res.status = kClientGone;
      return;
    }
    res.status = 200;
  }

  void generate(Endpoint endpoint, const httplib::Request& req, httplib::Response& res) const {
    // Only new work is refused: /health is about the engine being alive, and it is (vLLM answers 503 there
    // only once the engine is dead), and /metrics says how much is still in flight.
    if (draining_.load()) {
      return send(
          res,
          {503, "ServiceUnavailableError", "The server is shutting down; send the request elsewhere.", {}});
    }
    auto gen = parse_generation(endpoint, req.body, options_);
    if (!gen) return send(res, gen.error());
    if (gen->stream) return stream(std::move(*gen), res);
    const auto tokens = static_cast<std::size_t>(gen->max_tokens);
    const auto outcome = engine_.generate(tokens, gen->prompt_tokens(), &Listener::sleep_unless_gone,
                                          [](std::size_t) { return true; });
    if (outcome == Engine::Outcome::kClientGone) {
      res.status = kClientGone;
      return;
    }
    json answer = envelope(*gen, next_id(endpoint), unix_seconds());
    answer["choices"] = json::array();
    for (std::size_t i = 0; i < gen->prompts.size(); ++i) answer["choices"].push_back(whole_choice(*gen, i));
    answer["usage"] = usage_of(*gen, tokens * gen->prompts.size());
    res.set_content(dump(answer), kJson);
  }

  void models(httplib::Response& res) const {
    json data = json::array();
    const auto& names = options_.served_model_names;
    for (const std::string& name : names.empty() ? std::vector<std::string>{options_.model} : names) {
      data.push_back({{"id", name},
                      {"object", "model"},
                      {"created", started_},
                      {"owned_by", "vllm"},
                      {"root", options_.model},
                      {"parent", nullptr},
                      {"max_model_len", options_.max_model_len}});
    }
    res.set_content(dump({{"object", "list"}, {"data", data}}), kJson);
  }

  void metrics(const httplib::Request& req, httplib::Response& res) const {
    const std::string& key = options_.metrics_api_key;
    if (!key.empty() && req.get_header_value("Authorization") != "Bearer " + key)
      return send(res, {401, "AuthenticationError", "The key for /metrics is missing or wrong.", {}});
    res.set_content(engine_.metrics(), "text/plain; version=0.0.4; charset=utf-8");
  }

  void add_pod_header(httplib::Response& res) const {
    if (!options_.pod_name.empty()) res.set_header("x-inference-pod", options_.pod_name);
  }

 private:
  void stream(Generation gen, httplib::Response& res) const {
    const auto shared = std::make_shared<const Generation>(std::move(gen));
    const auto write_events = [this, shared](std::size_t, httplib::DataSink& sink) {
      return stream_to(*shared, sink);
    };
    res.set_chunked_content_provider("text/event-stream; charset=utf-8", write_events);
  }

  bool stream_to(const Generation& gen, httplib::DataSink& sink) const {
    const json common = envelope(gen, next_id(gen.endpoint), unix_seconds());
    const auto event = [&](const json& more) {
      json chunk = common;
      chunk.update(more);
      const std::string line = "data: " + dump(chunk) + "\n\n";
      return sink.write(line.data(), line.size());
    };
    const auto on_token = [&](std::size_t token) {
      for (std::size_t i = 0; i < gen.prompts.size(); ++i) {
        if (!event({{"choices", json::array({chunk_choice(gen, i, token)})}})) return false;
      }
      return true;
    };
    const auto tokens = static_cast<std::size_t>(gen.max_tokens);
    const auto outcome =
        engine_.generate(tokens, gen.prompt_tokens(), &Listener::sleep_unless_gone, on_token);
    if (outcome == Engine::Outcome::kClientGone) return false;
    if (gen.stream_usage &&
        !event({{"choices", json::array()}, {"usage", usage_of(gen, tokens * gen.prompts.size())}})) {
      return false;
    }
    constexpr std::string_view kDone = "data: [DONE]\n\n";
    if (!sink.write(kDone.data(), kDone.size())) return false;
    sink.done();
    return true;
  }

  Engine& engine_;
  const Options& options_;
  const Draining& draining_;
  const std::int64_t started_ = unix_seconds();
};

const char* phrase(int status) {
  switch (status) {
    case 200:
      return "OK";
    case 400:
      return "Bad Request";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 413:
      return "Payload Too Large";
    case 503:
      return "Service Unavailable";
    default:
      return status >= 500 ? "Internal Server Error" : "Error";
  }
}

// What the library itself refuses (no such route, too large, not HTTP) is answered in the same form.
ApiError library_error(int status) {
  switch (status) {
    case 404:
      return {404, "NotFoundError", "Not Found", {}};
    case 413:
      return {413, "BadRequestError", fmt::format("the body is larger than {} bytes", kMaxBody), {}};
    default:
      return {status, status >= 500 ? "InternalServerError" : "BadRequestError", phrase(status), {}};
  }
}

// uvicorn's access log: INFO:     127.0.0.1:5000 - "POST /v1/completions HTTP/1.1" 200 OK
void log_access(const httplib::Request& req, const httplib::Response& res) {
  const std::string line = fmt::format("INFO:     {}:{} - \"{} {} HTTP/1.1\" {} {}\n", req.remote_addr,
                                       req.remote_port, req.method, req.path, res.status, phrase(res.status));
  // One write, so that lines of different threads never mix.
  if (::write(STDOUT_FILENO, line.data(), line.size()) < 0) return;  // nobody reads the log; serve on
}

}  // namespace

void add_routes(Listener& listener, Engine& engine, const Options& options, const Draining& draining) {
  const auto routes = std::make_shared<const Routes>(engine, options, draining);
  listener.set_payload_max_length(kMaxBody);
  listener.set_keep_alive_max_count(kKeepAliveRequests);
  listener.Post("/v1/completions",
                [routes](const auto& req, auto& res) { routes->generate(Endpoint::kCompletions, req, res); });
  listener.Post("/v1/chat/completions",
                [routes](const auto& req, auto& res) { routes->generate(Endpoint::kChat, req, res); });
  listener.Get("/v1/models", [routes](const auto&, auto& res) { routes->models(res); });
  listener.Get("/metrics", [routes](const auto& req, auto& res) { routes->metrics(req, res); });
  listener.Get("/health", [routes](const auto&, auto& res) { routes->health(res); });
  const auto ping = [](const auto&, auto& res) { res.status = 200; };
  listener.Get("/ping", ping);
  listener.Post("/ping", ping);
  listener.Get("/version", [](const auto&, auto& res) {
    res.set_content(dump({{"version", std::string(kImitatedVersion) + "+sim"}}), kJson);
  });
  listener.set_error_handler([](const httplib::Request&, httplib::Response& res) {
    if (res.body.empty() && res.status != kClientGone) send(res, library_error(res.status));
  });
  // The last step before an answer's head is written, so a stream is logged when it starts, as by uvicorn.
  listener.set_post_routing_handler([routes](const auto& req, auto& res) {
    routes->add_pod_header(res);
    if (res.status != kClientGone) log_access(req, res);
  });
}

}  // namespace vllm_sim
