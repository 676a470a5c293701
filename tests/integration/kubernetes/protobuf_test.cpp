// Lists of built-in kinds as a real API server writes them in protobuf: the same as in JSON, kind by kind.
#include "api/codecs.h"
#include "kube/watch_decoder.h"
#include "real_cluster.h"

#include <future>
#include <map>

namespace poolwarden::test {
namespace {

kube::Result<kube::Body> listed(const kube::ResourceType& type, kube::Encoding preferred) {
  kube::Call call;
  call.verb = kube::Verb::kList;
  call.type = type;
  std::promise<kube::Result<kube::Body>> promise;
  kube::Client(Cluster::instance().transport()).send(call, preferred, [&](kube::Result<kube::Body> body) {
    promise.set_value(std::move(body));
  });
  return promise.get_future().get();
}

// What did not change between the two lists must be the same in both.
template <class Codec>
std::size_t compare(const kube::ResourceType& type) {
  SCOPED_TRACE(type.plural);
  const auto json_body = listed(type, kube::Encoding::kJson);
  const auto body = listed(type, kube::Encoding::kProtobuf);
  EXPECT_TRUE(json_body && body);
  if (!json_body || !body) return 0;
  EXPECT_EQ(body->encoding, kube::Encoding::kProtobuf);
  const auto json_page = kube::decode_list<Codec>(json_body->text, json_body->encoding);
  const auto page = kube::decode_list<Codec>(body->text, body->encoding);
  EXPECT_TRUE(json_page) << json_page.error().message;
  EXPECT_TRUE(page) << page.error().message;
  if (!json_page || !page) return 0;
  EXPECT_TRUE(page->unreadable.empty()) << page->unreadable.problem;
  std::map<std::string, const typename Codec::Object*> by_version;
  for (const auto& item : json_page->items) by_version.emplace(item.uid + "@" + item.resource_version, &item);
  std::size_t same = 0;
  for (const auto& item : page->items) {
    const auto found = by_version.find(item.uid + "@" + item.resource_version);
    if (found == by_version.end()) continue;
    ++same;
    EXPECT_EQ(item.ns, found->second->ns);
    EXPECT_EQ(item.name, found->second->name);
    if constexpr (requires { item == *found->second; }) {
      EXPECT_TRUE(item == *found->second) << item.name;
    }
  }
  return same;
}

TEST(RealProtobuf, ListsSayWhatTheirJsonSays) {
  made(kube::kConfigMaps, config_map("protobuf", {{"endpoints.json", "{}"}}, "protobuf"));
  EXPECT_GE(compare<api::ConfigMapCodec>(kube::kConfigMaps), 1U);
  EXPECT_GE(compare<api::ServiceCodec>(kube::kServices), 1U) << "the API server's own";
  compare<api::PodCodec>(kube::kPods);
  compare<api::NodeCodec>(kube::kNodes);
  compare<api::DeploymentCodec>(kube::kDeployments);
  compare<api::StatefulSetCodec>(kube::kStatefulSets);
  compare<api::ReplicaSetCodec>(kube::kReplicaSets);
  compare<api::DisruptionBudgetCodec>(kube::kPodDisruptionBudgets);
  compare<api::AutoscalerCodec>(kube::kHorizontalPodAutoscalers);
}

TEST(RealProtobuf, ARefusalIsUnderstood) {
  std::promise<kube::Result<kube::Body>> promise;
  kube::Client(Cluster::instance().transport())
      .send(kube::get(kube::kPods, Cluster::instance().ns(), "nobody"), kube::Encoding::kProtobuf,
            [&](kube::Result<kube::Body> body) { promise.set_value(std::move(body)); });
  const auto answer = promise.get_future().get();
  ASSERT_FALSE(answer);
  EXPECT_TRUE(answer.error().is_not_found());
  EXPECT_EQ(answer.error().reason, "NotFound");
}

}  // namespace
}  // namespace poolwarden::test
