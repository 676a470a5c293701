// The reader against vllm-sim: what it says while it is idle, busy, and idle again.
#include "integration/engine/load_reader_fixture.h"
#include "support/cluster/running_program.h"

#include <optional>
#include <thread>

#include <gmock/gmock.h>
#include <httplib.h>

namespace poolwarden::engine {
namespace {

using namespace std::chrono_literals;

// Where it listens; nothing if it does not.
std::optional<int> port_of(cluster::RunningProgram& vllm) {
  const auto line = vllm.wait_for_line("running on http://127.0.0.1:", kLong);
  if (!line) return std::nullopt;
  return std::stoi(line->substr(line->find("127.0.0.1:") + 10));
}

TEST(VllmSimLoad, WithAKey_IsReadByWhoHasIt) {
  auto started = cluster::RunningProgram::start(
      {{VLLM_SIM, "--host", "127.0.0.1", "--port", "0", "--metrics-api-key", "sesame"}, {}});
  ASSERT_TRUE(started) << started.error();
  const auto port = port_of(**started);
  ASSERT_TRUE(port) << (*started)->output();
  LoadReader reader(on_loopback());
  LoadRequest request{"127.0.0.1", {{*port, "/metrics", metrics_of({})}}, kLong};
  EXPECT_THAT(read_now(reader, request).error(),
              testing::HasSubstr("answered 401: an engine that wants a key"));
  request.sources[0].api_key = base::Shared(ApiKey{1, "sesam"});
  EXPECT_THAT(read_now(reader, request).error(), testing::HasSubstr("did not accept the key"));
  request.sources[0].api_key = base::Shared(ApiKey{2, "sesame"});
  const Answer answer = read_now(reader, request);
  ASSERT_TRUE(answer) << answer.error();
  EXPECT_EQ(answer->in_flight, 0);
}

TEST(VllmSimLoad, FollowsARequest) {
  auto started =
      cluster::RunningProgram::start({{VLLM_SIM, "--host", "127.0.0.1", "--port", "0", "--data-parallel-size",
                                       "2", "--max-num-seqs", "1", "--time-per-output-token", "20"},
                                      {}});
  ASSERT_TRUE(started) << started.error();
  const auto listens = port_of(**started);
  ASSERT_TRUE(listens) << (*started)->output();
  const int port = *listens;

  LoadReader reader(on_loopback());
  const auto load_becomes = [&](Load wanted) {
    const auto until = std::chrono::steady_clock::now() + kLong;
    Answer answer;
    do {
      answer = read_now(reader, {"127.0.0.1", {{port, "/metrics", metrics_of({})}}, kLong});
      if (answer && answer->in_flight == wanted.in_flight && answer->cache_usage == wanted.cache_usage)
        return testing::AssertionSuccess();
      std::this_thread::sleep_for(10ms);
    } while (std::chrono::steady_clock::now() < until);
    return testing::AssertionFailure() << (answer ? std::to_string(answer->in_flight) : answer.error());
  };
  EXPECT_TRUE(load_becomes({0, 0}));
  // The library makes its parser with the first answer: safely, but in code that ThreadSanitizer cannot see.
  EXPECT_TRUE(httplib::Client("127.0.0.1", port).Get("/health"));
  {
    std::vector<std::jthread> clients;  // two that run, one for each rank, and one that waits
    for (int i = 0; i < 3; ++i) {
      clients.emplace_back([port] {
        httplib::Client client("127.0.0.1", port);
        client.set_read_timeout(kLong);
        const auto result = client.Post("/v1/completions",
                                        R"({"model": "facebook/opt-125m", "prompt": "a", "max_tokens": 50})",
                                        "application/json");
        EXPECT_TRUE(result && result->status == 200);
      });
    }
    EXPECT_TRUE(load_becomes({3, 1}));
  }
  EXPECT_TRUE(load_becomes({0, 0}));
}

}  // namespace
}  // namespace poolwarden::engine
