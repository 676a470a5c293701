// Reads an object from its JSON and from its protobuf, and expects the same of both: whatever a table says of
// the one it then says of the other.
#pragma once

#include "api/codecs.h"
#include "kube/watch_decoder.h"
#include "support/protobuf/wire.h"

#include <string>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace poolwarden::api {

template <class Codec>
inline constexpr const char* kKind = nullptr;
template <>
inline constexpr const char* kKind<PodCodec> = "Pod";
template <>
inline constexpr const char* kKind<NodeCodec> = "Node";
template <>
inline constexpr const char* kKind<ReplicaSetCodec> = "ReplicaSet";
template <>
inline constexpr const char* kKind<DisruptionBudgetCodec> = "PodDisruptionBudget";
template <>
inline constexpr const char* kKind<AutoscalerCodec> = "HorizontalPodAutoscaler";
template <>
inline constexpr const char* kKind<ConsumerLeaseCodec> = "Lease";
template <>
inline constexpr const char* kKind<DeploymentCodec> = "Deployment";
template <>
inline constexpr const char* kKind<StatefulSetCodec> = "StatefulSet";
template <>
inline constexpr const char* kKind<ServiceCodec> = "Service";
template <>
inline constexpr const char* kKind<EndpointSliceCodec> = "EndpointSlice";
template <>
inline constexpr const char* kKind<ConfigMapCodec> = "ConfigMap";

// All that is kept of a pod, for a failure's message.
inline std::string describe(const Pod& pod) {
  const auto time = [](std::optional<Timestamp> at) { return at ? to_rfc3339_nanos(*at) : std::string("-"); };
  const DrainAnnotations& annotations = pod.drain_annotations();
  const auto mark = [](const std::optional<std::string>& text) { return text.value_or("-"); };
  return fmt::format(
      "{}/{} uid={} rv={} labels={} serving={} node={} controller={} created={} ip={} phase={} ready={}/{} "
      "reason='{}' target={} gate='{}' status='{}' deletion={} grace={}/{} probe={} pre_stop={} "
      "annotations={},{},{},{},{} ports={}",
      pod.ns, pod.name, pod.uid, pod.resource_version, pod.labels->to_map(), mark(pod.serving), *pod.node,
      *pod.controller, time(pod.created), pod.ip, static_cast<int>(pod.phase), static_cast<int>(pod.ready),
      static_cast<int>(pod.containers_ready), mark(pod.ready_reason), mark(pod.disruption_target),
      mark(pod.unmet_gate), mark(pod.status_reason), time(pod.deletion_timestamp), pod.deletion_grace_seconds,
      pod.termination_grace_seconds, pod.has_readiness_probe, pod.has_pre_stop, mark(annotations.started),
      mark(annotations.reason), mark(annotations.request), mark(annotations.saved_cost),
      mark(annotations.deletion_cost), fmt::join(active_ports_of(pod), ","));
}

// What kube's decoder makes of it, also of one without a name.
template <class Codec>
typename Codec::Object from_text(const std::string& text) {
  kube::CodecSink<Codec> sink;
  sink.begin();
  const auto problem = kube::internal::read_object(text, sink);
  return sink.take();
}

template <class Codec>
typename Codec::Object read_both(const nlohmann::json& object) {
  auto from_json = from_text<Codec>(object.dump());
  const auto from_protobuf = Codec::from_protobuf(protobuf_wire::message(kKind<Codec>, object));
  EXPECT_TRUE(from_protobuf) << object.dump();
  if (!from_protobuf) return from_json;
  if constexpr (std::is_same_v<Codec, PodCodec>) {
    EXPECT_EQ(describe(*from_protobuf), describe(from_json)) << object.dump();
  } else {
    EXPECT_TRUE(*from_protobuf == from_json) << object.dump();
  }
  return from_json;
}

}  // namespace poolwarden::api
