// How to reach one API server, and as whom: what a kubeconfig or the pod's service account says, resolved.
// Files have been read and PEM has been checked, but for what rotates. Token files and exec plugins are kept
// as what they are, and Credentials (credentials.h) asks them. Values only.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace poolwarden::kube {

struct NoCredential {  // or a client certificate alone
  bool operator==(const NoCredential&) const = default;
};
struct BearerToken {
  std::string token;
  bool operator==(const BearerToken&) const = default;
};
struct BearerTokenFile {  // read again as it rotates
  std::string path;
  bool operator==(const BearerTokenFile&) const = default;
};
struct BasicAuth {
  std::string username;
  std::string password;
  bool operator==(const BasicAuth&) const = default;
};
// https://kubernetes.io/docs/reference/access-authn-authz/authentication/#client-go-credential-plugins
struct ExecPlugin {
  std::string api_version;  // client.authentication.k8s.io/v1 or v1beta1
  std::string command;      // absolute, or looked up in $PATH
  std::vector<std::string> args;
  std::vector<std::pair<std::string, std::string>> env;  // on top of our own
  std::string cluster_info;  // JSON for KUBERNETES_EXEC_INFO's spec.cluster; empty unless provideClusterInfo
  std::string install_hint;  // shown when the command is not there
  bool operator==(const ExecPlugin&) const = default;
};
using CredentialConfig = std::variant<NoCredential, BearerToken, BearerTokenFile, BasicAuth, ExecPlugin>;

enum class TlsVerification { kFull, kNone };  // kNone: insecure-skip-tls-verify

struct ClusterAccess {
  std::string source;  // for messages: "/home/me/.kube/config, context prod"
  std::string server;  // as given: "https://10.0.0.1:6443/base"
  bool tls = true;
  std::string host;  // without an IPv6 address's brackets
  std::uint16_t port = 443;
  std::string base_path;  // "" or "/base", for API servers behind a path
  std::string ca_pem;     // empty: the system's own authorities
  std::string client_certificate_pem;
  std::string client_key_pem;
  TlsVerification verification = TlsVerification::kFull;
  std::string tls_server_name;  // checked and sent instead of host; empty: host
  std::string ns = "default";   // of the context or the pod
  CredentialConfig credential;
};

}  // namespace poolwarden::kube
