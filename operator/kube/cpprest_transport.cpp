// cpprestsdk would define U() as a macro. NOLINTNEXTLINE(bugprone-reserved-identifier)
#define _TURN_OFF_PLATFORM_STRING
#include "kube/cpprest_transport.h"

#include "base/time.h"
#include "kube/callback_threads.h"
#include "kube/credentials.h"
#include "kube/exchange.h"
#include "kube/retry_after.h"
#include "kube/tls.h"
#include "kube/transport_failure.h"
#include "kube/user_agent.h"

#include <algorithm>
#include <condition_variable>
#include <cstring>
#include <mutex>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pplx/threadpool.h>
#include <sys/socket.h>
#include <unordered_map>
#include <utility>

#include <boost/asio.hpp>
#include <boost/asio/ssl.hpp>
#include <cpprest/http_client.h>
#include <cpprest/producerconsumerstream.h>
#include <fmt/format.h>

namespace poolwarden::kube {
namespace {

namespace http = web::http;
namespace asio = boost::asio;
using std::chrono::milliseconds;
using HttpClient = http::client::http_client;

// cpprestsdk's own timeout is an idle one and does not say that it fired. Ours do the work; this only
// bounds what they might miss.
constexpr auto kBackstop = std::chrono::seconds(30);
constexpr auto kLongestUnaryIdle = std::chrono::minutes(10);
constexpr auto kShutdownPatience = std::chrono::seconds(2);

// The one thread on which cpprestsdk does all its work. It must be one: whoever cancels a request there
// closes the socket at once, on the thread that asks. Beside a thread that was just about to read from that
// socket, this ended the process. So requests begin here, and are cancelled here.
//
// It is never waited for: a task that waits for another here would wait for ever.
asio::io_service& network() {
  return crossplat::threadpool::shared_instance().service();
}

// The threads of the process. Throws if they cannot be had: cpprestsdk's is there already, with more of its
// kind, where anything else has used cpprestsdk before.
asio::io_service& start_threads(std::size_t callbacks) {
  CallbackThreads& threads = CallbackThreads::start(callbacks);
  static const bool once = [&threads] {
    crossplat::threadpool::initialize_with_threads(1);
    threads.stop_at_exit();
    return true;
  }();
  static_cast<void>(once);
  return threads.service();
}

// A dead peer is noticed within about a minute, in both directions: by probes when nothing is sent, by
// missing acknowledgements when something is.
void watch_for_dead_peer(int socket) {
  const auto set = [&](int level, int name, int value) {
    static_cast<void>(::setsockopt(socket, level, name, &value, sizeof value));
  };
  set(SOL_SOCKET, SO_KEEPALIVE, 1);
  set(IPPROTO_TCP, TCP_KEEPIDLE, 30);
  set(IPPROTO_TCP, TCP_KEEPINTVL, 10);
  set(IPPROTO_TCP, TCP_KEEPCNT, 3);
  set(IPPROTO_TCP, TCP_USER_TIMEOUT, 30'000);
}

// cpprestsdk hands out the stream of every connection before it is used, the first time before it is open.
void prepare_connection(bool tls, void* native_handle) {
  if (!tls) {
    auto* socket = static_cast<asio::ip::tcp::socket*>(native_handle);
    if (socket->is_open()) {
      watch_for_dead_peer(socket->native_handle());
    }
    return;
  }
  auto* stream = static_cast<asio::ssl::stream<asio::ip::tcp::socket&>*>(native_handle);
  auto* socket = &stream->next_layer();
  if (!socket->is_open()) {
    at_handshake(stream->native_handle(), [socket] { watch_for_dead_peer(socket->native_handle()); });
  }
}

http::method method_of(HttpMethod method) {
  switch (method) {
    case HttpMethod::kGet:
      return http::methods::GET;
    case HttpMethod::kPost:
      return http::methods::POST;
    case HttpMethod::kPut:
      return http::methods::PUT;
    case HttpMethod::kPatch:
      return http::methods::PATCH;
    case HttpMethod::kDelete:
      return http::methods::DEL;
  }
  return http::methods::GET;
}

HttpResponse head_of(const http::http_response& response) {
  HttpResponse head;
  head.status = response.status_code();
  head.content_type = response.headers().content_type();
  const auto& headers = response.headers();
  const auto date = headers.find("Date");
  if (date != headers.end()) head.date = base::parse_http_date(date->second);
  if (const auto asked = headers.find("Retry-After"); asked != headers.end())
    head.retry_after = parse_retry_after(asked->second, date == headers.end() ? "" : date->second);
  return head;
}

void cancel_on_network(const pplx::cancellation_token_source& request) {
  asio::post(network(), [request] { request.cancel(); });
}

// Where cpprestsdk writes an answer's body: straight through to the exchange, nothing is kept. It writes
// the next piece only when the task of the last is done, which is how a slow reader slows the sender.
//
// A write never fails: cpprestsdk closes the stream of one that did, and waits for that on its only thread.
// Then nobody is left to finish anything, and no call is ever answered again. What is not wanted any more is
// taken all the same, and its request cancelled.
class BodySink final : public concurrency::streams::details::streambuf_state_manager<std::uint8_t> {
 public:
  BodySink(std::weak_ptr<Exchange> exchange, int number, pplx::cancellation_token_source request)
      : streambuf_state_manager(std::ios_base::out),
        exchange_(std::move(exchange)),
        number_(number),
        request_(std::move(request)) {}

 protected:
  bool can_seek() const override { return false; }
  bool has_size() const override { return false; }
  size_t buffer_size(std::ios_base::openmode) const override { return 0; }
  void set_buffer_size(size_t, std::ios_base::openmode) override {}
  size_t in_avail() const override { return 0; }
  pos_type getpos(std::ios_base::openmode) const override { return pos_type(traits::eof()); }
  pos_type seekpos(pos_type, std::ios_base::openmode) override { return pos_type(traits::eof()); }
  pos_type seekoff(off_type, std::ios_base::seekdir, std::ios_base::openmode) override {
    return pos_type(traits::eof());
  }
  bool acquire(std::uint8_t*&, size_t&) override { return false; }
  void release(std::uint8_t*, size_t) override {}
  pplx::task<int_type> _putc(std::uint8_t) override {
    return pplx::task_from_result<int_type>(traits::eof());
  }
  pplx::task<size_t> _putn(const std::uint8_t* data, size_t size) override {
    const auto exchange = exchange_.lock();
    if (!exchange) {
      request_.cancel();
      return pplx::task_from_result<size_t>(size);
    }
    pplx::task_completion_event<size_t> done;
    exchange->piece(number_, {reinterpret_cast<const char*>(data), size},
                    [done, size, request = request_](bool wanted) {
                      if (!wanted) cancel_on_network(request);
                      done.set(size);
                    });
    return pplx::create_task(done);
  }
  pplx::task<int_type> _bumpc() override { return pplx::task_from_result<int_type>(traits::eof()); }
  int_type _sbumpc() override { return traits::eof(); }
  pplx::task<int_type> _getc() override { return pplx::task_from_result<int_type>(traits::eof()); }
  int_type _sgetc() override { return traits::eof(); }
  pplx::task<int_type> _nextc() override { return pplx::task_from_result<int_type>(traits::eof()); }
  pplx::task<int_type> _ungetc() override { return pplx::task_from_result<int_type>(traits::eof()); }
  pplx::task<size_t> _getn(std::uint8_t*, size_t) override { return pplx::task_from_result<size_t>(0); }
  size_t _scopy(std::uint8_t*, size_t) override { return 0; }
  pplx::task<bool> _sync() override { return pplx::task_from_result(true); }
  std::uint8_t* _alloc(size_t) override { return nullptr; }
  void _commit(size_t) override {}

 private:
  const std::weak_ptr<Exchange> exchange_;
  const int number_;
  const pplx::cancellation_token_source request_;
};

// What all exchanges of a transport share.
class Core final : public ExchangeHost, public std::enable_shared_from_this<Core> {
 public:
  Core(ClusterAccess access, TransportOptions options, std::shared_ptr<const TlsClient> tls,
       asio::io_service& callbacks);

  Credentials& credentials() override { return *credentials_; }
  std::string server() const override { return fmt::format("{}:{}", access_.host, access_.port); }
  tl::expected<std::shared_ptr<Attempt>, TransportError> begin_attempt(
      const std::shared_ptr<Exchange>& exchange, int number, const HttpRequest& request,
      const Credential& credential, std::optional<milliseconds> idle) override;
  void network_done(Exchange* exchange) override;
  void all_done(Exchange* exchange) override;

  std::shared_ptr<Exchange> begin(HttpRequest request, Exchange::Consumer consumer);
  void keep_warm();
  void shut_down();

  // For attempts.
  TransportError failure_of(const std::exception_ptr& exception);
  void drop_connections(const std::shared_ptr<HttpClient>& client);
  void attempt_ended();

 private:
  tl::expected<std::shared_ptr<const TlsClient>, std::string> tls_for(const Credential& credential);
  tl::expected<std::shared_ptr<HttpClient>, std::string> client_for(const Credential& credential,
                                                                    const HttpRequest& request,
                                                                    std::optional<milliseconds> idle);
  std::shared_ptr<HttpClient> make_client(std::shared_ptr<const TlsClient> tls, milliseconds idle) const;

  const ClusterAccess access_;
  const TransportOptions options_;
  asio::io_service& callbacks_;
  asio::steady_timer warm_timer_;

  std::mutex mutex_;
  std::condition_variable ended_;
  std::unique_ptr<Credentials> credentials_;  // set once; taken away at the end of shut_down()
  std::shared_ptr<const TlsClient> tls_;      // of the access, or of the plugin's last certificate
  std::string plugin_certificate_;            // the one in tls_
  std::shared_ptr<HttpClient> unary_;
  std::unordered_map<Exchange*, std::shared_ptr<Exchange>> live_;
  ConnectionLanes<Exchange> lanes_;  // unary calls only
  std::uint64_t unary_begun_ = 0;
  std::uint64_t unary_begun_before_ = 0;  // at the last look of keep_warm()
  std::size_t attempts_ = 0;
  bool closing_ = false;
};

// A request that cpprestsdk is busy with.
class CpprestAttempt final : public Attempt, public std::enable_shared_from_this<CpprestAttempt> {
 public:
  CpprestAttempt(std::shared_ptr<Core> core, std::shared_ptr<HttpClient> client)
      : core_(std::move(core)), client_(std::move(client)) {}

  void begin(const std::shared_ptr<Exchange>& exchange, int number, http::http_request request) {
    asio::post(network(), [self = shared_from_this(), exchange, number, request = std::move(request)] {
      try {
        self->ask(exchange, number, request);
      } catch (...) {
        exchange->no_answer(number, self->core_->failure_of(std::current_exception()));
        self->core_->attempt_ended();
      }
    });
  }
  void cancel() override { cancel_on_network(source_); }
  void discard_idle_connections() override { core_->drop_connections(client_); }

 private:
  // All below: on cpprestsdk's thread. Throws what cpprestsdk throws.
  void ask(const std::shared_ptr<Exchange>& exchange, int number, http::http_request request) {
    request.set_response_stream(
        concurrency::streams::streambuf<std::uint8_t>(std::make_shared<BodySink>(exchange, number, source_))
            .create_ostream());
    client_->request(request, source_.get_token())
        .then([core = core_, exchange, number](const pplx::task<http::http_response>& response) {
          follow(core, exchange, number, response);
        });
  }

  // Every task's exception is looked at: an unobserved one ends the process.
  static void follow(const std::shared_ptr<Core>& core, const std::shared_ptr<Exchange>& exchange, int number,
                     const pplx::task<http::http_response>& task) {
    try {
      const http::http_response response = task.get();
      exchange->head(number, head_of(response));
      response.content_ready().then([core, exchange, number](const pplx::task<http::http_response>& whole) {
        std::optional<TransportError> error;
        try {
          static_cast<void>(whole.get());
        } catch (...) {
          error = core->failure_of(std::current_exception());
        }
        exchange->body_end(number, std::move(error));
        core->attempt_ended();
      });
    } catch (...) {
      exchange->no_answer(number, core->failure_of(std::current_exception()));
      core->attempt_ended();
    }
  }

  const std::shared_ptr<Core> core_;
  const std::shared_ptr<HttpClient> client_;
  pplx::cancellation_token_source source_;
};

http::http_request to_cpprest(const HttpRequest& request, const Credential& credential) {
  http::http_request out(method_of(request.method));
  out.set_request_uri(http::uri(request.target));
  out.headers().add("User-Agent", std::string(user_agent()));
  out.headers().add("Accept", request.accept);
  if (!credential.authorization.empty()) {
    out.headers().add("Authorization", credential.authorization);
  }
  if (request.body.empty()) {
    return out;
  }
  if (request.safe_to_repeat) {
    out.set_body(request.body, request.content_type);
    return out;
  }
  // cpprestsdk sends a request again by itself, whatever its method, when a kept-alive connection turns out
  // closed. It does not if it cannot rewind the body.
  //
  // Nothing here is waited for: alloc() and commit() are done when they return, and so is all of close() but
  // its task.
  concurrency::streams::producer_consumer_buffer<std::uint8_t> body;
  std::memcpy(body.alloc(request.body.size()), request.body.data(), request.body.size());
  body.commit(request.body.size());
  body.close(std::ios_base::out);
  out.set_body(body.create_istream(), request.body.size(), request.content_type);
  return out;
}

Core::Core(ClusterAccess access, TransportOptions options, std::shared_ptr<const TlsClient> tls,
           asio::io_service& callbacks)
    : access_(std::move(access)),
      options_(options),
      callbacks_(callbacks),
      warm_timer_(callbacks),
      credentials_(std::make_unique<Credentials>(access_.credential)),
      tls_(std::move(tls)),
      lanes_(options_.max_connections, options_.reserved) {}

std::shared_ptr<Exchange> Core::begin(HttpRequest request, Exchange::Consumer consumer) {
  const auto exchange =
      std::make_shared<Exchange>(shared_from_this(), callbacks_, std::move(request), std::move(consumer));
  bool start = false;
  bool refuse = false;
  {
    const std::lock_guard lock(mutex_);
    live_.emplace(exchange.get(), exchange);
    if (closing_) {
      refuse = true;
    } else if (!exchange->is_unary()) {
      start = true;
    } else {
      ++unary_begun_;
      start = lanes_.begin(exchange, exchange->lane());
    }
  }
  if (refuse) {
    exchange->cancel();
    return exchange;
  }
  exchange->arm();
  if (start) {
    exchange->start();
  }
  return exchange;
}

void Core::network_done(Exchange* exchange) {
  std::shared_ptr<Exchange> next;
  {
    const std::lock_guard lock(mutex_);
    next = lanes_.end(exchange);
  }
  if (next) {
    next->start();
  }
}

void Core::all_done(Exchange* exchange) {
  const std::lock_guard lock(mutex_);
  live_.erase(exchange);
  ended_.notify_all();
}

tl::expected<std::shared_ptr<Attempt>, TransportError> Core::begin_attempt(
    const std::shared_ptr<Exchange>& exchange, int number, const HttpRequest& request,
    const Credential& credential, std::optional<milliseconds> idle) {
  auto client = client_for(credential, request, idle);
  if (!client) {
    return tl::unexpected(TransportError{TransportFailure::kCredentials, std::move(client.error())});
  }
  {
    const std::lock_guard lock(mutex_);
    ++attempts_;
  }
  try {
    auto attempt = std::make_shared<CpprestAttempt>(shared_from_this(), std::move(*client));
    attempt->begin(exchange, number, to_cpprest(request, credential));
    return attempt;
  } catch (...) {
    attempt_ended();
    return tl::unexpected(failure_of(std::current_exception()));
  }
}

TransportError Core::failure_of(const std::exception_ptr& exception) {
  std::string refusal;
  {
    const std::lock_guard lock(mutex_);
    refusal = tls_ ? tls_->last_refusal() : std::string();
  }
  try {
    std::rethrow_exception(exception);
  } catch (const http::http_exception& error) {
    return classify_failure(error.what(), static_cast<unsigned long>(error.error_code().value()), server(),
                            refusal);
  } catch (const std::exception& error) {
    return classify_failure(error.what(), 0, server(), refusal);
  } catch (...) {
    return classify_failure("of an unknown failure", 0, server(), refusal);
  }
}

void Core::attempt_ended() {
  const std::lock_guard lock(mutex_);
  --attempts_;
  ended_.notify_all();
}

void Core::shut_down() {
  std::vector<std::shared_ptr<Exchange>> live;
  {
    const std::lock_guard lock(mutex_);
    closing_ = true;
    warm_timer_.cancel();
    for (const auto& [key, exchange] : live_) {
      live.push_back(exchange);
    }
  }
  for (const auto& exchange : live) {
    exchange->cancel();
  }
  live.clear();
  std::unique_lock lock(mutex_);
  ended_.wait(lock, [this] { return live_.empty(); });
  // What cpprestsdk still has to wind up holds nothing of the caller's; a name being resolved may take long.
  ended_.wait_for(lock, kShutdownPatience, [this] { return attempts_ == 0; });
  unary_.reset();
  const std::unique_ptr<Credentials> credentials = std::move(credentials_);
  lock.unlock();
}

tl::expected<std::shared_ptr<const TlsClient>, std::string> Core::tls_for(const Credential& credential) {
  if (!access_.tls || credential.client_certificate_pem == plugin_certificate_) {
    return tls_;
  }
  const bool own = credential.client_certificate_pem.empty();  // it gave one before, and gives none now
  auto made = TlsClient::make(
      {access_.ca_pem, own ? access_.client_certificate_pem : credential.client_certificate_pem,
       own ? access_.client_key_pem : credential.client_key_pem,
       access_.tls_server_name.empty() ? access_.host : access_.tls_server_name, access_.verification});
  if (!made) {
    return tl::unexpected("the credential plugin's answer: " + made.error());
  }
  tls_ = *made;
  plugin_certificate_ = credential.client_certificate_pem;
  unary_.reset();  // its connections were made as who we were before
  return tls_;
}

// The client of all unary calls, or one for a stream alone.
tl::expected<std::shared_ptr<HttpClient>, std::string> Core::client_for(const Credential& credential,
                                                                        const HttpRequest& request,
                                                                        std::optional<milliseconds> idle) {
  const std::lock_guard lock(mutex_);
  auto tls = tls_for(credential);
  if (!tls) {
    return tl::unexpected(std::move(tls.error()));
  }
  if (idle) {
    return make_client(std::move(*tls), std::max(*idle, request.deadline) + kBackstop);
  }
  if (!unary_) {
    unary_ = make_client(std::move(*tls), kLongestUnaryIdle);
  }
  return unary_;
}

std::shared_ptr<HttpClient> Core::make_client(std::shared_ptr<const TlsClient> tls, milliseconds idle) const {
  http::client::http_client_config config;
  config.set_timeout(idle);
  config.set_max_redirects(0);  // a redirect would carry the credential elsewhere
  if (access_.tls) {
    config.set_tlsext_sni_enabled(false);  // TlsClient names the server, and checks it
    config.set_ssl_context_callback(
        [tls = std::move(tls)](asio::ssl::context& context) { tls->configure(context.native_handle()); });
  }
  config.set_nativehandle_options(
      [is_tls = access_.tls](void* native_handle) { prepare_connection(is_tls, native_handle); });
  const std::string address = fmt::format("{}://{}:{}{}", access_.tls ? "https" : "http", access_.host,
                                          access_.port, access_.base_path);
  return std::make_shared<HttpClient>(http::uri(address), config);
}

void Core::drop_connections(const std::shared_ptr<HttpClient>& client) {
  const std::lock_guard lock(mutex_);
  if (unary_ == client) {
    unary_.reset();
  }
}

void Core::keep_warm() {
  if (options_.keep_warm.count() <= 0) {
    return;
  }
  const std::lock_guard lock(mutex_);
  if (closing_) {
    return;
  }
  warm_timer_.expires_after(options_.keep_warm);
  warm_timer_.async_wait([weak = weak_from_this()](const auto& error) {
    const auto self = weak.lock();
    if (error || !self) {
      return;
    }
    bool quiet = false;
    {
      const std::lock_guard guard(self->mutex_);
      quiet = self->unary_begun_ == self->unary_begun_before_;
    }
    if (quiet) {
      HttpRequest request;
      request.target = "/version";  // open to everyone who is authenticated
      request.safe_to_repeat = true;
      self->begin(std::move(request), Exchange::Whole{[](const auto&) {}});
    }
    {
      const std::lock_guard guard(self->mutex_);
      self->unary_begun_before_ = self->unary_begun_;
    }
    self->keep_warm();
  });
}

class Stream final : public StreamHandle {
 public:
  explicit Stream(std::shared_ptr<Exchange> exchange) : exchange_(std::move(exchange)) {}
  ~Stream() override { exchange_->cancel(); }

 private:
  const std::shared_ptr<Exchange> exchange_;
};

class CpprestTransport final : public Transport {
 public:
  explicit CpprestTransport(std::shared_ptr<Core> core) : core_(std::move(core)) { core_->keep_warm(); }
  ~CpprestTransport() override { core_->shut_down(); }

  void send(HttpRequest request, Callback done) override {
    core_->begin(std::move(request), Exchange::Whole{std::move(done)});
  }
  std::unique_ptr<StreamHandle> stream(HttpRequest request, milliseconds idle_timeout,
                                       std::shared_ptr<StreamHandler> handler) override {
    return std::make_unique<Stream>(
        core_->begin(std::move(request), Exchange::Streamed{std::move(handler), idle_timeout}));
  }

 private:
  const std::shared_ptr<Core> core_;
};

}  // namespace

Result<std::unique_ptr<Transport>> make_cpprest_transport(ClusterAccess access, TransportOptions options) {
  const auto fail = [&](const std::string& what) {
    return tl::unexpected(Error{ErrorClass::kTerminal, 0, "BadClusterAccess",
                                fmt::format("{}: {}", access.source, what), std::nullopt});
  };
  if (access.host.find(':') != std::string::npos) {
    // cpprestsdk hands the address to the resolver with its brackets.
    return fail(
        fmt::format("the server's IPv6 address {} is not supported; use a name for it, with tls-server-name "
                    "if its certificate does not hold that name",
                    access.host));
  }
  std::shared_ptr<const TlsClient> tls;
  if (access.tls) {
    auto made = TlsClient::make({access.ca_pem, access.client_certificate_pem, access.client_key_pem,
                                 access.tls_server_name.empty() ? access.host : access.tls_server_name,
                                 access.verification});
    if (!made) {
      return fail(made.error());
    }
    tls = std::move(*made);
  }
  try {
    asio::io_service& callbacks = start_threads(options.threads);
    return std::make_unique<CpprestTransport>(
        std::make_shared<Core>(std::move(access), options, std::move(tls), callbacks));
  } catch (const std::exception& error) {
    return fail(fmt::format("the transport's threads cannot be started: {}", error.what()));
  }
}

}  // namespace poolwarden::kube
