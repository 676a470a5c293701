// A stand-in for the Kubernetes API server, in memory: requests in, answers out.
//
// It is for tests, simulations and the demo. It promises the semantics that clients depend on (optimistic
// concurrency, list and watch, patches, server-side apply, subresources, graceful deletion, garbage
// collection, CRD schemas, tables for kubectl), with the reasons and messages of the real one. It does not
// do: admission plug-ins, CEL rules, protobuf, conversion webhooks, RBAC objects, aggregated APIs.
// Controllers and kubelets are not part of it.
//
// Pure and deterministic: no threads, sockets or clocks. Wall time is an argument, uids and generated names
// come from the seed, resourceVersions are a counter. Used by one thread at a time; the listener is called
// from within the call that changed something, and must not call back into the model.
#pragma once

#include "api/time.h"
#include "kube/resource.h"
#include "kube/transport.h"
#include "support/apiserver/object.h"

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include <nlohmann/json_fwd.hpp>

namespace poolwarden::apiserver {

using api::Timestamp;

struct ModelOptions {
  std::uint64_t seed = 1;
  std::chrono::milliseconds bookmark_period{60'000};
  // Changes kept for each resource; a watch or a list continued from before them gets a 410.
  std::size_t history = 20'000;
  // What is true: garbage collection runs inside the request that made the garbage. Otherwise in
  // collect_garbage(), so that a test can look at the time between.
  bool collect_inline = true;
};

struct RequestInfo {
  std::string user = "admin";
  std::string user_agent = "poolwarden-test";  // the field manager, up to its first '/', if none is named
};

// Refuses matching requests with 403. Empty fields match everything.
struct DenyRule {
  std::string user;
  std::string verb;      // get, list, watch, create, update, patch, delete, deletecollection
  std::string resource;  // "pods", "pods/status"
};

// The stand-in for admission plug-ins and policies: asked before a write is stored, with the objects as they
// were and would be (null where there is none; without apiVersion and kind). A text refuses it with that
// message.
struct AdmissionRequest {
  std::string_view verb;  // create, update, patch, delete
  std::string_view resource;
  std::string_view subresource;
  std::string_view ns;
  std::string_view name;
  std::string_view user;
  const nlohmann::json* before = nullptr;
  const nlohmann::json* after = nullptr;
};
using Admission = std::function<std::optional<std::string>(const AdmissionRequest&)>;

class Watch;  // where a watch stands; see open_watch()
struct WatchCursorDeleter {
  void operator()(Watch* watch) const;
};
using WatchCursor = std::unique_ptr<Watch, WatchCursorDeleter>;

struct WatchRead {
  std::string bytes;   // whole lines, one JSON event each
  bool ended = false;  // the server ends the stream after these bytes
};

class Model {
 public:
  explicit Model(ModelOptions options = {});
  ~Model();
  Model(const Model&) = delete;
  Model& operator=(const Model&) = delete;

  // Any request but a watch and a pod's log.
  kube::HttpResponse handle(const kube::HttpRequest& request, Timestamp now, const RequestInfo& info = {});

  // Whether a request is a watch (GET with watch=true), to be opened rather than handled.
  static bool is_watch(const kube::HttpRequest& request);
  // A refused watch is the answer to send instead. The cursor may outlive nothing but itself: it holds no
  // reference to the model, and is closed by dropping it.
  std::variant<WatchCursor, kube::HttpResponse> open_watch(const kube::HttpRequest& request, Timestamp now,
                                                           const RequestInfo& info = {});
  // Everything that is new to this watch, bookmarks and the end by timeoutSeconds included.
  WatchRead read(Watch& watch, Timestamp now);
  // When read() has something to say even if nothing changes: its next bookmark or its end.
  Timestamp next_deadline(const Watch& watch) const;
  // Whether read() would say something now.
  bool readable(const Watch& watch, Timestamp now) const;

  // Called after each change with the plural that changed ("pods"). One listener; empty takes it off.
  void set_listener(std::function<void(std::string_view plural)> listener);
  std::uint64_t revision() const;  // of the newest change

  // Forgets all history: every watch not up to date, every continue token and every older
  // resourceVersion gets a 410 from now on.
  void compact();
  // What collect_inline leaves to be done, and the namespaces being deleted.
  void collect_garbage(Timestamp now);

  void set_deny_rules(std::vector<DenyRule> rules);
  void set_admission(Admission admission);  // one; empty takes it off

  // For in-process use, without a request's cost. Objects are in key order. Bodies are without apiVersion and
  // kind.
  ObjectPtr find(const kube::ResourceType& type, std::string_view ns, std::string_view name) const;
  std::vector<ObjectPtr> list(const kube::ResourceType& type, std::string_view ns = {}) const;
  // Creates or replaces (status and all) each document of a YAML or JSON text, the way a cluster's set-up
  // does: as the user "admin". The error names the document and says what the server said.
  tl::expected<void, std::string> load(std::string_view yaml, Timestamp now);

  struct Impl;

 private:
  std::unique_ptr<Impl> impl_;
};

}  // namespace poolwarden::apiserver
