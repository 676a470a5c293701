// A client of the pool: one connection, kept alive. One thread at a time, hang_up() apart.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

namespace poolwarden::gateway {

struct ClientAnswer {
  int status = 0;    // 0: no whole answer came
  std::string text;  // the body; or why there is none

  bool operator==(const ClientAnswer&) const = default;
};

class HttpClient {
 public:
  HttpClient(const std::string& ip, std::uint16_t port);
  ~HttpClient();

  ClientAnswer post(const std::string& body);  // to /v1/completions
  ClientAnswer get(const std::string& path);
  void hang_up();  // on what another thread waits for

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace poolwarden::gateway
