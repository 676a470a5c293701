// Credentials as they rotate, on a clock of the test's own.
#include "kube/credentials.h"

#include "temp_dir.h"

#include <atomic>
#include <fcntl.h>
#include <future>
#include <sys/stat.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace poolwarden::kube {
namespace {

using ::testing::HasSubstr;
using namespace std::chrono_literals;
using Got = tl::expected<Credential, std::string>;

constexpr auto kPatience = 20s;

class CredentialsTest : public ::testing::Test {
 protected:
  void make(CredentialConfig config, std::chrono::milliseconds deadline = 20s) {
    credentials_ = std::make_unique<Credentials>(
        std::move(config), [this] { return WallTime(now_.load()); }, deadline);
  }
  Got get() {
    auto promise = std::make_shared<std::promise<Got>>();
    auto future = promise->get_future();
    credentials_->get([promise](Got got) { promise->set_value(std::move(got)); });
    if (future.wait_for(kPatience) != std::future_status::ready) {
      return tl::unexpected(std::string("no callback"));
    }
    return future.get();
  }
  std::string authorization() {
    const Got got = get();
    return got ? got->authorization : "error: " + got.error();
  }
  void advance(WallTime::duration by) { now_ = now_.load() + by; }

  // A plugin that gives t1, t2, ... and tells how often it ran.
  ExecPlugin counting_plugin(const std::string& more_status = {}) {
    ExecPlugin plugin;
    plugin.api_version = "client.authentication.k8s.io/v1";
    plugin.command = dir_.write_script("plugin.sh", "cd " + dir_.path() +
                                                        "\necho x >> runs\nn=$(wc -l < runs | tr -d ' ')\n"
                                                        "cat <<END\n"
                                                        R"({"apiVersion":"client.authentication.k8s.io/v1",)"
                                                        R"("kind":"ExecCredential","status":{"token":"t$n")" +
                                                        more_status + "}}\nEND\n");
    return plugin;
  }

  test::TempDir dir_;
  std::atomic<WallTime::duration> now_{std::chrono::seconds(1767323045)};  // 2026-01-02T03:04:05Z
  std::unique_ptr<Credentials> credentials_;
};

TEST_F(CredentialsTest, NoneSendsNothing) {
  make(NoCredential{});
  EXPECT_EQ(authorization(), "");
  EXPECT_FALSE(credentials_->refused(0));
}

TEST_F(CredentialsTest, StaticOnesStayAsTheyAre) {
  make(BearerToken{"abc"});
  EXPECT_EQ(authorization(), "Bearer abc");
  EXPECT_FALSE(credentials_->refused(get()->generation)) << "another try would send the same";
  make(BasicAuth{"user", "pass"});
  EXPECT_EQ(authorization(), "Basic dXNlcjpwYXNz");
}

TEST_F(CredentialsTest, ATokenFileIsReadAgainWhenItChanges) {
  const std::string file = dir_.write("token", "one\n");
  make(BearerTokenFile{file});
  EXPECT_EQ(authorization(), "Bearer one");
  const auto first = get()->generation;
  EXPECT_EQ(get()->generation, first);
  // As the kubelet does it: another file takes its place.
  std::filesystem::rename(dir_.write("next", "two"), file);
  EXPECT_EQ(authorization(), "Bearer two");
  EXPECT_NE(get()->generation, first);
}

TEST_F(CredentialsTest, ATokenFileIsReadAgainAfterAMinuteOrA401) {
  const std::string file = dir_.write("token", "one");
  make(BearerTokenFile{file});
  EXPECT_EQ(authorization(), "Bearer one");
  struct stat before {};
  ASSERT_EQ(::stat(file.c_str(), &before), 0);
  // A change that leaves no trace in the file's times.
  const auto overwrite = [&](const std::string& text) {
    dir_.write("token", text);
    const timespec times[2] = {before.st_atim, before.st_mtim};
    ASSERT_EQ(::utimensat(AT_FDCWD, file.c_str(), times, 0), 0);
  };
  overwrite("two");
  advance(59s);
  EXPECT_EQ(authorization(), "Bearer one");
  advance(1s);
  EXPECT_EQ(authorization(), "Bearer two");
  overwrite("three");
  EXPECT_EQ(authorization(), "Bearer two");
  EXPECT_TRUE(credentials_->refused(get()->generation));
  EXPECT_EQ(authorization(), "Bearer three");
}

TEST_F(CredentialsTest, TheLastGoodTokenBridgesAMissingFile) {
  const std::string file = dir_.write("token", "one");
  make(BearerTokenFile{file});
  EXPECT_EQ(authorization(), "Bearer one");
  std::filesystem::remove(file);
  advance(10min);
  EXPECT_EQ(authorization(), "Bearer one");
  dir_.write("token", "  \n");
  EXPECT_EQ(authorization(), "Bearer one") << "half-written";
  dir_.write("token", "two");
  EXPECT_EQ(authorization(), "Bearer two");
}

TEST_F(CredentialsTest, AFileThatNeverHeldATokenIsAnError) {
  make(BearerTokenFile{dir_.path("none")});
  EXPECT_THAT(authorization(), HasSubstr("No such file"));
  make(BearerTokenFile{dir_.write("empty", "\n")});
  EXPECT_THAT(authorization(), HasSubstr("is empty"));
  make(BearerTokenFile{dir_.write("evil", "a\r\nX-Injected: 1")});
  EXPECT_THAT(authorization(), HasSubstr("blanks or control characters"));
}

TEST_F(CredentialsTest, APluginRunsOnceWhileItsCredentialLasts) {
  make(counting_plugin(R"(,"expirationTimestamp":"2026-01-02T04:04:05Z")"));
  EXPECT_EQ(authorization(), "Bearer t1");
  advance(59min + 29s);
  EXPECT_EQ(authorization(), "Bearer t1");
  advance(1s);  // 30 s before the expiry
  EXPECT_EQ(authorization(), "Bearer t2");
}

TEST_F(CredentialsTest, APluginWithoutExpiryRunsAgainOnlyAfterA401) {
  make(counting_plugin());
  EXPECT_EQ(authorization(), "Bearer t1");
  advance(24h * 365);
  const auto first = get()->generation;
  EXPECT_EQ(authorization(), "Bearer t1");
  EXPECT_TRUE(credentials_->refused(first));
  EXPECT_EQ(authorization(), "Bearer t2");
  EXPECT_TRUE(credentials_->refused(first)) << "a late 401 to the old one";
  EXPECT_EQ(authorization(), "Bearer t2") << "does not throw the new one away";
}

TEST_F(CredentialsTest, ManyWhoWaitShareOneRun) {
  make(counting_plugin());
  std::vector<std::future<Got>> futures;
  for (int i = 0; i < 50; ++i) {
    auto promise = std::make_shared<std::promise<Got>>();
    futures.push_back(promise->get_future());
    credentials_->get([promise](Got got) { promise->set_value(std::move(got)); });
  }
  for (auto& future : futures) {
    ASSERT_EQ(future.wait_for(kPatience), std::future_status::ready);
    EXPECT_TRUE(future.get());
  }
  EXPECT_LE(std::filesystem::file_size(dir_.path("runs")), 4U)
      << "one run, two if it was quicker than the asking";
}

TEST_F(CredentialsTest, APluginIsToldWhatTheKubeconfigSays) {
  ExecPlugin plugin = counting_plugin();
  plugin.command =
      dir_.write_script("tell.sh", "printf '%s|' \"$1\" \"$GREETING\" \"$KUBERNETES_EXEC_INFO\" >&2; exit 1");
  plugin.args = {"--for=me"};
  plugin.env = {{"GREETING", "hello"}};
  plugin.cluster_info = R"({"server":"https://x"})";
  make(plugin);
  EXPECT_THAT(
      authorization(),
      HasSubstr(R"(--for=me|hello|{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential",)"
                R"("spec":{"cluster":{"server":"https://x"},"interactive":false}}|)"));
}

TEST_F(CredentialsTest, AFailedPluginIsNotRunAgainForAMoment) {
  ExecPlugin plugin = counting_plugin();
  plugin.command =
      dir_.write_script("fail.sh", "cd " + dir_.path() + "\necho x >> runs; echo no >&2; exit 1");
  make(plugin);
  EXPECT_THAT(authorization(), HasSubstr("failed with exit status 1: no"));
  EXPECT_THAT(authorization(), HasSubstr("failed with exit status 1: no"));
  EXPECT_EQ(std::filesystem::file_size(dir_.path("runs")), 2U);
  advance(1s);
  EXPECT_THAT(authorization(), HasSubstr("failed"));
  EXPECT_EQ(std::filesystem::file_size(dir_.path("runs")), 4U);
}

TEST_F(CredentialsTest, AMissingPluginComesWithItsHint) {
  ExecPlugin plugin;
  plugin.api_version = "client.authentication.k8s.io/v1";
  plugin.command = "surely-no-such-plugin";
  make(plugin);
  EXPECT_THAT(authorization(), HasSubstr("install it or correct"));
  plugin.install_hint = "Run: apt install it\n";
  make(plugin);
  EXPECT_THAT(authorization(), HasSubstr("; Run: apt install it"));
}

TEST_F(CredentialsTest, Destroyed_EndsPluginAndAnswersWaiters) {
  ExecPlugin plugin = counting_plugin();
  plugin.command = dir_.write_script("slow.sh", "sleep 60");
  make(plugin);
  std::atomic<int> errors{0};
  for (int i = 0; i < 3; ++i) {
    credentials_->get([&](const Got& got) { errors += got ? 0 : 1; });
  }
  const auto begin = std::chrono::steady_clock::now();
  credentials_.reset();
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 10s);
  EXPECT_EQ(errors, 3);
}

struct OutputRow {
  std::string name;
  std::string output;
  std::string error;  // empty: it is good
};

class PluginOutput : public ::testing::TestWithParam<OutputRow> {};

TEST_P(PluginOutput, IsChecked) {
  ExecPlugin plugin;
  plugin.api_version = "client.authentication.k8s.io/v1";
  plugin.command = "login";
  const auto parsed = parse_exec_credential(plugin, GetParam().output);
  if (GetParam().error.empty()) {
    EXPECT_TRUE(parsed) << parsed.error();
  } else {
    ASSERT_FALSE(parsed);
    EXPECT_THAT(parsed.error(), HasSubstr("credential plugin login: "));
    EXPECT_THAT(parsed.error(), HasSubstr(GetParam().error));
  }
}

std::string credential(const std::string& status) {
  return R"({"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":)" + status +
         "}";
}

INSTANTIATE_TEST_SUITE_P(
    Outputs, PluginOutput,
    ::testing::Values(
        OutputRow{"Token", credential(R"({"token":"t"})"), ""},
        OutputRow{"Certificate", credential(R"({"clientCertificateData":"c","clientKeyData":"k"})"), ""},
        OutputRow{"Nothing", "", "not a JSON object"}, OutputRow{"NotJson", "token: x", "not a JSON object"},
        OutputRow{"AnotherKind", R"({"kind":"Pod"})", "not an ExecCredential"},
        OutputRow{"AnotherVersion",
                  R"({"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1beta1"})",
                  "it answers with apiVersion \"client.authentication.k8s.io/v1beta1\""},
        OutputRow{"NoStatus", R"({"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1"})",
                  "no status"},
        OutputRow{"StatusIsNoMap", credential("7"), "no status"},
        OutputRow{"Empty", credential("{}"), "neither a token nor a client certificate"},
        OutputRow{"CertificateAlone", credential(R"({"clientCertificateData":"c"})"), "only one of"},
        OutputRow{"KeyAlone", credential(R"({"token":"t","clientKeyData":"k"})"), "only one of"},
        OutputRow{"TokenWithALineBreak", credential(R"({"token":"a\nb"})"), "control characters"},
        OutputRow{"BadExpiry", credential(R"({"token":"t","expirationTimestamp":"soon"})"),
                  "not an RFC 3339 time"}),
    [](const auto& row) { return row.param.name; });

TEST(StillUsable, EndsALittleBeforeTheExpiry) {
  const WallTime now{};
  EXPECT_TRUE(still_usable(ExecCredential{}, now));
  EXPECT_TRUE(still_usable(ExecCredential{{}, now + 31s}, now));
  EXPECT_FALSE(still_usable(ExecCredential{{}, now + 30s}, now));
  EXPECT_FALSE(still_usable(ExecCredential{{}, now - 1s}, now));
}

}  // namespace
}  // namespace poolwarden::kube
