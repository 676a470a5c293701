#include "gateway/haproxy_socket.h"

#include "base/address.h"
#include "base/fd.h"
#include "gateway/haproxy_answers.h"

#include <algorithm>
#include <arpa/inet.h>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <system_error>
#include <unistd.h>

#include <fmt/format.h>

namespace poolwarden::gateway {
namespace {

std::string text_of(int error) {
  return std::system_category().message(error);
}

std::string config_line(const RuntimeAddress& address) {
  if (const auto* path = std::get_if<UnixPath>(&address)) {
    return fmt::format("stats socket {} mode 660 level admin", path->path);
  }
  return fmt::format("stats socket {} level admin", to_string(address));
}

kube::Error failure(const RuntimeAddress& address, int error, std::string_view doing) {
  kube::Error out{kube::ErrorClass::kRetry, 0, "Unreachable", {}, std::nullopt};
  const std::string where = to_string(address);
  switch (error) {
    case ENOENT:
      out.message = fmt::format(
          "there is no HAProxy socket {}: HAProxy is not running, the directory is not shared "
          "with it, or haproxy.cfg's global section lacks '{}'",
          where, config_line(address));
      break;
    case ECONNREFUSED:
      out.message = fmt::format(
          "nothing listens on {}: HAProxy is not running (a socket file may be left of one that "
          "was), or haproxy.cfg's global section lacks '{}'",
          where, config_line(address));
      break;
    case EACCES:
    case EPERM:
      out.cls = kube::ErrorClass::kForbidden;
      out.reason = "PermissionDenied";
      out.message = fmt::format(
          "not permitted to open HAProxy's socket {}: run as HAProxy's user or group, or set user, "
          "group and mode in '{}'",
          where, config_line(address));
      break;
    case ENOTSOCK:
    case EPROTOTYPE:
      out.message = fmt::format("{} is not a stream socket: --haproxy-socket must name the one of '{}'",
                                where, config_line(address));
      break;
    default:
      out.message = fmt::format("{} HAProxy on {}: {}", doing, where, text_of(error));
  }
  return out;
}

kube::Error timed_out(const RuntimeAddress& address, std::chrono::milliseconds deadline) {
  return {kube::ErrorClass::kRetry, 0, "Timeout",
          fmt::format("HAProxy on {} did not answer within {} ms", to_string(address), deadline.count()),
          std::nullopt};
}

// 0: ready; else an errno, ETIMEDOUT at the deadline.
int wait_for(int fd, short events, kube::TimePoint deadline) {
  while (true) {
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    if (left.count() <= 0) return ETIMEDOUT;
    pollfd waiting{fd, events, 0};
    const int ready = ::poll(&waiting, 1, static_cast<int>(std::min<std::int64_t>(left.count(), 60'000)));
    if (ready > 0) return 0;
    if (ready < 0 && errno != EINTR) return errno;
  }
}

struct SockAddr {
  sockaddr_storage storage{};
  socklen_t length = 0;
};

SockAddr to_sockaddr(const RuntimeAddress& address) {
  SockAddr out;
  if (const auto* unix_path = std::get_if<UnixPath>(&address)) {
    sockaddr_un local{};
    local.sun_family = AF_UNIX;
    // parse_runtime_address() has checked that it fits.
    std::copy_n(unix_path->path.begin(), std::min(unix_path->path.size(), sizeof(local.sun_path) - 1),
                local.sun_path);
    std::memcpy(&out.storage, &local, sizeof(local));
    out.length = sizeof(local);
    return out;
  }
  const auto& inet = std::get<ServerAddress>(address);
  sockaddr_in v4{};
  if (inet_pton(AF_INET, inet.ip.c_str(), &v4.sin_addr) == 1) {
    v4.sin_family = AF_INET;
    v4.sin_port = htons(inet.port);
    std::memcpy(&out.storage, &v4, sizeof(v4));
    out.length = sizeof(v4);
    return out;
  }
  sockaddr_in6 v6{};
  inet_pton(AF_INET6, inet.ip.c_str(), &v6.sin6_addr);
  v6.sin6_family = AF_INET6;
  v6.sin6_port = htons(inet.port);
  std::memcpy(&out.storage, &v6, sizeof(v6));
  out.length = sizeof(v6);
  return out;
}

// 0 or an errno.
int connect_by(int fd, const SockAddr& to, kube::TimePoint deadline) {
  while (::connect(fd, reinterpret_cast<const sockaddr*>(&to.storage), to.length) != 0) {
    if (errno == EINPROGRESS) {
      if (const int error = wait_for(fd, POLLOUT, deadline)) return error;
      int error = 0;
      socklen_t size = sizeof(error);
      return ::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0 ? error : errno;
    }
    // A unix socket with a full backlog says EAGAIN and cannot be polled for room: that is a HAProxy that
    // does not accept, and the caller's next attempt is soon enough.
    if (errno != EINTR) return errno == EAGAIN ? ETIMEDOUT : errno;
  }
  return 0;
}

int send_by(int fd, std::string_view bytes, kube::TimePoint deadline) {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent > 0) {
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    } else if (errno == EAGAIN) {
      if (const int error = wait_for(fd, POLLOUT, deadline)) return error;
    } else if (errno != EINTR) {
      return errno;
    }
  }
  return 0;
}

}  // namespace

tl::expected<RuntimeAddress, std::string> parse_runtime_address(const std::string& text) {
  std::string_view rest = text;
  const bool unix_prefix = rest.starts_with("unix@");
  if (unix_prefix) rest.remove_prefix(5);
  if (unix_prefix || rest.starts_with('/') || rest.starts_with('.')) {
    if (rest.empty() || rest.size() >= sizeof(sockaddr_un::sun_path) ||
        rest.find('\0') != std::string_view::npos) {
      return tl::unexpected(fmt::format("'{}' cannot be a socket's path: it needs 1 to {} bytes", text,
                                        sizeof(sockaddr_un::sun_path) - 1));
    }
    return UnixPath{std::string(rest)};
  }
  if (rest.starts_with("ipv4@") || rest.starts_with("ipv6@")) rest.remove_prefix(5);
  if (const auto parts = base::split_host_port(rest)) {
    if (const auto port = base::parse_port(parts->port)) {
      if (auto address = make_address(parts->host, *port)) return *address;
    }
  }
  return tl::unexpected(
      fmt::format("'{}' is neither a socket's path (/run/haproxy/admin.sock) nor an IP address and "
                  "port (127.0.0.1:9999, [::1]:9999)",
                  text));
}

std::string to_string(const RuntimeAddress& address) {
  if (const auto* path = std::get_if<UnixPath>(&address)) return path->path;
  return std::get<ServerAddress>(address).to_string();
}

kube::Result<std::vector<std::string>> HaproxySocket::ask(const std::vector<std::string>& commands) {
  const kube::TimePoint deadline = std::chrono::steady_clock::now() + deadline_;
  std::vector<std::string> answers;
  for (std::size_t next = 0; next < commands.size();) {
    std::string line = commands[next];
    std::size_t count = 1;
    while (next + count < commands.size() &&
           line.size() + 1 + commands[next + count].size() <= kMaxLineBytes) {
      line.append(";").append(commands[next + count++]);
    }
    line += '\n';
    auto bytes = exchange(line, deadline);
    if (!bytes) return tl::unexpected(std::move(bytes.error()));
    auto some = split_answers(*bytes, count);
    if (!some) {
      some.error().message = fmt::format("{}: {}", to_string(address_), some.error().message);
      return tl::unexpected(std::move(some.error()));
    }
    std::move(some->begin(), some->end(), std::back_inserter(answers));
    next += count;
  }
  return answers;
}

// One line on one connection: without the `prompt` command HAProxy answers it and closes.
kube::Result<std::string> HaproxySocket::exchange(const std::string& line, kube::TimePoint deadline) const {
  const SockAddr to = to_sockaddr(address_);
  const base::Fd fd(::socket(to.storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const auto fail = [&](int error, std::string_view doing) {
    return tl::unexpected(error == ETIMEDOUT ? timed_out(address_, deadline_)
                                             : failure(address_, error, doing));
  };
  if (fd.get() < 0) return fail(errno, "cannot make a socket for");
  if (const int error = connect_by(fd.get(), to, deadline)) return fail(error, "cannot connect to");
  if (const int error = send_by(fd.get(), line, deadline)) return fail(error, "cannot write to");
  std::string answer;
  std::array<char, 16 * 1024> chunk{};
  while (true) {
    const ssize_t got = ::recv(fd.get(), chunk.data(), chunk.size(), 0);
    if (got == 0) return answer;
    if (got > 0) {
      if (answer.size() + static_cast<std::size_t>(got) > kMaxAnswerBytes)
        return fail(EMSGSIZE, "cannot read from");
      answer.append(chunk.data(), static_cast<std::size_t>(got));
    } else if (errno == EAGAIN) {
      if (const int error = wait_for(fd.get(), POLLIN, deadline)) return fail(error, "cannot read from");
    } else if (errno != EINTR) {
      return fail(errno, "cannot read from");
    }
  }
}

}  // namespace poolwarden::gateway
