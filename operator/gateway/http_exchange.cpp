#include "gateway/http_exchange.h"

#include "base/address.h"
#include "base/text.h"
#include "kube/user_agent.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <future>
#include <memory>
#include <optional>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http.hpp>
#include <fmt/format.h>

namespace poolwarden::gateway {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using asio::ip::tcp;
using boost::system::error_code;
using Endpoints = std::vector<tcp::endpoint>;

constexpr std::uint32_t kMaxHead = 16u << 10;
constexpr std::size_t kPiece = 64u << 10;  // of a body, read at once
constexpr std::size_t kMaxPath = 8u << 10;
constexpr std::size_t kMaxKey = 8u << 10;
constexpr int kHttp11 = 11;  // as Beast writes it
constexpr std::size_t kMaxTold = 200;
constexpr int kMaxLookups = 4;  // of names, at once

kube::Error error_of(kube::ErrorClass cls, std::string reason, std::string message) {
  return {cls, 0, std::move(reason), std::move(message), std::nullopt};
}

// Nothing in it begins another header.
bool is_word_or_empty(std::string_view text, std::size_t limit) {
  return text.empty() || (text.size() <= limit && base::is_plain_word(text));
}

std::string milliseconds(kube::Duration duration) {
  return fmt::format("{} ms", std::chrono::ceil<std::chrono::milliseconds>(duration).count());
}

// What was being asked, and how its failure is told.
class Asking {
 public:
  Asking(const HttpTarget& target, HttpMethod method, const std::string& path, kube::Duration limit)
      : what_(fmt::format("{} {}{}", to_string(method), target.to_string(), path)),
        where_(target.to_string()),
        limit_(limit) {}

  kube::Error timed_out() const {
    return error_of(kube::ErrorClass::kRetry, "Timeout",
                    fmt::format("{}: no complete answer within {}", what_, milliseconds(limit_)));
  }
  kube::Error not_found(std::string_view why) const {
    return error_of(kube::ErrorClass::kRetry, "Unreachable",
                    fmt::format("{}: the host's name cannot be looked up: {}", what_, why));
  }
  kube::Error wrong(std::string_view why) const {
    return error_of(kube::ErrorClass::kTerminal, "BadRequest", fmt::format("{}: {}", where_, why));
  }
  kube::Error failed(const error_code& error) const {
    if (error == boost::beast::error::timeout) return timed_out();
    if (error == http::error::body_limit) {
      return error_of(
          kube::ErrorClass::kTerminal, std::string(kube::kAnswerTooLarge),
          fmt::format("{}: the answer is longer than {} bytes", what_, HttpTarget::kMaxAnswerBytes));
    }
    if (error == asio::error::connection_refused) {
      return error_of(kube::ErrorClass::kRetry, "Unreachable",
                      fmt::format("{}: nothing listens on {}", what_, where_));
    }
    if (error == http::error::partial_message || error == http::error::end_of_stream ||
        error == asio::error::eof || error == asio::error::connection_reset ||
        error == asio::error::broken_pipe) {
      return error_of(kube::ErrorClass::kRetry, "Unreachable",
                      fmt::format("{}: the connection ended before the answer was complete", what_));
    }
    if (error.category() == make_error_code(http::error::bad_version).category()) {
      return error_of(
          kube::ErrorClass::kTerminal, "NotHttp",
          fmt::format("{}: the answer is not HTTP that can be read ({})", what_, error.message()));
    }
    return error_of(kube::ErrorClass::kRetry, "Unreachable", fmt::format("{}: {}", what_, error.message()));
  }

 private:
  const std::string what_;
  const std::string where_;
  const kube::Duration limit_;
};

struct Lookup {
  error_code error;
  Endpoints found;
};

// The C library's lookup has no deadline. So a thread of its own does it, which nobody waits for beyond the
// deadline, and of which there are a few at most.
std::optional<Lookup> look_up(const std::string& host, std::uint16_t port, kube::TimePoint deadline) {
  static std::atomic<int> running{0};
  if (running.fetch_add(1) >= kMaxLookups) {
    running.fetch_sub(1);
    return Lookup{asio::error::try_again, {}};
  }
  std::promise<Lookup> promise;
  std::future<Lookup> answer = promise.get_future();
  try {
    std::thread([host, port, promise = std::move(promise)]() mutable {
      asio::io_context io;
      tcp::resolver resolver(io);
      Lookup lookup;
      for (const auto& entry : resolver.resolve(host, std::to_string(port), lookup.error))
        lookup.found.push_back(entry.endpoint());
      running.fetch_sub(1);
      promise.set_value(std::move(lookup));
    }).detach();
  } catch (const std::system_error& none) {  // no more threads
    running.fetch_sub(1);
    return Lookup{asio::error::no_memory, {}};
  }
  if (answer.wait_until(deadline) != std::future_status::ready) return std::nullopt;
  return answer.get();
}

kube::Result<Endpoints> endpoints_of(const HttpTarget& target, const Asking& asking,
                                     kube::TimePoint deadline) {
  error_code not_an_address;
  const auto address = asio::ip::make_address(target.host, not_an_address);
  if (!not_an_address) return Endpoints{{address, target.port}};
  auto lookup = look_up(target.host, target.port, deadline);
  if (!lookup) return tl::unexpected(asking.timed_out());
  if (lookup->error) return tl::unexpected(asking.not_found(lookup->error.message()));
  return std::move(lookup->found);
}

http::request<http::string_body> make_request(const HttpTarget& target, HttpMethod method,
                                              const std::string& path, const std::string& body) {
  constexpr http::verb kVerbs[] = {http::verb::get, http::verb::post, http::verb::put, http::verb::delete_};
  http::request<http::string_body> request(kVerbs[static_cast<std::size_t>(method)], target.prefix + path,
                                           kHttp11);
  request.set(http::field::host, base::join_host_port(target.host, target.port));
  request.set(http::field::user_agent, std::string(kube::user_agent()));
  request.set(http::field::accept, "application/json");
  request.set(http::field::connection, "close");
  if (!target.key.empty()) request.set(http::field::authorization, "Bearer " + target.key);
  if (!body.empty()) request.set(http::field::content_type, "application/json");
  request.body() = body;
  request.prepare_payload();
  return request;
}

// Connects, writes and reads, each after the other. All of it has ended when `io` has run out.
class Exchange {
 public:
  Exchange(Endpoints endpoints, http::request<http::string_body> request, kube::TimePoint deadline)
      : endpoints_(std::move(endpoints)), request_(std::move(request)), stream_(io_) {
    stream_.expires_at(deadline);
    buffer_.reserve(kPiece);  // Beast reads what there is room for, and 512 bytes of an empty one
    parser_.header_limit(kMaxHead);
    parser_.body_limit(HttpTarget::kMaxAnswerBytes);
  }

  tl::expected<HttpAnswer, error_code> run() {
    stream_.async_connect(endpoints_, [this](const error_code& error, const tcp::endpoint&) {
      if (!failed(error)) write();
    });
    io_.run();
    if (error_) return tl::unexpected(error_);
    auto message = parser_.release();
    const auto location = message[http::field::location];
    return HttpAnswer{static_cast<int>(message.result_int()), std::string(location.data(), location.size()),
                      std::move(message.body())};
  }

 private:
  void write() {
    http::async_write(stream_, request_, [this](const error_code& error, std::size_t) {
      // Whoever refuses a long request may answer before it is read, and close.
      if (error == asio::error::broken_pipe || error == asio::error::connection_reset || !failed(error))
        read();
    });
  }
  void read() {
    http::async_read(stream_, buffer_, parser_,
                     [this](const error_code& error, std::size_t) { failed(error); });
  }
  bool failed(const error_code& error) {
    error_ = error;
    return error.failed();
  }

  const Endpoints endpoints_;
  const http::request<http::string_body> request_;
  asio::io_context io_{1};
  boost::beast::tcp_stream stream_;
  boost::beast::flat_buffer buffer_{kMaxHead + kPiece};
  http::response_parser<http::string_body> parser_;
  error_code error_;
};

}  // namespace

std::string HttpTarget::to_string() const {
  return "http://" + base::join_host_port(host, port) + prefix;
}

tl::expected<HttpTarget, std::string> parse_http_target(const std::string& url) {
  constexpr std::string_view kScheme = "http://";
  const auto wrong = [&](std::string_view why) {
    return tl::unexpected(
        fmt::format("'{}' {}: it should be like http://127.0.0.1:9901", base::printable(url), why));
  };
  std::string_view rest = url;
  if (rest.starts_with("https://")) return wrong("is HTTPS, which is not spoken here");
  if (!rest.starts_with(kScheme)) return wrong("does not begin with http://");
  rest.remove_prefix(kScheme.size());
  HttpTarget target;
  const std::size_t slash = std::min(rest.find('/'), rest.size());
  target.prefix = rest.substr(slash);
  while (target.prefix.ends_with('/')) target.prefix.pop_back();
  if (!is_word_or_empty(target.prefix, kMaxPath) || target.prefix.find_first_of("?#") != std::string::npos)
    return wrong("has a path with a space, '?' or '#'");
  std::string_view host = rest.substr(0, slash);
  const bool has_port = host.ends_with(']') ? false : host.find(':') != std::string_view::npos;
  if (has_port) {
    const auto parts = base::split_host_port(host);
    const auto port = base::parse_port(parts->port);
    if (!port || *port == 0) return wrong("has no port from 1 to 65535");
    target.port = *port;
    host = parts->host;
    if (!parts->bracketed && host.find(':') != std::string_view::npos)
      return wrong("has an IPv6 address without brackets");
  } else if (host.starts_with('[') && host.ends_with(']')) {
    host = host.substr(1, host.size() - 2);
  }
  auto ip = base::canonical_ip(host);
  if (!ip && !base::is_dns_name(host))
    return wrong("names no host (an IP address, or a DNS name in lower case)");
  target.host = ip ? std::move(*ip) : std::string(host);
  return target;
}

std::string_view to_string(HttpMethod method) {
  constexpr std::string_view kNames[] = {"GET", "POST", "PUT", "DELETE"};
  return kNames[static_cast<std::size_t>(method)];
}

std::string HttpAnswer::told() const {
  if (status >= 300 && status < 400 && !location.empty()) {
    return fmt::format("{}, a redirect to {}", status,
                       base::ascii(std::string_view(location).substr(0, kMaxTold)));
  }
  std::string_view line = body;
  line = line.substr(0, std::min({line.find_first_of("\r\n"), line.size(), kMaxTold}));
  return line.empty() ? std::to_string(status) : fmt::format("{}: {}", status, base::ascii(line));
}

kube::Result<HttpAnswer> exchange(const HttpTarget& target, HttpMethod method, const std::string& path,
                                  const std::string& body, kube::TimePoint deadline) {
  const auto limit =
      std::max(kube::Duration::zero(), kube::Duration(deadline - std::chrono::steady_clock::now()));
  if (!path.starts_with('/') || !is_word_or_empty(path, kMaxPath)) {
    const Asking nameless(target, method, {}, limit);
    return tl::unexpected(
        nameless.wrong(fmt::format("'{}' is not a path that can be asked for",
                                   base::printable(std::string_view(path).substr(0, kMaxTold)))));
  }
  const Asking asking(target, method, path, limit);
  if (!is_word_or_empty(target.key, kMaxKey)) {
    return tl::unexpected(asking.wrong(
        "the key is not one word of plain ASCII (is a line break left in its file?), so nothing was asked"));
  }
  auto endpoints = endpoints_of(target, asking, deadline);
  if (!endpoints) return tl::unexpected(std::move(endpoints.error()));
  auto answer = Exchange(*std::move(endpoints), make_request(target, method, path, body), deadline).run();
  if (!answer) return tl::unexpected(asking.failed(answer.error()));
  return std::move(*answer);
}

}  // namespace poolwarden::gateway
