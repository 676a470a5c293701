// The patches, and who owns which field.
#include "model_fixture.h"

namespace poolwarden::apiserver {
namespace {

using ::testing::HasSubstr;

class PatchTest : public ModelTest {
 protected:
  static constexpr const char* kMap = "/api/v1/namespaces/default/configmaps/m";
  static constexpr const char* kDeployment = "/apis/apps/v1/namespaces/default/deployments/d";

  void SetUp() override {
    load(
        "{apiVersion: apps/v1, kind: Deployment, metadata: {name: d}, spec: {replicas: 2, selector: "
        "{matchLabels: {a: b}}, "
        "template: {metadata: {labels: {a: b}}, spec: {containers: [{name: c, image: 'i:1', env: [{name: X, "
        "value: '1'}], "
        "ports: [{containerPort: 80}]}, {name: side, image: s}]}}}}");
  }
  static json apply_map(const json& data) {
    return {{"apiVersion", "v1"}, {"kind", "ConfigMap"}, {"metadata", {{"name", "m"}}}, {"data", data}};
  }
  Answer apply(const std::string& manager, const json& body, bool force = false) {
    return patch(std::string(kMap) + "?fieldManager=" + manager + (force ? "&force=true" : ""), body, kApply);
  }
  json containers() { return get(kDeployment).body["spec"]["template"]["spec"]["containers"]; }
};

TEST_F(PatchTest, AMergePatchReplacesLists) {
  patch(kDeployment,
        json::parse(R"({"spec":{"template":{"spec":{"containers":[{"name":"c","image":"i:2"}]}}}})"));
  EXPECT_EQ(containers().size(), 1U);
}

TEST_F(PatchTest, AStrategicMergePatchGoesByName) {
  struct Row {
    const char* situation;
    const char* patch;
    const char* expected_names;
  };
  const Row rows[] = {
      {"an item is changed", R"([{"name":"c","image":"i:2"}])", "c,side,"},
      {"an item is added", R"([{"name":"new","image":"n"}])", "c,side,new,"},
      {"an item is deleted", R"([{"name":"side","$patch":"delete"}])", "c,new,"},
      {"the list is replaced", R"([{"$patch":"replace"},{"name":"only","image":"o"}])", "only,"},
  };
  for (const Row& row : rows) {
    const std::string body =
        std::string(R"({"spec":{"template":{"spec":{"containers":)") + row.patch + "}}}}";
    ASSERT_EQ(patch(kDeployment, json::parse(body), kStrategic).status, 200) << row.situation;
    std::string names;
    for (const json& container : containers()) names += container["name"].get<std::string>() + ",";
    EXPECT_EQ(names, row.expected_names) << row.situation;
  }
}

TEST_F(PatchTest, AStrategicMergePatchReachesDown) {
  patch(kDeployment, json::parse(R"({"spec":{"template":{"spec":{"$setElementOrder/containers":[{"name":"c"}],
          "containers":[{"name":"c","env":[{"name":"Y","value":"2"}],"ports":[{"containerPort":80,"name":"http"}]}]}}}})"),
        kStrategic);
  const json container = containers()[0];
  EXPECT_EQ(container["image"], "i:1");
  EXPECT_EQ(container["env"].size(), 2U);
  EXPECT_EQ(container["ports"].size(), 1U);
  EXPECT_EQ(container["ports"][0]["name"], "http");
}

TEST_F(PatchTest, PrimitiveListsMerge) {
  post("/api/v1/namespaces/default/configmaps", config_map("m"));
  patch(kMap, {{"metadata", {{"finalizers", {"x.io/a"}}}}}, kStrategic);
  EXPECT_EQ(patch(kMap, {{"metadata", {{"finalizers", {"x.io/b"}}}}}, kStrategic)
                .body["metadata"]["finalizers"]
                .size(),
            2U);
  EXPECT_EQ(patch(kMap, {{"metadata", {{"$deleteFromPrimitiveList/finalizers", {"x.io/a"}}}}}, kStrategic)
                .body["metadata"]["finalizers"],
            json::array({"x.io/b"}));
}

TEST_F(PatchTest, AJsonPatchTestsAndReplaces) {
  const std::string type = "application/json-patch+json";
  EXPECT_EQ(
      patch(
          kDeployment,
          json::parse(
              R"([{"op":"test","path":"/spec/replicas","value":2},{"op":"replace","path":"/spec/replicas","value":3}])"),
          type)
          .status,
      200);
  EXPECT_EQ(
      patch(kDeployment, json::parse(R"([{"op":"test","path":"/spec/replicas","value":2}])"), type).status,
      422);
  EXPECT_EQ(patch(kDeployment, json::parse(R"([{"op":"remove","path":"/no/such"}])"), type).status, 422);
  EXPECT_EQ(get(kDeployment).body["spec"]["replicas"], 3);
}

TEST_F(PatchTest, PreconditionsTravelInTheBody) {
  const Answer have = get(kDeployment);
  EXPECT_EQ(patch(kDeployment, {{"metadata", {{"resourceVersion", "1"}, {"labels", {{"x", "y"}}}}}}).status,
            409);
  const Answer other = patch(kDeployment, {{"metadata", {{"uid", "other"}, {"labels", {{"x", "y"}}}}}});
  EXPECT_EQ(other.status, 422) << "a patch cannot change the uid: the real server says so, too";
  EXPECT_THAT(other.message(), HasSubstr("field is immutable"));
  EXPECT_EQ(patch(kDeployment,
                  {{"metadata",
                    {{"resourceVersion", have.version()}, {"uid", have.uid()}, {"labels", {{"x", "y"}}}}}})
                .status,
            200);
  EXPECT_EQ(patch(kDeployment, json::object(), "text/plain").status, 415);
}

TEST_F(PatchTest, ApplyCreatesAndIsIdempotent) {
  const Answer made = apply("one", apply_map({{"a", "1"}}));
  ASSERT_EQ(made.status, 201) << made.body;
  const json entry = made.body["metadata"]["managedFields"][0];
  EXPECT_EQ(entry["manager"], "one");
  EXPECT_EQ(entry["operation"], "Apply");
  EXPECT_EQ(entry["fieldsV1"], json::parse(R"({"f:data":{"f:a":{}}})"));
  now += 10s;
  const Answer again = apply("one", apply_map({{"a", "1"}}));
  EXPECT_EQ(again.status, 200);
  EXPECT_EQ(again.version(), made.version()) << "nothing changed, nothing is written";
  EXPECT_EQ(patch(kMap, apply_map({{"a", "1"}}), kApply).status, 400) << "a field manager is required";
}

TEST_F(PatchTest, WhatIsNoLongerAppliedGoes) {
  apply("one", apply_map({{"a", "1"}, {"b", "1"}}));
  EXPECT_EQ(apply("one", apply_map({{"a", "1"}})).body["data"], json::parse(R"({"a":"1"})"));
  // Unless another owns it, too.
  apply("one", apply_map({{"a", "1"}, {"b", "1"}}));
  apply("two", apply_map({{"b", "1"}}));
  EXPECT_EQ(apply("one", apply_map({{"a", "1"}})).body["data"], json::parse(R"({"a":"1","b":"1"})"));
  EXPECT_FALSE(apply("two", apply_map(json::object())).body["data"].contains("b"));
}

TEST_F(PatchTest, ConflictsNameTheOtherManager) {
  apply("one", apply_map({{"a", "1"}}));
  EXPECT_EQ(apply("two", apply_map({{"a", "1"}})).status, 200) << "the same value is shared";
  const Answer refused = apply("two", apply_map({{"a", "2"}}));
  EXPECT_EQ(refused.status, 409);
  EXPECT_EQ(refused.message(), "Apply failed with 1 conflict: conflict with \"one\" using v1: .data.a");
  EXPECT_EQ(refused.body["details"]["causes"][0]["reason"], "FieldManagerConflict");
  EXPECT_EQ(refused.body["details"]["causes"][0]["field"], ".data.a");
  EXPECT_EQ(apply("two", apply_map({{"a", "2"}}), true).body["data"]["a"], "2");
  EXPECT_EQ(apply("two", apply_map({{"a", "3"}})).status, 200) << "it is its own now";
  EXPECT_EQ(apply("one", apply_map({{"a", "1"}})).status, 409);
}

TEST_F(PatchTest, AnUpdateTakesOwnership) {
  apply("one", apply_map({{"a", "1"}}));
  info.user_agent = "kubectl/v1";
  patch(kMap, {{"data", {{"a", "2"}}}});
  const Answer refused = apply("one", apply_map({{"a", "1"}}));
  EXPECT_EQ(refused.status, 409);
  EXPECT_THAT(refused.message(), HasSubstr("conflict with \"kubectl\""));
}

TEST_F(PatchTest, ScaleOwnsTheReplicasUnderItsName) {
  info.user_agent = "kubectl/v1";
  patch(std::string(kDeployment) + "/scale", {{"spec", {{"replicas", 4}}}});
  const json body = {{"apiVersion", "apps/v1"},
                     {"kind", "Deployment"},
                     {"metadata", {{"name", "d"}}},
                     {"spec", {{"replicas", 2}}}};
  const Answer refused = patch(std::string(kDeployment) + "?fieldManager=poolwarden", body, kApply);
  EXPECT_EQ(refused.message(),
            "Apply failed with 1 conflict: conflict with \"kubectl\" with subresource \"scale\" using "
            "apps/v1: .spec.replicas");
  EXPECT_EQ(patch(std::string(kDeployment) + "?fieldManager=poolwarden&force=true", body, kApply)
                .body["spec"]["replicas"],
            2);
}

TEST_F(PatchTest, ApplyKnowsListsByKey) {
  const auto body = [](const json& ports) {
    return json{{"apiVersion", "v1"},
                {"kind", "Service"},
                {"metadata", {{"name", "s"}}},
                {"spec", {{"ports", ports}}}};
  };
  const std::string at = "/api/v1/namespaces/default/services/s?fieldManager=";
  patch(at + "one", body({{{"name", "a"}, {"port", 80}}, {{"name", "b"}, {"port", 81}}}), kApply);
  patch(at + "two", body({{{"name", "c"}, {"port", 82}}}), kApply);
  EXPECT_EQ(get("/api/v1/namespaces/default/services/s").body["spec"]["ports"].size(), 3U);
  patch(at + "one", body({{{"name", "b"}, {"port", 81}}}), kApply);
  const json ports = get("/api/v1/namespaces/default/services/s").body["spec"]["ports"];
  ASSERT_EQ(ports.size(), 2U) << ports;
  EXPECT_EQ(ports[0]["name"], "b");
  EXPECT_EQ(ports[1]["name"], "c");
}

TEST_F(PatchTest, ApplyOfAUidNeedsTheObject) {
  json body = apply_map({{"a", "1"}});
  body["metadata"]["uid"] = "gone";
  const Answer refused = apply("one", body);
  EXPECT_EQ(refused.status, 409);
  EXPECT_THAT(refused.message(), HasSubstr("uid mismatch"));
}

TEST_F(PatchTest, ApplyToStatusTouchesStatusOnly) {
  const json body = {{"apiVersion", "apps/v1"},
                     {"kind", "Deployment"},
                     {"metadata", {{"name", "d"}}},
                     {"spec", {{"replicas", 9}}},
                     {"status", {{"replicas", 2}}}};
  const Answer applied = patch(std::string(kDeployment) + "/status?fieldManager=c", body, kApply);
  EXPECT_EQ(applied.status, 200);
  EXPECT_EQ(applied.body["spec"]["replicas"], 2);
  EXPECT_EQ(applied.body["status"]["replicas"], 2);
}

}  // namespace
}  // namespace poolwarden::apiserver
