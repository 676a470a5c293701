// One HTTP/1.1 request and its answer: how a gateway with an HTTP API is spoken to.
//
// Promises: exchange() returns by its deadline, with an answer or an error. An error names the URL and what
// is wrong with it; how to mend it is for the caller to add, which knows what should listen there. Every
// status is an answer, a redirect too: none is followed. An answer longer than kMaxAnswerBytes, or without an
// end, is an error, not memory. SIGPIPE is never raised. Whatever listens there: nothing it sends can make
// this hang, crash or grow. Each exchange makes a connection, so a restarted gateway is met at its new
// process.
//
// Plain HTTP: meant for this machine's loopback and the cluster's own network. Owns nothing; any thread. It
// blocks the thread, for a millisecond as a rule.
#pragma once

#include "kube/result.h"
#include "kube/time.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include <tl/expected.hpp>

namespace poolwarden::gateway {

struct HttpTarget {
  static constexpr std::size_t kMaxAnswerBytes = 16u << 20;

  std::string host;  // an IP address without brackets, or a DNS name
  std::uint16_t port = 80;
  std::string prefix = {};  // before each path: "" or "/v1"
  std::string key = {};     // sent as `Authorization: Bearer <key>`; empty: none. Never in a message

  std::string to_string() const;  // "http://[fd00::1]:9901/v1"
};

// "http://127.0.0.1:9901", "http://router:8080/v1". The error is a sentence for the person who wrote the
// flag.
tl::expected<HttpTarget, std::string> parse_http_target(const std::string& url);

enum class HttpMethod : std::uint8_t { kGet, kPost, kPut, kDelete };
std::string_view to_string(HttpMethod method);

struct HttpAnswer {
  int status = 0;
  std::string location = {};  // of a redirect
  std::string body = {};

  bool ok() const { return status >= 200 && status < 300; }
  // What it says, for a message: the status and the first line of the body, printable and short.
  std::string told() const;
};

// `path` begins with '/' and has its query; it is sent as it is, and refused if it could be more than one
// line. A `body` that is not empty is sent as application/json.
kube::Result<HttpAnswer> exchange(const HttpTarget& target, HttpMethod method, const std::string& path,
                                  const std::string& body, kube::TimePoint deadline);

}  // namespace poolwarden::gateway
