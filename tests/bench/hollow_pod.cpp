#include "bench/hollow_pod.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace poolwarden::bench {
namespace {

using nlohmann::json;

std::string node_name(int number) {
  return fmt::format("gpu-node-{:03}", number);
}

json env(const char* name, const char* value) {
  return {{"name", name}, {"value", value}};
}

json probe(const char* path, int period) {
  return {{"httpGet", {{"path", path}, {"port", 8000}, {"scheme", "HTTP"}}},
          {"initialDelaySeconds", 5},
          {"periodSeconds", period},
          {"timeoutSeconds", 1},
          {"successThreshold", 1},
          {"failureThreshold", 3}};
}

json container() {
  return {{"name", "vllm"},
          {"image", "docker.io/vllm/vllm-openai:v0.10.1"},
          {"command", {"vllm", "serve"}},
          {"args",
           {"meta-llama/Llama-3.1-8B-Instruct", "--port=8000", "--max-model-len=32768",
            "--gpu-memory-utilization=0.92", "--enable-prefix-caching", "--shutdown-timeout=120"}},
          {"ports", {{{"name", "http"}, {"containerPort", 8000}, {"protocol", "TCP"}}}},
          {"env",
           {env("HF_HOME", "/models"), env("VLLM_LOGGING_LEVEL", "INFO"), env("NCCL_DEBUG", "WARN"),
            env("OMP_NUM_THREADS", "8"), env("TORCHINDUCTOR_CACHE_DIR", "/cache/inductor")}},
          {"resources",
           {{"limits", {{"cpu", "8"}, {"memory", "64Gi"}, {"nvidia.com/gpu", "1"}}},
            {"requests", {{"cpu", "4"}, {"memory", "48Gi"}, {"nvidia.com/gpu", "1"}}}}},
          {"volumeMounts",
           {{{"name", "models"}, {"mountPath", "/models"}},
            {{"name", "shm"}, {"mountPath", "/dev/shm"}},
            {{"name", "kube-api-access-x7k2p"},
             {"readOnly", true},
             {"mountPath", "/var/run/secrets/kubernetes.io/serviceaccount"}}}},
          {"readinessProbe", probe("/health", 5)},
          {"livenessProbe", probe("/health", 10)},
          {"startupProbe", probe("/health", 10)},
          {"lifecycle", {{"preStop", {{"sleep", {{"seconds", 30}}}}}}},
          {"terminationMessagePath", "/dev/termination-log"},
          {"terminationMessagePolicy", "File"},
          {"imagePullPolicy", "IfNotPresent"}};
}

// What three writers leave behind: the controller, the kubelet, and a fieldsV1 entry for each field.
json managed_fields() {
  json env_fields = json::object();
  env_fields["."] = json::object();
  for (const char* name :
       {"HF_HOME", "VLLM_LOGGING_LEVEL", "NCCL_DEBUG", "OMP_NUM_THREADS", "TORCHINDUCTOR_CACHE_DIR"}) {
    env_fields[fmt::format("k:{{\"name\":\"{}\"}}", name)] = {
        {".", json::object()}, {"f:name", json::object()}, {"f:value", json::object()}};
  }
  json probe_fields = {{".", json::object()},
                       {"f:failureThreshold", json::object()},
                       {"f:httpGet",
                        {{".", json::object()},
                         {"f:path", json::object()},
                         {"f:port", json::object()},
                         {"f:scheme", json::object()}}},
                       {"f:periodSeconds", json::object()},
                       {"f:successThreshold", json::object()},
                       {"f:timeoutSeconds", json::object()}};
  json spec_fields = {
      {"f:containers",
       {{R"(k:{"name":"vllm"})",
         {{".", json::object()},
          {"f:args", json::object()},
          {"f:command", json::object()},
          {"f:env", env_fields},
          {"f:image", json::object()},
          {"f:lifecycle",
           {{".", json::object()},
            {"f:preStop", {{".", json::object()}, {"f:sleep", {{"f:seconds", json::object()}}}}}}},
          {"f:livenessProbe", probe_fields},
          {"f:readinessProbe", probe_fields},
          {"f:startupProbe", probe_fields},
          {"f:resources", {{".", json::object()}, {"f:limits", {{"f:nvidia.com/gpu", json::object()}}}}},
          {"f:volumeMounts", {{R"(k:{"mountPath":"/models"})", {{"f:mountPath", json::object()}}}}}}}}},
      {"f:dnsPolicy", json::object()},
      {"f:terminationGracePeriodSeconds", json::object()},
      {"f:volumes", {{R"(k:{"name":"models"})", {{"f:name", json::object()}}}}}};
  json status_fields = json::object();
  for (const char* type : {"ContainersReady", "Initialized", "PodReadyToStartContainers", "Ready"}) {
    status_fields[fmt::format("k:{{\"type\":\"{}\"}}", type)] = {{".", json::object()},
                                                                 {"f:lastProbeTime", json::object()},
                                                                 {"f:lastTransitionTime", json::object()},
                                                                 {"f:observedGeneration", json::object()},
                                                                 {"f:status", json::object()},
                                                                 {"f:type", json::object()}};
  }
  return {{{"manager", "kube-controller-manager"},
           {"operation", "Update"},
           {"apiVersion", "v1"},
           {"time", "2026-01-02T03:04:05Z"},
           {"fieldsType", "FieldsV1"},
           {"fieldsV1",
            {{"f:metadata", {{"f:generateName", json::object()}, {"f:labels", {{"f:app", json::object()}}}}},
             {"f:spec", spec_fields}}}},
          {{"manager", "kubelet"},
           {"operation", "Update"},
           {"apiVersion", "v1"},
           {"time", "2026-01-02T03:05:05Z"},
           {"fieldsType", "FieldsV1"},
           {"fieldsV1",
            {{"f:status",
              {{"f:conditions", status_fields},
               {"f:containerStatuses", json::object()},
               {"f:hostIP", json::object()},
               {"f:phase", json::object()},
               {"f:podIPs", json::object()}}}}},
           {"subresource", "status"}}};
}

json condition(const char* type, bool holds) {
  json out = {{"type", type},
              {"status", holds ? "True" : "False"},
              {"lastProbeTime", nullptr},
              {"lastTransitionTime", "2026-01-02T03:05:05Z"},
              {"observedGeneration", 1}};
  if (!holds) {
    out["reason"] = "ContainersNotReady";
    out["message"] = "containers with unready status: [vllm]";
  }
  return out;
}

}  // namespace

std::string pod_name(const HollowPod& pod) {
  return fmt::format("{}-5d9c7b6f4d-{:05}", pod.app, pod.number);
}

json pod_object(const HollowPod& pod) {
  const int number = pod.number;
  const bool is_ready = pod.ready == PodReady::kYes;
  const std::string ip = fmt::format("10.{}.{}.{}", 64 + number / 65'536, (number / 256) % 256, number % 256);
  return {
      {"apiVersion", "v1"},
      {"kind", "Pod"},
      {"metadata",
       {{"name", pod_name(pod)},
        {"generateName", pod.app + "-5d9c7b6f4d-"},
        {"namespace", "default"},
        {"uid", fmt::format("6f0b2a1c-8d3e-4c57-9a10-{:012}", number)},
        {"resourceVersion", std::to_string(pod.resource_version)},
        {"generation", 1},
        {"creationTimestamp", "2026-01-02T03:04:05Z"},
        {"labels", {{"app", pod.app}, {"pod-template-hash", "5d9c7b6f4d"}}},
        {"annotations", {{"kubectl.kubernetes.io/restartedAt", "2026-01-02T03:04:05Z"}}},
        {"ownerReferences",
         {{{"apiVersion", "apps/v1"},
           {"kind", "ReplicaSet"},
           {"name", pod.app + "-5d9c7b6f4d"},
           {"uid", "11111111-2222-3333-4444-555555555555"},
           {"controller", true},
           {"blockOwnerDeletion", true}}}},
        {"managedFields", managed_fields()}}},
      {"spec",
       {{"containers", {container()}},
        {"volumes",
         {{{"name", "models"}, {"persistentVolumeClaim", {{"claimName", "models"}, {"readOnly", true}}}},
          {{"name", "shm"}, {"emptyDir", {{"medium", "Memory"}, {"sizeLimit", "16Gi"}}}}}},
        {"nodeName", node_name(number % kNodes)},
        {"serviceAccountName", "default"},
        {"restartPolicy", "Always"},
        {"terminationGracePeriodSeconds", 130},
        {"dnsPolicy", "ClusterFirst"},
        {"schedulerName", "default-scheduler"},
        {"priority", 0},
        {"enableServiceLinks", true},
        {"preemptionPolicy", "PreemptLowerPriority"},
        {"tolerations",
         {{{"key", "nvidia.com/gpu"}, {"operator", "Exists"}, {"effect", "NoSchedule"}},
          {{"key", "node.kubernetes.io/not-ready"},
           {"operator", "Exists"},
           {"effect", "NoExecute"},
           {"tolerationSeconds", 300}},
          {{"key", "node.kubernetes.io/unreachable"},
           {"operator", "Exists"},
           {"effect", "NoExecute"},
           {"tolerationSeconds", 300}}}}}},
      {"status",
       {{"phase", "Running"},
        {"conditions",
         {condition("PodReadyToStartContainers", true), condition("Initialized", true),
          condition("Ready", is_ready), condition("ContainersReady", is_ready),
          condition("PodScheduled", true)}},
        {"hostIP", "192.168.1.10"},
        {"hostIPs", {{{"ip", "192.168.1.10"}}}},
        {"podIP", ip},
        {"podIPs", {{{"ip", ip}}}},
        {"startTime", "2026-01-02T03:04:05Z"},
        {"containerStatuses",
         {{{"name", "vllm"},
           {"state", {{"running", {{"startedAt", "2026-01-02T03:04:15Z"}}}}},
           {"lastState", json::object()},
           {"ready", is_ready},
           {"restartCount", 0},
           {"image", "docker.io/vllm/vllm-openai:v0.10.1"},
           {"imageID",
            "docker.io/vllm/"
            "vllm-openai@sha256:8c1f2d3e4a5b69788796a5b4c3d2e1f00f1e2d3c4b5a69788796a5b4c3d2e1f0"},
           {"containerID", "containerd://2b6f1e0d9c8b7a695847362514f3e2d1c0b9a8f7e6d5c4b3a29180706f5e4d3c"},
           {"started", true}}}},
        {"qosClass", "Burstable"}}}};
}

json node_object(int number) {
  return {{"apiVersion", "v1"},
          {"kind", "Node"},
          {"metadata",
           {{"name", node_name(number)},
            {"uid", "node-" + std::to_string(number)},
            {"resourceVersion", "1"},
            {"labels", {{"topology.kubernetes.io/zone", fmt::format("zone-{}", number % 3)}}}}}};
}

std::string pod_event(const HollowPod& pod) {
  return R"({"type":"MODIFIED","object":)" + pod_object(pod).dump() + "}";
}

}  // namespace poolwarden::bench
