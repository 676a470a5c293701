// The server on real sockets: what it promises, and each way it can be asked to misbehave.
#include "support/apiserver/server.h"

#include "base/fd.h"
#include "support/loopback.h"

#include <sys/socket.h>
#include <sys/time.h>
#include <thread>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl.hpp>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace poolwarden::apiserver {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;
using namespace std::chrono_literals;

// A client so plain that it hides nothing: bytes out, bytes in.
class Client {
 public:
  explicit Client(std::uint16_t port) : socket_(test::connect_to_loopback(port)) {}

  bool connected() const { return socket_.get() >= 0; }
  void send(const std::string& method, const std::string& target, const std::string& body = {}) {
    const std::string text = fmt::format(
        "{} {} HTTP/1.1\r\nHost: x\r\nAccept: application/json\r\nContent-Type: "
        "application/json\r\nContent-Length: {}\r\n\r\n{}",
        method, target, body.size(), body);
    ASSERT_EQ(::send(socket_.get(), text.data(), text.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(text.size()));
  }
  // Until `end` has come (empty: until the connection closes), the time is up, or it closes.
  std::string read_until(const std::string& end, std::chrono::milliseconds limit = 10s) {
    const auto until = std::chrono::steady_clock::now() + limit;
    closed_ = false;
    while (end.empty() || text_.find(end) == std::string::npos) {
      const auto left =
          std::chrono::duration_cast<std::chrono::microseconds>(until - std::chrono::steady_clock::now());
      if (left.count() <= 0) break;
      const timeval wait{left.count() / 1'000'000, left.count() % 1'000'000};
      ::setsockopt(socket_.get(), SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
      char buffer[65536];
      const ssize_t size = ::recv(socket_.get(), buffer, sizeof buffer, 0);
      if (size > 0) {
        text_.append(buffer, static_cast<std::size_t>(size));
        ++reads_;
      } else if (size == 0 || (errno != EAGAIN && errno != EWOULDBLOCK)) {
        closed_ = true;
        break;
      }
    }
    return std::exchange(text_, {});
  }
  bool closed() const { return closed_; }
  int reads() const { return reads_; }

 private:
  base::Fd socket_;
  bool closed_ = false;
  int reads_ = 0;
  std::string text_;
};

class ServerTest : public ::testing::Test {
 protected:
  static constexpr const char* kMaps = "/api/v1/namespaces/default/configmaps";
  static constexpr const char* kWatch = "/api/v1/namespaces/default/configmaps?watch=1";

  void SetUp() override { start({}); }
  void start(ServerOptions options) {
    options.tls = false;
    auto started = Server::start(std::move(options));
    ASSERT_TRUE(started) << started.error();
    server_ = std::move(*started);
  }
  std::string ask(const std::string& method, const std::string& target, const std::string& body = {},
                  const std::string& end = "}\n") {
    Client client(server_->port());
    client.send(method, target, body);
    return client.read_until(end);
  }
  void add_map(const std::string& name) {
    kube::HttpRequest request;
    request.method = kube::HttpMethod::kPost;
    request.target = kMaps;
    request.body = json{{"metadata", {{"name", name}}}}.dump();
    ASSERT_EQ(server_->request(request).status, 201);
  }
  void fault(const json& rule) { ASSERT_THAT(ask("POST", "/faults", rule.dump()), HasSubstr("200 OK")); }

  std::unique_ptr<Server> server_;
};

TEST_F(ServerTest, AnswersOverOneConnection) {
  Client client(server_->port());
  client.send("GET", "/readyz");
  EXPECT_THAT(client.read_until("ok"), StartsWith("HTTP/1.1 200 OK\r\n"));
  client.send("POST", kMaps, R"({"metadata":{"name":"m"}})");
  EXPECT_THAT(client.read_until("}\n"), StartsWith("HTTP/1.1 201 Created\r\n"));
  client.send("GET", "/version");
  EXPECT_THAT(client.read_until("}\n"), HasSubstr("poolwarden-standin"));
  EXPECT_EQ(server_->requests_served(), 3U);
  EXPECT_EQ(server_->connections(), 1U);
}

TEST_F(ServerTest, StreamsAWatch) {
  add_map("a");
  Client client(server_->port());
  client.send("GET", std::string(kWatch) + "&timeoutSeconds=3&allowWatchBookmarks=true");
  EXPECT_THAT(client.read_until("}\n"), HasSubstr("Transfer-Encoding: chunked"));
  add_map("b");
  EXPECT_THAT(client.read_until("}\n"), HasSubstr(R"("name":"b")"));
  EXPECT_THAT(client.read_until("0\r\n\r\n"), HasSubstr("BOOKMARK")) << "the end by timeoutSeconds";
  client.send("GET", "/readyz");
  EXPECT_THAT(client.read_until("ok"), HasSubstr("200 OK")) << "the connection lives on";
}

TEST_F(ServerTest, FaultsThatAreAnAnswer) {
  struct Row {
    json rule;
    const char* status;
    const char* text;
  };
  const Row rows[] = {
      {{{"fault", "gone_at_connect"}}, "410 Gone", "Expired"},
      {{{"fault", "conflict"}}, "409 Conflict", "the object has been modified"},
      {{{"fault", "too_many_requests"}, {"seconds", 7}}, "429 Too Many Requests", "Retry-After: 7"},
      {{{"fault", "internal_error"}}, "500 Internal Server Error", "InternalError"},
      {{{"fault", "unavailable"}, {"seconds", 2}}, "503 Service Unavailable", "Retry-After: 2"},
      {{{"fault", "html"}}, "502 Bad Gateway", "text/html"},
      {{{"fault", "garbage"}}, "200 OK", R"({"kind":"List","items":[{"metadata":)"},
  };
  for (const Row& row : rows) {
    json rule = row.rule;
    rule["count"] = 1U;
    rule["resource"] = "configmaps";
    fault(rule);
    Client client(server_->port());
    client.send("GET", kMaps);
    const std::string answer = client.read_until(row.text);
    EXPECT_THAT(answer, StartsWith(fmt::format("HTTP/1.1 {}", row.status)));
    EXPECT_THAT(answer, HasSubstr(row.text));
    EXPECT_THAT(ask("GET", kMaps), HasSubstr("ConfigMapList")) << "only once";
  }
}

TEST_F(ServerTest, FaultsOfWatches) {
  add_map("a");
  struct Row {
    json rule;
    const char* present;
    const char* absent;
  };
  const Row rows[] = {
      {{{"fault", "empty_stream"}}, "\r\n\r\n0\r\n\r\n", "ADDED"},
      {{{"fault", "gone_in_stream"}}, R"("code":410)", "ADDED"},
      {{{"fault", "error_in_stream"}}, R"("code":500)", "ADDED"},
      {{{"fault", "garbage"}}, "\"object\":{\"kind\":\n", "nothing"},
      {{{"fault", "huge_line"}, {"bytes", 1000U}}, "xxxxxxxxxx", "nothing"},
      {{{"fault", "stall"}}, "chunked\r\n\r\n", "ADDED"},
  };
  for (const Row& row : rows) {
    json rule = row.rule;
    rule["verb"] = "watch";
    rule["count"] = 1U;
    fault(rule);
    Client client(server_->port());
    client.send("GET", kWatch);
    std::string answer = client.read_until(row.present);
    answer += client.read_until("", 300ms);
    EXPECT_THAT(answer, HasSubstr(row.present)) << rule;
    EXPECT_THAT(answer, Not(HasSubstr(row.absent))) << rule;
  }
}

TEST_F(ServerTest, SplitsIntoSingleBytes) {
  add_map("a");
  fault({{"fault", "split"}, {"verb", "watch"}, {"bytes", 1U}});
  Client client(server_->port());
  client.send("GET", kWatch);
  const std::string answer = client.read_until("1\r\n\n\r\n");
  EXPECT_THAT(answer, HasSubstr("1\r\n{\r\n1\r\n\"\r\n"));
}

TEST_F(ServerTest, CutsInTheMiddle) {
  add_map("a");
  fault({{"fault", "cut"}});
  for (const char* target : {kMaps, kWatch}) {
    Client client(server_->port());
    client.send("GET", target);
    EXPECT_THAT(client.read_until(""), Not(HasSubstr("}\n"))) << target;
    EXPECT_TRUE(client.closed()) << target;
  }
}

TEST_F(ServerTest, LosesTheAnswerNotTheWrite) {
  fault({{"fault", "lost_answer"}, {"verb", "create"}, {"count", 1U}});
  Client client(server_->port());
  client.send("POST", kMaps, R"({"metadata":{"name":"m"}})");
  EXPECT_EQ(client.read_until(""), "");
  EXPECT_TRUE(client.closed());
  EXPECT_THAT(ask("GET", std::string(kMaps) + "/m"), HasSubstr("200 OK"));
  fault({{"fault", "drop_connection"}, {"verb", "create"}, {"count", 1U}});
  Client other(server_->port());
  other.send("POST", kMaps, R"({"metadata":{"name":"n"}})");
  EXPECT_EQ(other.read_until(""), "");
  EXPECT_THAT(ask("GET", std::string(kMaps) + "/n"), HasSubstr("404 Not Found"));
}

TEST_F(ServerTest, DelaysBeforeAndAfter) {
  for (const char* kind : {"delay_before", "delay_after"}) {
    // Long enough for the steps below on a busy machine.
    fault({{"fault", kind}, {"verb", "create"}, {"count", 1U}, {"seconds", 3}});
    Client client(server_->port());
    const std::string name = std::string(kind).substr(6);
    client.send("POST", kMaps, R"({"metadata":{"name":")" + name + "\"}}");
    const auto committed = [&] {
      return ask("GET", std::string(kMaps) + "/" + name).find("200 OK") != std::string::npos;
    };
    if (name == "after") {
      for (int i = 0; i < 100 && !committed(); ++i) std::this_thread::sleep_for(10ms);
    }
    EXPECT_EQ(client.read_until("", 150ms), "") << kind;
    EXPECT_EQ(committed(), name == "after");
    EXPECT_THAT(client.read_until("}\n"), HasSubstr("201 Created"));
  }
}

TEST_F(ServerTest, ListsMayBeStale) {
  add_map("a");
  add_map("b");
  fault({{"fault", "stale_list"}, {"count", 1U}, {"bytes", 1U}});
  EXPECT_THAT(ask("GET", kMaps), Not(HasSubstr(R"("name":"b")")));
  EXPECT_THAT(ask("GET", kMaps), HasSubstr(R"("name":"b")"));
}

TEST_F(ServerTest, RulesSkipCountAndClear) {
  fault(json::array({{{"fault", "internal_error"},
                      {"resource", "configmaps"},
                      {"skip", 1U},
                      {"count", 1U},
                      {"name", "m"}}}));
  EXPECT_THAT(ask("GET", kMaps), HasSubstr("200 OK")) << "another name";
  EXPECT_THAT(ask("GET", std::string(kMaps) + "/m"), HasSubstr("404")) << "skipped";
  EXPECT_THAT(ask("GET", std::string(kMaps) + "/m"), HasSubstr("500"));
  EXPECT_THAT(ask("GET", std::string(kMaps) + "/m"), HasSubstr("404")) << "used up";
  fault({{"fault", "internal_error"}});
  EXPECT_THAT(ask("DELETE", "/faults"), HasSubstr(R"("rules":[])"));
  EXPECT_THAT(ask("GET", kMaps), HasSubstr("200 OK"));
  EXPECT_THAT(ask("POST", "/faults", R"({"fault":"earthquake"})", "earthquake\"\n"),
              HasSubstr("there is no fault \"earthquake\""));
  EXPECT_THAT(ask("POST", "/faults", R"({"fault":"cut","often":1})", "field\n"),
              HasSubstr("often: there is no such field"));
}

TEST_F(ServerTest, ConnectionsDropAndListeningStops) {
  Client watcher(server_->port());
  watcher.send("GET", kWatch);
  watcher.read_until("\r\n\r\n");
  server_->drop_connections();
  watcher.read_until("");
  EXPECT_TRUE(watcher.closed());
  server_->refuse_for(2s);
  std::this_thread::sleep_for(100ms);
  EXPECT_FALSE(Client(server_->port()).connected());
  const auto until = std::chrono::steady_clock::now() + 20s;
  bool back = false;
  while (!back && std::chrono::steady_clock::now() < until) {
    std::this_thread::sleep_for(20ms);
    back = Client(server_->port()).connected();
  }
  EXPECT_TRUE(back);
}

TEST_F(ServerTest, ConnectionsAreBounded) {
  server_.reset();
  ServerOptions options;
  options.max_connections = 2;
  start(options);
  Client first(server_->port());
  Client second(server_->port());
  first.send("GET", kWatch);
  first.read_until("\r\n\r\n");
  second.send("GET", kWatch);
  second.read_until("\r\n\r\n");
  Client third(server_->port());
  Client fourth(server_->port());
  third.read_until("");
  EXPECT_TRUE(third.closed());
}

TEST_F(ServerTest, TellsOfChanges) {
  std::uint64_t seen = 0;
  server_->with_model([&seen](Model& model) { seen = model.revision(); });
  EXPECT_EQ(server_->wait_for_change(seen, 20ms), seen);
  std::thread writer([this] { add_map("m"); });
  EXPECT_NE(server_->wait_for_change(seen, 10s), seen);
  writer.join();
}

TEST_F(ServerTest, StopsUnderLoad) {
  std::vector<std::unique_ptr<Client>> clients;
  for (int i = 0; i < 8; ++i) {
    clients.push_back(std::make_unique<Client>(server_->port()));
    clients.back()->send("GET", kWatch);
  }
  add_map("m");
  server_->stop();
  EXPECT_FALSE(Client(server_->port()).connected());
}

TEST(ServerStartTest, ServesLoopbackOnly) {
  ServerOptions options;
  options.address = "0.0.0.0";
  const auto started = Server::start(options);
  ASSERT_FALSE(started);
  EXPECT_THAT(started.error(), HasSubstr("127.0.0.0/8"));
}

// The status line a TLS client gets, or why the handshake failed.
std::string ask_over_tls(const Server& server, const std::string& token, bool client_certificate) {
  namespace ssl = boost::asio::ssl;
  boost::asio::io_context io;
  ssl::context context(ssl::context::tls_client);
  const Credentials& credentials = server.credentials();
  context.add_certificate_authority(boost::asio::buffer(credentials.ca_pem));
  context.set_verify_mode(ssl::verify_peer);
  if (client_certificate) {
    context.use_certificate_chain(boost::asio::buffer(credentials.client_cert_pem));
    context.use_private_key(boost::asio::buffer(credentials.client_key_pem), ssl::context::pem);
  }
  ssl::stream<boost::asio::ip::tcp::socket> stream(io, context);
  stream.set_verify_callback(ssl::host_name_verification("localhost"));
  stream.lowest_layer().connect({boost::asio::ip::address_v4::loopback(), server.port()});
  boost::system::error_code error;
  stream.handshake(ssl::stream_base::client, error);
  if (error) return "handshake failed";
  const std::string auth = token.empty() ? "" : "Authorization: Bearer " + token + "\r\n";
  boost::asio::write(stream, boost::asio::buffer("GET /api/v1/pods HTTP/1.1\r\nHost: x\r\n" + auth + "\r\n"),
                     error);
  std::string answer(64, '\0');
  answer.resize(stream.read_some(boost::asio::buffer(answer), error));
  return answer.substr(0, answer.find('\r'));
}

TEST(ServerTlsTest, KnowsItsUsersAndItsCertificates) {
  auto started = Server::start({});
  ASSERT_TRUE(started) << started.error();
  Server& server = **started;
  EXPECT_EQ(ask_over_tls(server, server.credentials().token, false), "HTTP/1.1 200 OK");
  EXPECT_EQ(ask_over_tls(server, "", true), "HTTP/1.1 200 OK");
  EXPECT_EQ(ask_over_tls(server, "wrong", false), "HTTP/1.1 401 Unauthorized");
  EXPECT_EQ(ask_over_tls(server, "", false), "HTTP/1.1 401 Unauthorized");
  for (ServerCertificate bad :
       {ServerCertificate::kUntrusted, ServerCertificate::kExpired, ServerCertificate::kWrongName}) {
    server.use_certificate(bad);
    EXPECT_EQ(ask_over_tls(server, server.credentials().token, false), "handshake failed");
  }
  server.use_certificate(ServerCertificate::kGood);
  EXPECT_EQ(ask_over_tls(server, server.credentials().token, false), "HTTP/1.1 200 OK");
}

}  // namespace
}  // namespace poolwarden::apiserver
