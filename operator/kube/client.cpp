#include "kube/client.h"

#include <utility>

#include <fmt/format.h>

namespace poolwarden::kube {

std::string_view to_string(Verb verb) {
  switch (verb) {
    case Verb::kGet:
      return "get";
    case Verb::kList:
      return "list";
    case Verb::kWatch:
      return "watch";
    case Verb::kCreate:
      return "create";
    case Verb::kUpdate:
      return "update";
    case Verb::kMergePatch:
      return "merge-patch";
    case Verb::kDelete:
      return "delete";
  }
  return "call";
}

namespace {

constexpr std::string_view kFieldManager = "poolwarden";
constexpr std::size_t kMaxObject = 16u << 20;  // as long as a line of a watch; etcd holds 1.5 MiB

HttpMethod method_of(Verb verb) {
  switch (verb) {
    case Verb::kCreate:
      return HttpMethod::kPost;
    case Verb::kUpdate:
      return HttpMethod::kPut;
    case Verb::kMergePatch:
      return HttpMethod::kPatch;
    case Verb::kDelete:
      return HttpMethod::kDelete;
    case Verb::kGet:
    case Verb::kList:
    case Verb::kWatch:
      break;
  }
  return HttpMethod::kGet;
}

std::string_view content_type_of(Verb verb) {
  return verb == Verb::kMergePatch ? "application/merge-patch+json" : "application/json";
}

// Appends "?key=value" or "&key=value", percent-encoded; nothing for an empty value.
class Query {
 public:
  explicit Query(std::string& target) : target_(target) {}

  void add(std::string_view key, std::string_view value) {
    if (value.empty()) {
      return;
    }
    target_ += first_ ? '?' : '&';
    first_ = false;
    target_.append(key).append("=");
    append_percent_encoded(target_, value);
  }

 private:
  std::string& target_;
  bool first_ = true;
};

void add_read_options(const Call& call, Query& query) {
  query.add("labelSelector", call.label_selector);
  query.add("fieldSelector", call.field_selector);
  if (call.verb == Verb::kWatch) {
    query.add("watch", "true");
    query.add("allowWatchBookmarks", "true");
    query.add("resourceVersion", call.resource_version);
    if (call.watch_timeout.count() > 0) {
      query.add("timeoutSeconds", std::to_string(call.watch_timeout.count()));
    }
    return;
  }
  if (call.limit > 0) {
    query.add("limit", std::to_string(call.limit));
  }
  query.add("continue", call.continue_token);
  if (call.continue_token.empty()) {
    // A continue token already fixes the version; giving both is refused with 400.
    query.add("resourceVersion", call.resource_version);
  }
}

bool is_read(Verb verb) {
  return verb == Verb::kGet || verb == Verb::kList || verb == Verb::kWatch;
}

bool is_html(std::string_view content_type) {
  return content_type.find("html") != std::string_view::npos;
}

Error html_error(const RequestInfo& call, const HttpResponse& answer) {
  return {
      ErrorClass::kTerminal, answer.status, "NotKubernetes",
      fmt::format("{}: the answer is {} and not a Kubernetes object. A proxy or a login page seems to answer "
                  "for the API server: check the server address",
                  describe(call), answer.content_type),
      std::nullopt};
}

// Turns a transport's stream into a watch.
class WatchAdapter final : public StreamHandler {
 public:
  WatchAdapter(RequestInfo call, std::shared_ptr<WatchHandler> handler)
      : call_(std::move(call)), handler_(std::move(handler)) {}

  void on_head(const HttpResponse& head) override {
    if (head.status < 200 || head.status >= 300) {
      refused_ = to_error(call_, head);
    } else if (is_html(head.content_type)) {
      refused_ = html_error(call_, head);
    } else {
      handler_->on_open(encoding_of(head.content_type));
    }
  }

  void on_data(std::string_view chunk) override {
    if (!refused_) {
      handler_->on_data(chunk);
    }
  }

  void on_end(std::optional<TransportError> error) override {
    if (refused_) {
      handler_->on_end(std::move(refused_));
    } else if (error) {
      handler_->on_end(to_error(call_, *error));
    } else {
      handler_->on_end(std::nullopt);
    }
  }

 private:
  const RequestInfo call_;
  const std::shared_ptr<WatchHandler> handler_;
  std::optional<Error> refused_;
};

Call object_call(Verb verb, const ResourceType& type, std::string ns, std::string name, std::string body,
                 std::string subresource) {
  Call call;
  call.verb = verb;
  call.type = type;
  call.ns = std::move(ns);
  call.name = std::move(name);
  call.body = std::move(body);
  call.subresource = std::move(subresource);
  return call;
}

}  // namespace

Call get(const ResourceType& type, std::string ns, std::string name) {
  return object_call(Verb::kGet, type, std::move(ns), std::move(name), {}, {});
}

Call create(const ResourceType& type, std::string ns, std::string body) {
  return object_call(Verb::kCreate, type, std::move(ns), {}, std::move(body), {});
}

Call update(const ResourceType& type, std::string ns, std::string name, std::string body,
            std::string subresource) {
  return object_call(Verb::kUpdate, type, std::move(ns), std::move(name), std::move(body),
                     std::move(subresource));
}

Call merge_patch(const ResourceType& type, std::string ns, std::string name, std::string body,
                 std::string subresource) {
  return object_call(Verb::kMergePatch, type, std::move(ns), std::move(name), std::move(body),
                     std::move(subresource));
}

Call remove(const ResourceType& type, std::string ns, std::string name, const DeletePreconditions& only_if) {
  // Built by hand: UIDs and versions are plain tokens that need no escaping.
  std::string conditions;
  if (!only_if.resource_version.empty()) {
    conditions = fmt::format(R"("resourceVersion":"{}")", only_if.resource_version);
  }
  if (!only_if.uid.empty()) {
    conditions += fmt::format(R"({}"uid":"{}")", conditions.empty() ? "" : ",", only_if.uid);
  }
  std::string body = R"({"apiVersion":"v1","kind":"DeleteOptions")";
  if (!conditions.empty()) {
    body += fmt::format(R"(,"preconditions":{{{}}})", conditions);
  }
  body += '}';
  Call call = object_call(Verb::kDelete, type, std::move(ns), std::move(name), std::move(body), {});
  call.guarded = !conditions.empty();
  return call;
}

Call guarded(Call write) {
  write.guarded = true;
  return write;
}

std::string describe(const RequestInfo& call) {
  std::string out = fmt::format("{} {}", to_string(call.verb), call.type.plural);
  if (!call.name.empty()) {
    out += ' ';
    if (!call.ns.empty()) {
      out.append(call.ns).append("/");
    }
    out += call.name;
    if (!call.subresource.empty()) {
      out.append("/").append(call.subresource);
    }
  } else if (!call.ns.empty()) {
    out.append(" in namespace ").append(call.ns);
  } else if (call.type.namespaced) {
    out += " in all namespaces";
  }
  return out;
}

HttpRequest to_http(Call call, Encoding preferred) {
  HttpRequest request;
  request.accept = accept_header(preferred);
  request.method = method_of(call.verb);
  request.target = resource_path(call.type, call.ns, call.name, call.subresource);
  request.deadline = call.deadline;
  request.lane = call.lane;
  request.safe_to_repeat = is_read(call.verb) || call.guarded;
  Query query(request.target);
  if (call.verb == Verb::kList || call.verb == Verb::kWatch) {
    add_read_options(call, query);
  } else if (!is_read(call.verb) && call.verb != Verb::kDelete) {
    query.add("fieldManager", kFieldManager);
  }
  if (call.verb != Verb::kList) {
    request.max_response_bytes = kMaxObject;
  }
  if (!call.body.empty()) {
    request.body = std::move(call.body);
    request.content_type = content_type_of(call.verb);
  }
  return request;
}

void Client::send(Call call, Encoding preferred, std::function<void(Result<Body>)> done) {
  RequestInfo info = call;  // what errors name; the body goes to the transport
  transport_.send(
      to_http(std::move(call), preferred),
      [call = std::move(info), done = std::move(done)](tl::expected<HttpResponse, TransportError> answer) {
        if (!answer) {
          done(tl::unexpected(to_error(call, answer.error())));
        } else if (answer->status < 200 || answer->status >= 300) {
          done(tl::unexpected(to_error(call, *answer)));
        } else if (is_html(answer->content_type)) {
          done(tl::unexpected(html_error(call, *answer)));
        } else {
          const Encoding encoding = encoding_of(answer->content_type);
          done(Body{std::move(answer->body), encoding});
        }
      });
}

void Client::send(Call call, std::function<void(Result<std::string>)> done) {
  std::string what = describe(call);
  send(std::move(call), Encoding::kJson, [what = std::move(what), done = std::move(done)](Result<Body> body) {
    if (!body) {
      done(tl::unexpected(std::move(body.error())));
    } else if (body->encoding != Encoding::kJson) {
      done(tl::unexpected(Error{ErrorClass::kTerminal, 200, "Unreadable",
                                what + ": the answer is protobuf, though JSON was asked for", std::nullopt}));
    } else {
      done(std::move(body->text));
    }
  });
}

std::unique_ptr<StreamHandle> Client::watch(const Call& call, std::chrono::milliseconds idle_timeout,
                                            std::shared_ptr<WatchHandler> handler, Encoding preferred) {
  return transport_.stream(to_http(call, preferred), idle_timeout,
                           std::make_shared<WatchAdapter>(call, std::move(handler)));
}

}  // namespace poolwarden::kube
