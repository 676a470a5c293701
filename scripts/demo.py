#!/usr/bin/env python3
"""The main job, on this machine: scale a pool, lose a pod under load, lose no request.

Runs the operator and its gateway feed against a stand-in for the Kubernetes API server (real HTTP and TLS), with
HAProxy as the gateway and stand-ins for vLLM as pods: real processes on addresses of their own (127.0.x.y).
Prints what it does, the numbered request stream, and a summary; exits with 1 if a request failed.

DEMO_FAST=1 runs the same steps without the pauses. Everything it starts it stops, also on Ctrl-C.
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
import tempfile
import threading
import time
import urllib.request

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BIN = os.path.join(ROOT, "build", "bin")
FAST = os.environ.get("DEMO_FAST") == "1"
PERIOD = 0.25 if FAST else 2.0
INTERRUPTED = threading.Event()
LONG_TOKENS = 60 if FAST else 400  # of 100 ms each
POOLS = "/apis/poolwarden.io/v1alpha1/namespaces/default/inferencepools/vllm"
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments/vllm"
PODS = "/api/v1/namespaces/default/pods"
CONFIG_MAP = "/api/v1/namespaces/default/configmaps/vllm-endpoints"


def say(text=""):
    print(text, flush=True)


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
        request = urllib.request.Request(self.server + path, headers={"Authorization": "Bearer " + self.token})
        with urllib.request.urlopen(request, context=self.tls, timeout=10) as answer:
            return json.load(answer)

    def send(self, method, path, body=None):
        say(f"  $ curl -X {method} {path}" + (f" -d '{json.dumps(body)}'" if body else ""))
        request = urllib.request.Request(self.server + path, method=method, data=json.dumps(body or {}).encode(),
                                         headers={"Authorization": "Bearer " + self.token,
                                                  "Content-Type": "application/merge-patch+json"
                                                  if method == "PATCH" else "application/json"})
        urllib.request.urlopen(request, context=self.tls, timeout=10).read()

    def kubectl(self, *words):
        say("  $ kubectl " + " ".join(words))
        output = subprocess.run([self.kubectl_path, "--kubeconfig", self.kubeconfig, *words], capture_output=True,
                                text=True, timeout=60)
        for line in (output.stdout + output.stderr).splitlines():
            say("    " + line)
        if output.returncode:
            raise RuntimeError("kubectl failed")

    def scale(self, kind, replicas):
        if self.kubectl_path:
            return self.kubectl("scale", f"{kind}/vllm", f"--replicas={replicas}")
        self.send("PATCH", POOLS if kind == "pwp" else DEPLOYMENTS, {"spec": {"replicas": replicas}})

    def delete_pod(self, name):
        if self.kubectl_path:
            return self.kubectl("delete", "pod", name, "--wait=false")
        self.send("DELETE", f"{PODS}/{name}")

    def show(self):
        if self.kubectl_path:
            self.kubectl("get", "pods", "-l", "app=vllm")
            return self.kubectl("get", "pwp", "vllm")
        for pod in self.pods():
            say(f"    {pod['metadata']['name']}  {'Ready' if is_ready(pod) else 'not ready'}")

    def pods(self):
        return self.get(PODS + "?labelSelector=app%3Dvllm")["items"]

    def endpoints(self):
        document = json.loads(self.get(CONFIG_MAP)["data"]["endpoints.json"])
        return sorted(e["pod"] for e in document["endpoints"] if e["state"] == "ready")


def is_ready(pod):
    conditions = pod.get("status", {}).get("conditions", [])
    return "deletionTimestamp" not in pod["metadata"] and any(
        c["type"] == "Ready" and c["status"] == "True" for c in conditions)


class Stream:
    """The guide's numbered request stream, each request on a thread of its own so that slow ones overlap."""

    def __init__(self, port):
        self.port, self.number, self.errors = port, 0, 0
        self.lock, self.threads, self.stopping = threading.Lock(), [], threading.Event()
        self.pump = threading.Thread(target=self.run, daemon=True)

    def run(self):
        while not self.stopping.is_set():
            self.request("The future of AI is", 5)
            self.stopping.wait(PERIOD)

    def request(self, prompt, tokens, label="Request"):
        with self.lock:
            self.number += 1
            number = self.number
        thread = threading.Thread(target=self.complete, args=(label, number, prompt, tokens), daemon=True)
        self.threads = [t for t in self.threads if t.is_alive()] + [thread]
        thread.start()
        return thread

    def complete(self, label, number, prompt, tokens):
        started, pod = time.monotonic(), ""
        try:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=150)
            connection.request("POST", "/v1/completions", headers={"Content-Type": "application/json"}, body=json.dumps(
                {"model": "facebook/opt-125m", "prompt": prompt, "max_tokens": tokens}))
            answer = connection.getresponse()
            pod, body = answer.getheader("x-inference-pod", ""), answer.read()
            if answer.status != 200:
                raise RuntimeError(f"HTTP {answer.status}")
            text = json.loads(body)["choices"][0]["text"].strip()
            text = text if len(text) < 40 else text[:37] + "..."
            say(f"{label} {number}: {text}   <- {pod}, {time.monotonic() - started:.1f} s")
        except Exception as problem:  # whatever a client could see counts
            if INTERRUPTED.is_set():
                return
            with self.lock:
                self.errors += 1
            say(f"{label} {number}: ERROR ({problem}) {pod}")

    def finish(self):
        self.stopping.set()
        self.pump.join()
        for thread in self.threads:
            thread.join()


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


def withdrawal(log_path, pod):
    """The operator's own line about it: watch event decoded -> ConfigMap write acknowledged."""
    with open(log_path, errors="replace") as log:
        for line in log:
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            if entry.get("message") == "withdrew pod" and entry.get("pod", "").endswith("/" + pod):
                return entry
    return None


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def start_everything(folder, processes):
    kubeconfig = os.path.join(folder, "kubeconfig")
    os.mkdir(os.path.join(folder, "cluster"))
    gateway, metrics, probes, gw_metrics, gw_probes = free_ports(5)
    say("Starting: a stand-in for the Kubernetes API server with controllers and a kubelet ...")
    processes.start("testcluster", f"{BIN}/testcluster", "--directory", f"{folder}/cluster", "--kubeconfig",
                    kubeconfig, "--nodes", "2", "--image", f"vllm-sim={BIN}/vllm-sim", "--crd",
                    f"{ROOT}/crds/poolwarden.io_inferencepools.yaml", "--apply", f"{ROOT}/examples/demo/pool.yaml")
    wait_for("the API server", lambda: os.path.exists(kubeconfig) and os.path.getsize(kubeconfig) > 0, processes)
    cluster = Cluster(folder, kubeconfig)
    wait_for("the pool", lambda: cluster.get(POOLS), processes)
    say("          poolwarden operator ...")
    operator_log = processes.start(
        "operator", f"{BIN}/poolwarden", "operator", "--kubeconfig", kubeconfig, "--log-format=json",
        f"--metrics-bind-address=127.0.0.1:{metrics}", f"--health-probe-bind-address=127.0.0.1:{probes}")
    say("          HAProxy as the gateway, and poolwarden gateway-sync beside it ...")
    haproxy_env = {"GATEWAY_BIND": f"127.0.0.1:{gateway}", "GATEWAY_SOCKET": f"{folder}/haproxy.sock"}
    processes.start("haproxy", shutil.which("haproxy", path=os.environ.get("PATH", "") + ":/usr/sbin") or "haproxy",
                    "-db", "-f", f"{ROOT}/examples/gateway/haproxy.cfg", env=haproxy_env)
    processes.start("gateway-sync", f"{BIN}/poolwarden", "gateway-sync", "--pool", "vllm", "--namespace", "default",
                    "--kubeconfig", kubeconfig, "--haproxy-socket", f"{folder}/haproxy.sock",
                    f"--metrics-bind-address=127.0.0.1:{gw_metrics}",
                    f"--health-probe-bind-address=127.0.0.1:{gw_probes}")

    def served():
        urllib.request.urlopen(f"http://127.0.0.1:{gateway}/-/ready", timeout=2).read()
        return urllib.request.urlopen(f"http://127.0.0.1:{gateway}/v1/models", timeout=2).status == 200
    wait_for("the first endpoint behind the gateway", served, processes)
    say(f"          client -> HAProxy 127.0.0.1:{gateway} -> pods 127.0.x.y:8000")
    return cluster, gateway, operator_log


def pause(seconds):
    time.sleep(seconds / 5 if FAST else seconds)


def steps(folder, processes):
    cluster, gateway, operator_log = start_everything(folder, processes)
    say("\n1. Scale the pool to three replicas.")
    cluster.scale("pwp", 3)
    wait_for("three endpoints", lambda: len(cluster.endpoints()) == 3, processes)
    cluster.show()

    say("\n2. A numbered request stream, and one long generation"
        f" ({LONG_TOKENS * 0.1:.0f} s) on every replica beside it.")
    stream = Stream(gateway)
    for _ in range(3):
        stream.request("A long story:", LONG_TOKENS, label="Long request")
    stream.pump.start()
    pause(6)

    say("\n3. Who serves, by the pods' access logs:")
    show_who_serves(cluster)
    victim = cluster.endpoints()[0]
    say(f"\n4. Delete one of the three under load: {victim}")
    cluster.delete_pod(victim)
    wait_for("the withdrawal", lambda: withdrawal(operator_log, victim), processes)
    entry = withdrawal(operator_log, victim)
    took = float(entry["latency_ms"])
    say(f"   -> withdrawn {took:.1f} ms after its watch event ({entry['reason']}); the list is now:"
        f" {', '.join(cluster.endpoints())}")

    say("\n5. The others carry on; its replacement joins once it is ready.")
    wait_for("three endpoints again", lambda: len(cluster.endpoints()) == 3, processes)
    say(f"   -> the list: {', '.join(cluster.endpoints())}")
    pause(6)
    show_who_serves(cluster)

    say("\n6. Scale back to one, on the Deployment this time. The pool follows.")
    cluster.scale("deployment", 1)
    wait_for("one endpoint", lambda: len(cluster.endpoints()) == 1, processes)
    wait_for("the pool's count", lambda: cluster.get(POOLS)["spec"]["replicas"] == 1, processes)
    say(f"   -> the list: {', '.join(cluster.endpoints())}")
    pause(6)
    if not FAST:
        say("   (waiting for the long generations to end)")
    stream.finish()
    say(f"\nrequests={stream.number} errors={stream.errors} withdrawn_in_ms={took:.1f}")
    return 1 if stream.errors else 0


def show_who_serves(cluster):
    if cluster.kubectl_path:
        say("  $ kubectl logs --prefix -l app=vllm --tail=2 | grep 'POST /v1'")
        output = subprocess.run([cluster.kubectl_path, "--kubeconfig", cluster.kubeconfig, "logs", "--prefix", "-l",
                                 "app=vllm", "--tail=2"], capture_output=True, text=True, timeout=60).stdout
        lines = [line for line in output.splitlines() if "POST /v1" in line]
    else:
        lines = []
        for pod in cluster.pods():
            name = pod["metadata"]["name"]
            say(f"  $ curl {PODS}/{name}/log?tailLines=2 | grep 'POST /v1'")
            request = urllib.request.Request(f"{cluster.server}{PODS}/{name}/log?tailLines=2",
                                             headers={"Authorization": "Bearer " + cluster.token})
            with urllib.request.urlopen(request, context=cluster.tls, timeout=10) as answer:
                text = answer.read().decode(errors="replace")
            lines += [f"[pod/{name}] {line}" for line in text.splitlines() if "POST /v1" in line]
    for line in lines:
        say("    " + line)


def main():
    for program in ("poolwarden", "testcluster", "vllm-sim"):
        if not os.access(os.path.join(BIN, program), os.X_OK):
            sys.exit(f"demo: {BIN}/{program} is not built; run: make demo")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    signal.signal(signal.SIGINT, signal.default_int_handler)  # shells start background jobs with it ignored
    folder = tempfile.mkdtemp(prefix="poolwarden-demo-")
    processes = Processes(folder)
    try:
        return steps(folder, processes)
    except KeyboardInterrupt:
        INTERRUPTED.set()
        say("\ninterrupted; stopping what was started")
        return 130
    except RuntimeError as problem:
        say(f"\ndemo: {problem}")
        return 1
    finally:
        processes.stop()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
