// A ReplicaSet of a few pods, seconds that pass, engines that answer.
#pragma once

#include "api/names.h"
#include "world.h"

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

namespace poolwarden::pool {

inline std::string serving(const api::Pod& pod) {
  return pod.serving.value_or("");
}

// Pods a, b, c ... of one ReplicaSet, all serving, each with as many requests in flight as `busy` says.
class Fleet : public testing::Test {
 protected:
  void make(const std::vector<double>& busy) {
    world.pods.clear();
    world.replica_sets.clear();
    add_set("set", "old", busy, static_cast<std::int32_t>(busy.size()));
    world.target->replicas = world.target->status_replicas = static_cast<std::int32_t>(busy.size());
    world.pool.replicas = world.target->replicas;
    settle(0);
  }
  void add_set(const std::string& name, const std::string& prefix, const std::vector<double>& busy,
               std::int32_t replicas) {
    api::ReplicaSet set;
    set.name = name;
    set.uid = name + "-uid";
    set.replicas = replicas;
    world.replica_sets.push_back(set);
    for (std::size_t i = 0; i < busy.size(); ++i) {
      const std::string pod_name = prefix + "-" + std::string(1, static_cast<char>('a' + i));
      api::Pod pod = ready_pod(pod_name, "10.0.1." + std::to_string(world.pods.size()));
      pod.controller = std::make_shared<const std::string>(set.uid);
      load[pod.uid] = busy[i];
      world.pods.push_back(pod);
    }
  }
  void scale_replica_set(std::int32_t replicas) { world.replica_sets[0].replicas = replicas; }
  void scale(std::int32_t replicas) {
    world.pool.replicas = world.target->replicas = replicas;
    scale_replica_set(replicas);
  }
  // One pod, which is to be replaced first and whose node is cordoned: its target has one more from then on.
  void await_replacement() {
    make({2});
    world.pool.disruption.replace_first = true;
    world.nodes["node-1"].unschedulable = true;
    settle(10);
    ASSERT_EQ(world.target->replicas, 2);
  }
  void another_pool_drains(const std::string& pod) {
    world.led_by_others = {pod + "-uid"};
    world.pod(pod).serving = "draining";
    world.pod(pod).annotations =
        std::make_shared<const api::DrainAnnotations>(api::DrainAnnotations{.started = "2023-11-14T22:13:20Z",
                                                                            .reason = "ScaleDown",
                                                                            .request = {},
                                                                            .saved_cost = {},
                                                                            .deletion_cost = {}});
  }
  void on_node(const std::string& node, const std::string& pod) {
    world.nodes[node].name = node;
    world.pod(pod).node = std::make_shared<const std::string>(node);
  }
  void on_node_two(const std::string& pod) { on_node("node-2", pod); }
  // Each pod is on a node of its own, and all of these are cordoned at once.
  void cordon_all() {
    for (std::size_t i = 0; i < world.pods.size(); ++i) {
      const std::string node = "node-" + std::to_string(i + 1);
      on_node(node, world.pods[i].name);
      world.nodes[node].unschedulable = true;
    }
  }

  // As many passes at one moment as lead to something, engines answering at once.
  void settle(int second) {
    for (int passes = 0; passes < 12; ++passes) {
      const Plan plan = world.decide(second);
      bool asked = false;
      for (const WantedReading& reading : plan.readings) {
        const auto now = at_second(second).mono;
        if (!world.loads.request(reading.uid, reading.withdrawn, std::chrono::seconds{1}, now,
                                 EngineLoadTracker::kSettle, reading.confirmed))
          continue;
        asked = true;
        world.loads.began(reading.uid, now);
        const auto known = load.find(reading.uid);
        if (known == load.end()) {
          world.loads.took(reading.uid, std::nullopt, "connection refused", now);
        } else {
          world.loads.took(reading.uid, Load{known->second, {}}, "", now);
        }
      }
      for (const auto& [uid, note] : plan.drain_notes) notes.push_back(note);
      if (plan.empty() && !asked) return;
      world.apply(plan);
      for (const api::Pod& pod : world.pods) world.releases.saw(pod, at_second(second).mono);
      if (HasFatalFailure()) return;
    }
    FAIL() << "still something to do";
  }
  void pass_seconds(int from, int to) {
    for (int second = from; second <= to; ++second) settle(second);
  }
  std::vector<std::string> in_state(std::string_view state) const {
    std::vector<std::string> out;
    for (const api::Pod& pod : world.pods) {
      if (serving(pod) == state && !pod.deletion_timestamp) out.push_back(pod.name);
    }
    return out;
  }
  std::vector<std::string> draining() const { return in_state("draining"); }
  std::vector<std::string> drained() const { return in_state("drained"); }
  std::vector<std::string> served() const {
    std::vector<std::string> out;
    const auto set = api::parse_endpoint_set(world.config_map->endpoints_json, nullptr);
    for (const auto& endpoint : set->endpoints) {
      if (endpoint.state == api::EndpointState::kReady) out.push_back(endpoint.pod);
    }
    return out;
  }
  std::vector<DrainResult> steps() const {
    std::vector<DrainResult> out;
    for (const DrainNote& note : notes) out.push_back(note.step);
    return out;
  }
  // The ReplicaSet's controller, once it is let: takes what it may.
  void take_released() {
    for (api::Pod& pod : world.pods) {
      if (serving(pod) == "drained") pod.deletion_timestamp = api::Timestamp{};
    }
  }

  World world;
  std::map<std::string, double> load;
  std::vector<DrainNote> notes;
};

}  // namespace poolwarden::pool
