// Speaks to HAProxy's Runtime API over its stats socket. The one place of the gateway feed that does I/O
// with HAProxy.
//
// Promises: ask() returns by its deadline, with one answer for each command or an error. An error names the
// address, what is wrong and the haproxy.cfg line that mends it. Each ask() makes a connection, so a reloaded
// HAProxy is met at its new process. An answer longer than kMaxAnswerBytes is an error, not memory. SIGPIPE
// is never raised. Whatever listens there: nothing it sends can make this hang, crash or grow.
//
// Owned and used by one thread; ask() blocks it, for a millisecond as a rule.
#pragma once

#include "gateway/server_address.h"
#include "kube/result.h"
#include "kube/time.h"

#include <chrono>
#include <cstddef>
#include <string>
#include <variant>
#include <vector>

#include <tl/expected.hpp>

namespace poolwarden::gateway {

struct UnixPath {
  std::string path;

  bool operator==(const UnixPath&) const = default;
};
using RuntimeAddress = std::variant<UnixPath, ServerAddress>;

// "/run/haproxy/admin.sock", "unix@/run/...", "127.0.0.1:9999", "ipv4@127.0.0.1:9999", "ipv6@[::1]:9999": as
// in haproxy.cfg's `stats socket`. The error is a sentence for the person who wrote the flag.
tl::expected<RuntimeAddress, std::string> parse_runtime_address(const std::string& text);
std::string to_string(const RuntimeAddress& address);

class HaproxySocket {
 public:
  static constexpr std::size_t kMaxAnswerBytes = 16u << 20;
  // HAProxy reads one line of at most tune.bufsize (16384) bytes; configurations have made that smaller.
  static constexpr std::size_t kMaxLineBytes = 4'000;
  static constexpr std::chrono::milliseconds kDeadline{2'000};

  explicit HaproxySocket(RuntimeAddress address, std::chrono::milliseconds deadline = kDeadline)
      : address_(std::move(address)), deadline_(deadline) {}

  // The commands in order, in as many lines as they need. After an error it is not known which were heard.
  kube::Result<std::vector<std::string>> ask(const std::vector<std::string>& commands);

 private:
  kube::Result<std::string> exchange(const std::string& line, kube::TimePoint deadline) const;

  const RuntimeAddress address_;
  const std::chrono::milliseconds deadline_;
};

}  // namespace poolwarden::gateway
