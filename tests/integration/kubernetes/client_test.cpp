// Calls, and what a real API server answers to them: the classes of status.cpp, seen on the wire.
#include "real_cluster.h"

#include <fmt/format.h>

namespace poolwarden::test {
namespace {

using kube::ErrorClass;
using kube::kConfigMaps;
using kube::kDeployments;
using ::testing::HasSubstr;

std::string version_of(const json& object) {
  return object.at("metadata").at("resourceVersion");
}
std::string uid_of(const json& object) {
  return object.at("metadata").at("uid");
}
json preconditions(const json& object) {
  return {{"uid", uid_of(object)}, {"resourceVersion", version_of(object)}};
}

TEST(RealClient, CreatesReadsChangesAndDeletes) {
  const json first = made(kConfigMaps, config_map("crud", {{"a", "1"}}));
  const auto again = send(kube::create(kConfigMaps, ns(), config_map("crud", {}).dump()));
  ASSERT_FALSE(again);
  EXPECT_TRUE(again.error().already_exists()) << again.error().message;

  json changed = first;
  changed["data"]["a"] = "2";
  const json second = document(send(kube::update(kConfigMaps, ns(), "crud", changed.dump())));
  EXPECT_EQ(second["data"]["a"], "2");
  const auto stale = send(kube::update(kConfigMaps, ns(), "crud", changed.dump()));
  ASSERT_FALSE(stale);
  EXPECT_EQ(stale.error().cls, ErrorClass::kConflict) << stale.error().message;

  const json patched =
      document(send(kube::merge_patch(kConfigMaps, ns(), "crud", R"({"data":{"a":null,"b":"3"}})")));
  EXPECT_EQ(patched["data"], (json{{"b", "3"}}));
  EXPECT_EQ(document(send(kube::get(kConfigMaps, ns(), "crud"))), patched);

  document(send(kube::remove(kConfigMaps, ns(), "crud", {uid_of(first), version_of(patched)})));
  const auto gone = send(kube::get(kConfigMaps, ns(), "crud"));
  ASSERT_FALSE(gone);
  EXPECT_TRUE(gone.error().is_not_found()) << gone.error().message;
}

TEST(RealClient, SaysWhoWroteIt) {
  const json object = made(kConfigMaps, config_map("manager", {{"a", "1"}}));
  EXPECT_EQ(object.at("/metadata/managedFields/0/manager"_json_pointer), "poolwarden");
}

// A recreated namesake is another object, and a precondition that does not hold is a conflict. The API server
// answers a wrong UID of a patch with 422.
TEST(RealClient, PreconditionsOfAPatch) {
  const json object = made(kConfigMaps, config_map("guarded", {{"a", "1"}}));
  const auto patch = [](json metadata) {
    return send(kube::merge_patch(kConfigMaps, ns(), "guarded",
                                  json{{"metadata", std::move(metadata)}, {"data", {{"a", "2"}}}}.dump()));
  };
  const auto other_uid = patch({{"uid", "12345678-0000-0000-0000-000000000000"}});
  ASSERT_FALSE(other_uid);
  EXPECT_EQ(other_uid.error().cls, ErrorClass::kConflict) << other_uid.error().message;
  EXPECT_EQ(other_uid.error().http_status, 422);
  const auto other_version = patch({{"uid", uid_of(object)}, {"resourceVersion", "1"}});
  ASSERT_FALSE(other_version);
  EXPECT_EQ(other_version.error().cls, ErrorClass::kConflict) << other_version.error().message;
  EXPECT_EQ(other_version.error().http_status, 409);
  EXPECT_EQ(document(patch(preconditions(object)))["data"]["a"], "2");
}

TEST(RealClient, PreconditionsOfAnUpdateAndADelete) {
  json object = made(kConfigMaps, config_map("kept", {{"a", "1"}}));
  json of_another = object;
  of_another["metadata"]["uid"] = "12345678-0000-0000-0000-000000000000";
  const auto updated = send(kube::update(kConfigMaps, ns(), "kept", of_another.dump()));
  ASSERT_FALSE(updated);
  EXPECT_EQ(updated.error().cls, ErrorClass::kConflict) << updated.error().message;
  for (const kube::DeletePreconditions& only_if :
       {kube::DeletePreconditions{"12345678-0000-0000-0000-000000000000", ""},
        kube::DeletePreconditions{"", "1"}}) {
    const auto removed = send(kube::remove(kConfigMaps, ns(), "kept", only_if));
    ASSERT_FALSE(removed);
    EXPECT_EQ(removed.error().cls, ErrorClass::kConflict) << removed.error().message;
  }
  document(send(kube::remove(kConfigMaps, ns(), "kept", {uid_of(object), version_of(object)})));
}

TEST(RealClient, RefusalsNameTheFix) {
  const auto invalid = send(kube::create(kConfigMaps, ns(), config_map("Not_A_Name", {}).dump()));
  ASSERT_FALSE(invalid);
  EXPECT_EQ(invalid.error().cls, ErrorClass::kTerminal);
  EXPECT_THAT(invalid.error().message, HasSubstr("metadata.name"));
  constexpr kube::ResourceType kNobodys{"nobody.example", "v1", "things", "Thing"};
  kube::Call list;
  list.verb = kube::Verb::kList;
  list.type = kNobodys;
  const auto unknown = send(list);
  ASSERT_FALSE(unknown);
  EXPECT_TRUE(unknown.error().is_not_found());
  EXPECT_THAT(unknown.error().message, HasSubstr("is its CustomResourceDefinition installed?"));
  const auto transport = connect(access_as(kube::NoCredential{}));
  const auto anonymous = send(*transport, kube::get(kConfigMaps, ns(), "x"));
  ASSERT_FALSE(anonymous);
  EXPECT_EQ(anonymous.error().cls, ErrorClass::kForbidden) << anonymous.error().message;
}

// The scale subresource.

json deployment(const std::string& name) {
  const json labels = {{"app", name}};
  const json container = {{"name", "c"}, {"image", "registry.k8s.io/pause:3.10"}};
  return {{"metadata", {{"name", name}}},
          {"spec",
           {{"replicas", 0},
            {"selector", {{"matchLabels", labels}}},
            {"template",
             {{"metadata", {{"labels", labels}}}, {"spec", {{"containers", json::array({container})}}}}}}}};
}

TEST(RealScale, IsReadAndWrittenWithTheDeploymentsVersion) {
  made(kDeployments, deployment("scaled"));
  kube::Call read = kube::get(kDeployments, ns(), "scaled");
  read.subresource = "scale";
  json scale = document(send(read));
  EXPECT_EQ(scale["kind"], "Scale");
  EXPECT_EQ(scale["status"]["selector"], "app=scaled");
  const auto to = [](int replicas, const std::string& at) {
    return send(kube::merge_patch(
        kDeployments, ns(), "scaled",
        json{{"metadata", {{"resourceVersion", at}}}, {"spec", {{"replicas", replicas}}}}.dump(), "scale"));
  };
  const auto stale = to(5, "1");
  ASSERT_FALSE(stale);
  EXPECT_EQ(stale.error().cls, ErrorClass::kConflict) << stale.error().message;
  // Its controller may write the Deployment's status in between.
  std::string version;
  kube::Result<std::string> answer = stale;
  ASSERT_TRUE(wait_for(
      [&] {
        version = version_of(document(send(read)));
        answer = to(0, version);
        return answer || answer.error().cls != ErrorClass::kConflict;
      },
      60s));
  const json written = document(answer);
  EXPECT_EQ(written["metadata"]["uid"], scale["metadata"]["uid"]);
  // The API server makes a new version also of a count that was so already: write only what differs.
  EXPECT_NE(version_of(written), version);
  document(send(kube::remove(kDeployments, ns(), "scaled", {})));
}

TEST(RealScale, OfAPool) {
  constexpr kube::ResourceType kPools{"poolwarden.io", "v1alpha1", "inferencepools", "InferencePool"};
  made(kPools, {{"apiVersion", "poolwarden.io/v1alpha1"},
                {"kind", "InferencePool"},
                {"metadata", {{"name", "scaled"}}},
                {"spec",
                 {{"replicas", 2},
                  {"selector", {{"matchLabels", {{"app", "none"}}}}},
                  {"targetPorts", json::array({{{"number", 8000}}})}}}});
  const json scale =
      document(send(kube::merge_patch(kPools, ns(), "scaled", R"({"spec":{"replicas":7}})", "scale")));
  EXPECT_EQ(scale["kind"], "Scale");
  EXPECT_EQ(scale["spec"]["replicas"], 7);
  EXPECT_EQ(document(send(kube::get(kPools, ns(), "scaled")))["spec"]["replicas"], 7);
  const auto negative =
      send(kube::merge_patch(kPools, ns(), "scaled", R"({"spec":{"replicas":-1}})", "scale"));
  ASSERT_FALSE(negative);
  EXPECT_EQ(negative.error().cls, ErrorClass::kTerminal) << negative.error().message;
  document(send(kube::remove(kPools, ns(), "scaled", {})));
}

}  // namespace
}  // namespace poolwarden::test
