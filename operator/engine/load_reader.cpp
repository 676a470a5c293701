#include "engine/load_reader.h"

#include "base/address.h"
#include "base/text.h"
#include "engine/byte_budgets.h"
#include "engine/connection.h"
#include "engine/engine_tls.h"
#include "kube/user_agent.h"

#include <algorithm>
#include <deque>
#include <optional>
#include <string_view>
#include <thread>
#include <unordered_map>
#include <utility>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <fmt/format.h>

namespace poolwarden::engine {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using asio::ip::tcp;
using boost::system::error_code;
using Answer = tl::expected<Load, NoLoad>;

constexpr std::size_t kPiece = 16u << 10;     // of a body, read at once
constexpr std::uint32_t kMaxHead = 8u << 10;  // status line and headers; also of what may follow the body
constexpr std::size_t kMaxPath = 2u << 10;    // none that is meant is longer
constexpr std::size_t kMaxKey = 8u << 10;     // of an engine, in bytes
constexpr int kPlainHttp = 11;                // HTTP/1.1, as Beast writes it
// What TLS may take in beside the answer, and what a handshake costs at least: its arithmetic takes about as
// long as reading so many bytes.
constexpr std::size_t kMaxHandshake = 64u << 10;
constexpr std::size_t kHandshakeCost = 16u << 10;

// What a person is told of a connection that failed.
std::string describe(const error_code& error, std::size_t max_bytes) {
  if (error == http::error::body_limit) {
    return fmt::format("answered with more than {} bytes", max_bytes);
  }
  if (error == http::error::partial_message || error == http::error::end_of_stream ||
      error == asio::error::eof || error == asio::error::connection_reset ||
      error == asio::error::broken_pipe) {
    return "ended the connection before its answer was complete";
  }
  if (error == asio::error::connection_refused) {
    return "refused the connection";
  }
  if (error.category() == make_error_code(http::error::bad_version).category()) {
    return fmt::format("did not answer in HTTP that can be read ({})", error.message());
  }
  return fmt::format("cannot be reached ({})", error.message());
}

// One read of one pod. Lives as long as one of its ports has not answered.
struct Reading {
  LoadRequest request;
  LoadReader::Callback done;
  std::vector<Answer> answers;  // as many as sources
  std::size_t missing = 0;

  void answer(std::size_t source, Answer answer) {
    answers[source] = std::move(answer);
    if (--missing == 0) {
      done(load_of_those_that_answer(answers));
    }
  }
};

bool is_path(std::string_view path) {
  return path.starts_with('/') && path.size() <= kMaxPath && base::is_plain_word(path);
}

// Nothing in it ends a header's line.
bool is_sendable(const ApiKey& key) {
  const auto printable = [](char c) { return c >= ' ' && c <= '~'; };
  return key.value.size() <= kMaxKey && std::all_of(key.value.begin(), key.value.end(), printable);
}

// What is wrong with a request, before anyone is asked.
std::optional<std::string> problem(const LoadRequest& request, bool allow_loopback) {
  const auto kind = base::kind_of(request.ip);
  if (!kind) {
    return fmt::format("\"{}\" is no IP address", request.ip);
  }
  if (const auto refused = base::refused_as_pod(*kind, allow_loopback); !refused.empty()) {
    return fmt::format("the pod says that its address is {}: that is {}, which is not asked for metrics",
                       request.ip, refused);
  }
  if (request.sources.empty()) {
    return "there is no port to ask for metrics: set spec.engine.metricsPort or spec.targetPorts";
  }
  for (const LoadSource& source : request.sources) {
    if (source.port < 1 || source.port > 65'535) {
      return fmt::format("{} is no port: it must be 1 to 65535", source.port);
    }
    if (!is_path(source.path)) {
      return fmt::format("spec.engine.metricsPath must begin with / and be at most {} characters of a URL",
                         kMaxPath);
    }
    if (source.api_key && !is_sendable(*source.api_key)) {
      return fmt::format("the key is not sent: no header may hold it, or it is longer than {} bytes",
                         kMaxKey);
    }
  }
  return std::nullopt;
}

}  // namespace

LoadSource server_load_of(std::int32_t port) {
  LoadSource out{.port = port, .path = "/load", .metrics = {}, .is_server_load = true};
  out.metrics.hint = "vLLM says there what it has taken in, with --enable-server-load-tracking";
  return out;
}

// All of it happens on the one thread, but for the constructor, the destructor and the posting in read().
class LoadReader::Impl {
 public:
  explicit Impl(LoadReaderOptions options)
      : options_(options),
        budgets_(options.bytes_per_second),
        work_(io_.get_executor()),
        thread_([this] { io_.run(); }) {}
  ~Impl() {
    asio::post(io_, [this] { stop(); });
    thread_.join();
  }

  void read(LoadRequest request, Callback done) {
    auto reading = std::make_shared<Reading>(Reading{std::move(request), std::move(done), {}, 0});
    asio::post(io_, [this, reading] { begin(reading); });
  }

 private:
  class Fetch;
  void begin(const std::shared_ptr<Reading>& reading);
  void stop();
  void ended(Fetch& fetch);

  const LoadReaderOptions options_;
  ByteBudgets budgets_;
  TlsContexts contexts_;
  asio::io_context io_{1};
  asio::executor_work_guard<asio::io_context::executor_type> work_;
  std::unordered_map<Fetch*, std::shared_ptr<Fetch>> connected_;  // at most max_connections
  std::deque<std::shared_ptr<Fetch>> waiting_;                    // at most max_waiting
  bool stopping_ = false;
  std::thread thread_;  // last: it uses all of the above
};

// One port's answer on its way: waits for its turn, connects, asks, reads. finish() is the only way out,
// once.
class LoadReader::Impl::Fetch : public std::enable_shared_from_this<Fetch> {
 public:
  Fetch(Impl& owner, std::shared_ptr<Reading> reading, std::size_t source)
      : owner_(owner),
        reading_(std::move(reading)),
        index_(source),
        source_(reading_->request.sources[source]),
        endpoint_(asio::ip::make_address(reading_->request.ip), static_cast<std::uint16_t>(source_.port)),
        connection_(owner.io_, most_bytes(owner.options_, source_)),
        timer_(owner.io_),
        pause_(owner.io_),
        text_(source_.metrics) {}

  void arm() {
    timer_.expires_after(reading_->request.deadline);
    timer_.async_wait([self = shared_from_this()](const error_code& error) {
      if (!error) {
        self->on_deadline();
      }
    });
  }
  void connect();
  void cancel() { fail("was not read: the reader is being stopped"); }

 private:
  // What frames the chunks of a body counts no more than the body may.
  static std::size_t most_bytes(const LoadReaderOptions& options, const LoadSource& source) {
    return kMaxHead + 2 * options.max_bytes + (source.tls ? kMaxHandshake : 0);
  }
  void on_deadline();
  void ask();
  void read_on();
  void on_bytes(error_code error, std::size_t count);
  void parse();
  bool parse_head();
  bool parse_body();
  bool is_welcome();
  void refuse_key(unsigned status);
  void conclude();
  void charge(std::size_t besides = 0);
  std::string address() const {
    const auto ip = endpoint_.address();
    return fmt::format(fmt::runtime(ip.is_v6() ? "[{}]:{}" : "{}:{}"), ip.to_string(), endpoint_.port());
  }
  std::string url() const {
    return fmt::format("{}://{}{}", source_.tls ? "https" : "http", address(), source_.path);
  }
  void fail(const std::string& what, bool refused = false, std::uint64_t refused_key = 0) {
    finish(tl::unexpected(NoLoad{fmt::format("{} {}", url(), what), refused, refused_key}));
  }
  void fail(const error_code& error) {
    const std::string of_tls = connection_.describe(error);
    fail(of_tls.empty() ? describe(error, owner_.options_.max_bytes) : of_tls,
         error == asio::error::connection_refused && !connection_.is_connected());
  }
  void finish(Answer answer);
  // A step of the exchange: `next` is called when it went well, and never after finish().
  template <class Next>
  auto then(Next next) {
    return [self = shared_from_this(), next](const error_code& error, auto&&...) {
      if (self->finished_) {
        return;
      }
      if (error) {
        return self->fail(error);
      }
      next(*self);
    };
  }

  // True: its namespace has used up its budget, and `next` is called when it may go on.
  template <class Next>
  bool waits(Next next) {
    const auto wait = owner_.budgets_.wait(reading_->request.ns, std::chrono::steady_clock::now());
    waits_for_budget_ = wait > std::chrono::steady_clock::duration::zero();
    if (waits_for_budget_) {
      pause_.expires_after(wait);
      pause_.async_wait(then(next));
    }
    return waits_for_budget_;
  }

  Impl& owner_;
  const std::shared_ptr<Reading> reading_;
  const std::size_t index_;
  const LoadSource& source_;  // of reading_
  const tcp::endpoint endpoint_;
  Connection connection_;
  asio::steady_timer timer_;
  asio::steady_timer pause_;
  http::request<http::empty_body> request_;
  boost::beast::flat_buffer buffer_{kMaxHead + kPiece};
  http::response_parser<http::buffer_body> parser_;
  std::size_t charged_ = 0;  // bytes that came, and that its namespace's budget has paid for
  std::size_t head_ = 0;     // of them, those that were parsed as its head
  bool waits_for_budget_ = false;
  std::vector<char> piece_;  // empty until it is its turn
  LoadText text_;
  std::string document_;  // of a source that has no metrics; at most kMaxServerLoad
  bool finished_ = false;
};

void LoadReader::Impl::Fetch::connect() {
  piece_.resize(kPiece);
  if (source_.tls) {
    // Also for handshakes that come to nothing, and for bundles that are read in vain.
    if (waits([](Fetch& fetch) { fetch.connect(); })) {
      return;
    }
    charge(kHandshakeCost + source_.tls->ca_bundle.size());
    auto context = owner_.contexts_.of(*source_.tls);
    if (!context) {
      // Later: whoever has begun this one may be about to begin others.
      return asio::post(owner_.io_, [self = shared_from_this(), why = std::move(context.error())] {
        self->fail("was not asked: " + why);
      });
    }
    connection_.secure(std::move(*context), source_.tls);
  }
  connection_.open(endpoint_, then([](Fetch& fetch) { fetch.ask(); }));
}

// Its namespace pays for what has come, and for so much besides.
void LoadReader::Impl::Fetch::charge(std::size_t besides) {
  const std::size_t fresh = connection_.received() - charged_;
  charged_ += fresh;
  owner_.budgets_.spend(reading_->request.ns, fresh + besides, std::chrono::steady_clock::now());
}

void LoadReader::Impl::Fetch::on_deadline() {
  const auto limit = reading_->request.deadline.count();
  if (piece_.empty()) {
    return fail(fmt::format("had to wait for too many others and was not asked within {} ms", limit));
  }
  if (source_.tls && connection_.is_connected() && request_.target().empty()) {
    return fail(fmt::format("did not finish its TLS handshake within {} ms", limit));
  }
  if (waits_for_budget_) {
    return fail(fmt::format(
        "was not read to its end within {} ms: the engines of its namespace answer with more than "
        "{} bytes a second",
        limit, owner_.options_.bytes_per_second));
  }
  fail(fmt::format("gave no complete answer within {} ms", limit));
}

void LoadReader::Impl::Fetch::ask() {
  request_.version(kPlainHttp);
  request_.method(http::verb::get);
  request_.target(source_.path);
  const bool has_name = source_.tls && !source_.tls->server_name.empty();
  request_.set(http::field::host, has_name ? source_.tls->server_name : address());
  if (source_.api_key) {
    request_.set(http::field::authorization, "Bearer " + source_.api_key->value);
  }
  request_.set(http::field::user_agent, std::string(kube::user_agent()));
  request_.set(http::field::accept, "text/plain;version=0.0.4");
  request_.set(http::field::connection, "close");
  parser_.header_limit(kMaxHead);
  parser_.body_limit(owner_.options_.max_bytes);
  connection_.write([this](auto& stream) {
    http::async_write(stream, request_, then([](Fetch& fetch) { fetch.read_on(); }));
  });
}

// Beast's own reading would go on for as long as there is a head to read: its limit is that of what it has
// not parsed yet, so that a head of many short fields has none. So the bytes are counted here.
void LoadReader::Impl::Fetch::read_on() {
  if (waits([](Fetch& fetch) { fetch.read_on(); })) {
    return;
  }
  const std::size_t room = std::min(kPiece, buffer_.max_size() - buffer_.size());
  if (room == 0) {
    return fail(describe(http::error::buffer_overflow, owner_.options_.max_bytes));
  }
  connection_.read_some(buffer_.prepare(room),
                        [self = shared_from_this()](const error_code& error, std::size_t count) {
                          self->on_bytes(error, count);
                        });
}

void LoadReader::Impl::Fetch::on_bytes(error_code error, std::size_t count) {
  if (finished_) {
    return;
  }
  if (error == asio::error::eof && parser_.got_some()) {
    error.clear();
    parser_.put_eof(error);
    if (!error) {
      return conclude();
    }
  }
  if (error) {
    return fail(error);
  }
  buffer_.commit(count);
  charge();
  parse();
}

void LoadReader::Impl::Fetch::parse() {
  while (buffer_.size() > 0 && !parser_.is_done()) {
    if (!(parser_.is_header_done() ? parse_body() : parse_head())) {
      return;
    }
  }
  if (parser_.is_done()) {
    return conclude();
  }
  read_on();
}

// As much as has come. False: there is nothing more to do with it for now.
bool LoadReader::Impl::Fetch::parse_head() {
  constexpr char kTlsAlert = 0x15;  // RFC 8446, section 5.1
  if (head_ == 0 && *static_cast<const char*>(buffer_.data().data()) == kTlsAlert) {
    fail("answered in TLS: set spec.engine.scheme to https");
    return false;
  }
  error_code error;
  const std::size_t used = parser_.put(buffer_.data(), error);
  buffer_.consume(used);
  head_ += used;
  const bool is_incomplete = error == http::error::need_more;
  if (error && !is_incomplete) {
    fail(describe(error, owner_.options_.max_bytes));
    return false;
  }
  if (head_ + (is_incomplete ? buffer_.size() : 0) > kMaxHead) {
    fail(describe(http::error::header_limit, owner_.options_.max_bytes));
    return false;
  }
  if (is_incomplete) {
    read_on();
    return false;
  }
  return !parser_.is_header_done() || is_welcome();
}

bool LoadReader::Impl::Fetch::parse_body() {
  parser_.get().body() = {piece_.data(), piece_.size(), true};
  error_code error;
  buffer_.consume(parser_.put(buffer_.data(), error));
  const std::string_view piece{piece_.data(), piece_.size() - parser_.get().body().size};
  if (source_.is_server_load) {
    document_.append(piece);
  } else {
    text_.feed(piece);
  }
  if (document_.size() > kMaxServerLoad) {
    fail(describe(http::error::body_limit, kMaxServerLoad));
    return false;
  }
  if (error == http::error::need_more) {
    read_on();
    return false;
  }
  if (error && error != http::error::need_buffer) {  // which only says that the piece is full
    fail(describe(error, owner_.options_.max_bytes));
    return false;
  }
  return true;
}

bool LoadReader::Impl::Fetch::is_welcome() {
  const unsigned status = parser_.get().result_int();
  if (status == 200) {
    return true;
  }
  if (status >= 300 && status < 400) {
    fail(fmt::format("answered {}, a redirect, which is not followed", status));
  } else if (status == 401 || status == 403) {
    refuse_key(status);
  } else if (status == 404) {
    fail(fmt::format("answered 404; see spec.engine.{} ({})",
                     source_.is_server_load ? "serverLoad" : "metricsPort and metricsPath",
                     source_.metrics.hint));
  } else {
    fail(fmt::format("answered {}", status));
  }
  return false;
}

void LoadReader::Impl::Fetch::refuse_key(unsigned status) {
  if (!source_.api_key) {
    return fail(
        fmt::format("answered {}: an engine that wants a key needs spec.engine.apiKeySecret", status));
  }
  fail(fmt::format("answered {}: it did not accept the key of spec.engine.apiKeySecret", status),
       /*refused=*/false, source_.api_key->id);
}

void LoadReader::Impl::Fetch::conclude() {
  auto load = source_.is_server_load ? read_server_load(document_) : text_.finish();
  if (!load) {
    return finish(tl::unexpected(NoLoad{fmt::format("{}: {}", url(), load.error())}));
  }
  finish(*load);
}

void LoadReader::Impl::Fetch::finish(Answer answer) {
  if (finished_) {
    return;
  }
  finished_ = true;
  const auto self = shared_from_this();
  timer_.cancel();
  pause_.cancel();
  charge();
  connection_.close();
  owner_.ended(*this);
  reading_->answer(index_, std::move(answer));
}

void LoadReader::Impl::begin(const std::shared_ptr<Reading>& reading) {
  const auto refuse = [&](std::string why) { reading->done(tl::unexpected(NoLoad{std::move(why)})); };
  if (stopping_) {
    return refuse("was not read: the reader is being stopped");
  }
  if (auto wrong = problem(reading->request, options_.allow_loopback)) {
    return refuse(std::move(*wrong));
  }
  const std::size_t ports = reading->request.sources.size();
  const std::size_t room =
      options_.max_connections - connected_.size() + options_.max_waiting - waiting_.size();
  if (ports > room) {
    return refuse("the metrics were not read: too many engines are being read at once");
  }
  reading->answers.resize(ports);
  reading->missing = ports;
  for (std::size_t port = 0; port < ports; ++port) {
    const auto fetch = std::make_shared<Fetch>(*this, reading, port);
    fetch->arm();
    if (connected_.size() < options_.max_connections) {
      connected_.emplace(fetch.get(), fetch);
      fetch->connect();
    } else {
      waiting_.push_back(fetch);
    }
  }
}

void LoadReader::Impl::ended(Fetch& fetch) {
  if (connected_.erase(&fetch) == 0) {
    std::erase_if(waiting_, [&](const auto& waiting) { return waiting.get() == &fetch; });
  } else if (!waiting_.empty() && !stopping_) {
    const auto next = std::move(waiting_.front());
    waiting_.pop_front();
    connected_.emplace(next.get(), next);
    next->connect();
  }
}

void LoadReader::Impl::stop() {
  stopping_ = true;
  std::vector<std::shared_ptr<Fetch>> live(waiting_.begin(), waiting_.end());
  for (const auto& [key, fetch] : connected_) {
    live.push_back(fetch);
  }
  for (const auto& fetch : live) {
    fetch->cancel();
  }
  work_.reset();
}

LoadReader::LoadReader(LoadReaderOptions options) : impl_(std::make_unique<Impl>(options)) {}
LoadReader::~LoadReader() = default;

void LoadReader::read(LoadRequest request, Callback done) {
  impl_->read(std::move(request), std::move(done));
}

}  // namespace poolwarden::engine
