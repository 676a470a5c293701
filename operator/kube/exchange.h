// One request with its answer, from the caller's send() or stream() to the last callback. It has the
// credential, the deadlines, a second try where that is right, and exactly one end. It knows nothing of the
// library that moves the bytes: that is an Attempt, made by the ExchangeHost.
//
// Threads: the public functions may be called from any. All that happens to an exchange then happens on its
// strand, one after the other, on a thread of the io_service. Callbacks are made there too.
#pragma once

#include "kube/credentials.h"
#include "kube/transport.h"

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include <boost/asio/io_service.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>

namespace poolwarden::kube {

class Exchange;

// A request on its way. Reports to its exchange: head() or no_answer(); after a head pieces and body_end().
class Attempt {
 public:
  virtual ~Attempt() = default;
  virtual void cancel() = 0;  // closes the connection
  // The connections this one came from are not to be trusted any more: the next attempt gets a new one.
  virtual void discard_idle_connections() = 0;
};

class ExchangeHost {
 public:
  virtual ~ExchangeHost() = default;
  virtual Credentials& credentials() = 0;
  virtual std::string server() const = 0;  // "10.0.0.1:6443", for messages
  // `idle`: of a stream; nothing for a unary call. Reports are marked with `number`.
  virtual tl::expected<std::shared_ptr<Attempt>, TransportError> begin_attempt(
      const std::shared_ptr<Exchange>& exchange, int number, const HttpRequest& request,
      const Credential& credential, std::optional<std::chrono::milliseconds> idle) = 0;
  virtual void network_done(Exchange* exchange) = 0;  // before the last callback
  virtual void all_done(Exchange* exchange) = 0;      // after it
};

class Exchange final : public std::enable_shared_from_this<Exchange> {
 public:
  struct Whole {
    Transport::Callback done;
  };
  struct Streamed {
    std::shared_ptr<StreamHandler> handler;
    std::chrono::milliseconds idle{0};
  };
  using Consumer = std::variant<Whole, Streamed>;
  // Called once for each piece: true when the next one is wanted, false when the answer is not any more.
  using Resume = std::function<void(bool)>;

  Exchange(std::shared_ptr<ExchangeHost> host, boost::asio::io_service& service, HttpRequest request,
           Consumer consumer);

  bool is_unary() const { return std::holds_alternative<Whole>(consumer_); }
  CallLane lane() const { return request_.lane; }
  void arm();    // the deadline runs from here, also while a connection is waited for
  void start();  // a connection may be used
  void cancel();

  // From attempts. `data` stays valid until `resume` is called; until then nothing more comes.
  void head(int attempt, HttpResponse head);
  void piece(int attempt, std::string_view data, Resume resume);
  void body_end(int attempt, std::optional<TransportError> error);
  void no_answer(int attempt, TransportError error);

 private:
  // kWaiting    -> kCredential  when a connection may be used
  // kCredential -> kHead        with a credential; the request goes out
  // kHead       -> kBody        the answer begins
  // kHead       -> kHead        once: a kept-alive connection had gone stale, the request may be repeated
  // kHead       -> kCredential  once: the API server answered 401, and another credential can be had
  // any         -> kDone        the answer is complete, or it failed, ran out of time, was cancelled
  //
  // Reports of an attempt that was given up carry an older number and are ignored.
  enum class Phase { kWaiting, kCredential, kHead, kBody, kDone };

  template <class Function>
  void post(Function function);
  void set_timer(std::chrono::milliseconds after);
  void on_timer(std::chrono::milliseconds after);
  void ask_for_credential();
  void on_credential(tl::expected<Credential, std::string> credential);
  void send();
  void on_head(int attempt, HttpResponse head);
  void on_piece(int attempt, std::string_view data, const Resume& resume);
  void take(std::string_view data, const Resume& resume);
  void refuse_pending();
  void on_body_end(int attempt, std::optional<TransportError> error);
  void on_no_answer(int attempt, TransportError error);
  void finish(std::optional<TransportError> error);
  void complete(bool refused_stream, std::optional<TransportError> error);

  const std::shared_ptr<ExchangeHost> host_;
  const HttpRequest request_;
  // Its own: those of io_service share 193 places, where one callback that waits holds up the calls beside
  // it.
  boost::asio::strand<boost::asio::io_service::executor_type> strand_;

  // On the strand only.
  Consumer consumer_;
  boost::asio::steady_timer timer_;
  Phase phase_ = Phase::kWaiting;
  int attempt_number_ = 0;
  std::shared_ptr<Attempt> attempt_;
  bool repeated_ = false;
  bool renewed_ = false;
  bool streaming_ = false;  // a stream whose head was 2xx
  Credential credential_;
  HttpResponse answer_;
  std::optional<std::pair<std::string_view, Resume>> pending_;  // a piece that has overtaken its head
};

}  // namespace poolwarden::kube
