// Pools, pods and moments that the tests of the commands start from.
#pragma once

#include "api/names.h"
#include "commands/view.h"

#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

namespace poolwarden::commands {

inline const api::Timestamp kNow = *api::parse_rfc3339("2026-11-22T12:00:00Z");

inline api::Timestamp ago(int seconds) {
  return kNow - std::chrono::seconds(seconds);
}
inline api::Timestamp ahead(int seconds) {
  return kNow + std::chrono::seconds(seconds);
}

inline api::Condition condition(std::string type, std::string status, std::string reason = {},
                                std::string message = {}) {
  api::Condition out;
  out.type = std::move(type);
  out.status = std::move(status);
  out.reason = std::move(reason);
  out.message = std::move(message);
  return out;
}

inline EndpointView endpoint(std::string pod, std::string state, int for_seconds = 60) {
  EndpointView out;
  out.pod = std::move(pod);
  out.ip = "10.0.0.1";
  out.state = std::move(state);
  out.since = ago(for_seconds);
  return out;
}

// As in the promise to users: 12 s gone, 3 in flight, 288 s left.
inline EndpointView draining(std::string pod) {
  EndpointView out = endpoint(std::move(pod), "draining", 12);
  out.reason = "ScaleDown";
  out.in_flight = 3;
  out.deadline = ahead(288);
  return out;
}

inline PoolView healthy_pool() {
  PoolView out;
  out.ns = "default";
  out.name = "vllm";
  out.uid = "uid-vllm";
  out.generation = out.observed_generation = 1;
  out.created = ago(3 * 3600);
  out.wanted = 2;
  out.target = api::ScaleTargetRef{"apps/v1", "Deployment", "vllm"};
  out.config_map = "vllm-endpoints";
  out.replicas = out.ready = out.serving = 2;
  out.revision = 7;
  out.endpoints = {endpoint("vllm-a", "ready"), endpoint("vllm-b", "ready")};
  out.conditions = {condition("Available", "True"),          condition("Progressing", "False"),
                    condition("Degraded", "False"),          condition("ScaleTargetFound", "True"),
                    condition("EndpointsPublished", "True"), condition("DisruptionSafe", "True")};
  return out;
}

inline PodView ready_pod(std::string name = "vllm-a") {
  PodView out;
  out.ns = "default";
  out.uid = "uid-" + name;
  out.name = std::move(name);
  out.labels = {{"app", "vllm"}, {std::string(api::kServingLabel), "true"}};
  out.node = "n1";
  out.phase = "Running";
  out.conditions = {condition("Ready", "True"), condition("ContainersReady", "True")};
  api::OwnerReference owner;
  owner.kind = "ReplicaSet";
  owner.name = "vllm-5d9c";
  owner.controller = true;
  out.owners = {owner};
  return out;
}

inline void label(PodView& pod, std::string_view value) {
  pod.labels[std::string(api::kServingLabel)] = value;
}
inline void annotate(PodView& pod, std::string_view key, std::string value) {
  pod.annotations[std::string(key)] = std::move(value);
}
// As the operator does it: the labels come with their annotations.
inline void begin_drain(PodView& pod) {
  label(pod, "draining");
  annotate(pod, api::kDrainStartedAnnotation, "2026-11-22T11:59:48Z");
}
inline void drain(PodView& pod) {
  begin_drain(pod);
  label(pod, "drained");
  annotate(pod, api::kSavedCostAnnotation, "");
}
inline PodView not_ready_pod() {
  PodView out = ready_pod();
  label(out, "false");
  out.conditions = {condition("Ready", "False", "ContainersNotReady"), condition("ContainersReady", "False")};
  return out;
}

// The same pod from the JSON that the API server would send, so that it is judged as the operator would.
inline PodView reread(const PodView& pod, const std::string& ip = "10.0.0.1",
                      const std::vector<std::string>& gates = {}) {
  using nlohmann::json;
  json metadata = {{"namespace", pod.ns},
                   {"name", pod.name},
                   {"uid", pod.uid},
                   {"labels", pod.labels},
                   {"annotations", pod.annotations},
                   {"finalizers", pod.finalizers},
                   {"ownerReferences", json::array()}};
  for (const auto& owner : pod.owners) metadata["ownerReferences"].push_back(api::to_json(owner));
  if (pod.ends) metadata["deletionTimestamp"] = api::to_rfc3339(*pod.ends);
  json spec = {{"nodeName", pod.node}, {"readinessGates", json::array()}};
  for (const auto& gate : gates) spec["readinessGates"].push_back({{"conditionType", gate}});
  json status = {{"phase", pod.phase},
                 {"reason", pod.status_reason},
                 {"message", pod.status_message},
                 {"conditions", json::array()},
                 {"initContainerStatuses", json::array()},
                 {"containerStatuses", json::array()}};
  if (!ip.empty()) status["podIPs"] = json::array({{{"ip", ip}}});
  for (const auto& each : pod.conditions) status["conditions"].push_back(api::to_json(each));
  for (const auto& each : pod.containers) {
    json container = {{"name", each.name}, {"restartCount", each.restarts}};
    if (!each.state.empty())
      container["state"][each.state] = {{"reason", each.reason}, {"message", each.message}};
    status[each.init ? "initContainerStatuses" : "containerStatuses"].push_back(std::move(container));
  }
  return read_pod(
      {{"metadata", std::move(metadata)}, {"spec", std::move(spec)}, {"status", std::move(status)}});
}

}  // namespace poolwarden::commands
