"""What the demo stands on: processes that end with it, the cluster as kubectl sees it, and gateways.

Everything that talks says what it does, as a command that the reader could type.
"""
import ctypes
import http.client
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
import urllib.request

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BIN = os.path.join(ROOT, "build-debug", "bin")
FAST = os.environ.get("DEMO_FAST") == "1"
INTERRUPTED = threading.Event()
POOLS = "/apis/poolwarden.io/v1alpha1/namespaces/default/inferencepools"
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"
PODS = "/api/v1/namespaces/default/pods"
CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"
ADMISSION = "/apis/admissionregistration.k8s.io/v1"


def say(text=""):
    sys.stdout.write(text + "\n")  # in one piece, as several threads speak
    sys.stdout.flush()


def die_with_parent():
    """So that nothing outlives the demo, not even after kill -9."""
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)


class Processes:
    """What was started, newest first to be stopped."""

    def __init__(self, folder):
        self.folder, self.running = folder, []

    def start(self, name, *command, env=None):
        log = open(os.path.join(self.folder, name + ".log"), "wb")
        process = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, **(env or {})},
                                   start_new_session=True, preexec_fn=die_with_parent)
        self.running.append((name, process))
        return log.name

    def check(self):
        for name, process in self.running:
            if process.poll() is not None:
                with open(os.path.join(self.folder, name + ".log"), errors="replace") as log:
                    raise RuntimeError(f"{name} ended with code {process.returncode}:\n{log.read()[-2000:]}")

    def stop(self):
        for _, process in reversed(self.running):
            process.terminate()
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


class Cluster:
    """kubectl where it is installed, else the same requests by hand; says which and what either way."""

    def __init__(self, folder, kubeconfig):
        self.kubeconfig, self.kubectl_path = kubeconfig, shutil.which("kubectl")
        with open(os.path.join(folder, "cluster", "token")) as token:
            self.token = token.read().strip()
        self.server = re.search(r"server: *\"?(\S+?)\"?\s", open(kubeconfig).read()).group(1)
        self.tls = ssl.create_default_context(cafile=os.path.join(folder, "cluster", "ca.crt"))

    def get(self, path):
        request = urllib.request.Request(self.server + path,
                                         headers={"Authorization": "Bearer " + self.token})
        with urllib.request.urlopen(request, context=self.tls, timeout=10) as answer:
            return json.load(answer)

    def send(self, method, path, body=None):
        say(f"  $ curl -X {method} {path}" + (f" -d '{json.dumps(body)}'" if body else ""))
        self.write(method, path, json.dumps(body or {}),
                   "application/merge-patch+json" if method == "PATCH" else "application/json")

    def write(self, method, path, text, content_type):
        request = urllib.request.Request(self.server + path, method=method, data=text.encode(),
                                         headers={"Authorization": "Bearer " + self.token,
                                                  "Content-Type": content_type})
        urllib.request.urlopen(request, context=self.tls, timeout=10).read()

    def kubectl(self, *words):
        say("  $ kubectl " + " ".join(words))
        self.run(self.kubectl_path, "--kubeconfig", self.kubeconfig, *words)

    def poolwarden(self, *words):
        """One of the product's commands for people."""
        say("  $ poolwarden " + " ".join(words))
        self.run(f"{BIN}/poolwarden", *words, "-n", "default", "--kubeconfig", self.kubeconfig)

    def run(self, *command):
        output = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=ROOT)
        for line in (output.stdout + output.stderr).splitlines():
            say(("    " + line).rstrip())
        if output.returncode:
            raise RuntimeError(f"{os.path.basename(command[0])} failed")

    def scale(self, kind, name, replicas):
        if self.kubectl_path:
            return self.kubectl("scale", f"{kind}/{name}", f"--replicas={replicas}")
        path = POOLS if kind == "pwp" else DEPLOYMENTS
        self.send("PATCH", f"{path}/{name}", {"spec": {"replicas": replicas}})

    def delete_pod(self, name):
        if self.kubectl_path:
            return self.kubectl("delete", "pod", name, "--wait=false")
        self.send("DELETE", f"{PODS}/{name}")

    def apply_gate(self):
        if self.kubectl_path:
            return self.kubectl("apply", "-f", "manifests/gate/drain_gate.yaml")
        with open(f"{ROOT}/manifests/gate/drain_gate.yaml") as manifest:
            parts = manifest.read().split("\n---\n")
        for kind, part in zip(("validatingadmissionpolicies", "validatingadmissionpolicybindings"), parts):
            say(f"  $ curl -X POST {ADMISSION}/{kind} --data-binary @(from manifests/gate/drain_gate.yaml)")
            self.write("POST", f"{ADMISSION}/{kind}", part, "application/yaml")

    def show(self, name):
        if self.kubectl_path:
            self.kubectl("get", "pods", "-l", f"app={name}")
            return self.kubectl("get", "pwp", name)
        for pod in self.pods(name):
            say(f"    {pod['metadata']['name']}  {'Ready' if is_ready(pod) else 'not ready'}")

    def pods(self, name):
        return self.get(f"{PODS}?labelSelector=app%3D{name}")["items"]

    def pool(self, name):
        return self.get(f"{POOLS}/{name}")

    def endpoints(self, name):
        document = json.loads(self.get(f"{CONFIG_MAPS}/{name}-endpoints")["data"]["endpoints.json"])
        return sorted(e["pod"] for e in document["endpoints"] if e["state"] == "ready")


def is_ready(pod):
    conditions = pod.get("status", {}).get("conditions", [])
    return "deletionTimestamp" not in pod["metadata"] and any(
        c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def wait_for(what, test, processes, seconds=60):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        processes.check()
        try:
            if test():
                return
        except Exception:  # not there yet
            pass
        time.sleep(0.05)
    raise RuntimeError(f"still waiting after {seconds} s: {what}")


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def start_cluster(folder, processes, engine, *manifests):
    kubeconfig = os.path.join(folder, "kubeconfig")
    os.mkdir(os.path.join(folder, "cluster"))
    log = processes.start("testcluster", f"{BIN}/testcluster", "--directory", f"{folder}/cluster", "--kubeconfig",
                          kubeconfig, "--nodes", "2", "--image", f"{engine.image}={engine.command()}",
                          *[word for path in manifests for word in ("--apply", os.path.join(ROOT, path))])
    wait_for("the API server", lambda: "is ready at" in open(log).read(), processes)
    return Cluster(folder, kubeconfig)


def start_operator(cluster, processes):
    # The stand-ins for engines have addresses of this machine, which no pod of a cluster has.
    metrics, probes = free_ports(2)
    return processes.start(
        "operator", f"{BIN}/poolwarden", "operator", "--kubeconfig", cluster.kubeconfig, "--log-format=json",
        "--allow-loopback-engines",
        f"--metrics-bind-address=127.0.0.1:{metrics}", f"--health-probe-bind-address=127.0.0.1:{probes}")


class Gateway:
    """One pool's gateway, as a client sees it."""

    def __init__(self, port, pool, cluster, engine):
        self.port, self.pool, self.cluster, self.engine = port, pool, cluster, engine
        self.pods = {}  # by address, also those that have gone

    def complete(self, timeout=150, **body):
        """Asks for a completion: the answer, whose body is the caller's to read, and the pod's name."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        connection.request("POST", "/v1/completions", headers={"Content-Type": "application/json"},
                           body=json.dumps({**self.engine.request, **body}))
        answer = connection.getresponse()
        pod = answer.getheader("x-inference-pod", "")
        return answer, pod if self.engine.names_pod else self.pod_at(pod)

    def pod_at(self, address):
        self.pods.update((pod.get("status", {}).get("podIP"), pod["metadata"]["name"])
                         for pod in self.cluster.pods(self.pool))
        return self.pods.get(address, address)


def gateway_config(pool, processes, engine):
    """That of examples/gateway; where the engine does not say who answers, HAProxy adds the replica's address."""
    config = f"{ROOT}/examples/gateway/haproxy.cfg"
    if engine.names_pod:
        return config
    own = f"{processes.folder}/haproxy-{pool}.cfg"
    with open(config) as usual, open(own, "w") as file:
        file.write(usual.read() + "\n    http-response set-header x-inference-pod %si\n")  # ends in the backend
    return own


def start_gateway(pool, cluster, processes, engine):
    """HAProxy and gateway-sync for one pool; returns once a replica is behind it."""
    port, metrics, probes = free_ports(3)
    control, state = f"{processes.folder}/{pool}.sock", f"{processes.folder}/{pool}.state"
    processes.start(f"haproxy-{pool}",
                    shutil.which("haproxy", path=os.environ.get("PATH", "") + ":/usr/sbin") or "haproxy",
                    "-db", "-f", gateway_config(pool, processes, engine),
                    env={"GATEWAY_BIND": f"127.0.0.1:{port}", "GATEWAY_SOCKET": control, "GATEWAY_STATE": state})
    processes.start(f"gateway-sync-{pool}", f"{BIN}/poolwarden", "gateway-sync", "--pool", pool, "-n",
                    "default", "--kubeconfig", cluster.kubeconfig, "--haproxy-socket", control,
                    "--haproxy-state-file", state, "--allow-loopback",
                    f"--metrics-bind-address=127.0.0.1:{metrics}",
                    f"--health-probe-bind-address=127.0.0.1:{probes}")

    def served():
        urllib.request.urlopen(f"http://127.0.0.1:{port}/-/ready", timeout=2).read()
        return urllib.request.urlopen(f"http://127.0.0.1:{port}/v1/models", timeout=2).status == 200
    wait_for("the first endpoint behind the gateway", served, processes)
    return Gateway(port, pool, cluster, engine)


def wait_for_pods(count, pool, cluster, processes):
    """Until there are that many, all of them ready, and the pool's status says nothing else of any."""
    def settled():
        told = cluster.pool(pool)["status"]["endpoints"]
        return len(cluster.pods(pool)) == len(cluster.endpoints(pool)) == count and not told
    wait_for(f"{count} replicas of {pool}", settled, processes)


def pause(seconds):
    time.sleep(seconds / 5 if FAST else seconds)
