"""kubectl, bound to a namespace.

Every call ends: kubectl is killed after its timeout. A call that fails raises KubectlError, whose text is the
command and all it said, unless check=False. wait_for() is how a case waits for anything: it polls, and its
error says what was waited for and what the last look saw.
"""
from __future__ import annotations  # Kube.list() hides the type

import dataclasses
import http.client
import json
import os
import subprocess
import tempfile
import time
from typing import Any, Callable, Iterable

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
POOLS = "inferencepools.poolwarden.io"
SERVING = "poolwarden.io/serving"


class KubectlError(AssertionError):
    """kubectl failed; the text has its command line and its output."""


class NotInTime(AssertionError):
    """wait_for() gave up."""


@dataclasses.dataclass(frozen=True)
class Output:
    out: str
    err: str
    code: int


def wait_for(look: Callable[[], Any], what: str, seconds: float = 60, every: float = 0.2) -> Any:
    """Calls look() until it returns something true, and returns that. An AssertionError of look() is "not yet";
    so is what is missing, such as a status that nobody has written, and a server that does not answer."""
    deadline = time.monotonic() + seconds
    last: Any = None
    while True:
        try:
            last = look()
            if last:
                return last
        except AssertionError as error:
            last = error
        except (LookupError, OSError, http.client.HTTPException) as error:
            last = f"{type(error).__name__}: {error}"
        if time.monotonic() >= deadline:
            raise NotInTime(f"still waiting after {seconds:g} s: {what}\nlast seen: {last}")
        time.sleep(every)


def stays(look: Callable[[], Any], what: str, seconds: float, every: float = 0.2) -> None:
    """Fails as soon as look() returns something false, within that time. The opposite of wait_for()."""
    started = time.monotonic()
    while time.monotonic() < started + seconds:
        if not look():
            raise AssertionError(f"no longer so after {time.monotonic() - started:.1f} s: {what}")
        time.sleep(every)


def condition(thing: dict, kind: str) -> dict:
    """status.conditions[type=kind], or an empty one."""
    found = [each for each in thing.get("status", {}).get("conditions") or [] if each["type"] == kind]
    return found[0] if found else {"type": kind, "status": "", "reason": "", "message": ""}


def is_ready(pod: dict) -> bool:
    return "deletionTimestamp" not in pod["metadata"] and condition(pod, "Ready")["status"] == "True"


def name_of(thing: dict) -> str:
    return thing["metadata"]["name"]


class Kube:
    """kubectl with --namespace. `namespace=""` leaves it out, for what has none."""

    def __init__(self, namespace: str = ""):
        self.namespace = namespace

    def run(self, *words: str, stdin: str | None = None, timeout: float = 60, check: bool = True) -> Output:
        command = ["kubectl", *(["--namespace", self.namespace] if self.namespace else []), *words]
        try:
            done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=timeout,
                                  check=False)
        except subprocess.TimeoutExpired:
            raise KubectlError(f"$ {' '.join(command)}\ndid not end within {timeout:g} s") from None
        if check and done.returncode:
            said = done.stdout + done.stderr
            raise KubectlError(f"$ {' '.join(command)}\nended with {done.returncode}: {said}")
        return Output(done.stdout, done.stderr, done.returncode)

    def start(self, *words: str, **popen: Any) -> subprocess.Popen:
        """A kubectl that goes on by itself (get -w, logs -f). The caller ends it."""
        command = ["kubectl", *(["--namespace", self.namespace] if self.namespace else []), *words]
        return subprocess.Popen(command, text=True, **popen)

    # Objects

    def get(self, kind: str, name: str) -> dict:
        return json.loads(self.run("get", kind, name, "-o", "json").out)

    def find(self, kind: str, name: str) -> dict | None:
        """As get(), and None where there is none."""
        text = self.run("get", kind, name, "-o", "json", "--ignore-not-found").out
        return json.loads(text) if text.strip() else None

    def list(self, kind: str, selector: str = "") -> list[dict]:
        options = ["-l", selector] if selector else []
        return json.loads(self.run("get", kind, "-o", "json", *options).out)["items"]

    def apply(self, manifest: str | dict | Iterable[dict], *options: str) -> str:
        """YAML text, an object, or several."""
        return self.run("apply", *options, "-f", "-", stdin=as_text(manifest)).out

    def create(self, manifest: str | dict | Iterable[dict]) -> str:
        return self.run("create", "-f", "-", stdin=as_text(manifest)).out

    def patch(self, kind: str, name: str, patch: dict | list, *options: str) -> None:
        """A merge patch, or with a list a JSON patch."""
        style = "json" if isinstance(patch, list) else "merge"
        self.run("patch", kind, name, f"--type={style}", "-p", json.dumps(patch), *options)

    def delete(self, kind: str, name: str, *options: str) -> None:
        """Returns at once; without complaint if it is not there."""
        self.run("delete", kind, name, "--wait=false", "--ignore-not-found", *options)

    def apply_kustomization(self, folder: str, patches: Iterable[dict] = ()) -> None:
        """A folder of this repository, such as examples/vllm-sim, moved into this namespace. Patches are
        kustomize's: {"target": {...}, "patch": <text>}, and leave the repository's files as they are."""
        with tempfile.TemporaryDirectory(prefix="e2e-kustomization-") as scratch:
            document = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization",
                        "namespace": self.namespace, "patches": list(patches),
                        "resources": [os.path.relpath(os.path.join(ROOT, folder), os.path.realpath(scratch))]}
            with open(os.path.join(scratch, "kustomization.yaml"), "w", encoding="utf-8") as file:
                json.dump(document, file)  # JSON is YAML
            self.run("apply", "-k", scratch)

    def wait_established(self, definition: str, seconds: float = 60) -> None:
        """Until objects of that kind can be made. `kubectl wait` fails at once on a definition that is so new that its
        conditions are null."""
        wait_for(lambda: condition(self.get("crd", definition), "Established")["status"] == "True",
                 f"the definition {definition} to be established", seconds)

    # Pods and what they serve

    def ready_pods(self, selector: str) -> list[dict]:
        return [pod for pod in self.list("pods", selector) if is_ready(pod)]

    def ready_pod(self, selector: str) -> dict:
        """Any one of them, once there is one."""
        return wait_for(lambda: self.ready_pods(selector), f"a ready pod of {selector}")[0]

    def wait_ready(self, selector: str, count: int, seconds: float = 90) -> list[dict]:
        """Until exactly that many pods are there, all of them ready."""
        def look() -> list[dict] | None:
            pods = self.list("pods", selector)
            return pods if len(pods) == count and all(map(is_ready, pods)) else None
        if count == 0:
            wait_for(lambda: not self.list("pods", selector), f"no pod of {selector}", seconds)
            return []
        return wait_for(look, f"{count} ready pods of {selector}", seconds)

    def wait_rolled_out(self, what: str, seconds: float = 240) -> None:
        """what: deployment/name."""
        self.run("rollout", "status", what, f"--timeout={seconds:g}s", timeout=seconds + 10)

    # The pool

    def pool(self, name: str = "vllm") -> dict:
        return self.get(POOLS, name)

    def endpoints(self, pool: str = "vllm", state: str = "ready") -> list[str]:
        """Names of the pods on the published list, sorted."""
        return endpoints_of(self.get("configmap", f"{pool}-endpoints"), state)

    def wait_endpoints(self, count: int, pool: str = "vllm", seconds: float = 90) -> list[str]:
        """Until the published list has that many."""
        def look() -> list[str] | None:
            pods = self.endpoints(pool)
            if len(pods) != count:
                raise AssertionError(f"the list has {len(pods)}: {', '.join(pods)}")
            return pods or ["none"]
        found = wait_for(look, f"{count} endpoints on the list of pool {pool}", seconds)
        return found if count else []

    def wait_replaced(self, pod: str, count: int, pool: str = "vllm", seconds: float = 90) -> None:
        """Until the published list has that many, and that pod is not one of them."""
        def look() -> bool:
            pods = self.endpoints(pool)
            return pod not in pods and len(pods) == count
        wait_for(look, f"{count} endpoints of pool {pool} without {pod}", seconds)

    def wait_condition(self, kind: str, status: str, reason: str = "", pool: str = "vllm",
                       seconds: float = 60) -> dict:
        """Until the pool's condition is that, and returns it."""
        def look() -> dict:
            found = condition(self.pool(pool), kind)
            if found["status"] != status or (reason and found["reason"] != reason):
                raise AssertionError(f"{found}")
            return found
        return wait_for(look, f"condition {kind}={status} {reason} of pool {pool}", seconds)

    def events(self, reason: str = "", about: str = "") -> list[dict]:
        """Events here, of that reason, about the object of that name."""
        return [event for event in self.list("events.events.k8s.io")
                if reason in ("", event.get("reason"))
                and about in ("", event.get("regarding", {}).get("name"))]


def endpoints_of(config_map: dict, state: str = "ready") -> list[str]:
    document = json.loads(config_map["data"]["endpoints.json"])
    return sorted(each["pod"] for each in document["endpoints"] if each["state"] == state)


def as_text(manifest: str | dict | Iterable[dict]) -> str:
    if isinstance(manifest, str):
        return manifest
    if isinstance(manifest, dict):
        return json.dumps(manifest)
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": list(manifest)})
