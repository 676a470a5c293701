"""The control plane, where it is the tests' own.

On a cluster of the user's (E2E_KUBECONFIG) none of it can be touched: a case that needs to, or a test of it,
is marked with @needs_own_cluster("why") and skipped there with that reason.
"""
import json
import os
import subprocess
import time
import unittest
import urllib.request
from typing import Callable, Iterator

from support.kube import ROOT, wait_for

OWNED = "E2E_STATE" in os.environ
STATE = os.environ.get("E2E_STATE", "")
SCRIPTS = os.path.join(ROOT, "tests", "e2e", "cluster")


def needs_own_cluster(why: str) -> Callable:
    """Decorator of a test or of a case's class. why: what it does, such as "stops the API server"."""
    return unittest.skipUnless(OWNED, f"{why}, which only the tests' own cluster allows")


def kubelet(node: str) -> str:
    """The component that is this node's kubelet, and the name of its folder."""
    return "kubelet" if node == "node0" else f"kubelet{node.removeprefix('node')}"


def import_image(tar: str) -> None:
    """On all nodes, under the names it has."""
    done = subprocess.run([os.path.join(SCRIPTS, "import.sh"), tar], capture_output=True, text=True, timeout=120,
                          check=False)
    if done.returncode:
        raise AssertionError(f"import.sh {tar}: {done.stdout}{done.stderr}")


def bring_images(*names: str) -> None:
    """Builds what scripts/images.sh knows under these names, which may take minutes once, and imports it."""
    folder = os.path.join(ROOT, "build", "image")
    done = subprocess.run(["scripts/images.sh", folder, *names], cwd=ROOT, capture_output=True, text=True, timeout=800,
                          check=False)
    if done.returncode == 77:
        raise unittest.SkipTest(f"{', '.join(names)} cannot be had: {done.stderr.strip()}")
    if done.returncode:
        raise AssertionError(f"images.sh {' '.join(names)}: {done.stdout}{done.stderr}")
    for name in names:
        import_image(os.path.join(folder, f"{name}.tar"))


def component(action: str, name: str) -> str:
    """stop, kill, start or pid of etcd, apiserver, controller-manager, scheduler, proxy, and of each node: containerd
    and kubelet are node0's, containerd1 and kubelet1 node1's."""
    done = subprocess.run([os.path.join(SCRIPTS, "component.sh"), action, name], capture_output=True, text=True,
                          timeout=60, check=False)
    if done.returncode:
        raise AssertionError(f"component.sh {action} {name}: {done.stdout}{done.stderr}")
    return done.stdout.strip()


def wait_api_server(seconds: float = 120) -> None:
    """Until it says it is ready, by itself and not through a Service."""
    def look() -> bool:
        done = subprocess.run(["kubectl", "get", "--raw", "/readyz", "--request-timeout=2s"],
                              capture_output=True, timeout=10, check=False)
        return done.returncode == 0
    wait_for(look, "the API server to be ready", seconds)


def etcd(path: str, body: dict) -> dict:
    """etcd's API as JSON: etcd("/v3/kv/range", {"key": <base64>})."""
    request = urllib.request.Request(f"http://127.0.0.1:2379{path}", data=json.dumps(body).encode())
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


def compact_etcd() -> int:
    """Forgets all of etcd's history but its latest revision, which is returned. The API server answers from
    its own watch cache as long as that reaches back: restart it to see a 410."""
    revision = int(etcd("/v3/kv/range", {"key": "AA=="})["header"]["revision"])
    etcd("/v3/kv/compaction", {"revision": str(revision), "physical": True})
    return revision


def audit(since: float = 0) -> Iterator[dict]:
    """The API server's audit log: one event for each request that ended, without bodies, oldest first.
    since: time.time(); earlier requests are left out."""
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(since))
    with open(os.path.join(STATE, "log", "audit.log"), encoding="utf-8") as log:
        for line in log:
            if not line.endswith("\n"):
                return  # still being written
            event = json.loads(line)
            if event["stageTimestamp"] >= stamp:
                yield event
