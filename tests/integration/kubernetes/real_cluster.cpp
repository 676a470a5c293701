#include "real_cluster.h"

#include "kube/kubeconfig.h"

#include <cstdlib>
#include <future>
#include <iostream>
#include <random>
#include <thread>

#include <fmt/format.h>

namespace poolwarden::test {

Cluster& Cluster::instance() {
  static Cluster cluster;
  return cluster;
}

bool Cluster::forget_history() {
  const char* command = std::getenv("POOLWARDEN_TEST_FORGET_HISTORY");
  if (command == nullptr) return false;
  EXPECT_EQ(std::system(command), 0) << command;  // NOLINT(concurrency-mt-unsafe): of the test's caller
  // The connections of before are gone. A read finds out and is repeated; a write without a precondition is
  // not.
  document(send(kube::get(kNamespaces, "", instance().ns())));
  return true;
}

class ClusterEnvironment final : public ::testing::Environment {
 public:
  explicit ClusterEnvironment(const char* kubeconfig) : kubeconfig_(kubeconfig) {}

  void SetUp() override {
    Cluster& cluster = Cluster::instance();
    auto access = kube::load_kubeconfig({kubeconfig_}, {}, kube::MissingFile::kIsAnError);
    ASSERT_TRUE(access) << access.error().message;
    cluster.access_ = std::move(*access);
    cluster.transport_ = connect(cluster.access_);
    ASSERT_TRUE(cluster.transport_);
    cluster.ns_ = fmt::format("kube-layer-{:08x}", std::random_device{}());
    document(send(kube::create(kNamespaces, "", json{{"metadata", {{"name", cluster.ns_}}}}.dump())));
  }
  void TearDown() override {
    Cluster& cluster = Cluster::instance();
    if (!cluster.ns_.empty()) document(send(kube::remove(kNamespaces, "", cluster.ns_, {})));
    cluster.transport_.reset();
  }

 private:
  std::string kubeconfig_;
};

std::unique_ptr<kube::Transport> connect(kube::ClusterAccess access) {
  auto transport = kube::make_cpprest_transport(std::move(access));
  if (!transport) {
    ADD_FAILURE() << transport.error().message;
    return nullptr;
  }
  return std::move(*transport);
}

kube::ClusterAccess access_as(kube::CredentialConfig credential) {
  kube::ClusterAccess access = Cluster::instance().access();
  access.client_certificate_pem.clear();
  access.client_key_pem.clear();
  access.credential = std::move(credential);
  return access;
}

kube::Result<std::string> send(kube::Transport& transport, const kube::Call& call) {
  std::promise<kube::Result<std::string>> promise;
  auto future = promise.get_future();
  kube::Client(transport).send(
      call, [&](kube::Result<std::string> answer) { promise.set_value(std::move(answer)); });
  return future.get();  // each call has a deadline of its own
}

kube::Result<std::string> send(const kube::Call& call) {
  return send(Cluster::instance().transport(), call);
}

kube::Result<std::string> send_as(const std::string& field_manager, const kube::Call& call) {
  kube::HttpRequest request = kube::to_http(call);
  const std::string ours = "fieldManager=poolwarden";
  request.target.replace(request.target.find(ours), ours.size(), "fieldManager=" + field_manager);
  std::promise<kube::Result<std::string>> promise;
  auto future = promise.get_future();
  Cluster::instance().transport().send(
      request, [&](tl::expected<kube::HttpResponse, kube::TransportError> answer) {
        if (!answer) {
          promise.set_value(tl::unexpected(kube::to_error(call, answer.error())));
        } else if (answer->status >= 300) {
          promise.set_value(tl::unexpected(kube::to_error(call, *answer)));
        } else {
          promise.set_value(answer->body);
        }
      });
  return future.get();
}

json document(const kube::Result<std::string>& answer) {
  if (!answer) {
    ADD_FAILURE() << answer.error().message;
    return nullptr;
  }
  return json::parse(*answer, nullptr, false);
}

std::string who_am_i(kube::Transport& transport) {
  const auto answer = send(transport, kube::create(kWhoAmI, "", "{}"));
  if (!answer) return "";
  return json::parse(*answer).at("/status/userInfo/username"_json_pointer).get<std::string>();
}

json config_map(const std::string& name, const json& data, const std::string& label) {
  return {{"apiVersion", "v1"},
          {"kind", "ConfigMap"},
          {"metadata", {{"name", name}, {"labels", {{"test", label}}}}},
          {"data", data}};
}

json made(const kube::ResourceType& type, const json& object) {
  return document(send(kube::create(type, Cluster::instance().ns(), object.dump())));
}

bool wait_for(const std::function<bool()>& look, std::chrono::milliseconds patience) {
  const auto deadline = std::chrono::steady_clock::now() + patience;
  while (!look()) {
    if (std::chrono::steady_clock::now() >= deadline) return false;
    std::this_thread::sleep_for(200ms);
  }
  return true;
}

}  // namespace poolwarden::test

int main(int argc, char** argv) {
  ::testing::InitGoogleMock(&argc, argv);
  const char* kubeconfig = std::getenv("POOLWARDEN_TEST_KUBECONFIG");
  if (kubeconfig == nullptr) {
    std::cerr << "POOLWARDEN_TEST_KUBECONFIG is not set; it names the kubeconfig of a cluster to test with\n";
    return 2;
  }
  ::testing::AddGlobalTestEnvironment(new poolwarden::test::ClusterEnvironment(kubeconfig));
  return RUN_ALL_TESTS();
}
