// What every call to Kubernetes returns: a value, or an Error that says what the caller should do next.
//
// Errors are classed by the caller's next step and not by their cause, because that is the one thing a
// control loop must get right. "Not there" is never an error for callers that can live with absence:
// they test is_not_found() and carry on. Values only; safe to pass between threads.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include <tl/expected.hpp>

namespace poolwarden::kube {

enum class ErrorClass {
  kRetry,     // transient: connection refused or cut, time-out, 429, 5xx. Try again after a delay.
  kRelist,    // the resourceVersion is gone or too new: 410, "too large resource version". List again.
  kConflict,  // 409, or 422 about the UID: what we read is no longer what is there. Read again, decide again.
  kForbidden,  // 401 and 403: a person must change credentials or RBAC. Try again slowly.
  kNotFound,   // 404.
  kTerminal,   // the request itself is wrong (400, 422, unreadable answer). The same bytes never succeed.
  kShutdown,   // cancelled by ourselves. Never logged as an error.
};

std::string_view to_string(ErrorClass cls);

// The reason of an answer that is longer than the transport takes (transport.h).
inline constexpr std::string_view kAnswerTooLarge = "AnswerTooLarge";

struct Error {
  ErrorClass cls = ErrorClass::kTerminal;
  int http_status = 0;  // 0 when no answer came
  std::string reason;   // the API's machine-readable reason ("AlreadyExists", "Expired"); else ours
  std::string message;  // for a person: what was done, to what, what went wrong, and the fix if known
  std::optional<std::chrono::milliseconds> retry_after;  // the server asked for this delay

  bool is_not_found() const { return cls == ErrorClass::kNotFound; }
  // Not allowed, or no such resource here: the same again until a person acts.
  bool is_out_of_reach() const { return cls == ErrorClass::kForbidden || is_not_found(); }
  bool already_exists() const { return cls == ErrorClass::kConflict && reason == "AlreadyExists"; }
};

template <class T>
using Result = tl::expected<T, Error>;

}  // namespace poolwarden::kube
