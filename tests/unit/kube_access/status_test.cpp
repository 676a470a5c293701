// Every answer that is no success, and what the caller should do about it.
#include "kube/client.h"
#include "kube/watch_decoder.h"
#include "support/protobuf/wire.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace poolwarden::kube {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

Call list_pods() {
  Call call;
  call.verb = Verb::kList;
  call.type = kPods;
  return call;
}

constexpr ResourceType kPools{"poolwarden.io", "v1alpha1", "inferencepools", "InferencePool"};

Call list_pools() {
  Call call;
  call.verb = Verb::kList;
  call.type = kPools;
  return call;
}

std::string status(int code, const std::string& reason, const std::string& message,
                   const std::string& details = "{}") {
  return R"({"kind":"Status","apiVersion":"v1","status":"Failure","code":)" + std::to_string(code) +
         R"(,"reason":")" + reason + R"(","message":")" + message + R"(","details":)" + details + "}";
}

struct Row {
  std::string name;
  Call call;
  int http_status;
  std::string body;
  ErrorClass cls;
  std::string reason;
  std::string message_part;
  std::string content_type = "application/json";
};

class Answer : public ::testing::TestWithParam<Row> {};

TEST_P(Answer, IsClassed) {
  const Row& row = GetParam();
  HttpResponse answer;
  answer.status = row.http_status;
  answer.body = row.body;
  answer.content_type = row.content_type;
  const Error error = to_error(row.call, answer);
  EXPECT_EQ(error.cls, row.cls) << to_string(error.cls);
  EXPECT_EQ(error.http_status, row.http_status);
  EXPECT_EQ(error.reason, row.reason);
  EXPECT_THAT(error.message, HasSubstr(row.message_part));
  EXPECT_THAT(error.message, HasSubstr(describe(row.call)));
}

// A server that was asked for protobuf says no in protobuf too.
TEST_P(Answer, IsClassedAlikeInProtobuf) {
  const Row& row = GetParam();
  const auto document = nlohmann::json::parse(row.body, nullptr, false);
  if (!document.is_object() || document.value("kind", "") != "Status") return;
  HttpResponse answer;
  answer.status = row.http_status;
  answer.body = row.body;
  const Error expected = to_error(row.call, answer);
  answer.content_type = "application/vnd.kubernetes.protobuf";
  answer.body = protobuf_wire::object("Status", document);
  const Error error = to_error(row.call, answer);
  EXPECT_EQ(error.cls, expected.cls);
  EXPECT_EQ(error.reason, expected.reason);
  EXPECT_EQ(error.message, expected.message);
  EXPECT_EQ(error.retry_after, expected.retry_after);
}

TEST(ProtobufStatus, WhatIsNoneIsNotTakenForOne) {
  for (const std::string& body :
       {std::string(), std::string("k8s"), std::string("{}"), protobuf_wire::envelope("Status", "\x1a\x7f"),
        protobuf_wire::envelope("Pod", "")}) {
    HttpResponse answer;
    answer.status = 503;
    answer.content_type = "application/vnd.kubernetes.protobuf";
    answer.body = body;
    EXPECT_EQ(to_error(get(kPods, "ns", "p"), answer).cls, ErrorClass::kRetry);
    EXPECT_EQ(to_error(get(kPods, "ns", "p"), answer).reason, "ServiceUnavailable");
  }
}

const Call kGet = get(kPods, "ns", "p");
const Call kPatch = merge_patch(kConfigMaps, "x", "c", "{}");

INSTANTIATE_TEST_SUITE_P(
    Answers, Answer,
    ::testing::Values(
        Row{"NotFound", kGet, 404, status(404, "NotFound", R"(pods \"p\" not found)"), ErrorClass::kNotFound,
            "NotFound", R"(pods "p" not found)"},
        Row{"KindNotServed", list_pools(), 404, "404 page not found\n", ErrorClass::kNotFound, "NotFound",
            "is its CustomResourceDefinition installed?", "text/plain; charset=utf-8"},
        Row{"Conflict", kPatch, 409, status(409, "Conflict", "the object has been modified"),
            ErrorClass::kConflict, "Conflict", "the object has been modified"},
        Row{"AlreadyExists", kPatch, 409, status(409, "AlreadyExists", "exists"), ErrorClass::kConflict,
            "AlreadyExists", "exists"},
        Row{"GoneAtConnect", list_pods(), 410, status(410, "Expired", "too old resource version: 1 (2)"),
            ErrorClass::kRelist, "Expired", "too old"},
        Row{"GoneWithoutAWord", list_pods(), 410, "", ErrorClass::kRelist, "Gone", "answered 410"},
        Row{"ExpiredByReason", list_pods(), 400, status(400, "Expired", "the continue token is too old"),
            ErrorClass::kRelist, "Expired", "continue token"},
        Row{"TooLargeByCause", list_pods(), 504,
            status(
                504, "Timeout", "Timeout: Too large resource version: 9, current: 7",
                R"({"causes":[{"reason":"ResourceVersionTooLarge","message":"Too large resource version"}],)"
                R"("retryAfterSeconds":1})"),
            ErrorClass::kRelist, "Timeout", "ResourceVersionTooLarge"},
        Row{"TooLargeByCausesMessage", list_pods(), 504,
            status(504, "Timeout", "Timeout", R"({"causes":[{"message":"Too large resource version"}]})"),
            ErrorClass::kRelist, "Timeout", "Too large resource version"},
        Row{"TooLargeByMessage", list_pods(), 500,
            status(500, "InternalError", "Internal error: Too large resource version: 9, current: 7"),
            ErrorClass::kRelist, "InternalError", "Too large"},
        Row{"AnotherTimeout", list_pods(), 504, status(504, "Timeout", "request did not complete"),
            ErrorClass::kRetry, "Timeout", "did not complete"},
        Row{"TooManyRequests", kGet, 429,
            status(429, "TooManyRequests", "slow down", R"({"retryAfterSeconds":5})"), ErrorClass::kRetry,
            "TooManyRequests", "slow down"},
        Row{"Unavailable", kGet, 503, "upstream connect error", ErrorClass::kRetry, "ServiceUnavailable",
            "upstream connect error", "text/plain"},
        Row{"Internal", kGet, 500, status(500, "InternalError", "etcd"), ErrorClass::kRetry, "InternalError",
            "etcd"},
        Row{"BadGatewayPage", kGet, 502, "<html>\r\n<h1>502</h1>\x01</html>", ErrorClass::kRetry, "Unknown",
            "not by the API server but by a proxy", "text/html"},
        Row{"Unauthorized", kGet, 401, status(401, "Unauthorized", "Unauthorized"), ErrorClass::kForbidden,
            "Unauthorized", "check the token"},
        Row{"RbacPatch", kPatch, 403,
            status(403, "Forbidden", R"(configmaps \"c\" is forbidden: User \"sa\" cannot patch resource)"),
            ErrorClass::kForbidden, "Forbidden", "needs verb patch on configmaps in namespace x (RBAC)"},
        Row{"RbacListEverywhere", list_pools(), 403, status(403, "Forbidden", "User cannot list resource"),
            ErrorClass::kForbidden, "Forbidden",
            "needs verb list on inferencepools.poolwarden.io in all namespaces"},
        Row{"RbacSubresource", merge_patch(kPools, "x", "p", "{}", "status"), 403,
            status(403, "Forbidden", "User cannot patch resource"), ErrorClass::kForbidden, "Forbidden",
            "needs verb patch on inferencepools.poolwarden.io/status in namespace x"},
        Row{"RbacClusterScoped", get(kNodes, "", "n"), 403,
            status(403, "Forbidden", "User cannot get resource"), ErrorClass::kForbidden, "Forbidden",
            "needs verb get on nodes (RBAC)"},
        Row{"NamespaceTerminating", create(kConfigMaps, "x", "{}"), 403,
            status(403, "Forbidden",
                   "unable to create new content in namespace x because it is being terminated",
                   R"({"causes":[{"reason":"NamespaceTerminating","field":"metadata.namespace",)"
                   R"("message":"namespace x is being terminated"}]})"),
            ErrorClass::kForbidden, "Forbidden",
            "; metadata.namespace: namespace x is being terminated (NamespaceTerminating)"},
        Row{"Invalid", kPatch, 422, status(422, "Invalid", "spec.ports: Required value"),
            ErrorClass::kTerminal, "Invalid", "Required value"},
        Row{"PatchOfANamesake", kPatch, 422,
            status(
                422, "Invalid", R"(ConfigMap \"c\" is invalid: metadata.uid: field is immutable)",
                R"({"causes":[{"reason":"FieldValueInvalid","field":"metadata.uid","message":"immutable"}]})"),
            ErrorClass::kConflict, "Invalid", "field is immutable"},
        Row{"InvalidElsewhere", kPatch, 422,
            status(422, "Invalid", "bad", R"({"causes":[{"field":"spec.uid","message":"bad"}]})"),
            ErrorClass::kTerminal, "Invalid", "bad"},
        Row{"BadRequest", kPatch, 400, status(400, "BadRequest", "cannot parse"), ErrorClass::kTerminal,
            "BadRequest", "cannot parse"},
        Row{"MethodNotAllowed", kPatch, 405, "", ErrorClass::kTerminal, "MethodNotAllowed", "405"},
        Row{"RequestTooLarge", kPatch, 413, "", ErrorClass::kTerminal, "RequestEntityTooLarge", "413"},
        Row{"Redirect", kGet, 302, "", ErrorClass::kTerminal, "Unknown", "redirected"},
        Row{"StatusWithoutAnything", kGet, 500, R"({"kind":"Status"})", ErrorClass::kRetry, "",
            "answered 500"},
        Row{"WrongTypesInside", kGet, 500,
            R"({"kind":"Status","code":"x","reason":1,"message":[],"details":7})", ErrorClass::kRetry, "",
            "answered 500"},
        Row{"CausesOfWrongTypes", kGet, 500, R"({"kind":"Status","details":{"causes":[1,{"message":2}]}})",
            ErrorClass::kRetry, "", "answered 500"},
        Row{"WireStatusCounts", kGet, 503, status(200, "", "odd"), ErrorClass::kRetry, "", "odd"}),
    [](const auto& row) { return row.param.name; });

TEST(RetryAfter, ComesFromTheHeaderElseFromTheDetails) {
  HttpResponse answer;
  answer.status = 429;
  answer.body = status(429, "TooManyRequests", "x", R"({"retryAfterSeconds":5})");
  EXPECT_EQ(to_error(kGet, answer).retry_after, std::chrono::seconds(5));
  answer.retry_after = std::chrono::seconds(2);
  EXPECT_EQ(to_error(kGet, answer).retry_after, std::chrono::seconds(2));
  answer.retry_after.reset();
  answer.body = status(429, "TooManyRequests", "x", R"({"retryAfterSeconds":99999999999})");
  EXPECT_EQ(to_error(kGet, answer).retry_after, std::chrono::hours(1));
  answer.body = "";
  EXPECT_EQ(to_error(kGet, answer).retry_after, std::nullopt);
}

TEST(AnAbsurdAnswer, IsQuotedAndNotParsed) {
  HttpResponse answer;
  answer.status = 409;
  answer.body = status(409, "AlreadyExists", std::string(2U << 20, 'x'));
  const Error error = to_error(kGet, answer);
  EXPECT_EQ(error.cls, ErrorClass::kConflict);
  EXPECT_EQ(error.reason, "Conflict") << "of the code alone";
  EXPECT_LT(error.message.size(), 600U);
}

TEST(ForeignText, IsShortenedAndMadePrintable) {
  HttpResponse answer;
  answer.status = 502;
  answer.body = "a\nb\x1b[31m" + std::string(5000, 'x');
  const std::string message = to_error(kGet, answer).message;
  EXPECT_LT(message.size(), 600U);
  EXPECT_THAT(message, HasSubstr("a b\\x1b[31mxx"));
}

TEST(RbacHint, IsNotGivenForOtherRefusals) {
  const Error error = status_error(kPatch, WatchFailure{403, "Forbidden", "exceeded quota: compute", {}});
  EXPECT_EQ(error.cls, ErrorClass::kForbidden);
  EXPECT_THAT(error.message, Not(HasSubstr("RBAC")));
}

TEST(WatchErrorEvent, IsClassedAsAnAnswerIs) {
  const auto cls = [](WatchFailure failure) { return status_error(list_pods(), failure).cls; };
  EXPECT_EQ(cls({410, "Expired", "too old", {}}), ErrorClass::kRelist);
  EXPECT_EQ(cls({0, "Gone", "", {}}), ErrorClass::kRelist);
  EXPECT_EQ(cls({500, "InternalError", "x", {}}), ErrorClass::kRetry);
  const Error whole = status_error(list_pods(), WatchFailure{504, "Timeout", "m", std::chrono::seconds(1)});
  EXPECT_EQ(whole.http_status, 504);
  EXPECT_EQ(whole.retry_after, std::chrono::seconds(1));
}

TEST(TransportFailures, AreClassed) {
  const std::vector<std::pair<TransportFailure, ErrorClass>> rows = {
      {TransportFailure::kConnect, ErrorClass::kRetry},
      {TransportFailure::kNotSent, ErrorClass::kRetry},
      {TransportFailure::kTls, ErrorClass::kForbidden},
      {TransportFailure::kTimeout, ErrorClass::kRetry},
      {TransportFailure::kCut, ErrorClass::kRetry},
      {TransportFailure::kTooLarge, ErrorClass::kTerminal},
      {TransportFailure::kCredentials, ErrorClass::kForbidden},
      {TransportFailure::kCancelled, ErrorClass::kShutdown},
  };
  for (const auto& [kind, cls] : rows) {
    const Error error = to_error(kGet, TransportError{kind, "what happened"});
    EXPECT_EQ(error.cls, cls);
    EXPECT_EQ(error.http_status, 0);
    EXPECT_EQ(error.message, "get pods ns/p: what happened");
    EXPECT_FALSE(error.reason.empty());
  }
}

}  // namespace
}  // namespace poolwarden::kube
