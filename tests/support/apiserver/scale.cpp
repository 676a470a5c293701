// The scale subresource (autoscaling/v1 Scale), and the other subresources that are posted to.
// https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#scale-subresource
#include "support/apiserver/impl.h"

#include <fmt/format.h>

namespace poolwarden::apiserver {

Outcome<json> Model::Impl::scale_of(const Context& context, const Object& object) const {
  const ResourceInfo& type = *context.type;
  const json& body = object.body();
  const json* replicas = find_dotted(body, type.scale->spec_replicas);
  if (replicas == nullptr || !replicas->is_number_integer()) {
    return tl::unexpected(
        Failure{500, "InternalError",
                fmt::format("Internal error occurred: the spec replicas field \"{}\" does not exist",
                            type.scale->spec_replicas)});
  }
  json metadata = json::object();
  for (const char* key : {"name", "namespace", "uid", "resourceVersion", "creationTimestamp"}) {
    if (const json* found = find_path(body, {"metadata", key})) metadata[key] = *found;
  }
  const json* current = find_dotted(body, type.scale->status_replicas);
  json scale = {
      {"apiVersion", "autoscaling/v1"},
      {"kind", "Scale"},
      {"metadata", metadata},
      {"spec", {{"replicas", *replicas}}},
      {"status", {{"replicas", current != nullptr && current->is_number_integer() ? *current : json(0)}}}};
  if (!type.scale->label_selector.empty()) {
    const json* selector = find_dotted(body, type.scale->label_selector);
    if (selector != nullptr && selector->is_string()) {
      scale["status"]["selector"] = *selector;
    } else if (selector != nullptr && selector->is_object()) {
      scale["status"]["selector"] = Selector::from_object(*selector).to_string();
    }
  }
  return scale;
}

Outcome<kube::HttpResponse> Model::Impl::get_scale(const Context& context) {
  const ObjectPtr found = find(*context.type, context.key());
  if (!found) return tl::unexpected(not_found(context.subject()));
  Outcome<json> scale = scale_of(context, *found);
  if (!scale) return tl::unexpected(std::move(scale.error()));
  return json_response(200, scale->dump() + "\n");
}

Outcome<kube::HttpResponse> Model::Impl::set_scale(Context& context) {
  const ObjectPtr old = find(*context.type, context.key());
  if (!old) return tl::unexpected(not_found(context.subject()));
  Outcome<json> wanted;
  if (context.request.verb == "update") {
    wanted = read_body(context);
  } else {
    Outcome<json> present = scale_of(context, *old);
    if (!present) return tl::unexpected(std::move(present.error()));
    // A Scale is patched as a custom resource would be: it has no lists to merge.
    wanted = patched(context, *present, *context.type);
  }
  if (!wanted) return tl::unexpected(std::move(wanted.error()));
  const json* replicas = find_path(*wanted, {"spec", "replicas"});
  // Go's zero value: a Scale without replicas asks for none.
  const json count = replicas != nullptr && !replicas->is_null() ? *replicas : json(0);
  if (!count.is_number_integer() || count.get<std::int64_t>() < 0) {
    return tl::unexpected(
        invalid({"autoscaling", "scale", "Scale", context.request.name},
                {invalid_value("spec.replicas", count, "must be greater than or equal to 0")}));
  }
  json body = old->body();
  if (!set_dotted(body, context.type->scale->spec_replicas, count)) {
    return tl::unexpected(bad_request("the object has no place for the replicas"));
  }
  for (const char* key : {"resourceVersion", "uid"}) {
    if (const std::string given = text_at(*wanted, {"metadata", key}); !given.empty())
      body["metadata"][key] = given;
  }
  if (const std::string uid = text_at(body, {"metadata", "uid"});
      uid != text_at(old->body(), {"metadata", "uid"})) {
    return tl::unexpected(
        uid_conflict(context.subject(), context.request.ns, uid, text_at(old->body(), {"metadata", "uid"})));
  }
  Outcome<ObjectPtr> stored = replace(context, old, std::move(body), {"scale", false});
  if (!stored) return tl::unexpected(std::move(stored.error()));
  Outcome<json> scale = scale_of(context, **stored);
  if (!scale) return tl::unexpected(std::move(scale.error()));
  return json_response(200, scale->dump() + "\n");
}

// pods/eviction and pods/binding.
Outcome<kube::HttpResponse> Model::Impl::create_subresource(Context& context) {
  const std::string& sub = context.request.subresource;
  if (context.type->plural != "pods") return tl::unexpected(path_not_found());
  if (sub == "eviction") return evict(context);
  if (sub != "binding") return tl::unexpected(path_not_found());
  Outcome<json> binding = read_body(context);
  if (!binding) return tl::unexpected(std::move(binding.error()));
  const ObjectPtr pod = find(*context.type, context.key());
  if (!pod) return tl::unexpected(not_found(context.subject()));
  if (pod->body()["metadata"].contains("deletionTimestamp")) {
    return tl::unexpected(
        conflict(context.subject(),
                 fmt::format("pod {} is being deleted, cannot be assigned to a host", context.request.name)));
  }
  const std::string bound = text_at(pod->body(), {"spec", "nodeName"});
  if (!bound.empty()) {
    return tl::unexpected(conflict(context.subject(), fmt::format("pod {} is already assigned to node \"{}\"",
                                                                  context.request.name, bound)));
  }
  json body = pod->body();
  body["spec"]["nodeName"] = text_at(*binding, {"target", "name"});
  json& conditions = object_at(body, "status")["conditions"];
  if (!conditions.is_array()) conditions = json::array();
  conditions.push_back({{"type", "PodScheduled"},
                        {"status", "True"},
                        {"lastProbeTime", nullptr},
                        {"lastTransitionTime", api::to_rfc3339(context.now)}});
  commit(context.type, context.key(), std::move(body));
  return json_response(201, json{{"kind", "Status"},
                                 {"apiVersion", "v1"},
                                 {"metadata", json::object()},
                                 {"status", "Success"},
                                 {"code", 201}}
                                .dump());
}

}  // namespace poolwarden::apiserver
