"""A node that has no kubelet, and its pods: what is said of them is the test's to say.

    pods = HollowPods(case, 20)         ready, and one server answers at the addresses of all of them
    pods.say(3, False)                  not ready any more
"""
import http.client
import json
import os
import subprocess
import threading
import time

from support.case import Case
from support.kube import ROOT, Kube
from support.watch import access, connect

POOL = {"apiVersion": "poolwarden.io/v1alpha1", "kind": "InferencePool", "metadata": {"name": "vllm"}, "spec": {
    "selector": {"matchLabels": {"app": "hollow"}}, "targetPorts": [{"number": 8000}]}}
IDLE = 20  # s


def now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


class Caller:
    """Of the API server, over a connection that is kept while it is in use: the server closes idle ones."""

    def __init__(self) -> None:
        self.connection: http.client.HTTPSConnection | None = None
        self.used = 0.0

    def connected(self) -> http.client.HTTPSConnection:
        if not self.connection or time.monotonic() > self.used + IDLE:
            self.connection = connect()
        self.used = time.monotonic()
        return self.connection

    def send(self, method: str, path: str, body: dict) -> None:
        kind = "application/strategic-merge-patch+json" if method == "PATCH" else "application/json"
        connection, self.connection = self.connected(), None
        connection.request(method, path, json.dumps(body), {**access().headers, "Content-Type": kind})
        answer = connection.getresponse()
        text = answer.read()
        if answer.status >= 300:
            raise AssertionError(f"{method} {path}: {answer.status} {text[:300]!r}")
        self.connection = connection


class HollowNode:
    """It goes with the test. It is given up, and its pods with it, 40 s after it was last said to be ready."""

    def __init__(self, case: Case):
        self.namespace, self.kube, self.name = case.namespace, case.kube, f"hollow-{case.namespace}"
        self.caller = Caller()
        Kube().create({"apiVersion": "v1", "kind": "Node", "metadata": {"name": self.name, "labels": {"e2e": "true"}},
                       "spec": {"taints": [{"key": "e2e", "effect": "NoSchedule"}]}})
        case.addCleanup(Kube().delete, "node", self.name)
        self.say_ready(self.caller)

    def say_ready(self, caller: Caller) -> None:
        caller.send("PATCH", f"/api/v1/nodes/{self.name}/status", {"status": {"conditions": [
            {"type": "Ready", "status": "True", "reason": "Said", "lastHeartbeatTime": now(),
             "lastTransitionTime": now()}]}})

    def path(self, pod: str) -> str:
        return f"/api/v1/namespaces/{self.namespace}/pods/{pod}"

    def make_pod(self, pod: str, address: str) -> None:
        self.kube.create({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": pod, "labels": {"app": "hollow"}},
            "spec": {"nodeName": self.name, "terminationGracePeriodSeconds": 0, "automountServiceAccountToken": False,
                     "tolerations": [{"operator": "Exists"}],
                     "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
                     "containers": [{"name": "vllm", "image": "hollow",
                                     "securityContext": {"allowPrivilegeEscalation": False,
                                                         "capabilities": {"drop": ["ALL"]}}}]}})
        self.say_pod(pod, address, True)

    def say_pod(self, pod: str, address: str, ready: bool) -> None:
        """As a kubelet would, once its probe has spoken."""
        conditions = [{"type": kind, "status": "True" if ready or kind in ("PodScheduled", "Initialized") else "False",
                       "lastTransitionTime": now()} for kind in ("PodScheduled", "Initialized", "ContainersReady", "Ready")]
        self.caller.send("PATCH", f"{self.path(pod)}/status", {"status": {
            "phase": "Running", "podIP": address, "podIPs": [{"ip": address}], "conditions": conditions}})


class HollowPods(HollowNode):
    """Numbered from 1, at addresses of the cluster's own network (RFC 5737's, for documentation), on a node that goes on
    being ready."""

    def __init__(self, case: Case, count: int):
        super().__init__(case)
        self.ready: dict[str, str] = {}  # address of each pod that is said to be ready, by name
        self.over = threading.Event()
        heart = threading.Thread(target=self.beat, daemon=True)
        heart.start()
        case.addCleanup(heart.join)
        case.addCleanup(self.over.set)
        server = subprocess.Popen([os.path.join(ROOT, "build", "bin", "vllm-sim"), "--host=0.0.0.0", "--port=8000",
                                   "--model=facebook/opt-125m", "--time-to-first-token=20", "--time-per-output-token=20"],
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        case.addCleanup(server.wait)
        case.addCleanup(server.kill)
        for number in range(1, count + 1):
            address = f"{self.address(number)}/32"
            subprocess.run(["ip", "address", "replace", address, "dev", "lo"], check=True, timeout=10)
            case.addCleanup(subprocess.run, ["ip", "address", "delete", address, "dev", "lo"], check=False, timeout=10)
            self.make(number)

    def beat(self) -> None:
        caller = Caller()
        while not self.over.wait(2):
            try:
                self.say_ready(caller)
            except (OSError, http.client.HTTPException, AssertionError):
                pass  # the API server is away

    @staticmethod
    def address(number: int) -> str:
        return f"198.51.100.{number}"

    @staticmethod
    def name_of(number: int) -> str:
        return f"pod-{number}"

    def make(self, number: int) -> None:
        self.make_pod(self.name_of(number), self.address(number))
        self.ready[self.name_of(number)] = self.address(number)

    def say(self, number: int, ready: bool) -> None:
        self.say_pod(self.name_of(number), self.address(number), ready)
        if ready:
            self.ready[self.name_of(number)] = self.address(number)
        else:
            self.ready.pop(self.name_of(number), None)

    def delete(self, number: int, grace: int) -> None:
        """With a grace period it terminates until it is deleted without one: no kubelet ends it."""
        self.ready.pop(self.name_of(number), None)
        self.caller.send("DELETE", self.path(self.name_of(number)), {"gracePeriodSeconds": grace})
