// The reader and engines behind TLS, and engines that want a key: whom it trusts, what it says to whom.
#include "engine/engine_tls.h"
#include "engine/load_reader.h"
#include "integration/engine/load_reader_fixture.h"
#include "integration/transport/https_server.h"
#include "kube/base64.h"
#include "support/certificates.h"

#include <arpa/inet.h>
#include <atomic>
#include <memory>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>
#include <vector>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>

namespace poolwarden::engine {
namespace {

using namespace std::chrono_literals;
using test::Authority;
using test::HttpsServer;
using test::Identity;
using test::ServerConnection;
using test::ServerRequest;
using test::Validity;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

constexpr std::string_view kBusy = "vllm:num_requests_running 2\nvllm:num_requests_waiting 1\n";
constexpr std::string_view kKeyOfTheEngine = "sesame-7f3a";

const Authority& trusted() {
  static const Authority authority("trusted");
  return authority;
}

const Authority& unknown() {
  static const Authority authority("unknown");
  return authority;
}

HttpsServer::Options in_tls(const Identity& identity) {
  HttpsServer::Options options;
  options.certificate_pem = identity.certificate_pem;
  options.key_pem = identity.key_pem;
  return options;
}

HttpsServer::Options in_clear() {
  HttpsServer::Options options;
  options.tls = false;
  return options;
}

void answer_busy(ServerConnection& connection, const ServerRequest&) {
  connection.reply(200, kBusy);
}

api::EngineTls trusting(const Authority& authority, std::string name = {}) {
  return {kube::base64_encode(authority.pem()), std::move(name), false};
}

const api::EngineTls kAnyCertificate{"", "", true};

LoadRequest asking(std::int32_t port, const api::EngineTls& tls, std::chrono::milliseconds deadline = kLong) {
  LoadRequest request{"127.0.0.1", {}, deadline};
  request.sources.push_back({port, "/metrics", metrics_of({})});
  request.sources[0].tls = base::Shared(tls);
  return request;
}

LoadRequest with_key(LoadRequest request, std::string value, std::uint64_t id = 7) {
  request.sources[0].api_key = base::Shared(ApiKey{id, std::move(value)});
  return request;
}

// A listener that accepts and does with the socket what a test wants; for what is no server at all.
class RawListener {
 public:
  explicit RawListener(std::function<void(int fd)> serve) {
    fd_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    EXPECT_EQ(::bind(fd_, reinterpret_cast<sockaddr*>(&address), size), 0);
    EXPECT_EQ(::listen(fd_, 8), 0);
    EXPECT_EQ(::getsockname(fd_, reinterpret_cast<sockaddr*>(&address), &size), 0);
    port_ = ntohs(address.sin_port);
    thread_ = std::jthread([this, serve = std::move(serve)] {
      const int client = ::accept4(fd_, nullptr, nullptr, SOCK_CLOEXEC);
      if (client < 0) return;
      serve(client);
      ::close(client);
    });
  }
  ~RawListener() {
    ::shutdown(fd_, SHUT_RDWR);
    thread_.join();
    ::close(fd_);
  }
  std::int32_t port() const { return port_; }

 private:
  int fd_ = -1;
  std::int32_t port_ = 0;
  std::jthread thread_;
};

// Until the client hangs up.
void swallow(int fd) {
  char bytes[4096];
  while (::recv(fd, bytes, sizeof bytes, 0) > 0) {
  }
}

struct Trust {
  const char* name;
  std::vector<std::string> certificate_for;
  api::EngineTls tls;
  std::string told;  // part of it; empty: the load is read
  bool signed_by_trusted = true;
  Validity validity = Validity::kNow;
};

TEST(LoadReaderTls, EngineIsReadIfItIsTheOneThatIsMeant) {
  const Trust rows[] = {
      {"its address", {"IP:127.0.0.1"}, trusting(trusted()), ""},
      {"its name", {"DNS:vllm.example"}, trusting(trusted(), "vllm.example"), ""},
      {"a wildcard", {"DNS:*.models.example"}, trusting(trusted(), "vllm.models.example"), ""},
      {"another name",
       {"DNS:other.example", "IP:127.0.0.1"},
       trusting(trusted(), "vllm.example"),
       "is not trusted: its certificate is not for vllm.example, which spec.engine.tls.serverName asks for"},
      {"another address",
       {"IP:10.0.0.1", "DNS:vllm.example"},
       trusting(trusted()),
       "its certificate is not for 127.0.0.1: set spec.engine.tls.serverName to a DNS name that it is for"},
      {"an address that is only a common name",
       {"DNS:x"},
       trusting(trusted(), "127.0.0.1"),
       "is not trusted: its certificate is not for 127.0.0.1"},
      {"another authority",
       {"IP:127.0.0.1"},
       trusting(trusted()),
       "its certificate is not signed by an authority of spec.engine.tls.caBundle",
       false},
      {"expired", {"IP:127.0.0.1"}, trusting(trusted()), "has expired", true, Validity::kExpired},
      {"not yet valid", {"IP:127.0.0.1"}, trusting(trusted()), "is not valid yet", true, Validity::kNotYet},
      {"any certificate is good", {"DNS:x"}, kAnyCertificate, "", false, Validity::kExpired},
      {"a bundle counts beside the flag",
       {"IP:127.0.0.1"},
       {kube::base64_encode(trusted().pem()), "", true},
       "is not signed by an authority",
       false},
  };
  for (const Trust& row : rows) {
    SCOPED_TRACE(row.name);
    const Authority& authority = row.signed_by_trusted ? trusted() : unknown();
    std::atomic<int> asked = 0;
    HttpsServer server(in_tls(authority.issue("127.0.0.1", row.certificate_for, row.validity)),
                       [&asked](ServerConnection& connection, const ServerRequest& request) {
                         ++asked;
                         answer_busy(connection, request);
                       });
    LoadReader reader(on_loopback());
    const Answer answer = read_now(reader, asking(server.port(), row.tls));
    EXPECT_EQ(answer.has_value(), row.told.empty()) << (answer ? "" : answer.error());
    EXPECT_EQ(asked, row.told.empty() ? 1 : 0) << "nothing is said to whom is not trusted";
    if (answer) {
      EXPECT_EQ(answer->in_flight, 3);
    } else {
      EXPECT_THAT(answer.error(), AllOf(HasSubstr(fmt::format("https://127.0.0.1:{}/metrics", server.port())),
                                        HasSubstr(row.told), Not(HasSubstr("other.example"))));
    }
  }
}

TEST(LoadReaderTls, CertificateThatIsTheBundle_IsTrusted) {
  const Identity own = unknown().issue("own", {"IP:127.0.0.1"});
  HttpsServer server(in_tls(own), answer_busy);
  LoadReader reader(on_loopback());
  const Answer answer =
      read_now(reader, asking(server.port(), {kube::base64_encode(own.certificate_pem), "", false}));
  EXPECT_TRUE(answer) << answer.error();
}

TEST(LoadReaderTls, ServerNameIsAskedForAndAnAddressIsNot) {
  std::string asked_for;
  std::string host;
  HttpsServer server(in_tls(trusted().issue("x", {"IP:127.0.0.1", "DNS:vllm.example"})),
                     [&](ServerConnection& connection, const ServerRequest& request) {
                       asked_for = connection.server_name();
                       host = request.headers.at("host");
                       answer_busy(connection, request);
                     });
  LoadReader reader(on_loopback());
  ASSERT_TRUE(read_now(reader, asking(server.port(), trusting(trusted(), "vllm.example"))));
  EXPECT_EQ(asked_for, "vllm.example");
  EXPECT_EQ(host, "vllm.example");
  ASSERT_TRUE(read_now(reader, asking(server.port(), trusting(trusted()))));
  EXPECT_EQ(asked_for, "");
  EXPECT_EQ(host, fmt::format("127.0.0.1:{}", server.port()));
}

TEST(LoadReaderTls, BundleThatIsNone_IsToldByItsField) {
  HttpsServer server(in_tls(trusted().issue("x", {"IP:127.0.0.1"})), answer_busy);
  LoadReader reader(on_loopback());
  const std::pair<api::EngineTls, const char*> rows[] = {
      {{"no base64!", "", false}, "spec.engine.tls.caBundle is not base64"},
      {{kube::base64_encode("hello"), "", false}, "spec.engine.tls.caBundle holds no PEM certificate"},
      {{kube::base64_encode("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), "", false},
       "spec.engine.tls.caBundle holds a broken PEM certificate"},
      {{kube::base64_encode("-----BEGIN CERTIFICATE-----\nProc-Type: 4,ENCRYPTED\n"
                            "DEK-Info: AES-256-CBC,00112233445566778899AABBCCDDEEFF\n\nAAAA\n"
                            "-----END CERTIFICATE-----\n"),
        "", false},
       "spec.engine.tls.caBundle holds a broken PEM certificate"},
      {{std::string(api::EngineTls::kMaxCaBundle + 1, 'A'), "", false},
       "spec.engine.tls.caBundle is longer than 16384 characters"},
      {{"", "", false}, "spec.engine.tls.caBundle is missing, and insecureSkipVerify is not true"},
  };
  for (const auto& [tls, told] : rows) {
    const Answer answer = read_now(reader, asking(server.port(), tls));
    ASSERT_FALSE(answer) << told;
    EXPECT_THAT(answer.error(), AllOf(HasSubstr("/metrics was not asked: "), HasSubstr(told)));
  }
  EXPECT_EQ(server.connections(), 0);
}

TEST(LoadReaderTls, BundlesWithoutEnd_AreNotKept) {
  HttpsServer server(in_tls(trusted().issue("x", {"IP:127.0.0.1"})), answer_busy);
  LoadReader reader(on_loopback());
  for (std::size_t i = 0; i < 2 * TlsContexts::kKept; ++i) {
    const std::string pem = trusted().pem() + std::string(i, '\n');
    const Answer answer = read_now(reader, asking(server.port(), {kube::base64_encode(pem), "", false}));
    ASSERT_TRUE(answer) << answer.error();
  }
  TlsContexts contexts;
  for (std::size_t i = 0; i < 2 * TlsContexts::kKept; ++i)
    ASSERT_TRUE(contexts.of({kube::base64_encode(trusted().pem() + std::string(i, '\n')), "", false}));
  EXPECT_EQ(contexts.size(), TlsContexts::kKept);
}

// With finite fields an engine would choose the numbers, and so how long we calculate.
TEST(LoadReaderTls, FiniteFields_AreNotCalculatedWith) {
  HttpsServer::Options options = in_tls(trusted().issue("x", {"IP:127.0.0.1"}));
  options.groups = "ffdhe8192";
  HttpsServer server(options, answer_busy);
  LoadReader reader(on_loopback());
  EXPECT_THAT(read_now(reader, asking(server.port(), kAnyCertificate)).error(),
              HasSubstr("did not shake hands in TLS"));
  options.groups = "P-384";
  HttpsServer curves(options, answer_busy);
  EXPECT_TRUE(read_now(reader, asking(curves.port(), kAnyCertificate)));

  TlsContexts contexts;
  const auto context = contexts.of(kAnyCertificate);
  ASSERT_TRUE(context);
  const STACK_OF(SSL_CIPHER)* ciphers = SSL_CTX_get_ciphers((*context)->native_handle());
  ASSERT_GT(sk_SSL_CIPHER_num(ciphers), 0);
  for (int n = 0; n < sk_SSL_CIPHER_num(ciphers); ++n) {
    const int exchange = SSL_CIPHER_get_kx_nid(sk_SSL_CIPHER_value(ciphers, n));
    EXPECT_TRUE(exchange == NID_kx_ecdhe || exchange == NID_kx_any) << exchange;
  }
}

TEST(LoadReaderTls, PlainServerAskedInTls_IsTold) {
  HttpsServer server(in_clear(), answer_busy);
  LoadReader reader(on_loopback());
  RawListener garbage([](int fd) {
    char bytes[4096];
    [[maybe_unused]] const auto read = ::recv(fd, bytes, sizeof bytes, 0);
    constexpr std::string_view kGarbage = "SSH-2.0-OpenSSH_9.2\r\n";
    ::send(fd, kGarbage.data(), kGarbage.size(), MSG_NOSIGNAL);
    swallow(fd);
  });
  EXPECT_THAT(read_now(reader, asking(garbage.port(), kAnyCertificate)).error(),
              HasSubstr("did not shake hands in TLS"));
  RawListener closes([](int fd) {
    char bytes[4096];
    [[maybe_unused]] const auto read = ::recv(fd, bytes, sizeof bytes, 0);
  });
  EXPECT_THAT(read_now(reader, asking(closes.port(), kAnyCertificate)).error(),
              HasSubstr("ended the connection in the TLS handshake"));
}

TEST(LoadReaderTls, ServerInTlsAskedInClear_IsTold) {
  HttpsServer server(in_tls(trusted().issue("x", {"IP:127.0.0.1"})), answer_busy);
  LoadReader reader(on_loopback());
  LoadRequest request = asking(server.port(), kAnyCertificate);
  request.sources[0].tls = {};
  const Answer answer = read_now(reader, request);
  ASSERT_FALSE(answer);
  EXPECT_THAT(answer.error(), HasSubstr(fmt::format("http://127.0.0.1:{}/metrics", server.port())));
  RawListener alerts([](int fd) {
    constexpr std::string_view kAlert{"\x15\x03\x01\x00\x02\x02\x16", 7};
    ::send(fd, kAlert.data(), kAlert.size(), MSG_NOSIGNAL);
    swallow(fd);
  });
  request.sources[0].port = alerts.port();
  EXPECT_THAT(read_now(reader, request).error(),
              HasSubstr("answered in TLS: set spec.engine.scheme to https"));
}

TEST(LoadReaderTls, HandshakeThatNeverEnds_LastsUntilTheDeadline) {
  RawListener silent(swallow);
  LoadReader reader(on_loopback());
  EXPECT_THAT(read_now(reader, asking(silent.port(), kAnyCertificate, 200ms)).error(),
              HasSubstr("did not finish its TLS handshake within 200 ms"));
}

TEST(LoadReaderTls, NobodyListens_IsRefusedAsInClear) {
  std::int32_t closed = 0;
  {
    RawListener gone(swallow);
    closed = gone.port();
  }
  LoadReader reader(on_loopback());
  std::promise<FullAnswer> promise;
  reader.read(asking(closed, kAnyCertificate),
              [&](FullAnswer answer) { promise.set_value(std::move(answer)); });
  const FullAnswer answer = promise.get_future().get();
  ASSERT_FALSE(answer);
  EXPECT_TRUE(answer.error().refused);
}

TEST(LoadReaderTls, FloodBehindTls_IsCutAsInClear) {
  HttpsServer server(in_tls(trusted().issue("x", {"IP:127.0.0.1"})),
                     [](ServerConnection& connection, const ServerRequest&) {
                       connection.begin_chunked();
                       while (connection.chunk(kBusy)) {
                       }
                     });
  LoadReader reader(on_loopback());
  EXPECT_THAT(read_now(reader, asking(server.port(), trusting(trusted()))).error(),
              HasSubstr("answered with more than 524288 bytes"));
}

TEST(LoadReaderTls, AnswerCutWithoutAGoodbye_IsNotBelieved) {
  HttpsServer server(in_tls(trusted().issue("x", {"IP:127.0.0.1"})),
                     [](ServerConnection& connection, const ServerRequest&) {
                       connection.close();
                       connection.send("HTTP/1.0 200 OK\r\n\r\n" + std::string(kBusy));
                     });
  LoadReader reader(on_loopback());
  EXPECT_THAT(read_now(reader, asking(server.port(), trusting(trusted()))).error(),
              HasSubstr("ended the connection before its answer was complete"));
}

TEST(LoadReaderTls, CertificatesWithoutEnd_AreNotRead) {
  std::vector<std::string> names{"IP:127.0.0.1"};
  for (int i = 0; i < 1'000; ++i)
    names.push_back(fmt::format("DNS:host-{}.of.a.very.long.domain.example", i));
  HttpsServer server(in_tls(trusted().issue("x", names)), answer_busy);
  LoadReader reader(on_loopback());
  EXPECT_THAT(read_now(reader, asking(server.port(), trusting(trusted()))).error(),
              HasSubstr("did not shake hands in TLS"));
}

// What a server may send beside its answers is taken in without a word of it to whoever reads.
void send_tickets(int fd) {
  const std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context(SSL_CTX_new(TLS_server_method()),
                                                                  &SSL_CTX_free);
  const Identity identity = trusted().issue("x", {"IP:127.0.0.1"});
  const auto memory = [](const std::string& pem) {
    return std::unique_ptr<BIO, decltype(&BIO_free)>(
        BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())), &BIO_free);
  };
  const std::unique_ptr<X509, decltype(&X509_free)> certificate(
      PEM_read_bio_X509(memory(identity.certificate_pem).get(), nullptr, nullptr, nullptr), &X509_free);
  const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key(
      PEM_read_bio_PrivateKey(memory(identity.key_pem).get(), nullptr, nullptr, nullptr), &EVP_PKEY_free);
  SSL_CTX_use_certificate(context.get(), certificate.get());
  SSL_CTX_use_PrivateKey(context.get(), key.get());
  const std::unique_ptr<SSL, decltype(&SSL_free)> connection(SSL_new(context.get()), &SSL_free);
  SSL_set_fd(connection.get(), fd);
  if (SSL_accept(connection.get()) != 1) return;
  // OpenSSL does not say that nobody reads them any more. So many are 5 MB.
  for (int i = 0; i < 20'000; ++i) {
    if (SSL_new_session_ticket(connection.get()) != 1 || SSL_do_handshake(connection.get()) != 1) return;
  }
}

TEST(LoadReaderTls, TicketsWithoutEnd_AreCounted) {
  RawListener server(send_tickets);
  LoadReader reader(on_loopback());
  EXPECT_THAT(read_now(reader, asking(server.port(), trusting(trusted()))).error(),
              HasSubstr("answered with more than 524288 bytes"));
}

TEST(LoadReaderTls, HandshakesOfOneNamespace_CountAgainstItsBudget) {
  HttpsServer server(in_tls(unknown().issue("x", {"IP:127.0.0.1"})), answer_busy);
  LoadReaderOptions options = on_loopback();
  options.bytes_per_second = 64u << 10;
  LoadReader reader(options);
  LoadRequest request = asking(server.port(), trusting(trusted()), 300ms);
  request.ns = "busy";
  std::vector<std::future<Answer>> reads;
  for (int i = 0; i < 40; ++i) reads.push_back(begin_read(reader, request));
  int waited = 0;
  for (auto& read : reads) {
    const Answer answer = result_of(std::move(read));
    ASSERT_FALSE(answer) << "nobody is trusted here";
    waited += answer.error().find("the engines of its namespace answer with more than") != std::string::npos;
  }
  EXPECT_GT(waited, 20) << "that were not begun";
}

TEST(LoadReaderTls, ManyAtOnce_AllAreRead) {
  HttpsServer server(in_tls(trusted().issue("x", {"IP:127.0.0.1"})), answer_busy);
  LoadReader reader(on_loopback());
  std::vector<std::future<Answer>> reads;
  for (int i = 0; i < 40; ++i)
    reads.push_back(begin_read(reader, asking(server.port(), trusting(trusted()))));
  for (auto& read : reads) EXPECT_TRUE(result_of(std::move(read)));
}

TEST(LoadReaderTls, ReaderThatIsStopped_EndsHandshakes) {
  RawListener silent(swallow);
  std::future<Answer> read;
  {
    LoadReader reader(on_loopback());
    read = begin_read(reader, asking(silent.port(), kAnyCertificate));
  }
  EXPECT_THAT(result_of(std::move(read)).error(), HasSubstr("the reader is being stopped"));
}

// As llama.cpp with --api-key has it.
void want_key(ServerConnection& connection, const ServerRequest& request) {
  const auto found = request.headers.find("authorization");
  const bool right =
      found != request.headers.end() && found->second == fmt::format("Bearer {}", kKeyOfTheEngine);
  connection.reply(right ? 200 : 401, right ? kBusy : R"({"error":"Invalid API Key"})");
}

FullAnswer full_answer(LoadReader& reader, LoadRequest request) {
  std::promise<FullAnswer> promise;
  reader.read(std::move(request), [&](FullAnswer answer) { promise.set_value(std::move(answer)); });
  return promise.get_future().get();
}

TEST(LoadReaderKey, EngineThatWantsAKey_IsReadWithIt) {
  HttpsServer server(in_tls(trusted().issue("x", {"IP:127.0.0.1"})), want_key);
  LoadReader reader(on_loopback());
  const LoadRequest request = asking(server.port(), trusting(trusted()));
  const FullAnswer without = full_answer(reader, request);
  ASSERT_FALSE(without);
  EXPECT_THAT(without.error().why,
              HasSubstr("answered 401: an engine that wants a key needs spec.engine.apiKeySecret"));
  EXPECT_EQ(without.error().refused_key, 0U);
  const FullAnswer with = full_answer(reader, with_key(request, std::string(kKeyOfTheEngine)));
  ASSERT_TRUE(with) << with.error().why;
  EXPECT_EQ(with->in_flight, 3);
}

TEST(LoadReaderKey, KeyThatIsRefused_IsToldByItsNumber) {
  for (const int status : {401, 403}) {
    HttpsServer server(in_clear(), [status](ServerConnection& connection, const ServerRequest& request) {
      connection.reply(status, request.headers.at("authorization"));
    });
    LoadReader reader(on_loopback());
    LoadRequest request = asking(server.port(), kAnyCertificate);
    request.sources[0].tls = {};
    const FullAnswer answer = full_answer(reader, with_key(request, "wrong-one", 42));
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().refused_key, 42U);
    EXPECT_FALSE(answer.error().refused);
    EXPECT_THAT(answer.error().why, AllOf(HasSubstr(fmt::format("answered {}: it did not accept the key of "
                                                                "spec.engine.apiKeySecret",
                                                                status)),
                                          Not(HasSubstr("wrong-one"))));
  }
}

TEST(LoadReaderKey, KeyThatNoHeaderMayHold_IsNotSent) {
  HttpsServer server(in_clear(), answer_busy);
  LoadReader reader(on_loopback());
  LoadRequest request = asking(server.port(), kAnyCertificate);
  request.sources[0].tls = {};
  for (const std::string& value : {std::string("a\r\nHost: evil"), std::string("a\n"), std::string("\xff"),
                                   std::string("a\0b", 3), std::string(8'193, 'a')}) {
    const FullAnswer answer = full_answer(reader, with_key(request, value));
    ASSERT_FALSE(answer);
    EXPECT_THAT(answer.error().why, AllOf(HasSubstr("the key is not sent"), Not(HasSubstr(value))));
  }
  EXPECT_EQ(server.connections(), 0);
  EXPECT_TRUE(full_answer(reader, with_key(request, std::string(8'192, 'a'))));
}

TEST(LoadReaderKey, RedirectIsNotFollowed_AndTheKeyGoesNowhereElse) {
  HttpsServer other(in_clear(), answer_busy);
  HttpsServer server(in_clear(), [&other](ServerConnection& connection, const ServerRequest&) {
    connection.reply(307, "", fmt::format("Location: http://127.0.0.1:{}/metrics\r\n", other.port()));
  });
  LoadReader reader(on_loopback());
  LoadRequest request = asking(server.port(), kAnyCertificate);
  request.sources[0].tls = {};
  const FullAnswer answer = full_answer(reader, with_key(request, std::string(kKeyOfTheEngine)));
  ASSERT_FALSE(answer);
  EXPECT_THAT(answer.error().why, HasSubstr("a redirect, which is not followed"));
  EXPECT_EQ(other.connections(), 0);
}

TEST(LoadReaderKey, EachSourceHearsItsOwnKeyOnly) {
  std::string first;
  std::string second;
  const auto hears = [](std::string& heard) {
    return [&heard](ServerConnection& connection, const ServerRequest& request) {
      const auto found = request.headers.find("authorization");
      heard = found == request.headers.end() ? "nothing" : found->second;
      answer_busy(connection, request);
    };
  };
  HttpsServer one(in_clear(), hears(first));
  HttpsServer two(in_clear(), hears(second));
  LoadReader reader(on_loopback());
  LoadRequest request{"127.0.0.1", {}, kLong};
  for (const std::int32_t port : {one.port(), two.port()})
    request.sources.push_back({port, "/metrics", metrics_of({})});
  ASSERT_TRUE(full_answer(reader, with_key(request, "mine")));
  EXPECT_EQ(first, "Bearer mine");
  EXPECT_EQ(second, "nothing");
}

}  // namespace
}  // namespace poolwarden::engine
