// Finds the cluster to talk to, as kubectl does: --kubeconfig, $KUBECONFIG, the pod's service account,
// ~/.kube/config. The first that is there decides. What it says wrong is never a reason to try the next, but
// an error that names the file, the entry and the fix.
// https://kubernetes.io/docs/concepts/configuration/organize-cluster-access-kubeconfig/
//
// Reads files; for any thread.
#pragma once

#include "kube/cluster_access.h"
#include "kube/result.h"

#include <string>
#include <vector>

namespace poolwarden::kube {

struct AccessOptions {
  std::string kubeconfig;  // --kubeconfig; empty: not given
  std::string context;     // --context; empty: the current one
};

// What is looked at besides the options.
struct AccessEnvironment {
  std::string kubeconfig;    // $KUBECONFIG, a colon-separated list
  std::string home;          // $HOME
  std::string service_host;  // $KUBERNETES_SERVICE_HOST
  std::string service_port;  // $KUBERNETES_SERVICE_PORT
  std::string service_account_dir = "/var/run/secrets/kubernetes.io/serviceaccount";

  static AccessEnvironment of_process();
};

Result<ClusterAccess> find_cluster_access(const AccessOptions& options, const AccessEnvironment& environment);

// Several files are merged by kubectl's rules: the first to name a cluster, user or context, or to set
// current-context, wins; entries are never mixed.
enum class MissingFile { kIsAnError, kIsSkipped };
Result<ClusterAccess> load_kubeconfig(const std::vector<std::string>& files, const std::string& context,
                                      MissingFile missing);

Result<ClusterAccess> in_cluster_access(const AccessEnvironment& environment);

}  // namespace poolwarden::kube
