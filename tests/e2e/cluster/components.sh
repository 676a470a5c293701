# shellcheck shell=bash
# shellcheck disable=SC2154 # lib.sh, and the one that sources this, set them
# The cluster's components, each with its configuration and the function that starts it. Sourced; needs
# lib.sh, and $bin, the folder of their programs.

# All that `up` starts, in that order. component.sh knows the same names.
# shellcheck disable=SC2034 # for those that source this
components=(etcd apiserver controller-manager scheduler containerd containerd1 kubelet kubelet1 proxy)

sandbox_image=registry.k8s.io/pause:poolwarden-e2e # as build.sh calls it

# Since 1.37 autoscalers may scale to zero. The 1.36 that most cases run on can do the same, if it is told to.
gates=HPAScaleToZero=true

# of_node NUMBER: what is this node's own. All nodes are in one network namespace, so pods reach each other over the
# same routes, one kube-proxy serves all, and nodes differ in their addresses only. Each has a containerd, because a
# kubelet takes away every container there that it does not know.
# shellcheck disable=SC2034 # for those that source this
of_node() {
  local suffix=${1#0}
  node=node$1
  address=10.250.0.$((1 + $1))
  pods=10.244.$1.0/24
  kubelet=kubelet$suffix
  containerd=containerd$suffix
  socket=$state/$containerd.sock
  cni=cni$suffix
}

start_etcd() {
  launch etcd "$bin/etcd" --data-dir "$state/etcd" --log-level warn --unsafe-no-fsync \
    --listen-client-urls http://127.0.0.1:2379 --advertise-client-urls http://127.0.0.1:2379 \
    --listen-peer-urls http://127.0.0.1:2380 --initial-advertise-peer-urls http://127.0.0.1:2380 \
    --initial-cluster default=http://127.0.0.1:2380
}

# Every request's metadata is in log/audit.log: who did what to which object, without the object. One file, however long
# the run: tests read it, and at 100 MiB another would be begun.
start_apiserver() {
  local pki=$state/pki
  cat >"$state/config/audit.yaml" <<'EOC'
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules: [{level: Metadata}]
EOC
  launch apiserver "$bin/kube-apiserver" --etcd-servers=http://127.0.0.1:2379 \
    --advertise-address="$node_ip" --secure-port=6443 --allow-privileged --cert-dir="$pki" \
    --tls-cert-file="$pki/apiserver.crt" --tls-private-key-file="$pki/apiserver.key" --client-ca-file="$pki/ca.crt" \
    --service-cluster-ip-range=10.96.0.0/16 --service-account-issuer=https://kubernetes.default.svc \
    --service-account-key-file="$pki/sa.pub" --service-account-signing-key-file="$pki/sa.key" \
    --authorization-mode=Node,RBAC --enable-admission-plugins=NodeRestriction \
    --kubelet-preferred-address-types=InternalIP --kubelet-certificate-authority="$pki/ca.crt" \
    --kubelet-client-certificate="$pki/apiserver-kubelet-client.crt" \
    --kubelet-client-key="$pki/apiserver-kubelet-client.key" \
    --requestheader-client-ca-file="$pki/front-proxy-ca.crt" --requestheader-allowed-names=front-proxy-client \
    --requestheader-username-headers=X-Remote-User --requestheader-group-headers=X-Remote-Group \
    --requestheader-extra-headers-prefix=X-Remote-Extra- --enable-aggregator-routing \
    --proxy-client-cert-file="$pki/front-proxy-client.crt" --proxy-client-key-file="$pki/front-proxy-client.key" \
    --audit-policy-file="$state/config/audit.yaml" --audit-log-path="$state/log/audit.log" --audit-log-maxsize=0 \
    --feature-gates="$gates"
}

# Quicker than the defaults, for the tests' sake: autoscalers (15 s, and 5 min before they scale down) and the
# time after which a silent node is not ready (50 s; its kubelet reports every 5 s here instead of 10 s).
start_controller-manager() {
  launch controller-manager "$bin/kube-controller-manager" --kubeconfig="$state/config/controller-manager.kubeconfig" \
    --leader-elect=false --use-service-account-credentials --root-ca-file="$state/pki/ca.crt" \
    --service-account-private-key-file="$state/pki/sa.key" \
    --cluster-signing-cert-file="$state/pki/ca.crt" --cluster-signing-key-file="$state/pki/ca.key" \
    --horizontal-pod-autoscaler-sync-period=3s --horizontal-pod-autoscaler-downscale-stabilization=5s \
    --node-monitor-grace-period=25s --feature-gates="$gates"
}

start_scheduler() {
  launch scheduler "$bin/kube-scheduler" --kubeconfig="$state/config/scheduler.kubeconfig" --leader-elect=false
}

# restrict_oom_score_adj: where CAP_SYS_RESOURCE is missing, runc dies of the score that pods are given
# ("can't get final child's PID from pipe"). netns_mounts_under_state_dir: so that all there is to undo is
# under the state folder.
start_containerd() { containerd_of 0; }
start_containerd1() { containerd_of 1; }
containerd_of() {
  of_node "$1"
  local config=$state/config
  mkdir -p "$config/$cni"
  cat >"$config/$containerd.toml" <<EOC
version = 3
root = "$state/$containerd/root"
state = "$state/$containerd/state"
disabled_plugins = ["io.containerd.internal.v1.opt", "io.containerd.nri.v1.nri"]
[grpc]
  address = "$socket"
[plugins."io.containerd.cri.v1.images".pinned_images]
  sandbox = "$sandbox_image"
[plugins."io.containerd.cri.v1.runtime"]
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
[plugins."io.containerd.cri.v1.runtime".cni]
  bin_dirs = ["/usr/lib/cni"]
  conf_dir = "$config/$cni"
EOC
  # ptp, not bridge: what goes from a pod to a Service and back then always passes the node's own rules, also
  # on kernels that do not show bridged packets to iptables.
  cat >"$config/$cni/10-pods.conflist" <<EOC
{"cniVersion": "1.0.0", "name": "$name", "plugins": [{"type": "ptp", "ipMasq": false, "ipam": {
  "type": "host-local", "dataDir": "$state/$cni", "ranges": [[{"subnet": "$pods"}]],
  "routes": [{"dst": "0.0.0.0/0"}]}}]}
EOC
  PATH=$bin:$PATH launch "$containerd" "$bin/containerd" --config "$config/$containerd.toml"
}

# oomScoreAdj and failCgroupV1: for machines without CAP_SYS_RESOURCE, and with version 1 of cgroups.
# clusterDNS names nobody: there is no DNS in this cluster, and nothing here needs it.
start_kubelet() { kubelet_of 0; }
start_kubelet1() { kubelet_of 1; }
kubelet_of() {
  of_node "$1"
  cat >"$state/config/$kubelet.yaml" <<EOC
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: $address
healthzPort: 0
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: $state/pki/ca.crt}}
authorization: {mode: Webhook}
tlsCertFile: $state/pki/$kubelet.crt
tlsPrivateKeyFile: $state/pki/$kubelet.key
containerRuntimeEndpoint: unix://$socket
podLogsDir: $state/pod-logs/$node
volumePluginDir: $state/$kubelet/plugins
clusterDNS: [10.96.0.10]
resolvConf: ""
cgroupDriver: cgroupfs
cgroupsPerQOS: false
enforceNodeAllocatable: []
failCgroupV1: false
failSwapOn: false
oomScoreAdj: 0
localStorageCapacityIsolation: false
imageGCHighThresholdPercent: 100
evictionHard: {memory.available: 100Mi, nodefs.available: 0%, imagefs.available: 0%}
nodeLeaseDurationSeconds: 20
maxPods: 200
# Probes and status are what the tests wait for.
serializeImagePulls: false
EOC
  launch "$kubelet" "$bin/kubelet" --kubeconfig="$state/config/$kubelet.kubeconfig" \
    --config="$state/config/$kubelet.yaml" --root-dir="$state/$kubelet" --hostname-override="$node" --node-ip="$address"
}

# The limits on connection tracking are the machine's, not this namespace's to set.
start_proxy() {
  launch proxy "$bin/kube-proxy" --kubeconfig="$state/config/proxy.kubeconfig" --hostname-override=node0 \
    --proxy-mode=iptables --conntrack-max-per-core=0 --conntrack-tcp-timeout-established=0 \
    --conntrack-tcp-timeout-close-wait=0 --bind-address="$node_ip" --healthz-bind-address=127.0.0.1
}
