// What is served: /version, /api, /apis and the resource lists.
// https://kubernetes.io/docs/concepts/overview/kubernetes-api/#discovery-api
#include "support/apiserver/impl.h"

#include <set>

namespace poolwarden::apiserver {
namespace {

json verbs_of(const std::string& subresource) {
  if (subresource.empty()) {
    return {"create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"};
  }
  if (subresource == "eviction" || subresource == "binding") return json::array({"create"});
  if (subresource == "log") return json::array({"get"});
  return {"get", "patch", "update"};
}

json resource_entry(const ResourceInfo& type, const std::string& subresource) {
  json entry = {{"name", subresource.empty() ? type.plural : type.plural + "/" + subresource},
                {"singularName", subresource.empty() ? type.singular : ""},
                {"namespaced", type.namespaced},
                {"kind", type.kind},
                {"verbs", verbs_of(subresource)}};
  if (subresource == "scale") entry.update({{"group", "autoscaling"}, {"version", "v1"}, {"kind", "Scale"}});
  if (subresource == "eviction") entry.update({{"group", "policy"}, {"version", "v1"}, {"kind", "Eviction"}});
  if (subresource == "binding") entry["kind"] = "Binding";
  if (!subresource.empty()) return entry;
  if (!type.short_names.empty()) entry["shortNames"] = type.short_names;
  if (!type.categories.empty()) entry["categories"] = type.categories;
  return entry;
}

json resource_list(const Registry& registry, const std::string& group, const std::string& version) {
  json resources = json::array();
  for (const ResourcePtr& type : registry.all()) {
    if (type->group != group || type->version != version) continue;
    resources.push_back(resource_entry(*type, ""));
    if (type->has_status) resources.push_back(resource_entry(*type, "status"));
    if (type->scale) resources.push_back(resource_entry(*type, "scale"));
    if (type->plural == "pods" && group.empty()) {
      for (const char* sub : {"log", "eviction", "binding"}) resources.push_back(resource_entry(*type, sub));
    }
  }
  return {{"kind", "APIResourceList"},
          {"apiVersion", "v1"},
          {"groupVersion", group.empty() ? version : group + "/" + version},
          {"resources", resources}};
}

json group_entry(const Registry& registry, const std::string& group) {
  json versions = json::array();
  std::set<std::string> seen;
  for (const ResourcePtr& type : registry.all()) {
    if (type->group != group || !seen.insert(type->version).second) continue;
    versions.push_back({{"groupVersion", type->api_version()}, {"version", type->version}});
  }
  return {{"name", group}, {"versions", versions}, {"preferredVersion", versions[0]}};
}

json version_info() {
  return {{"major", "1"},    {"minor", "31"},           {"gitVersion", "v1.31.0+poolwarden-standin"},
          {"gitCommit", ""}, {"gitTreeState", "clean"}, {"buildDate", "1970-01-01T00:00:00Z"},
          {"goVersion", ""}, {"compiler", ""},          {"platform", "linux/amd64"}};
}

}  // namespace

std::optional<kube::HttpResponse> Model::Impl::discovery(const kube::HttpRequest&,
                                                         const ParsedRequest& parsed) const {
  std::string path = parsed.path;
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  const auto ok = [](const json& body) { return json_response(200, body.dump() + "\n"); };
  if (path == "/version") return ok(version_info());
  if (path == "/api") {
    return ok({{"kind", "APIVersions"}, {"versions", {"v1"}}, {"serverAddressByClientCIDRs", json::array()}});
  }
  if (path == "/api/v1") return ok(resource_list(registry, "", "v1"));
  std::set<std::string> groups;
  std::set<std::pair<std::string, std::string>> versions;
  for (const ResourcePtr& type : registry.all()) {
    if (type->group.empty()) continue;
    groups.insert(type->group);
    versions.insert({type->group, type->version});
  }
  if (path == "/apis") {
    json list = json::array();
    for (const std::string& group : groups) list.push_back(group_entry(registry, group));
    return ok({{"kind", "APIGroupList"}, {"apiVersion", "v1"}, {"groups", list}});
  }
  for (const std::string& group : groups) {
    if (path != "/apis/" + group) continue;
    json entry = group_entry(registry, group);
    entry.update({{"kind", "APIGroup"}, {"apiVersion", "v1"}});
    return ok(entry);
  }
  for (const auto& [group, version] : versions) {
    if (path == "/apis/" + group + "/" + version) return ok(resource_list(registry, group, version));
  }
  return std::nullopt;
}

}  // namespace poolwarden::apiserver
