// A small HTTP/1.1 server over TLS (or not) that does to its clients exactly what a test tells it to: one
// thread a connection, blocking, the handler writes the bytes.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>

struct ssl_ctx_st;
struct ssl_st;

namespace poolwarden::test {

struct ServerRequest {
  std::string method;
  std::string target;
  std::map<std::string, std::string> headers;  // names in lower case
  std::string body;
  int connection = 0;     // which one, from 1
  int on_connection = 0;  // how many requests came on it, this one included
};

class HttpsServer;

class ServerConnection {
 public:
  // Raw bytes. False once the client is gone.
  bool send(std::string_view bytes);
  bool reply(int status, std::string_view body, std::string_view extra_headers = {});
  bool begin_chunked(int status = 200);
  bool chunk(std::string_view data);
  bool end_chunks() { return send("0\r\n\r\n"); }
  // Ends the connection after the handler returns.
  void close() { closing_ = true; }
  // Waits; returns early, with false, when the server stops.
  bool pause(std::chrono::milliseconds time);
  // Waits until the client has closed the connection, but no longer than `limit`.
  bool client_gone(std::chrono::milliseconds limit);
  const std::string& server_name() const { return server_name_; }  // what the client asked for (SNI)
  const std::string& client_name() const { return client_name_; }  // CN of the client's certificate

 private:
  friend class HttpsServer;
  bool fill();
  bool read_request(ServerRequest& request);

  HttpsServer* server_ = nullptr;
  int fd_ = -1;
  ssl_st* ssl_ = nullptr;
  std::string buffer_;
  std::string server_name_;
  std::string client_name_;
  bool closing_ = false;
};

class HttpsServer {
 public:
  struct Options {
    bool tls = true;
    std::string certificate_pem;
    std::string key_pem;
    std::string client_authority_pem;  // if set, a client certificate is required
    std::string groups;                // if set: for the exchange of keys, no others
    std::string greeting;              // sent before the client has said a word
  };
  using Handler = std::function<void(ServerConnection&, const ServerRequest&)>;

  HttpsServer(Options options, Handler handler);
  ~HttpsServer();
  HttpsServer(const HttpsServer&) = delete;
  HttpsServer& operator=(const HttpsServer&) = delete;

  std::uint16_t port() const { return port_; }
  int connections() const { return connections_; }    // that came as far as a request could be read
  int most_at_once() const { return most_at_once_; }  // of them

 private:
  friend class ServerConnection;
  void accept_all();
  void serve(int fd);
  bool handshake(ServerConnection& connection);

  const Options options_;
  const Handler handler_;
  ssl_ctx_st* context_ = nullptr;
  int listener_ = -1;
  std::uint16_t port_ = 0;
  std::atomic<int> connections_{0};
  std::atomic<int> open_{0};
  std::atomic<int> most_at_once_{0};
  std::mutex mutex_;
  std::condition_variable stopped_;
  bool stopping_ = false;
  std::list<int> fds_;
  std::list<std::jthread> threads_;
  std::jthread acceptor_;
};

}  // namespace poolwarden::test
