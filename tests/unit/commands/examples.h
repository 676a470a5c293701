// Pools, pods and moments that the tests of the commands start from.
#pragma once

#include "api/names.h"
#include "commands/view.h"

#include <chrono>
#include <string>

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
  out.ip = "10.0.0.1";
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
// As the operator does it: the label comes with its annotation.
inline void drain(PodView& pod) {
  label(pod, "drained");
  annotate(pod, api::kSavedCostAnnotation, "");
}
inline PodView not_ready_pod() {
  PodView out = ready_pod();
  label(out, "false");
  out.conditions = {condition("Ready", "False", "ContainersNotReady"), condition("ContainersReady", "False")};
  return out;
}

}  // namespace poolwarden::commands
