"""The operator that is installed: its pods, its leader, its log and its metrics."""
import json
import re
import time
import unittest

from support.kube import Kube, is_ready, name_of, wait_for
from support.reach import Reach

NAMESPACE = "poolwarden-system"
SELECTOR = "app.kubernetes.io/name=poolwarden,app.kubernetes.io/component=operator"
DEPLOYMENT = "deployment/poolwarden"
SERVICE_ACCOUNT = f"system:serviceaccount:{NAMESPACE}:poolwarden"

kube = Kube(NAMESPACE)


def pods() -> list[dict]:
    return kube.list("pods", SELECTOR)


def wait_ready(count: int = 2, seconds: float = 150) -> list[dict]:
    """A container that ended several times is started anew after 40 or 80 s only."""
    return kube.wait_ready(SELECTOR, count, seconds)


def stop() -> None:
    """From now on no operator runs, until start()."""
    kube.run("scale", DEPLOYMENT, "--replicas=0")
    wait_ready(0)


def start() -> None:
    """As it was installed. Returns once one leads."""
    kube.run("scale", DEPLOYMENT, "--replicas=2")
    wait_ready()
    leader()


def take_away(case: type[unittest.TestCase]) -> None:
    """No operator runs while the tests of this class do. For its setUpClass."""
    case.addClassCleanup(start)
    stop()


def holder() -> str:
    """Who holds the Lease: an identity that begins with the pod's name, or "" for nobody."""
    lease = kube.find("lease", "poolwarden")
    return (lease or {}).get("spec", {}).get("holderIdentity", "") or ""


def renewed() -> str:
    """When the Lease was last renewed, as its holder wrote it."""
    lease = kube.find("lease", "poolwarden")
    return (lease or {}).get("spec", {}).get("renewTime", "") or ""


def leader(seconds: float = 60) -> dict:
    """The pod that leads."""
    def look() -> dict | None:
        who = holder()
        return next((pod for pod in pods() if is_ready(pod) and who.startswith(name_of(pod))), None)
    return wait_for(look, "a ready pod of the operator that holds the Lease", seconds)


def log(pod: str, since: float = 0) -> list[dict]:
    """Its entries, if it logs JSON; others are left out. since: time.time()."""
    options = []
    if since:
        options = ["--since-time", time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(since))]
    entries = []
    for line in kube.run("logs", pod, *options).out.splitlines():
        try:
            entries.append(json.loads(line))
        except ValueError:
            continue
    return entries


def logs(since: float = 0) -> list[dict]:
    """The entries of all its pods, by time."""
    entries = [entry for pod in pods() for entry in log(name_of(pod), since)]
    return sorted(entries, key=lambda entry: entry.get("time", ""))


SAMPLE = re.compile(r'^(?P<name>[a-zA-Z_:][\w:]*)(?:\{(?P<labels>.*)\})? (?P<value>\S+)')
LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


class Metrics:
    """One scrape, to be asked by name and labels."""

    def __init__(self, text: str):
        self.samples: list[tuple[str, dict[str, str], float]] = []
        for line in text.splitlines():
            found = SAMPLE.match(line)
            if found:
                labels = dict(LABEL.findall(found["labels"] or ""))
                self.samples.append((found["name"], labels, float(found["value"])))

    def sum(self, name: str, **labels: str) -> float:
        """Of all samples of that name that have these labels; 0 where there are none."""
        return sum(value for sample, has, value in self.samples
                   if sample == name and all(has.get(key) == wanted for key, wanted in labels.items()))


def metrics(pod: dict, port: int = 8080) -> Metrics:
    with Reach(NAMESPACE, f"pod/{name_of(pod)}", port) as address:
        return Metrics(address.get("/metrics"))
