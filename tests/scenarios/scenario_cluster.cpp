#include "scenarios/scenario_cluster.h"

#include "kube/base64.h"
#include "support/cluster/pod_facts.h"
#include "support/cluster/stateful_set_view.h"

#include <stdexcept>

namespace poolwarden::scenarios {
namespace {

using kube::HttpMethod;

struct Kind {
  const char* group_path;
  kube::ResourceType type;
};

const std::map<std::string, Kind>& kinds() {
  static const std::map<std::string, Kind> all = {
      {"pods", {"/api/v1", kube::kPods}},
      {"services", {"/api/v1", kube::kServices}},
      {"configmaps", {"/api/v1", kube::kConfigMaps}},
      {"secrets", {"/api/v1", kube::kSecrets}},
      {"nodes", {"/api/v1", kube::kNodes}},
      {"deployments", {"/apis/apps/v1", kube::kDeployments}},
      {"horizontalpodautoscalers", {"/apis/autoscaling/v2", kube::kHorizontalPodAutoscalers}},
      {"leases", {"/apis/coordination.k8s.io/v1", kube::kLeases}},
      {"endpointslices", {"/apis/discovery.k8s.io/v1", kube::kEndpointSlices}},
      {"replicasets", {"/apis/apps/v1", {"apps", "v1", "replicasets", "ReplicaSet"}}},
      {"statefulsets", {"/apis/apps/v1", kube::kStatefulSets}},
      {"poddisruptionbudgets", {"/apis/policy/v1", kube::kPodDisruptionBudgets}},
      {"validatingadmissionpolicies",
       {"/apis/admissionregistration.k8s.io/v1", kube::kValidatingAdmissionPolicies}},
      {"validatingadmissionpolicybindings",
       {"/apis/admissionregistration.k8s.io/v1", kube::kValidatingAdmissionPolicyBindings}},
      {"inferencepools",
       {"/apis/poolwarden.io/v1alpha1", {"poolwarden.io", "v1alpha1", "inferencepools", "InferencePool"}}},
  };
  return all;
}

const Kind& kind(const std::string& resource) {
  const auto found = kinds().find(resource);
  if (found == kinds().end()) throw std::runtime_error("unknown resource " + resource);
  return found->second;
}

std::string option(const Options& options, const std::string& key, const std::string& otherwise) {
  const auto found = options.find(key);
  return found == options.end() ? otherwise : found->second;
}

// A template of pods with one container.
json pod_template(const json& labels, json container = {{"name", "server"}, {"image", "sim"}}) {
  return {{"metadata", {{"labels", labels}}}, {"spec", {{"containers", {std::move(container)}}}}};
}

// Its probe asks at every so many seconds, and one that fails counts: with the option "probe".
json probed_container(const Options& options) {
  json container = {{"name", "server"},
                    {"image", "sim"},
                    {"ports", {{{"containerPort", 8000}}}},
                    {"readinessProbe", {{"httpGet", {{"path", "/health"}, {"port", 8000}}}}}};
  if (options.contains("probe")) {
    container["readinessProbe"]["periodSeconds"] = std::stoi(options.at("probe"));
    container["readinessProbe"]["failureThreshold"] = 1;
  }
  return container;
}

json condition(const std::string& type, bool value, const std::string& reason, const std::string& when) {
  json made = {{"type", type}, {"status", value ? "True" : "False"}, {"lastTransitionTime", when}};
  if (!reason.empty()) made["reason"] = reason;
  return made;
}

}  // namespace

std::string ScenarioCluster::path(const std::string& resource, const std::string& name) {
  const Kind& of = kind(resource);
  std::string path = of.group_path;
  if (of.type.namespaced) path += "/namespaces/default";
  return path + "/" + resource + (name.empty() ? "" : "/" + name);
}

json ScenarioCluster::get(const std::string& resource, const std::string& name) const {
  const Kind& of = kind(resource);
  return world_.find(of.type, of.type.namespaced ? "default" : "", name);
}

void ScenarioCluster::merge(const std::string& resource, const std::string& name, const std::string& body,
                            const std::string& subresource) {
  world_.merge_patch(path(resource, name) + (subresource.empty() ? "" : "/" + subresource),
                     json::parse(body));
}

void ScenarioCluster::remove(const std::string& resource, const std::string& name) {
  world_.request(HttpMethod::kDelete, path(resource, name), nullptr);
}

// pool NAME [app=X | selector by target] [target=X [kind=StatefulSet]] [replicas=N] [ports=8000,8001]
//      [service=X] [slices=Direct]
//      [configmap=X] [timeout=SECONDS] [settle=SECONDS] [replace-first=true] [only-replica=drain]
//      [key-secret=X] [prefer=emptyNode]
void ScenarioCluster::create_pool(const std::string& name, const Options& options) {
  json spec = json::object();
  if (options.contains("app")) spec["selector"]["matchLabels"]["app"] = options.at("app");
  if (options.contains("target")) {
    spec["scaleTargetRef"] = {{"apiVersion", "apps/v1"},
                              {"kind", option(options, "kind", "Deployment")},
                              {"name", options.at("target")}};
  }
  if (options.contains("replicas")) spec["replicas"] = std::stoi(options.at("replicas"));
  spec["targetPorts"] = json::array();
  const std::string ports = option(options, "ports", "8000");
  for (std::size_t at = 0; at < ports.size();) {
    const std::size_t comma = std::min(ports.find(',', at), ports.size());
    spec["targetPorts"].push_back({{"number", std::stoi(ports.substr(at, comma - at))}});
    at = comma + 1;
  }
  if (options.contains("service")) spec["publish"]["service"]["name"] = options.at("service");
  if (options.contains("slices")) spec["publish"]["service"]["endpointSlices"] = options.at("slices");
  if (options.contains("configmap")) spec["publish"]["configMap"]["name"] = options.at("configmap");
  if (options.contains("timeout")) spec["drain"]["timeoutSeconds"] = std::stoi(options.at("timeout"));
  if (options.contains("panic")) spec["publish"]["panicThresholdPercent"] = std::stoi(options.at("panic"));
  if (options.contains("on-timeout")) spec["drain"]["onTimeout"] = options.at("on-timeout");
  if (options.contains("only-replica")) spec["disruption"]["onlyReplica"] = options.at("only-replica");
  if (options.contains("settle")) spec["drain"]["settleSeconds"] = std::stoi(options.at("settle"));
  if (options.contains("key-secret")) spec["engine"]["apiKeySecret"]["name"] = options.at("key-secret");
  if (options.contains("prefer")) spec["disruption"]["prefer"] = options.at("prefer");
  if (options.contains("replace-first"))
    spec["disruption"]["replaceFirst"] = options.at("replace-first") == "true";
  world_.request(HttpMethod::kPost, path("inferencepools"),
                 {{"apiVersion", "poolwarden.io/v1alpha1"},
                  {"kind", "InferencePool"},
                  {"metadata", {{"name", name}}},
                  {"spec", spec}});
}

void ScenarioCluster::create_deployment(const std::string& name, const Options& options) {
  const json labels = {{"app", option(options, "app", name)}};
  world_.request(HttpMethod::kPost, path("deployments"),
                 {{"apiVersion", "apps/v1"},
                  {"kind", "Deployment"},
                  {"metadata", {{"name", name}}},
                  {"spec",
                   {{"replicas", std::stoi(option(options, "replicas", "1"))},
                    {"selector", {{"matchLabels", labels}}},
                    {"template", pod_template(labels, probed_container(options))}}}});
}

// replicaset NAME REPLICAS deployment=X [app=X] [revision=N]
void ScenarioCluster::scale_replica_set(const std::string& name, int replicas) {
  const json owner = get("replicasets", name).at("metadata").at("ownerReferences").at(0).at("name");
  const json wanted = get("deployments", owner).at("spec").at("replicas");
  const json note = {{"deployment.kubernetes.io/desired-replicas", wanted.dump()}};
  merge("replicasets", name,
        json({{"metadata", {{"annotations", note}}}, {"spec", {{"replicas", replicas}}}}).dump());
}

void ScenarioCluster::create_replica_set(const std::string& name, int replicas, const Options& options) {
  const std::string of = options.at("deployment");
  const json deployment = get("deployments", of);
  if (deployment.is_null()) throw std::runtime_error("no Deployment " + of);
  const json labels = {{"app", option(options, "app", of)}, {"pod-template-hash", name}};
  world_.request(
      HttpMethod::kPost, path("replicasets"),
      {{"apiVersion", "apps/v1"},
       {"kind", "ReplicaSet"},
       {"metadata",
        {{"name", name},
         {"labels", labels},
         {"annotations",
          {{"deployment.kubernetes.io/revision", option(options, "revision", "1")},
           {"deployment.kubernetes.io/desired-replicas", deployment.at("spec").at("replicas").dump()}}},
         {"ownerReferences",
          {{{"apiVersion", "apps/v1"},
            {"kind", "Deployment"},
            {"name", of},
            {"uid", deployment.at("metadata").at("uid")},
            {"controller", true}}}}}},
       {"spec",
        {{"replicas", replicas},
         {"selector", {{"matchLabels", labels}}},
         {"template", pod_template(labels)}}}});
}

// statefulset NAME REPLICAS [app=X] [policy=Parallel] [partition=N] [max-unavailable=N] [start=N]
//     [probe=SECONDS]
void ScenarioCluster::create_stateful_set(const std::string& name, int replicas, const Options& options) {
  const json labels = {{"app", option(options, "app", name)}};
  json spec = {{"replicas", replicas},
               {"podManagementPolicy", option(options, "policy", "OrderedReady")},
               {"selector", {{"matchLabels", labels}}},
               {"template", options.contains("probe") ? pod_template(labels, probed_container(options))
                                                      : pod_template(labels)}};
  if (options.contains("start")) spec["ordinals"]["start"] = std::stoi(options.at("start"));
  json& rolling = spec["updateStrategy"]["rollingUpdate"];
  rolling["partition"] = std::stoi(option(options, "partition", "0"));
  if (options.contains("max-unavailable"))
    rolling["maxUnavailable"] = std::stoi(options.at("max-unavailable"));
  world_.request(
      HttpMethod::kPost, path("statefulsets"),
      {{"apiVersion", "apps/v1"}, {"kind", "StatefulSet"}, {"metadata", {{"name", name}}}, {"spec", spec}});
}

// update statefulset NAME [partition=N]
void ScenarioCluster::update_stateful_set(const std::string& name, const Options& options) {
  const json had = get("statefulsets", name).at("metadata").at("generation");
  const json note = {{"scenario/after-generation", had.dump()}};
  json spec = {{"template", {{"metadata", {{"annotations", note}}}}}};
  if (options.contains("partition"))
    spec["updateStrategy"]["rollingUpdate"]["partition"] = std::stoi(options.at("partition"));
  merge("statefulsets", name, json({{"spec", spec}}).dump());
}

// As its controller makes it, of the template that the set has now.
json ScenarioCluster::metadata_in_stateful_set(const std::string& set, const std::string& pod,
                                               const json& metadata) const {
  const json owner = get("statefulsets", set);
  const auto ordinal = cluster::ordinal_of(set, pod);
  if (owner.is_null() || !ordinal) throw std::runtime_error(pod + " is no pod of a StatefulSet " + set);
  return cluster::pod_metadata(owner, *ordinal, cluster::revision_name(owner), metadata);
}

// pod NAME ready|notready|pending [app=vllm] [node=N] [gate=TYPE] [ip=..] [hostnetwork=true]
//     [rs=REPLICASET | sts=STATEFULSET]
void ScenarioCluster::create_pod(const std::string& name, const std::string& state, const Options& options) {
  json spec = {{"containers",
                {{{"name", "server"},
                  {"image", "sim"},
                  {"readinessProbe", {{"httpGet", {{"path", "/health"}, {"port", 8000}}}}}}}}};
  const std::string node = option(options, "node", "n1");
  if (state != "pending") {
    if (get("nodes", node).is_null()) create_node(node, "zone-a");
    spec["nodeName"] = node;
  }
  if (options.contains("gate")) spec["readinessGates"] = {{{"conditionType", options.at("gate")}}};
  if (options.contains("hostnetwork")) spec["hostNetwork"] = true;
  const std::string app = option(options, "app", option(options, "sts", "vllm"));  // as its set selects
  json metadata = {{"name", name}, {"labels", {{"app", app}}}};
  if (const std::string set = option(options, "rs", ""); !set.empty()) {
    metadata["labels"]["pod-template-hash"] = set;
    metadata["ownerReferences"] = {{{"apiVersion", "apps/v1"},
                                    {"kind", "ReplicaSet"},
                                    {"name", set},
                                    {"uid", get("replicasets", set).at("metadata").at("uid")},
                                    {"controller", true}}};
  }
  if (options.contains("sts")) metadata = metadata_in_stateful_set(options.at("sts"), name, metadata);
  world_.request(HttpMethod::kPost, path("pods"),
                 {{"apiVersion", "v1"}, {"kind", "Pod"}, {"metadata", metadata}, {"spec", spec}});
  if (state == "pending") return;
  run_pod(name, state == "ready", options);
}

void ScenarioCluster::run_pod(const std::string& name, bool ready, const Options& options) {
  set_ips(name, {option(options, "ip", "10.0.0." + std::to_string(++last_ip_))});
  patch_status(name, {{"phase", "Running"}});
  set_ready(name, ready);
}

// up NAME [node=N] [ip=..]
void ScenarioCluster::bring_up(const std::string& name, const Options& options) {
  const std::string node = option(options, "node", "n1");
  if (get("nodes", node).is_null()) create_node(node, "zone-a");
  world_.merge_patch(path("pods", name), {{"spec", {{"nodeName", node}}}});
  run_pod(name, true, options);
}

void ScenarioCluster::patch_status(const std::string& pod, const json& status) {
  world_.merge_patch(path("pods", pod) + "/status", {{"status", status}});
}

// Both at once: one without the other is nothing that a kubelet says.
void ScenarioCluster::set_ready(const std::string& pod, bool ready) {
  set_conditions(pod, {"ContainersReady", "Ready"}, ready, ready ? "" : "ContainersNotReady");
}

void ScenarioCluster::set_condition(const std::string& pod, const std::string& type, bool value,
                                    const std::string& reason) {
  set_conditions(pod, {type}, value, reason);
}

void ScenarioCluster::set_conditions(const std::string& pod, const std::set<std::string>& types, bool value,
                                     const std::string& reason) {
  json conditions = json::array();
  const json have = get("pods", pod);
  if (have.is_null()) throw std::runtime_error("no pod " + pod);
  for (const json& old : have.value("/status/conditions"_json_pointer, json::array())) {
    if (!types.contains(old.value("type", ""))) conditions.push_back(old);
  }
  for (const std::string& type : types)
    conditions.push_back(condition(type, value, reason, api::to_rfc3339(world_.time().now().wall)));
  patch_status(pod, {{"conditions", conditions}});
}

void ScenarioCluster::set_phase(const std::string& pod, const std::string& phase, const std::string& reason) {
  json status = {{"phase", phase}};
  if (!reason.empty()) status["reason"] = reason;
  patch_status(pod, status);
}

void ScenarioCluster::set_ips(const std::string& pod, const std::vector<std::string>& ips) {
  json all = json::array();
  for (const std::string& ip : ips) all.push_back({{"ip", ip}});
  patch_status(pod,
               {{"podIP", ips.empty() ? json() : json(ips.front())}, {"podIPs", ips.empty() ? json() : all}});
}

void ScenarioCluster::relabel(const std::string& pod, const std::string& key, const std::string& value) {
  world_.merge_patch(path("pods", pod), {{"metadata", {{"labels", {{key, value}}}}}});
}

void ScenarioCluster::terminate(const std::string& pod, int grace_seconds) {
  world_.request(HttpMethod::kDelete, path("pods", pod), {{"gracePeriodSeconds", grace_seconds}});
}

void ScenarioCluster::remove_pod(const std::string& pod) {
  terminate(pod, 0);
}

bool ScenarioCluster::evict(const std::string& pod) {
  kube::HttpRequest request;
  request.method = HttpMethod::kPost;
  request.target = path("pods", pod) + "/eviction";
  request.content_type = "application/json";
  request.body =
      json({{"apiVersion", "policy/v1"}, {"kind", "Eviction"}, {"metadata", {{"name", pod}}}}).dump();
  return world_.model().handle(request, world_.time().now().wall, {"person", "kubectl"}).status < 300;
}

void ScenarioCluster::create_node(const std::string& name, const std::string& zone) {
  world_.request(HttpMethod::kPost, path("nodes"),
                 {{"apiVersion", "v1"},
                  {"kind", "Node"},
                  {"metadata", {{"name", name}, {"labels", {{"topology.kubernetes.io/zone", zone}}}}}});
}

void ScenarioCluster::create_autoscaler(const std::string& name, const std::string& of,
                                        const std::string& scaled) {
  const bool pool = of == "pool";
  world_.request(HttpMethod::kPost, path("horizontalpodautoscalers"),
                 {{"apiVersion", "autoscaling/v2"},
                  {"kind", "HorizontalPodAutoscaler"},
                  {"metadata", {{"name", name}}},
                  {"spec",
                   {{"maxReplicas", 10},
                    {"scaleTargetRef",
                     {{"apiVersion", pool ? "poolwarden.io/v1alpha1" : "apps/v1"},
                      {"kind", pool ? "InferencePool" : "Deployment"},
                      {"name", scaled}}}}}});
}

void ScenarioCluster::set_node_ready(const std::string& name, const std::string& status) {
  const json ready = {{"type", "Ready"},
                      {"status", status},
                      {"reason", status == "Unknown" ? "NodeStatusUnknown" : "Kubelet"},
                      {"lastTransitionTime", api::to_rfc3339(world_.time().now().wall)}};
  world_.merge_patch(path("nodes", name) + "/status", {{"status", {{"conditions", {ready}}}}});
}

void ScenarioCluster::mark_unready(const std::string& pod) {
  set_condition(pod, "Ready", false, "");
}

void ScenarioCluster::mark_pods_on(const std::string& node) {
  for (const std::string& name : pods_on(node)) {
    if (cluster::is_ready(get("pods", name))) mark_unready(name);
  }
}

std::vector<std::string> ScenarioCluster::pods_on(const std::string& node) const {
  std::vector<std::string> names;
  for (const auto& pod : world_.model().list(kube::kPods, "default")) {
    if (pod->body().value("/spec/nodeName"_json_pointer, "") == node)
      names.push_back(pod->body().at("metadata").at("name"));
  }
  return names;
}

// The InferencePool's definition without one field of status, as an older release would have it; with an
// empty name, as this release has it.
void ScenarioCluster::set_definition(const std::string& without_status_field) {
  const std::string target =
      "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/inferencepools.poolwarden.io";
  json now = world_.request(HttpMethod::kGet, target, nullptr);
  if (current_definition_.is_null()) current_definition_ = now.at("spec");
  now["spec"] = current_definition_;
  json& schema = now["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
  json& status = schema["properties"]["status"]["properties"];
  if (!without_status_field.empty() && status.erase(without_status_field) == 0)
    throw std::runtime_error("status has no field " + without_status_field);
  world_.request(HttpMethod::kPut, target, now);
}

void ScenarioCluster::create_budget(const std::string& name, const std::string& app) {
  const json body = {{"apiVersion", "policy/v1"},
                     {"kind", "PodDisruptionBudget"},
                     {"metadata", {{"name", name}}},
                     {"spec", {{"maxUnavailable", 1}, {"selector", {{"matchLabels", {{"app", app}}}}}}}};
  world_.request(HttpMethod::kPost, path("poddisruptionbudgets"), body);
}

void ScenarioCluster::create_secret(const std::string& name, const std::string& api_key) {
  world_.request(HttpMethod::kPost, path("secrets"),
                 {{"apiVersion", "v1"},
                  {"kind", "Secret"},
                  {"metadata", {{"name", name}}},
                  {"data", {{"api-key", kube::base64_encode(api_key)}}}});
}

void ScenarioCluster::create_foreign(const std::string& kind, const std::string& name) {
  json body = {{"apiVersion", "v1"}, {"metadata", {{"name", name}}}};
  if (kind == "service") {
    body["kind"] = "Service";
    body["spec"] = {{"selector", {{"app", "other"}}}, {"ports", {{{"port", 80}}}}};
  } else {
    body["kind"] = "ConfigMap";
    body["data"] = {{"hello", "world"}};
  }
  world_.request(HttpMethod::kPost, path(kind + "s"), body);
}

}  // namespace poolwarden::scenarios
