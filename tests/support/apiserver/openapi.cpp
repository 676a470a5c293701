// Just enough OpenAPI for kubectl: that PATCH knows fieldValidation and dryRun (kubectl apply asks before it
// relies on them), and the schemas of custom resources (kubectl explain). Built-in types are described as
// open objects.
#include "support/apiserver/impl.h"

#include <map>

#include <fmt/format.h>

namespace poolwarden::apiserver {
namespace {

// Not as clients write it in Accept ("@v1.0"): Go refuses that as a media type.
constexpr const char* kProtobuf = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";

std::string root_of(const ResourceInfo& type) {
  return type.group.empty() ? "api/v1" : "apis/" + type.api_version();
}

json gvk_of(const ResourceInfo& type) {
  return {{"group", type.group}, {"version", type.version}, {"kind", type.kind}};
}

std::string schema_name(const ResourceInfo& type) {
  return fmt::format("{}.{}.{}", type.group.empty() ? "core" : type.group, type.version, type.kind);
}

json query_parameter(const char* name) {
  return {{"name", name}, {"in", "query"}, {"schema", {{"type", "string"}, {"uniqueItems", true}}}};
}

json operation(const ResourceInfo& type, const char* action) {
  return {{"x-kubernetes-action", action},
          {"x-kubernetes-group-version-kind", gvk_of(type)},
          {"parameters", json::array({query_parameter("dryRun"), query_parameter("fieldValidation")})},
          {"responses", {{"200", {{"description", "OK"}}}}}};
}

json document_of(const Registry& registry, const std::string& root) {
  json paths = json::object();
  json schemas = json::object();
  for (const ResourcePtr& type : registry.all()) {
    if (root_of(*type) != root) continue;
    const std::string scope = type->namespaced ? "/namespaces/{namespace}" : "";
    const std::string path = fmt::format("/{}{}/{}", root, scope, type->plural);
    paths[path]["post"] = operation(*type, "post");
    json item = {{"get",
                  {{"x-kubernetes-action", "get"},
                   {"x-kubernetes-group-version-kind", gvk_of(*type)},
                   {"responses", json::object()}}},
                 {"put", operation(*type, "put")},
                 {"patch", operation(*type, "patch")}};
    paths[path + "/{name}"] = item;
    json schema = type->custom && type->schema.is_object() ? type->schema : json{{"type", "object"}};
    schema["x-kubernetes-group-version-kind"] = json::array({gvk_of(*type)});
    schemas[schema_name(*type)] = std::move(schema);
  }
  return {{"openapi", "3.0.0"},
          {"info",
           {{"title", "Poolwarden's stand-in for Kubernetes"}, {"version", "v1.31.0+poolwarden-standin"}}},
          {"paths", paths},
          {"components", {{"schemas", schemas}}}};
}

}  // namespace

std::optional<kube::HttpResponse> Model::Impl::openapi(const kube::HttpRequest& request,
                                                       const ParsedRequest& parsed) const {
  if (parsed.path == "/openapi/v2") {
    if (request.accept.find("protobuf") != std::string::npos) {
      // An empty message is a valid, empty document: clients then skip their own validation.
      kube::HttpResponse response = json_response(200, "");
      response.content_type = kProtobuf;
      return response;
    }
    return json_response(200, json{{"swagger", "2.0"},
                                   {"info", {{"title", "stand-in"}, {"version", "v1"}}},
                                   {"paths", json::object()}}
                                  .dump());
  }
  constexpr std::string_view kRoot = "/openapi/v3";
  if (!parsed.path.starts_with(kRoot)) return std::nullopt;
  std::map<std::string, json> roots;
  for (const ResourcePtr& type : registry.all()) {
    const std::string root = root_of(*type);
    roots[root] = {{"serverRelativeURL", fmt::format("/openapi/v3/{}?hash={}", root, revision)}};
  }
  if (parsed.path == kRoot) return json_response(200, json{{"paths", roots}}.dump());
  const std::string root = parsed.path.substr(kRoot.size() + 1);
  if (!roots.contains(root)) return to_response(path_not_found());
  return json_response(200, document_of(registry, root).dump());
}

}  // namespace poolwarden::apiserver
