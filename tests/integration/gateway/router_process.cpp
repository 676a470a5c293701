#include "router_process.h"

#include <array>
#include <cstdio>
#include <utility>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <httplib.h>
#include <nlohmann/json.hpp>

namespace poolwarden::gateway {
namespace {

using Clock = std::chrono::steady_clock;

std::string output_of(const std::string& command) {
  std::string out;
  FILE* pipe = ::popen(command.c_str(), "r");
  if (pipe == nullptr) return out;
  std::array<char, 512> piece{};
  while (std::fgets(piece.data(), static_cast<int>(piece.size()), pipe) != nullptr) out += piece.data();
  ::pclose(pipe);
  while (out.ends_with('\n')) out.pop_back();
  return out;
}

std::string completion_json(const std::string& name, const std::string& text) {
  return nlohmann::json{{"id", "1"},
                        {"object", "text_completion"},
                        {"created", 1},
                        {"model", name},
                        {"choices", {{{"index", 0}, {"text", text}, {"finish_reason", "stop"}}}}}
      .dump();
}

constexpr const char* kJson = "application/json";

}  // namespace

RouterProcess::RouterProcess(WorkerDialect dialect)
    : dialect_(dialect),
      ip_(fresh_ip()),
      program_(output_of(fmt::format("'{}' {}", POOLWARDEN_ROUTER_SCRIPT, to_string(dialect)))) {}

std::optional<std::string> RouterProcess::missing() const {
  if (!program_.empty()) return std::nullopt;
  return fmt::format("no {} to be had: scripts/router.sh {} says why", to_string(dialect_),
                     to_string(dialect_));
}

void RouterProcess::start() {
  std::vector<std::string> arguments{program_};
  if (dialect_ != WorkerDialect::kVllmRouter) arguments.emplace_back("launch");
  for (const char* each : {"--port", "30000", "--policy", "round_robin", "--prometheus-port", "29000"})
    arguments.emplace_back(each);
  arguments.insert(arguments.end(), {"--host", ip_, "--prometheus-host", ip_});
  process_.start(std::move(arguments), directory_.file("log"));
  const auto deadline = Clock::now() + std::chrono::seconds(60);
  while (Clock::now() < deadline) {
    const auto answer =
        exchange(target(), HttpMethod::kGet, "/workers", {}, Clock::now() + std::chrono::seconds(1));
    if (answer && answer->ok()) return;
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  FAIL() << to_string(dialect_) << " did not start: " << log();
}

std::vector<ObservedWorker> RouterProcess::workers() const {
  const auto answer =
      exchange(target(), HttpMethod::kGet, "/workers", {}, Clock::now() + std::chrono::seconds(2));
  if (!answer) return {};
  return parse_workers(dialect_, answer->body).value_or(std::vector<ObservedWorker>{});
}

bool RouterProcess::has(const std::string& ip) const {
  const auto address = make_address(ip, Engine::kPort);
  for (const ObservedWorker& worker : workers()) {
    if (worker.address == address && worker.state == WorkerState::kServing) return true;
  }
  return false;
}

std::string RouterProcess::log() const {
  return contents_of(directory_.file("log"));
}

Engine::Engine(std::string name, std::chrono::milliseconds health_takes)
    : name_(std::move(name)), ip_(fresh_ip()), server_(std::make_unique<httplib::Server>()) {
  server_->new_task_queue = [] { return new httplib::ThreadPool(16); };
  server_->set_keep_alive_timeout(1);
  server_->set_tcp_nodelay(true);
  const auto say = [this](const std::string& path, const std::string& what) {
    server_->Get(path,
                 [what](const httplib::Request&, httplib::Response& out) { out.set_content(what, kJson); });
  };
  server_->Get("/health", [health_takes](const httplib::Request&, httplib::Response& out) {
    std::this_thread::sleep_for(health_takes);
    out.set_content("{}", kJson);
  });
  say("/v1/models", R"({"object":"list","data":[{"id":"m","object":"model","owned_by":"vllm"}]})");
  say("/version", R"({"version":"0.9.0"})");
  for (const char* path : {"/server_info", "/get_server_info"})
    say(path, R"({"model_path":"m","tp_size":1,"dp_size":1})");
  for (const char* path : {"/model_info", "/get_model_info"}) say(path, R"({"model_path":"m"})");
  server_->Post("/v1/completions", [this](const httplib::Request& in, httplib::Response& out) {
    {
      const std::lock_guard lock(mutex_);
      last_request_ = Clock::now();
    }
    ++requests_;
    if (in.body.find("\"stream\":true") == std::string::npos) {
      out.set_content(completion_json(name_, name_), kJson);
      return;
    }
    ++streams_;
    out.set_chunked_content_provider("text/event-stream", [this](std::size_t, httplib::DataSink& sink) {
      const std::string event = "data: " + completion_json(name_, "word") + "\n\n";
      if (!sink.write(event.data(), event.size())) return false;
      if (!released_) {
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
        return true;
      }
      constexpr std::string_view kEnd = "data: [DONE]\n\n";
      sink.write(kEnd.data(), kEnd.size());
      sink.done();
      return true;
    });
  });
  if (!server_->bind_to_port(ip_, kPort)) ADD_FAILURE() << ip_ << " cannot be listened on";
  thread_ = std::thread([this] { server_->listen_after_bind(); });
  while (!server_->is_running()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
}

Engine::~Engine() {
  released_ = true;
  server_->stop();
  thread_.join();
}

Clock::time_point Engine::last_request() const {
  const std::lock_guard lock(mutex_);
  return last_request_;
}

Completion complete(const HttpTarget& router, bool stream) {
  httplib::Client client(router.host, router.port);
  client.set_read_timeout(30, 0);
  client.set_tcp_nodelay(true);
  const std::string body = nlohmann::json{{"model", "m"}, {"prompt", "x"}, {"stream", stream}}.dump();
  const auto answer = client.Post("/v1/completions", body, kJson);
  if (!answer) return {0, httplib::to_string(answer.error())};
  if (stream) return {answer->status, answer->body};
  const auto json = nlohmann::json::parse(answer->body, nullptr, false);
  return {answer->status, json.is_object() && answer->status == 200 ? json.value("model", "") : answer->body};
}

}  // namespace poolwarden::gateway
