"""Controllers of others whose replicas a pool may scale, in the cluster: unmodified, from their own Go modules, with
their own manifests. None of them knows of Poolwarden.

    class LeaderWorkerSet(Disruptions):
        @classmethod
        def setUpClass(cls):
            cls.addClassCleanup(workloads.remove, "lws")
            workloads.provide("lws")
"""
import contextlib
import dataclasses
import json
import os
import subprocess
import tempfile
from typing import Any, Iterator

from support import cluster
from support.kube import ROOT, Kube, name_of, wait_for

BUILD = os.path.join(ROOT, "tests", "e2e", "workloads", "build.sh")


@dataclasses.dataclass(frozen=True)
class Controller:
    """Its name is that of its image for scripts/images.sh; build.sh knows its manifests as <name>-manifests."""
    folder: str  # of the manifests: what is applied
    namespace: str
    deployment: str
    definitions: tuple[str, ...]  # until there are these, nothing of its kinds can be made
    more: dict[str, Any]  # of the kustomization, for a cluster as small as this
    rights: str  # of the operator: a folder of manifests/overlays
    has_namespace: bool = True  # the manifests do
    listens: str = ""  # what it logs when its webhooks can be called


CONTROLLERS = {
    # Two of it, on two nodes: while its webhook is away, no pod of its sets can be made or labelled.
    "lws": Controller("default", "lws-system", "lws-controller-manager",
                      ("leaderworkersets.leaderworkerset.x-k8s.io",), {
        "images": [{"name": "us-central1-docker.pkg.dev/k8s-staging-images/lws/lws",
                    "newName": "registry.k8s.io/lws/lws", "newTag": "v0.9.0"}],
        "patches": [{"patch": json.dumps({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "lws-controller-manager", "namespace": "lws-system"},
            "spec": {"template": {"spec": {
                "affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{
                    "topologyKey": "kubernetes.io/hostname",
                    "labelSelector": {"matchLabels": {"control-plane": "controller-manager"}}}]}},
                "containers": [{"name": "manager", "resources": None}]}}}})}]}, rights="leaderworkerset",
                      listens="Serving webhook server"),
    "rollouts": Controller("cluster-install", "argo-rollouts", "argo-rollouts", ("rollouts.argoproj.io",), {
        "namespace": "argo-rollouts",
        "images": [{"name": "quay.io/argoproj/argo-rollouts", "newTag": "v1.9.0"}],
        "patches": [{"target": {"kind": "Deployment", "name": "argo-rollouts"}, "patch": json.dumps([
            {"op": "replace", "path": "/spec/template/spec/containers/0/imagePullPolicy", "value": "IfNotPresent"},
            {"op": "remove", "path": "/spec/template/spec/containers/0/resources"}])}]},
                           rights="rollouts", has_namespace=False),
}


def provide(name: str) -> None:
    """The image, the definitions, the controller at work, and the operator's rights to those kinds. Takes minutes, the
    first time."""
    controller = CONTROLLERS[name]
    if cluster.OWNED:
        cluster.bring_images(name)
    with kustomization(name) as folder:
        Kube().run("apply", "--server-side", "-k", folder)
    for definition in controller.definitions:
        Kube().wait_established(definition)
    Kube().run("apply", "-k", rights_of(controller))
    Kube(controller.namespace).wait_rolled_out(f"deployment/{controller.deployment}")
    if controller.listens:
        wait_listening(name)


def wait_listening(name: str) -> None:
    """By what each pod says. They are ready before that, and the API server keeps one connection to one of them,
    so that a call which is answered says nothing of the next."""
    controller = CONTROLLERS[name]
    kube = Kube(controller.namespace)
    wait_for(lambda: all(controller.listens in kube.run("logs", name_of(pod)).out for pod in kube.list("pods")),
             f"each pod of {controller.deployment} to listen", 90)


def remove(name: str) -> None:
    """What provide() made, also half of it. Objects of those kinds go with it."""
    Kube().run("delete", "-k", rights_of(CONTROLLERS[name]), "--ignore-not-found")
    with kustomization(name) as folder:
        Kube().run("delete", "-k", folder, "--ignore-not-found", "--wait=false")
    gone = [f"namespace/{CONTROLLERS[name].namespace}", *(f"crd/{each}" for each in CONTROLLERS[name].definitions)]
    Kube().run("wait", "--for=delete", *gone, "--timeout=90s", timeout=100)


def rights_of(controller: Controller) -> str:
    return os.path.join(ROOT, "manifests", "overlays", controller.rights)


@contextlib.contextmanager
def kustomization(name: str) -> Iterator[str]:
    """The folder of one, around the manifests of the module."""
    controller = CONTROLLERS[name]
    manifests = build(f"{name}-manifests")
    with tempfile.TemporaryDirectory(prefix="e2e-workloads-") as scratch:
        base = os.path.relpath(os.path.join(manifests, controller.folder), os.path.realpath(scratch))
        document = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization", "resources": [base],
                    **controller.more}
        if not controller.has_namespace:
            document["resources"].append("namespace.yaml")
            namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": controller.namespace}}
            with open(os.path.join(scratch, "namespace.yaml"), "w", encoding="utf-8") as file:
                json.dump(namespace, file)
        with open(os.path.join(scratch, "kustomization.yaml"), "w", encoding="utf-8") as file:
            json.dump(document, file)  # JSON is YAML
        yield scratch


def build(what: str) -> str:
    """Where build.sh says that it is."""
    done = subprocess.run([BUILD, what], cwd=ROOT, capture_output=True, text=True, timeout=800, check=False)
    if done.returncode:
        raise AssertionError(f"build.sh {what} ended with {done.returncode}: {done.stdout}{done.stderr}")
    return done.stdout.strip()


def operations(path: str, patch: dict) -> list[dict]:
    """A patch of what is at that path, as a JSON patch: of a kind that it does not know, kustomize replaces whole
    lists, such as containers."""
    found = []
    for key, value in patch.items():
        if value is None:
            found.append({"op": "remove", "path": f"{path}/{key}"})
        elif isinstance(value, dict):
            found += operations(f"{path}/{key}", value)
        else:
            found.append({"op": "add", "path": f"{path}/{key}", "value": value})
    return found
