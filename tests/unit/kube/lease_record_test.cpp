#include "kube/lease_record.h"

#include <chrono>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace poolwarden::kube {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

TEST(LeaseRecord, ReadsWhatTheApiServerSends) {
  const auto record = parse_lease(R"({"metadata": {"uid": "u", "resourceVersion": "7"}, "spec": {
      "holderIdentity": "a", "leaseDurationSeconds": 15, "leaseTransitions": 2,
      "acquireTime": "t0", "renewTime": "t1"}})");
  ASSERT_TRUE(record);
  EXPECT_EQ(record->uid, "u");
  EXPECT_EQ(record->resource_version, "7");
  EXPECT_EQ(record->term.holder, "a");
  EXPECT_EQ(record->term.duration, 15s);
  EXPECT_EQ(record->term.transitions, 2);
  EXPECT_EQ(record->term.acquire_time, "t0");
  EXPECT_EQ(record->term.renew_time, "t1");
}

TEST(LeaseRecord, ForgivesWhatItCanLiveWithout) {
  struct Row {
    const char* name;
    const char* spec;
    std::optional<std::chrono::seconds> duration;
    std::int64_t transitions;
  };
  for (const Row& row : std::vector<Row>{
           {"no spec", "null", std::nullopt, 0},
           {"empty spec", "{}", std::nullopt, 0},
           {"everything null", R"({"holderIdentity": null, "leaseDurationSeconds": null, "renewTime": null})",
            std::nullopt, 0},
           {"a duration of zero", R"({"leaseDurationSeconds": 0})", std::nullopt, 0},
           {"a negative duration", R"({"leaseDurationSeconds": -1})", std::nullopt, 0},
           {"a duration beyond int32", R"({"leaseDurationSeconds": 18446744073709551615})", std::nullopt, 0},
           {"a duration as text", R"({"leaseDurationSeconds": "15"})", std::nullopt, 0},
           {"a fraction", R"({"leaseDurationSeconds": 1.5, "leaseTransitions": 1e300})", std::nullopt, 0},
           {"negative transitions", R"({"leaseTransitions": -5})", std::nullopt, 0},
           {"the largest values", R"({"leaseDurationSeconds": 2147483647, "leaseTransitions": 2147483647})",
            2147483647s, 2147483647},
       }) {
    const auto record = parse_lease(
        std::string(R"({"metadata": {"uid": "u", "resourceVersion": "7"}, "spec": )") + row.spec + "}");
    ASSERT_TRUE(record) << row.name;
    EXPECT_EQ(record->term.holder, "") << row.name;
    EXPECT_EQ(record->term.duration, row.duration) << row.name;
    EXPECT_EQ(record->term.transitions, row.transitions) << row.name;
    LeaseTerm next = record->term;
    next.transitions += 1;
    EXPECT_LE(
        nlohmann::json::parse(updated_lease(*record, next))["spec"]["leaseTransitions"].get<std::int64_t>(),
        2147483647)
        << row.name;
  }
}

TEST(LeaseRecord, RefusesWhatItCannotReasonAbout) {
  struct Row {
    const char* name;
    std::string body;
    const char* why;
  };
  const std::string meta = R"({"metadata": {"uid": "u", "resourceVersion": "7"}, "spec": )";
  for (const Row& row : std::vector<Row>{
           {"nothing", "", "not a JSON object"},
           {"a proxy's page", "<html>", "not a JSON object"},
           {"cut in the middle", meta + "{", "not a JSON object"},
           {"a list", "[]", "not a JSON object"},
           {"no metadata", "{}", "no resourceVersion"},
           {"no resourceVersion", R"({"metadata": {"uid": "u"}})", "no resourceVersion"},
           {"a number as resourceVersion", R"({"metadata": {"resourceVersion": 7}})", "no resourceVersion"},
           {"a list as spec", meta + "[]}", "spec is not an object"},
           {"a number as holder", meta + R"({"holderIdentity": 3}})", "not a string"},
           {"an object as renewTime", meta + R"({"renewTime": {}}})", "not a string"},
           {"bytes that are no UTF-8", meta + "{\"holderIdentity\": \"\xff\"}}", "not a JSON object"},
           {"a million brackets", meta + std::string(1'000'000, '[') + std::string(1'000'000, ']') + "}",
            "too deep"},
       }) {
    const auto record = parse_lease(row.body);
    ASSERT_FALSE(record) << row.name;
    EXPECT_EQ(record.error().cls, ErrorClass::kTerminal) << row.name;
    EXPECT_THAT(record.error().message, HasSubstr(row.why)) << row.name;
  }
}

}  // namespace
}  // namespace poolwarden::kube
