// Creating, reading and replacing one object.
#include "model_fixture.h"

namespace poolwarden::apiserver {
namespace {

using ::testing::HasSubstr;

TEST_F(ModelTest, ACreatedObjectGetsItsMetadata) {
  const Answer made = post(kPodsPath, pod("a"));
  ASSERT_EQ(made.status, 201);
  EXPECT_EQ(made.body["apiVersion"], "v1");
  EXPECT_EQ(made.body["kind"], "Pod");
  EXPECT_EQ(made.body["metadata"]["namespace"], "default");
  EXPECT_EQ(made.body["metadata"]["creationTimestamp"], "2027-01-15T08:00:00Z");
  EXPECT_EQ(made.uid().size(), 36U);
  EXPECT_EQ(made.body["status"]["phase"], "Pending");
  EXPECT_EQ(made.body["spec"]["terminationGracePeriodSeconds"], 30);
  EXPECT_EQ(get(std::string(kPodsPath) + "/a").body, made.body);
}

TEST_F(ModelTest, TheSameSeedMakesTheSameUids) {
  Model other;
  kube::HttpRequest request;
  request.method = kube::HttpMethod::kPost;
  request.target = kMapsPath;
  request.body = config_map("m").dump();
  EXPECT_EQ(model.handle(request, now).body, other.handle(request, now).body);
}

TEST_F(ModelTest, GeneratedNamesDiffer) {
  const json body = {{"metadata", {{"generateName", "gen-"}}}};
  const std::string first = post(kMapsPath, body).body["metadata"]["name"];
  const std::string second = post(kMapsPath, body).body["metadata"]["name"];
  EXPECT_THAT(first, ::testing::StartsWith("gen-"));
  EXPECT_EQ(first.size(), 9U);
  EXPECT_NE(first, second);
}

TEST_F(ModelTest, RefusalsAreTheRealOnes) {
  post(kMapsPath, config_map("m"));
  const std::string at = std::string(kMapsPath) + "/m";
  const json bad_label = {{"metadata", {{"name", "x"}, {"labels", {{"a", "not ok"}}}}}};
  struct Row {
    const char* situation;
    kube::HttpMethod method;
    std::string target;
    json body;
    int status;
    const char* reason;
    const char* message;
  };
  using M = kube::HttpMethod;
  const std::vector<Row> rows = {
      {"not there",
       M::kGet,
       std::string(kMapsPath) + "/no",
       {},
       404,
       "NotFound",
       "configmaps \"no\" not found"},
      {"exists", M::kPost, kMapsPath, config_map("m"), 409, "AlreadyExists",
       "configmaps \"m\" already exists"},
      {"no namespace", M::kPost, "/api/v1/namespaces/nowhere/configmaps", config_map("m"), 404, "NotFound",
       "namespaces \"nowhere\" not found"},
      {"old version",
       M::kPut,
       at,
       {{"metadata", {{"name", "m"}, {"resourceVersion", "1"}}}},
       409,
       "Conflict",
       "the object has been modified"},
      {"other uid",
       M::kPut,
       at,
       {{"metadata", {{"name", "m"}, {"uid", "u"}}}},
       409,
       "Conflict",
       "UID in precondition: u"},
      {"other name", M::kPut, at, config_map("n"), 400, "BadRequest", "does not match the name on the URL"},
      {"other namespace",
       M::kPost,
       kMapsPath,
       {{"metadata", {{"name", "x"}, {"namespace", "other"}}}},
       400,
       "BadRequest",
       "does not match the namespace"},
      {"other kind",
       M::kPost,
       kMapsPath,
       {{"kind", "Pod"}, {"metadata", {{"name", "x"}}}},
       400,
       "BadRequest",
       "does not match the expected kind"},
      {"no name",
       M::kPost,
       kMapsPath,
       {{"metadata", json::object()}},
       422,
       "Invalid",
       "name or generateName is required"},
      {"bad name", M::kPost, kMapsPath, config_map("No_Good"), 422, "Invalid", "RFC 1123"},
      {"bad label", M::kPost, kMapsPath, bad_label, 422, "Invalid", "a valid label must be"},
      {"number as data", M::kPost, kMapsPath, config_map("x", {{"a", 1}}), 422, "Invalid",
       "must be a string"},
      {"not JSON", M::kPost, kMapsPath, "{", 400, "BadRequest", "neither valid JSON nor YAML"},
      {"nested without end", M::kPost, kMapsPath, std::string(100'000, '['), 400, "BadRequest",
       "neither valid JSON"},
      {"put on nothing", M::kPut, std::string(kMapsPath) + "/no", config_map("no"), 404, "NotFound",
       "not found"},
      {"version on create",
       M::kPost,
       kMapsPath,
       {{"metadata", {{"name", "x"}, {"resourceVersion", "4"}}}},
       500,
       "",
       "resourceVersion should not be set"},
      {"too big", M::kPost, kMapsPath, config_map("x", {{"a", std::string(1'100'000, 'a')}}), 422, "Invalid",
       "Too long"},
      {"post on an object", M::kPost, at, config_map("m"), 405, "MethodNotAllowed",
       "does not allow this method"},
      {"status of a type without one", M::kGet, at + "/status", {}, 404, "", ""},
      {"unknown resource", M::kGet, "/api/v1/frogs", {}, 404, "", ""},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(row.situation);
    const Answer answer = ask(row.method, row.target, row.body);
    EXPECT_EQ(answer.status, row.status);
    if (answer.body.is_discarded()) continue;  // plain text, as for unknown paths
    EXPECT_EQ(answer.reason(), row.reason);
    EXPECT_THAT(answer.message(), HasSubstr(row.message));
    EXPECT_EQ(answer.body["code"], row.status);
  }
}

TEST_F(ModelTest, AnUpdateThatChangesNothingIsNone) {
  const Answer made = post(kMapsPath, config_map("m", {{"a", "1"}}));
  const std::uint64_t before = model.revision();
  const Answer again = put(std::string(kMapsPath) + "/m", config_map("m", {{"a", "1"}}));
  EXPECT_EQ(again.status, 200);
  EXPECT_EQ(again.version(), made.version());
  EXPECT_EQ(model.revision(), before);
}

TEST_F(ModelTest, StatusAndSpecAreApart) {
  post(kPodsPath, pod("a"));
  const std::string at = std::string(kPodsPath) + "/a";
  patch(at, {{"status", {{"phase", "Running"}}}});
  EXPECT_EQ(get(at).body["status"]["phase"], "Pending") << "the main resource ignores status";
  patch(at + "/status", {{"status", {{"phase", "Running"}}}, {"metadata", {{"labels", {{"x", "y"}}}}}});
  const Answer after = get(at);
  EXPECT_EQ(after.body["status"]["phase"], "Running");
  EXPECT_FALSE(after.body["metadata"].contains("labels")) << "the status subresource ignores the rest";
}

TEST_F(ModelTest, GenerationCountsChangesOfTheSpec) {
  load(
      "{apiVersion: apps/v1, kind: Deployment, metadata: {name: d}, spec: {selector: {matchLabels: {a: b}}, "
      "template: {metadata: {labels: {a: b}}, spec: {containers: [{name: c, image: i}]}}}}");
  const std::string at = "/apis/apps/v1/namespaces/default/deployments/d";
  EXPECT_EQ(get(at).body["metadata"]["generation"], 1);
  EXPECT_EQ(get(at).body["spec"]["replicas"], 1) << "defaulted";
  EXPECT_EQ(patch(at, {{"metadata", {{"labels", {{"x", "y"}}}}}}).body["metadata"]["generation"], 1);
  EXPECT_EQ(patch(at + "/status", {{"status", {{"replicas", 1}}}}).body["metadata"]["generation"], 1);
  EXPECT_EQ(patch(at, {{"spec", {{"replicas", 3}}}}).body["metadata"]["generation"], 2);
  EXPECT_EQ(patch(at, {{"spec", {{"selector", {{"matchLabels", {{"a", "c"}}}}}}}}).status, 422)
      << "immutable";
}

TEST_F(ModelTest, AStatefulSetIsDefaultedAndMostOfItStaysAsItIs) {
  load(
      "{apiVersion: apps/v1, kind: StatefulSet, metadata: {name: s}, spec: {selector: {matchLabels: {a: b}}, "
      "template: {metadata: {labels: {a: b}}, spec: {containers: [{name: c, image: i}]}}}}");
  const std::string at = "/apis/apps/v1/namespaces/default/statefulsets/s";
  const json spec = get(at).body["spec"];
  EXPECT_EQ(spec["replicas"], 1);
  EXPECT_EQ(spec["podManagementPolicy"], "OrderedReady");
  EXPECT_EQ(spec["updateStrategy"], json({{"type", "RollingUpdate"}, {"rollingUpdate", {{"partition", 0}}}}));
  EXPECT_EQ(patch(at + "/scale", {{"spec", {{"replicas", 3}}}}).body["status"]["selector"], "a=b");
  EXPECT_EQ(get(at).body["spec"]["replicas"], 3);
  EXPECT_EQ(patch(at, {{"spec", {{"ordinals", {{"start", 5}}}}}}).status, 200);
  EXPECT_EQ(patch(at, {{"spec", {{"ordinals", {{"start", -1}}}}}}).status, 422);
  EXPECT_EQ(patch(at, {{"spec", {{"podManagementPolicy", "Parallel"}}}}).status, 422) << "immutable";
}

TEST_F(ModelTest, ScaleReadsAndWritesTheReplicas) {
  load(
      "{apiVersion: apps/v1, kind: Deployment, metadata: {name: d}, spec: {replicas: 2, selector: "
      "{matchLabels: {a: b}}, "
      "template: {metadata: {labels: {a: b}}, spec: {containers: [{name: c, image: i}]}}}}");
  const std::string at = "/apis/apps/v1/namespaces/default/deployments/d";
  const Answer scale = get(at + "/scale");
  EXPECT_EQ(scale.body["kind"], "Scale");
  EXPECT_EQ(scale.body["spec"]["replicas"], 2);
  EXPECT_EQ(scale.body["status"]["selector"], "a=b");
  json wanted = scale.body;
  wanted["spec"]["replicas"] = 5;
  EXPECT_EQ(put(at + "/scale", wanted).status, 200);
  EXPECT_EQ(get(at).body["spec"]["replicas"], 5);
  EXPECT_EQ(put(at + "/scale", wanted).status, 409) << "its resourceVersion is old now";
  EXPECT_EQ(patch(at + "/scale", {{"spec", {{"replicas", 6}}}}).body["spec"]["replicas"], 6);
  EXPECT_EQ(patch(at + "/scale", {{"spec", {{"replicas", -1}}}}).status, 422);
}

TEST_F(ModelTest, ADryRunStoresNothing) {
  const std::uint64_t before = model.revision();
  EXPECT_EQ(post(std::string(kMapsPath) + "?dryRun=All", config_map("m")).status, 201);
  EXPECT_EQ(get(std::string(kMapsPath) + "/m").status, 404);
  EXPECT_GE(model.revision(), before);
  EXPECT_EQ(post(std::string(kMapsPath) + "?dryRun=Some", config_map("m")).status, 400);
}

TEST_F(ModelTest, DeniedRequestsNameUserVerbAndResource) {
  model.set_deny_rules({{"eve", "list", "pods"}});
  info.user = "eve";
  const Answer answer = get(kPodsPath);
  EXPECT_EQ(answer.status, 403);
  EXPECT_EQ(answer.message(),
            "pods is forbidden: User \"eve\" cannot list resource \"pods\" in API group \"\" in the "
            "namespace \"default\"");
  EXPECT_EQ(get(std::string(kPodsPath) + "/a").status, 404) << "only lists are denied";
}

TEST_F(ModelTest, AdmissionMayRefuse) {
  post(kPodsPath, pod("a"));
  model.set_admission([](const AdmissionRequest& request) -> std::optional<std::string> {
    if (request.verb == "delete" && request.before->at("metadata").at("name") == "a")
      return "it is still serving";
    return std::nullopt;
  });
  const Answer answer = remove(std::string(kPodsPath) + "/a");
  EXPECT_EQ(answer.status, 422);
  EXPECT_THAT(answer.message(), HasSubstr("pods \"a\" is forbidden: it is still serving"));
  EXPECT_EQ(get(std::string(kPodsPath) + "/a").status, 200);
}

TEST_F(ModelTest, PodSpecsAreImmutableButForTheImage) {
  post(kPodsPath, pod("a"));
  const std::string at = std::string(kPodsPath) + "/a";
  EXPECT_EQ(patch(at, {{"spec", {{"hostNetwork", true}}}}).status, 422);
  EXPECT_EQ(
      patch(at, {{"spec", {{"containers", {{{"name", "main"}, {"image", "x:2"}}}}}}}, kStrategic).status,
      200);
}

TEST_F(ModelTest, ABindingSetsTheNodeOnce) {
  post(kPodsPath, pod("a", json::object(), ""));
  const std::string at = std::string(kPodsPath) + "/a";
  EXPECT_EQ(post(at + "/binding", {{"target", {{"name", "node-b"}}}}).status, 201);
  EXPECT_EQ(get(at).body["spec"]["nodeName"], "node-b");
  EXPECT_EQ(post(at + "/binding", {{"target", {{"name", "node-c"}}}}).status, 409);
}

TEST_F(ModelTest, EventsHaveTwoFaces) {
  const json event = {{"metadata", {{"name", "e"}}},
                      {"regarding", {{"kind", "Pod"}, {"name", "a"}, {"namespace", "default"}}},
                      {"note", "hello"},
                      {"reason", "Woke"},
                      {"type", "Normal"},
                      {"action", "Wake"},
                      {"eventTime", "2027-01-15T08:00:00.000000Z"},
                      {"reportingController", "c"},
                      {"reportingInstance", "i"}};
  ASSERT_EQ(post("/apis/events.k8s.io/v1/namespaces/default/events", event).status, 201);
  const Answer core = get("/api/v1/namespaces/default/events/e");
  EXPECT_EQ(core.body["message"], "hello");
  EXPECT_EQ(core.body["involvedObject"]["name"], "a");
  EXPECT_EQ(get("/apis/events.k8s.io/v1/namespaces/default/events/e").body["note"], "hello");
  EXPECT_EQ(get("/apis/events.k8s.io/v1/events?fieldSelector=regarding.name%3Da").body["items"].size(), 1U);
  EXPECT_EQ(get("/api/v1/events?fieldSelector=involvedObject.name%3Db").body["items"].size(), 0U);
  json incomplete = event;
  incomplete["metadata"]["name"] = "f";
  incomplete.erase("action");
  EXPECT_EQ(post("/apis/events.k8s.io/v1/namespaces/default/events", incomplete).status, 422);
}

}  // namespace
}  // namespace poolwarden::apiserver
