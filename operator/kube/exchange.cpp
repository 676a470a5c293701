#include "kube/exchange.h"

#include <algorithm>

#include <boost/asio/bind_executor.hpp>
#include <boost/asio/post.hpp>
#include <fmt/format.h>

namespace poolwarden::kube {
namespace {

namespace asio = boost::asio;
using std::chrono::milliseconds;

constexpr std::size_t kMaxErrorBody = 64u << 10;  // of a stream's refusal

}  // namespace

Exchange::Exchange(std::shared_ptr<ExchangeHost> host, asio::io_service& service, HttpRequest request,
                   Consumer consumer)
    : host_(std::move(host)),
      request_(std::move(request)),
      strand_(service.get_executor()),
      consumer_(std::move(consumer)),
      timer_(service) {}

template <class Function>
void Exchange::post(Function function) {
  asio::post(strand_, [self = shared_from_this(), function = std::move(function)]() mutable { function(); });
}

void Exchange::arm() {
  post([this] {
    if (phase_ == Phase::kDone) {
      return;
    }
    if (request_.deadline <= milliseconds::zero()) {
      return finish(TransportError{TransportFailure::kNotSent,
                                   fmt::format("not sent: its time was up ({})", host_->server())});
    }
    set_timer(request_.deadline);
  });
}

void Exchange::start() {
  post([this] { ask_for_credential(); });
}

void Exchange::cancel() {
  post([this] { finish(TransportError{TransportFailure::kCancelled, "cancelled"}); });
}

void Exchange::head(int attempt, HttpResponse head) {
  post([this, attempt, head = std::move(head)]() mutable { on_head(attempt, std::move(head)); });
}

void Exchange::piece(int attempt, std::string_view data, Resume resume) {
  post([this, attempt, data, resume = std::move(resume)] { on_piece(attempt, data, resume); });
}

void Exchange::body_end(int attempt, std::optional<TransportError> error) {
  post([this, attempt, error = std::move(error)]() mutable { on_body_end(attempt, std::move(error)); });
}

void Exchange::no_answer(int attempt, TransportError error) {
  post([this, attempt, error = std::move(error)]() mutable { on_no_answer(attempt, std::move(error)); });
}

void Exchange::set_timer(milliseconds after) {
  timer_.expires_after(after);
  timer_.async_wait(asio::bind_executor(strand_, [self = shared_from_this(), after](const auto& error) {
    // A wait that was over just before it was set anew still comes here, without an error.
    if (!error && asio::steady_timer::clock_type::now() >= self->timer_.expiry()) {
      self->on_timer(after);
    }
  }));
}

void Exchange::on_timer(milliseconds after) {
  if (phase_ == Phase::kBody && streaming_) {
    return finish(TransportError{TransportFailure::kTimeout, fmt::format("nothing received from {} for {} ms",
                                                                         host_->server(), after.count())});
  }
  if (phase_ == Phase::kHead && attempt_) {
    attempt_->discard_idle_connections();  // a peer that vanished would swallow the next calls too
  }
  const bool waiting = phase_ == Phase::kWaiting;
  const char* what = waiting                        ? "not sent: no connection was free"
                     : phase_ == Phase::kCredential ? "the credential plugin did not answer"
                                                    : "no complete answer";
  finish(TransportError{waiting ? TransportFailure::kNotSent : TransportFailure::kTimeout,
                        fmt::format("{} within {} ms ({})", what, after.count(), host_->server())});
}

void Exchange::ask_for_credential() {
  if (phase_ == Phase::kDone) {
    return;
  }
  phase_ = Phase::kCredential;
  host_->credentials().get([self = shared_from_this()](tl::expected<Credential, std::string> credential) {
    self->post(
        [self, credential = std::move(credential)]() mutable { self->on_credential(std::move(credential)); });
  });
}

void Exchange::on_credential(tl::expected<Credential, std::string> credential) {
  if (phase_ != Phase::kCredential) {
    return;
  }
  if (!credential) {
    return finish(TransportError{TransportFailure::kCredentials, std::move(credential.error())});
  }
  credential_ = std::move(*credential);
  send();
}

void Exchange::send() {
  phase_ = Phase::kHead;
  ++attempt_number_;
  const auto* streamed = std::get_if<Streamed>(&consumer_);
  auto attempt = host_->begin_attempt(shared_from_this(), attempt_number_, request_, credential_,
                                      streamed != nullptr ? std::optional(streamed->idle) : std::nullopt);
  if (!attempt) {
    return finish(std::move(attempt.error()));
  }
  attempt_ = std::move(*attempt);
}

void Exchange::on_no_answer(int attempt, TransportError error) {
  if (phase_ != Phase::kHead || attempt != attempt_number_) {
    return;
  }
  if (error.kind == TransportFailure::kCut && request_.safe_to_repeat && !repeated_) {
    repeated_ = true;
    attempt_->discard_idle_connections();
    return send();
  }
  finish(std::move(error));
}

void Exchange::on_head(int attempt, HttpResponse head) {
  if (phase_ != Phase::kHead || attempt != attempt_number_) {
    return;
  }
  if (head.status == 401 && !renewed_ && host_->credentials().refused(credential_.generation)) {
    renewed_ = true;
    ++attempt_number_;
    refuse_pending();
    attempt_->cancel();
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
    const auto [data, resume] = *std::exchange(pending_, std::nullopt);
    take(data, resume);
  }
}

void Exchange::on_piece(int attempt, std::string_view data, const Resume& resume) {
  if (attempt != attempt_number_ || phase_ == Phase::kDone) {
    resume(false);
  } else if (phase_ == Phase::kHead) {
    pending_.emplace(data, resume);
  } else {
    take(data, resume);
  }
}

void Exchange::take(std::string_view data, const Resume& resume) {
  if (streaming_) {
    auto& streamed = std::get<Streamed>(consumer_);
    set_timer(streamed.idle);
    streamed.handler->on_data(data);
    return resume(true);
  }
  const std::size_t limit = is_unary() ? request_.max_response_bytes : kMaxErrorBody;
  const std::size_t room = limit - answer_.body.size();
  if (is_unary() && data.size() > room) {
    resume(false);
    return finish(TransportError{TransportFailure::kTooLarge,
                                 fmt::format("the answer is longer than {} bytes", limit)});
  }
  answer_.body.append(data.substr(0, room));
  resume(true);
}

void Exchange::refuse_pending() {
  if (pending_) {
    std::exchange(pending_, std::nullopt)->second(false);
  }
}

void Exchange::on_body_end(int attempt, std::optional<TransportError> error) {
  if (phase_ != Phase::kBody || attempt != attempt_number_) {
    return;
  }
  if (is_unary() || streaming_) {
    return finish(std::move(error));
  }
  finish(std::nullopt);  // what a stream's refusal says is worth reporting also when it was cut short
}

// The only way out. No error: the answer is complete.
void Exchange::finish(std::optional<TransportError> error) {
  if (phase_ == Phase::kDone) {
    return;
  }
  const bool refused_stream = !is_unary() && phase_ == Phase::kBody && !streaming_;
  phase_ = Phase::kDone;
  timer_.cancel();
  refuse_pending();
  if (error && attempt_) {
    attempt_->cancel();  // a complete answer leaves the connection open for the next
  }
  attempt_.reset();
  host_->network_done(this);
  complete(refused_stream, std::move(error));
  host_->all_done(this);
}

void Exchange::complete(bool refused_stream, std::optional<TransportError> error) {
  if (auto* whole = std::get_if<Whole>(&consumer_)) {
    const Transport::Callback done = std::exchange(whole->done, nullptr);
    if (error) {
      done(tl::unexpected(std::move(*error)));
    } else {
      done(std::move(answer_));
    }
    return;
  }
  const auto handler = std::exchange(std::get<Streamed>(consumer_).handler, nullptr);
  if (refused_stream) {
    handler->on_head(answer_);
  }
  handler->on_end(std::move(error));
}

}  // namespace poolwarden::kube
