// The least of an API server that the operator's core runs on, without sockets, threads or time: objects by
// path, lists, merge patches, one watch a resource that the benchmark writes to. A watch is in protobuf where
// the operator asks for it, as with a real API server. Answers come at once, on the caller's thread.
#pragma once

#include "kube/transport.h"

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

namespace poolwarden::bench {

class MemoryApi final : public kube::Transport {
 public:
  // "/api/v1/namespaces/default/pods/x"
  void put(const std::string& path, nlohmann::json object);

  void send(kube::HttpRequest request, Callback done) override;
  std::unique_ptr<kube::StreamHandle> stream(kube::HttpRequest request,
                                             std::chrono::milliseconds idle_timeout,
                                             std::shared_ptr<kube::StreamHandler> handler) override;

  // Changes an object, as someone else would, and returns the bytes that its watch would bring.
  std::string change(const std::string& path, const std::function<void(nlohmann::json&)>& edit);
  // Bytes to the watch of a collection of all namespaces, "/api/v1/pods".
  void feed(std::string_view collection, std::string_view bytes);
  // Called with each write as it would leave for the network, before it is carried out.
  void on_write(std::function<void(const kube::HttpRequest&)> hook) { hook_ = std::move(hook); }
  const nlohmann::json* find(const std::string& path) const;

 private:
  kube::HttpResponse list(const std::string& collection) const;
  kube::HttpResponse write(const kube::HttpRequest& request);

  long revision_ = 1'000'000;
  std::map<std::string, nlohmann::json> objects_;
  std::map<std::string, std::shared_ptr<kube::StreamHandler>, std::less<>> watches_;
  std::set<std::string> in_protobuf_;  // collections whose watch is
  std::function<void(const kube::HttpRequest&)> hook_;
};

}  // namespace poolwarden::bench
