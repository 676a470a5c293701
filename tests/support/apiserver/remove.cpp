// delete, deletecollection and eviction: preconditions, grace, finalizers, propagation.
#include "support/apiserver/impl.h"

#include <algorithm>

#include <fmt/format.h>

namespace poolwarden::apiserver {
namespace {

constexpr const char* kOrphan = "orphan";
constexpr const char* kForeground = "foregroundDeletion";

std::optional<Failure> check_preconditions(const Subject& subject, const std::string& ns,
                                           const json& delete_options, const json& body) {
  const std::string uid = text_at(delete_options, {"preconditions", "uid"});
  const std::string have_uid = text_at(body, {"metadata", "uid"});
  if (!uid.empty() && uid != have_uid) return uid_conflict(subject, ns, uid, have_uid);
  const std::string version = text_at(delete_options, {"preconditions", "resourceVersion"});
  const std::string have_version = text_at(body, {"metadata", "resourceVersion"});
  if (!version.empty() && version != have_version)
    return version_conflict(subject, ns, version, have_version);
  return std::nullopt;
}

// How long a pod may take to stop: k8s.io/kubernetes/pkg/registry/core/pod/strategy.go CheckGracefulDelete.
std::int64_t pod_grace(const json& body, const json& delete_options) {
  std::int64_t grace = int_at(delete_options, {"gracePeriodSeconds"}, -1);
  if (grace < 0) grace = int_at(body, {"spec", "terminationGracePeriodSeconds"}, 30);
  const std::string phase = text_at(body, {"status", "phase"});
  if (text_at(body, {"spec", "nodeName"}).empty() || phase == "Succeeded" || phase == "Failed") grace = 0;
  return std::max<std::int64_t>(grace, 0);
}

void set_finalizer(json& metadata, const char* name, bool present) {
  json& list = metadata["finalizers"];
  if (!list.is_array()) list = json::array();
  const auto found = std::find(list.begin(), list.end(), json(name));
  if (present && found == list.end()) list.push_back(name);
  if (!present && found != list.end()) list.erase(found);
  if (list.empty()) metadata.erase("finalizers");
}

std::string propagation(const json& delete_options) {
  if (const std::string policy = text_at(delete_options, {"propagationPolicy"}); !policy.empty())
    return policy;
  return bool_at(delete_options, {"orphanDependents"}) ? "Orphan" : "Background";
}

json success_status(const ResourceInfo& type, const Object& object) {
  json details = {{"name", text_at(object.body(), {"metadata", "name"})},
                  {"kind", type.plural},
                  {"uid", text_at(object.body(), {"metadata", "uid"})}};
  if (!type.group.empty()) details["group"] = type.group;
  return {{"kind", "Status"},
          {"apiVersion", "v1"},
          {"metadata", json::object()},
          {"status", "Success"},
          {"details", details}};
}

}  // namespace

// Marks an object as being deleted, or lets it go when nothing holds it.
Model::Impl::Removal Model::Impl::finish_or_mark(const ResourcePtr& type, const ObjectKey& key,
                                                 const Object& old, json body, bool immediate) {
  const json* finalizers = find_path(body, {"metadata", "finalizers"});
  const bool held = finalizers != nullptr && !finalizers->empty();
  const bool graceful =
      type->plural == "pods" && int_at(body, {"metadata", "deletionGracePeriodSeconds"}) > 0;
  if (held || (graceful && !immediate)) {
    if (body == old.body()) return {find(*type, key), false};
    return {commit(type, key, std::move(body)), false};
  }
  // The last state is stored before it goes, so that watchers see the finalizers gone.
  if (body != old.body())
    shelf(*type).objects[key] = std::make_shared<const Object>(std::move(body), old.revision());
  if (type->plural == "customresourcedefinitions") remove_custom_objects(find(*type, key)->body());
  return {erase(type, key), true};
}

// The objects go with their definition. The real server waits for their finalizers; here they go at once.
void Model::Impl::remove_custom_objects(const json& crd) {
  const std::string group = text_at(crd, {"spec", "group"});
  const std::string plural = text_at(crd, {"spec", "names", "plural"});
  for (const ResourcePtr& type : std::vector<ResourcePtr>(registry.all())) {
    if (type->group != group || type->plural != plural) continue;
    std::vector<ObjectKey> keys;
    for (const auto& [key, object] : shelf(*type).objects) keys.push_back(key);
    for (const ObjectKey& key : keys) erase(type, key);
  }
  registry.undefine(crd);
}

Outcome<Model::Impl::Removal> Model::Impl::remove_object(const Context& context, const ResourcePtr& type,
                                                         const ObjectKey& key, const json& delete_options) {
  const ObjectPtr old = find(*type, key);
  if (!old) return tl::unexpected(not_found(type->subject(key.name)));
  if (auto refused = check_preconditions(type->subject(key.name), key.ns, delete_options, old->body())) {
    return tl::unexpected(std::move(*refused));
  }
  if (auto refused = admit(context, "delete", &old->body(), nullptr))
    return tl::unexpected(std::move(*refused));
  if (context.dry_run) return Removal{old, true};

  json body = old->body();
  json& metadata = body["metadata"];
  const bool already = metadata.contains("deletionTimestamp");
  const std::string policy = propagation(delete_options);
  const bool has_dependents = dependents.contains(text_at(metadata, {"uid"}));
  if (!already) {
    if (policy == "Orphan" && has_dependents) set_finalizer(metadata, kOrphan, true);
    if (policy == "Foreground" && has_dependents) set_finalizer(metadata, kForeground, true);
  }
  std::int64_t grace = type->plural == "pods" ? pod_grace(body, delete_options) : 0;
  if (already) grace = std::min(grace, int_at(metadata, {"deletionGracePeriodSeconds"}));
  const bool shorter = already && grace < int_at(metadata, {"deletionGracePeriodSeconds"});
  if (!already || shorter) {
    metadata["deletionTimestamp"] = api::to_rfc3339(context.now + std::chrono::seconds(grace));
    metadata["deletionGracePeriodSeconds"] = grace;
    if (!already && type->has_generation) metadata["generation"] = int_at(metadata, {"generation"}) + 1;
  }
  if (type->plural == "namespaces") {
    // Stays as Terminating until it is empty; see finish_namespaces().
    body["status"]["phase"] = "Terminating";
    if (already) return Removal{old, false};
    return Removal{commit(type, key, std::move(body)), false};
  }
  const bool custom_definition = type->plural == "customresourcedefinitions";
  Removal removal = finish_or_mark(type, key, *old, std::move(body), grace == 0 && !custom_definition);
  if (!removal.gone) to_collect.push_back(text_at(removal.object->body(), {"metadata", "uid"}));
  return removal;
}

Outcome<kube::HttpResponse> Model::Impl::remove(Context& context) {
  json delete_options = json::object();
  if (!context.http.body.empty()) {
    Outcome<json> body = read_body(context);
    if (!body) return tl::unexpected(std::move(body.error()));
    delete_options = std::move(*body);
    const json* dry = find_path(delete_options, {"dryRun"});
    if (dry != nullptr && dry->is_array() && !dry->empty()) context.dry_run = true;
  }
  for (const char* key : {"propagationPolicy", "orphanDependents"}) {
    if (std::string value = context.request.option(key); !value.empty()) delete_options[key] = value;
  }
  if (auto grace = context.request.number("gracePeriodSeconds"))
    delete_options["gracePeriodSeconds"] = *grace;
  Outcome<Removal> removed = remove_object(context, context.type, context.key(), delete_options);
  if (!removed) return tl::unexpected(std::move(removed.error()));
  // Pods and Services answer with the object, others with a Status once they are gone.
  const bool returns_object = context.type->plural == "pods" || context.type->plural == "services";
  if (removed->gone && !returns_object) {
    return json_response(200, success_status(*context.type, *removed->object).dump() + "\n");
  }
  return answer(context, 200, *removed->object);
}

Outcome<kube::HttpResponse> Model::Impl::remove_collection(Context& context) {
  auto selectors = selectors_of(context.request, *context.type);
  if (!selectors) return tl::unexpected(std::move(selectors.error()));
  json delete_options = json::object();
  if (!context.http.body.empty()) {
    Outcome<json> body = read_body(context);
    if (!body) return tl::unexpected(std::move(body.error()));
    delete_options = std::move(*body);
  }
  std::vector<ObjectKey> keys;
  for (const auto& [key, object] : shelf(*context.type).objects) {
    const bool here = context.request.ns.empty() || key.ns == context.request.ns;
    if (here && selected(*object, *context.type, selectors->first, selectors->second)) keys.push_back(key);
  }
  std::string items;
  for (const ObjectKey& key : keys) {
    Outcome<Removal> removed = remove_object(context, context.type, key, delete_options);
    if (!removed) return tl::unexpected(std::move(removed.error()));
    items += (items.empty() ? "" : ",") + removed->object->text();
  }
  return json_response(
      200,
      fmt::format(R"({{"kind":"{}","apiVersion":"{}","metadata":{{"resourceVersion":"{}"}},"items":[{}]}})",
                  context.type->list_kind, context.type->api_version(), revision, items));
}

namespace {

bool is_unhealthy(const json& pod) {
  const json* conditions = find_path(pod, {"status", "conditions"});
  return conditions == nullptr ||
         std::none_of(conditions->begin(), conditions->end(), [](const json& condition) {
           return condition.value("type", "") == "Ready" && condition.value("status", "") == "True";
         });
}

// https://kubernetes.io/docs/tasks/run-application/configure-pdb/#unhealthy-pod-eviction-policy
bool lets_unhealthy_go(const json& budget) {
  if (text_at(budget, {"spec", "unhealthyPodEvictionPolicy"}) == "AlwaysAllow") return true;
  const auto desired = int_at(budget, {"status", "desiredHealthy"});
  return desired > 0 && int_at(budget, {"status", "currentHealthy"}) >= desired;
}

}  // namespace

// https://kubernetes.io/docs/concepts/scheduling-eviction/api-eviction/
Outcome<kube::HttpResponse> Model::Impl::evict(Context& context) {
  Outcome<json> body = read_body(context);
  if (!body) return tl::unexpected(std::move(body.error()));
  const ObjectPtr pod = find(*context.type, context.key());
  if (!pod) return tl::unexpected(not_found(context.subject()));
  const ResourcePtr budgets = registry.find("policy", "v1", "poddisruptionbudgets");
  for (const auto& [key, budget] : shelf(*budgets).objects) {
    const json* selector = find_path(budget->body(), {"spec", "selector"});
    const bool mine =
        key.ns == context.request.ns && selector != nullptr &&
        Selector::from_object(*selector).matches(find_path(pod->body(), {"metadata", "labels"}));
    if (!mine || int_at(budget->body(), {"status", "disruptionsAllowed"}) > 0) continue;
    if (is_unhealthy(pod->body()) && lets_unhealthy_go(budget->body())) continue;
    Failure failure =
        too_many_requests("Cannot evict pod as it would violate the pod's disruption budget.", 10);
    failure.details["causes"] = json::array(
        {{{"reason", "DisruptionBudget"},
          {"message", fmt::format("The disruption budget {} needs {} healthy pods and has {} currently",
                                  key.name, int_at(budget->body(), {"status", "desiredHealthy"}),
                                  int_at(budget->body(), {"status", "currentHealthy"}))}}});
    return tl::unexpected(std::move(failure));
  }
  if (!context.dry_run) {
    json marked = pod->body();
    json condition = {{"type", "DisruptionTarget"},
                      {"status", "True"},
                      {"reason", "EvictionByEvictionAPI"},
                      {"message", "Eviction API: evicting"},
                      {"lastTransitionTime", api::to_rfc3339(context.now)}};
    json& conditions = object_at(marked, "status")["conditions"];
    if (!conditions.is_array()) conditions = json::array();
    conditions.push_back(std::move(condition));
    commit(context.type, context.key(), std::move(marked));
  }
  const json* delete_options = find_path(*body, {"deleteOptions"});
  Outcome<Removal> removed = remove_object(context, context.type, context.key(),
                                           delete_options != nullptr ? *delete_options : json::object());
  if (!removed) return tl::unexpected(std::move(removed.error()));
  return json_response(201, json{{"kind", "Status"},
                                 {"apiVersion", "v1"},
                                 {"metadata", json::object()},
                                 {"status", "Success"},
                                 {"code", 201}}
                                .dump());
}

}  // namespace poolwarden::apiserver
