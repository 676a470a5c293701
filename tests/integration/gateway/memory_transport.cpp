#include "memory_transport.h"

#include <nlohmann/json.hpp>

namespace poolwarden::gateway {
namespace {

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
  return nlohmann::json{{"apiVersion", "v1"},
                        {"kind", "ConfigMap"},
                        {"metadata",
                         {{"namespace", ns_},
                          {"name", name_},
                          {"uid", "uid-1"},
                          {"resourceVersion", std::to_string(version_)}}},
                        {"data", {{"endpoints.json", json_.value_or("")}}}}
      .dump();
}

void MemoryTransport::publish_text(std::string endpoints_json) {
  const std::lock_guard lock(mutex_);
  const bool known = json_.has_value();
  json_ = std::move(endpoints_json);
  ++version_;
  announce(known ? "MODIFIED" : "ADDED", object());
}

void MemoryTransport::remove() {
  const std::lock_guard lock(mutex_);
  ++version_;
  const std::string last = object();
  json_.reset();
  announce("DELETED", last);
}

void MemoryTransport::announce(const std::string& type, const std::string& object) {
  for (const auto& [stream, handler] : streams_) handler->on_data(line(type, object));
}

void MemoryTransport::go_away() {
  std::map<std::uint64_t, std::shared_ptr<kube::StreamHandler>> cut;
  {
    const std::lock_guard lock(mutex_);
    away_ = true;
    cut.swap(streams_);
  }
  for (const auto& [stream, handler] : cut)
    handler->on_end(kube::TransportError{kube::TransportFailure::kCut, "cut"});
}

void MemoryTransport::come_back() {
  const std::lock_guard lock(mutex_);
  away_ = false;
}

void MemoryTransport::send(kube::HttpRequest, Callback done) {
  kube::HttpResponse response;
  {
    const std::lock_guard lock(mutex_);
    if (away_) {
      response.status = 0;
    } else {
      response.status = 200;
      response.content_type = "application/json";
      response.body =
          "{\"kind\":\"ConfigMapList\",\"apiVersion\":\"v1\",\"metadata\":{\"resourceVersion\":\"" +
          std::to_string(version_) + "\"},\"items\":[" + (json_ ? object() : "") + "]}";
    }
  }
  if (response.status == 0) {
    done(tl::unexpected(kube::TransportError{kube::TransportFailure::kConnect, "connection refused"}));
  } else {
    done(std::move(response));
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
    if (json_ && request.target.find(now) == std::string::npos) handler->on_data(line("MODIFIED", object()));
    streams_[stream] = std::move(handler);
  }
  return std::make_unique<Handle>(*this, stream);
}

std::shared_ptr<kube::StreamHandler> MemoryTransport::take(std::uint64_t stream) {
  const std::lock_guard lock(mutex_);
  const auto found = streams_.find(stream);
  if (found == streams_.end()) return nullptr;
  auto handler = std::move(found->second);
  streams_.erase(found);
  return handler;
}

}  // namespace poolwarden::gateway
