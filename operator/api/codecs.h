// How each cached type is read from the wire: codecs, as kube's decoders are instantiated with them
// (kube/codec.h says what one is). Built-in kinds are read from JSON and from protobuf, our own, Secrets and
// the two of the gate, which are few and small, from JSON only.
//
// None of the readers throws, whatever comes. Stateless; any thread.
#pragma once

#include "api/inference_pool.h"
#include "api/objects.h"
#include "api/pod_sax.h"

#include <optional>
#include <string>
#include <string_view>

#include <nlohmann/json_fwd.hpp>

namespace poolwarden::api {

struct PodCodec {
  using Object = Pod;
  using Sax = PodSax;
  static std::optional<Pod> from_protobuf(std::string_view message);
};
struct NodeCodec {
  using Object = Node;
  static Node from_json(const nlohmann::json& object);
  static std::optional<Node> from_protobuf(std::string_view message);
};
struct ReplicaSetCodec {
  using Object = ReplicaSet;
  static ReplicaSet from_json(const nlohmann::json& object);
  static std::optional<ReplicaSet> from_protobuf(std::string_view message);
};
struct DisruptionBudgetCodec {
  using Object = DisruptionBudget;
  static DisruptionBudget from_json(const nlohmann::json& object);
  static std::optional<DisruptionBudget> from_protobuf(std::string_view message);
};
struct GatePolicyCodec {
  using Object = GatePart;
  static GatePart from_json(const nlohmann::json& object);
};
struct GateBindingCodec {
  using Object = GatePart;
  static GatePart from_json(const nlohmann::json& object);
};
// Of both halves, in what way the gate does not do what it should; empty when it does.
const std::string& gate_difference(const GatePart& policy, const GatePart& binding);
struct AutoscalerCodec {
  using Object = Autoscaler;
  static Autoscaler from_json(const nlohmann::json& object);
  static std::optional<Autoscaler> from_protobuf(std::string_view message);
};
struct ConsumerLeaseCodec {
  using Object = ConsumerLease;
  static ConsumerLease from_json(const nlohmann::json& object);
  static std::optional<ConsumerLease> from_protobuf(std::string_view message);
};
struct LeaderWorkerSetCodec {
  using Object = LeaderWorkerSet;
  static LeaderWorkerSet from_json(const nlohmann::json& object);
};
struct RolloutCodec {
  using Object = Rollout;
  static Rollout from_json(const nlohmann::json& object);
};
struct DeploymentCodec {
  using Object = Deployment;
  static Deployment from_json(const nlohmann::json& object);
  static std::optional<Deployment> from_protobuf(std::string_view message);
};
struct StatefulSetCodec {
  using Object = StatefulSet;
  static StatefulSet from_json(const nlohmann::json& object);
  static std::optional<StatefulSet> from_protobuf(std::string_view message);
};
struct ServiceCodec {
  using Object = Service;
  static Service from_json(const nlohmann::json& object);
  static std::optional<Service> from_protobuf(std::string_view message);
};
struct EndpointSliceCodec {
  using Object = EndpointSlice;
  static EndpointSlice from_json(const nlohmann::json& object);
  static std::optional<EndpointSlice> from_protobuf(std::string_view message);
};
struct ConfigMapCodec {
  using Object = ConfigMap;
  static ConfigMap from_json(const nlohmann::json& object);
  static std::optional<ConfigMap> from_protobuf(std::string_view message);
};
// From JSON only: one is read now and then.
struct SecretCodec {
  using Object = Secret;
  static Secret from_json(const nlohmann::json& object);
};
struct PoolCodec {
  using Object = InferencePool;
  static InferencePool from_json(const nlohmann::json& object);
};

}  // namespace poolwarden::api
