#include "support/apiserver/validation.h"

#include "support/apiserver/json_util.h"
#include "support/apiserver/selector.h"

#include <algorithm>
#include <cctype>

#include <fmt/format.h>

namespace poolwarden::apiserver {
namespace {

using Problems = std::vector<FieldProblem>;

constexpr std::size_t kMaxAnnotations = 256u << 10;
constexpr std::size_t kMaxConfigMap = 1u << 20;

bool alnum(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0;
}
bool lower_alnum(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

bool is_dns_subdomain(std::string_view name) {
  if (name.empty() || name.size() > 253) return false;
  bool edge = true;  // at the begin of a label, where only a letter or digit may be
  for (std::size_t i = 0; i < name.size(); ++i) {
    const char c = name[i];
    if (c == '.') {
      if (edge || name[i - 1] == '-') return false;
      edge = true;
    } else if (lower_alnum(c)) {
      edge = false;
    } else if (c != '-' || edge) {
      return false;
    }
  }
  return !edge && name.back() != '-';
}

bool is_name_part(std::string_view text) {
  if (text.empty() || text.size() > 63 || !alnum(text.front()) || !alnum(text.back())) return false;
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return alnum(c) || c == '-' || c == '_' || c == '.'; });
}

bool is_qualified_name(std::string_view key) {
  const std::size_t slash = key.find('/');
  if (slash == std::string_view::npos) return is_name_part(key);
  return is_dns_subdomain(key.substr(0, slash)) && is_name_part(key.substr(slash + 1));
}

void check_labels(const json& metadata, Problems& problems) {
  const json* labels = find_path(metadata, {"labels"});
  if (labels == nullptr || !labels->is_object()) return;
  for (const auto& [key, value] : labels->items()) {
    if (!is_qualified_name(key)) {
      problems.push_back(
          invalid_value("metadata.labels", key,
                        "name part must consist of alphanumeric characters, '-', '_' or '.', and must start "
                        "and end with an "
                        "alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc')"));
    }
    const std::string text = value.is_string() ? value.get<std::string>() : std::string();
    if (text.size() > 63) {
      problems.push_back(invalid_value("metadata.labels", text, "must be no more than 63 characters"));
    } else if (!text.empty() && !is_name_part(text)) {
      problems.push_back(invalid_value(
          "metadata.labels", text,
          "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and "
          "must "
          "start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345')"));
    }
  }
}

void check_annotations(const json& metadata, Problems& problems) {
  const json* annotations = find_path(metadata, {"annotations"});
  if (annotations == nullptr || !annotations->is_object()) return;
  std::size_t size = 0;
  for (const auto& [key, value] : annotations->items()) {
    size += key.size() + (value.is_string() ? value.get_ref<const std::string&>().size() : 0);
    if (!is_qualified_name(key)) {
      problems.push_back(invalid_value("metadata.annotations", key, "must be a qualified name"));
    }
  }
  if (size > kMaxAnnotations) {
    problems.push_back({"FieldValueTooLong", "metadata.annotations",
                        fmt::format("Too long: may not be more than {} bytes", kMaxAnnotations)});
  }
}

void check_owners(const json& metadata, Problems& problems) {
  const json* owners = find_path(metadata, {"ownerReferences"});
  if (owners == nullptr || !owners->is_array()) return;
  int controllers = 0;
  for (std::size_t i = 0; i < owners->size(); ++i) {
    for (const char* key : {"apiVersion", "kind", "name", "uid"}) {
      if (text_at((*owners)[i], {key}).empty()) {
        problems.push_back(
            invalid_value(fmt::format("metadata.ownerReferences[{}].{}", i, key), "", "must not be empty"));
      }
    }
    if (bool_at((*owners)[i], {"controller"})) ++controllers;
  }
  if (controllers > 1) {
    problems.push_back(invalid_value("metadata.ownerReferences", *owners,
                                     "Only one reference can have Controller set to true"));
  }
}

void check_finalizers(const json& metadata, Problems& problems) {
  const json* list = find_path(metadata, {"finalizers"});
  if (list == nullptr) return;
  const bool strings = list->is_array() && std::all_of(list->begin(), list->end(), [](const json& one) {
                         return one.is_string() && is_qualified_name(one.get_ref<const std::string&>());
                       });
  if (!strings)
    problems.push_back(invalid_value("metadata.finalizers", *list, "must be a list of qualified names"));
}

// The maps of metadata, and data of a ConfigMap, hold strings: {"replicas": 2} is a decoding error in the
// real server.
void check_string_map(const json& parent, std::string_view key, const std::string& path, Problems& problems) {
  const json* map = find_path(parent, {key});
  if (map == nullptr || map->is_null()) return;
  if (!map->is_object()) {
    problems.push_back(invalid_value(path, *map, "must be a map of strings"));
    return;
  }
  for (const auto& [name, value] : map->items()) {
    if (!value.is_string()) problems.push_back(invalid_value(path + "." + name, value, "must be a string"));
  }
}

void check_template(const json& body, Problems& problems) {
  const json* selector = find_path(body, {"spec", "selector"});
  if (selector == nullptr) {
    problems.push_back(required_value("spec.selector"));
    return;
  }
  const json* labels = find_path(body, {"spec", "template", "metadata", "labels"});
  if (!Selector::from_object(*selector).matches(labels)) {
    problems.push_back(invalid_value("spec.template.metadata.labels",
                                     labels != nullptr ? *labels : json::object(),
                                     "`selector` does not match template `labels`"));
  }
}

void check_containers(const json& spec, const std::string& path, Problems& problems) {
  const json* containers = find_path(spec, {"containers"});
  if (containers == nullptr || !containers->is_array() || containers->empty()) {
    problems.push_back(required_value(path + ".containers"));
    return;
  }
  for (std::size_t i = 0; i < containers->size(); ++i) {
    if (text_at((*containers)[i], {"name"}).empty()) {
      problems.push_back(required_value(fmt::format("{}.containers[{}].name", path, i)));
    }
  }
}

void check_replicas(const json& body, Problems& problems) {
  if (const std::int64_t replicas = int_at(body, {"spec", "replicas"}); replicas < 0) {
    problems.push_back(invalid_value("spec.replicas", replicas, "must be greater than or equal to 0"));
  }
}

bool is_one_of(const std::string& text, std::initializer_list<std::string_view> all) {
  return std::find(all.begin(), all.end(), text) != all.end();
}

// k8s.io/kubernetes/pkg/apis/apps/validation.ValidateStatefulSetSpec, of what a person gets wrong.
void check_stateful_set(const json& body, Problems& problems) {
  const std::string policy = text_at(body, {"spec", "podManagementPolicy"});
  if (!is_one_of(policy, {"OrderedReady", "Parallel"})) {
    problems.push_back(
        invalid_value("spec.podManagementPolicy", policy, "must be 'OrderedReady' or 'Parallel'"));
  }
  const std::string strategy = text_at(body, {"spec", "updateStrategy", "type"});
  if (!is_one_of(strategy, {"RollingUpdate", "OnDelete"})) {
    problems.push_back(
        invalid_value("spec.updateStrategy", strategy, "must be 'RollingUpdate' or 'OnDelete'"));
  }
  const std::string at_least_0 = "must be greater than or equal to 0";
  const std::int64_t partition = int_at(body, {"spec", "updateStrategy", "rollingUpdate", "partition"});
  if (partition < 0) {
    problems.push_back(invalid_value("spec.updateStrategy.rollingUpdate.partition", partition, at_least_0));
  }
  if (const std::int64_t start = int_at(body, {"spec", "ordinals", "start"}); start < 0) {
    problems.push_back(invalid_value("spec.ordinals.start", start, at_least_0));
  }
}

// k8s.io/kubernetes/pkg/apis/apps/validation.ValidateStatefulSetUpdate.
bool same_but_for_what_a_stateful_set_may_change(json before, json after) {
  for (json* spec : {&before, &after}) {
    if (!spec->is_object()) continue;
    for (const char* key : {"replicas", "ordinals", "template", "updateStrategy", "revisionHistoryLimit",
                            "persistentVolumeClaimRetentionPolicy", "minReadySeconds"}) {
      spec->erase(key);
    }
  }
  return before == after;
}

// k8s.io/kubernetes/pkg/apis/core/validation/events.go, for new-style events.
void check_event(const json& body, Problems& problems) {
  const std::string ns = text_at(body, {"metadata", "namespace"});
  const std::string about = text_at(body, {"involvedObject", "namespace"});
  if (about != ns && !(about.empty() && ns == "default")) {
    problems.push_back(invalid_value("involvedObject.namespace", about, "does not match event.namespace"));
  }
  if (text_at(body, {"eventTime"}).empty()) return;
  for (const char* key : {"reportingComponent", "reportingInstance", "action", "reason"}) {
    if (text_at(body, {key}).empty()) problems.push_back(required_value(key));
  }
  const std::string type = text_at(body, {"type"});
  if (type != "Normal" && type != "Warning") {
    problems.push_back(invalid_value("type", type, "has to be one of Normal, Warning"));
  }
  if (text_at(body, {"message"}).size() > 1024) {
    problems.push_back(invalid_value("message", "", "can have at most 1024 characters"));
  }
}

void check_config_map(const json& body, Problems& problems) {
  check_string_map(body, "data", "data", problems);
  std::size_t size = 0;
  for (const char* part : {"data", "binaryData"}) {
    const json* map = find_path(body, {part});
    if (map == nullptr || !map->is_object()) continue;
    for (const auto& [key, value] : map->items()) {
      if (key.empty() || key.size() > 253 || !std::all_of(key.begin(), key.end(), [](char c) {
            return alnum(c) || c == '-' || c == '_' || c == '.';
          })) {
        problems.push_back(
            invalid_value(fmt::format("{}[{}]", part, key), key,
                          "a valid config key must consist of alphanumeric characters, '-', '_' or '.'"));
      }
      if (value.is_string()) size += value.get_ref<const std::string&>().size();
    }
  }
  if (size > kMaxConfigMap) {
    problems.push_back(
        {"FieldValueTooLong", "", fmt::format("Too long: may not be more than {} bytes", kMaxConfigMap)});
  }
}

void check_service(const json& body, Problems& problems) {
  const json* ports = find_path(body, {"spec", "ports"});
  const bool headless = text_at(body, {"spec", "clusterIP"}) == "None";
  if (ports == nullptr || !ports->is_array() || ports->empty()) {
    if (!headless && text_at(body, {"spec", "type"}) != "ExternalName")
      problems.push_back(required_value("spec.ports"));
    return;
  }
  for (std::size_t i = 0; i < ports->size(); ++i) {
    const std::int64_t port = int_at((*ports)[i], {"port"});
    if (port < 1 || port > 65535) {
      problems.push_back(invalid_value(fmt::format("spec.ports[{}].port", i), port,
                                       "must be between 1 and 65535, inclusive"));
    }
    if (ports->size() > 1 && text_at((*ports)[i], {"name"}).empty()) {
      problems.push_back(required_value(fmt::format("spec.ports[{}].name", i)));
    }
  }
}

void default_pod_spec(json& spec) {
  default_to(spec, "restartPolicy", "Always");
  default_to(spec, "terminationGracePeriodSeconds", 30);
  default_to(spec, "dnsPolicy", "ClusterFirst");
  default_to(spec, "schedulerName", "default-scheduler");
  default_to(spec, "securityContext", json::object());
  if (auto containers = spec.find("containers"); containers != spec.end() && containers->is_array()) {
    for (json& container : *containers) {
      if (!container.is_object()) continue;
      default_to(container, "imagePullPolicy", "IfNotPresent");
      default_to(container, "terminationMessagePath", "/dev/termination-log");
      default_to(container, "terminationMessagePolicy", "File");
      default_to(container, "resources", json::object());
      if (auto ports = container.find("ports"); ports != container.end() && ports->is_array()) {
        for (json& port : *ports) {
          if (port.is_object()) default_to(port, "protocol", "TCP");
        }
      }
      for (const char* probe : {"readinessProbe", "livenessProbe", "startupProbe"}) {
        auto found = container.find(probe);
        if (found == container.end() || !found->is_object()) continue;
        default_to(*found, "periodSeconds", 10);
        default_to(*found, "timeoutSeconds", 1);
        default_to(*found, "successThreshold", 1);
        default_to(*found, "failureThreshold", 3);
      }
    }
  }
}

void default_service(json& body) {
  json& spec = object_at(body, "spec");
  default_to(spec, "type", "ClusterIP");
  default_to(spec, "sessionAffinity", "None");
  default_to(spec, "internalTrafficPolicy", "Cluster");
  default_to(spec, "ipFamilyPolicy", "SingleStack");
  default_to(spec, "ipFamilies", json::array({"IPv4"}));
  if (auto ports = spec.find("ports"); ports != spec.end() && ports->is_array()) {
    for (json& port : *ports) {
      if (!port.is_object()) continue;
      default_to(port, "protocol", "TCP");
      if (port.contains("port")) default_to(port, "targetPort", port["port"]);
    }
  }
  // One address for each Service, from its name: stable, and enough for what reads it here.
  if (text_at(spec, {"clusterIP"}).empty()) {
    unsigned hash = 2166136261U;
    for (char c : text_at(body, {"metadata", "namespace"}) + "/" + text_at(body, {"metadata", "name"})) {
      hash = (hash ^ static_cast<unsigned char>(c)) * 16777619U;
    }
    spec["clusterIP"] = fmt::format("10.96.{}.{}", (hash >> 8U) & 0xffU, 1 + (hash & 0xffU) % 254);
  }
  default_to(spec, "clusterIPs", json::array({spec["clusterIP"]}));
  object_at(object_at(body, "status"), "loadBalancer");
}

void default_deployment(json& body) {
  json& spec = object_at(body, "spec");
  default_to(spec, "replicas", 1);
  default_to(spec, "revisionHistoryLimit", 10);
  default_to(spec, "progressDeadlineSeconds", 600);
  json& strategy = object_at(spec, "strategy");
  default_to(strategy, "type", "RollingUpdate");
  if (strategy["type"] == "RollingUpdate") {
    json& rolling = object_at(strategy, "rollingUpdate");
    default_to(rolling, "maxSurge", "25%");
    default_to(rolling, "maxUnavailable", "25%");
  }
  default_pod_spec(object_at(object_at(spec, "template"), "spec"));
}

void default_stateful_set(json& body) {
  json& spec = object_at(body, "spec");
  default_to(spec, "replicas", 1);
  default_to(spec, "revisionHistoryLimit", 10);
  default_to(spec, "podManagementPolicy", "OrderedReady");
  json& strategy = object_at(spec, "updateStrategy");
  default_to(strategy, "type", "RollingUpdate");
  if (strategy["type"] == "RollingUpdate") default_to(object_at(strategy, "rollingUpdate"), "partition", 0);
  default_pod_spec(object_at(object_at(spec, "template"), "spec"));
  default_to(object_at(body, "status"), "replicas", 0);
}

// k8s.io/kubernetes/pkg/apis/core/validation.ValidatePodUpdate. A node may also be set where there was none,
// which saves a test the detour over the binding subresource.
bool same_but_for_mutable(json before, json after) {
  const bool scheduled = !text_at(before, {"nodeName"}).empty();
  for (json* spec : {&before, &after}) {
    if (!spec->is_object()) continue;
    for (const char* key :
         {"activeDeadlineSeconds", "tolerations", "terminationGracePeriodSeconds", "schedulingGates"}) {
      spec->erase(key);
    }
    if (!scheduled) spec->erase("nodeName");
    for (const char* list : {"containers", "initContainers"}) {
      auto containers = spec->find(list);
      if (containers == spec->end() || !containers->is_array()) continue;
      for (json& container : *containers) {
        if (container.is_object()) container.erase("image");
      }
    }
  }
  return before == after;
}

}  // namespace

void check_metadata(const json& body, Problems& problems) {
  const json* metadata = find_path(body, {"metadata"});
  if (metadata == nullptr) return;
  const std::string name = text_at(*metadata, {"name"});
  if (!is_dns_subdomain(name)) {
    problems.push_back(invalid_value(
        "metadata.name", name,
        "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and "
        "must start "
        "and end with an alphanumeric character (e.g. 'example.com', regex used for validation is "
        "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"));
  }
  check_string_map(*metadata, "labels", "metadata.labels", problems);
  check_string_map(*metadata, "annotations", "metadata.annotations", problems);
  check_finalizers(*metadata, problems);
  check_labels(*metadata, problems);
  check_annotations(*metadata, problems);
  check_owners(*metadata, problems);
}

void default_builtin(const ResourceInfo& type, json& body) {
  if (type.plural == "pods") {
    default_pod_spec(object_at(body, "spec"));
    json& status = object_at(body, "status");
    default_to(status, "phase", "Pending");
    default_to(status, "qosClass", "BestEffort");
  } else if (type.plural == "deployments") {
    default_deployment(body);
    object_at(body, "status");
  } else if (type.plural == "replicasets") {
    json& spec = object_at(body, "spec");
    default_to(spec, "replicas", 1);
    if (spec.contains("template")) default_pod_spec(object_at(object_at(spec, "template"), "spec"));
    default_to(object_at(body, "status"), "replicas", 0);
  } else if (type.plural == "statefulsets") {
    default_stateful_set(body);
  } else if (type.plural == "services") {
    default_service(body);
  } else if (type.plural == "namespaces") {
    default_to(object_at(body, "status"), "phase", "Active");
    default_to(object_at(body, "spec"), "finalizers", json::array({"kubernetes"}));
    json& labels = object_at(object_at(body, "metadata"), "labels");
    labels["kubernetes.io/metadata.name"] = text_at(body, {"metadata", "name"});
  } else if (type.plural == "secrets") {
    default_to(body, "type", "Opaque");
  }
}

void check_builtin(const ResourceInfo& type, const json& body, Problems& problems) {
  if (type.plural == "pods") {
    if (const json* spec = find_path(body, {"spec"})) check_containers(*spec, "spec", problems);
  } else if (is_one_of(type.plural, {"deployments", "replicasets", "statefulsets"})) {
    check_template(body, problems);
    check_replicas(body, problems);
    const json* spec = find_path(body, {"spec", "template", "spec"});
    check_containers(spec != nullptr ? *spec : json::object(), "spec.template.spec", problems);
    if (type.plural == "statefulsets") check_stateful_set(body, problems);
  } else if (type.plural == "services") {
    check_service(body, problems);
  } else if (type.plural == "configmaps") {
    check_config_map(body, problems);
  } else if (type.plural == "events") {
    check_event(body, problems);
  } else if (type.plural == "leases") {
    const json* spec = find_path(body, {"spec"});
    if (spec != nullptr && spec->contains("leaseDurationSeconds") &&
        int_at(*spec, {"leaseDurationSeconds"}) <= 0) {
      problems.push_back(invalid_value("spec.leaseDurationSeconds", (*spec)["leaseDurationSeconds"],
                                       "must be greater than 0"));
    }
  }
}

void check_no_new_finalizers(const json& before, const json& after, Problems& problems) {
  const json* had = find_path(before, {"metadata", "finalizers"});
  const json* has = find_path(after, {"metadata", "finalizers"});
  if (has == nullptr || !has->is_array()) return;
  for (const json& one : *has) {
    if (had != nullptr && std::find(had->begin(), had->end(), one) != had->end()) continue;
    problems.push_back(forbidden_value(
        "metadata.finalizers",
        "no new finalizers can be added if the object is being deleted, found new finalizers " + one.dump()));
  }
}

void check_builtin_update(const ResourceInfo& type, const json& before, const json& after,
                          Problems& problems) {
  static const json kNothing;
  const auto part = [](const json& object, std::initializer_list<std::string_view> path) -> const json& {
    const json* found = find_path(object, path);
    return found != nullptr ? *found : kNothing;
  };
  if (type.plural == "pods") {
    if (part(before, {"spec"}) != part(after, {"spec"}) &&
        !same_but_for_mutable(part(before, {"spec"}), part(after, {"spec"}))) {
      problems.push_back(forbidden_value(
          "spec",
          "pod updates may not change fields other than "
          "`spec.containers[*].image`,`spec.initContainers[*].image`,"
          "`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),"
          "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"));
    }
  } else if (type.plural == "deployments" || type.plural == "replicasets") {
    if (part(before, {"spec", "selector"}) != part(after, {"spec", "selector"})) {
      problems.push_back(
          invalid_value("spec.selector", part(after, {"spec", "selector"}), "field is immutable"));
    }
  } else if (type.plural == "statefulsets") {
    if (!same_but_for_what_a_stateful_set_may_change(part(before, {"spec"}), part(after, {"spec"}))) {
      problems.push_back(forbidden_value(
          "spec",
          "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', "
          "'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and "
          "'minReadySeconds' are forbidden"));
    }
  } else if (type.plural == "configmaps" || type.plural == "secrets") {
    if (bool_at(before, {"immutable"}) &&
        (part(before, {"data"}) != part(after, {"data"}) || !bool_at(after, {"immutable"}))) {
      problems.push_back(forbidden_value("data", "field is immutable when `immutable` is set"));
    }
  }
}

}  // namespace poolwarden::apiserver
