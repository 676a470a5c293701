#include "support/cluster/writer.h"

#include "support/apiserver/json_util.h"

#include <nlohmann/json.hpp>

namespace poolwarden::cluster {

using apiserver::text_at;
using nlohmann::json;

bool Writer::send(kube::HttpMethod method, std::string target, const json& body,
                  std::string_view content_type) {
  kube::HttpRequest request;
  request.method = method;
  request.target = std::move(target);
  request.body = body.dump();
  request.content_type = content_type;
  apiserver::RequestInfo info;
  info.user = user_;
  info.user_agent = user_.substr(user_.rfind(':') + 1);
  const kube::HttpResponse response = model_.handle(request, now_, info);
  return response.status >= 200 && response.status < 300;
}

bool Writer::post(const std::string& target, const json& body) {
  return send(kube::HttpMethod::kPost, target, body, "application/json");
}

bool Writer::create(const kube::ResourceType& type, const json& object) {
  return post(kube::resource_path(type, text_at(object, {"metadata", "namespace"})), object);
}

bool Writer::patch(const kube::ResourceType& type, const json& object, const json& change,
                   std::string_view subresource) {
  const std::string target = kube::resource_path(type, text_at(object, {"metadata", "namespace"}),
                                                 text_at(object, {"metadata", "name"}), subresource);
  return send(kube::HttpMethod::kPatch, target, change, "application/merge-patch+json");
}

bool Writer::remove(const kube::ResourceType& type, const json& object, std::optional<int> grace_seconds) {
  json options = {{"apiVersion", "v1"},
                  {"kind", "DeleteOptions"},
                  {"preconditions", {{"uid", text_at(object, {"metadata", "uid"})}}}};
  if (grace_seconds) options["gracePeriodSeconds"] = *grace_seconds;
  const std::string target = kube::resource_path(type, text_at(object, {"metadata", "namespace"}),
                                                 text_at(object, {"metadata", "name"}));
  return send(kube::HttpMethod::kDelete, target, options, "application/json");
}

}  // namespace poolwarden::cluster
