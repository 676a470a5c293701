// create, update and patch: the rules every write goes through.
#include "support/apiserver/event_view.h"
#include "support/apiserver/impl.h"
#include "support/apiserver/managed_fields.h"
#include "support/apiserver/patch.h"
#include "support/apiserver/schema.h"
#include "support/apiserver/validation.h"

#include <algorithm>

#include <fmt/format.h>

namespace poolwarden::apiserver {
namespace {

// Metadata only the server writes.
constexpr const char* kServerFields[] = {
    "uid",      "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds",
    "selfLink", "generation",        "managedFields",     "resourceVersion"};

// The wire form of what was sent becomes the stored form.
void to_stored(const ResourceInfo& type, json& body) {
  if (type.group == "events.k8s.io") body = core_view(body);
  body.erase("apiVersion");
  body.erase("kind");
}

std::vector<FieldProblem> check(const ResourceInfo& type, const json& body, const json* before) {
  std::vector<FieldProblem> problems;
  check_metadata(body, problems);
  if (type.custom) {
    validate(body, type.schema, "", problems);
  } else {
    check_builtin(type, body, problems);
    if (before != nullptr) check_builtin_update(type, *before, body, problems);
  }
  return problems;
}

// Drops unknown fields and fills in defaults, as the schema says. Unknown fields are an error if the client
// asked.
std::optional<Failure> fit_schema(const Context& context, json& body) {
  const ResourceInfo& type = *context.type;
  if (!type.custom) {
    default_builtin(type, body);
    return std::nullopt;
  }
  std::vector<std::string> unknown;
  prune(body, type.schema, unknown);
  if (!unknown.empty() && context.request.option("fieldValidation") == "Strict") {
    std::string list;
    for (const std::string& path : unknown)
      list += fmt::format("{}unknown field \"{}\"", list.empty() ? "" : ", ", path);
    return bad_request("strict decoding error: " + list);
  }
  apply_defaults(body, type.schema);
  return std::nullopt;
}

// Restores from `old` what this kind of write may not touch.
void keep_isolated_parts(const ResourceInfo& type, const Update& update, const json& old, json& body) {
  if (update.subresource == "status") {
    json status = body.contains("status") ? body["status"] : json();
    json managed = find_path(body, {"metadata", "managedFields"}) != nullptr
                       ? body["metadata"]["managedFields"]
                       : json();
    body = old;
    if (status.is_null()) {
      body.erase("status");
    } else {
      body["status"] = std::move(status);
    }
    if (update.apply && !managed.is_null()) body["metadata"]["managedFields"] = std::move(managed);
  } else if (type.has_status) {
    if (const auto status = old.find("status"); status != old.end()) {
      body["status"] = *status;
    } else {
      body.erase("status");
    }
  }
}

// What an applied configuration may speak about; the rest is neither merged nor owned. Clients send the zero
// value of creationTimestamp along.
void keep_applicable_parts(const ResourceInfo& type, const std::string& subresource, json& config) {
  json& metadata = config["metadata"];
  for (const char* key : kServerFields) {
    const std::string_view name = key;
    if (name != "uid" && name != "resourceVersion") metadata.erase(key);
  }
  if (subresource == "status") {
    json only = {{"metadata", {{"name", metadata["name"]}}}};
    for (const char* key : {"uid", "resourceVersion"}) {
      if (metadata.contains(key)) only["metadata"][key] = metadata[key];
    }
    if (config.contains("status")) only["status"] = config["status"];
    config = std::move(only);
  } else if (type.has_status) {
    config.erase("status");
  }
}

void keep_server_fields(const json& old, json& metadata, bool keep_managed) {
  const json& before = old["metadata"];
  for (const char* key : kServerFields) {
    if (keep_managed && std::string_view(key) == "managedFields") continue;
    if (const auto found = before.find(key); found != before.end()) {
      metadata[key] = *found;
    } else {
      metadata.erase(key);
    }
  }
  for (const char* key : {"labels", "annotations", "ownerReferences", "finalizers"}) {
    if (const auto found = metadata.find(key);
        found != metadata.end() && (found->is_null() || found->empty())) {
      metadata.erase(found);
    }
  }
}

// Whether two objects have the same fields, some left aside. Compared in place: this runs with every write.
template <class Skips>
bool same_fields(const json& left, const json& right, Skips skips) {
  for (auto field = left.begin(); field != left.end(); ++field) {
    if (skips(field.key())) continue;
    const auto found = right.find(field.key());
    if (found == right.end() || *found != *field) return false;
  }
  for (auto field = right.begin(); field != right.end(); ++field) {
    if (!skips(field.key()) && !left.contains(field.key())) return false;
  }
  return true;
}

// metadata.generation counts changes of what is neither metadata nor status.
bool spec_changed(const json& before, const json& after) {
  return !same_fields(before, after,
                      [](const std::string& key) { return key == "metadata" || key == "status"; });
}

bool same_but_for_managed_fields(const json& before, const json& after) {
  return same_fields(before, after, [](const std::string& key) { return key == "metadata"; }) &&
         same_fields(before["metadata"], after["metadata"],
                     [](const std::string& key) { return key == "managedFields"; });
}

}  // namespace

std::optional<Failure> Model::Impl::check_namespace(const Context& context) const {
  if (!context.type->namespaced) return std::nullopt;
  const std::string& ns = context.request.ns;
  const ResourcePtr type = registry.find("", "v1", "namespaces");
  const ObjectPtr found = find(*type, {"", ns});
  if (!found) return not_found(type->subject(ns));
  if (found->body()["metadata"].contains("deletionTimestamp")) {
    Failure failure = forbidden(
        context.subject(),
        fmt::format("unable to create new content in namespace {} because it is being terminated", ns));
    failure.details["causes"] =
        json::array({{{"reason", "NamespaceTerminating"},
                      {"message", fmt::format("namespace {} is being terminated", ns)},
                      {"field", "metadata.namespace"}}});
    return failure;
  }
  return std::nullopt;
}

Outcome<kube::HttpResponse> Model::Impl::create(Context& context) {
  Outcome<json> body = read_object(context);
  if (!body) return tl::unexpected(std::move(body.error()));
  Outcome<ObjectPtr> created = create_object(context, std::move(*body), {});
  if (!created) return tl::unexpected(std::move(created.error()));
  return answer(context, 201, **created);
}

Outcome<ObjectPtr> Model::Impl::create_object(Context& context, json body, const Update& update) {
  const ResourceInfo& type = *context.type;
  to_stored(type, body);
  json& metadata = object_at(body, "metadata");
  if (!text_at(metadata, {"resourceVersion"}).empty()) {
    return tl::unexpected(Failure{500, "", "resourceVersion should not be set on objects to be created"});
  }
  if (type.namespaced) {
    const std::string ns = text_at(metadata, {"namespace"});
    if (!ns.empty() && ns != context.request.ns) {
      return tl::unexpected(bad_request(
          "the namespace of the provided object does not match the namespace sent on the request"));
    }
    metadata["namespace"] = context.request.ns;
  } else {
    metadata.erase("namespace");
  }
  std::string name = text_at(metadata, {"name"});
  if (name.empty()) {
    const std::string prefix = text_at(metadata, {"generateName"});
    if (prefix.empty()) {
      return tl::unexpected(
          invalid(type.subject(""), {required_value("metadata.name", "name or generateName is required")}));
    }
    name = prefix + random_suffix();
    metadata["name"] = name;
  }
  context.request.name = name;
  if (auto refused = check_namespace(context)) return tl::unexpected(std::move(*refused));
  if (find(type, context.key())) return tl::unexpected(already_exists(context.subject()));

  json managed = update.apply && metadata.contains("managedFields") ? metadata["managedFields"] : json();
  for (const char* key : kServerFields) metadata.erase(key);
  metadata["uid"] = new_uid();
  metadata["creationTimestamp"] = api::to_rfc3339(context.now);
  if (type.has_generation) metadata["generation"] = 1;
  if (type.has_status) body.erase("status");
  if (auto refused = fit_schema(context, body)) return tl::unexpected(std::move(*refused));
  if (const auto problems = check(type, body, nullptr); !problems.empty()) {
    return tl::unexpected(invalid(context.subject(), problems));
  }
  if (type.plural == "customresourcedefinitions") {
    Registry trial = registry;
    if (const auto problems = trial.define(body); !problems.empty()) {
      return tl::unexpected(invalid(context.subject(), problems));
    }
  }
  if (auto refused = admit(context, "create", nullptr, &body)) return tl::unexpected(std::move(*refused));
  if (update.apply) {
    body["metadata"]["managedFields"] = std::move(managed);
  } else {
    track_update(type, nullptr, body, {context.manager(), update.subresource, context.now});
  }
  if (context.dry_run) return std::make_shared<const Object>(std::move(body), revision);
  ObjectPtr stored = commit(context.type, context.key(), std::move(body));
  if (type.plural == "customresourcedefinitions") {
    define_custom(stored);
    stored = find(type, context.key());
  }
  to_collect.push_back(text_at(stored->body(), {"metadata", "uid"}));
  return stored;
}

// A new resource is served at once; the real server takes a moment before Established.
void Model::Impl::define_custom(const ObjectPtr& crd) {
  (void)registry.define(crd->body());
  json body = crd->body();
  const std::string since = text_at(body, {"metadata", "creationTimestamp"});
  json conditions = json::array();
  for (const auto& [type, reason] :
       {std::pair{"NamesAccepted", "NoConflicts"}, std::pair{"Established", "InitialNamesAccepted"}}) {
    conditions.push_back({{"type", type},
                          {"status", "True"},
                          {"reason", reason},
                          {"lastTransitionTime", since},
                          {"message", "accepted"}});
  }
  json stored_versions = json::array();
  for (const json& version : body["spec"]["versions"]) {
    if (bool_at(version, {"storage"})) stored_versions.push_back(text_at(version, {"name"}));
  }
  body["status"] = {{"conditions", conditions},
                    {"acceptedNames", body["spec"]["names"]},
                    {"storedVersions", stored_versions}};
  commit(registry.find("apiextensions.k8s.io", "v1", "customresourcedefinitions"),
         {"", text_at(body, {"metadata", "name"})}, std::move(body));
}

Outcome<kube::HttpResponse> Model::Impl::update(Context& context) {
  Outcome<json> body = read_object(context);
  if (!body) return tl::unexpected(std::move(body.error()));
  const ResourceInfo& type = *context.type;
  json& metadata = object_at(*body, "metadata");
  const std::string name = text_at(metadata, {"name"});
  if (name != context.request.name) {
    return tl::unexpected(bad_request(fmt::format(
        "the name of the object ({}) does not match the name on the URL ({})", name, context.request.name)));
  }
  const ObjectPtr old = find(type, context.key());
  if (!old) return tl::unexpected(not_found(context.subject()));
  const std::string uid = text_at(metadata, {"uid"});
  const std::string have = text_at(old->body(), {"metadata", "uid"});
  if (!uid.empty() && uid != have) {
    return tl::unexpected(uid_conflict(context.subject(), context.request.ns, uid, have));
  }
  if (type.custom && text_at(metadata, {"resourceVersion"}).empty()) {
    // Custom resources allow no unconditional update.
    return tl::unexpected(
        invalid(context.subject(), {{"FieldValueInvalid", "metadata.resourceVersion",
                                     "Invalid value: 0x0: must be specified for an update"}}));
  }
  to_stored(type, *body);
  Outcome<ObjectPtr> stored = replace(context, old, std::move(*body), {context.request.subresource, false});
  if (!stored) return tl::unexpected(std::move(stored.error()));
  return answer(context, 200, **stored);
}

// Everything a changed object goes through before it is stored. `body` is in stored form, with the metadata
// the client sent.
Outcome<ObjectPtr> Model::Impl::replace(Context& context, const ObjectPtr& old, json body,
                                        const Update& update) {
  const ResourceInfo& type = *context.type;
  const json& before = old->body();
  json& sent = object_at(body, "metadata");
  if (const std::string version = text_at(sent, {"resourceVersion"});
      !version.empty() && version != text_at(before, {"metadata", "resourceVersion"})) {
    return tl::unexpected(stale_object(context.subject()));
  }
  std::vector<FieldProblem> changed;
  for (const char* key : {"uid", "name", "namespace"}) {
    const std::string value = text_at(sent, {key});
    if (!value.empty() && value != text_at(before, {"metadata", key})) {
      changed.push_back(invalid_value(fmt::format("metadata.{}", key), value, "field is immutable"));
    }
  }
  if (!changed.empty()) return tl::unexpected(invalid(context.subject(), changed));

  keep_isolated_parts(type, update, before, body);
  json& metadata = object_at(body, "metadata");
  metadata["name"] = before["metadata"]["name"];
  if (type.namespaced) metadata["namespace"] = before["metadata"]["namespace"];
  keep_server_fields(before, metadata, update.apply);
  // A built-in type's status and scale have neither defaults nor rules of their own here.
  std::vector<FieldProblem> problems;
  if (type.custom || update.subresource.empty()) {
    if (auto refused = fit_schema(context, body)) return tl::unexpected(std::move(*refused));
    problems = check(type, body, &before);
  }
  const bool deleting = before["metadata"].contains("deletionTimestamp");
  if (deleting) check_no_new_finalizers(before, body, problems);
  if (!problems.empty()) return tl::unexpected(invalid(context.subject(), problems));
  if (type.has_generation && update.subresource != "status" && spec_changed(before, body)) {
    body["metadata"]["generation"] = int_at(before, {"metadata", "generation"}) + 1;
  }
  if (auto refused = admit(context, context.request.verb, &before, &body))
    return tl::unexpected(std::move(*refused));
  // A write that changes nothing is not one: no new version, no watch event.
  if (update.apply ? body == before : same_but_for_managed_fields(before, body)) return old;
  if (!update.apply) track_update(type, &before, body, {context.manager(), update.subresource, context.now});
  if (context.dry_run) return std::make_shared<const Object>(std::move(body), old->revision());
  if (type.plural == "customresourcedefinitions" && before["spec"] != body["spec"]) {
    if (auto wrong = registry.define(body); !wrong.empty())
      return tl::unexpected(invalid(context.subject(), wrong));
  }
  const json* finalizers = find_path(body, {"metadata", "finalizers"});
  const bool free_to_go = deleting && (finalizers == nullptr || finalizers->empty());
  if (free_to_go && type.plural != "namespaces") {  // those wait for their content
    return finish_or_mark(context.type, context.key(), *old, std::move(body), false).object;
  }
  ObjectPtr stored = commit(context.type, context.key(), std::move(body));
  to_collect.push_back(text_at(stored->body(), {"metadata", "uid"}));
  return stored;
}

Outcome<json> Model::Impl::patched(const Context& context, const json& document,
                                   const ResourceInfo& type) const {
  const std::string content = context.http.content_type.substr(0, context.http.content_type.find(';'));
  Outcome<json> change = read_body(context);
  if (!change) return change;
  if (content == "application/merge-patch+json") return merge_patched(document, *change);
  if (content == "application/json-patch+json") return json_patched(document, *change);
  if (content == "application/strategic-merge-patch+json" && !type.custom)
    return strategic_patched(type, document, *change);
  return tl::unexpected(unsupported_media_type(
      type.custom ? "application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml"
                  : "application/json-patch+json, application/merge-patch+json, "
                    "application/strategic-merge-patch+json, application/apply-patch+yaml"));
}

Outcome<kube::HttpResponse> Model::Impl::patch(Context& context) {
  if (context.http.content_type.starts_with("application/apply-patch+yaml")) return apply(context);
  const ObjectPtr old = find(*context.type, context.key());
  if (!old) return tl::unexpected(not_found(context.subject()));
  Outcome<json> body = patched(context, typed_body(*context.type, *old), *context.type);
  if (!body) return tl::unexpected(std::move(body.error()));
  if (!body->is_object()) return tl::unexpected(bad_request("the patched object is not an object"));
  to_stored(*context.type, *body);
  Outcome<ObjectPtr> stored = replace(context, old, std::move(*body), {context.request.subresource, false});
  if (!stored) return tl::unexpected(std::move(stored.error()));
  return answer(context, 200, **stored);
}

Outcome<kube::HttpResponse> Model::Impl::apply(Context& context) {
  const ResourceInfo& type = *context.type;
  const std::string manager = context.request.option("fieldManager");
  if (manager.empty()) {
    return tl::unexpected(
        bad_request("PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: Required value: is required for "
                    "apply patch"));
  }
  Outcome<json> config = read_object(context);
  if (!config) return tl::unexpected(std::move(config.error()));
  if (text_at(*config, {"apiVersion"}).empty() || text_at(*config, {"kind"}).empty()) {
    return tl::unexpected(
        bad_request("invalid object type: apiVersion and kind must be set in an apply patch"));
  }
  if (find_path(*config, {"metadata", "managedFields"}) != nullptr) {
    return tl::unexpected(bad_request("metadata.managedFields must be nil"));
  }
  to_stored(type, *config);
  object_at(*config, "metadata")["name"] = context.request.name;
  keep_applicable_parts(type, context.request.subresource, *config);
  const ObjectPtr old = find(type, context.key());
  if (!old && !context.request.subresource.empty()) return tl::unexpected(not_found(context.subject()));
  if (!old && !text_at(*config, {"metadata", "uid"}).empty()) {
    return tl::unexpected(conflict(
        context.subject(),
        fmt::format("uid mismatch: the provided object specified uid {}, and no existing object was found",
                    text_at(*config, {"metadata", "uid"}))));
  }
  const Writer writer{manager, context.request.subresource, context.now};
  Outcome<json> merged = server_side_apply(type, old ? &old->body() : nullptr, *config, writer,
                                           context.request.flag("force"), context.subject());
  if (!merged) return tl::unexpected(std::move(merged.error()));
  const Update update{context.request.subresource, true};
  Outcome<ObjectPtr> stored = old ? replace(context, old, std::move(*merged), update)
                                  : create_object(context, std::move(*merged), update);
  if (!stored) return tl::unexpected(std::move(stored.error()));
  return answer(context, old ? 200 : 201, **stored);
}

}  // namespace poolwarden::apiserver
