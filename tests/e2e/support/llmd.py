"""llm-d's own stack in the cluster, as examples/llm-d/stack has it: Envoy, and the endpoint picker that it asks about
each request, both unmodified. Neither knows of Poolwarden."""
import contextlib
import json
import os
import subprocess
from typing import Iterator

from support import cluster, operator
from support.kube import ROOT, Kube, name_of, wait_for
from support.load import complete
from support.reach import Reach

DEPLOYMENT = "deployment/inference-gateway"
SELECTOR = "app=inference-gateway"
POOLS = "inferencepools.inference.networking.k8s.io"
BUILD = os.path.join(ROOT, "tests", "e2e", "llmd", "build.sh")
# So that the picker says when it reads its pool.
TALKATIVE = {"target": {"kind": "Deployment", "name": "inference-gateway"}, "patch": json.dumps([
    {"op": "add", "path": "/spec/template/spec/containers/1/args/-", "value": "--v=2"}])}


def run(*command: str) -> str:
    """Builds may take minutes, once."""
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=800,
                          check=False)
    if done.returncode:
        raise AssertionError(f"$ {' '.join(command)}\nended with {done.returncode}: {done.stdout}{done.stderr}")
    return done.stdout.strip()


def provide() -> str:
    """The images, on a cluster of the tests' own (a user's brings them), and the definitions of llm-d's kinds. Returns
    the folder of those, for remove()."""
    if cluster.OWNED:
        cluster.bring_images("envoy", "epp")
    definitions = run(BUILD, "crd")
    Kube().run("apply", "--server-side", "-k", definitions)
    Kube().wait_established(POOLS)
    return definitions


def remove(definitions: str) -> None:
    """What provide() made known. Objects of those kinds go with it."""
    Kube().run("delete", "-k", definitions, "--ignore-not-found", "--wait=false")


def deploy(kube: Kube, replicas: int, patches: tuple[dict, ...] = ()) -> None:
    """Waits until all of it serves."""
    kube.apply_kustomization("examples/llm-d/stack", (TALKATIVE, *patches))
    kube.run("scale", "deployment/vllm", f"--replicas={replicas}")
    kube.wait_ready("app=vllm", replicas)
    kube.wait_rolled_out(DEPLOYMENT)


def pools_read(kube: Kube) -> int:
    """How often the picker has read its pool anew, which it says at the moment it does."""
    return kube.run("logs", DEPLOYMENT, "-c", "endpoint-picker").out.count("Reconciling InferencePool")


def select(kube: Kube, label: str, pods: list[str]) -> None:
    """Has the picker's pool select that label too, and waits until the picker goes by that and picks from these pods."""
    before = pools_read(kube)
    kube.patch(POOLS, "vllm", {"spec": {"selector": {"matchLabels": {label: "true"}}}})
    wait_for(lambda: pools_read(kube) > before, "the picker to read its pool anew", 60)
    with Reach(kube.namespace, f"pod/{name_of(kube.ready_pod(SELECTOR))}", 9090) as address:
        def look() -> bool:
            # Of the moment it is asked; the others of its metrics are of some seconds ago. One for each port of a pod.
            found = {labels["model_server_pod"] for name, labels, _value in
                     operator.Metrics(address.get("/metrics")).samples if name == "inference_pool_per_pod_queue_size"}
            if found != {f"{pod}-rank-0" for pod in pods}:
                raise AssertionError(f"it picks from {sorted(found)}")
            return True
        wait_for(look, f"the picker to pick from {', '.join(pods)}", 60)


@contextlib.contextmanager
def reach(kube: Kube) -> Iterator[Reach]:
    """For clients, as gateway.reach_pod(): past its Service, while it stays where it is. Answers already."""
    pod = kube.ready_pod(SELECTOR)
    with Reach(kube.namespace, f"pod/{name_of(pod)}", 8080) as address:
        wait_for(lambda: not complete(address.url, tokens=1).error, "an answer through Envoy and the picker", 30)
        yield address
