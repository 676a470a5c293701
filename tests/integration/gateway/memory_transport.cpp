#include "memory_transport.h"

#include "support/apiserver/failure.h"

#include <nlohmann/json.hpp>

namespace poolwarden::gateway {
namespace {

kube::HttpResponse not_found(std::string_view resource) {
  return apiserver::to_response(apiserver::not_found({"", resource, "", ""}));
}

std::string resource_of(const std::string& target) {
  for (const char* resource : {"pods", "leases"}) {
    if (target.find("/default/" + std::string(resource)) != std::string::npos) return resource;
  }
  return "configmaps";
}

std::string line(const std::string& type, const std::string& object) {
  return "{\"type\":\"" + type + "\",\"object\":" + object + "}\n";
}

}  // namespace

class MemoryTransport::Handle final : public kube::StreamHandle {
 public:
  Handle(MemoryTransport& owner, std::uint64_t stream) : owner_(owner), stream_(stream) {}
  ~Handle() override {
    if (const auto handler = owner_.take(stream_)) {
      handler->on_end(kube::TransportError{kube::TransportFailure::kCancelled, "cancelled"});
    }
  }

 private:
  MemoryTransport& owner_;
  std::uint64_t stream_;
};

std::string MemoryTransport::object() const {
  return nlohmann::json{
      {"apiVersion", "v1"},
      {"kind", "ConfigMap"},
      {"metadata",
       {{"namespace", ns_},
        {"name", name_},
        {"uid", "uid-1"},
        {"resourceVersion", std::to_string(version_)},
        {"annotations", {{"poolwarden.io/pods-resource-version", std::to_string(version_)}}}}},
      {"data", {{"endpoints.json", json_.value_or("")}}}}
      .dump();
}

void MemoryTransport::publish_text(std::string endpoints_json) {
  const std::lock_guard lock(mutex_);
  const bool known = json_.has_value();
  json_ = std::move(endpoints_json);
  ++version_;
  announce("configmaps", known ? "MODIFIED" : "ADDED", object());
}

void MemoryTransport::remove() {
  const std::lock_guard lock(mutex_);
  ++version_;
  const std::string last = object();
  json_.reset();
  announce("configmaps", "DELETED", last);
}

void MemoryTransport::set_pod(const std::string& name, PodState state) {
  const std::lock_guard lock(mutex_);
  ++version_;
  const bool ready = state == PodState::kReady || state == PodState::kTerminating;
  const char* said = state == PodState::kUnknown ? "Unknown" : (ready ? "True" : "False");
  nlohmann::json pod = {
      {"apiVersion", "v1"},
      {"kind", "Pod"},
      {"metadata",
       {{"namespace", ns_},
        {"name", name},
        {"uid", "uid-" + name},
        {"resourceVersion", std::to_string(version_)},
        {"labels", {{"poolwarden.io/serving", "true"}}}}},
      {"spec", {{"nodeName", "node-1"}}},
      {"status",
       {{"phase", "Running"},
        {"podIP", "127.0.0.1"},
        {"podIPs", {{{"ip", "127.0.0.1"}}}},
        {"conditions",
         {{{"type", "Ready"}, {"status", said}}, {{"type", "ContainersReady"}, {"status", said}}}}}}};
  if (state == PodState::kTerminating) pod["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z";
  const bool known = pods_.contains(name) && pods_[name].labelled;
  pods_[name] = {pod.dump(), true};
  announce("pods", known ? "MODIFIED" : "ADDED", pods_[name].object);
}

void MemoryTransport::end_pod(const std::string& name) {
  const std::lock_guard lock(mutex_);
  ++version_;
  const Pod last = std::move(pods_[name]);
  pods_.erase(name);
  if (last.labelled) announce("pods", "DELETED", last.object);
}

void MemoryTransport::unlabel_pod(const std::string& name) {
  const std::lock_guard lock(mutex_);
  ++version_;
  pods_[name].labelled = false;
  announce("pods", "DELETED", pods_[name].object);
}

void MemoryTransport::forbid_pods() {
  const std::lock_guard lock(mutex_);
  pods_forbidden_ = true;
}

std::vector<std::string> MemoryTransport::leases() const {
  const std::lock_guard lock(mutex_);
  return leases_;
}

void MemoryTransport::announce(const std::string& resource, const std::string& type,
                               const std::string& object) {
  for (const auto& [number, stream] : streams_) {
    if (stream.resource == resource) stream.handler->on_data(line(type, object));
  }
}

void MemoryTransport::go_away() {
  std::map<std::uint64_t, Stream> cut;
  {
    const std::lock_guard lock(mutex_);
    away_ = true;
    cut.swap(streams_);
  }
  for (const auto& [number, stream] : cut)
    stream.handler->on_end(kube::TransportError{kube::TransportFailure::kCut, "cut"});
}

void MemoryTransport::come_back() {
  const std::lock_guard lock(mutex_);
  away_ = false;
}

std::string MemoryTransport::pods() const {
  std::string items;
  for (const auto& [name, pod] : pods_) {
    if (pod.labelled) items += (items.empty() ? "" : ",") + pod.object;
  }
  return items;
}

kube::HttpResponse MemoryTransport::answer_pods(const std::string& target) const {
  if (pods_forbidden_)
    return apiserver::to_response(apiserver::forbidden({"", "pods", "Pod", ""}, "not here"));
  const std::string one = "/default/pods/";
  const auto at = target.find(one);
  if (at == std::string::npos) {
    return apiserver::json_response(200,
                                    R"({"kind":"PodList","apiVersion":"v1","metadata":{"resourceVersion":")" +
                                        std::to_string(version_) + "\"},\"items\":[" + pods() + "]}");
  }
  const auto found = pods_.find(target.substr(at + one.size()));
  return found == pods_.end() ? not_found("pods") : apiserver::json_response(200, found->second.object);
}

kube::HttpResponse MemoryTransport::answer(const kube::HttpRequest& request) {
  const std::string resource = resource_of(request.target);
  if (resource == "pods") return answer_pods(request.target);
  if (resource == "leases") {
    const bool create = request.method == kube::HttpMethod::kPost;
    if (!create && leases_.empty()) return not_found("leases");
    leases_.push_back(request.body);
    return apiserver::json_response(create ? 201 : 200, "{}");
  }
  return apiserver::json_response(
      200, R"({"kind":"ConfigMapList","apiVersion":"v1","metadata":{"resourceVersion":")" +
               std::to_string(version_) + "\"},\"items\":[" + (json_ ? object() : "") + "]}");
}

void MemoryTransport::send(kube::HttpRequest request, Callback done) {
  std::optional<kube::HttpResponse> response;
  {
    const std::lock_guard lock(mutex_);
    if (!away_) response = answer(request);
  }
  if (response) {
    done(std::move(*response));
  } else {
    done(tl::unexpected(kube::TransportError{kube::TransportFailure::kConnect, "connection refused"}));
  }
}

std::unique_ptr<kube::StreamHandle> MemoryTransport::stream(kube::HttpRequest request,
                                                            std::chrono::milliseconds,
                                                            std::shared_ptr<kube::StreamHandler> handler) {
  std::unique_lock lock(mutex_);
  const std::uint64_t stream = ++last_stream_;
  if (away_) {
    lock.unlock();
    handler->on_end(kube::TransportError{kube::TransportFailure::kConnect, "connection refused"});
  } else {
    kube::HttpResponse head;
    head.status = 200;
    handler->on_head(head);
    // What happened since the version the watch goes on from.
    const std::string now = "resourceVersion=" + std::to_string(version_);
    const std::string resource = resource_of(request.target);
    if (resource == "configmaps" && json_ && request.target.find(now) == std::string::npos)
      handler->on_data(line("MODIFIED", object()));
    streams_[stream] = {resource, std::move(handler)};
  }
  return std::make_unique<Handle>(*this, stream);
}

std::shared_ptr<kube::StreamHandler> MemoryTransport::take(std::uint64_t stream) {
  const std::lock_guard lock(mutex_);
  const auto found = streams_.find(stream);
  if (found == streams_.end()) return nullptr;
  auto handler = std::move(found->second.handler);
  streams_.erase(found);
  return handler;
}

}  // namespace poolwarden::gateway
