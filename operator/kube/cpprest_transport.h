// The Transport that speaks HTTP/1.1 over TLS, with cpprestsdk, which nothing outside cpprest_transport.cpp
// knows of.
//
// Promises, beyond Transport's: a deadline is the whole call's. Unary calls share a few kept-alive
// connections, some of which may be reserved for the more urgent ones. A call whose deadline passes before it
// has a connection is never sent. Each stream has a connection of its own, so that a watch never stands in
// the way of a write. A call that may be repeated survives a kept-alive connection gone stale. A 401 is
// answered once with a renewed credential. The server's certificate is checked against our authority and
// server name only.
//
// What cpprestsdk cannot do, and so we cannot: IPv6 addresses in URLs (an error says so), proxies, HTTP/2. It
// hands on an answer chunk by chunk, each as a whole. The API server, once it has proved who it is, is
// trusted to keep its chunks to a size that fits in memory. And for every new connection it reads the
// system's authorities, which are then replaced by ours. Where there are any, that costs some 30 ms of
// processor time (measured). In a pod, SSL_CERT_FILE=/dev/null spares it, as does an image without them.
//
// Destroying the transport cancels everything and returns when every callback has been made. Do that on a
// thread of your own, never in a callback. Its threads belong to the process: one of cpprestsdk's for the
// network, and those that make the callbacks. A process that has used cpprestsdk before gets an error.
#pragma once

#include "kube/cluster_access.h"
#include "kube/connection_lanes.h"
#include "kube/result.h"
#include "kube/transport.h"

#include <chrono>
#include <cstddef>
#include <memory>

namespace poolwarden::kube {

struct TransportOptions {
  // That make the callbacks, in the process; the first transport decides. Each call and each chunk of a watch
  // is a chain of tasks, and more threads mostly wake each other.
  std::size_t threads = 1;
  std::size_t max_connections = 16;  // for unary calls; more calls wait their turn, their deadlines running
  ReservedConnections reserved{};    // of them
  // Without unary calls for this long, ask for /version, so that the next write finds a warm connection
  // (cpprestsdk drops idle ones after 30 to 60 seconds). Zero: never.
  std::chrono::seconds keep_warm{20};
};

// Fails if the access holds unusable certificates or keys.
Result<std::unique_ptr<Transport>> make_cpprest_transport(ClusterAccess access,
                                                          TransportOptions options = {});

}  // namespace poolwarden::kube
