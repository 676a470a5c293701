// spec.publish.service.endpointSlices: Direct. What the slices say, and the way there and back.
#include "pool/endpoint_slices.h"

#include "api/names.h"
#include "support/seeds.h"
#include "world.h"

#include <algorithm>
#include <functional>
#include <random>
#include <set>
#include <utility>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace poolwarden::pool {
namespace {

using testing::HasSubstr;
using testing::IsSupersetOf;
using Uids = std::set<std::string>;

constexpr const char* kFirst = "vllm-poolwarden-ipv4-1";
constexpr const char* kKubernetes = "vllm-abcde";

World direct_world() {
  World world;
  world.pool.publish.slices = api::SliceMode::kDirect;
  return world;
}

// As Kubernetes' EndpointSlice controller does: by the Service's selector, with the Service's labels. A
// Service without a selector it leaves alone, with the slices that it had.
void kubernetes_syncs(World& world) {
  if (!world.service || world.service->selector.empty()) return;
  api::EndpointSlice& slice = world.slices[kKubernetes];
  slice.ns = "default";
  slice.name = kKubernetes;
  slice.uid = "kubernetes-uid";
  slice.resource_version += "1";
  slice.service = world.service->name;
  slice.manager = api::kKubernetesSliceManager;
  slice.pool = world.service->labels.at(std::string(api::kPoolLabel));
  slice.skips_mirror = world.service->labels.contains(api::kSkipMirrorLabel);
  slice.endpoints.clear();
  for (const api::Pod& pod : world.pods) {
    const bool selected = pod.serving == "true" && pod.labels->to_map().contains("app");
    if (!selected || pod.ready != api::Tristate::kTrue || pod.deletion_timestamp) continue;
    api::SliceEndpoint endpoint;
    endpoint.uid = pod.uid;
    endpoint.ready = true;
    slice.endpoints.push_back(endpoint);
  }
}

// What a client of the Service sees: a set, as readers must make of it.
Uids ready_in(const World& world) {
  Uids out;
  for (const auto& [name, slice] : world.slices) {
    for (const api::SliceEndpoint& endpoint : slice.endpoints)
      if (endpoint.ready && slice.service == world.pool.publish.service_name) out.insert(endpoint.uid);
  }
  return out;
}

Uids all_ready(const World& world) {
  Uids out;
  for (const api::Pod& pod : world.pods)
    if (pod.ready == api::Tristate::kTrue && !pod.deletion_timestamp) out.insert(pod.uid);
  return out;
}

void settle_both(World& world, int second = 1) {
  for (int round = 0; round < 20; ++round) {
    kubernetes_syncs(world);
    const Plan plan = world.decide(second);
    if (plan.empty()) return;
    world.apply(plan);
    if (testing::Test::HasFatalFailure()) return;
  }
  ADD_FAILURE() << "still something to do";
}

World settled_direct() {
  World world = direct_world();
  settle_both(world);
  return world;
}

const api::SliceEndpoint* endpoint_of(const World& world, const std::string& pod) {
  for (const auto& [name, slice] : world.slices) {
    for (const api::SliceEndpoint& endpoint : slice.endpoints)
      if (endpoint.pod == pod) return &endpoint;
  }
  return nullptr;
}

std::string degraded(const World& world) {
  const api::Condition& found = condition(world.pool.status, api::condition::kDegraded);
  return found.status == "True" ? found.message : std::string();
}

TEST(EndpointSlices, SelectorIsTheDefault) {
  World world;
  settle_both(world);
  EXPECT_FALSE(world.service->selector.empty());
  EXPECT_FALSE(world.service->labels.contains(api::kSkipMirrorLabel));
  EXPECT_EQ(world.slices.size(), 1U) << "Kubernetes' own";
}

TEST(EndpointSlices, SayWhatKubernetesWouldSay) {
  World world = settled_direct();
  EXPECT_TRUE(world.service->selector.empty());
  ASSERT_EQ(world.slices.size(), 1U) << "those that Kubernetes leaves behind are gone";
  const api::EndpointSlice& slice = world.slices.at(kFirst);
  EXPECT_EQ(slice.service, "vllm");
  EXPECT_EQ(slice.manager, "operator.poolwarden.io");
  EXPECT_EQ(slice.pool, "vllm");
  EXPECT_EQ(slice.address_type, "IPv4");
  ASSERT_EQ(slice.owners.size(), 1U);
  EXPECT_EQ(slice.owners[0].kind, "Service");
  EXPECT_EQ(slice.owners[0].uid, world.service->uid);
  EXPECT_EQ(slice.ports, (std::vector<api::SlicePort>{{.name = "http", .number = 8000, .protocol = "TCP"}}));
  ASSERT_EQ(slice.endpoints.size(), 2U);
  EXPECT_EQ(slice.endpoints[0], (api::SliceEndpoint{.address = "10.0.0.1",
                                                    .pod = "vllm-a",
                                                    .uid = "vllm-a-uid",
                                                    .node = "node-1",
                                                    .zone = "zone-1",
                                                    .ready = true,
                                                    .serving = true}));
}

struct StateRow {
  const char* situation;
  std::function<void(World&)> change;
  bool there, ready, serving, terminating;
};

TEST(EndpointSlices, EveryStateOfAPod) {
  using api::Tristate;
  const StateRow rows[] = {
      {"ready", [](World&) {}, true, true, true, false},
      {"not ready", [](World& w) { w.pod("vllm-a").ready = Tristate::kFalse; }, true, false, false, false},
      {"terminating, and answers", [](World& w) { w.pod("vllm-a").deletion_timestamp.emplace(); }, true,
       false, true, true},
      {"terminating, and is not ready",
       [](World& w) {
         w.pod("vllm-a").deletion_timestamp.emplace();
         w.pod("vllm-a").ready = Tristate::kFalse;
       },
       true, false, false, true},
      {"about to be disrupted", [](World& w) { w.pod("vllm-a").disruption_target = "EvictionByEvictionAPI"; },
       true, false, true, true},
      {"its node is not ready", [](World& w) { w.nodes["node-1"].ready = Tristate::kUnknown; }, true, false,
       false, false},
      {"failed", [](World& w) { w.pod("vllm-a").phase = api::PodPhase::kFailed; }, false, false, false,
       false},
      {"without an address", [](World& w) { w.pod("vllm-a").ip.clear(); }, false, false, false, false},
      {"gone", [](World& w) { std::erase_if(w.pods, [](const auto& pod) { return pod.name == "vllm-a"; }); },
       false, false, false, false},
      {"relabelled",
       [](World& w) {
         w.pod("vllm-a") = with_labels(w.pod("vllm-a"), {{"app", "other"}});
       },
       false, false, false, false},
  };
  for (const StateRow& row : rows) {
    World world = settled_direct();
    row.change(world);
    world.settle(2);
    const api::SliceEndpoint* endpoint = endpoint_of(world, "vllm-a");
    ASSERT_EQ(endpoint != nullptr, row.there) << row.situation;
    if (endpoint == nullptr) continue;
    EXPECT_EQ(endpoint->ready, row.ready) << row.situation;
    EXPECT_EQ(endpoint->serving, row.serving) << row.situation;
    EXPECT_EQ(endpoint->terminating, row.terminating) << row.situation;
  }
}

TEST(EndpointSlices, OneThatDrainsTerminates_AndIsReadyAgainWhenThatIsCalledOff) {
  World world = settled_direct();
  const auto ask = [&world](std::optional<std::string> request) {
    world.pod("vllm-a").annotations = std::make_shared<const api::DrainAnnotations>(
        api::DrainAnnotations{.started = world.pod("vllm-a").drain_annotations().started,
                              .reason = world.pod("vllm-a").drain_annotations().reason,
                              .request = std::move(request),
                              .saved_cost = {},
                              .deletion_cost = {}});
  };
  ask("true");
  const Plan plan = world.decide(2);
  ASSERT_EQ(plan.slices.size(), 1U) << "one write, with that of the list";
  EXPECT_TRUE(plan.publish);
  world.settle(2);
  const api::SliceEndpoint* endpoint = endpoint_of(world, "vllm-a");
  EXPECT_TRUE(!endpoint->ready && endpoint->serving && endpoint->terminating);
  ask(std::nullopt);
  world.settle(3);
  endpoint = endpoint_of(world, "vllm-a");
  EXPECT_TRUE(endpoint->ready && endpoint->serving && !endpoint->terminating);
}

TEST(EndpointSlices, EachKeepsItsPlace) {
  World world = direct_world();
  world.pods.clear();
  for (int i = 0; i < 250; ++i)
    world.pods.push_back(
        ready_pod(fmt::format("vllm-{:03}", i), fmt::format("10.0.{}.{}", i / 200, i % 200 + 1)));
  world.pods.push_back(ready_pod("vllm-six", "fd00::6"));
  settle_both(world);
  ASSERT_EQ(world.slices.size(), 4U);
  EXPECT_EQ(world.slices.at("vllm-poolwarden-ipv4-3").endpoints.size(), 50U);
  EXPECT_EQ(world.slices.at("vllm-poolwarden-ipv6-1").address_type, "IPv6");
  std::erase_if(world.pods, [](const auto& pod) { return pod.name == "vllm-007"; });
  Plan plan = world.decide(2);
  ASSERT_EQ(plan.slices.size(), 1U) << "the others stay as they are";
  EXPECT_EQ(plan.slices[0].slice.name, kFirst);
  world.settle(2);
  world.pods.push_back(ready_pod("vllm-new", "10.0.9.9"));
  plan = world.decide(3);
  ASSERT_EQ(plan.slices.size(), 1U) << "it takes the place that is free";
  EXPECT_EQ(plan.slices[0].slice.name, kFirst);
  world.settle(3);
  std::erase_if(world.pods, [](const auto& pod) { return pod.name == "vllm-six"; });
  world.settle(4);
  EXPECT_FALSE(world.slices.contains("vllm-poolwarden-ipv6-1")) << "an empty one goes";
}

TEST(EndpointSlices, HandEditsArePutBack) {
  const std::pair<const char*, std::function<void(World&)>> edits[] = {
      {"ready", [](World& w) { w.slices.at(kFirst).endpoints[0].ready = false; }},
      {"ports", [](World& w) { w.slices.at(kFirst).ports[0].number = 9; }},
      {"a stranger",
       [](World& w) {
         api::SliceEndpoint stranger = w.slices.at(kFirst).endpoints[0];
         stranger.uid = "stranger";
         w.slices.at(kFirst).endpoints.push_back(stranger);
       }},
      {"twice", [](World& w) { w.slices.at(kFirst).endpoints.push_back(w.slices.at(kFirst).endpoints[0]); }},
      {"hints", [](World& w) { w.slices.at(kFirst).endpoints[0].has_more = true; }},
      {"service", [](World& w) { w.slices.at(kFirst).service = "other"; }},
      {"owner", [](World& w) { w.slices.at(kFirst).owners.clear(); }},
      {"deleted", [](World& w) { w.slices.erase(kFirst); }},
      {"of another kind", [](World& w) { w.slices.at(kFirst).address_type = "FQDN"; }},
      {"another one",
       [](World& w) {
         api::EndpointSlice more = w.slices.at(kFirst);
         more.name = "vllm-poolwarden-ipv4-01";
         w.slices[more.name] = more;
       }},
  };
  for (const auto& [what, edit] : edits) {
    World world = settled_direct();
    const auto before = world.slices.at(kFirst).endpoints;
    edit(world);
    EXPECT_FALSE(world.decide(2).slices.empty()) << what;
    for (int i = 0; i < 4; ++i) {
      Plan plan = world.decide(2);
      // The API server takes no slice of a name that is there yet.
      std::erase_if(plan.slices, [&](const auto& write) {
        return write.action == api::EndpointSliceWrite::Action::kCreate &&
               world.slices.contains(write.slice.name);
      });
      world.apply(plan);
    }
    EXPECT_TRUE(world.decide(2).empty()) << what;
    ASSERT_EQ(world.slices.size(), 1U) << what;
    EXPECT_EQ(world.slices.at(kFirst).endpoints, before) << what;
    EXPECT_EQ(world.slices.at(kFirst).service, "vllm") << what;
  }
}

// Pods come, turn unready, drain and go, and the mode is switched to and fro, while Kubernetes' controller
// may be behind by any number of passes.
TEST(EndpointSlices, SwitchingLosesNoReadyEndpoint) {
  for (unsigned seed = 1; seed <= test::seeds(60); ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    const auto one_in = [&random](unsigned n) { return random() % n == 0; };
    World world;
    settle_both(world);
    int next = 0;
    Uids steady = all_ready(world);  // that were ready at the last moment, too
    for (int moment = 2; moment < 120 && !testing::Test::HasFailure(); ++moment) {
      if (one_in(12)) {
        const bool direct = world.pool.publish.slices == api::SliceMode::kDirect;
        world.pool.publish.slices = direct ? api::SliceMode::kSelector : api::SliceMode::kDirect;
        ++world.pool.generation;
      }
      if (one_in(5)) {
        ++next;
        world.pods.push_back(ready_pod(fmt::format("vllm-n{}", next), fmt::format("10.1.0.{}", next)));
      }
      if (one_in(6) && world.pods.size() > 2) {
        api::Pod& pod = world.pods[random() % world.pods.size()];
        pod.ready = pod.ready == api::Tristate::kTrue ? api::Tristate::kFalse : api::Tristate::kTrue;
        pod.resource_version += "0";
      }
      if (one_in(8) && world.pods.size() > 2)
        world.pods.erase(world.pods.begin() + static_cast<std::ptrdiff_t>(random() % world.pods.size()));
      if (one_in(2)) kubernetes_syncs(world);
      const Plan plan = world.decide(moment);
      // One after the other, and a reader looks in between.
      const bool ours_before = world.slices.contains(kFirst);
      world.apply(plan);
      Uids now = all_ready(world);
      Uids both;
      std::set_intersection(now.begin(), now.end(), steady.begin(), steady.end(),
                            std::inserter(both, both.end()));
      // By itself it may be as late as it is. It may not when ours have just gone.
      if (!ours_before && !world.slices.contains(kFirst)) kubernetes_syncs(world);
      std::erase_if(both, [&world](const std::string& uid) {
        const auto pod = std::find_if(world.pods.begin(), world.pods.end(),
                                      [&uid](const auto& one) { return one.uid == uid; });
        return pod->serving != "true";
      });
      EXPECT_THAT(ready_in(world), IsSupersetOf(both)) << "at moment " << moment;
      if (!world.slices.contains(kKubernetes)) {
        EXPECT_EQ(ready_in(world), now) << "at moment " << moment;
      }
      steady = std::move(now);
    }
    settle_both(world, 200);
    EXPECT_EQ(ready_in(world), all_ready(world));
    const bool direct = world.pool.publish.slices == api::SliceMode::kDirect;
    EXPECT_EQ(world.service->selector.empty(), direct);
    EXPECT_EQ(world.service->labels.contains(api::kSkipMirrorLabel), direct);
    EXPECT_EQ(world.slices.contains(kKubernetes), !direct);
    EXPECT_EQ(world.slices.contains(kFirst), direct && !world.pods.empty());
  }
}

TEST(EndpointSlices, TheSelectorStaysUntilOursStandAndKubernetesHasSeenTheMark) {
  World world = settled();
  kubernetes_syncs(world);
  world.pool.publish.slices = api::SliceMode::kDirect;
  ++world.pool.generation;
  for (int i = 0; i < 3; ++i) {
    const Plan plan = world.decide(2);
    EXPECT_FALSE(plan.service && plan.service->drop_selector) << "Kubernetes has yet to copy the label";
    world.apply(plan);
  }
  EXPECT_TRUE(world.slices.contains(kFirst)) << "ours stand";
  EXPECT_THAT(condition(world.pool.status, api::condition::kEndpointsPublished).message,
              HasSubstr("keeps its selector until"));
  kubernetes_syncs(world);
  World unwritten = world;
  unwritten.slices.erase(kFirst);
  EXPECT_FALSE(unwritten.decide(2).service && unwritten.decide(2).service->drop_selector)
      << "ours do not stand";
  const Plan plan = world.decide(2);
  ASSERT_TRUE(plan.service && plan.service->drop_selector);
  EXPECT_FALSE(plan.service_event) << "nobody edited it";
  EXPECT_TRUE(plan.slices.empty()) << "Kubernetes' slices go once the selector has gone";
  world.apply(plan);
  const Plan last = world.decide(2);
  ASSERT_EQ(last.slices.size(), 1U);
  EXPECT_EQ(last.slices[0].slice.name, kKubernetes);
  EXPECT_EQ(last.slices[0].action, api::EndpointSliceWrite::Action::kDelete);
}

TEST(EndpointSlices, OursStayUntilKubernetesHasAllReadyEndpoints) {
  World world = settled_direct();
  world.pool.publish.slices = api::SliceMode::kSelector;
  ++world.pool.generation;
  const Plan plan = world.decide(2);
  ASSERT_TRUE(plan.service);
  EXPECT_EQ(plan.service->selector.at("app"), "vllm");
  EXPECT_FALSE(plan.service_event) << "nobody edited it";
  world.apply(plan);
  world.settle(2);
  EXPECT_TRUE(world.slices.contains(kFirst)) << "Kubernetes has none yet";
  kubernetes_syncs(world);
  world.slices.at(kKubernetes).endpoints.pop_back();
  world.settle(3);
  ASSERT_TRUE(world.slices.contains(kFirst)) << "one is missing there";
  world.pod("vllm-a").ready = api::Tristate::kFalse;
  world.settle(4);
  EXPECT_FALSE(endpoint_of(world, "vllm-a")->ready) << "meanwhile ours are kept true";
  settle_both(world, 5);
  EXPECT_FALSE(world.slices.contains(kFirst));
  EXPECT_FALSE(world.service->labels.contains(api::kSkipMirrorLabel));
}

TEST(EndpointSlices, WithoutTheRightTheSelectorStays) {
  World world = direct_world();
  world.slice_sight = SliceSight::kRefused;
  settle_both(world);
  EXPECT_FALSE(world.service->selector.empty());
  EXPECT_FALSE(world.slices.contains(kFirst));
  EXPECT_THAT(degraded(world), HasSubstr("endpointslices.discovery.k8s.io"));
  World lost = settled_direct();
  lost.slice_sight = SliceSight::kRefused;
  lost.slices.clear();  // as one that starts without the right sees it
  lost.settle(2);
  EXPECT_EQ(lost.service->selector.at("poolwarden.io/serving"), "true") << "it is put back";
  World soon = settled_direct();
  soon.slice_sight = SliceSight::kNotYet;
  EXPECT_TRUE(soon.decide(2).empty()) << "what is there stays until they are read";
}

TEST(EndpointSlices, OnlyAServiceOfThePoolIsServedSo) {
  World foreign = settled();
  foreign.service->owners.clear();
  foreign.service->labels.clear();
  foreign.service->selector = {{"app", "theirs"}};
  foreign.pool.publish.slices = api::SliceMode::kDirect;
  foreign.settle(2);
  EXPECT_TRUE(foreign.slices.empty());
  EXPECT_EQ(foreign.service->selector.at("app"), "theirs");
  EXPECT_THAT(degraded(foreign), HasSubstr("spec.publish.service.name"));
  World off = settled();
  off.pool.publish.slices = api::SliceMode::kDirect;
  off.pool.publish.create_service = false;
  off.settle(2);
  EXPECT_TRUE(off.slices.empty());
  EXPECT_THAT(degraded(off), HasSubstr("spec.publish.service.create"));
  World misspelt = settled();
  misspelt.pool.publish.slices = api::SliceMode::kMisspelt;
  misspelt.settle(2);
  EXPECT_THAT(degraded(misspelt), HasSubstr("neither Selector nor Direct"));
  EXPECT_FALSE(misspelt.service->selector.empty());
}

// What a selector cannot say, slices can.
TEST(EndpointSlices, ServePoolsWithExpressions) {
  World world = direct_world();
  world.pool.selector = api::LabelSelector{{}, {{.key = "app", .op = "In", .values = {"vllm"}}}};
  settle_both(world);
  ASSERT_TRUE(world.service);
  EXPECT_TRUE(world.service->selector.empty());
  EXPECT_EQ(ready_in(world), all_ready(world));
  world.pool.publish.slices = api::SliceMode::kSelector;
  settle_both(world, 3);
  EXPECT_EQ(ready_in(world), all_ready(world)) << "there is nothing that could take over";
  EXPECT_THAT(condition(world.pool.status, api::condition::kEndpointsPublished).message,
              HasSubstr("endpointSlices to Direct"));
}

TEST(EndpointSlices, OnHoldOnlyTheUnfitGo) {
  World world = settled_direct();
  world.pool.target_ports.clear();  // no usable spec
  world.pod("vllm-a").ready = api::Tristate::kFalse;
  world.pods.push_back(ready_pod("vllm-new", "10.0.0.9"));
  world.settle(2);
  EXPECT_FALSE(endpoint_of(world, "vllm-a")->ready);
  EXPECT_TRUE(endpoint_of(world, "vllm-b")->ready);
  EXPECT_EQ(endpoint_of(world, "vllm-new"), nullptr);
  EXPECT_EQ(world.slices.at(kFirst).ports.size(), 1U) << "as they were";
}

TEST(EndpointSlices, OnHoldWhoIsKeptInPanicStays) {
  World world = settled_direct();
  world.pool.publish.panic_threshold = 50;
  for (const char* name : {"vllm-a", "vllm-b"})
    world.pod(name).ready = world.pod(name).containers_ready = api::Tristate::kFalse;
  world.settle(2);
  world.pool.target_ports.clear();  // no usable spec
  world.settle(3);
  EXPECT_TRUE(endpoint_of(world, "vllm-a")->ready);
  EXPECT_TRUE(endpoint_of(world, "vllm-b")->ready);
}

// They cannot be made as they should be; nobody is to be sent to who goes.
TEST(EndpointSlices, WhoGoesLeavesThemWhateverBecomesOfTheService) {
  const std::pair<const char*, std::function<void(World&)>> rows[] = {
      {"the right to read them is lost", [](World& world) { world.slice_sight = SliceSight::kRefused; }},
      {"the Service is being deleted", [](World& world) { world.service->deleting = true; }},
      {"there is none, and none is to be made", [](World& world) {
         world.service.reset();
         world.pool.publish.create_service = false;
       }}};
  for (const auto& [what, befalls] : rows) {
    World world = settled_direct();
    befalls(world);
    world.pod("vllm-a").deletion_timestamp = api::Timestamp{};
    world.settle(2);
    EXPECT_FALSE(endpoint_of(world, "vllm-a")->ready) << what;
    EXPECT_TRUE(endpoint_of(world, "vllm-b")->ready) << what;
  }
}

TEST(EndpointSlices, WithoutTheRightItIsSaidWhatStays) {
  World world = settled_direct();
  world.slice_sight = SliceSight::kRefused;
  world.settle(2);
  EXPECT_THAT(degraded(world), HasSubstr("kubectl delete endpointslices -l poolwarden.io/pool=vllm,"
                                         "endpointslice.kubernetes.io/managed-by=operator.poolwarden.io"));
}

// Kubernetes mirrors the old Endpoints of a Service whose mark it has not seen.
TEST(EndpointSlices, WithExpressionsTheSelectorGoesOnlyOnceKubernetesHasSeenTheMark) {
  World world;
  settle_both(world);
  world.pool.selector = api::LabelSelector{{}, {{.key = "app", .op = "In", .values = {"vllm"}}}};
  world.pool.publish.slices = api::SliceMode::kDirect;
  world.slices.clear();  // unmarked ones are not seen
  world.settle(2);
  EXPECT_FALSE(world.service->selector.empty());
  settle_both(world, 3);
  EXPECT_TRUE(world.service->selector.empty());
  EXPECT_EQ(ready_in(world), all_ready(world));
}

TEST(EndpointSlices, OldEndpointsThatAreMirroredAreTold) {
  World world = settled_direct();
  api::EndpointSlice mirrored = world.slices.at(kFirst);
  mirrored.name = "vllm-mirrored";
  mirrored.manager = "endpointslicemirroring-controller.k8s.io";
  world.slices[mirrored.name] = mirrored;
  world.settle(2);
  EXPECT_TRUE(world.slices.contains("vllm-mirrored")) << "its controller would make it again";
  EXPECT_THAT(condition(world.pool.status, api::condition::kEndpointsPublished).message,
              HasSubstr("kubectl delete endpoints vllm"));
}

TEST(EndpointSlices, WithTheServicesNameThoseOfTheOldOneGo) {
  World world = settled_direct();
  const api::Service old = *world.service;
  world.pool.publish.service_name = "chat";
  world.service.reset();
  world.settle(2);
  kubernetes_syncs(world);
  world.slices.at(kKubernetes).service = "chat";
  settle_both(world, 3);
  EXPECT_FALSE(world.slices.contains(kFirst));
  EXPECT_TRUE(world.slices.contains("chat-poolwarden-ipv4-1"));
}

}  // namespace
}  // namespace poolwarden::pool
