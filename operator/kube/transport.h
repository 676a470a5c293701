// The one seam between this program and the API server: send a request, stream an answer, cancel.
//
// The real implementation (cpprest_transport.h) speaks HTTP/1.1 over TLS with cpprestsdk; the simulator in
// tests/support answers from memory on a virtual clock. Everything above this line is the same in both.
//
// Threads: send() and stream() may be called from any thread and never block on the network. Callbacks
// run on a thread of the transport, one at a time for one request or stream; they must be short. Every
// request gets exactly one callback, every stream exactly one on_end(), also after cancel and shutdown.
#pragma once

#include "kube/time.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include <tl/expected.hpp>

namespace poolwarden::kube {

enum class HttpMethod { kGet, kPost, kPut, kPatch, kDelete };

// What a unary call waits for when connections are short, the most urgent first. A call never waits for one
// of a lane below its own, if connections are reserved for its lane (cpprest_transport.h).
enum class CallLane : std::uint8_t {
  kLease,    // leader election
  kUrgent,   // writes that must not wait
  kAwaited,  // what other work waits for, such as pages of lists
  kRest,
};
inline constexpr std::size_t kCallLanes = 4;

struct HttpRequest {
  HttpMethod method = HttpMethod::kGet;
  std::string target;  // path and query, already percent-encoded
  std::string body;
  std::string content_type;  // empty without a body
  std::string accept = "application/json";
  // The request may be sent a second time when its connection broke before any byte of the answer. True for
  // reads and for writes with preconditions. Other writes are never repeated, as the first may have arrived.
  bool safe_to_repeat = false;
  CallLane lane = CallLane::kRest;  // of a unary call
  // Whole call, connection included; of a stream, until the head. Of zero nothing is sent.
  std::chrono::milliseconds deadline{10'000};
  std::size_t max_response_bytes = 64u << 20;  // a longer unary answer is an error, not memory
};

struct HttpResponse {
  int status = 0;
  std::optional<std::chrono::seconds> retry_after;  // what the Retry-After header asks for
  std::string content_type;
  std::string body;
  std::optional<WallTime> date = {};  // the Date header: when the server made the answer, to the second
};

enum class TransportFailure {
  kConnect,      // refused, unreachable, name not resolved: no byte of the request was sent
  kNotSent,      // the deadline passed while the call waited for its turn: no byte was sent
  kTls,          // the peer's certificate is not trusted, or the handshake failed
  kTimeout,      // the deadline of a call, or the idle limit of a stream
  kCut,          // the connection ended in the middle
  kTooLarge,     // the answer is longer than max_response_bytes
  kCredentials,  // no usable credential: an exec plugin failed, a token file is missing
  kCancelled,    // by us
};

struct TransportError {
  TransportFailure kind = TransportFailure::kCut;
  std::string message;  // for a person
};

// Receives one streamed answer. on_data only follows an on_head with a 2xx status. The (bounded) body of any
// other answer arrives whole in on_head's `head.body`. on_end is last. No error means a clean EOF.
class StreamHandler {
 public:
  virtual ~StreamHandler() = default;
  virtual void on_head(const HttpResponse& head) = 0;
  virtual void on_data(std::string_view chunk) = 0;
  virtual void on_end(std::optional<TransportError> error) = 0;
};

// A running stream. Destroying it cancels the stream (on_end still comes, with kCancelled).
class StreamHandle {
 public:
  virtual ~StreamHandle() = default;
};

class Transport {
 public:
  using Callback = std::function<void(tl::expected<HttpResponse, TransportError>)>;

  virtual ~Transport() = default;
  virtual void send(HttpRequest request, Callback done) = 0;
  // `idle_timeout`: silence on the stream longer than this ends it with kTimeout.
  virtual std::unique_ptr<StreamHandle> stream(HttpRequest request, std::chrono::milliseconds idle_timeout,
                                               std::shared_ptr<StreamHandler> handler) = 0;
};

}  // namespace poolwarden::kube
