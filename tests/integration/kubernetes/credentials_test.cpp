// Who we are to a real API server: tokens that rotate or are taken back, and plugins that give new ones.
#include "real_cluster.h"

#include <atomic>
#include <filesystem>
#include <fstream>
#include <unistd.h>

#include <fmt/format.h>

namespace poolwarden::test {
namespace {

using ::testing::HasSubstr;

// The API server remembers an accepted token for ten seconds (--authentication-token cache), whatever
// happens.
constexpr auto kTakenBack = 30s;

class RealCredentials : public ::testing::Test {
 protected:
  void SetUp() override {
    dir_ = std::filesystem::temp_directory_path() / fmt::format("kube-layer-{}", ::getpid());
    std::filesystem::create_directories(dir_);
  }
  void TearDown() override { std::filesystem::remove_all(dir_); }

  static std::string unique(const char* name) {
    static std::atomic<int> number{0};
    return fmt::format("{}-{}", name, ++number);
  }
  static std::string user(const std::string& account) {
    return fmt::format("system:serviceaccount:{}:{}", Cluster::instance().ns(), account);
  }
  static std::string new_account() {
    const std::string name = unique("robot");
    made(kServiceAccounts, {{"metadata", {{"name", name}}}});
    return name;
  }
  // A token that is taken back when the Secret goes.
  static std::string token_of(const std::string& account, const std::string& secret) {
    const json bound_to = made(kSecrets, {{"metadata", {{"name", secret}}}});
    const json request = {{"spec",
                           {{"expirationSeconds", 600},
                            {"boundObjectRef",
                             {{"kind", "Secret"},
                              {"apiVersion", "v1"},
                              {"name", secret},
                              {"uid", bound_to["metadata"]["uid"]}}}}}};
    kube::Call call = kube::create(kServiceAccounts, Cluster::instance().ns(), request.dump());
    call.name = account;
    call.subresource = "token";
    return document(send(call)).value("/status/token"_json_pointer, "");
  }
  static void take_back(const std::string& secret, const std::string& token) {
    document(send(kube::remove(kSecrets, Cluster::instance().ns(), secret, {})));
    const auto holder = connect(access_as(kube::BearerToken{token}));
    ASSERT_TRUE(wait_for([&] { return who_am_i(*holder).empty(); }, kTakenBack));
  }
  std::string write(const std::string& name, const std::string& text) {
    // By a rename, as the kubelet does it.
    const auto path = dir_ / name;
    const auto fresh = dir_ / (name + ".new");
    std::ofstream(fresh) << text;
    std::filesystem::rename(fresh, path);
    return path.string();
  }
  int runs() const {
    std::ifstream log(dir_ / "runs");
    int lines = 0;
    for (std::string line; std::getline(log, line);) ++lines;
    return lines;
  }
  // Prints what the file `credential` holds, and counts its runs.
  kube::ExecPlugin plugin() {
    const auto script = dir_ / "plugin.sh";
    std::ofstream(script) << "#!/bin/sh\ncd " << dir_.string() << "\necho run >> runs\ncat credential\n";
    std::filesystem::permissions(script, std::filesystem::perms::owner_all);
    kube::ExecPlugin out;
    out.api_version = "client.authentication.k8s.io/v1";
    out.command = script.string();
    return out;
  }
  void plugin_gives(const json& status) {
    write("credential", json{{"apiVersion", "client.authentication.k8s.io/v1"},
                             {"kind", "ExecCredential"},
                             {"status", status}}
                            .dump());
  }
  std::filesystem::path dir_;
};

TEST_F(RealCredentials, ATokenFileIsFollowedAsItRotates) {
  const std::string one = new_account();
  const std::string two = new_account();
  const std::string file = write("token", token_of(one, unique("secret")) + "\n");
  const auto transport = connect(access_as(kube::BearerTokenFile{file}));
  EXPECT_EQ(who_am_i(*transport), user(one));
  write("token", token_of(two, unique("secret")));
  EXPECT_EQ(who_am_i(*transport), user(two)) << "the very next call";
}

TEST_F(RealCredentials, RevokedToken_IsRefusedUntilFileChanges) {
  const std::string account = new_account();
  const std::string secret = unique("secret");
  const std::string first = token_of(account, secret);
  const std::string file = write("token", first);
  const auto transport = connect(access_as(kube::BearerTokenFile{file}));
  EXPECT_EQ(who_am_i(*transport), user(account));
  take_back(secret, first);
  const auto refused = send(*transport, kube::create(kWhoAmI, "", "{}"));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().cls, kube::ErrorClass::kForbidden);
  EXPECT_EQ(refused.error().http_status, 401);
  EXPECT_THAT(refused.error().message, HasSubstr("check the token"));
  write("token", token_of(account, unique("secret")));
  EXPECT_EQ(who_am_i(*transport), user(account));
}

TEST_F(RealCredentials, APluginIsAskedAgainWhenItsTokenWasTakenBack) {
  const std::string account = new_account();
  const std::string secret = unique("secret");
  const std::string first = token_of(account, secret);
  plugin_gives({{"token", first}});
  const auto transport = connect(access_as(plugin()));
  EXPECT_EQ(who_am_i(*transport), user(account));
  EXPECT_EQ(who_am_i(*transport), user(account));
  EXPECT_EQ(runs(), 1);
  plugin_gives({{"token", token_of(account, unique("secret"))}});
  take_back(secret, first);
  EXPECT_EQ(who_am_i(*transport), user(account)) << "the caller does not notice the 401";
  EXPECT_EQ(runs(), 2);
}

TEST_F(RealCredentials, APluginIsAskedAgainBeforeItsTokenExpires) {
  const std::string one = new_account();
  const std::string two = new_account();
  plugin_gives({{"token", token_of(one, unique("secret"))}, {"expirationTimestamp", "2000-01-01T00:00:00Z"}});
  const auto transport = connect(access_as(plugin()));
  EXPECT_EQ(who_am_i(*transport), user(one));
  plugin_gives({{"token", token_of(two, unique("secret"))}, {"expirationTimestamp", "2999-01-01T00:00:00Z"}});
  EXPECT_EQ(who_am_i(*transport), user(two));
  EXPECT_EQ(who_am_i(*transport), user(two));
  EXPECT_EQ(runs(), 2);
}

TEST_F(RealCredentials, APluginMayGiveAClientCertificate) {
  const kube::ClusterAccess& admin = Cluster::instance().access();
  if (admin.client_certificate_pem.empty())
    GTEST_SKIP() << "the kubeconfig has no client certificate to give";
  plugin_gives(
      {{"clientCertificateData", admin.client_certificate_pem}, {"clientKeyData", admin.client_key_pem}});
  const auto transport = connect(access_as(plugin()));
  EXPECT_EQ(who_am_i(*transport), who_am_i(Cluster::instance().transport()));
  EXPECT_NE(who_am_i(*transport), "");
}

}  // namespace
}  // namespace poolwarden::test
