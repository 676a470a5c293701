// The Kubernetes API as values. A Call says what to do. Client carries it out over a Transport and turns
// whatever comes back into a Result.
//
// A Call is plain data, so that a decision core can return calls, a test can compare them and a simulator
// can answer them. Bodies of writes are JSON text. Client owns nothing but a reference to its Transport,
// which must outlive it. Threads: as Transport.
#pragma once

#include "kube/encoding.h"
#include "kube/resource.h"
#include "kube/result.h"
#include "kube/transport.h"

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace poolwarden::kube {

enum class Verb { kGet, kList, kWatch, kCreate, kUpdate, kMergePatch, kDelete };
std::string_view to_string(Verb verb);  // "merge-patch", for messages and metrics

// What a call does to what, without its body and options: all that an error names of it. (The API server's
// own RequestInfo holds the same.)
struct RequestInfo {
  Verb verb = Verb::kGet;
  ResourceType type;
  std::string ns;           // empty: cluster-scoped, or all namespaces (list and watch only)
  std::string name;         // empty for list, watch, create
  std::string subresource;  // "status", "scale" or empty
};

struct Call : RequestInfo {
  std::string body;  // create, update, patch, delete (DeleteOptions)
  // A write: its body names the resourceVersion or the UID it was decided on, so that a second arrival is
  // refused or changes nothing. A guarded write is sent again when its connection broke before the answer.
  bool guarded = false;

  // list and watch
  std::string label_selector;
  std::string field_selector;
  std::string resource_version;  // list: "" reads the newest; watch: where to go on from
  std::string continue_token;
  int limit = 0;
  std::chrono::seconds watch_timeout{0};  // watch: asks the server to end it after this long

  std::chrono::milliseconds deadline{10'000};
  CallLane lane = CallLane::kRest;
};

// Named constructors, so that a call site reads as what it does. Preconditions of updates and patches travel
// in the body (metadata.uid, metadata.resourceVersion), as the API server takes them there. Whoever puts a
// precondition there says so with guarded(). A precondition that does not hold is a kConflict, however the
// API server puts it: for a patch, 409 for the version and 422 for the UID.
Call get(const ResourceType& type, std::string ns, std::string name);
Call create(const ResourceType& type, std::string ns, std::string body);
Call update(const ResourceType& type, std::string ns, std::string name, std::string body,
            std::string subresource = {});
Call merge_patch(const ResourceType& type, std::string ns, std::string name, std::string body,
                 std::string subresource = {});
struct DeletePreconditions {
  std::string uid;
  std::string resource_version;
};
// Guarded if there is a precondition.
Call remove(const ResourceType& type, std::string ns, std::string name, const DeletePreconditions& only_if);
Call guarded(Call write);

// "merge-patch pods ns/name/status", for messages and logs.
std::string describe(const RequestInfo& call);
// The bytes on the wire: method, target with query, body, content type, field manager, and which encoding of
// the answer is preferred. A call that is moved in gives its body away uncopied.
HttpRequest to_http(Call call, Encoding preferred = Encoding::kJson);
// Any failure, as an Error: transport failures, Status objects, plain-text proxies' answers.
Error to_error(const RequestInfo& call, const TransportError& failure);
Error to_error(const RequestInfo& call, const HttpResponse& answer);  // for status >= 300
// An ERROR event inside a watch.
struct WatchFailure;
Error status_error(const RequestInfo& call, const WatchFailure& failure);

// Receives a watch. on_open: the server accepted it, and writes it in that encoding. on_data: raw bytes, in
// any split. on_end is last and comes once; no error is a clean EOF.
class WatchHandler {
 public:
  virtual ~WatchHandler() = default;
  virtual void on_open(Encoding encoding) = 0;
  virtual void on_data(std::string_view chunk) = 0;
  virtual void on_end(std::optional<Error> error) = 0;
};

class Client {
 public:
  explicit Client(Transport& transport) : transport_(transport) {}

  // `done` gets the answer's JSON for any 2xx. Move the call in: its body may be large.
  void send(Call call, std::function<void(Result<std::string>)> done);
  // The same in either encoding. The body of a write is JSON in any case.
  void send(Call call, Encoding preferred, std::function<void(Result<Body>)> done);
  [[nodiscard]] std::unique_ptr<StreamHandle> watch(const Call& call, std::chrono::milliseconds idle_timeout,
                                                    std::shared_ptr<WatchHandler> handler,
                                                    Encoding preferred = Encoding::kJson);

 private:
  Transport& transport_;
};

}  // namespace poolwarden::kube
