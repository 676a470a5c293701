// What a pod costs that is kept: counted by the allocator, from the bytes of list pages on.
//
// The pods are those of a cluster and not of a pool: nearly all of them no pool selects.
#include "control/feed_table.h"
#include "kube/watch_decoder.h"
#include "support/allocated.h"
#include "support/protobuf/wire.h"

#include <string>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace poolwarden::control {
namespace {

using nlohmann::json;
using test::bytes_in_use;

constexpr int kPods = 2'000;
constexpr int kPodsPerPage = 500;
constexpr int kPodsPerController = 4;
constexpr kube::TimePoint kListedAt{std::chrono::hours(1)};

std::string uid(int group, int number) {
  return fmt::format("6f0b2a1c-8d3e-4c57-{:04}-{:012}", group, number);
}

json base_labels(int controller) {
  return {{"app.kubernetes.io/name", fmt::format("service-{}", controller)},
          {"app.kubernetes.io/instance", fmt::format("service-{}-production", controller)},
          {"app.kubernetes.io/managed-by", "Helm"}};
}

json labels_of_a_deployment(int number) {
  json out = base_labels(number / kPodsPerController);
  out["pod-template-hash"] = "5d9c7b6f4d";
  return out;
}

json labels_of_a_stateful_set(int number) {
  json out = base_labels(number / kPodsPerController);
  out["apps.kubernetes.io/pod-index"] = std::to_string(number % kPodsPerController);
  out["controller-revision-hash"] = "service-5d9c7b6f4d";
  out["statefulset.kubernetes.io/pod-name"] = fmt::format("service-{}", number);
  return out;
}

// Some 8 KiB of them, and no two pods have the same.
json labels_of_a_hoarder(int number) {
  json out = base_labels(number / kPodsPerController);
  for (int i = 0; i < 100; ++i)
    out[fmt::format("hoard.example.com/{:04}-{:08}", i, number)] = std::string(60, 'x');
  return out;
}

json pod(int number, json labels) {
  const std::string ip = fmt::format("10.{}.{}.{}", 64 + number / 65'536, number / 256 % 256, number % 256);
  const auto condition = [](const char* type) {
    return json{{"type", type}, {"status", "True"}, {"lastTransitionTime", "2026-01-02T03:05:05Z"}};
  };
  return {
      {"metadata",
       {{"name", fmt::format("service-{}-5d9c7b6f4d-{:05}", number / kPodsPerController, number)},
        {"namespace", fmt::format("team-{}", number / 100)},
        {"uid", uid(1, number)},
        {"resourceVersion", std::to_string(1'000'000 + number)},
        {"creationTimestamp", "2026-01-02T03:04:05Z"},
        {"labels", std::move(labels)},
        {"annotations", {{"kubectl.kubernetes.io/restartedAt", "2026-01-02T03:04:05Z"}}},
        {"ownerReferences",
         json::array({{{"apiVersion", "apps/v1"},
                       {"kind", "ReplicaSet"},
                       {"name", fmt::format("service-{}-5d9c7b6f4d", number / kPodsPerController)},
                       {"uid", uid(2, number / kPodsPerController)},
                       {"controller", true}}})}}},
      {"spec",
       {{"containers", json::array({{{"name", "main"}, {"image", "registry.example.com/service:v1.2.3"}}})},
        {"nodeName", fmt::format("ip-10-0-12-{:03}.eu-central-1.compute.internal", number % 100)},
        {"terminationGracePeriodSeconds", 30}}},
      {"status",
       {{"phase", "Running"},
        {"reason", ""},
        {"conditions", json::array({condition("Initialized"), condition("Ready"),
                                    condition("ContainersReady"), condition("PodScheduled")})},
        {"podIP", ip},
        {"podIPs", json::array({{{"ip", ip}}})}}}};
}

bool allocator_counts() {
  const std::size_t before = bytes_in_use();
  const std::vector<char> piece(64u << 10);
  return bytes_in_use() >= before + piece.size();
}

class Cluster {
 public:
  // Lists its pods, as the API server would, and keeps them.
  explicit Cluster(json (*labels)(int)) {
    feeds_.start(kListedAt, out_);
    for (int first = 0; first < kPods; first += kPodsPerPage) {
      std::vector<std::string> messages;
      for (int i = first; i < first + kPodsPerPage; ++i)
        messages.push_back(protobuf_wire::message("Pod", pod(i, labels(i))));
      const bool last = first + kPodsPerPage == kPods;
      pages_.push_back(protobuf_wire::list(
          "Pod", messages, {.continue_token = last ? "" : std::to_string(first), .remaining = 1}));
    }
  }

  // Bytes for each pod.
  std::size_t list() {
    const std::size_t before = bytes_in_use();
    for (const std::string& page : pages_) {
      auto decoded = kube::decode_list<api::PodCodec>(page, kube::Encoding::kProtobuf);
      if (!decoded) throw std::runtime_error(decoded.error().message);
      using Arrived = kube::InformerInput<api::Pod>::ListArrived;
      KindInput<Pods> in{{attempt(), kListedAt, Arrived{std::move(*decoded)}}};
      out_ = {};
      feeds_.take(std::move(in), kListedAt, out_, [](const auto&) {});
    }
    feeds_.sweep();
    EXPECT_EQ(feeds_.store<Pods>().size(), std::size_t{kPods});
    return (bytes_in_use() - before) / kPods;
  }

 private:
  std::uint64_t attempt() const {
    for (const WatchWork& work : out_.watches) {
      const auto* list = std::get_if<kube::StartList>(&work.action);
      if (work.kind == WatchedKinds::index<Pods>() && list != nullptr) return list->attempt;
    }
    return 0;
  }

  ControllerMetrics metrics_;
  FeedTable feeds_{{.reflector = {}, .drain_taints = {}, .withdraw_taints = {}},
                   kube::seeded_random(1),
                   metrics_,
                   [](const api::Pod&, std::vector<std::string>&) {}};
  Effects out_;
  std::vector<std::string> pages_;
};

TEST(PodMemory, PodThatSharesItsLabels_CostsThreeQuartersOfAKiB) {
  if (!allocator_counts()) GTEST_SKIP() << "a sanitizer's allocator does not say what is in use";
  EXPECT_LE(Cluster(labels_of_a_deployment).list(), 768U);
}

TEST(PodMemory, PodWithLabelsOfItsOwn_CostsAKiB) {
  if (!allocator_counts()) GTEST_SKIP() << "a sanitizer's allocator does not say what is in use";
  EXPECT_LE(Cluster(labels_of_a_stateful_set).list(), 1'024U);
}

TEST(PodMemory, PodWithLabelsWithoutEnd_CostsNoMoreThanAnother) {
  if (!allocator_counts()) GTEST_SKIP() << "a sanitizer's allocator does not say what is in use";
  EXPECT_LE(Cluster(labels_of_a_hoarder).list(), 768U);
}

// ConfigMaps that carry our label, of no pool: 1 MiB each, with labels, annotations and owners besides.
TEST(ConfigMapMemory, MapsOfNoPool_CostNextToNothing) {
  if (!allocator_counts()) GTEST_SKIP() << "a sanitizer's allocator does not say what is in use";
  constexpr std::size_t kMaps = 40;
  ControllerMetrics metrics;
  FeedTable feeds(
      {.reflector = {}, .drain_taints = {}, .withdraw_taints = {}}, kube::seeded_random(1), metrics,
      [](const api::Pod&, std::vector<std::string>&) {},
      [](const std::string&, const std::string&) { return false; });
  Effects out;
  feeds.start(kListedAt, out);
  const auto attempt = [&out](std::size_t kind) {
    for (auto work = out.watches.rbegin(); work != out.watches.rend(); ++work) {
      const auto* list = std::get_if<kube::StartList>(&work->action);
      if (work->kind == kind && list != nullptr) return list->attempt;
    }
    return std::uint64_t{0};
  };
  kube::ListPage<api::InferencePool> none;
  none.resource_version = "1";
  using PoolsArrived = kube::InformerInput<api::InferencePool>::ListArrived;
  feeds.take(KindInput<Pools>{{attempt(WatchedKinds::index<Pools>()), kListedAt, PoolsArrived{none}}},
             kListedAt, out, [](const auto&) {});
  const auto map = [](std::size_t number) {
    json labels = {{"app.kubernetes.io/managed-by", "poolwarden"}, {"poolwarden.io/pool", "a"}};
    json owners = json::array();
    for (int i = 0; i < 300; ++i) {
      labels[fmt::format("label-{}", i)] = std::string(60, 'x');
      owners.push_back(
          {{"apiVersion", "v1"}, {"kind", "Pod"}, {"name", std::string(2'000, 'x')}, {"uid", uid(3, i)}});
    }
    return json{{"metadata",
                 {{"name", fmt::format("map-{}", number)},
                  {"namespace", "noisy"},
                  {"uid", uid(4, static_cast<int>(number))},
                  {"resourceVersion", std::to_string(1'000 + number)},
                  {"labels", labels},
                  {"annotations", {{"poolwarden.io/revision", std::string(100'000, '1')}}},
                  {"ownerReferences", owners}}},
                {"data", {{"endpoints.json", std::string(500'000, 'x')}, {"endpoints.txt", "x"}}}};
  };
  const std::size_t before = bytes_in_use();
  for (std::size_t i = 0; i < kMaps; ++i) {
    const bool last = i + 1 == kMaps;
    auto page = kube::decode_list<api::ConfigMapCodec>(
        protobuf_wire::list("ConfigMap", {protobuf_wire::message("ConfigMap", map(i))},
                            {.continue_token = last ? "" : std::to_string(i), .remaining = 1}),
        kube::Encoding::kProtobuf);
    ASSERT_TRUE(page) << page.error().message;
    using Arrived = kube::InformerInput<api::ConfigMap>::ListArrived;
    KindInput<ConfigMaps> in{
        {attempt(WatchedKinds::index<ConfigMaps>()), kListedAt, Arrived{std::move(*page)}}};
    feeds.take(std::move(in), kListedAt, out, [](const auto&) {});
  }
  ASSERT_EQ(feeds.store<ConfigMaps>().size(), kMaps);
  out = {};
  EXPECT_LE((bytes_in_use() - before) / kMaps, 8'192U);
}

}  // namespace
}  // namespace poolwarden::control
