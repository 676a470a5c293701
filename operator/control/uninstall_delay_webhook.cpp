#include "control/uninstall_delay_webhook.h"

#include "telemetry/bind_address.h"

#include <cerrno>
#include <cstring>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>
#include <utility>

#include <fmt/format.h>

namespace poolwarden::control {
namespace {

constexpr int kBacklog = 16;

// A socket that listens at one address, or -1 with errno set.
int listen_at(const addrinfo& address) {
  const int made = ::socket(address.ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (made < 0) return -1;
  const int on = 1;
  const int off = 0;
  ::setsockopt(made, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (address.ai_family == AF_INET6) ::setsockopt(made, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
  if (::bind(made, address.ai_addr, address.ai_addrlen) == 0 && ::listen(made, kBacklog) == 0) return made;
  const int why = errno;
  ::close(made);
  errno = why;
  return -1;
}

}  // namespace

tl::expected<UninstallDelayWebhook, std::string> UninstallDelayWebhook::listen(
    const std::string& bind_address) {
  if (bind_address.empty() || bind_address == "0") return UninstallDelayWebhook(-1);
  const auto complaint = [&](const std::string& problem) {
    return tl::unexpected(
        fmt::format("--uninstall-hold-bind-address={}: {}; give host:port, :port, or 0 to hold nothing",
                    bind_address, problem));
  };
  const auto where = telemetry::parse_bind_address(bind_address);
  if (!where) return complaint(where.error());
  // IPv6 first: where there is any, that takes IPv4 as well.
  for (const int family : {AF_INET6, AF_INET}) {
    addrinfo hints{};
    hints.ai_family = family;
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_PASSIVE | AI_NUMERICHOST | AI_NUMERICSERV;
    addrinfo* found = nullptr;
    const char* host = where->host.empty() ? nullptr : where->host.c_str();
    if (::getaddrinfo(host, std::to_string(where->port).c_str(), &hints, &found) != 0) continue;
    const int listening = listen_at(*found);
    ::freeaddrinfo(found);
    if (listening >= 0) return UninstallDelayWebhook(listening);
  }
  return complaint(std::strerror(errno));
}

UninstallDelayWebhook::UninstallDelayWebhook(UninstallDelayWebhook&& other) noexcept
    : socket_(std::exchange(other.socket_, -1)) {}

UninstallDelayWebhook::~UninstallDelayWebhook() {
  if (socket_ >= 0) ::close(socket_);
}

int UninstallDelayWebhook::port() const {
  sockaddr_storage bound{};
  socklen_t size = sizeof bound;
  if (socket_ < 0 || ::getsockname(socket_, reinterpret_cast<sockaddr*>(&bound), &size) != 0) return 0;
  // The port is at the same place for both families.
  return ntohs(reinterpret_cast<const sockaddr_in*>(&bound)->sin_port);
}

}  // namespace poolwarden::control
