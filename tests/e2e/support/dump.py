"""What is kept of a case that failed: objects, events and logs, in build-e2e/failures/<case>/."""
import os
import shutil
import subprocess

from support import cluster, operator
from support.kube import POOLS, ROOT

FOLDER = os.path.join(ROOT, "build-e2e", "failures")
KINDS = f"{POOLS},configmaps,services,deployments,replicasets,pods,horizontalpodautoscalers,leases,poddisruptionbudgets"


def save(path: str, *words: str) -> None:
    """The command's output, whatever becomes of it: a dump must not hide the failure it is about."""
    with open(path, "w", encoding="utf-8") as file:
        try:
            subprocess.run(["kubectl", *words], stdout=file, stderr=subprocess.STDOUT, timeout=30, check=False)
        except (OSError, subprocess.TimeoutExpired) as problem:
            file.write(f"\n{problem}\n")


def logs(folder: str, namespace: str) -> None:
    try:
        names = subprocess.run(["kubectl", "-n", namespace, "get", "pods", "-o", "name"], capture_output=True,
                               text=True, timeout=30, check=False).stdout.split()
    except subprocess.TimeoutExpired:
        return
    for name in names[:40]:
        file = os.path.join(folder, f"log-{name.removeprefix('pod/')}")
        save(f"{file}.txt", "-n", namespace, "logs", name, "--all-containers", "--prefix", "--tail=5000")
        previous = f"{file}.previous.txt"
        save(previous, "-n", namespace, "logs", name, "--all-containers", "--prefix", "--previous")
        with open(previous, encoding="utf-8", errors="replace") as written:
            none = "previous terminated container" in written.read(4096)
        if none:
            os.remove(previous)  # only kubectl's word that there is none


def control_plane(folder: str) -> None:
    """The end of each component's log."""
    source = os.path.join(cluster.STATE, "log")
    for name in os.listdir(source) if cluster.OWNED and os.path.isdir(source) else ():
        with open(os.path.join(source, name), "rb") as log, open(os.path.join(folder, name), "wb") as end:
            log.seek(max(0, os.path.getsize(log.name) - (4 << 20)))
            shutil.copyfileobj(log, end)


def dump(case: str, namespaces: list[str]) -> str:
    """Keeps it all and returns the folder. An earlier dump of that case goes."""
    target = os.path.join(FOLDER, case)
    shutil.rmtree(target, ignore_errors=True)
    for namespace in [*namespaces, operator.NAMESPACE]:
        folder = os.path.join(target, namespace)
        os.makedirs(folder)
        save(os.path.join(folder, "objects.yaml"), "-n", namespace, "get", KINDS, "-o", "yaml")
        save(os.path.join(folder, "wide.txt"), "-n", namespace, "get", KINDS, "-o", "wide")
        save(os.path.join(folder, "events.txt"), "-n", namespace, "get", "events.events.k8s.io",
             "--sort-by=.metadata.creationTimestamp", "-o", "wide")
        save(os.path.join(folder, "describe.txt"), "-n", namespace, "describe", f"{POOLS},pods")
        logs(folder, namespace)
    save(os.path.join(target, "nodes.yaml"), "get", "nodes", "-o", "yaml")
    folder = os.path.join(target, "control-plane")
    os.makedirs(folder)
    control_plane(folder)
    return target
