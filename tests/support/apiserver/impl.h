// The model's inside: one object store and the requests' ways through it. One header, because the parts call
// each other; each .cpp holds one part (see the sections below).
#pragma once

#include "kube/object_key.h"
#include "support/apiserver/failure.h"
#include "support/apiserver/json_util.h"
#include "support/apiserver/model.h"
#include "support/apiserver/registry.h"
#include "support/apiserver/request.h"
#include "support/apiserver/selector.h"

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

namespace poolwarden::apiserver {

using kube::ObjectKey;

// One change of one object. Bodies are stored without apiVersion and kind: they differ with the group an
// object is read through, and items of lists of built-in types come without them.
struct Change {
  std::uint64_t revision = 0;
  ObjectKey key;
  ObjectPtr before;  // null: created
  ObjectPtr after;   // null: deleted
  ObjectPtr last;    // of a deletion: what the watch shows, `before` with the deletion's revision
};

// All objects of one resource and its history.
struct Shelf {
  std::map<ObjectKey, ObjectPtr> objects;
  std::deque<Change> changes;
  std::uint64_t dropped = 0;  // the revision of the newest change that is no longer in `changes`
};

// One request on its way through.
struct Context {
  const kube::HttpRequest& http;
  ParsedRequest request;
  ResourcePtr type;
  Timestamp now;
  RequestInfo info;
  Form form = Form::kObject;
  bool dry_run = false;

  ObjectKey key() const { return {type->namespaced ? request.ns : std::string(), request.name}; }
  Subject subject() const { return type->subject(request.name); }
  // Who is written into managedFields.
  std::string manager() const;
};

// What a write was, for managedFields and for the rules that differ.
struct Update {
  std::string subresource;
  bool apply = false;  // managedFields have been worked out already
};

class Watch {
 public:
  ResourcePtr type;
  std::string ns;
  Selector labels;
  std::vector<FieldTerm> fields;
  Form form = Form::kObject;
  std::string include_object;
  bool bookmarks = false;
  std::uint64_t position = 0;      // everything up to this revision has been read
  std::vector<ObjectPtr> initial;  // the state to begin with, not yet read
  bool tell_initial_end = false;
  bool headers_sent = false;
  bool ended = false;
  Timestamp next_bookmark{};
  std::optional<Timestamp> ends;
};

struct Model::Impl {
  explicit Impl(ModelOptions model_options);

  ModelOptions options;
  std::mt19937_64 random;
  std::uint64_t revision = 1;
  std::uint64_t compacted = 0;
  bool set_up = false;
  Registry registry;
  std::map<std::string, Shelf, std::less<>> shelves;
  struct Place {
    ResourcePtr type;
    ObjectKey key;
  };
  std::unordered_map<std::string, Place> by_uid;
  std::unordered_map<std::string, std::set<std::string>> dependents;  // owner's uid -> uids
  std::deque<std::string> to_collect;                                 // uids that may have lost their owner
  std::vector<DenyRule> deny;
  std::function<void(std::string_view)> listener;
  Admission admission;

  // model.cpp: the way in
  void prepare(Timestamp now);
  Outcome<Context> route(const kube::HttpRequest& request, Timestamp now, const RequestInfo& info) const;
  std::optional<Failure> authorize(const Context& context) const;
  std::optional<Failure> admit(const Context& context, std::string_view verb, const json* before,
                               const json* after) const;
  Outcome<kube::HttpResponse> dispatch(Context& context);
  Outcome<json> read_body(const Context& context) const;
  Outcome<json> read_object(const Context& context) const;  // a body that must be of the context's type

  // store.cpp
  Shelf& shelf(const ResourceInfo& type) { return shelves[type.storage()]; }
  const Shelf* find_shelf(const ResourceInfo& type) const;
  ObjectPtr find(const ResourceInfo& type, const ObjectKey& key) const;
  ObjectPtr commit(const ResourcePtr& type, const ObjectKey& key, json body);
  ObjectPtr erase(const ResourcePtr& type, const ObjectKey& key);
  void forget_old(Shelf& shelf) const;
  std::string new_uid();
  std::string random_suffix();

  // read.cpp
  Outcome<kube::HttpResponse> get(const Context& context);
  Outcome<kube::HttpResponse> list(const Context& context);
  kube::HttpResponse answer(const Context& context, int status, const Object& object) const;

  // write.cpp
  Outcome<kube::HttpResponse> create(Context& context);
  Outcome<ObjectPtr> create_object(Context& context, json body, const Update& update);
  Outcome<kube::HttpResponse> update(Context& context);
  Outcome<kube::HttpResponse> patch(Context& context);
  Outcome<kube::HttpResponse> apply(Context& context);
  Outcome<ObjectPtr> replace(Context& context, const ObjectPtr& old, json body, const Update& update);
  Outcome<json> patched(const Context& context, const json& document, const ResourceInfo& type) const;
  Outcome<kube::HttpResponse> create_subresource(Context& context);
  std::optional<Failure> check_namespace(const Context& context) const;
  void define_custom(const ObjectPtr& crd);

  // scale.cpp
  Outcome<json> scale_of(const Context& context, const Object& object) const;
  Outcome<kube::HttpResponse> get_scale(const Context& context);
  Outcome<kube::HttpResponse> set_scale(Context& context);

  // remove.cpp
  Outcome<kube::HttpResponse> remove(Context& context);
  Outcome<kube::HttpResponse> remove_collection(Context& context);
  Outcome<kube::HttpResponse> evict(Context& context);
  struct Removal {
    ObjectPtr object;   // as it is, or as it last was
    bool gone = false;  // false: it stays until its finalizers or its grace period are done
  };
  Outcome<Removal> remove_object(const Context& context, const ResourcePtr& type, const ObjectKey& key,
                                 const json& delete_options);
  void remove_custom_objects(const json& crd);
  Removal finish_or_mark(const ResourcePtr& type, const ObjectKey& key, const Object& old, json body,
                         bool immediate);

  // gc.cpp
  void index_owners(const json* before, const json* after);
  void collect(Timestamp now);
  bool collect_one(const std::string& uid, Timestamp now);
  void orphan_dependents(const std::string& uid);
  void finish_owner(const std::string& uid);
  void finish_namespaces(Timestamp now);

  // watch.cpp
  Outcome<WatchCursor> open_watch(const Context& context) const;
  WatchRead read(Watch& watch, Timestamp now) const;
  bool readable(const Watch& watch, Timestamp now) const;

  // discovery.cpp, openapi.cpp
  std::optional<kube::HttpResponse> discovery(const kube::HttpRequest& request,
                                              const ParsedRequest& parsed) const;
  std::optional<kube::HttpResponse> openapi(const kube::HttpRequest& request,
                                            const ParsedRequest& parsed) const;
};

// The object as a client of this group and version sees it.
std::string typed_text(const ResourceInfo& type, const Object& object);
json typed_body(const ResourceInfo& type, const Object& object);
// Whether an object belongs into a list or a watch.
bool selected(const Object& object, const ResourceInfo& type, const Selector& labels,
              const std::vector<FieldTerm>& fields);
Outcome<std::pair<Selector, std::vector<FieldTerm>>> selectors_of(const ParsedRequest& request,
                                                                  const ResourceInfo& type);
std::string owner_ref_uid(const json& reference);

}  // namespace poolwarden::apiserver
