#include "bench/memory_api.h"

#include "support/protobuf/wire.h"

#include <stdexcept>
#include <utility>

#include <fmt/format.h>

namespace poolwarden::bench {
namespace {

using kube::HttpMethod;
using kube::HttpResponse;
using nlohmann::json;

constexpr std::string_view kProtobuf = "application/vnd.kubernetes.protobuf";

HttpResponse answer(const json& body, int status = 200) {
  HttpResponse out;
  out.status = status;
  out.content_type = "application/json";
  out.body = body.dump();
  return out;
}

std::string path_of(const kube::HttpRequest& request) {
  return request.target.substr(0, request.target.find('?'));
}

std::string without_subresource(std::string path) {
  for (const std::string_view tail : {"/status", "/scale"}) {
    if (path.ends_with(tail)) path.resize(path.size() - tail.size());
  }
  return path;
}

// "/api/v1/namespaces/default/pods/x" -> "/api/v1/pods"
std::string collection_of(const std::string& path) {
  std::string collection = path.substr(0, path.rfind('/'));
  const std::size_t ns = collection.find("/namespaces/");
  if (ns != std::string::npos) {
    collection.erase(ns, collection.find('/', ns + std::string_view("/namespaces/").size()) - ns);
  }
  return collection;
}

std::string namespace_of(const std::string& path) {
  constexpr std::string_view kBefore = "/namespaces/";
  const std::size_t at = path.find(kBefore) + kBefore.size();
  return path.substr(at, path.find('/', at) - at);
}

class Handle final : public kube::StreamHandle {};

}  // namespace

void MemoryApi::put(const std::string& path, json object) {
  objects_[path] = std::move(object);
}

std::string MemoryApi::change(const std::string& path, const std::function<void(json&)>& edit) {
  json& object = objects_.at(path);
  edit(object);
  object["metadata"]["resourceVersion"] = std::to_string(++revision_);
  if (!in_protobuf_.contains(collection_of(path))) {
    return R"({"type":"MODIFIED","object":)" + object.dump() + "}\n";
  }
  const std::string kind = object["kind"];
  return protobuf_wire::framed(protobuf_wire::watch_event("MODIFIED", protobuf_wire::object(kind, object)));
}

const json* MemoryApi::find(const std::string& path) const {
  const auto found = objects_.find(path);
  return found == objects_.end() ? nullptr : &found->second;
}

HttpResponse MemoryApi::list(const std::string& collection) const {
  json items = json::array();
  for (const auto& [path, object] : objects_) {
    if (collection_of(path) == collection) items.push_back(object);
  }
  return answer(
      {{"metadata", {{"resourceVersion", std::to_string(revision_)}}}, {"items", std::move(items)}});
}

HttpResponse MemoryApi::write(const kube::HttpRequest& request) {
  json body = json::parse(request.body);
  std::string path = without_subresource(path_of(request));
  if (request.method == HttpMethod::kPost) {
    path += "/" + body["metadata"].value("name", fmt::format("event-{}", revision_));
    body["metadata"]["uid"] = fmt::format("uid-{}", revision_);
    body["metadata"]["namespace"] = namespace_of(path);
    objects_[path] = std::move(body);
  } else {
    const auto found = objects_.find(path);
    if (found == objects_.end())
      return answer({{"reason", "NotFound"}, {"code", 404}, {"message", path}}, 404);
    // One writer: there is nothing it could disagree with. An Event's patch has no metadata at all.
    if (body.contains("metadata")) body["metadata"].erase("resourceVersion");
    found->second.merge_patch(body);
  }
  json& object = objects_[path];
  object["metadata"]["resourceVersion"] = std::to_string(++revision_);
  return answer(object);
}

void MemoryApi::send(kube::HttpRequest request, Callback done) {
  if (request.method == HttpMethod::kGet) {
    if (const json* object = find(path_of(request))) return done(answer(*object));
    return done(list(path_of(request)));
  }
  if (hook_) hook_(request);
  done(write(request));
}

std::unique_ptr<kube::StreamHandle> MemoryApi::stream(kube::HttpRequest request, std::chrono::milliseconds,
                                                      std::shared_ptr<kube::StreamHandler> handler) {
  const std::string collection = path_of(request);
  const bool protobuf = request.accept.starts_with(kProtobuf);
  if (protobuf) in_protobuf_.insert(collection);
  HttpResponse head;
  head.status = 200;
  head.content_type = protobuf ? fmt::format("{};stream=watch", kProtobuf) : "application/json";
  handler->on_head(head);
  watches_[collection] = std::move(handler);
  return std::make_unique<Handle>();
}

void MemoryApi::feed(std::string_view collection, std::string_view bytes) {
  const auto watch = watches_.find(collection);
  if (watch == watches_.end()) throw std::logic_error(fmt::format("nobody watches {}", collection));
  watch->second->on_data(bytes);
}

}  // namespace poolwarden::bench
