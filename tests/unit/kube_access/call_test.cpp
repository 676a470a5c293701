// What each Call looks like on the wire.
#include "kube/client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace poolwarden::kube {
namespace {

constexpr ResourceType kCallPools{"poolwarden.io", "v1alpha1", "inferencepools", "InferencePool"};

Call list(const ResourceType& type, std::string ns) {
  Call call;
  call.verb = Verb::kList;
  call.type = type;
  call.ns = std::move(ns);
  return call;
}

template <class Change>
Call with(Call call, Change change) {
  change(call);
  return call;
}

struct CallRow {
  std::string name;
  Call call;
  HttpMethod method;
  std::string target;
  std::string content_type;
  std::string body;
  bool safe_to_repeat;
  std::string description;
};

class CallOnTheWire : public ::testing::TestWithParam<CallRow> {};

TEST_P(CallOnTheWire, Is) {
  const CallRow& row = GetParam();
  const HttpRequest request = to_http(row.call);
  EXPECT_EQ(request.method, row.method);
  EXPECT_EQ(request.target, row.target);
  EXPECT_EQ(request.content_type, row.content_type);
  EXPECT_EQ(request.body, row.body);
  EXPECT_EQ(request.safe_to_repeat, row.safe_to_repeat);
  EXPECT_EQ(request.deadline, row.call.deadline);
  EXPECT_EQ(describe(row.call), row.description);
}

const std::string kJson = "application/json";
const std::string kMerge = "application/merge-patch+json";

INSTANTIATE_TEST_SUITE_P(
    Calls, CallOnTheWire,
    ::testing::Values(
        CallRow{"Get", get(kPods, "ns", "web-1"), HttpMethod::kGet, "/api/v1/namespaces/ns/pods/web-1", "",
                "", true, "get pods ns/web-1"},
        CallRow{"GetOfAGroup", get(kDeployments, "ns", "web"), HttpMethod::kGet,
                "/apis/apps/v1/namespaces/ns/deployments/web", "", "", true, "get deployments ns/web"},
        CallRow{"GetClusterScoped", get(kNodes, "", "n1"), HttpMethod::kGet, "/api/v1/nodes/n1", "", "", true,
                "get nodes n1"},
        CallRow{"ClusterScopedIgnoresANamespace", get(kNodes, "ns", "n1"), HttpMethod::kGet,
                "/api/v1/nodes/n1", "", "", true, "get nodes ns/n1"},
        CallRow{"NamesAreEncoded", get(kPods, "ns", "a/../b?x"), HttpMethod::kGet,
                "/api/v1/namespaces/ns/pods/a%2F..%2Fb%3Fx", "", "", true, "get pods ns/a/../b?x"},
        CallRow{"ListEverywhere", list(kPods, ""), HttpMethod::kGet, "/api/v1/pods", "", "", true,
                "list pods in all namespaces"},
        CallRow{"ListInOneNamespace", list(kCallPools, "ns"), HttpMethod::kGet,
                "/apis/poolwarden.io/v1alpha1/namespaces/ns/inferencepools", "", "", true,
                "list inferencepools in namespace ns"},
        CallRow{"ListWithEverything",
                with(list(kPods, "ns"),
                     [](Call& call) {
                       call.label_selector = "app=vllm,tier in (a,b)";
                       call.field_selector = "spec.nodeName=n1";
                       call.limit = 500;
                       call.resource_version = "0";
                     }),
                HttpMethod::kGet,
                "/api/v1/namespaces/ns/"
                "pods?labelSelector=app%3Dvllm%2Ctier%20in%20%28a%2Cb%29&fieldSelector=spec.nodeName%"
                "3Dn1&limit=500&resourceVersion=0",
                "", "", true, "list pods in namespace ns"},
        CallRow{"ANextPageNamesNoVersion",
                with(list(kPods, ""),
                     [](Call& call) {
                       call.limit = 500;
                       call.continue_token = "abc+/=";
                       call.resource_version = "7";
                     }),
                HttpMethod::kGet, "/api/v1/pods?limit=500&continue=abc%2B%2F%3D", "", "", true,
                "list pods in all namespaces"},
        CallRow{"Watch",
                with(list(kPods, ""),
                     [](Call& call) {
                       call.verb = Verb::kWatch;
                       call.resource_version = "42";
                       call.watch_timeout = std::chrono::seconds(290);
                       call.limit = 500;  // means nothing to a watch
                     }),
                HttpMethod::kGet,
                "/api/v1/pods?watch=true&allowWatchBookmarks=true&resourceVersion=42&timeoutSeconds=290", "",
                "", true, "watch pods in all namespaces"},
        CallRow{"Create", create(kEvents, "ns", "{}"), HttpMethod::kPost,
                "/apis/events.k8s.io/v1/namespaces/ns/events?fieldManager=poolwarden", kJson, "{}", false,
                "create events in namespace ns"},
        CallRow{"CreateWithOwnerIsNotRepeated",
                create(kConfigMaps, "ns", R"({"metadata":{"ownerReferences":[{"uid":"u"}]}})"),
                HttpMethod::kPost, "/api/v1/namespaces/ns/configmaps?fieldManager=poolwarden", kJson,
                R"({"metadata":{"ownerReferences":[{"uid":"u"}]}})", false,
                "create configmaps in namespace ns"},
        CallRow{
            "GuardedUpdate", guarded(update(kLeases, "ns", "l", R"({"metadata":{"resourceVersion":"7"}})")),
            HttpMethod::kPut, "/apis/coordination.k8s.io/v1/namespaces/ns/leases/l?fieldManager=poolwarden",
            kJson, R"({"metadata":{"resourceVersion":"7"}})", true, "update leases ns/l"},
        CallRow{"UpdateUnconditional", update(kLeases, "ns", "l", "{}"), HttpMethod::kPut,
                "/apis/coordination.k8s.io/v1/namespaces/ns/leases/l?fieldManager=poolwarden", kJson, "{}",
                false, "update leases ns/l"},
        CallRow{"MergePatchOfASubresource", merge_patch(kPods, "ns", "p", R"({"status":{}})", "status"),
                HttpMethod::kPatch, "/api/v1/namespaces/ns/pods/p/status?fieldManager=poolwarden", kMerge,
                R"({"status":{}})", false, "merge-patch pods ns/p/status"},
        CallRow{"GuardedMergePatch", guarded(merge_patch(kPods, "ns", "p", R"({"metadata":{"uid":"u"}})")),
                HttpMethod::kPatch, "/api/v1/namespaces/ns/pods/p?fieldManager=poolwarden", kMerge,
                R"({"metadata":{"uid":"u"}})", true, "merge-patch pods ns/p"},
        CallRow{"MergePatchWithOwnerIsNotRepeated",
                merge_patch(kServices, "ns", "s", R"({"metadata":{"ownerReferences":[{"uid":"u"}]}})"),
                HttpMethod::kPatch, "/api/v1/namespaces/ns/services/s?fieldManager=poolwarden", kMerge,
                R"({"metadata":{"ownerReferences":[{"uid":"u"}]}})", false, "merge-patch services ns/s"},
        CallRow{"APreconditionInsideDataIsNone",
                merge_patch(kConfigMaps, "ns", "c",
                            R"({"data":{"x":"{\"resourceVersion\":\"7\",\"uid\":\"u\"}"}})"),
                HttpMethod::kPatch, "/api/v1/namespaces/ns/configmaps/c?fieldManager=poolwarden", kMerge,
                R"({"data":{"x":"{\"resourceVersion\":\"7\",\"uid\":\"u\"}"}})", false,
                "merge-patch configmaps ns/c"},
        CallRow{
            "DeleteOfAnIdentity", remove(kPods, "ns", "p", {"u-1", "7"}), HttpMethod::kDelete,
            "/api/v1/namespaces/ns/pods/p", kJson,
            R"({"apiVersion":"v1","kind":"DeleteOptions","preconditions":{"resourceVersion":"7","uid":"u-1"}})",
            true, "delete pods ns/p"},
        CallRow{"DeleteUnconditional", remove(kPods, "ns", "p", {}), HttpMethod::kDelete,
                "/api/v1/namespaces/ns/pods/p", kJson, R"({"apiVersion":"v1","kind":"DeleteOptions"})", false,
                "delete pods ns/p"}),
    [](const auto& row) { return row.param.name; });

TEST(AnswerLimit, IsThatOfOneObjectButForLists) {
  EXPECT_EQ(to_http(get(kPods, "ns", "p")).max_response_bytes, 16U << 20);
  EXPECT_EQ(to_http(create(kPods, "ns", "{}")).max_response_bytes, 16U << 20);
  EXPECT_EQ(to_http(list(kPods, "ns")).max_response_bytes, 64U << 20);
}

TEST(CallLane, IsCarriedToTheTransport) {
  EXPECT_EQ(to_http(get(kPods, "ns", "p")).lane, CallLane::kRest);
  Call lease = get(kLeases, "ns", "l");
  lease.lane = CallLane::kLease;
  EXPECT_EQ(to_http(lease).lane, CallLane::kLease);
}

// A transport that answers at once with what it was given.
class CannedTransport final : public Transport {
 public:
  explicit CannedTransport(tl::expected<HttpResponse, TransportError> answer) : answer_(std::move(answer)) {}

  void send(HttpRequest, Callback done) override { done(answer_); }
  std::unique_ptr<StreamHandle> stream(HttpRequest, std::chrono::milliseconds,
                                       std::shared_ptr<StreamHandler> handler) override {
    if (!answer_) {
      handler->on_end(answer_.error());
    } else {
      handler->on_head(*answer_);
      if (answer_->status < 300) {
        handler->on_data("{}\n");
      }
      handler->on_end(end);
    }
    return nullptr;
  }

  std::optional<TransportError> end;

 private:
  const tl::expected<HttpResponse, TransportError> answer_;
};

HttpResponse response(int status, std::string body, std::string content_type = "application/json") {
  HttpResponse out;
  out.status = status;
  out.body = std::move(body);
  out.content_type = std::move(content_type);
  return out;
}

// A transport that keeps the request it was given.
class KeepingTransport final : public Transport {
 public:
  void send(HttpRequest request, Callback) override { kept = std::move(request); }
  std::unique_ptr<StreamHandle> stream(HttpRequest, std::chrono::milliseconds,
                                       std::shared_ptr<StreamHandler>) override {
    return nullptr;
  }

  HttpRequest kept;
};

TEST(Client, MovedCall_BodyIsNotCopied) {
  Call call = merge_patch(kConfigMaps, "ns", "c", std::string(1000, 'x'));
  const char* const text = call.body.data();
  KeepingTransport transport;
  Client(transport).send(std::move(call), [](const Result<std::string>&) {});
  EXPECT_EQ(transport.kept.body.data(), text);
}

Result<std::string> send_over(tl::expected<HttpResponse, TransportError> answer) {
  CannedTransport transport(std::move(answer));
  std::optional<Result<std::string>> got;
  Client(transport).send(get(kPods, "ns", "p"), [&](Result<std::string> result) { got = std::move(result); });
  return *got;
}

TEST(Client, ReturnsTheBodyOfASuccess) {
  EXPECT_EQ(send_over(response(200, "{}")).value(), "{}");
  EXPECT_EQ(send_over(response(204, "")).value(), "");
}

TEST(Client, RefusesASuccessThatIsAWebPage) {
  const auto result = send_over(response(200, "<html>", "text/html; charset=utf-8"));
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().cls, ErrorClass::kTerminal);
  EXPECT_THAT(result.error().message, ::testing::HasSubstr("proxy"));
}

TEST(Client, TurnsFailuresIntoErrors) {
  EXPECT_EQ(send_over(response(409, "{}")).error().cls, ErrorClass::kConflict);
  EXPECT_EQ(send_over(tl::unexpected(TransportError{TransportFailure::kCut, "cut"})).error().cls,
            ErrorClass::kRetry);
}

TEST(Client, AsksForTheEncodingThatIsPreferred) {
  EXPECT_EQ(to_http(get(kPods, "ns", "p")).accept, "application/json");
  const HttpRequest request = to_http(update(kPods, "ns", "p", "{}"), Encoding::kProtobuf);
  EXPECT_EQ(request.accept, "application/vnd.kubernetes.protobuf, application/json");
  EXPECT_EQ(request.content_type, "application/json") << "what is written stays JSON";
}

TEST(Client, SaysInWhatTheAnswerIs) {
  for (const auto& [type, encoding] : {std::pair{"application/vnd.kubernetes.protobuf", Encoding::kProtobuf},
                                       {"application/json", Encoding::kJson}}) {
    CannedTransport transport(response(200, "body", type));
    std::optional<Result<Body>> got;
    Client(transport).send(get(kPods, "ns", "p"), Encoding::kProtobuf,
                           [&](Result<Body> result) { got = std::move(result); });
    EXPECT_EQ((*got)->encoding, encoding);
    EXPECT_EQ((*got)->text, "body");
  }
}

TEST(Client, WhoWantsJsonIsNotGivenProtobuf) {
  const auto result = send_over(response(200, "k8s", "application/vnd.kubernetes.protobuf"));
  ASSERT_FALSE(result);
  EXPECT_THAT(result.error().message, ::testing::HasSubstr("protobuf"));
}

struct Watched final : WatchHandler {
  void on_open(Encoding) override { log += "open "; }
  void on_data(std::string_view chunk) override { log.append("data:").append(chunk).append(" "); }
  void on_end(std::optional<Error> error) override {
    log += error ? "end:" + std::string(to_string(error->cls)) : "end";
  }
  std::string log;
};

std::string watch_over(tl::expected<HttpResponse, TransportError> answer,
                       std::optional<TransportError> end = std::nullopt) {
  CannedTransport transport(std::move(answer));
  transport.end = std::move(end);
  const auto watched = std::make_shared<Watched>();
  Call call = list(kPods, "");
  call.verb = Verb::kWatch;
  EXPECT_EQ(Client(transport).watch(call, std::chrono::seconds(1), watched), nullptr);
  return watched->log;
}

TEST(ClientWatch, PassesAnAcceptedStreamOn) {
  EXPECT_EQ(watch_over(response(200, "")), "open data:{}\n end");
}

TEST(ClientWatch, EndsWithTheTransportsError) {
  EXPECT_EQ(watch_over(response(200, ""), TransportError{TransportFailure::kTimeout, "idle"}),
            "open data:{}\n end:retry");
  EXPECT_EQ(watch_over(tl::unexpected(TransportError{TransportFailure::kCancelled, "x"})), "end:shutdown");
}

TEST(ClientWatch, NeverOpensARefusedOne) {
  EXPECT_EQ(watch_over(response(410, "")), "end:relist");
  EXPECT_EQ(watch_over(response(200, "", "text/html")), "end:terminal");
}

}  // namespace
}  // namespace poolwarden::kube
