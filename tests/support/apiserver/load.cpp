// A cluster's set-up from YAML: objects are stored as they are, status and all.
#include "support/apiserver/impl.h"

#include <fmt/format.h>

namespace poolwarden::apiserver {
namespace {

std::string path_of(const ResourceInfo& type, const json& body) {
  std::string path = type.group.empty() ? "/api/" + type.version : "/apis/" + type.group + "/" + type.version;
  if (type.namespaced) {
    const std::string ns = text_at(body, {"metadata", "namespace"});
    path += "/namespaces/" + (ns.empty() ? std::string("default") : ns);
  }
  return path + "/" + type.plural;
}

}  // namespace

tl::expected<void, std::string> Model::load(std::string_view yaml, Timestamp now) {
  const std::optional<std::vector<json>> documents = parse_yaml_documents(yaml);
  if (!documents) return tl::unexpected(std::string("the text is neither YAML nor JSON"));
  for (const json& document : *documents) {
    const std::string name = text_at(document, {"metadata", "name"});
    const std::string kind = text_at(document, {"kind"});
    const ResourcePtr type = impl_->registry.find_kind(text_at(document, {"apiVersion"}), kind);
    if (!type)
      return tl::unexpected(
          fmt::format("{} \"{}\": {} is not served here", kind, name, text_at(document, {"apiVersion"})));
    kube::HttpRequest request{kube::HttpMethod::kPost, path_of(*type, document), document.dump(),
                              "application/json"};
    kube::HttpResponse response = handle(request, now, {});
    if (response.status == 409) {
      request.method = kube::HttpMethod::kPut;
      request.target += "/" + name;
      json replacement = document;
      const ObjectPtr have =
          impl_->find(*type, {type->namespaced ? parse_request(request).ns : std::string(), name});
      replacement["metadata"]["resourceVersion"] = std::to_string(have->revision());
      request.body = replacement.dump();
      response = handle(request, now, {});
    } else if (response.status < 300) {
      request.target += "/" + name;
    }
    if (response.status < 300 && type->has_status && document.contains("status")) {
      request.method = kube::HttpMethod::kPatch;
      request.target += "/status";
      request.content_type = "application/merge-patch+json";
      request.body = json{{"status", document["status"]}}.dump();
      response = handle(request, now, {});
    }
    if (response.status >= 300) {
      return tl::unexpected(fmt::format("{} \"{}\": {} {}", kind, name, response.status, response.body));
    }
  }
  return {};
}

}  // namespace poolwarden::apiserver
