// Whom the transport trusts, and how it says who it is.
#include "transport_fixture.h"

#include <filesystem>
#include <fstream>

namespace poolwarden::test {
namespace {

using ::testing::HasSubstr;

struct TlsCase {
  std::string name;
  std::vector<std::string> certificate_for = {"DNS:localhost", "IP:127.0.0.1"};
  std::string common_name = "server";
  Validity validity = Validity::kNow;
  bool known_authority = true;
  std::string host = "127.0.0.1";
  std::string tls_server_name = {};
  kube::TlsVerification verification = kube::TlsVerification::kFull;
  std::string error = {};        // a part of the message; empty: it works
  std::string server_name = {};  // that the server is asked for
};

void PrintTo(const TlsCase& test, std::ostream* out) {
  *out << test.name;
}

class TransportTls : public ::testing::TestWithParam<TlsCase> {};

TEST_P(TransportTls, ChecksTheServer) {
  const TlsCase& test = GetParam();
  const Identity identity = authority().issue(test.common_name, test.certificate_for, test.validity);
  HttpsServer::Options options;
  options.certificate_pem = identity.certificate_pem;
  options.key_pem = identity.key_pem;
  std::string server_name = "never asked";
  HttpsServer server(options, [&](ServerConnection& connection, const ServerRequest&) {
    server_name = connection.server_name();
    connection.reply(200, "{}");
  });
  auto access = access_to(server.port());
  access.host = test.host;
  access.tls_server_name = test.tls_server_name;
  access.verification = test.verification;
  const Authority stranger("Stranger");
  if (!test.known_authority) {
    access.ca_pem = test.verification == kube::TlsVerification::kNone ? std::string() : stranger.pem();
  }
  const auto transport = transport_to(access);
  const Answer answer = ask(*transport, get_request());
  if (test.error.empty()) {
    ASSERT_TRUE(answer) << failure_text(answer);
    EXPECT_EQ(server_name, test.server_name);
    return;
  }
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().kind, TransportFailure::kTls) << failure_text(answer);
  EXPECT_THAT(answer.error().message, HasSubstr(test.error));
  EXPECT_EQ(server_name, "never asked");
}

// As Go has it: what the kubeconfig calls an authority is one, also without its own.
TEST(TransportTlsClient, TrustsAnAuthorityThatIsNoRoot) {
  const Authority middle("Middle Authority", authority());
  const Identity identity = middle.issue("server", {"IP:127.0.0.1"});
  HttpsServer::Options options;
  options.certificate_pem = identity.certificate_pem;
  options.key_pem = identity.key_pem;
  HttpsServer server(options,
                     [](ServerConnection& connection, const ServerRequest&) { connection.reply(200, "{}"); });
  auto access = access_to(server.port());
  access.ca_pem = middle.pem();
  const Answer answer = ask(*transport_to(access), get_request());
  EXPECT_TRUE(answer) << failure_text(answer);
}

INSTANTIATE_TEST_SUITE_P(
    Servers, TransportTls,
    ::testing::Values(
        TlsCase{.name = "TrustedByAddress"},
        TlsCase{.name = "TrustedByName", .host = "localhost", .server_name = "localhost"},
        TlsCase{.name = "UnknownAuthority",
                .known_authority = false,
                .error = "not signed by an authority we trust"},
        TlsCase{.name = "AnotherAddress", .certificate_for = {"IP:127.0.0.2"}, .error = "but for 127.0.0.2"},
        TlsCase{.name = "AnotherName",
                .certificate_for = {"DNS:kubernetes", "IP:127.0.0.1"},
                .host = "localhost",
                .error = "is not for localhost but for kubernetes, 127.0.0.1"},
        TlsCase{.name = "ANameThatLooksLikeTheAddress",
                .certificate_for = {"DNS:127.0.0.1"},
                .error = "is not for 127.0.0.1"},
        TlsCase{.name = "Wildcard",
                .certificate_for = {"DNS:*.example.com"},
                .tls_server_name = "api.example.com",
                .server_name = "api.example.com"},
        TlsCase{.name = "ACommonNameIsNoName",
                .certificate_for = {},
                .common_name = "localhost",
                .host = "localhost",
                .error = "no name at all"},
        TlsCase{.name = "NoNameAtAll", .certificate_for = {}, .error = "no name at all"},
        TlsCase{.name = "Expired", .validity = Validity::kExpired, .error = "has expired"},
        TlsCase{.name = "NotYetValid", .validity = Validity::kNotYet, .error = "not valid yet"},
        TlsCase{.name = "ServerNameReplacesTheHost",
                .certificate_for = {"DNS:kubernetes.default"},
                .tls_server_name = "kubernetes.default",
                .server_name = "kubernetes.default"},
        TlsCase{.name = "ServerNameIsCheckedInsteadOfTheHost",
                .tls_server_name = "kubernetes.default",
                .error = "is not for kubernetes.default"},
        TlsCase{.name = "VerificationSwitchedOff",
                .certificate_for = {"DNS:other"},
                .validity = Validity::kExpired,
                .known_authority = false,
                .verification = kube::TlsVerification::kNone}),
    [](const auto& row) { return row.param.name; });

TEST(TransportTlsClient, ShowsItsCertificateWhenAsked) {
  HttpsServer::Options options = localhost_server();
  const Authority clients("Client Authority");
  options.client_authority_pem = clients.pem();
  std::string client;
  HttpsServer server(options, [&](ServerConnection& connection, const ServerRequest&) {
    client = connection.client_name();
    connection.reply(200, "{}");
  });
  auto access = access_to(server.port());
  {
    const Answer answer = ask(*transport_to(access), get_request());
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().kind, TransportFailure::kTls) << failure_text(answer);
    EXPECT_THAT(answer.error().message, HasSubstr("certificate required"));
  }
  const Identity admin = clients.issue("admin", {});
  access.client_certificate_pem = admin.certificate_pem;
  access.client_key_pem = admin.key_pem;
  const Answer answer = ask(*transport_to(access), get_request());
  ASSERT_TRUE(answer) << failure_text(answer);
  EXPECT_EQ(client, "admin");
}

TEST(TransportTlsClient, AServerWithoutTlsIsATlsFailure) {
  HttpsServer::Options options;
  options.tls = false;
  options.greeting = "HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n";
  HttpsServer server(options, [&](ServerConnection&, const ServerRequest&) {});
  const Answer answer = ask(*transport_to(access_to(server.port())), get_request());
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().kind, TransportFailure::kTls) << failure_text(answer);
  EXPECT_THAT(answer.error().message, HasSubstr("wrong version number"));
}

TEST(TransportTlsClient, AnIpv6AddressIsRefusedWithAWayOut) {
  auto access = access_to(443);
  access.host = "::1";
  const auto made = kube::make_cpprest_transport(access);
  ASSERT_FALSE(made);
  EXPECT_THAT(made.error().message, HasSubstr("use a name for it"));
}

TEST(TransportTlsClient, UnusableCertificatesAreRefusedAtOnce) {
  auto access = access_to(1);
  access.ca_pem = "nonsense";
  auto made = kube::make_cpprest_transport(access);
  ASSERT_FALSE(made);
  EXPECT_THAT(made.error().message, HasSubstr("certificate-authority holds no PEM certificate"));
  access.ca_pem = authority().pem();
  access.client_certificate_pem = authority().issue("a", {}).certificate_pem;
  access.client_key_pem = authority().issue("b", {}).key_pem;
  made = kube::make_cpprest_transport(access);
  ASSERT_FALSE(made);
  EXPECT_THAT(made.error().message, HasSubstr("is not the key of"));
}

// A plugin that counts its runs and gives out tokens t1, t2, ...
class PluginTest : public ::testing::Test {
 protected:
  void SetUp() override {
    dir_ = std::filesystem::temp_directory_path() / ("transport-plugin-" + std::to_string(::getpid()));
    std::filesystem::create_directories(dir_);
  }
  void TearDown() override { std::filesystem::remove_all(dir_); }

  kube::ExecPlugin plugin(const std::string& script) {
    const auto path = dir_ / "plugin.sh";
    std::ofstream(path) << "#!/bin/sh\ncd " << dir_.string() << "\n" << script;
    std::filesystem::permissions(path, std::filesystem::perms::owner_all);
    kube::ExecPlugin out;
    out.api_version = "client.authentication.k8s.io/v1";
    out.command = path.string();
    return out;
  }
  static std::string count_and_print(const std::string& status) {
    return "echo run >> runs\nn=$(wc -l < runs | tr -d ' ')\ncat <<END\n"
           R"({"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{)" +
           status + "}}\nEND\n";
  }
  std::filesystem::path dir_;
};

TEST_F(PluginTest, IsRunAgainOnceAfterA401) {
  std::mutex mutex;
  std::vector<std::string> seen;
  HttpsServer server(localhost_server(), [&](ServerConnection& connection, const ServerRequest& request) {
    const std::lock_guard lock(mutex);
    const std::string token =
        request.headers.count("authorization") != 0 ? request.headers.at("authorization") : "";
    seen.push_back(token);
    const bool good = request.target == "/never" ? false : token == "Bearer t2";
    connection.reply(good ? 200 : 401, "{}");
  });
  auto access = access_to(server.port());
  access.credential = plugin(count_and_print(R"("token":"t$n")"));
  const auto transport = transport_to(access);
  const Answer first = ask(*transport, get_request());
  ASSERT_TRUE(first) << failure_text(first);
  EXPECT_EQ(first->status, 200);
  EXPECT_EQ(seen, (std::vector<std::string>{"Bearer t1", "Bearer t2"}));
  seen.clear();
  const Answer unwelcome = ask(*transport, get_request("/never"));
  ASSERT_TRUE(unwelcome) << failure_text(unwelcome);
  EXPECT_EQ(unwelcome->status, 401) << "one renewal, then the answer is what it is";
  EXPECT_EQ(seen, (std::vector<std::string>{"Bearer t2", "Bearer t3"}));
}

TEST_F(PluginTest, RenewsAStreamsCredentialToo) {
  HttpsServer server(localhost_server(), [&](ServerConnection& connection, const ServerRequest& request) {
    if (request.headers.at("authorization") != "Bearer t2") {
      connection.reply(401, "{}");
      return;
    }
    connection.begin_chunked();
    connection.chunk("hello");
    connection.end_chunks();
  });
  auto access = access_to(server.port());
  access.credential = plugin(count_and_print(R"("token":"t$n")"));
  const auto transport = transport_to(access);
  const auto recorder = std::make_shared<Recorder>();
  const auto handle = transport->stream(get_request(), 10s, recorder);
  ASSERT_TRUE(recorder->wait_for_end());
  EXPECT_FALSE(recorder->error());
  EXPECT_EQ(recorder->data(), "hello");
}

TEST_F(PluginTest, ItsFailureIsAnErrorThatQuotesIt) {
  auto access = access_to(1);
  access.credential = plugin("echo 'please log in' >&2; exit 3\n");
  const auto transport = transport_to(access);
  const Answer answer = ask(*transport, get_request());
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().kind, TransportFailure::kCredentials);
  EXPECT_THAT(answer.error().message, HasSubstr("please log in"));
}

TEST_F(PluginTest, ASlowOneBlocksNobodyAndEndsWithTheTransport) {
  auto access = access_to(1);
  access.credential = plugin("sleep 60\n");
  auto transport = transport_to(access);
  std::atomic<int> callbacks{0};
  const auto begin = std::chrono::steady_clock::now();
  transport->send(get_request(), [&](const Answer& answer) {
    ++callbacks;
    EXPECT_FALSE(answer);
  });
  HttpRequest hurried = get_request();
  hurried.deadline = 100ms;
  const Answer answer = ask(*transport, hurried);
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().kind, TransportFailure::kTimeout);
  EXPECT_THAT(answer.error().message, HasSubstr("credential plugin"));
  transport.reset();
  EXPECT_EQ(callbacks, 1);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 10s);
}

std::string escaped(std::string pem) {
  for (std::size_t at = 0; (at = pem.find('\n', at)) != std::string::npos; at += 2) {
    pem.replace(at, 1, "\\n");
  }
  return pem;
}

TEST_F(PluginTest, MayGiveAClientCertificateAndLaterNone) {
  HttpsServer::Options options = localhost_server();
  const Authority clients("Client Authority");
  options.client_authority_pem = clients.pem();
  std::mutex mutex;
  std::vector<std::string> seen;
  HttpsServer server(options, [&](ServerConnection& connection, const ServerRequest&) {
    const std::lock_guard lock(mutex);
    seen.push_back(connection.client_name());
    connection.reply(seen.size() == 1 ? 401 : 200, "{}");
  });
  const Identity robot = clients.issue("robot", {});
  const Identity fixed = clients.issue("fixed", {});
  auto access = access_to(server.port());
  access.client_certificate_pem = fixed.certificate_pem;
  access.client_key_pem = fixed.key_pem;
  access.credential = plugin(
      "if [ -e ran ]; then s='\"token\":\"t\"'; else s=$(cat <<'END'\n"
      R"("clientCertificateData":")" +
      escaped(robot.certificate_pem) + R"(","clientKeyData":")" + escaped(robot.key_pem) +
      "\"\nEND\n); fi; touch ran\n"
      R"(printf '%s' '{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{')"
      "\n"
      R"(printf '%s}}' "$s")");
  const Answer answer = ask(*transport_to(access), get_request());
  ASSERT_TRUE(answer) << failure_text(answer);
  const std::lock_guard lock(mutex);
  EXPECT_EQ(seen, (std::vector<std::string>{"robot", "fixed"})) << "the kubeconfig's own counts again";
}

}  // namespace
}  // namespace poolwarden::test
