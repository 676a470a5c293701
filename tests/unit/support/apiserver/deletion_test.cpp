// Ways to go: grace, finalizers, owners, namespaces, eviction.
#include "model_fixture.h"

namespace poolwarden::apiserver {
namespace {

using ::testing::HasSubstr;

class DeletionTest : public ModelTest {
 protected:
  std::string at(const std::string& name) const { return std::string(kPodsPath) + "/" + name; }
  int status_of(const std::string& target) { return get(target).status; }
  json map_owned_by(const std::string& name, const Answer& owner, bool block = false) {
    json body = config_map(name);
    body["metadata"]["ownerReferences"] = {{{"apiVersion", "v1"},
                                            {"kind", "ConfigMap"},
                                            {"name", owner.body["metadata"]["name"]},
                                            {"uid", owner.uid()},
                                            {"blockOwnerDeletion", block}}};
    return body;
  }
  static std::string map(const std::string& name) { return std::string(kMapsPath) + "/" + name; }
};

TEST_F(DeletionTest, APodStopsGracefully) {
  post(kPodsPath, pod("a"));
  const Answer marked = remove(at("a"));
  EXPECT_EQ(marked.status, 200);
  EXPECT_EQ(marked.body["kind"], "Pod");
  EXPECT_EQ(marked.body["metadata"]["deletionGracePeriodSeconds"], 30);
  EXPECT_EQ(marked.body["metadata"]["deletionTimestamp"], "2027-01-15T08:00:30Z");
  const Answer again = remove(at("a"), {{"gracePeriodSeconds", 60}});
  EXPECT_EQ(again.body["metadata"]["deletionGracePeriodSeconds"], 30) << "never longer";
  EXPECT_EQ(remove(at("a"), {{"gracePeriodSeconds", 5}}).body["metadata"]["deletionGracePeriodSeconds"], 5);
  EXPECT_EQ(remove(at("a"), {{"gracePeriodSeconds", 0}}).status, 200) << "the kubelet's last word";
  EXPECT_EQ(status_of(at("a")), 404);
}

TEST_F(DeletionTest, SomePodsGoAtOnce) {
  post(kPodsPath, pod("unscheduled", json::object(), ""));
  remove(at("unscheduled"));
  EXPECT_EQ(status_of(at("unscheduled")), 404);
  post(kPodsPath, pod("failed"));
  patch(at("failed") + "/status", {{"status", {{"phase", "Failed"}}}});
  remove(at("failed"));
  EXPECT_EQ(status_of(at("failed")), 404);
  post(kPodsPath, pod("forced"));
  remove(at("forced"), {{"gracePeriodSeconds", 0}});
  EXPECT_EQ(status_of(at("forced")), 404);
}

TEST_F(DeletionTest, PreconditionsHold) {
  const Answer made = post(kPodsPath, pod("a"));
  const Answer other_uid = remove(at("a"), {{"preconditions", {{"uid", "other"}}}});
  EXPECT_EQ(other_uid.status, 409);
  EXPECT_EQ(other_uid.reason(), "Conflict");
  EXPECT_THAT(other_uid.message(),
              HasSubstr("UID in precondition: other, UID in object meta: " + made.uid()));
  EXPECT_EQ(remove(at("a"), {{"preconditions", {{"resourceVersion", "1"}}}}).status, 409);
  EXPECT_EQ(
      remove(at("a"), {{"preconditions", {{"uid", made.uid()}, {"resourceVersion", made.version()}}}}).status,
      200);
}

TEST_F(DeletionTest, FinalizersHoldAnObject) {
  json body = config_map("m");
  body["metadata"]["finalizers"] = {"x.io/a", "x.io/b"};
  post(kMapsPath, body);
  EXPECT_TRUE(remove(map("m")).body["metadata"].contains("deletionTimestamp"));
  EXPECT_EQ(patch(map("m"), {{"metadata", {{"finalizers", {"x.io/a", "x.io/c"}}}}}).status, 422)
      << "no new ones";
  EXPECT_EQ(patch(map("m"), {{"metadata", {{"finalizers", {"x.io/a"}}}}}).status, 200);
  EXPECT_EQ(status_of(map("m")), 200);
  EXPECT_EQ(patch(map("m"), {{"metadata", {{"finalizers", nullptr}}}}).status, 200);
  EXPECT_EQ(status_of(map("m")), 404);
}

TEST_F(DeletionTest, AStatusSaysWhatWasDeleted) {
  const Answer made = post(kMapsPath, config_map("m"));
  const Answer gone = remove(map("m"));
  EXPECT_EQ(gone.body["status"], "Success");
  EXPECT_EQ(gone.body["details"]["uid"], made.uid());
}

TEST_F(DeletionTest, DependentsFollowTheirOwner) {
  const Answer owner = post(kMapsPath, config_map("owner"));
  const Answer child = post(kMapsPath, map_owned_by("child", owner));
  post(kMapsPath, map_owned_by("grandchild", child));
  remove(map("owner"));
  EXPECT_EQ(status_of(map("child")), 404);
  EXPECT_EQ(status_of(map("grandchild")), 404);
}

TEST_F(DeletionTest, ANamesakeIsAnotherOwner) {
  const Answer owner = post(kMapsPath, config_map("owner"));
  remove(map("owner"));
  post(kMapsPath, config_map("owner"));
  post(kMapsPath, map_owned_by("child", owner));
  EXPECT_EQ(status_of(map("child")), 404) << "its owner, by uid, is gone";
}

TEST_F(DeletionTest, OrphansStay) {
  const Answer owner = post(kMapsPath, config_map("owner"));
  post(kMapsPath, map_owned_by("child", owner));
  remove(map("owner"), {{"propagationPolicy", "Orphan"}});
  EXPECT_EQ(status_of(map("owner")), 404);
  EXPECT_FALSE(get(map("child")).body["metadata"].contains("ownerReferences"));
}

TEST_F(DeletionTest, ForegroundWaitsForDependents) {
  const Answer owner = post(kMapsPath, config_map("owner"));
  json child = map_owned_by("child", owner, true);
  child["metadata"]["finalizers"] = {"x.io/hold"};
  post(kMapsPath, child);
  remove(map("owner"), {{"propagationPolicy", "Foreground"}});
  EXPECT_TRUE(get(map("owner")).body["metadata"].contains("deletionTimestamp"));
  EXPECT_TRUE(get(map("child")).body["metadata"].contains("deletionTimestamp"));
  patch(map("child"), {{"metadata", {{"finalizers", nullptr}}}});
  EXPECT_EQ(status_of(map("child")), 404);
  EXPECT_EQ(status_of(map("owner")), 404);
}

TEST_F(DeletionTest, CollectionMayBeHeldBack) {
  ModelOptions options;
  options.collect_inline = false;
  Model held(options);
  const auto send = [&](kube::HttpMethod method, std::string target, const json& body) {
    kube::HttpRequest request;
    request.method = method;
    request.target = std::move(target);
    request.body = body.is_null() ? "" : body.dump();
    const kube::HttpResponse response = held.handle(request, now);
    return Answer{response.status, json::parse(response.body)};
  };
  const Answer owner = send(kube::HttpMethod::kPost, kMapsPath, config_map("owner"));
  send(kube::HttpMethod::kPost, kMapsPath, map_owned_by("child", owner));
  send(kube::HttpMethod::kDelete, map("owner"), json());
  EXPECT_EQ(send(kube::HttpMethod::kGet, map("child"), json()).status, 200);
  held.collect_garbage(now);
  EXPECT_EQ(send(kube::HttpMethod::kGet, map("child"), json()).status, 404);
}

TEST_F(DeletionTest, ANamespaceGoesWithItsContent) {
  post("/api/v1/namespaces", {{"metadata", {{"name", "ns"}}}});
  const std::string inside = "/api/v1/namespaces/ns/";
  post(inside + "configmaps", config_map("m"));
  post(inside + "pods", pod("p"));
  remove("/api/v1/namespaces/ns");
  EXPECT_EQ(get("/api/v1/namespaces/ns").body["status"]["phase"], "Terminating")
      << "the pod is still stopping";
  EXPECT_EQ(status_of(inside + "configmaps/m"), 404);
  const Answer refused = post(inside + "configmaps", config_map("late"));
  EXPECT_EQ(refused.status, 403);
  EXPECT_THAT(refused.message(), HasSubstr("because it is being terminated"));
  patch("/api/v1/namespaces/ns", {{"metadata", {{"labels", {{"x", "y"}}}}}});
  EXPECT_EQ(status_of("/api/v1/namespaces/ns"), 200) << "a change does not end the waiting";
  remove(inside + "pods/p", {{"gracePeriodSeconds", 0}});
  EXPECT_EQ(status_of("/api/v1/namespaces/ns"), 404);
}

TEST_F(DeletionTest, CollectionsAreDeletedBySelector) {
  post(kPodsPath, pod("a", {{"app", "x"}}, ""));
  post(kPodsPath, pod("b", {{"app", "y"}}, ""));
  EXPECT_EQ(remove(std::string(kPodsPath) + "?labelSelector=app%3Dx").status, 200);
  EXPECT_EQ(status_of(at("a")), 404);
  EXPECT_EQ(status_of(at("b")), 200);
}

TEST_F(DeletionTest, EvictionAsksTheBudget) {
  post(kPodsPath, pod("a", {{"app", "x"}}));
  load(
      "{apiVersion: policy/v1, kind: PodDisruptionBudget, metadata: {name: b, namespace: default}, "
      "spec: {maxUnavailable: 0, selector: {matchLabels: {app: x}}}, status: {disruptionsAllowed: 0, "
      "desiredHealthy: 1, currentHealthy: 0}}");
  const json eviction = {{"apiVersion", "policy/v1"}, {"kind", "Eviction"}, {"metadata", {{"name", "a"}}}};
  const Answer refused = post(at("a") + "/eviction", eviction);
  EXPECT_EQ(refused.status, 429);
  EXPECT_EQ(refused.body["details"]["causes"][0]["reason"], "DisruptionBudget");
  patch("/apis/policy/v1/namespaces/default/poddisruptionbudgets/b/status",
        {{"status", {{"disruptionsAllowed", 1}}}});
  EXPECT_EQ(post(at("a") + "/eviction", eviction).status, 201);
  const Answer evicted = get(at("a"));
  EXPECT_TRUE(evicted.body["metadata"].contains("deletionTimestamp"));
  EXPECT_EQ(evicted.body["status"]["conditions"][0]["type"], "DisruptionTarget");
}

TEST_F(DeletionTest, EvictionOfAnUnreadyPod_IsAsTheBudgetSays) {
  const json eviction = {{"apiVersion", "policy/v1"}, {"kind", "Eviction"}, {"metadata", {{"name", "a"}}}};
  post(kPodsPath, pod("a", {{"app", "x"}}));
  load(
      "{apiVersion: policy/v1, kind: PodDisruptionBudget, metadata: {name: b, namespace: default}, "
      "spec: {minAvailable: 1, selector: {matchLabels: {app: x}}}, status: {disruptionsAllowed: 0, "
      "desiredHealthy: 2, currentHealthy: 1}}");
  EXPECT_EQ(post(at("a") + "/eviction", eviction).status, 429) << "its others are too few as it is";
  patch("/apis/policy/v1/namespaces/default/poddisruptionbudgets/b",
        {{"spec", {{"unhealthyPodEvictionPolicy", "AlwaysAllow"}}}});
  EXPECT_EQ(post(at("a") + "/eviction", eviction).status, 201);
}

}  // namespace
}  // namespace poolwarden::apiserver
