// Refusals as the API server words them: metav1.Status. A Failure travels up to the one place that turns it
// into an answer. https://kubernetes.io/docs/reference/generated/kubernetes-api/v1.31/#status-v1-meta
#pragma once

#include "kube/transport.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>
#include <tl/expected.hpp>

namespace poolwarden::apiserver {

struct Failure {
  int code = 500;
  std::string reason;
  std::string message;
  nlohmann::json details = nlohmann::json::object();
  bool plain = false;  // the answer is the bare text, as for paths nobody serves
};

template <class T>
using Outcome = tl::expected<T, Failure>;

// What a refusal speaks about.
struct Subject {
  std::string_view group;
  std::string_view resource;  // plural
  std::string_view kind;
  std::string_view name;
};

struct FieldProblem {
  std::string reason;  // FieldValueInvalid, FieldValueRequired, ...
  std::string field;   // spec.replicas
  std::string message;
};
FieldProblem invalid_value(std::string field, const nlohmann::json& value, std::string_view why);
FieldProblem required_value(std::string field, std::string_view why = {});
FieldProblem forbidden_value(std::string field, std::string_view why);

Failure bad_request(std::string message);
Failure not_found(const Subject& subject);
Failure path_not_found();
Failure method_not_allowed();
Failure unsupported_media_type(std::string_view accepted);
Failure already_exists(const Subject& subject);
Failure conflict(const Subject& subject, std::string_view why);
Failure stale_object(const Subject& subject);
Failure uid_conflict(const Subject& subject, std::string_view ns, std::string_view wanted,
                     std::string_view found);
Failure version_conflict(const Subject& subject, std::string_view ns, std::string_view wanted,
                         std::string_view found);
Failure invalid(const Subject& subject, const std::vector<FieldProblem>& problems);
Failure forbidden(const Subject& subject, std::string_view why);
Failure expired(std::string message);
Failure too_old(std::uint64_t wanted, std::uint64_t oldest);
Failure too_large(std::uint64_t wanted, std::uint64_t current);
Failure too_many_requests(std::string message, int retry_after_seconds);

nlohmann::json status_object(const Failure& failure);
kube::HttpResponse to_response(const Failure& failure);
kube::HttpResponse json_response(int status, std::string body);

}  // namespace poolwarden::apiserver
