// Where a cluster is looked for, in which order, and what a pod finds.
#include "kube/kubeconfig.h"
#include "support/certificates.h"
#include "temp_dir.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace poolwarden::kube {
namespace {

using ::testing::HasSubstr;

class ClusterAccessTest : public ::testing::Test {
 protected:
  void SetUp() override {
    environment_.service_account_dir = dir_.path("sa");
    environment_.home = dir_.path("home");
  }
  std::string kubeconfig(const std::string& name, const std::string& host) {
    return dir_.write(name, "clusters: [{name: c, cluster: {server: \"https://" + host +
                                "\"}}]\ncontexts: [{name: k, context: {cluster: c}}]\ncurrent-context: k\n");
  }
  void be_a_pod() {
    static const test::Authority authority("CA");
    environment_.service_host = "10.96.0.1";
    environment_.service_port = "443";
    dir_.write("sa/token", "t");
    dir_.write("sa/ca.crt", authority.pem());
    dir_.write("sa/namespace", "mine\n");
  }
  std::string host(const AccessOptions& options = {}) {
    const auto access = find_cluster_access(options, environment_);
    return access ? access->host : "error: " + access.error().message;
  }

  test::TempDir dir_;
  AccessEnvironment environment_;
};

TEST_F(ClusterAccessTest, TheFirstPlaceThatIsThereDecides) {
  EXPECT_THAT(host(), HasSubstr("pass --kubeconfig"));
  kubeconfig("home/.kube/config", "home");
  EXPECT_EQ(host(), "home");
  be_a_pod();
  EXPECT_EQ(host(), "10.96.0.1");
  environment_.kubeconfig = ":" + dir_.path("none") + "::" + kubeconfig("variable", "variable") + ":";
  EXPECT_EQ(host(), "variable");
  EXPECT_EQ(host({.kubeconfig = kubeconfig("flag", "flag"), .context = {}}), "flag");
}

TEST_F(ClusterAccessTest, AMistakeIsNoReasonToTryTheNextPlace) {
  kubeconfig("home/.kube/config", "home");
  be_a_pod();
  environment_.kubeconfig = dir_.path("none");
  EXPECT_THAT(host(), HasSubstr("none of the files exists"));
  EXPECT_THAT(host({.kubeconfig = dir_.path("not-here"), .context = {}}), HasSubstr("not-here"));
}

TEST_F(ClusterAccessTest, WhoAsksForAContextMeansAKubeconfig) {
  kubeconfig("home/.kube/config", "home");
  be_a_pod();
  EXPECT_EQ(host({.kubeconfig = {}, .context = "k"}), "home");
}

TEST_F(ClusterAccessTest, APodWithoutATokenMayHaveAKubeconfig) {
  be_a_pod();
  std::filesystem::remove(dir_.path("sa/token"));
  EXPECT_THAT(host(), HasSubstr("automountServiceAccountToken"));
  kubeconfig("home/.kube/config", "home");
  EXPECT_EQ(host(), "home");
}

TEST_F(ClusterAccessTest, APodsServiceAccount) {
  be_a_pod();
  auto access = in_cluster_access(environment_);
  ASSERT_TRUE(access) << access.error().message;
  EXPECT_EQ(access->server, "https://10.96.0.1:443");
  EXPECT_EQ(access->port, 443);
  EXPECT_EQ(access->ns, "mine");
  EXPECT_THAT(access->ca_pem, HasSubstr("BEGIN CERTIFICATE"));
  EXPECT_EQ(access->credential, CredentialConfig(BearerTokenFile{dir_.path("sa/token")}));
  environment_.service_host = "fd00::1";
  EXPECT_EQ(in_cluster_access(environment_)->host, "kubernetes.default.svc");
}

TEST_F(ClusterAccessTest, APodsMistakes) {
  EXPECT_THAT(in_cluster_access(environment_).error().message, HasSubstr("not in a cluster"));
  be_a_pod();
  environment_.service_port = "https";
  EXPECT_THAT(in_cluster_access(environment_).error().message, HasSubstr("not a port"));
  environment_.service_port = "443";
  dir_.write("sa/ca.crt", "hello");
  EXPECT_THAT(in_cluster_access(environment_).error().message, HasSubstr("ca.crt holds no PEM certificate"));
  std::filesystem::remove(dir_.path("sa/ca.crt"));
  EXPECT_THAT(in_cluster_access(environment_).error().message, HasSubstr("cannot read"));
}

}  // namespace
}  // namespace poolwarden::kube
