// How each cached type is read from the wire. A codec is what kube's decoders are instantiated with:
//
//   using Object = ...;                                   the value it makes
//   static Object from_json(const nlohmann::json&);       a DOM codec: for types that are few or small
//   class Sax { ...callbacks of kube/json_sink.h...; Object take(); };   a SAX codec: no DOM, for pods
//
// from_json must not throw for any well-formed JSON object.
#pragma once

#include "api/inference_pool.h"
#include "api/objects.h"
#include "api/pod_sax.h"

#include <nlohmann/json_fwd.hpp>

namespace poolwarden::api {

struct PodCodec {
  using Object = Pod;
  using Sax = PodSax;
};
struct NodeCodec {
  using Object = Node;
  static Node from_json(const nlohmann::json& object);
};
struct ReplicaSetCodec {
  using Object = ReplicaSet;
  static ReplicaSet from_json(const nlohmann::json& object);
};
struct DisruptionBudgetCodec {
  using Object = DisruptionBudget;
  static DisruptionBudget from_json(const nlohmann::json& object);
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
};
struct DeploymentCodec {
  using Object = Deployment;
  static Deployment from_json(const nlohmann::json& object);
};
struct ServiceCodec {
  using Object = Service;
  static Service from_json(const nlohmann::json& object);
};
struct ConfigMapCodec {
  using Object = ConfigMap;
  static ConfigMap from_json(const nlohmann::json& object);
};
struct PoolCodec {
  using Object = InferencePool;
  static InferencePool from_json(const nlohmann::json& object);
};

}  // namespace poolwarden::api
