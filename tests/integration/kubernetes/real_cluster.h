// A real Kubernetes cluster, as the environment names it:
//
//   POOLWARDEN_TEST_KUBECONFIG       how to reach it, as someone who may do anything
//   POOLWARDEN_TEST_FORGET_HISTORY   a command that makes its API server forget all versions but the newest,
//   and
//                                    returns when it serves again; without it, tests that need that are
//                                    skipped
//
// All tests share one namespace, made at the start and deleted at the end.
#pragma once

#include "kube/client.h"
#include "kube/cpprest_transport.h"

#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace poolwarden::test {

using namespace std::chrono_literals;
using nlohmann::json;

inline constexpr kube::ResourceType kNamespaces{"", "v1", "namespaces", "Namespace", false};
inline constexpr kube::ResourceType kSecrets{"", "v1", "secrets", "Secret"};
inline constexpr kube::ResourceType kServiceAccounts{"", "v1", "serviceaccounts", "ServiceAccount"};
inline constexpr kube::ResourceType kWhoAmI{"authentication.k8s.io", "v1", "selfsubjectreviews",
                                            "SelfSubjectReview", false};

class Cluster {
 public:
  static Cluster& instance();

  const kube::ClusterAccess& access() const { return access_; }
  kube::Transport& transport() { return *transport_; }
  const std::string& ns() const { return ns_; }
  // False: the test is to be skipped.
  static bool forget_history();

 private:
  friend class ClusterEnvironment;
  kube::ClusterAccess access_;
  std::unique_ptr<kube::Transport> transport_;
  std::string ns_;
};

// The tests' namespace.
inline const std::string& ns() {
  return Cluster::instance().ns();
}
std::unique_ptr<kube::Transport> connect(kube::ClusterAccess access);
// As that user and no other.
kube::ClusterAccess access_as(kube::CredentialConfig credential);

kube::Result<std::string> send(const kube::Call& call);
kube::Result<std::string> send(kube::Transport& transport, const kube::Call& call);
// The same by another writer than us.
kube::Result<std::string> send_as(const std::string& field_manager, const kube::Call& call);
// The answer's document; a failed test and null where there is none.
json document(const kube::Result<std::string>& answer);
// "system:serviceaccount:ns:name"; "" when the API server does not know who asks.
std::string who_am_i(kube::Transport& transport);

json config_map(const std::string& name, const json& data, const std::string& label = "none");
json made(const kube::ResourceType& type, const json& object);
bool wait_for(const std::function<bool()>& look, std::chrono::milliseconds patience);

}  // namespace poolwarden::test
