#!/usr/bin/env python3
"""Poolwarden beside other programs that publish the same list, on a real Kubernetes control plane: `make bench-peers`.

Builds what is measured, brings a control plane up, lets the driver (tests/bench/peers/driver) measure, takes the control
plane down, and prints tables in Markdown. All that was measured is in build-bench-peers/results.json, plots are beside it.

  BENCH_FAST=1                  a short run, to see that it works
  BENCH_RUNS=3                  how often each program is measured
  BENCH_DOCS=1                  the plots go to docs/images/ too
  PEERS=poolwarden,go           of: kubernetes (its EndpointSlices alone), floor (bare PUTs), go, rust, poolwarden.
                                With "+budgets" (go+budgets), pools also have a budget each, as those of Poolwarden have
  ROWS=1000x20@10,10000x100@20  pods x pools @ deletes a second, or
                                  @node: all 250 pods of a node at once
                                  @adopt: deletes from the moment of the first right list
                                  @leader: two replicas, and the leader is killed (-9) among the deletes
                                  @10+objects: a tenant has 50,000 hostile objects in another namespace, and changes them
                                  @10+clients: 1,000 slow or endless clients are at the program's own ports
  CONTROLLER_QPS=500            what each of Kubernetes' controllers may send in a second (its own default is 20)
  POOLWARDEN=build/bin/poolwarden,old=/tmp/old    the program, and others like it, by name
"""
import dataclasses
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import time
import types
from typing import Any, Mapping, Sequence

import bench_peers_plot
import bench_peers_report

ROOT = pathlib.Path(__file__).resolve().parent.parent
OUT = ROOT / "build-bench-peers"
FOLDER = ROOT / "tests" / "bench" / "peers"
NAMESPACE = "bench"
PODS_ON_NODE = 250
USUAL_ROWS = "1000x20@10,1000x20@50,1000x20@node,10000x100@20"
FAST_ROWS = "200x4@10,200x4@node"
USUAL_PEERS = "kubernetes,floor,go,rust,poolwarden"
# Long enough for a p99, short enough that a pool keeps half of its pods.
DELETES = {"rate": 50.0, "adopt": 20.0, "leader": 30.0}  # seconds of them
FAST_SECONDS = 4.0
MOST_DELETED = 0.5  # of all pods
PORTS = ("127.0.0.1:18080", "127.0.0.1:18081")  # for metrics and for probes; in the control plane's own network


class WrongUse(Exception):
    """What was asked for cannot be measured; the text says why."""


@dataclasses.dataclass(frozen=True)
class Row:
    """One row of the table, as the driver's plan has it."""
    name: str
    kind: str
    rate: float
    deletes: int
    attack: str = ""


@dataclasses.dataclass(frozen=True)
class Size:
    """A cluster's size, and what is measured on it."""
    pods: int
    pools: int
    rows: tuple[Row, ...]


def parse_row(text: str, fast: bool) -> tuple[int, int, Row]:
    """Pods, pools and the row of "1000x20@10"."""
    match = re.fullmatch(r"(\d+)x(\d+)@(\d+(?:\.\d+)?|node|adopt|leader)(?:\+(objects|clients))?", text)
    if not match or not 0 < int(match[2]) <= int(match[1]):
        raise WrongUse(f'ROWS: "{text}" is not like 1000x20@10, 1000x20@node, 10000x100@adopt, 1000x20@leader or '
                       "1000x20@10+objects")
    if match[4] and match[3] in ("adopt", "leader"):
        raise WrongUse(f'ROWS: "{text}": an attack is made beside deletes at a rate, or of a node')
    pods, pools, how = int(match[1]), int(match[2]), match[3]
    if how == "node":
        return pods, pools, Row(text, "node", 0, min(pods, PODS_ON_NODE), match[4] or "")
    kind = how if how in DELETES else "rate"
    rate = {"adopt": 20.0, "leader": 10.0}.get(how) or float(how)
    if rate == 0:
        raise WrongUse(f'ROWS: "{text}" would never delete anything')
    seconds = FAST_SECONDS if fast and kind != "leader" else DELETES[kind]
    return pods, pools, Row(text, kind, rate, max(1, int(min(rate * seconds, pods * MOST_DELETED))), match[4] or "")


def parse_rows(text: str, fast: bool) -> list[Size]:
    """Rows by size, sizes and rows in the order in which they are named."""
    sizes: dict[tuple[int, int], list[Row]] = {}
    for each in filter(None, text.split(",")):
        pods, pools, row = parse_row(each.strip(), fast)
        sizes.setdefault((pods, pools), []).append(row)
    if not sizes:
        raise WrongUse("ROWS names no row")
    return [Size(pods, pools, tuple(rows)) for (pods, pools), rows in sizes.items()]


def parse_poolwardens(text: str) -> dict[str, str]:
    """Programs by the name they get in the tables. The one without a name is "poolwarden"."""
    programs: dict[str, str] = {}
    for each in filter(None, text.split(",")):
        name, separator, path = each.rpartition("=")
        name = f"poolwarden-{name}" if separator else "poolwarden"
        if name in programs:
            raise WrongUse(f"POOLWARDEN names two programs {name}")
        programs[name] = os.path.abspath(path)
    return programs


def operator_command(path: str, metrics: str = "0", probes: str = "0") -> list[str]:
    """Without ports, which replicas on one machine would take from each other, unless some are given."""
    return [path, "operator", "--metrics-bind-address", metrics, "--health-probe-bind-address", probes]


def peer(name: str, programs: Mapping[str, str]) -> dict[str, Any]:
    """A program as the driver's plan has it. programs: the Poolwardens."""
    plain, budgets, _ = name.partition("+budgets")
    if budgets and plain in ("kubernetes", "floor", "go", "rust"):
        return peer(plain, programs) | {"name": name, "pools": "services+budgets"}
    election = ["--leader-elect", "--leader-elect-namespace", NAMESPACE]
    if name == "kubernetes":
        return {"name": name, "pools": "services"}
    if name == "floor":
        return {"name": name, "pools": "services", "floor": True}
    if name == "go":
        go = [str(OUT / "bin" / "peer-go")]
        return {"name": name, "pools": "services", "command": go, "leader_command": go + election}
    if name == "rust":
        return {"name": name, "pools": "services", "command": [str(OUT / "bin" / "peer-rust")]}
    if name in programs:
        command = operator_command(programs[name])
        return {"name": name, "pools": "inferencepools", "command": command, "leader_command": command + election,
                "open_command": operator_command(programs[name], *PORTS), "ports": PORTS}
    raise WrongUse(f'PEERS: "{name}" is not one of kubernetes, floor, go, rust, {", ".join(programs)}')


def choose_peers(text: str, programs: Mapping[str, str]) -> list[dict[str, Any]]:
    """As named; "poolwarden" stands for all of them."""
    names: list[str] = []
    for each in filter(None, text.split(",")):
        names.extend(programs if each == "poolwarden" and programs else [each])
    if not names:
        raise WrongUse("PEERS names no program")
    return [peer(name, programs) for name in names]


def build(peers: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The programs, and those of the peers that are there then."""
    plain = {each["name"].removesuffix("+budgets") for each in peers}
    wanted = ["driver"] + [name for name in ("go", "rust") if name in plain]
    subprocess.run([FOLDER / "build.sh", OUT / "bin", *wanted], check=True, stdout=sys.stderr)
    there = [each for each in peers if not each.get("command") or os.access(each["command"][0], os.X_OK)]
    for each in peers:
        if each not in there and not each["name"].startswith("rust"):  # of which build.sh has said why
            raise WrongUse(f'{each["command"][0]} is not there; `make build` builds it')
    return there


class ControlPlane:
    """Up from `with` to its end, however that comes."""

    def __init__(self) -> None:
        self.script = FOLDER / "control_plane.sh"
        self.environment = os.environ | {"E2E_NAME": os.environ.get("E2E_NAME") or f"pw-peers-{os.getpid()}"}
        self.state = pathlib.Path()

    def __enter__(self) -> "ControlPlane":
        done = subprocess.run([self.script, "up", "--owner", str(os.getpid())], env=self.environment, check=True,
                              stdout=subprocess.PIPE, text=True)
        self.state = pathlib.Path(done.stdout.strip())
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 where: types.TracebackType | None) -> None:
        logs = OUT / "logs" / "control-plane"
        logs.mkdir(parents=True, exist_ok=True)
        for log in (self.state / "log").glob("*.log"):
            (logs / log.name).write_bytes(log.read_bytes()[-1_000_000:])
        subprocess.run([self.script, "down"], env=self.environment, check=False)

    def command(self, *words: str | pathlib.Path) -> list[str]:
        """What runs this where the control plane is."""
        return [str(self.script), "run", *map(str, words)]

    def kubectl(self, *words: str | pathlib.Path) -> None:
        subprocess.run(self.command("kubectl", *words), env=self.environment, check=True, stdout=subprocess.DEVNULL)

    def pids(self) -> dict[str, int]:
        """Of its components."""
        names = ("etcd", "apiserver", "controller-manager")
        return {name: int((self.state / "pids" / name).read_text(encoding="utf-8").split()[0]) for name in names}

    def prepare(self) -> None:
        """The definition, and a namespace in which pods can be made."""
        self.kubectl("apply", "-f", ROOT / "crds" / "poolwarden.io_inferencepools.yaml")
        self.kubectl("wait", "--for=condition=Established", "crd/inferencepools.poolwarden.io")
        self.kubectl("create", "namespace", NAMESPACE)
        self.kubectl("wait", "--for=create", "serviceaccount/default", f"--namespace={NAMESPACE}")


def measure(plane: ControlPlane, plan: dict[str, Any]) -> list[dict[str, Any]]:
    """All results; each is kept as soon as it is there."""
    results: list[dict[str, Any]] = []
    command = ["setpriv", "--pdeathsig", "TERM", *plane.command(OUT / "bin" / "driver")]
    with subprocess.Popen(command, env=plane.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          text=True) as driver, open(OUT / "results.jsonl", "w", encoding="utf-8") as kept:
        assert driver.stdin and driver.stdout
        try:
            driver.stdin.write(json.dumps(plan))
            driver.stdin.close()
            for line in driver.stdout:
                results.append(json.loads(line))
                kept.write(line)
                kept.flush()
        except BaseException:
            driver.terminate()
            raise
    if driver.returncode:
        print(f"bench-peers: the driver ended with {driver.returncode}; what follows is incomplete", file=sys.stderr)
    return results


def said(*command: str) -> str:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip().partition("\n")[0]


def about(programs: Mapping[str, str], fast: bool, runs: int) -> dict[str, Any]:
    """What has to be known of a run beside its figures."""
    return {
        "date": time.strftime("%Y-%m-%d %H:%M", time.gmtime()),
        "commit": said("git", "describe", "--always", "--dirty"),
        "programs": {name: said(path, "--version") for name, path in programs.items()},
        "processors": os.cpu_count(),
        "load_before": os.getloadavg()[0],
        "runs": runs,
        "fast": fast,
    }


def report(data: dict[str, Any], docs: bool) -> None:
    """Tables to standard output; everything, and the plots, to files."""
    (OUT / "results.json").write_text(json.dumps(data, indent=1), encoding="utf-8")
    print(bench_peers_report.render(data))
    for folder in [OUT] + ([ROOT / "docs" / "images"] if docs else []):
        folder.mkdir(parents=True, exist_ok=True)
        for name, svg in bench_peers_plot.plots(data["results"]).items():
            (folder / f"{name}.svg").write_text(svg, encoding="utf-8")


def run(environment: Mapping[str, str]) -> None:
    fast = environment.get("BENCH_FAST") == "1"
    runs = int(environment.get("BENCH_RUNS") or (1 if fast else 3))
    programs = parse_poolwardens(environment.get("POOLWARDEN") or str(ROOT / "build" / "bin" / "poolwarden"))
    sizes = parse_rows(environment.get("ROWS") or (FAST_ROWS if fast else USUAL_ROWS), fast)
    peers = build(choose_peers(environment.get("PEERS") or USUAL_PEERS, programs))
    (OUT / "logs").mkdir(parents=True, exist_ok=True)
    chosen = {each["name"]: programs[each["name"]] for each in peers if each["name"] in programs}
    data: dict[str, Any] = {"about": about(chosen, fast, runs)}
    with ControlPlane() as plane:
        plane.prepare()
        plan = {
            "kubeconfig": str(plane.state / "admin.kubeconfig"), "etcd": "http://127.0.0.1:2379",
            "namespace": NAMESPACE, "logs": str(OUT / "logs"), "server": plane.pids(), "runs": runs,
            "pods_on_node": PODS_ON_NODE, "quiet_for": 2 if fast else 6, "patience": 60, "peers": peers,
            "sizes": [dataclasses.asdict(size) for size in sizes],
        }
        data["results"] = measure(plane, plan)
    report(data, environment.get("BENCH_DOCS") == "1")


def main(arguments: Sequence[str]) -> int:
    if arguments and arguments[0] == "report":  # of the last run, again
        data = json.loads((OUT / "results.json").read_text(encoding="utf-8"))
        report(data, os.environ.get("BENCH_DOCS") == "1")
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        run(os.environ)
    except WrongUse as wrong:
        print(f"bench-peers: {wrong}", file=sys.stderr)
        return 2
    except subprocess.CalledProcessError as failed:
        print(f"bench-peers: {failed}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
