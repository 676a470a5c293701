#include "support/apiserver/registry.h"

#include "support/apiserver/json_util.h"
#include "support/apiserver/schema.h"

#include <algorithm>

#include <fmt/format.h>

namespace poolwarden::apiserver {
namespace {

std::string path_of(std::string_view group, std::string_view version, std::string_view plural) {
  return fmt::format("{}/{}/{}", group, version, plural);
}

std::vector<std::string> strings_of(const json* list) {
  std::vector<std::string> out;
  if (list == nullptr || !list->is_array()) return out;
  for (const json& item : *list) {
    if (item.is_string()) out.push_back(item.get<std::string>());
  }
  return out;
}

const ScalePaths kWorkloadScale{".spec.replicas", ".status.replicas", ".spec.selector"};

ResourceInfo builtin(std::string group, std::string version, std::string plural, std::string singular,
                     std::string kind, std::vector<std::string> short_names, bool namespaced,
                     bool has_status) {
  ResourceInfo info;
  info.group = std::move(group);
  info.version = std::move(version);
  info.plural = std::move(plural);
  info.singular = std::move(singular);
  info.list_kind = kind + "List";
  info.kind = std::move(kind);
  info.short_names = std::move(short_names);
  info.namespaced = namespaced;
  info.has_status = has_status;
  return info;
}

ResourceInfo workload(ResourceInfo info, bool scalable) {
  info.has_generation = true;
  info.categories = {"all"};
  if (scalable) info.scale = kWorkloadScale;
  return info;
}

std::vector<PrinterColumn> columns_of(const json& version) {
  std::vector<PrinterColumn> columns;
  const json* list = find_path(version, {"additionalPrinterColumns"});
  if (list == nullptr || !list->is_array()) {
    columns.push_back({"Age", "date", "", "", ".metadata.creationTimestamp", 0});
    return columns;
  }
  for (const json& column : *list) {
    columns.push_back({text_at(column, {"name"}), text_at(column, {"type"}), text_at(column, {"format"}),
                       text_at(column, {"description"}), text_at(column, {"jsonPath"}),
                       static_cast<int>(int_at(column, {"priority"}))});
  }
  return columns;
}

ResourceInfo custom_resource(const json& crd, const json& version) {
  ResourceInfo info;
  info.group = text_at(crd, {"spec", "group"});
  info.version = text_at(version, {"name"});
  info.plural = text_at(crd, {"spec", "names", "plural"});
  info.kind = text_at(crd, {"spec", "names", "kind"});
  info.singular = text_at(crd, {"spec", "names", "singular"});
  if (info.singular.empty()) {
    std::transform(info.kind.begin(), info.kind.end(), std::back_inserter(info.singular),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  }
  info.list_kind = text_at(crd, {"spec", "names", "listKind"});
  if (info.list_kind.empty()) info.list_kind = info.kind + "List";
  info.short_names = strings_of(find_path(crd, {"spec", "names", "shortNames"}));
  info.categories = strings_of(find_path(crd, {"spec", "names", "categories"}));
  info.namespaced = text_at(crd, {"spec", "scope"}) != "Cluster";
  info.custom = true;
  info.has_generation = true;
  info.has_status = find_path(version, {"subresources", "status"}) != nullptr;
  if (const json* scale = find_path(version, {"subresources", "scale"})) {
    info.scale = ScalePaths{text_at(*scale, {"specReplicasPath"}), text_at(*scale, {"statusReplicasPath"}),
                            text_at(*scale, {"labelSelectorPath"})};
  }
  if (const json* schema = find_path(version, {"schema", "openAPIV3Schema"})) info.schema = *schema;
  info.columns = columns_of(version);
  return info;
}

}  // namespace

Registry::Registry() {
  add(builtin("", "v1", "namespaces", "namespace", "Namespace", {"ns"}, false, true));
  add(builtin("", "v1", "nodes", "node", "Node", {"no"}, false, true));
  ResourceInfo pods = builtin("", "v1", "pods", "pod", "Pod", {"po"}, true, true);
  pods.categories = {"all"};
  add(pods);
  ResourceInfo services = builtin("", "v1", "services", "service", "Service", {"svc"}, true, true);
  services.categories = {"all"};
  add(services);
  add(builtin("", "v1", "endpoints", "endpoints", "Endpoints", {"ep"}, true, false));
  add(builtin("", "v1", "configmaps", "configmap", "ConfigMap", {"cm"}, true, false));
  add(builtin("", "v1", "secrets", "secret", "Secret", {}, true, false));
  add(builtin("", "v1", "serviceaccounts", "serviceaccount", "ServiceAccount", {"sa"}, true, false));
  add(builtin("", "v1", "events", "event", "Event", {"ev"}, true, false));
  add(builtin("events.k8s.io", "v1", "events", "event", "Event", {"ev"}, true, false));
  add(workload(builtin("apps", "v1", "deployments", "deployment", "Deployment", {"deploy"}, true, true),
               true));
  add(workload(builtin("apps", "v1", "replicasets", "replicaset", "ReplicaSet", {"rs"}, true, true), true));
  add(workload(builtin("apps", "v1", "statefulsets", "statefulset", "StatefulSet", {"sts"}, true, true),
               true));
  add(builtin("apps", "v1", "controllerrevisions", "controllerrevision", "ControllerRevision", {}, true,
              false));
  add(builtin("autoscaling", "v2", "horizontalpodautoscalers", "horizontalpodautoscaler",
              "HorizontalPodAutoscaler", {"hpa"}, true, true));
  add(builtin("coordination.k8s.io", "v1", "leases", "lease", "Lease", {}, true, false));
  add(builtin("discovery.k8s.io", "v1", "endpointslices", "endpointslice", "EndpointSlice", {}, true, false));
  ResourceInfo budgets = builtin("policy", "v1", "poddisruptionbudgets", "poddisruptionbudget",
                                 "PodDisruptionBudget", {"pdb"}, true, true);
  budgets.has_generation = true;
  add(budgets);
  ResourceInfo policies = builtin("admissionregistration.k8s.io", "v1", "validatingadmissionpolicies",
                                  "validatingadmissionpolicy", "ValidatingAdmissionPolicy", {}, false, true);
  policies.has_generation = true;
  add(policies);
  ResourceInfo bindings =
      builtin("admissionregistration.k8s.io", "v1", "validatingadmissionpolicybindings",
              "validatingadmissionpolicybinding", "ValidatingAdmissionPolicyBinding", {}, false, false);
  bindings.has_generation = true;
  add(bindings);
  ResourceInfo crds =
      builtin("apiextensions.k8s.io", "v1", "customresourcedefinitions", "customresourcedefinition",
              "CustomResourceDefinition", {"crd", "crds"}, false, true);
  crds.has_generation = true;
  add(crds);
}

void Registry::add(ResourceInfo info) {
  auto shared = std::make_shared<const ResourceInfo>(std::move(info));
  by_path_[path_of(shared->group, shared->version, shared->plural)] = shared;
  resources_.push_back(std::move(shared));
}

void Registry::remove(std::string_view group, std::string_view plural) {
  const auto same = [group, plural](const ResourcePtr& info) {
    return info->group == group && info->plural == plural;
  };
  std::erase_if(by_path_, [&same](const auto& entry) { return same(entry.second); });
  std::erase_if(resources_, same);
}

ResourcePtr Registry::find(std::string_view group, std::string_view version, std::string_view plural) const {
  const auto found = by_path_.find(path_of(group, version, plural));
  return found == by_path_.end() ? nullptr : found->second;
}

ResourcePtr Registry::find_kind(std::string_view api_version, std::string_view kind) const {
  for (const ResourcePtr& info : resources_) {
    if (info->kind == kind && info->api_version() == api_version) return info;
  }
  return nullptr;
}

std::vector<FieldProblem> Registry::define(const json& crd) {
  std::vector<FieldProblem> problems;
  const std::string group = text_at(crd, {"spec", "group"});
  const std::string plural = text_at(crd, {"spec", "names", "plural"});
  if (group.empty()) problems.push_back(required_value("spec.group"));
  if (plural.empty()) problems.push_back(required_value("spec.names.plural"));
  if (text_at(crd, {"spec", "names", "kind"}).empty()) problems.push_back(required_value("spec.names.kind"));
  if (text_at(crd, {"metadata", "name"}) != plural + "." + group) {
    problems.push_back(invalid_value("metadata.name", text_at(crd, {"metadata", "name"}),
                                     "must be spec.names.plural+\".\"+spec.group"));
  }
  const json* versions = find_path(crd, {"spec", "versions"});
  if (versions == nullptr || !versions->is_array() || versions->empty()) {
    problems.push_back(required_value("spec.versions"));
    return problems;
  }
  for (std::size_t i = 0; i < versions->size(); ++i) {
    const std::string path = fmt::format("spec.versions[{}].schema.openAPIV3Schema", i);
    const json* schema = find_path((*versions)[i], {"schema", "openAPIV3Schema"});
    if (schema == nullptr) {
      problems.push_back(required_value(path, "schemas are required"));
    } else {
      check_structural(*schema, path, problems);
    }
  }
  if (!problems.empty()) return problems;
  remove(group, plural);
  for (const json& version : *versions) {
    if (bool_at(version, {"served"})) add(custom_resource(crd, version));
  }
  return problems;
}

void Registry::undefine(const json& crd) {
  remove(text_at(crd, {"spec", "group"}), text_at(crd, {"spec", "names", "plural"}));
}

}  // namespace poolwarden::apiserver
