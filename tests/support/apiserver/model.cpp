#include "support/apiserver/model.h"

#include "support/apiserver/impl.h"

#include <fmt/format.h>

namespace poolwarden::apiserver {
namespace {

// The real server's limit: k8s.io/apiserver DefaultMaxRequestSizeBytes.
constexpr std::size_t kMaxBody = 3u << 20;

bool is_meant(const std::string& wanted, std::string_view have) {
  return wanted.empty() || wanted == have;
}

std::string resource_of(const ParsedRequest& request) {
  return request.subresource.empty() ? request.plural : request.plural + "/" + request.subresource;
}

json namespace_object(std::string_view name) {
  return {{"apiVersion", "v1"}, {"kind", "Namespace"}, {"metadata", {{"name", name}}}};
}

}  // namespace

void WatchCursorDeleter::operator()(Watch* watch) const {
  delete watch;
}

std::string Context::manager() const {
  if (std::string named = request.option("fieldManager"); !named.empty()) return named;
  return info.user_agent.substr(0, info.user_agent.find('/'));
}

Model::Impl::Impl(ModelOptions model_options) : options(model_options), random(model_options.seed) {}

// The namespaces every cluster starts with; not in the constructor, because they carry the time of their
// creation.
void Model::Impl::prepare(Timestamp now) {
  if (set_up) return;
  set_up = true;
  for (std::string_view name : {"default", "kube-node-lease", "kube-public", "kube-system"}) {
    kube::HttpRequest request;
    request.method = kube::HttpMethod::kPost;
    request.target = "/api/v1/namespaces";
    if (Outcome<Context> context = route(request, now, {})) {
      (void)create_object(*context, namespace_object(name), {});
    }
  }
}

Outcome<Context> Model::Impl::route(const kube::HttpRequest& request, Timestamp now,
                                    const RequestInfo& info) const {
  Context context{request, parse_request(request), nullptr, now, info};
  if (!context.request.resource) return tl::unexpected(path_not_found());
  ParsedRequest& parsed = context.request;
  context.type = registry.find(parsed.group, parsed.version, parsed.plural);
  if (!context.type) return tl::unexpected(path_not_found());
  if (!context.type->namespaced && !parsed.ns.empty()) return tl::unexpected(path_not_found());
  if (context.type->namespaced && parsed.ns.empty() && !parsed.name.empty())
    return tl::unexpected(path_not_found());
  context.form = wanted_form(request.accept);
  const std::string dry = parsed.option("dryRun");
  if (!dry.empty() && dry != "All") {
    return tl::unexpected(
        bad_request(fmt::format("dryRun: Unsupported value: \"{}\": supported values: \"All\"", dry)));
  }
  context.dry_run = dry == "All";
  return context;
}

// k8s.io/apiserver/pkg/endpoints/handlers/responsewriters/errors.go: forbiddenMessage.
std::optional<Failure> Model::Impl::authorize(const Context& context) const {
  const ParsedRequest& request = context.request;
  for (const DenyRule& rule : deny) {
    if (!is_meant(rule.user, context.info.user) || !is_meant(rule.verb, request.verb) ||
        !is_meant(rule.resource, resource_of(request))) {
      continue;
    }
    std::string why = fmt::format("User \"{}\" cannot {} resource \"{}\" in API group \"{}\" ",
                                  context.info.user, request.verb, resource_of(request), request.group);
    why += request.ns.empty() ? "at the cluster scope" : fmt::format("in the namespace \"{}\"", request.ns);
    return forbidden(context.subject(), why);
  }
  return std::nullopt;
}

std::optional<Failure> Model::Impl::admit(const Context& context, std::string_view verb, const json* before,
                                          const json* after) const {
  if (!admission) return std::nullopt;
  const ParsedRequest& request = context.request;
  const std::optional<std::string> refusal = admission({verb, request.plural, request.subresource, request.ns,
                                                        request.name, context.info.user, before, after});
  if (!refusal) return std::nullopt;
  // A ValidatingAdmissionPolicy without a reason of its own answers 422 Invalid with this message.
  Failure failure = forbidden(context.subject(), *refusal);
  failure.code = 422;
  failure.reason = "Invalid";
  failure.details["causes"] = json::array({{{"message", *refusal}}});
  return failure;
}

Outcome<json> Model::Impl::read_body(const Context& context) const {
  if (context.http.body.size() > kMaxBody) {
    return tl::unexpected(Failure{413, "RequestEntityTooLarge",
                                  fmt::format("Request entity too large: limit is {}", kMaxBody)});
  }
  const std::string type = context.http.content_type.substr(0, context.http.content_type.find(';'));
  std::optional<json> body;
  if (type.find("yaml") != std::string::npos) {
    body = parse_json(context.http.body);
    if (!body) body = parse_yaml(context.http.body);
  } else if (type.empty() || type.find("json") != std::string::npos) {
    body = parse_json(context.http.body);
  } else {
    return tl::unexpected(unsupported_media_type("application/json, application/yaml"));
  }
  if (!body) return tl::unexpected(bad_request("error decoding the body: it is neither valid JSON nor YAML"));
  return std::move(*body);
}

Outcome<json> Model::Impl::read_object(const Context& context) const {
  Outcome<json> body = read_body(context);
  if (!body) return body;
  if (!body->is_object()) return tl::unexpected(bad_request("the body of the request is not an object"));
  const std::string version = text_at(*body, {"apiVersion"});
  const std::string kind = text_at(*body, {"kind"});
  if (!version.empty() && version != context.type->api_version()) {
    return tl::unexpected(bad_request(
        fmt::format("the API version in the data ({}) does not match the expected API version ({})", version,
                    context.type->api_version())));
  }
  if (!kind.empty() && kind != context.type->kind) {
    return tl::unexpected(bad_request(fmt::format(
        "the kind in the data ({}) does not match the expected kind ({})", kind, context.type->kind)));
  }
  return body;
}

Outcome<kube::HttpResponse> Model::Impl::dispatch(Context& context) {
  const ParsedRequest& request = context.request;
  if (auto refused = authorize(context)) return tl::unexpected(std::move(*refused));
  const std::string& sub = request.subresource;
  if (sub == "scale" && context.type->scale) {
    if (request.verb == "get") return get_scale(context);
    if (request.verb == "update" || request.verb == "patch") return set_scale(context);
    return tl::unexpected(method_not_allowed());
  }
  if (request.verb == "create" && !sub.empty()) return create_subresource(context);
  const bool status = sub == "status" && context.type->has_status;
  const bool finalize = sub == "finalize" && context.type->plural == "namespaces";
  if (!sub.empty() && !status && !finalize) return tl::unexpected(path_not_found());
  if (request.verb == "get") return get(context);
  if (request.verb == "update") return update(context);
  if (request.verb == "patch") return patch(context);
  if (status || finalize) return tl::unexpected(method_not_allowed());
  if (request.verb == "list") return list(context);
  if (request.verb == "create" && request.name.empty()) return create(context);
  if (request.verb == "delete") return remove(context);
  if (request.verb == "deletecollection") return remove_collection(context);
  return tl::unexpected(method_not_allowed());
}

Model::Model(ModelOptions options) : impl_(std::make_unique<Impl>(options)) {}
Model::~Model() = default;

kube::HttpResponse Model::handle(const kube::HttpRequest& request, Timestamp now, const RequestInfo& info) {
  impl_->prepare(now);
  const ParsedRequest parsed = parse_request(request);
  if (!parsed.resource) {
    if (auto found = impl_->discovery(request, parsed)) return *found;
    if (auto found = impl_->openapi(request, parsed)) return *found;
  }
  Outcome<Context> context = impl_->route(request, now, info);
  if (!context) return to_response(context.error());
  Outcome<kube::HttpResponse> response = impl_->dispatch(*context);
  if (impl_->options.collect_inline) impl_->collect(now);
  return response ? std::move(*response) : to_response(response.error());
}

bool Model::is_watch(const kube::HttpRequest& request) {
  return parse_request(request).verb == "watch";
}

std::variant<WatchCursor, kube::HttpResponse> Model::open_watch(const kube::HttpRequest& request,
                                                                Timestamp now, const RequestInfo& info) {
  impl_->prepare(now);
  Outcome<Context> context = impl_->route(request, now, info);
  if (!context) return to_response(context.error());
  if (auto refused = impl_->authorize(*context)) return to_response(*refused);
  Outcome<WatchCursor> cursor = impl_->open_watch(*context);
  if (!cursor) return to_response(cursor.error());
  return std::move(*cursor);
}

WatchRead Model::read(Watch& watch, Timestamp now) {
  return impl_->read(watch, now);
}
bool Model::readable(const Watch& watch, Timestamp now) const {
  return impl_->readable(watch, now);
}

Timestamp Model::next_deadline(const Watch& watch) const {
  Timestamp next = watch.ends.value_or(Timestamp::max());
  if (watch.bookmarks) next = std::min(next, watch.next_bookmark);
  return next;
}

void Model::set_listener(std::function<void(std::string_view)> listener) {
  impl_->listener = std::move(listener);
}
std::uint64_t Model::revision() const {
  return impl_->revision;
}
void Model::set_deny_rules(std::vector<DenyRule> rules) {
  impl_->deny = std::move(rules);
}
void Model::set_admission(Admission admission) {
  impl_->admission = std::move(admission);
}
void Model::collect_garbage(Timestamp now) {
  impl_->collect(now);
}

void Model::compact() {
  impl_->compacted = impl_->revision;
  for (auto& [name, shelf] : impl_->shelves) {
    if (shelf.changes.empty()) continue;
    shelf.dropped = shelf.changes.back().revision;
    shelf.changes.clear();
  }
}

ObjectPtr Model::find(const kube::ResourceType& type, std::string_view ns, std::string_view name) const {
  const ResourcePtr info = impl_->registry.find(type.group, type.version, type.plural);
  return info ? impl_->find(*info, {std::string(ns), std::string(name)}) : nullptr;
}

std::vector<ObjectPtr> Model::list(const kube::ResourceType& type, std::string_view ns) const {
  std::vector<ObjectPtr> out;
  const ResourcePtr info = impl_->registry.find(type.group, type.version, type.plural);
  const Shelf* shelf = info ? impl_->find_shelf(*info) : nullptr;
  if (shelf == nullptr) return out;
  for (const auto& [key, object] : shelf->objects) {
    if (ns.empty() || key.ns == ns) out.push_back(object);
  }
  return out;
}

}  // namespace poolwarden::apiserver
