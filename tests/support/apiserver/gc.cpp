// Garbage collection by owner references, and what is left to do of namespaces being deleted.
// https://kubernetes.io/docs/concepts/architecture/garbage-collection/
#include "support/apiserver/impl.h"

#include <algorithm>

namespace poolwarden::apiserver {
namespace {

template <class Visit>
void each_owner(const json* object, Visit visit) {
  const json* owners = object != nullptr ? find_path(*object, {"metadata", "ownerReferences"}) : nullptr;
  if (owners == nullptr || !owners->is_array()) return;
  for (const json& owner : *owners) visit(text_at(owner, {"uid"}));
}

bool has_finalizer(const json& body, std::string_view name) {
  const json* list = find_path(body, {"metadata", "finalizers"});
  return list != nullptr && std::find(list->begin(), list->end(), json(name)) != list->end();
}

void drop_finalizer(json& body, std::string_view name) {
  json& metadata = body["metadata"];
  json& list = metadata["finalizers"];
  list.erase(std::find(list.begin(), list.end(), json(name)));
  if (list.empty()) metadata.erase("finalizers");
}

}  // namespace

void Model::Impl::index_owners(const json* before, const json* after) {
  const std::string uid = text_at(after != nullptr ? *after : *before, {"metadata", "uid"});
  each_owner(before, [&](const std::string& owner) {
    const auto found = dependents.find(owner);
    if (found == dependents.end()) return;
    found->second.erase(uid);
    if (!found->second.empty()) return;
    dependents.erase(found);
    to_collect.push_back(owner);  // one that waits for its dependents may go on
  });
  each_owner(after, [&](const std::string& owner) { dependents[owner].insert(uid); });
}

void Model::Impl::finish_owner(const std::string& uid) {
  const auto found = dependents.find(uid);
  if (found == dependents.end()) return;
  for (const std::string& dependent : found->second) to_collect.push_back(dependent);
}

void Model::Impl::orphan_dependents(const std::string& uid) {
  const auto found = dependents.find(uid);
  if (found == dependents.end()) return;
  const std::set<std::string> orphans = found->second;
  for (const std::string& orphan : orphans) {
    const auto at = by_uid.find(orphan);
    if (at == by_uid.end()) continue;
    const Place place = at->second;
    json body = find(*place.type, place.key)->body();
    json& owners = body["metadata"]["ownerReferences"];
    json kept = json::array();
    for (const json& owner : owners) {
      if (text_at(owner, {"uid"}) != uid) kept.push_back(owner);
    }
    owners = std::move(kept);
    if (owners.empty()) body["metadata"].erase("ownerReferences");
    commit(place.type, place.key, std::move(body));
  }
}

// One object that may have become garbage, or may have done waiting. True if it changed something.
bool Model::Impl::collect_one(const std::string& uid, Timestamp now) {
  const auto at = by_uid.find(uid);
  if (at == by_uid.end()) return false;
  const Place place = at->second;
  const ObjectPtr object = find(*place.type, place.key);
  const json& body = object->body();
  const kube::HttpRequest none;
  Context context{none,
                  {},
                  place.type,
                  now,
                  {"system:serviceaccount:kube-system:generic-garbage-collector", "kube-controller-manager"}};
  context.request.ns = place.key.ns;
  context.request.name = place.key.name;
  context.request.plural = place.type->plural;

  if (body["metadata"].contains("deletionTimestamp")) {
    if (has_finalizer(body, "orphan")) {
      orphan_dependents(uid);
      json freed = body;
      drop_finalizer(freed, "orphan");
      finish_or_mark(place.type, place.key, *object, std::move(freed), false);
      return true;
    }
    if (!has_finalizer(body, "foregroundDeletion")) return false;
    const auto below = dependents.find(uid);
    if (below == dependents.end()) {
      json freed = body;
      drop_finalizer(freed, "foregroundDeletion");
      finish_or_mark(place.type, place.key, *object, std::move(freed), false);
      return true;
    }
    bool changed = false;
    const std::set<std::string> children = below->second;
    for (const std::string& child : children) {
      const auto found = by_uid.find(child);
      if (found == by_uid.end()) continue;
      const Place spot = found->second;
      if (find(*spot.type, spot.key)->body()["metadata"].contains("deletionTimestamp")) continue;
      changed =
          remove_object(context, spot.type, spot.key, {{"propagationPolicy", "Foreground"}}).has_value() ||
          changed;
    }
    return changed;
  }
  std::size_t owners = 0;
  std::size_t alive = 0;
  each_owner(&body, [&](const std::string& owner) {
    ++owners;
    if (by_uid.contains(owner)) ++alive;
  });
  if (owners == 0 || alive > 0) return false;
  return remove_object(context, place.type, place.key, {{"preconditions", {{"uid", uid}}}}).has_value();
}

void Model::Impl::collect(Timestamp now) {
  while (!to_collect.empty()) {
    const std::string uid = std::move(to_collect.front());
    to_collect.pop_front();
    collect_one(uid, now);
  }
  finish_namespaces(now);
}

// The namespace controller's part: empties a namespace being deleted, then lets it go.
void Model::Impl::finish_namespaces(Timestamp now) {
  const ResourcePtr type = registry.find("", "v1", "namespaces");
  std::vector<ObjectKey> ending;
  for (const auto& [key, object] : shelf(*type).objects) {
    if (object->body()["metadata"].contains("deletionTimestamp")) ending.push_back(key);
  }
  for (const ObjectKey& ns : ending) {
    bool empty = true;
    for (const ResourcePtr& resource : std::vector<ResourcePtr>(registry.all())) {
      if (!resource->namespaced || resource->group == "events.k8s.io") continue;
      std::vector<ObjectKey> keys;
      Shelf& place = shelf(*resource);
      for (auto entry = place.objects.lower_bound({ns.name, ""});
           entry != place.objects.end() && entry->first.ns == ns.name; ++entry) {
        keys.push_back(entry->first);
      }
      for (const ObjectKey& key : keys) {
        const kube::HttpRequest none;
        Context context{
            none,
            {},
            resource,
            now,
            {"system:serviceaccount:kube-system:namespace-controller", "kube-controller-manager"}};
        context.request.ns = key.ns;
        context.request.name = key.name;
        context.request.plural = resource->plural;
        const bool deleting = find(*resource, key)->body()["metadata"].contains("deletionTimestamp");
        if (!deleting) (void)remove_object(context, resource, key, json::object());
        empty = empty && !find(*resource, key);
      }
    }
    if (empty) erase(type, ns);
  }
}

}  // namespace poolwarden::apiserver
