#include "support/apiserver/failure.h"

#include <fmt/format.h>

namespace poolwarden::apiserver {
namespace {

using nlohmann::json;

std::string qualified(const Subject& subject) {
  return subject.group.empty() ? std::string(subject.resource)
                               : fmt::format("{}.{}", subject.resource, subject.group);
}

json details_of(const Subject& subject, std::string_view kind) {
  json details = json::object();
  if (!subject.name.empty()) details["name"] = subject.name;
  if (!subject.group.empty()) details["group"] = subject.group;
  details["kind"] = kind;
  return details;
}

}  // namespace

FieldProblem invalid_value(std::string field, const json& value, std::string_view why) {
  std::string message = fmt::format("Invalid value: {}: {}", value.dump(), why);
  return {"FieldValueInvalid", std::move(field), std::move(message)};
}

FieldProblem required_value(std::string field, std::string_view why) {
  return {"FieldValueRequired", std::move(field),
          why.empty() ? std::string("Required value") : fmt::format("Required value: {}", why)};
}

FieldProblem forbidden_value(std::string field, std::string_view why) {
  return {"FieldValueForbidden", std::move(field), fmt::format("Forbidden: {}", why)};
}

Failure bad_request(std::string message) {
  return {400, "BadRequest", std::move(message)};
}

Failure not_found(const Subject& subject) {
  return {404, "NotFound", fmt::format("{} \"{}\" not found", qualified(subject), subject.name),
          details_of(subject, subject.resource)};
}

Failure path_not_found() {
  return {404, "NotFound", "404 page not found\n", json::object(), true};
}

Failure method_not_allowed() {
  return {405, "MethodNotAllowed", "the server does not allow this method on the requested resource"};
}

Failure unsupported_media_type(std::string_view accepted) {
  return {415, "UnsupportedMediaType",
          fmt::format("the body of the request was in an unknown format - accepted media types include: {}",
                      accepted)};
}

Failure already_exists(const Subject& subject) {
  return {409, "AlreadyExists", fmt::format("{} \"{}\" already exists", qualified(subject), subject.name),
          details_of(subject, subject.resource)};
}

Failure conflict(const Subject& subject, std::string_view why) {
  return {
      409, "Conflict",
      fmt::format("Operation cannot be fulfilled on {} \"{}\": {}", qualified(subject), subject.name, why),
      details_of(subject, subject.resource)};
}

Failure stale_object(const Subject& subject) {
  return conflict(
      subject, "the object has been modified; please apply your changes to the latest version and try again");
}

Failure uid_conflict(const Subject& subject, std::string_view ns, std::string_view wanted,
                     std::string_view found) {
  return conflict(subject, fmt::format("StorageError: invalid object, Code: 4, Key: /registry/{}/{}/{}, "
                                       "ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: UID in "
                                       "precondition: {}, UID in object meta: {}",
                                       subject.resource, ns, subject.name, wanted, found));
}

Failure version_conflict(const Subject& subject, std::string_view ns, std::string_view wanted,
                         std::string_view found) {
  return conflict(subject,
                  fmt::format("StorageError: invalid object, Code: 4, Key: /registry/{}/{}/{}, "
                              "ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: "
                              "ResourceVersion in precondition: {}, ResourceVersion in object meta: {}",
                              subject.resource, ns, subject.name, wanted, found));
}

Failure invalid(const Subject& subject, const std::vector<FieldProblem>& problems) {
  std::string list;
  json causes = json::array();
  for (const FieldProblem& problem : problems) {
    if (!list.empty()) list += ", ";
    list += fmt::format("{}: {}", problem.field, problem.message);
    causes.push_back({{"reason", problem.reason}, {"message", problem.message}, {"field", problem.field}});
  }
  if (problems.size() > 1) list = "[" + list + "]";
  std::string kind(subject.kind);
  if (!subject.group.empty()) kind += fmt::format(".{}", subject.group);
  Failure failure{422, "Invalid", fmt::format("{} \"{}\" is invalid: {}", kind, subject.name, list),
                  details_of(subject, subject.kind)};
  failure.details["causes"] = std::move(causes);
  return failure;
}

Failure forbidden(const Subject& subject, std::string_view why) {
  // Without a name the real server says `pods is forbidden: ...`.
  std::string what =
      subject.name.empty() ? qualified(subject) : fmt::format("{} \"{}\"", qualified(subject), subject.name);
  return {403, "Forbidden", fmt::format("{} is forbidden: {}", what, why),
          details_of(subject, subject.resource)};
}

Failure expired(std::string message) {
  return {410, "Expired", std::move(message)};
}

Failure too_old(std::uint64_t wanted, std::uint64_t oldest) {
  return expired(fmt::format("too old resource version: {} ({})", wanted, oldest));
}

Failure too_large(std::uint64_t wanted, std::uint64_t current) {
  // apimachinery/pkg/api/errors NewTimeoutError as used by storage.NewTooLargeResourceVersionError.
  return {504, "Timeout", fmt::format("Too large resource version: {}, current: {}", wanted, current),
          json{{"causes", json::array({{{"reason", "ResourceVersionTooLarge"},
                                        {"message", "Too large resource version"}}})},
               {"retryAfterSeconds", 1}}};
}

Failure too_many_requests(std::string message, int retry_after_seconds) {
  return {429, "TooManyRequests", std::move(message), json{{"retryAfterSeconds", retry_after_seconds}}};
}

json status_object(const Failure& failure) {
  json status = {{"kind", "Status"},    {"apiVersion", "v1"},         {"metadata", json::object()},
                 {"status", "Failure"}, {"message", failure.message}, {"reason", failure.reason},
                 {"code", failure.code}};
  if (!failure.details.empty()) status["details"] = failure.details;
  return status;
}

kube::HttpResponse json_response(int status, std::string body) {
  kube::HttpResponse response;
  response.status = status;
  response.content_type = "application/json";
  response.body = std::move(body);
  return response;
}

kube::HttpResponse to_response(const Failure& failure) {
  if (failure.plain) {
    kube::HttpResponse response;
    response.status = failure.code;
    response.content_type = "text/plain; charset=utf-8";
    response.body = failure.message;
    return response;
  }
  kube::HttpResponse response = json_response(failure.code, status_object(failure).dump() + "\n");
  if (auto found = failure.details.find("retryAfterSeconds"); found != failure.details.end()) {
    response.retry_after = std::chrono::seconds(found->get<std::int64_t>());
  }
  return response;
}

}  // namespace poolwarden::apiserver
