#define _TURN_OFF_PLATFORM_STRING  // cpprestsdk would define U() as a macro
#include "kube/cpprest_transport.h"

#include "kube/credentials.h"
#include "kube/tls.h"
#include "kube/user_agent.h"

#include <algorithm>
#include <charconv>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pplx/threadpool.h>
#include <sys/socket.h>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <variant>

#include <boost/asio.hpp>
#include <boost/asio/ssl.hpp>
#include <cpprest/http_client.h>
#include <cpprest/producerconsumerstream.h>
#include <fmt/format.h>
#include <openssl/err.h>

namespace poolwarden::kube {
namespace {

namespace http = web::http;
namespace asio = boost::asio;
using std::chrono::milliseconds;
using HttpClient = http::client::http_client;

constexpr std::size_t kMaxErrorBody = 64u << 10;  // of a stream's refusal
// cpprestsdk's own timeout is an idle one and does not say that it fired. Ours do the work; this only
// bounds what they might miss.
constexpr auto kBackstop = std::chrono::seconds(30);
constexpr auto kLongestUnaryIdle = std::chrono::minutes(10);
constexpr auto kShutdownPatience = std::chrono::seconds(2);

asio::io_service& service() {
  return crossplat::threadpool::shared_instance().service();
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
  if (const auto it = response.headers().find("Retry-After"); it != response.headers().end()) {
    constexpr int kMaxSeconds = 3600;  // no server may silence us for longer
    int seconds = 0;
    const std::string& text = it->second;
    const auto parsed = std::from_chars(text.data(), text.data() + text.size(), seconds);
    if (parsed.ec == std::errc() && parsed.ptr == text.data() + text.size() && seconds >= 0) {
      head.retry_after = std::chrono::seconds(std::min(seconds, kMaxSeconds));
    }
  }
  return head;
}

class Exchange;

// Where cpprestsdk writes an answer's body: straight through to the exchange, nothing is kept. It writes
// the next piece only when the task of the last is done, which is how a slow reader slows the sender.
class BodySink final : public concurrency::streams::details::streambuf_state_manager<std::uint8_t> {
 public:
  BodySink(std::weak_ptr<Exchange> exchange, int attempt)
      : streambuf_state_manager(std::ios_base::out), exchange_(std::move(exchange)), attempt_(attempt) {}

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
  pplx::task<size_t> _putn(const std::uint8_t* data, size_t size) override;
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
  const int attempt_;
};

// What all exchanges of a transport share.
class Core : public std::enable_shared_from_this<Core> {
 public:
  Core(ClusterAccess access, TransportOptions options, std::shared_ptr<const TlsClient> tls);

  Credentials& credentials() { return *credentials_; }
  std::string server() const { return fmt::format("{}:{}", access_.host, access_.port); }
  std::string tls_refusal();

  void begin(const std::shared_ptr<Exchange>& exchange);  // counts it in and starts it
  void release_slot(Exchange* exchange);                  // its network part is over
  void end(Exchange* exchange);                           // its last callback has returned
  void attempt_began();
  void attempt_ended();
  void shut_down();

  // The client of all unary calls, or one for a stream alone.
  tl::expected<std::shared_ptr<HttpClient>, std::string> unary_client(const Credential& credential);
  tl::expected<std::shared_ptr<HttpClient>, std::string> stream_client(const Credential& credential,
                                                                       milliseconds idle);
  // Its kept-alive connections are not to be trusted: start over with new ones.
  void drop_connections(const std::shared_ptr<HttpClient>& client);
  void keep_warm();

 private:
  tl::expected<std::shared_ptr<const TlsClient>, std::string> tls_for(const Credential& credential);
  std::shared_ptr<HttpClient> make_client(std::shared_ptr<const TlsClient> tls, milliseconds idle) const;

  const ClusterAccess access_;
  const TransportOptions options_;
  asio::steady_timer warm_timer_;

  std::mutex mutex_;
  std::condition_variable ended_;
  std::unique_ptr<Credentials> credentials_;  // set once; taken away at the end of shut_down()
  std::shared_ptr<const TlsClient> tls_;      // of the access, or of the plugin's last certificate
  std::string plugin_certificate_;            // the one in tls_
  std::shared_ptr<HttpClient> unary_;
  std::unordered_map<Exchange*, std::shared_ptr<Exchange>> live_;
  std::unordered_set<Exchange*> running_;  // unary calls that hold one of max_connections
  std::uint64_t unary_begun_ = 0;
  std::uint64_t unary_begun_before_ = 0;  // at the last look of keep_warm()
  std::deque<std::shared_ptr<Exchange>> waiting_;
  std::size_t attempts_ = 0;
  bool closing_ = false;
};

struct Whole {
  Transport::Callback done;
};
struct Streamed {
  std::shared_ptr<StreamHandler> handler;
  milliseconds idle{0};
};

// One request with its answer. All that happens to it happens on its strand, one after the other:
//
//   kWaiting    -> kCredential  when a connection may be used
//   kCredential -> kHead        with a credential; the request goes out
//   kHead       -> kBody        the answer begins
//   kHead       -> kHead        once, when a kept-alive connection had gone stale and the request may be
//   repeated kHead       -> kCredential  once, when the API server answered 401 and another credential can be
//   had any         -> kDone        the answer is complete, or it failed, ran out of time, was cancelled
//
// What belongs to an attempt that was given up carries an older number and is ignored.
class Exchange final : public std::enable_shared_from_this<Exchange> {
 public:
  using Consumer = std::variant<Whole, Streamed>;
  using Piece = pplx::task_completion_event<size_t>;

  Exchange(std::shared_ptr<Core> core, HttpRequest request, Consumer consumer)
      : core_(std::move(core)),
        request_(std::move(request)),
        consumer_(std::move(consumer)),
        strand_(service()),
        timer_(service()) {}

  bool is_unary() const { return std::holds_alternative<Whole>(consumer_); }
  void arm() {
    post([this] { set_timer(request_.deadline); });
  }
  void start() {
    post([this] { ask_for_credential(); });
  }
  void cancel() {
    post([this] { finish(TransportError{TransportFailure::kCancelled, "cancelled"}); });
  }
  // From BodySink. `data` stays valid until the task is done.
  pplx::task<size_t> arrived(int attempt, std::string_view data) {
    Piece piece;
    post([this, attempt, data, piece] { on_piece(attempt, data, piece); });
    return pplx::create_task(piece);
  }

 private:
  enum class Phase { kWaiting, kCredential, kHead, kBody, kDone };

  template <class Function>
  void post(Function function) {
    asio::post(strand_,
               [self = shared_from_this(), function = std::move(function)]() mutable { function(); });
  }

  void set_timer(milliseconds after) {
    timer_.expires_after(after);
    timer_.async_wait(asio::bind_executor(strand_, [self = shared_from_this(), after](const auto& error) {
      // A wait that was over just before it was set anew still comes here, without an error.
      if (!error && asio::steady_timer::clock_type::now() >= self->timer_.expiry()) {
        self->on_timer(after);
      }
    }));
  }

  void on_timer(milliseconds after) {
    if (phase_ == Phase::kBody && streaming_) {
      return finish(
          TransportError{TransportFailure::kTimeout,
                         fmt::format("nothing received from {} for {} ms", core_->server(), after.count())});
    }
    if (phase_ == Phase::kHead && client_) {
      core_->drop_connections(client_);  // a peer that vanished would swallow the next calls too
    }
    const char* what = phase_ == Phase::kWaiting      ? "no connection was free"
                       : phase_ == Phase::kCredential ? "the credential plugin did not answer"
                                                      : "no complete answer";
    finish(TransportError{TransportFailure::kTimeout,
                          fmt::format("{} within {} ms ({})", what, after.count(), core_->server())});
  }

  void ask_for_credential() {
    if (phase_ == Phase::kDone) {
      return;
    }
    phase_ = Phase::kCredential;
    core_->credentials().get([self = shared_from_this()](tl::expected<Credential, std::string> credential) {
      self->post([self, credential = std::move(credential)]() mutable {
        self->on_credential(std::move(credential));
      });
    });
  }

  void on_credential(tl::expected<Credential, std::string> credential) {
    if (phase_ != Phase::kCredential) {
      return;
    }
    if (!credential) {
      return finish(TransportError{TransportFailure::kCredentials, std::move(credential.error())});
    }
    credential_ = std::move(*credential);
    send();
  }

  void send() {
    phase_ = Phase::kHead;
    ++attempt_;
    auto client = is_unary() ? core_->unary_client(credential_)
                             : core_->stream_client(credential_,
                                                    std::get<Streamed>(consumer_).idle + request_.deadline);
    if (!client) {
      return finish(TransportError{TransportFailure::kCredentials, std::move(client.error())});
    }
    client_ = std::move(*client);
    source_ = pplx::cancellation_token_source();
    core_->attempt_began();
    try {
      const auto sink = std::make_shared<BodySink>(weak_from_this(), attempt_);
      http::http_request request = make_request();
      request.set_response_stream(concurrency::streams::streambuf<std::uint8_t>(sink).create_ostream());
      client_->request(request, source_.get_token())
          .then([self = shared_from_this(), attempt = attempt_](pplx::task<http::http_response> response) {
            follow(self, attempt, response);
          });
    } catch (...) {
      core_->attempt_ended();
      finish(failure_of(std::current_exception()));
    }
  }

  http::http_request make_request() const {
    http::http_request request(method_of(request_.method));
    request.set_request_uri(http::uri(request_.target));
    request.headers().add("User-Agent", std::string(user_agent()));
    request.headers().add("Accept", request_.accept);
    if (!credential_.authorization.empty()) {
      request.headers().add("Authorization", credential_.authorization);
    }
    if (request_.body.empty()) {
      return request;
    }
    if (request_.safe_to_repeat) {
      request.set_body(request_.body, request_.content_type);
      return request;
    }
    // cpprestsdk sends a request again by itself, whatever its method, when a kept-alive connection turns out
    // closed. It does not if it cannot rewind the body.
    concurrency::streams::producer_consumer_buffer<std::uint8_t> body;
    body.putn_nocopy(reinterpret_cast<const std::uint8_t*>(request_.body.data()), request_.body.size())
        .wait();
    body.close(std::ios_base::out).wait();
    request.set_body(body.create_istream(), request_.body.size(), request_.content_type);
    return request;
  }

  // On cpprestsdk's threads: brings head and end of an attempt to the strand, in this order.
  static void follow(const std::shared_ptr<Exchange>& self, int attempt,
                     pplx::task<http::http_response> task) {
    try {
      const http::http_response response = task.get();
      self->post(
          [self, attempt, head = head_of(response)]() mutable { self->on_head(attempt, std::move(head)); });
      response.content_ready().then([self, attempt](pplx::task<http::http_response> whole) {
        std::optional<TransportError> error;
        try {
          static_cast<void>(whole.get());
        } catch (...) {
          error = self->failure_of(std::current_exception());
        }
        self->post([self, attempt, error = std::move(error)]() mutable {
          self->core_->attempt_ended();
          self->on_body_end(attempt, std::move(error));
        });
      });
    } catch (...) {
      self->post([self, attempt, error = self->failure_of(std::current_exception())]() mutable {
        self->core_->attempt_ended();
        self->on_no_answer(attempt, std::move(error));
      });
    }
  }

  void on_no_answer(int attempt, TransportError error) {
    if (phase_ != Phase::kHead || attempt != attempt_) {
      return;
    }
    if (error.kind == TransportFailure::kCut && request_.safe_to_repeat && !repeated_) {
      repeated_ = true;
      core_->drop_connections(client_);
      return send();
    }
    finish(std::move(error));
  }

  void on_head(int attempt, HttpResponse head) {
    if (phase_ != Phase::kHead || attempt != attempt_) {
      return;
    }
    if (head.status == 401 && !renewed_ && core_->credentials().refused(credential_.generation)) {
      renewed_ = true;
      ++attempt_;
      refuse_pending();
      source_.cancel();
      return ask_for_credential();
    }
    phase_ = Phase::kBody;
    answer_ = std::move(head);
    streaming_ = !is_unary() && answer_.status >= 200 && answer_.status < 300;
    if (streaming_) {
      auto& streamed = std::get<Streamed>(consumer_);
      streamed.handler->on_head(answer_);
      set_timer(streamed.idle);
    }
    if (pending_) {
      const auto [data, piece] = *std::exchange(pending_, std::nullopt);
      take(data, piece);
    }
  }

  void on_piece(int attempt, std::string_view data, const Piece& piece) {
    if (attempt != attempt_ || phase_ == Phase::kDone) {
      return refuse(piece);
    }
    if (phase_ == Phase::kHead) {
      pending_.emplace(data, piece);  // it has overtaken its head
      return;
    }
    take(data, piece);
  }

  void take(std::string_view data, const Piece& piece) {
    if (streaming_) {
      auto& streamed = std::get<Streamed>(consumer_);
      set_timer(streamed.idle);
      streamed.handler->on_data(data);
    } else {
      const std::size_t limit = is_unary() ? request_.max_response_bytes : kMaxErrorBody;
      if (is_unary() && data.size() > limit - answer_.body.size()) {
        refuse(piece);
        return finish(TransportError{TransportFailure::kTooLarge,
                                     fmt::format("the answer is longer than {} bytes", limit)});
      }
      answer_.body.append(data.substr(0, limit - answer_.body.size()));
    }
    piece.set(data.size());
  }

  static void refuse(const Piece& piece) {
    piece.set_exception(http::http_exception("the answer is not wanted any more"));
  }
  void refuse_pending() {
    if (pending_) {
      refuse(std::exchange(pending_, std::nullopt)->second);
    }
  }

  void on_body_end(int attempt, std::optional<TransportError> error) {
    if (phase_ != Phase::kBody || attempt != attempt_) {
      return;
    }
    if (is_unary() || streaming_) {
      return finish(std::move(error));
    }
    finish(std::nullopt);  // what a stream's refusal says is worth telling also when it was cut short
  }

  // The only way out. No error: the answer is complete.
  void finish(std::optional<TransportError> error) {
    if (phase_ == Phase::kDone) {
      return;
    }
    const bool refused_stream = !is_unary() && phase_ == Phase::kBody && !streaming_;
    phase_ = Phase::kDone;
    timer_.cancel();
    refuse_pending();
    if (error) {
      source_.cancel();  // closes the connection; a complete answer leaves it open for the next
    }
    core_->release_slot(this);
    client_.reset();
    if (auto* whole = std::get_if<Whole>(&consumer_)) {
      if (error) {
        whole->done(tl::unexpected(std::move(*error)));
      } else {
        whole->done(std::move(answer_));
      }
      whole->done = nullptr;
    } else {
      auto& streamed = std::get<Streamed>(consumer_);
      if (refused_stream) {
        streamed.handler->on_head(answer_);
      }
      streamed.handler->on_end(std::move(error));
      streamed.handler.reset();
    }
    core_->end(this);
  }

  TransportError failure_of(const std::exception_ptr& exception) const;

  const std::shared_ptr<Core> core_;
  const HttpRequest request_;
  Consumer consumer_;
  asio::io_service::strand strand_;
  asio::steady_timer timer_;

  // On the strand only.
  Phase phase_ = Phase::kWaiting;
  int attempt_ = 0;
  bool repeated_ = false;
  bool renewed_ = false;
  bool streaming_ = false;  // a stream whose head was 2xx
  Credential credential_;
  std::shared_ptr<HttpClient> client_;
  pplx::cancellation_token_source source_;
  HttpResponse answer_;
  std::optional<std::pair<std::string_view, Piece>> pending_;
};

pplx::task<size_t> BodySink::_putn(const std::uint8_t* data, size_t size) {
  if (const auto exchange = exchange_.lock()) {
    return exchange->arrived(attempt_, {reinterpret_cast<const char*>(data), size});
  }
  return pplx::task_from_exception<size_t>(http::http_exception("the answer is not wanted any more"));
}

// The library's texts are the only thing that tells where a request was when it failed.
TransportError Exchange::failure_of(const std::exception_ptr& exception) const {
  const std::string server = core_->server();
  try {
    std::rethrow_exception(exception);
  } catch (const http::http_exception& error) {
    const std::string_view what = error.what();
    const auto code = static_cast<unsigned long>(error.error_code().value());
    if (what.find("resolv") != std::string_view::npos &&
        what.find("Error resolving") != std::string_view::npos) {
      return {TransportFailure::kConnect, fmt::format("cannot resolve the name in {}", server)};
    }
    if (what.find("Failed to connect") != std::string_view::npos ||
        what.find("Failed to resolve") != std::string_view::npos) {
      return {TransportFailure::kConnect,
              fmt::format(
                  "cannot connect to {}: refused or unreachable; is the API server up and its address right?",
                  server)};
    }
    const bool handshake = what.find("SSL handshake") != std::string_view::npos;
    const bool from_ssl = code > 0xffff && ERR_GET_LIB(code) == ERR_LIB_SSL;
    if (from_ssl || (handshake && code > 0xffff)) {
      const char* reason = ERR_reason_error_string(code);
      const std::string refusal = handshake ? core_->tls_refusal() : std::string();
      return {TransportFailure::kTls, fmt::format("TLS with {} failed: {}", server,
                                                  !refusal.empty()    ? refusal
                                                  : reason != nullptr ? reason
                                                                      : "no reason given")};
    }
    return {TransportFailure::kCut, fmt::format("the connection to {} was cut ({})", server, what)};
  } catch (const std::exception& error) {
    return {TransportFailure::kCut, fmt::format("the connection to {} failed ({})", server, error.what())};
  } catch (...) {
    return {TransportFailure::kCut, fmt::format("the connection to {} failed", server)};
  }
}

Core::Core(ClusterAccess access, TransportOptions options, std::shared_ptr<const TlsClient> tls)
    : access_(std::move(access)),
      options_(options),
      warm_timer_(service()),
      credentials_(std::make_unique<Credentials>(access_.credential)),
      tls_(std::move(tls)) {}

std::string Core::tls_refusal() {
  const std::lock_guard lock(mutex_);
  return tls_ ? tls_->last_refusal() : std::string();
}

void Core::begin(const std::shared_ptr<Exchange>& exchange) {
  bool start = false;
  bool refuse = false;
  {
    const std::lock_guard lock(mutex_);
    live_.emplace(exchange.get(), exchange);
    if (closing_) {
      refuse = true;
    } else if (!exchange->is_unary()) {
      start = true;
    } else if (++unary_begun_; running_.size() < options_.max_connections) {
      running_.insert(exchange.get());
      start = true;
    } else {
      waiting_.push_back(exchange);
    }
  }
  if (refuse) {
    return exchange->cancel();
  }
  exchange->arm();
  if (start) {
    exchange->start();
  }
}

void Core::release_slot(Exchange* exchange) {
  std::shared_ptr<Exchange> next;
  {
    const std::lock_guard lock(mutex_);
    if (running_.erase(exchange) == 0) {
      std::erase_if(waiting_, [&](const auto& waiting) { return waiting.get() == exchange; });
      return;
    }
    if (waiting_.empty()) {
      return;
    }
    next = std::move(waiting_.front());
    waiting_.pop_front();
    running_.insert(next.get());
  }
  next->start();
}

void Core::end(Exchange* exchange) {
  const std::lock_guard lock(mutex_);
  live_.erase(exchange);
  ended_.notify_all();
}

void Core::attempt_began() {
  const std::lock_guard lock(mutex_);
  ++attempts_;
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
  auto made = TlsClient::make({access_.ca_pem, credential.client_certificate_pem, credential.client_key_pem,
                               access_.tls_server_name.empty() ? access_.host : access_.tls_server_name,
                               access_.verification});
  if (!made) {
    return tl::unexpected("the credential plugin's answer: " + made.error());
  }
  tls_ = *made;
  plugin_certificate_ = credential.client_certificate_pem;
  unary_.reset();  // its connections were made as who we were before
  return tls_;
}

tl::expected<std::shared_ptr<HttpClient>, std::string> Core::unary_client(const Credential& credential) {
  const std::lock_guard lock(mutex_);
  auto tls = tls_for(credential);
  if (!tls) {
    return tl::unexpected(std::move(tls.error()));
  }
  if (!unary_) {
    unary_ = make_client(std::move(*tls), kLongestUnaryIdle);
  }
  return unary_;
}

tl::expected<std::shared_ptr<HttpClient>, std::string> Core::stream_client(const Credential& credential,
                                                                           milliseconds idle) {
  const std::lock_guard lock(mutex_);
  auto tls = tls_for(credential);
  if (!tls) {
    return tl::unexpected(std::move(tls.error()));
  }
  return make_client(std::move(*tls), idle + kBackstop);
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
      self->begin(std::make_shared<Exchange>(self, std::move(request), Whole{[](const auto&) {}}));
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
    core_->begin(std::make_shared<Exchange>(core_, std::move(request), Whole{std::move(done)}));
  }

  std::unique_ptr<StreamHandle> stream(HttpRequest request, milliseconds idle_timeout,
                                       std::shared_ptr<StreamHandler> handler) override {
    auto exchange =
        std::make_shared<Exchange>(core_, std::move(request), Streamed{std::move(handler), idle_timeout});
    core_->begin(exchange);
    return std::make_unique<Stream>(std::move(exchange));
  }

 private:
  const std::shared_ptr<Core> core_;
};

}  // namespace

Result<std::unique_ptr<Transport>> make_cpprest_transport(ClusterAccess access, TransportOptions options) {
  static std::once_flag once;
  std::call_once(once, [&] {
    try {
      crossplat::threadpool::initialize_with_threads(options.threads);
    } catch (const std::exception&) {
      // Someone else has started the pool; its size is theirs then.
    }
  });
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
  return std::make_unique<CpprestTransport>(
      std::make_shared<Core>(std::move(access), options, std::move(tls)));
}

}  // namespace poolwarden::kube
