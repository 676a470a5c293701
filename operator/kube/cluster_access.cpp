// Where to look for a cluster, and the pod's own service account.
// https://kubernetes.io/docs/tasks/run-application/access-api-from-pod/
#include "kube/kubeconfig.h"
#include "kube/read_file.h"
#include "kube/tls.h"

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <filesystem>
#include <utility>

#include <fmt/format.h>

namespace poolwarden::kube {
namespace {

constexpr std::size_t kMaxAccountFileBytes = 1u << 20;

tl::unexpected<Error> fail(std::string message) {
  return tl::unexpected(Error{ErrorClass::kTerminal, 0, "NoClusterAccess", std::move(message), std::nullopt});
}

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr ? value : "";
}

bool exists(const std::string& path) {
  std::error_code ignored;
  return std::filesystem::exists(path, ignored);
}

std::vector<std::string> split_list(const std::string& paths) {
  std::vector<std::string> out;
  std::size_t begin = 0;
  while (begin <= paths.size()) {
    const std::size_t end = std::min(paths.find(':', begin), paths.size());
    if (end > begin) {
      out.push_back(paths.substr(begin, end - begin));
    }
    begin = end + 1;
  }
  return out;
}

}  // namespace

AccessEnvironment AccessEnvironment::of_process() {
  AccessEnvironment out;
  out.kubeconfig = variable("KUBECONFIG");
  out.home = variable("HOME");
  out.service_host = variable("KUBERNETES_SERVICE_HOST");
  out.service_port = variable("KUBERNETES_SERVICE_PORT");
  return out;
}

Result<ClusterAccess> in_cluster_access(const AccessEnvironment& environment) {
  if (environment.service_host.empty() || environment.service_port.empty()) {
    return fail("not in a cluster: KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set");
  }
  ClusterAccess out;
  out.source = "the pod's service account";
  out.host = environment.service_host;
  const std::string& port = environment.service_port;
  const auto parsed = std::from_chars(port.data(), port.data() + port.size(), out.port);
  if (parsed.ec != std::errc() || parsed.ptr != port.data() + port.size() || out.port == 0) {
    return fail(fmt::format("in the cluster: KUBERNETES_SERVICE_PORT is \"{}\" and not a port", port));
  }
  if (out.host.find(':') != std::string::npos) {
    // The transport takes no IPv6 address in a URL. This name stands for the same service and is in every
    // API server's certificate.
    out.host = "kubernetes.default.svc";
  }
  out.server = fmt::format("https://{}:{}", out.host, out.port);

  const std::string& dir = environment.service_account_dir;
  const std::string token = dir + "/token";
  if (const auto text = read_file(token, kMaxAccountFileBytes); !text) {
    return fail(fmt::format("in the cluster: {}; does the pod have automountServiceAccountToken: false?",
                            text.error()));
  }
  out.credential = BearerTokenFile{token};
  auto ca = read_file(dir + "/ca.crt", kMaxAccountFileBytes);
  if (!ca) {
    return fail(fmt::format("in the cluster: {}", ca.error()));
  }
  if (const std::string what = check_ca_pem(*ca); !what.empty()) {
    return fail(fmt::format("in the cluster: {}/ca.crt {}", dir, what));
  }
  out.ca_pem = std::move(*ca);
  if (const auto ns = read_file(dir + "/namespace", kMaxAccountFileBytes)) {
    const auto end = ns->find_last_not_of(" \n\r\t");
    if (end != std::string::npos) {
      out.ns = ns->substr(0, end + 1);
    }
  }
  return out;
}

Result<ClusterAccess> find_cluster_access(const AccessOptions& options,
                                          const AccessEnvironment& environment) {
  if (!options.kubeconfig.empty()) {
    return load_kubeconfig({options.kubeconfig}, options.context, MissingFile::kIsAnError);
  }
  if (const auto files = split_list(environment.kubeconfig); !files.empty()) {
    return load_kubeconfig(files, options.context, MissingFile::kIsSkipped);
  }
  const std::string default_file = environment.home.empty() ? "" : environment.home + "/.kube/config";
  const bool has_default = !default_file.empty() && exists(default_file);
  // A context is something of a kubeconfig: who asks for one does not mean the service account.
  const bool in_pod = !environment.service_host.empty() && options.context.empty();
  if (in_pod && (exists(environment.service_account_dir + "/token") || !has_default)) {
    return in_cluster_access(environment);
  }
  if (has_default) {
    return load_kubeconfig({default_file}, options.context, MissingFile::kIsAnError);
  }
  return fail(fmt::format(
      "no cluster to talk to: --kubeconfig and $KUBECONFIG are not set, this is not a pod, and {} "
      "does not exist; pass --kubeconfig",
      default_file.empty() ? "$HOME/.kube/config" : default_file));
}

}  // namespace poolwarden::kube
