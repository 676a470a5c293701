#include "gateway/worker_answers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace poolwarden::gateway {
namespace {

using testing::HasSubstr;

constexpr auto kVllm = WorkerDialect::kVllmRouter;
constexpr auto kSglang = WorkerDialect::kSglangRouter;
constexpr auto kSmg = WorkerDialect::kSmg;

// As the routers themselves answered.
constexpr std::string_view kVllmList =
    R"({"workers":[{"url":"http://10.0.0.2:8000","model_id":"unknown","worker_type":"regular","is_healthy":true,)"
    R"("load":0,"connection_mode":"Http","priority":50,"cost":1.0}],"total":1,)"
    R"("stats":{"prefill_count":0,"decode_count":0,"regular_count":1}})";
constexpr std::string_view kSmgList =
    R"({"workers":[{"id":"01a22b49-a271-74ce-985e-a436a4b1b9e9","model_id":"m","url":"http://10.0.0.1:8000",)"
    R"("models":[{"id":"m","model_type":["chat"]}],"worker_type":"regular","is_healthy":false,)"
    R"("status":"draining","load":1,"http2":false}],"total":1,"stats":{}})";

TEST(WorkerAnswers, ListOfVllmRouter) {
  const auto workers = parse_workers(kVllm, kVllmList);
  ASSERT_TRUE(workers);
  ASSERT_EQ(workers->size(), 1u);
  const ObservedWorker expected{"http://10.0.0.2:8000", "http://10.0.0.2:8000",
                                make_address("10.0.0.2", 8000), WorkerState::kServing};
  EXPECT_EQ(workers->front(), expected);
}

TEST(WorkerAnswers, ListOfSmgWithADrainingWorker) {
  const auto workers = parse_workers(kSmg, kSmgList);
  ASSERT_TRUE(workers);
  ASSERT_EQ(workers->size(), 1u);
  const ObservedWorker expected{"01a22b49-a271-74ce-985e-a436a4b1b9e9", "http://10.0.0.1:8000",
                                make_address("10.0.0.1", 8000), WorkerState::kDraining};
  EXPECT_EQ(workers->front(), expected);
}

struct Unreadable {
  std::string name;
  WorkerDialect dialect;
  std::string body;
  std::string says;
};
class UnreadableLists : public testing::TestWithParam<Unreadable> {};

TEST_P(UnreadableLists, AreErrorsWithTheFix) {
  const auto workers = parse_workers(GetParam().dialect, GetParam().body);
  ASSERT_FALSE(workers);
  EXPECT_THAT(workers.error().message, HasSubstr(GetParam().says));
  EXPECT_THAT(workers.error().message, HasSubstr("--dialect"));
  EXPECT_LT(workers.error().message.size(), 400u);
}

std::string many(std::size_t count) {
  std::string out = R"({"workers":[)";
  for (std::size_t i = 0; i < count; ++i) out += i == 0 ? R"({"url":"a"})" : R"(,{"url":"a"})";
  return out + "]}";
}

INSTANTIATE_TEST_SUITE_P(
    Answers, UnreadableLists,
    testing::Values(
        Unreadable{"nothing", kVllm, "", "is not JSON"}, Unreadable{"html", kVllm, "<html>", "is not JSON"},
        Unreadable{"cut", kSmg, std::string(kSmgList.substr(0, 90)), "is not JSON"},
        Unreadable{"not UTF-8", kVllm, "{\"workers\":[{\"url\":\"\xff\"}]}", "is not JSON"},
        Unreadable{"deep", kVllm, std::string(100'000, '['), "is not JSON"},
        Unreadable{"a list", kVllm, "[]", "it is not an object"},
        Unreadable{"no list", kVllm, R"({"urls":[]})", "\"workers\" is not a list"},
        Unreadable{"an object for a list", kSmg, R"({"workers":{}})", "\"workers\" is not a list"},
        Unreadable{"a number for a worker", kSmg, R"({"workers":[7]})", "a worker is not an object"},
        Unreadable{"no url", kVllm, R"({"workers":[{}]})", "no \"url\""},
        Unreadable{"a url of another type", kVllm, R"({"workers":[{"url":7}]})", "no \"url\""},
        Unreadable{"an empty url", kVllm, R"({"workers":[{"url":""}]})", "0 bytes"},
        Unreadable{"an endless url", kVllm, R"({"workers":[{"url":")" + std::string(50'000, 'x') + "\"}]}",
                   "50000 bytes"},
        Unreadable{"vllm-router's list for smg", kSmg, std::string(kVllmList), "no \"id\""},
        Unreadable{"an id that leads elsewhere", kSglang,
                   R"({"workers":[{"url":"http://10.0.0.1:1","id":"../flush_cache"}]})", "no \"id\""},
        Unreadable{"hundreds of thousands", kVllm, many(200'000), "200000 workers"},
        Unreadable{"deep and whole", kVllm, std::string(500'000, '[') + std::string(500'000, ']'),
                   "not an object"},
        Unreadable{"endless", kVllm, std::string(kMaxListBytes + 1, ' '), "4194305 bytes"}),
    [](const auto& each) {
      std::string name = each.param.name;
      for (char& c : name) c = std::isalnum(static_cast<unsigned char>(c)) != 0 ? c : '_';
      return name;
    });

TEST(WorkerAnswers, UrlsThatAreAddresses) {
  EXPECT_EQ(parse_worker_url("http://10.0.0.1:8000"), make_address("10.0.0.1", 8000));
  EXPECT_EQ(parse_worker_url("http://10.0.0.1:8000/"), make_address("10.0.0.1", 8000));
  EXPECT_EQ(parse_worker_url("http://[fd00:0::1]:8000"), make_address("fd00::1", 8000));
  for (const char* other : {"", "http://", "10.0.0.1:8000", "https://10.0.0.1:8000", "http://10.0.0.1",
                            "http://10.0.0.1:0", "http://10.0.0.1:65536", "http://10.0.0.1:8000/v1",
                            "http://10.0.0.1:8000@0", "http://[10.0.0.1]:8000", "http://fd00::1:8000",
                            "http://vllm.default.svc:8000", "http://u@10.0.0.1:8000", "grpc://10.0.0.1:8000"})
    EXPECT_EQ(parse_worker_url(other), std::nullopt) << other;
}

TEST(WorkerAnswers, IdsAndJobs) {
  EXPECT_EQ(parse_added_id(R"({"status":"accepted","worker_id":"0a-1b"})"), "0a-1b");
  for (const char* other :
       {"", "[]", "{}", R"({"worker_id":7})", R"({"worker_id":""})", R"({"worker_id":"a/b"})"})
    EXPECT_EQ(parse_added_id(other), std::nullopt) << other;
  const auto failed = parse_addition_job(R"({"job_status":{"status":"failed","message":"no\nroute"}})");
  ASSERT_TRUE(failed);
  EXPECT_TRUE(failed->failed);
  EXPECT_EQ(failed->message, "no?route");
  const auto going = parse_addition_job(R"({"job_status":{"status":"processing","message":null}})");
  ASSERT_TRUE(going);
  EXPECT_FALSE(going->failed);
  for (const char* other : {"", "7", "{}", R"({"job_status":7})"})
    EXPECT_FALSE(parse_addition_job(other)) << other;
}

TEST(WorkerAnswers, DialectsHaveNames) {
  for (const auto dialect : {kVllm, kSglang, kSmg})
    EXPECT_EQ(parse_worker_dialect(to_string(dialect)), dialect);
  EXPECT_EQ(parse_worker_dialect("VLLM"), std::nullopt);
}

}  // namespace
}  // namespace poolwarden::gateway
