"""llm-d's own stack in the cluster, as examples/llm-d/stack has it: Envoy, and the endpoint picker that it asks about
each request, both unmodified. Neither knows of Poolwarden."""
import contextlib
import os
import subprocess
from typing import Iterator

from support import cluster
from support.kube import ROOT, Kube, wait_for
from support.load import complete
from support.reach import Reach

DEPLOYMENT = "deployment/inference-gateway"
POOLS = "inferencepools.inference.networking.k8s.io"
BUILD = os.path.join(ROOT, "tests", "e2e", "llmd", "build.sh")
IMAGES = os.path.join(ROOT, "build", "image")


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
        run("scripts/images.sh", IMAGES, "envoy", "epp")
        for name in ("envoy", "epp"):
            cluster.import_image(os.path.join(IMAGES, f"{name}.tar"))
    definitions = run(BUILD, "crd")
    Kube().run("apply", "--server-side", "-k", definitions)
    Kube().wait_established(POOLS)
    return definitions


def remove(definitions: str) -> None:
    """What provide() made known. Objects of those kinds go with it."""
    Kube().run("delete", "-k", definitions, "--ignore-not-found", "--wait=false")


def deploy(kube: Kube, replicas: int, patches: tuple[dict, ...] = ()) -> None:
    """Waits until all of it serves."""
    kube.apply_kustomization("examples/llm-d/stack", patches)
    kube.run("scale", "deployment/vllm", f"--replicas={replicas}")
    kube.wait_ready("app=vllm", replicas)
    kube.wait_rolled_out(DEPLOYMENT)


@contextlib.contextmanager
def reach(kube: Kube) -> Iterator[Reach]:
    """For clients, as gateway.reach(): answers already."""
    with Reach(kube.namespace, "service/inference-gateway", 8080) as address:
        wait_for(lambda: not complete(address.url, tokens=1).error, "an answer through Envoy and the picker", 30)
        yield address
