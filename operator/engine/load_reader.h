// Asks the engines of a pod, over HTTP, how busy they are.
//
// A pod is asked at all its sources, which are ports, at once. Its load is that of all sources together. If
// one of them cannot be read the load is unknown, with the address and the reason for a person. A port that
// refuses the connection beside others that answer has nothing in flight: nobody listens there. A pod may
// refuse, redirect, never answer, dribble, send gigabytes or send nonsense. A read still ends by its
// deadline, and holds no more than some 100 KiB for each port (in TLS 200 KiB, and what its bundle takes).
// Answers are read as they arrive (load.h), and an answer that is not complete is not believed. A redirect is
// not followed, and no answer is quoted. What a namespace's engines answer is read at no more than a rate
// (byte_budgets.h), so that others are read too.
//
// Of an engine behind TLS the certificate is checked before anything is said to it, the key least of all
// (engine_tls.h). The handshake counts against the deadline, and its bytes against the limits. A key is never
// quoted, and a key that no header may hold is not sent.
//
// Who can write a pod's status chooses the address. Addresses that only this machine or its link has are
// refused: loopback, link-local (with the metadata services of clouds), multicast, unspecified.
//
// Each read makes connections of its own and closes them. A pod is asked about once a second and only while
// it drains. An engine that is told to stop should not have to wait for our idle connections. This uses
// Boost.Beast and not kube::Transport, because that trusts its server with the size of heads and chunks
// (cpprest_transport.h) and cannot speak to IPv6 addresses.
//
// Threads: read() may be called from any and never blocks. Callbacks are made on the reader's one thread, one
// after the other; they must be short and must not throw. Destroying the reader cancels what is under way and
// returns when every callback has been made. Do that on a thread of your own, never in a callback.
#pragma once

#include "api/inference_pool.h"
#include "base/shared.h"
#include "engine/load.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <tl/expected.hpp>

namespace poolwarden::engine {

// The key that an engine wants to hear. The number stands for it where the key itself must not appear.
struct ApiKey {
  std::uint64_t id = 0;
  std::string value;  // printable ASCII

  bool operator==(const ApiKey&) const = default;
};

struct LoadSource {
  std::int32_t port = 0;
  std::string path = "/metrics";
  EngineMetrics metrics;
  bool is_server_load = false;            // it answers as read_server_load() reads, and not with metrics
  base::Shared<api::EngineTls> tls = {};  // empty: it is asked in plain HTTP
  base::Shared<ApiKey> api_key = {};      // sent as a bearer token, to this port only

  bool operator==(const LoadSource&) const = default;
};

// Where vLLM's HTTP server on that port says what it has taken in.
LoadSource server_load_of(std::int32_t port);

struct LoadRequest {
  std::string ip;                             // v4 or v6, as in the pod's status
  std::vector<LoadSource> sources;            // all of them are asked
  std::chrono::milliseconds deadline{2'000};  // of the whole read, its wait for a connection included
  std::string ns = {};                        // the pod's namespace, whose budget the answers are read from
};

struct LoadReaderOptions {
  std::size_t max_connections = 256;         // at once; further ports wait their turn
  std::size_t max_waiting = 8'192;           // ports that wait; a read that would need more fails at once
  std::size_t max_bytes = 512u << 10;        // of one answer
  std::size_t bytes_per_second = 16u << 20;  // of all answers of one namespace
  bool allow_loopback = false;               // stand-ins on this machine may be asked
};

class LoadReader {
 public:
  using Callback = std::function<void(tl::expected<Load, NoLoad>)>;

  explicit LoadReader(LoadReaderOptions options = {});
  ~LoadReader();
  LoadReader(const LoadReader&) = delete;
  LoadReader& operator=(const LoadReader&) = delete;

  // Exactly one callback, also for a request that makes no sense, and for one that the destructor cuts short.
  void read(LoadRequest request, Callback done);

 private:
  class Impl;
  const std::unique_ptr<Impl> impl_;
};

}  // namespace poolwarden::engine
