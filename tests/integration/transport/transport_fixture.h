// What the transport's tests share: an authority, servers signed by it, and callers that wait for answers.
#pragma once

#include "https_server.h"
#include "kube/cpprest_transport.h"
#include "support/certificates.h"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <future>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace poolwarden::test {

using namespace std::chrono_literals;
using kube::HttpRequest;
using kube::HttpResponse;
using kube::TransportError;
using kube::TransportFailure;
using Answer = tl::expected<HttpResponse, TransportError>;

constexpr auto kLong = 20s;  // that no test waits for unless it fails

inline const Authority& authority() {
  static const Authority instance("Test Authority");
  return instance;
}

inline HttpsServer::Options localhost_server() {
  static const Identity identity = authority().issue("server", {"DNS:localhost", "IP:127.0.0.1"});
  HttpsServer::Options options;
  options.certificate_pem = identity.certificate_pem;
  options.key_pem = identity.key_pem;
  return options;
}

inline kube::ClusterAccess access_to(std::uint16_t port) {
  kube::ClusterAccess access;
  access.source = "test";
  access.host = "127.0.0.1";
  access.port = port;
  access.ca_pem = authority().pem();
  return access;
}

inline std::unique_ptr<kube::Transport> transport_to(kube::ClusterAccess access,
                                                     kube::TransportOptions options = {}) {
  auto made = kube::make_cpprest_transport(std::move(access), options);
  if (!made) {
    ADD_FAILURE() << made.error().message;
    return nullptr;
  }
  return std::move(*made);
}

inline HttpRequest get_request(std::string target = "/") {
  HttpRequest request;
  request.target = std::move(target);
  request.safe_to_repeat = true;
  return request;
}

inline HttpRequest patch_request(std::string body, bool safe_to_repeat) {
  HttpRequest request;
  request.method = kube::HttpMethod::kPatch;
  request.target = "/api/v1/namespaces/ns/configmaps/x";
  request.body = std::move(body);
  request.content_type = "application/merge-patch+json";
  request.safe_to_repeat = safe_to_repeat;
  return request;
}

// Counts how often each callback came: it must be once.
class Caller {
 public:
  std::future<Answer> send(kube::Transport& transport, HttpRequest request) {
    auto promise = std::make_shared<std::promise<Answer>>();
    auto future = promise->get_future();
    transport.send(std::move(request), [promise](Answer answer) { promise->set_value(std::move(answer)); });
    return future;  // a second callback would throw
  }
};

inline Answer ask(kube::Transport& transport, HttpRequest request) {
  auto future = Caller().send(transport, std::move(request));
  if (future.wait_for(kLong) != std::future_status::ready) {
    ADD_FAILURE() << "no callback";
    return tl::unexpected(TransportError{TransportFailure::kCancelled, "no callback"});
  }
  return future.get();
}

template <class Condition>
bool becomes_true(Condition condition) {
  const auto until = std::chrono::steady_clock::now() + kLong;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > until) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return true;
}

inline std::string failure_text(const Answer& answer) {
  return answer ? "no failure but status " + std::to_string(answer->status) : answer.error().message;
}

class Recorder final : public kube::StreamHandler {
 public:
  void on_head(const HttpResponse& head) override {
    const std::lock_guard lock(mutex_);
    EXPECT_FALSE(head_) << "a second head";
    EXPECT_FALSE(ended_);
    head_ = head;
    changed_.notify_all();
  }
  void on_data(std::string_view chunk) override {
    const std::lock_guard lock(mutex_);
    EXPECT_TRUE(head_) << "data before the head";
    EXPECT_FALSE(ended_) << "data after the end";
    data_ += chunk;
    changed_.notify_all();
  }
  void on_end(std::optional<TransportError> error) override {
    const std::lock_guard lock(mutex_);
    EXPECT_FALSE(ended_) << "a second end";
    ended_ = true;
    error_ = std::move(error);
    ended_at_ = std::chrono::steady_clock::now();
    changed_.notify_all();
  }

  bool wait_for_data(const std::string& all) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, kLong, [&] { return data_ == all; });
  }
  bool wait_for_head() {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, kLong, [&] { return head_.has_value(); });
  }
  bool wait_for_end() {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, kLong, [&] { return ended_; });
  }
  HttpResponse head() {
    const std::lock_guard lock(mutex_);
    return head_.value_or(HttpResponse{});
  }
  bool has_head() {
    const std::lock_guard lock(mutex_);
    return head_.has_value();
  }
  std::string data() {
    const std::lock_guard lock(mutex_);
    return data_;
  }
  std::optional<TransportError> error() {
    const std::lock_guard lock(mutex_);
    return error_;
  }
  bool ended() {
    const std::lock_guard lock(mutex_);
    return ended_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::optional<HttpResponse> head_;
  std::string data_;
  bool ended_ = false;
  std::optional<TransportError> error_;
  std::chrono::steady_clock::time_point ended_at_{};
};

}  // namespace poolwarden::test
