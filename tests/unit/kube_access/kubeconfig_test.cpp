// Kubeconfigs: what they say, how several are merged, and a row for every mistake.
#include "kube/kubeconfig.h"

#include "kube/base64.h"
#include "support/certificates.h"
#include "temp_dir.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace poolwarden::kube {
namespace {

using ::testing::HasSubstr;

struct Pems {
  test::Authority authority{"CA"};
  test::Identity admin = authority.issue("admin", {});
  test::Identity other = authority.issue("other", {});
};

const Pems& pems() {
  static const Pems instance;
  return instance;
}

// Replaces @CA@, @CERT@, @KEY@ and @OTHERKEY@ by their base64.
std::string fill(std::string text) {
  const std::vector<std::pair<std::string, std::string>> values = {{"@CA@", pems().authority.pem()},
                                                                   {"@CERT@", pems().admin.certificate_pem},
                                                                   {"@KEY@", pems().admin.key_pem},
                                                                   {"@OTHERKEY@", pems().other.key_pem}};
  for (const auto& [name, pem] : values) {
    for (std::size_t at = 0; (at = text.find(name, at)) != std::string::npos;) {
      text.replace(at, name.size(), base64_encode(pem));
    }
  }
  return text;
}

// One cluster, user and context, all named x.
std::string config(const std::string& cluster, const std::string& user,
                   const std::string& context_more = {}) {
  return fill("apiVersion: v1\nkind: Config\ncurrent-context: x\nclusters:\n- name: x\n  cluster: {" +
              cluster + "}\nusers:\n- name: x\n  user: {" + user +
              "}\ncontexts:\n- name: x\n  context: {cluster: x, user: x" + context_more + "}\n");
}

const std::string kServer = "server: \"https://10.0.0.1:6443\"";

class Kubeconfig : public ::testing::Test {
 protected:
  Result<ClusterAccess> load(const std::string& text, const std::string& context = {}) {
    return load_kubeconfig({dir_.write("config", text)}, context, MissingFile::kIsAnError);
  }
  ClusterAccess good(const std::string& text, const std::string& context = {}) {
    auto access = load(text, context);
    if (!access) {
      ADD_FAILURE() << access.error().message;
      return {};
    }
    return std::move(*access);
  }
  test::TempDir dir_;
};

TEST_F(Kubeconfig, Everything) {
  const ClusterAccess access = good(
      config("server: \"https://10.0.0.1:6443/base/\", certificate-authority-data: @CA@, tls-server-name: "
             "api.example.com",
             "client-certificate-data: @CERT@, client-key-data: @KEY@, token: abc", ", namespace: team"));
  EXPECT_EQ(access.source, dir_.path("config") + ", context \"x\"");
  EXPECT_EQ(access.server, "https://10.0.0.1:6443/base/");
  EXPECT_TRUE(access.tls);
  EXPECT_EQ(access.host, "10.0.0.1");
  EXPECT_EQ(access.port, 6443);
  EXPECT_EQ(access.base_path, "/base");
  EXPECT_EQ(access.ca_pem, pems().authority.pem());
  EXPECT_EQ(access.client_certificate_pem, pems().admin.certificate_pem);
  EXPECT_EQ(access.client_key_pem, pems().admin.key_pem);
  EXPECT_EQ(access.verification, TlsVerification::kFull);
  EXPECT_EQ(access.tls_server_name, "api.example.com");
  EXPECT_EQ(access.ns, "team");
  EXPECT_EQ(access.credential, CredentialConfig(BearerToken{"abc"}));
}

TEST_F(Kubeconfig, Defaults) {
  const ClusterAccess access = good(config("server: \"https://h\"", ""));
  EXPECT_EQ(access.port, 443);
  EXPECT_EQ(access.base_path, "");
  EXPECT_EQ(access.ns, "default");
  EXPECT_EQ(access.credential, CredentialConfig(NoCredential{}));
}

TEST_F(Kubeconfig, PlainHttpIpv6AndInsecure) {
  ClusterAccess access = good(config("server: \"http://[::1]\"", ""));
  EXPECT_FALSE(access.tls);
  EXPECT_EQ(access.host, "::1");
  EXPECT_EQ(access.port, 80);
  access = good(config(kServer + ", insecure-skip-tls-verify: true", ""));
  EXPECT_EQ(access.verification, TlsVerification::kNone);
}

TEST_F(Kubeconfig, JsonIsYaml) {
  EXPECT_EQ(good(R"({"clusters":[{"name":"c","cluster":{"server":"https://h"}}],"current-context":"k",)"
                 R"("contexts":[{"name":"k","context":{"cluster":"c"}}]})")
                .host,
            "h");
}

TEST_F(Kubeconfig, FilesAreRelativeToTheConfig) {
  dir_.write("pki/ca.crt", pems().authority.pem());
  dir_.write("pki/admin.crt", pems().admin.certificate_pem);
  dir_.write("pki/admin.key", pems().admin.key_pem);
  const ClusterAccess access = good(config(
      kServer + ", certificate-authority: pki/ca.crt",
      "client-certificate: pki/admin.crt, client-key: " + dir_.path("pki/admin.key") + ", tokenFile: tok"));
  EXPECT_EQ(access.ca_pem, pems().authority.pem());
  EXPECT_EQ(access.client_key_pem, pems().admin.key_pem);
  EXPECT_EQ(access.credential, CredentialConfig(BearerTokenFile{dir_.path("tok")}));
}

TEST_F(Kubeconfig, DataBeforeFile_TokenFileBeforeToken) {
  const ClusterAccess access =
      good(config(kServer + ", certificate-authority: /nowhere, certificate-authority-data: @CA@",
                  "token: abc, tokenFile: /tok"));
  EXPECT_EQ(access.ca_pem, pems().authority.pem());
  EXPECT_EQ(access.credential, CredentialConfig(BearerTokenFile{"/tok"}));
}

TEST_F(Kubeconfig, BasicAuthentication) {
  EXPECT_EQ(good(config(kServer, "username: u, password: \"123\"")).credential,
            CredentialConfig(BasicAuth{"u", "123"}));
}

TEST_F(Kubeconfig, ContextsAreChosen) {
  const std::string two =
      "clusters: [{name: a, cluster: {server: \"https://a\"}}, {name: b, cluster: {server: \"https://b\"}}]\n"
      "contexts: [{name: a, context: {cluster: a}}, {name: b, context: {cluster: b}}]\n";
  EXPECT_EQ(good(two + "current-context: a\n").host, "a");
  EXPECT_EQ(good(two + "current-context: a\n", "b").host, "b");
  EXPECT_EQ(good(two, "b").host, "b");
}

TEST_F(Kubeconfig, ExecPlugin) {
  const std::string exec =
      "exec: {apiVersion: client.authentication.k8s.io/v1beta1, command: bin/login, args: [--for, 7], "
      "env: [{name: A, value: b}, {name: C}], installHint: apt install login, interactiveMode: Never";
  ClusterAccess access = good(config(kServer, exec + "}"));
  ExecPlugin expected;
  expected.api_version = "client.authentication.k8s.io/v1beta1";
  expected.command = dir_.path("bin/login");
  expected.args = {"--for", "7"};
  expected.env = {{"A", "b"}, {"C", ""}};
  expected.install_hint = "apt install login";
  EXPECT_EQ(access.credential, CredentialConfig(expected));
  access = good(
      config(kServer + ", tls-server-name: n, certificate-authority-data: @CA@, extensions: [{name: other, "
                       "extension: {}}, {name: client.authentication.k8s.io/exec, extension: {audience: "
                       "\"06\", n: 6, on: true, list: [a]}}]",
             exec + ", provideClusterInfo: true}"));
  EXPECT_EQ(
      std::get<ExecPlugin>(access.credential).cluster_info,
      R"({"certificate-authority-data":")" + base64_encode(pems().authority.pem()) +
          R"(","config":{"audience":"06","list":["a"],"n":6,"on":true},"server":"https://10.0.0.1:6443",)"
          R"("tls-server-name":"n"})");
}

TEST_F(Kubeconfig, ACommandWithoutASlashIsLookedUpInThePath) {
  const ClusterAccess access =
      good(config(kServer, "exec: {apiVersion: client.authentication.k8s.io/v1, command: login}"));
  EXPECT_EQ(std::get<ExecPlugin>(access.credential).command, "login");
}

// Merging.

std::string part(const std::string& clusters, const std::string& users, const std::string& contexts,
                 const std::string& current = {}) {
  return "clusters: [" + clusters + "]\nusers: [" + users + "]\ncontexts: [" + contexts + "]\n" +
         (current.empty() ? "" : "current-context: " + current + "\n");
}

class KubeconfigMerge : public Kubeconfig {
 protected:
  Result<ClusterAccess> merge(std::vector<std::string> texts, const std::string& context = {}) {
    std::vector<std::string> files;
    for (std::size_t i = 0; i < texts.size(); ++i) {
      files.push_back(dir_.write(std::to_string(i) + "/config", texts[i]));
    }
    return load_kubeconfig(files, context, MissingFile::kIsSkipped);
  }
};

TEST_F(KubeconfigMerge, PartsOfOneContextMayComeFromSeveralFiles) {
  const auto access = merge({part("", "", "{name: k, context: {cluster: c, user: u}}"),
                             part("{name: c, cluster: {server: \"https://h\"}}", "", ""),
                             part("", "{name: u, user: {tokenFile: tok}}", "", "k")});
  ASSERT_TRUE(access) << access.error().message;
  EXPECT_EQ(access->host, "h");
  EXPECT_EQ(access->credential, CredentialConfig(BearerTokenFile{dir_.path("2/tok")}))
      << "relative to its own file";
}

TEST_F(KubeconfigMerge, TheFirstToNameAnEntryWinsWhole) {
  const auto access =
      merge({part("{name: c, cluster: {server: \"https://first\"}}", "", "{name: k, context: {cluster: c}}"),
             part("{name: c, cluster: {server: \"https://second\", tls-server-name: mixed}}", "",
                  "{name: k, context: {cluster: c, namespace: mixed}}", "k")});
  ASSERT_TRUE(access) << access.error().message;
  EXPECT_EQ(access->host, "first");
  EXPECT_EQ(access->tls_server_name, "") << "entries are never mixed";
  EXPECT_EQ(access->ns, "default");
}

TEST_F(KubeconfigMerge, TheFirstCurrentContextWins) {
  const std::string clusters = "{name: c, cluster: {server: \"https://h\"}}";
  const auto access = merge({part(clusters, "", "{name: one, context: {cluster: c, namespace: one}}", "one"),
                             part("", "", "{name: two, context: {cluster: c, namespace: two}}", "two")});
  ASSERT_TRUE(access) << access.error().message;
  EXPECT_EQ(access->ns, "one");
}

TEST_F(KubeconfigMerge, MissingAndEmptyFilesCountAsNothing) {
  const std::string file = dir_.write("real", config(kServer, ""));
  const auto access =
      load_kubeconfig({dir_.path("none"), dir_.write("empty", ""), file}, "", MissingFile::kIsSkipped);
  ASSERT_TRUE(access) << access.error().message;
  const auto none = load_kubeconfig({dir_.path("none"), dir_.path("nor-this")}, "", MissingFile::kIsSkipped);
  ASSERT_FALSE(none);
  EXPECT_THAT(none.error().message, HasSubstr("none of the files exists"));
}

TEST_F(KubeconfigMerge, ABrokenFileIsNotPassedOver) {
  const auto access = merge({"{", config(kServer, "")});
  ASSERT_FALSE(access);
  EXPECT_THAT(access.error().message, HasSubstr("0/config: is not YAML"));
}

// Mistakes.

struct Mistake {
  std::string name;
  std::string text;
  std::string error;
  std::string context = {};
};

class KubeconfigMistakes : public ::testing::TestWithParam<Mistake> {};

TEST_P(KubeconfigMistakes, AreNamed) {
  const test::TempDir dir;
  dir.write("not-a-pem", "hello");
  dir.write("empty", "");
  const std::string file = dir.write("config", GetParam().text);
  const auto access = load_kubeconfig({file}, GetParam().context, MissingFile::kIsAnError);
  ASSERT_FALSE(access);
  EXPECT_EQ(access.error().cls, ErrorClass::kTerminal);
  EXPECT_THAT(access.error().message, HasSubstr(GetParam().error));
  EXPECT_THAT(access.error().message, HasSubstr(file)) << "names the file";
}

std::string exec(const std::string& rest) {
  return "exec: {apiVersion: client.authentication.k8s.io/v1, command: login" + rest + "}";
}

std::string deep_yaml() {
  return std::string(20000, '[') + std::string(20000, ']');
}

INSTANTIATE_TEST_SUITE_P(
    All, KubeconfigMistakes,
    ::testing::Values(
        Mistake{"Empty", "", "is empty"}, Mistake{"OnlyAComment", "# nothing\n", "is empty"},
        Mistake{"NotYaml", "a: [", "is not YAML"}, Mistake{"AText", "hello", "holds no map"},
        Mistake{"Binary", std::string("\x00\xff\xfe\x01", 4), ""}, Mistake{"VeryDeep", deep_yaml(), ""},
        Mistake{"TwoDocuments", "a: 1\n---\nb: 2\n", "several YAML documents"},
        Mistake{"ACommaBeforeAllElse", ", a: b}\n", "text outside of any"},
        Mistake{"AnotherKind", "kind: Pod\n", "its kind is \"Pod\" and not \"Config\""},
        Mistake{"AnotherVersion", "apiVersion: v2\n", "only \"v1\" is known"},
        Mistake{"ClustersIsNoList", "clusters: {a: b}\n", "clusters is not a list"},
        Mistake{"EntryWithoutName", "clusters: [{cluster: {}}]\n", "an entry without a name"},
        Mistake{"EntryIsNoMap", "users: [x]\n", "an entry without a name"},
        Mistake{"ClusterIsNoMap", "clusters: [{name: c, cluster: [1]}]\n", "cluster \"c\" is not a map"},
        Mistake{"NameTwice", "users: [{name: u, user: {}}, {name: u, user: {}}]\n",
                "user \"u\" is there twice"},
        Mistake{"NoCurrentContext", "contexts: [{name: a, context: {}}, {name: b, context: {}}]\n",
                "choose one with --context: a, b"},
        Mistake{"CurrentContextIsNoName", "current-context: [a]\n", "current-context is not a name"},
        Mistake{"CurrentContextMissing", "current-context: z\ncontexts: [{name: a, context: {}}]\n",
                "there is no context \"z\" (its current-context); there are: a"},
        Mistake{"ContextAskedForMissing", config(kServer, ""), "no context \"z\" (asked for with --context)",
                "z"},
        Mistake{"ContextWithoutCluster", "current-context: a\ncontexts: [{name: a, context: {}}]\n",
                "context \"a\": names no cluster"},
        Mistake{"UnknownCluster", "current-context: a\ncontexts: [{name: a, context: {cluster: z}}]\n",
                "there is no cluster \"z\"; there are: none"},
        Mistake{"UnknownUser",
                "current-context: a\nclusters: [{name: c, cluster: {server: \"https://h\"}}]\n"
                "contexts: [{name: a, context: {cluster: c, user: z}}]\n",
                "there is no user \"z\""},
        Mistake{"NoServer", config("", ""), "cluster \"x\": has no server"},
        Mistake{"ServerWithoutScheme", config("server: \"10.0.0.1:6443\"", ""), "must begin with https://"},
        Mistake{"ServerWithoutHost", config("server: \"https://:6443\"", ""), "names no host"},
        Mistake{"ServerPortNotANumber", config("server: \"https://h:x\"", ""), "no valid port"},
        Mistake{"ServerPortTooLarge", config("server: \"https://h:65536\"", ""), "no valid port"},
        Mistake{"ServerPortEmpty", config("server: \"https://h:\"", ""), "no valid port"},
        Mistake{"ServerWithUser", config("server: \"https://me@h\"", ""), "must be a plain URL"},
        Mistake{"ServerWithQuery", config("server: \"https://h?x\"", ""), "must be a plain URL"},
        Mistake{"ServerWithBlank", config("server: \"https://h h\"", ""), "must be a plain URL"},
        Mistake{"ServerUnclosedBracket", config("server: \"https://[::1\"", ""), "unclosed ["},
        Mistake{"ServerIsNoText", config("server: [a]", ""), "server is not a text"},
        Mistake{"Proxy", config(kServer + ", proxy-url: \"http://p\"", ""), "proxy-url is not supported"},
        Mistake{"InsecureWithAuthority",
                config(kServer + ", insecure-skip-tls-verify: true, "
                                 "certificate-authority-data: @CA@",
                       ""),
                "both certificate-authority and insecure-skip-tls-verify"},
        Mistake{"InsecureIsNoFlag", config(kServer + ", insecure-skip-tls-verify: maybe", ""),
                "true or false"},
        Mistake{"AuthorityNotBase64", config(kServer + ", certificate-authority-data: \"!!\"", ""),
                "certificate-authority-data is not base64"},
        Mistake{"AuthorityNoPem", config(kServer + ", certificate-authority-data: aGVsbG8=", ""),
                "certificate-authority holds no PEM certificate"},
        Mistake{"AuthorityFileMissing", config(kServer + ", certificate-authority: nowhere.crt", ""),
                "cluster \"x\": certificate-authority: cannot read"},
        Mistake{"AuthorityFileNoPem", config(kServer + ", certificate-authority: not-a-pem", ""),
                "no PEM certificate"},
        Mistake{"AuthorityFileEmpty", config(kServer + ", certificate-authority: empty", ""), "is empty"},
        Mistake{"CertificateWithoutKey", config(kServer, "client-certificate-data: @CERT@"),
                "but no client-key"},
        Mistake{"KeyWithoutCertificate", config(kServer, "client-key-data: @KEY@"),
                "but no client-certificate"},
        Mistake{"KeyOfAnother",
                config(kServer, "client-certificate-data: @CERT@, client-key-data: @OTHERKEY@"),
                "user \"x\": client-key is not the key of client-certificate"},
        Mistake{"KeyNoPem", config(kServer, "client-certificate-data: @CERT@, client-key-data: aGVsbG8="),
                "client-key holds no usable PEM"},
        Mistake{"CertificateNoPem",
                config(kServer, "client-certificate-data: aGVsbG8=, client-key-data: @KEY@"),
                "client-certificate holds no PEM"},
        Mistake{"TokenAndBasic", config(kServer, "token: a, username: u, password: p"),
                "more than one way to log in (token username/password )"},
        Mistake{"TokenAndExec", config(kServer, "token: a, " + exec("")), "more than one way"},
        Mistake{"PasswordAlone", config(kServer, "password: p"), "only one of username and password"},
        Mistake{"TokenWithABlank", config(kServer, "token: \"a b\""), "token holds blanks"},
        Mistake{"AuthProvider", config(kServer, "auth-provider: {name: gcp}"), "use exec instead"},
        Mistake{"Impersonation", config(kServer, "as: root"), "as (impersonation) is not supported"},
        Mistake{"ExecIsNoMap", config(kServer, "exec: login"), "exec is not a map"},
        Mistake{"ExecOldVersion",
                config(kServer, "exec: {apiVersion: client.authentication.k8s.io/v1alpha1, command: x}"),
                "only client.authentication.k8s.io/v1 and v1beta1"},
        Mistake{"ExecWithoutCommand", config(kServer, "exec: {apiVersion: client.authentication.k8s.io/v1}"),
                "user \"x\".exec: has no command"},
        Mistake{"ExecInteractive", config(kServer, exec(", interactiveMode: Always")), "no terminal"},
        Mistake{"ExecArgsNoList", config(kServer, exec(", args: x")), "args is not a list"},
        Mistake{"ExecArgNoText", config(kServer, exec(", args: [[x]]")), "not a text"},
        Mistake{"ExecEnvNoList", config(kServer, exec(", env: x")), "env is not a list"},
        Mistake{"ExecEnvWithoutName", config(kServer, exec(", env: [{value: x}]")),
                "an entry without a name"}),
    [](const auto& row) { return row.param.name; });

TEST_F(Kubeconfig, MissingFileOrDirectory) {
  const auto none = load_kubeconfig({dir_.path("none")}, "", MissingFile::kIsAnError);
  ASSERT_FALSE(none);
  EXPECT_THAT(none.error().message, HasSubstr("cannot read " + dir_.path("none")));
  const auto folder = load_kubeconfig({dir_.path()}, "", MissingFile::kIsSkipped);
  ASSERT_FALSE(folder);
  EXPECT_THAT(folder.error().message, HasSubstr("directory"));
}

}  // namespace
}  // namespace poolwarden::kube
