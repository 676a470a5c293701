// vllm-sim as its users see it: started with options, asked over HTTP, told to stop.
#include "support/cluster/running_program.h"

#include <atomic>
#include <chrono>
#include <map>
#include <signal.h>
#include <string>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <httplib.h>
#include <nlohmann/json.hpp>

namespace poolwarden::cluster {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;
using testing::HasSubstr;
using testing::Not;

// Long enough for a busy machine; nothing waits this long when all is well.
constexpr auto kPatience = 30s;
constexpr const char* kPrompt =
    R"({"model": "facebook/opt-125m", "prompt": "The future of AI is", "max_tokens": 5})";

class VllmSim : public testing::Test {
 protected:
  void start(std::vector<std::string> options, std::vector<std::pair<std::string, std::string>> env = {}) {
    SpawnSpec spec{{VLLM_SIM, "--host", "127.0.0.1", "--port", "0"}, std::move(env)};
    spec.argv.insert(spec.argv.end(), options.begin(), options.end());
    auto started = RunningProgram::start(spec);
    ASSERT_TRUE(started) << started.error();
    sim_ = std::move(*started);
    const auto line = sim_->wait_for_line("running on http://127.0.0.1:", kPatience);
    ASSERT_TRUE(line) << sim_->output();
    port_ = std::stoi(line->substr(line->find("127.0.0.1:") + 10));
  }

  std::unique_ptr<httplib::Client> client() const {
    auto made = std::make_unique<httplib::Client>("127.0.0.1", port_);
    made->set_read_timeout(kPatience);
    return made;
  }
  httplib::Result post(const std::string& path, const std::string& body) const {
    return client()->Post(path, body, "application/json");
  }
  httplib::Result get(const std::string& path) const { return client()->Get(path); }

  // The value of a metric, summed over its labels' values that contain `labels`.
  double metric(const std::string& name, const std::string& labels = {}) const {
    const auto result = get("/metrics");
    double sum = 0;
    std::istringstream lines(result ? result->body : "");
    for (std::string line; std::getline(lines, line);) {
      if (line.rfind(name + "{", 0) == 0 && line.find(labels) != std::string::npos) {
        sum += std::stod(line.substr(line.rfind(' ')));
      }
    }
    return sum;
  }
  bool eventually(const std::function<bool()>& holds) const {
    const auto deadline = std::chrono::steady_clock::now() + kPatience;
    while (!holds()) {
      if (std::chrono::steady_clock::now() > deadline) return false;
      std::this_thread::sleep_for(10ms);
    }
    return true;
  }
  bool busy_with(int requests) const {
    return eventually([&] { return metric("vllm:num_requests_running") == requests; });
  }

  std::unique_ptr<RunningProgram> sim_;
  int port_ = 0;
};

TEST_F(VllmSim, AnswersACompletion) {
  start({});
  const auto result = post("/v1/completions", kPrompt);
  ASSERT_TRUE(result);
  ASSERT_EQ(result->status, 200);
  const json answer = json::parse(result->body);
  EXPECT_EQ(answer["choices"][0]["text"], " The future of AI is");
  EXPECT_EQ(answer["choices"][0]["finish_reason"], "length");
  EXPECT_EQ(answer["usage"]["prompt_tokens"], 5);
  EXPECT_EQ(answer["usage"]["completion_tokens"], 5);
  EXPECT_EQ(answer["usage"]["total_tokens"], 10);
  EXPECT_TRUE(sim_->wait_for_line("- \"POST /v1/completions HTTP/1.1\" 200 OK", kPatience));
}

TEST_F(VllmSim, AnswersAChat) {
  start({});
  const auto result = post("/v1/chat/completions",
                           R"({"model": "facebook/opt-125m", "max_completion_tokens": 3,
                               "messages": [{"role": "system", "content": "x"},
                                            {"role": "user", "content": [{"type": "text", "text": "hello you"}]}]})");
  ASSERT_TRUE(result);
  EXPECT_EQ(json::parse(result->body)["choices"][0]["message"]["content"], "hello you hello");
}

TEST_F(VllmSim, StreamsTokenByToken) {
  start({"--time-per-output-token", "20"});
  const auto result = post("/v1/completions",
                           R"({"model": "facebook/opt-125m", "prompt": "a b", "max_tokens": 3, "stream": true,
                               "stream_options": {"include_usage": true}})");
  ASSERT_TRUE(result);
  EXPECT_THAT(result->get_header_value("Content-Type"), HasSubstr("text/event-stream"));
  std::istringstream lines(result->body);
  std::string text;
  std::vector<std::string> events;
  for (std::string line; std::getline(lines, line);) {
    if (line.rfind("data: ", 0) == 0) events.push_back(line.substr(6));
  }
  ASSERT_EQ(events.size(), 5U) << result->body;
  for (int i = 0; i < 3; ++i) text += json::parse(events[static_cast<std::size_t>(i)])["choices"][0]["text"];
  EXPECT_EQ(text, " a b a");
  EXPECT_EQ(json::parse(events[2])["choices"][0]["finish_reason"], "length");
  EXPECT_EQ(json::parse(events[3])["usage"]["completion_tokens"], 3);
  EXPECT_EQ(events[4], "[DONE]");
}

struct BadRequest {
  const char* name;
  const char* path;
  const char* body;
  int status;
  const char* message;
};

TEST_F(VllmSim, RefusesBadRequestsInOpenAisForm) {
  start({"--max-model-len", "10"});
  const BadRequest rows[] = {
      {"broken JSON", "/v1/completions", "{\"model\": ", 400, "not JSON"},
      {"empty body", "/v1/completions", "", 400, "not JSON"},
      {"no object", "/v1/completions", "[]", 400, "object"},
      {"no model", "/v1/completions", R"({"prompt": "a"})", 400, "model is required"},
      {"model of the wrong type", "/v1/completions", R"({"model": 5, "prompt": "a"})", 400,
       "model is required"},
      {"wrong model", "/v1/completions", R"({"model": "gpt", "prompt": "a"})", 404, "`gpt` does not exist"},
      {"no prompt", "/v1/completions", R"({"model": "facebook/opt-125m"})", 400, "prompt is required"},
      {"negative max_tokens", "/v1/completions",
       R"({"model": "facebook/opt-125m", "prompt": "a", "max_tokens": -1})", 400,
       "max_tokens must be at least 0"},
      {"max_tokens a text", "/v1/completions",
       R"({"model": "facebook/opt-125m", "prompt": "a", "max_tokens": "5"})", 400,
       "max_tokens must be an integer"},
      {"max_tokens beyond 64 bits", "/v1/completions",
       R"({"model": "facebook/opt-125m", "prompt": "a", "max_tokens": 18446744073709551615})", 400,
       "max_tokens"},
      {"too long", "/v1/completions", R"({"model": "facebook/opt-125m", "prompt": "a", "max_tokens": 10})",
       400, "maximum context length is 10"},
      {"stream a text", "/v1/completions",
       R"({"model": "facebook/opt-125m", "prompt": "a", "stream": "yes"})", 400, "stream must be a boolean"},
      {"no messages", "/v1/chat/completions", R"({"model": "facebook/opt-125m", "messages": []})", 400,
       "messages"},
      {"message without role", "/v1/chat/completions",
       R"({"model": "facebook/opt-125m", "messages": [{"content": "a"}]})", 400, "role"},
      {"no such path", "/v1/nothing", "{}", 404, "Not Found"},
  };
  for (const BadRequest& row : rows) {
    SCOPED_TRACE(row.name);
    const auto result = post(row.path, row.body);
    ASSERT_TRUE(result);
    EXPECT_EQ(result->status, row.status);
    const json error = json::parse(result->body, nullptr, false);
    ASSERT_TRUE(error.is_object() && error.contains("error")) << result->body;
    EXPECT_THAT(error["error"]["message"].get<std::string>(), HasSubstr(row.message));
    EXPECT_EQ(error["error"]["code"], row.status);
  }
}

TEST_F(VllmSim, BoundsTheBodyAndItsNesting) {
  start({});
  const auto large = post("/v1/completions", std::string(5U << 20U, 'x'));
  ASSERT_TRUE(large);
  EXPECT_EQ(large->status, 413);
  const auto deep = post("/v1/completions", std::string(4U << 20U, '['));
  ASSERT_TRUE(deep);
  EXPECT_EQ(deep->status, 400);
  EXPECT_THAT(deep->body, HasSubstr("nested too deeply"));
  const std::string quoted(1000, '[');
  EXPECT_EQ(
      post("/v1/completions", R"({"model": "facebook/opt-125m", "prompt": "\")" + quoted + "\"}")->status,
      200)
      << "brackets in a text do not nest";
  EXPECT_EQ(get("/health")->status, 200);
}

TEST_F(VllmSim, NamesItsModels) {
  start({"--model", "big/model", "--served-model-name", "short", "other", "--max-model-len", "99"});
  const json models = json::parse(get("/v1/models")->body);
  ASSERT_EQ(models["data"].size(), 2U);
  EXPECT_EQ(models["data"][0]["id"], "short");
  EXPECT_EQ(models["data"][0]["root"], "big/model");
  EXPECT_EQ(models["data"][0]["max_model_len"], 99);
  EXPECT_EQ(post("/v1/completions", R"({"model": "other", "prompt": "a"})")->status, 200);
  EXPECT_EQ(post("/v1/completions", R"({"model": "big/model", "prompt": "a"})")->status, 404);
  EXPECT_THAT(get("/metrics")->body, HasSubstr("model_name=\"short\""));
}

TEST_F(VllmSim, HealthPingVersionAndThePodsName) {
  start({}, {{"POD_NAME", "vllm-7"}});
  EXPECT_EQ(get("/health")->status, 200);
  EXPECT_EQ(get("/ping")->status, 200);
  EXPECT_TRUE(json::parse(get("/version")->body).contains("version"));
  EXPECT_EQ(post("/v1/completions", kPrompt)->get_header_value("x-inference-pod"), "vllm-7");
}

TEST_F(VllmSim, TheSeedRotatesTheWords) {
  start({"--seed", "1"});
  EXPECT_EQ(json::parse(post("/v1/completions", kPrompt)->body)["choices"][0]["text"],
            " future of AI is The");
}

TEST_F(VllmSim, RunsMaxNumSeqsAtOnceAndCountsTheOthersAsWaiting) {
  start({"--max-num-seqs", "2", "--time-to-first-token", "600000"});
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i) {
    threads.emplace_back([this] { EXPECT_FALSE(post("/v1/completions", kPrompt)); });
  }
  EXPECT_TRUE(eventually([this] {
    return metric("vllm:num_requests_running") == 2 && metric("vllm:num_requests_waiting") == 1;
  }));
  EXPECT_EQ(metric("vllm:kv_cache_usage_perc"), 1);
  sim_->signal(SIGKILL);  // ends the three
  for (std::thread& thread : threads) thread.join();
}

TEST_F(VllmSim, SaturatedAboveANumber_HealthIsAnsweredWhenThereAreFewer) {
  start({"--saturated-above", "1", "--time-to-first-token", "600000"});
  const auto ask = [this] { return std::thread([this] { EXPECT_FALSE(post("/v1/completions", kPrompt)); }); };
  std::thread first = ask();
  ASSERT_TRUE(busy_with(1));
  EXPECT_EQ(get("/health")->status, 200);
  std::thread second = ask();
  ASSERT_TRUE(busy_with(2));
  const auto impatient = client();
  impatient->set_read_timeout(200ms);
  EXPECT_FALSE(impatient->Get("/health"));
  EXPECT_EQ(get("/metrics")->status, 200) << "all else is answered";
  sim_->signal(SIGKILL);  // ends both
  first.join();
  second.join();
}

TEST_F(VllmSim, AWaitingRequestGetsTheNextFreePlace) {
  start({"--max-num-seqs", "1", "--time-to-first-token", "100"});
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i) {
    threads.emplace_back([this] {
      const auto result = post("/v1/completions", kPrompt);
      EXPECT_TRUE(result && result->status == 200);
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(metric("vllm:request_success_total", "finished_reason=\"length\""), 3);
}

TEST_F(VllmSim, ShowsEachDataParallelEngine) {
  start({"--data-parallel-size", "2", "--time-to-first-token", "600000"});
  std::thread first([this] { post("/v1/completions", kPrompt); });
  std::thread second([this] { post("/v1/completions", kPrompt); });
  EXPECT_TRUE(busy_with(2));
  EXPECT_EQ(metric("vllm:num_requests_running", "engine=\"0\""), 1);
  EXPECT_EQ(metric("vllm:num_requests_running", "engine=\"1\""), 1);
  sim_->signal(SIGKILL);
  first.join();
  second.join();
}

TEST_F(VllmSim, AClientThatHangsUpEndsItsGeneration) {
  start({"--time-to-first-token", "600000"});
  {
    auto impatient = client();
    impatient->set_read_timeout(200ms);
    EXPECT_FALSE(impatient->Post("/v1/completions", kPrompt, "application/json"));
  }
  EXPECT_TRUE(eventually([this] {
    return metric("vllm:request_success_total", "finished_reason=\"abort\"") == 1 &&
           metric("vllm:num_requests_running") == 0;
  }));
}

TEST_F(VllmSim, RefusesConnectionsWhileItLoads) {
  SpawnSpec spec{{VLLM_SIM, "--host", "127.0.0.1", "--port", "0", "--startup-duration", "600"}, {}};
  auto started = RunningProgram::start(spec);
  ASSERT_TRUE(started) << started.error();
  ASSERT_TRUE((*started)->wait_for_line("Loading model", kPatience));
  EXPECT_THAT((*started)->output(), Not(HasSubstr("running on")));
  (*started)->signal(SIGTERM);
  EXPECT_EQ((*started)->wait_for_exit(kPatience), 0);
}

TEST_F(VllmSim, SigtermCutsRequestsInFlight) {
  start({"--time-to-first-token", "600000"});
  std::atomic<bool> answered{true};
  std::thread request([&] { answered = static_cast<bool>(post("/v1/completions", kPrompt)); });
  EXPECT_TRUE(busy_with(1));
  sim_->signal(SIGTERM);
  EXPECT_EQ(sim_->wait_for_exit(kPatience), 0) << sim_->output();
  request.join();
  EXPECT_FALSE(answered);
  EXPECT_FALSE(get("/health")) << "nobody listens any more";
}

TEST_F(VllmSim, ShutdownTimeout_FinishesOldAndRefusesNew) {
  // Long enough for the steps below on a busy machine.
  start({"--time-to-first-token", "6000", "--shutdown-timeout", "60"});
  std::atomic<int> status{0};
  std::thread request([&] {
    const auto result = post("/v1/completions", kPrompt);
    status = result ? result->status : -1;
  });
  EXPECT_TRUE(busy_with(1));
  sim_->signal(SIGTERM);
  ASSERT_TRUE(sim_->wait_for_line("Shutting down", kPatience));
  const auto refused = post("/v1/completions", kPrompt);
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->status, 503);
  EXPECT_EQ(get("/health")->status, 200) << "as vLLM's, it says nothing about draining";
  EXPECT_EQ(sim_->wait_for_exit(kPatience), 0) << sim_->output();
  request.join();
  EXPECT_EQ(status, 200);
}

TEST_F(VllmSim, TheShutdownTimeoutIsALimit) {
  start({"--time-to-first-token", "600000", "--shutdown-timeout", "1"});
  std::thread request([&] { EXPECT_FALSE(post("/v1/completions", kPrompt)); });
  EXPECT_TRUE(busy_with(1));
  sim_->signal(SIGTERM);
  EXPECT_EQ(sim_->wait_for_exit(kPatience), 0) << sim_->output();
  EXPECT_THAT(sim_->output(), HasSubstr("Aborting 1 requests in flight"));
  request.join();
}

TEST(VllmSimOptions, BadOnesAreRefusedWithTheirNames) {
  for (const std::vector<std::string>& options : {std::vector<std::string>{"--port", "70000"},
                                                  {"--max-num-seqs", "0"},
                                                  {"--nonsense"},
                                                  {"--time-to-first-token", "soon"}}) {
    SpawnSpec spec{{VLLM_SIM}, {}};
    spec.argv.insert(spec.argv.end(), options.begin(), options.end());
    auto program = RunningProgram::start(spec);
    ASSERT_TRUE(program) << program.error();
    EXPECT_EQ((*program)->wait_for_exit(kPatience), 2);
    EXPECT_TRUE((*program)->wait_for_line(options.front(), kPatience)) << (*program)->output();
  }
}

TEST(VllmSimOptions, HelpSaysThatItIsAStandIn) {
  auto program = RunningProgram::start({{VLLM_SIM, "--help"}, {}});
  ASSERT_TRUE(program) << program.error();
  EXPECT_EQ((*program)->wait_for_exit(kPatience), 0);
  EXPECT_TRUE((*program)->wait_for_line("stand-in for a vLLM server", kPatience));
}

}  // namespace
}  // namespace poolwarden::cluster
