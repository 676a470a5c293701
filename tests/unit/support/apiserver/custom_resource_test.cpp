// CustomResourceDefinitions and what they serve.
#include "model_fixture.h"

#include <fstream>

namespace poolwarden::apiserver {
namespace {

using ::testing::HasSubstr;

constexpr const char* kTankCrd = R"(
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: tanks.test.io}
spec:
  group: test.io
  scope: Namespaced
  names: {plural: tanks, kind: Tank}
  versions:
  - name: v1
    served: true
    storage: true
    subresources: {status: {}, scale: {specReplicasPath: .spec.replicas, statusReplicasPath: .status.replicas, labelSelectorPath: .status.selector}}
    schema:
      openAPIV3Schema:
        type: object
        required: [spec]
        properties:
          spec:
            type: object
            required: [colour]
            properties:
              replicas: {type: integer, format: int32, minimum: 0}
              colour: {type: string, enum: [red, blue], maxLength: 10}
              name: {type: string, pattern: '^[a-z]+$', minLength: 2}
              size: {type: object, default: {}, properties: {litres: {type: integer, default: 10, maximum: 100}}}
              port: {x-kubernetes-int-or-string: true}
              tags: {type: array, maxItems: 2, x-kubernetes-list-type: set, items: {type: string}}
              ports:
                type: array
                minItems: 1
                x-kubernetes-list-type: map
                x-kubernetes-list-map-keys: [number]
                items: {type: object, required: [number], properties: {number: {type: integer}, name: {type: string}}}
              labels: {type: object, additionalProperties: {type: string}}
          status:
            type: object
            properties: {replicas: {type: integer}, selector: {type: string}}
)";

class CustomResourceTest : public ModelTest {
 protected:
  static constexpr const char* kTanks = "/apis/test.io/v1/namespaces/default/tanks";
  void SetUp() override { load(kTankCrd); }
  static json tank(const std::string& name, json spec) {
    spec.emplace("colour", "red");
    return {{"apiVersion", "test.io/v1"},
            {"kind", "Tank"},
            {"metadata", {{"name", name}}},
            {"spec", std::move(spec)}};
  }
};

TEST_F(CustomResourceTest, DefaultsAndPruning) {
  json body = tank("a", {{"unknown", 1}, {"size", {{"x", 2}}}, {"labels", {{"any", "thing"}}}});
  const Answer made = post(kTanks, body);
  ASSERT_EQ(made.status, 201) << made.body;
  EXPECT_FALSE(made.body["spec"].contains("unknown"));
  EXPECT_EQ(made.body["spec"]["size"], json::parse(R"({"litres":10})"));
  EXPECT_EQ(made.body["spec"]["labels"]["any"], "thing");
  EXPECT_EQ(made.body["metadata"]["generation"], 1);
  const Answer strict = post(std::string(kTanks) + "?fieldValidation=Strict", tank("b", {{"unknown", 1}}));
  EXPECT_EQ(strict.status, 400);
  EXPECT_THAT(strict.message(), HasSubstr("strict decoding error: unknown field \"spec.unknown\""));
}

TEST_F(CustomResourceTest, TheSchemaIsHeld) {
  struct Row {
    const char* situation;
    json spec;
    const char* message;
  };
  const Row rows[] = {
      {"minimum", {{"replicas", -1}}, "spec.replicas in body should be greater than or equal to 0"},
      {"int32", {{"replicas", 3'000'000'000}}, "must be of type int32"},
      {"type", {{"replicas", "2"}}, "spec.replicas in body must be of type integer: \"string\""},
      {"enum", {{"colour", "green"}}, "Unsupported value: \"green\": supported values: \"red\", \"blue\""},
      {"pattern", {{"name", "A1"}}, "spec.name in body should match '^[a-z]+$'"},
      {"minLength", {{"name", "a"}}, "should be at least 2 chars long"},
      {"maximum", {{"size", {{"litres", 101}}}}, "should be less than or equal to 100"},
      {"maxItems", {{"tags", {"a", "b", "c"}}}, "Too many: 3: must have at most 2 items"},
      {"set", {{"tags", {"a", "a"}}}, "Duplicate value: \"a\""},
      {"minItems", {{"ports", json::array()}}, "should have at least 1 items"},
      {"map",
       {{"ports", {{{"number", 1}}, {{"number", 1}, {"name", "x"}}}}},
       "spec.ports[1]: Duplicate value: {\"number\":1}"},
      {"required in items", {{"ports", {{{"name", "x"}}}}}, "spec.ports[0].number: Required value"},
      {"int or string", {{"port", true}}, "must be of type integer,string"},
      {"additional", {{"labels", {{"a", 1}}}}, "spec.labels.a in body must be of type string"},
  };
  for (const Row& row : rows) {
    const Answer refused = post(kTanks, tank("x", row.spec));
    EXPECT_EQ(refused.status, 422) << row.situation;
    EXPECT_THAT(refused.message(), HasSubstr(row.message)) << row.situation;
    EXPECT_THAT(refused.message(), HasSubstr("Tank.test.io \"x\" is invalid: ")) << row.situation;
  }
  const Answer missing = post(kTanks, {{"metadata", {{"name", "x"}}}});
  EXPECT_THAT(missing.message(), HasSubstr("spec: Required value"));
  EXPECT_EQ(missing.body["details"]["causes"][0]["reason"], "FieldValueRequired");
}

TEST_F(CustomResourceTest, ScaleFollowsItsPaths) {
  const std::string at = std::string(kTanks) + "/a";
  post(kTanks, tank("a", json::object()));
  EXPECT_EQ(get(at + "/scale").status, 500) << "spec.replicas is not set";
  patch(at, {{"spec", {{"replicas", 2}}}});
  patch(at + "/status", {{"status", {{"replicas", 1}, {"selector", "a=b,c notin (d)"}}}});
  const Answer scale = get(at + "/scale");
  EXPECT_EQ(scale.body["spec"]["replicas"], 2);
  EXPECT_EQ(scale.body["status"]["replicas"], 1);
  EXPECT_EQ(scale.body["status"]["selector"], "a=b,c notin (d)");
  EXPECT_EQ(patch(at + "/scale", {{"spec", {{"replicas", 5}}}}).status, 200);
  EXPECT_EQ(get(at).body["spec"]["replicas"], 5);
  EXPECT_EQ(get(at).body["metadata"]["generation"], 3);
}

TEST_F(CustomResourceTest, UpdatesNeedAVersion) {
  const Answer made = post(kTanks, tank("a", json::object()));
  EXPECT_EQ(put(std::string(kTanks) + "/a", tank("a", {{"replicas", 1}})).status, 422);
  json body = made.body;
  body["spec"]["replicas"] = 1;
  EXPECT_EQ(put(std::string(kTanks) + "/a", body).status, 200);
  EXPECT_EQ(patch(std::string(kTanks) + "/a", json::object(), kStrategic).status, 415);
}

TEST_F(CustomResourceTest, ADefinitionComesAndGoes) {
  const Answer owner = post(kTanks, tank("a", json::object()));
  json owned = config_map("owned");
  owned["metadata"]["ownerReferences"] = {
      {{"apiVersion", "test.io/v1"}, {"kind", "Tank"}, {"name", "a"}, {"uid", owner.uid()}}};
  post(kMapsPath, owned);
  const WatchCursor cursor = watch(std::string(kTanks) + "?watch=1");
  EXPECT_EQ(events(*cursor), std::vector<std::string>{"ADDED a"});
  EXPECT_EQ(get("/apis/test.io/v1").body["resources"][0]["name"], "tanks");
  EXPECT_EQ(remove("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/tanks.test.io").status, 200);
  EXPECT_EQ(get(kTanks).status, 404);
  EXPECT_EQ(events(*cursor), (std::vector<std::string>{"DELETED a", "END"}));
  EXPECT_EQ(get(std::string(kMapsPath) + "/owned").status, 404) << "and what they owned with them";
}

TEST_F(CustomResourceTest, ABadDefinitionIsRefused) {
  json crd = {
      {"metadata", {{"name", "bad.test.io"}}},
      {"spec",
       {{"group", "test.io"},
        {"scope", "Namespaced"},
        {"names", {{"plural", "bad"}, {"kind", "Bad"}}},
        {"versions",
         {{{"name", "v1"},
           {"served", true},
           {"storage", true},
           {"schema",
            {{"openAPIV3Schema", {{"type", "object"}, {"properties", {{"x", json::object()}}}}}}}}}}}}};
  const Answer refused = post("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", crd);
  EXPECT_EQ(refused.status, 422);
  EXPECT_THAT(refused.message(), HasSubstr("properties[x].type: Required value"));
}

TEST_F(CustomResourceTest, OurOwnDefinitionIsServed) {
  std::ifstream file(POOLWARDEN_CRD);
  ASSERT_TRUE(file) << POOLWARDEN_CRD;
  load({std::istreambuf_iterator<char>(file), {}});
  const json pool = {
      {"apiVersion", "poolwarden.io/v1alpha1"},
      {"kind", "InferencePool"},
      {"metadata", {{"name", "p"}}},
      {"spec", {{"selector", {{"matchLabels", {{"app", "x"}}}}}, {"targetPorts", {{{"number", 8000}}}}}}};
  const Answer made = post("/apis/poolwarden.io/v1alpha1/namespaces/default/inferencepools", pool);
  EXPECT_EQ(made.status, 201) << made.body;
}

}  // namespace
}  // namespace poolwarden::apiserver
