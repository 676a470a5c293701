// A port at which connections are made and nothing is ever said.
//
// `kubectl delete -k` takes the pools' definition and the operator's permissions away within a tenth of a
// second. That is too little to take the labels off the pods of those pools. So the install registers a
// validating webhook that leads here, for the deletion of the operator's own ClusterRole alone. The API
// server waits for its timeout (3 s), and then goes on, by failurePolicy Ignore. While no operator runs
// nobody listens, and nothing waits. There is no answer to get wrong, so there is no certificate to keep
// either.
//
// Owned by run_operator; no thread. The kernel completes the connections, and drops new ones when there are
// too many, which delays just as well.
#pragma once

#include <string>

#include <tl/expected.hpp>

namespace poolwarden::control {

class UninstallDelayWebhook {
 public:
  // "host:port" or ":port"; "0" or "" holds nothing. The error is for a person.
  static tl::expected<UninstallDelayWebhook, std::string> listen(const std::string& bind_address);

  UninstallDelayWebhook(UninstallDelayWebhook&& other) noexcept;
  UninstallDelayWebhook& operator=(UninstallDelayWebhook&&) = delete;
  ~UninstallDelayWebhook();

  int port() const;  // 0 if it holds nothing

 private:
  explicit UninstallDelayWebhook(int socket) : socket_(socket) {}
  int socket_ = -1;
};

}  // namespace poolwarden::control
