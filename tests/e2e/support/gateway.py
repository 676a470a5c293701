"""HAProxy in the cluster, as examples/gateway has it: its address for clients, and what it thinks of its
servers."""
import contextlib
import dataclasses
import json
import os
import socket
import threading
import time
from typing import Callable, Iterator

from support import cluster
from support.kube import Kube, name_of, wait_for
from support.reach import Reach

SELECTOR = "app=gateway"
# Bits of srv_admin_state in `show servers state` (HAProxy's management.txt): maintenance and drain, of any
# kind. 0x04 only says that the configuration began with maintenance, as that of a free slot does.
MAINTENANCE, DRAIN = 0x01 | 0x02 | 0x20, 0x08 | 0x10
# Of a readiness probe: one that a busy machine answers late takes its pod from no list.
PATIENCE = {"timeoutSeconds": 10, "failureThreshold": 6}
PATIENT = {"patch": json.dumps({
    "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "vllm"},
    "spec": {"template": {"spec": {"containers": [{"name": "vllm", "readinessProbe": PATIENCE}]}}}})}


def deploy(kube: Kube, replicas: int = 1, patches: tuple[dict, ...] = (), example: str = "vllm-sim") -> None:
    """That one of examples/: the model servers, the pool vllm and the gateway. Waits until all of it serves."""
    kube.apply_kustomization(f"examples/{example}", patches)
    kube.run("scale", "pwp/vllm", f"--replicas={replicas}")
    kube.wait_endpoints(replicas, seconds=120)
    kube.wait_rolled_out("deployment/gateway")


@contextlib.contextmanager
def reach(kube: Kube) -> Iterator[Reach]:
    """For clients: with reach(kube) as address: ... address.url. Answers already: kube-proxy is a moment
    behind the rollout of what is behind a Service."""
    with Reach(kube.namespace, "service/gateway", 8080) as address:
        wait_for(lambda: answers(address), "an answer through the gateway's Service", 30)
        yield address


@contextlib.contextmanager
def reach_pod(kube: Kube) -> Iterator[Reach]:
    """As reach(), past its Service, for tests that leave the gateway where it is. Once in some ten thousand connections
    kube-proxy, as it writes its rules anew, lets one to a Service's address out untranslated, and nobody has that."""
    pod = kube.ready_pod(SELECTOR)
    with Reach(kube.namespace, f"pod/{name_of(pod)}", 8080) as address:
        wait_for(lambda: answers(address), "an answer of the gateway", 30)
        yield address


def answers(address: Reach) -> bool:
    try:
        return address.get("/-/ready", timeout=2) != ""
    except OSError:
        return False


def state_of(admin_state: int) -> str:
    return "maint" if admin_state & MAINTENANCE else "drain" if admin_state & DRAIN else "ready"


def ask(folder: str, command: str) -> str:
    """HAProxy's Runtime API, at its socket in that folder."""
    found = os.open(folder, os.O_PATH | os.O_DIRECTORY)
    with socket.socket(socket.AF_UNIX) as connection:
        try:
            connection.settimeout(5)
            # The path itself may be too long for a socket.
            connection.connect(f"/proc/self/fd/{found}/admin.sock")
            connection.sendall(command.encode() + b"\n")
            return b"".join(iter(lambda: connection.recv(1 << 16), b"")).decode()
        finally:
            os.close(found)


@dataclasses.dataclass(frozen=True)
class Server:
    name: str
    state: str  # "ready", "drain" or "maint"


def servers(folder: str) -> dict[str, Server]:
    """Of that HAProxy, by address; of several with one address, as free slots are, one that is ready."""
    _version, header, *lines = ask(folder, "show servers state pool").splitlines()
    names = header.removeprefix("# ").split()
    rows = [dict(zip(names, line.split())) for line in lines if line]
    found = [(row["srv_addr"], Server(row["srv_name"], state_of(int(row["srv_admin_state"])))) for row in rows]
    return dict(sorted(found, key=lambda each: each[1].state == "ready"))


class Haproxy:
    """Its Runtime API, through the volume that it shares with gateway-sync: only on the tests' own cluster,
    where the volume is a folder of this machine."""

    def __init__(self, kube: Kube):
        pod = kube.ready_pod(SELECTOR)
        self.pod = name_of(pod)
        kubelet = cluster.kubelet(pod["spec"]["nodeName"])
        self.volume = os.path.join(cluster.STATE, kubelet, "pods", pod["metadata"]["uid"], "volumes",
                                   "kubernetes.io~empty-dir", "haproxy-run")

    def sends_to(self, address: str) -> bool:
        found = servers(self.volume).get(address)
        return found is not None and found.state == "ready"

    def time_of_withdrawal(self, address: str, seconds: float = 30) -> "Withdrawal":
        """Begins to look, many times a second, for the moment at which no new request goes to that
        address. First it waits until requests do go there: the published list is ahead of HAProxy."""
        wait_for(lambda: self.sends_to(address), f"{self.pod} to send requests to {address}", 30)
        return Withdrawal(lambda: self.sends_to(address), f"{self.pod} still sends requests to {address}", seconds)


class Withdrawal:
    """The first look that says a gateway sends no more; wrong: what to say when there is none in that time."""

    def __init__(self, sends: Callable[[], bool], wrong: str, seconds: float, every: float = 0.005):
        self.sends, self.wrong, self.every, self.deadline = sends, wrong, every, time.monotonic() + seconds
        self.at: float | None = None
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self) -> None:
        while time.monotonic() < self.deadline:
            if not self.sends():
                self.at = time.monotonic()
                return
            time.sleep(self.every)  # other threads of this process take times as well

    def wait(self) -> float:
        """When that was, as time.monotonic()."""
        self.thread.join()
        if self.at is None:
            raise AssertionError(self.wrong)
        return self.at
