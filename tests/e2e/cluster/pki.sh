# shellcheck shell=bash
# shellcheck disable=SC2154 # lib.sh, and the one that sources this, set them
# The cluster's certificates and kubeconfigs, good for a year. Sourced; needs lib.sh.

# authority NAME: NAME.crt and NAME.key in the current folder.
authority() {
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 365 -subj "/CN=$1" \
    -keyout "$1.key" -out "$1.crt" 2>/dev/null
}

# certificate AUTHORITY NAME SUBJECT [SUBJECT_ALTERNATIVE_NAMES]
certificate() {
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj "$3" -keyout "$2.key" -out "$2.csr" 2>/dev/null
  openssl x509 -req -in "$2.csr" -CA "$1.crt" -CAkey "$1.key" -CAcreateserial -days 365 -out "$2.crt" \
    -extfile <(printf 'extendedKeyUsage=clientAuth,serverAuth\n%s' "${4:+subjectAltName=$4}") 2>/dev/null
  rm "$2.csr"
}

# kubeconfig NAME FILE: for the bearer of certificate NAME.
kubeconfig() {
  cat >"$2" <<EOC
apiVersion: v1
kind: Config
clusters: [{name: e2e, cluster: {server: "https://$node_ip:6443", certificate-authority-data: $(base64 -w0 ca.crt)}}]
users: [{name: $1, user: {client-certificate-data: $(base64 -w0 "$1.crt"), client-key-data: $(base64 -w0 "$1.key")}}]
contexts: [{name: e2e, context: {cluster: e2e, user: $1}}]
current-context: e2e
EOC
  chmod 600 "$2"
}

# The names are those that kubeadm gives, which is what users and roles of a cluster are written for.
make_pki() {
  cd "$state/pki" || return
  authority ca
  authority front-proxy-ca
  openssl ecparam -name prime256v1 -genkey -noout -out sa.key 2>/dev/null
  openssl ec -in sa.key -pubout -out sa.pub 2>/dev/null
  certificate ca apiserver /CN=kube-apiserver \
    "DNS:localhost,DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,IP:127.0.0.1,IP:10.96.0.1,IP:$node_ip"
  certificate ca apiserver-kubelet-client /O=system:masters/CN=kube-apiserver-kubelet-client
  certificate front-proxy-ca front-proxy-client /CN=front-proxy-client
  certificate ca admin /O=system:masters/CN=kubernetes-admin
  certificate ca controller-manager /CN=system:kube-controller-manager
  certificate ca scheduler /CN=system:kube-scheduler
  local i
  for i in 0 1; do
    of_node $i
    certificate ca "$kubelet" "/O=system:nodes/CN=system:node:$node" "DNS:$node,IP:$address"
  done
  certificate ca proxy /CN=system:kube-proxy
  local user
  for user in controller-manager scheduler kubelet kubelet1 proxy; do kubeconfig "$user" "$state/config/$user.kubeconfig"; done
  kubeconfig admin "$state/admin.kubeconfig"
  cd - >/dev/null || return
}
