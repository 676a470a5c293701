// Answers of the API server, of what stands in front of it, and of the network, as Errors.
// https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/status/
#include "kube/status.h"

#include "base/json_read.h"
#include "base/text.h"
#include "kube/client.h"
#include "kube/protobuf_frame.h"
#include "kube/retry_after.h"
#include "kube/watch_decoder.h"

#include <algorithm>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace poolwarden::kube {
namespace {

constexpr std::size_t kMaxQuoted = 400;  // of a foreign text, in a message
// A document takes many times its text's memory, so that a long one is not even parsed.
constexpr std::size_t kMaxStatus = 1u << 20;

std::optional<Status> parse_protobuf_status(std::string_view body) {
  const auto envelope = internal::open_envelope(body);
  if (!envelope || envelope->kind != "Status") {
    return std::nullopt;
  }
  return internal::read_status_message(envelope->message);
}

std::optional<Status> parse_status(std::string_view body, Encoding encoding) {
  if (body.size() > kMaxStatus) {
    return std::nullopt;
  }
  if (encoding == Encoding::kProtobuf) {
    return parse_protobuf_status(body);
  }
  const auto json = nlohmann::json::parse(body, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object() || base::string_at(json, "kind") != "Status") {
    return std::nullopt;
  }
  Status status;
  if (const auto code = json.find("code"); code != json.end() && code->is_number_integer()) {
    status.code = code->get<int>();
  }
  status.reason = base::string_at(json, "reason");
  status.message = base::string_at(json, "message");
  const auto details = json.find("details");
  if (details == json.end() || !details->is_object()) {
    return status;
  }
  if (const auto after = details->find("retryAfterSeconds");
      after != details->end() && after->is_number_unsigned()) {
    status.retry_after = bounded_retry_after(after->get<std::uint64_t>());
  }
  const auto causes = details->find("causes");
  if (causes != details->end() && causes->is_array()) {
    for (const auto& cause : *causes) {
      if (cause.is_object()) {
        status.causes.push_back({base::string_at(cause, "reason"), base::string_at(cause, "message"),
                                 base::string_at(cause, "field")});
      }
    }
  }
  return status;
}

// Newer servers say it in a cause's reason, 1.17 to 1.18.5 in its message, older ones in the message only
// (client-go, tools/cache/reflector.go, isTooLargeResourceVersionError).
bool is_too_large_version(const Status& status) {
  const auto says_so = [](const StatusCause& cause) {
    return cause.reason == "ResourceVersionTooLarge" || cause.message == "Too large resource version";
  };
  return std::any_of(status.causes.begin(), status.causes.end(), says_so) ||
         status.message.find("Too large resource version") != std::string::npos;
}

// A merge patch that names the UID it was decided on meets a recreated namesake: the UID cannot be changed,
// says the API server (an update with another UID, or any write with another version, it answers with 409).
bool is_other_identity(const Status& status) {
  return std::any_of(status.causes.begin(), status.causes.end(),
                     [](const StatusCause& cause) { return cause.field == "metadata.uid"; });
}

ErrorClass class_of(const Status& status) {
  if (status.code == 410 || status.reason == "Expired" || status.reason == "Gone" ||
      is_too_large_version(status)) {
    return ErrorClass::kRelist;
  }
  switch (status.code) {
    case 401:
    case 403:
      return ErrorClass::kForbidden;
    case 404:
      return ErrorClass::kNotFound;
    case 409:
      return ErrorClass::kConflict;
    case 422:
      return is_other_identity(status) ? ErrorClass::kConflict : ErrorClass::kTerminal;
    case 408:
    case 429:
      return ErrorClass::kRetry;
    default:
      return status.code >= 500 || status.code == 0 ? ErrorClass::kRetry : ErrorClass::kTerminal;
  }
}

// The verb as RBAC rules name it.
std::string_view rbac_verb(Verb verb) {
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
      return "patch";
    case Verb::kDelete:
      return "delete";
  }
  return "";
}

std::string qualified(const ResourceType& type) {
  return type.group.empty() ? std::string(type.plural) : fmt::format("{}.{}", type.plural, type.group);
}

// What a person can do about it, as far as the answer tells; empty if there is nothing to add.
std::string fix_for(const RequestInfo& call, const Status& status) {
  const auto says = [&](std::string_view text) { return status.message.find(text) != std::string::npos; };
  switch (status.code) {
    case 401:
      return "; the API server does not accept the credential: check the token or client certificate";
    case 403: {
      // A refusal by an admission plugin (quota, a namespace being deleted) is no matter of RBAC.
      if (!says("cannot ")) {
        return {};
      }
      const std::string sub = call.subresource.empty() ? "" : "/" + call.subresource;
      const std::string where =
          call.ns.empty() ? (call.type.namespaced ? " in all namespaces" : "") : " in namespace " + call.ns;
      return fmt::format("; needs verb {} on {}{}{} (RBAC)", rbac_verb(call.verb), qualified(call.type), sub,
                         where);
    }
    case 404:
      if (call.name.empty() && !call.type.group.empty() && call.verb != Verb::kCreate) {
        return fmt::format(
            "; the API server does not serve {} in {}: is its CustomResourceDefinition installed?",
            call.type.plural, call.type.api_version());
      }
      return {};
    default:
      return {};
  }
}

Error error_of(const RequestInfo& call, Status status) {
  std::string message = describe(call) + ": ";
  if (status.message.empty()) {
    message += fmt::format("the API server answered {}{}{}", status.code, status.reason.empty() ? "" : " ",
                           status.reason);
  } else {
    message += status.message;
  }
  for (const StatusCause& cause : status.causes) {
    if (!cause.message.empty() && status.message.find(cause.message) == std::string::npos) {
      message += fmt::format("; {}{}{}", cause.field, cause.field.empty() ? "" : ": ", cause.message);
    }
    if (!cause.reason.empty()) {
      message += fmt::format(" ({})", cause.reason);
    }
  }
  message += fix_for(call, status);
  const ErrorClass cls = class_of(status);
  return {cls, status.code, std::move(status.reason), std::move(message), status.retry_after};
}

// The reasons the API server itself would give (apimachinery, pkg/apis/meta/v1/types.go).
std::string_view reason_of(int http_status) {
  switch (http_status) {
    case 400:
      return "BadRequest";
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "NotFound";
    case 405:
      return "MethodNotAllowed";
    case 409:
      return "Conflict";
    case 410:
      return "Gone";
    case 413:
      return "RequestEntityTooLarge";
    case 415:
      return "UnsupportedMediaType";
    case 422:
      return "Invalid";
    case 429:
      return "TooManyRequests";
    case 500:
      return "InternalError";
    case 503:
      return "ServiceUnavailable";
    case 504:
      return "Timeout";
    default:
      return "Unknown";
  }
}

// The beginning of a text that is not from Kubernetes: a page of a proxy, say, on one line.
std::string excerpt(std::string_view text) {
  std::string out(base::cut(text, kMaxQuoted));
  std::replace_if(
      out.begin(), out.end(), [](char c) { return c == '\n' || c == '\r' || c == '\t'; }, ' ');
  out.erase(out.find_last_not_of(' ') + 1);
  return std::string(base::cut(base::printable(out), kMaxQuoted));
}

std::string foreign_message(const HttpResponse& answer) {
  if (answer.status >= 300 && answer.status < 400) {
    return fmt::format("redirected with {}: the server address must be the API server's own, not a proxy's",
                       answer.status);
  }
  const std::string text = excerpt(answer.body);
  if (text.empty()) {
    return fmt::format("answered {} without a word", answer.status);
  }
  if (answer.content_type.find("html") != std::string::npos) {
    return fmt::format("answered {} with an HTML page, so not by the API server but by a proxy before it: {}",
                       answer.status, text);
  }
  return fmt::format("answered {}: {}", answer.status, text);
}

}  // namespace

Error to_error(const RequestInfo& call, const TransportError& failure) {
  const auto make = [&](ErrorClass cls, std::string_view reason) {
    return Error{cls, 0, std::string(reason), describe(call) + ": " + failure.message, std::nullopt};
  };
  switch (failure.kind) {
    case TransportFailure::kConnect:
      return make(ErrorClass::kRetry, "ConnectFailed");
    case TransportFailure::kNotSent:
      return make(ErrorClass::kRetry, "NotSent");
    case TransportFailure::kTimeout:
      return make(ErrorClass::kRetry, "DeadlineExceeded");
    case TransportFailure::kCut:
      return make(ErrorClass::kRetry, "ConnectionCut");
    // Only a person can mend these two, though a rotated certificate or token may do so at any time.
    case TransportFailure::kTls:
      return make(ErrorClass::kForbidden, "TlsFailed");
    case TransportFailure::kCredentials:
      return make(ErrorClass::kForbidden, "NoCredential");
    case TransportFailure::kTooLarge:
      return make(ErrorClass::kTerminal, kAnswerTooLarge);
    case TransportFailure::kCancelled:
      return make(ErrorClass::kShutdown, "Cancelled");
  }
  return make(ErrorClass::kRetry, "Unknown");
}

Error to_error(const RequestInfo& call, const HttpResponse& answer) {
  Status status;
  if (auto parsed = parse_status(answer.body, encoding_of(answer.content_type))) {
    status = std::move(*parsed);
  } else {
    status.reason = reason_of(answer.status);
    status.message = foreign_message(answer);
  }
  status.code = answer.status;  // what came on the wire counts, should the two differ
  if (answer.retry_after) {
    status.retry_after = *answer.retry_after;
  }
  return error_of(call, std::move(status));
}

Error status_error(const RequestInfo& call, const WatchFailure& failure) {
  return error_of(call, Status{failure.code, failure.reason, failure.message, {}, failure.retry_after});
}

}  // namespace poolwarden::kube
