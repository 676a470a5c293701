// metav1.Status, as far as it decides what a caller does next: read from JSON or protobuf, made into an
// Error. https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/status/
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

namespace poolwarden::kube {

struct StatusCause {
  std::string reason;
  std::string message;
  std::string field;
};

struct Status {
  int code = 0;
  std::string reason;
  std::string message;
  std::vector<StatusCause> causes;
  std::optional<std::chrono::milliseconds> retry_after;
};

}  // namespace poolwarden::kube
