#include "kube/result.h"

namespace poolwarden::kube {

std::string_view to_string(ErrorClass cls) {
  switch (cls) {
    case ErrorClass::kRetry:
      return "retry";
    case ErrorClass::kRelist:
      return "relist";
    case ErrorClass::kConflict:
      return "conflict";
    case ErrorClass::kForbidden:
      return "forbidden";
    case ErrorClass::kNotFound:
      return "not-found";
    case ErrorClass::kTerminal:
      return "terminal";
    case ErrorClass::kShutdown:
      return "shutdown";
  }
  return "unknown";
}

}  // namespace poolwarden::kube
