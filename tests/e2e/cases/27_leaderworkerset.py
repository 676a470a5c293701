"""The groups of a LeaderWorkerSet, as examples/leaderworkerset has them, under its own controller. Leaders answer, and
cut what they answer when they are told to stop. Four groups are scaled down to two and up again, and rolled out; a node
is drained, and one that has a single worker only. None of the answers may be cut. A worker that is not ready, or is
killed, takes its leader off the list. Beside it the same without Poolwarden's gate."""
import json
import os
import signal
import time
from typing import Callable

from support import gateway, processes, workloads
from support.case import main
from support.cluster import needs_own_cluster
from support.drain import AGAIN, SOON, Fate, open_gate, slow_model
from support.examples import apply_without_gpu
from support.gateway import PATIENCE
from support.kube import Kube, endpoints_of, is_ready, name_of, stays, wait_for
from support.ordinals import KEPT, NAMES, Ordinals
from support.watch import Watch

WORKERS = "app=vllm-worker"
TEMPLATE = "/spec/leaderWorkerTemplate"
LEADER, WORKER = f"{TEMPLATE}/leaderTemplate", f"{TEMPLATE}/workerTemplate"
# Where there is no GPU, a server that only behaves as vLLM does. Root it need not be.
STAND_IN = {"image": "ghcr.io/poolwarden/vllm-sim:0.1.0", "resources": None, "volumeMounts": None,
            "env": [{"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]}
QUICK = {"timeoutSeconds": 1, "periodSeconds": 1, "failureThreshold": 2}


def nodes() -> tuple[str, str]:
    """The one with the manager of LeaderWorkerSet that acts, and another, which may be drained. While none of the managers
    acts, a worker that goes is made anew alone, and nobody makes its leader anew."""
    system = Kube("lws-system")
    acting = wait_for(lambda: system.find("pod", system.list("leases")[0]["spec"]["holderIdentity"].partition("_")[0]),
                      "a manager that acts", 60)["spec"]["nodeName"]
    return acting, next(name_of(node) for node in Kube().list("nodes") if name_of(node) != acting)


def worker_of(leader: str) -> str:
    return f"{leader}-1"


def prefers(node: str) -> dict:
    return {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 100, "preference": {
        "matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}]}}]}}


def patches(probe: dict, more: list[dict]) -> tuple[dict, ...]:
    """slow_model() as the leader of each group, on the stand-in. Nobody asks its worker; probe: of that one."""
    pod = json.loads(slow_model()["patch"])["spec"]["template"]["spec"]
    container, = pod.pop("containers")
    del container["name"]
    pod["securityContext"] = {"runAsNonRoot": True}
    asked = [*workloads.operations(f"{LEADER}/spec", pod),
             *workloads.operations(f"{LEADER}/spec/containers/0", {**STAND_IN, **container, "startupProbe": None}),
             *workloads.operations(f"{WORKER}/spec", pod),
             *workloads.operations(f"{WORKER}/spec/containers/0", {**STAND_IN, "args": ["--port=8000"]}),
             {"op": "add", "path": f"{WORKER}/spec/containers/0/readinessProbe",
              "value": {"httpGet": {"path": "/health", "port": 8000}, **probe}}, *more]
    return ({"target": {"kind": "LeaderWorkerSet", "name": "vllm"}, "patch": json.dumps(asked)},)


@needs_own_cluster("brings definitions, webhooks and an image of others, and drains nodes")
class LeaderWorkerSet(Ordinals):
    target = "leaderworkerset/vllm"

    @classmethod
    def setUpClass(cls) -> None:
        cls.addClassCleanup(workloads.remove, "lws")
        workloads.provide("lws")

    def setUp(self) -> None:
        super().setUp()
        self.namespaces.append("lws-system")  # what is kept of a failure has the managers' logs

    def deploy(self, *more: dict, groups: int = len(NAMES), probe: dict = PATIENCE) -> str:
        """Returns the gateway's address. more: JSON patches of the LeaderWorkerSet."""
        self.addCleanup(self.delete_all)
        gateway.deploy(self.kube, groups, patches(probe, list(more)), example="leaderworkerset")
        self.assertEqual(NAMES[:groups], self.kube.endpoints(), "the published list")
        self.kube.wait_ready(WORKERS, groups)
        self.note(self.kube.run("get", "lws,pwp").out)
        return self.enterContext(gateway.reach_pod(self.kube)).url

    def delete_all(self) -> None:
        """Else the pods are made anew, as often as they are deleted."""
        self.kube.run("delete", "leaderworkersets", "--all", "--timeout=60s", timeout=70)

    def workers(self) -> list[str]:
        return sorted(map(name_of, self.kube.list("pods", WORKERS)))

    def after_leaders(self, act: Callable[[], dict[str, Fate]]) -> dict[str, Fate]:
        """act() is a disrupt(). A worker that is told to stop before its leader is drained would cut its answers."""
        with Watch(f"/api/v1/namespaces/{self.namespace}/pods", WORKERS) as workers:
            mark = workers.mark()
            gone = act()
            drained = {worker_of(fate.name): fate.drained or 0 for fate in gone.values()}
            told: dict[str, float] = {}
            for event in list(workers.events[mark:]):
                if "deletionTimestamp" in event.object["metadata"] or event.kind == "DELETED":
                    told.setdefault(name_of(event.object), event.at)
        self.assertLessEqual(set(told), set(drained), "workers that were told to stop, and whose leaders went")
        for name, at in sorted(told.items()):
            self.note(f"{name}: told to stop {at - drained[name]:.1f} s after its leader was drained")
        self.assertEqual([], [name for name, at in told.items() if at < drained[name]], "told to stop before that")
        return gone

    def test_scale_and_rollout(self) -> None:
        url = self.deploy()
        self.wait_four_shown()
        self.after_leaders(lambda: self.scale_down(url, "kubectl scale leaderworkerset/vllm --replicas=2"))
        wait_for(lambda: self.workers() == [worker_of(name) for name in KEPT], "the others' workers to go", 60)
        self.scale_up()
        self.kube.wait_ready(WORKERS, len(NAMES))
        self.roll_out(url)

    def roll_out(self, url: str) -> None:
        self.short_answers()
        before = self.uids()
        gone = self.after_leaders(lambda: self.disrupt(
            url, "another version of both templates", self.change, gone=4, seconds=4 * (self.seconds + 60), least=3))
        self.assert_from_the_top(gone)
        self.wait_whole()
        self.assertEqual(set(), before & self.uids(), "all were replaced")

    def change(self) -> None:
        self.kube.patch("leaderworkerset", "vllm", [
            {"op": "add", "path": f"{template}/metadata/annotations", "value": {"e2e/version": "2"}}
            for template in (LEADER, WORKER)])

    def wait_whole(self) -> None:
        """All groups are there, ready, and of the newest template."""
        def look() -> bool:
            status = self.kube.get("leaderworkerset", "vllm")["status"]
            if [status.get(key) for key in ("replicas", "readyReplicas", "updatedReplicas")] != [len(NAMES)] * 3:
                raise AssertionError(f"{status}")
            return True
        wait_for(look, "all groups to be ready and new", 120)
        self.kube.wait_endpoints(len(NAMES))

    def test_node(self) -> None:
        self.deploy()
        _live, spare = nodes()
        there = {name_of(pod): pod["spec"]["nodeName"] for pod in self.kube.list("pods", "app in (vllm,vllm-worker)")}
        self.note(f"{there}")
        self.drain(spare, sum(spare in (there[name], there[worker_of(name)]) for name in NAMES))

    def test_node_with_one_worker(self) -> None:
        """It takes the worker's leader along, on another node, which has to end its answers before the worker goes."""
        live, spare = nodes()
        self.addCleanup(Kube().run, "uncordon", spare)
        Kube().run("cordon", spare)
        self.deploy({"op": "add", "path": f"{LEADER}/spec/affinity", "value": prefers(live)},
                    {"op": "add", "path": f"{WORKER}/spec/affinity", "value": prefers(spare)}, groups=3)
        Kube().run("uncordon", spare)
        self.scale_back(len(NAMES), "pwp/vllm")
        self.kube.wait_ready(WORKERS, len(NAMES))
        there = [name_of(pod) for pod in self.kube.list("pods", "leaderworkerset.sigs.k8s.io/name=vllm")
                 if pod["spec"]["nodeName"] == spare]
        self.assertEqual([worker_of("vllm-3")], there, f"of the set on {spare}")
        gone = self.drain(spare, 1)
        self.assertEqual(["vllm-3"], [fate.name for fate in gone.values()])

    def drain(self, node: str, groups: int) -> dict[str, Fate]:
        """groups: that have a pod there."""
        self.keep_off(node, "gateway")
        url = self.enterContext(gateway.reach_pod(self.kube)).url  # it has moved
        gone = self.after_leaders(lambda: self.disrupt(
            url, f"kubectl drain {node}, with pods of {groups} groups", lambda: self.drain_node(node, groups),
            gone=groups, seconds=groups * (self.seconds + 60), least=len(NAMES) - 1))
        there = [name_of(pod) for pod in self.kube.list("pods", "leaderworkerset.sigs.k8s.io/name=vllm")
                 if pod["spec"].get("nodeName") == node]
        self.assertEqual([], there)
        self.wait_whole()
        Kube().run("uncordon", node)
        return gone

    def test_webhooks_away(self) -> None:
        """Then Kubernetes refuses each label of a set's pods, and so they are held for longer."""
        url = self.deploy()
        self.addCleanup(self.managers, 2)
        self.disrupt(url, "scaled down to two, and LeaderWorkerSet away before they are drained", self.lose_webhooks,
                     gone=2, least=2)
        self.kube.wait_endpoints(2)

    def lose_webhooks(self) -> None:
        self.drain_two()
        self.managers(0)
        before = self.uids()
        stays(lambda: self.uids() == before, "all four are there", self.seconds + 5, every=1)
        self.managers(2)
        self.operator_back = time.monotonic()

    @staticmethod
    def managers(count: int) -> None:
        system = Kube("lws-system")
        system.run("scale", "deployment/lws-controller-manager", f"--replicas={count}")
        system.wait_ready("control-plane=controller-manager", count)
        if count:
            workloads.wait_listening("lws")

    def test_worker_fails(self) -> None:
        self.deploy(probe=QUICK)
        worker = self.kube.get("pod", worker_of("vllm-1"))
        stopped = processes.of_pod(worker, "vllm-sim")
        self.withdraws("vllm-1", "a worker that hangs", lambda: signal_all(stopped, signal.SIGSTOP))
        signal_all(stopped, signal.SIGCONT)
        self.kube.wait_endpoints(len(NAMES))
        before = self.named()
        self.withdraws("vllm-1", "a worker that is killed", lambda: processes.kill(worker, "vllm-sim"))
        wait_for(lambda: self.named().get("vllm-1") not in (None, before["vllm-1"]), "the group to be made anew", 90)
        self.wait_whole()
        after = self.named()
        self.assertEqual(["vllm-1"], [name for name in NAMES if before[name] != after[name]], "other leaders")

    def withdraws(self, leader: str, what: str, act: Callable[[], object]) -> None:
        """From the event that says that the worker is not ready to the list without its leader."""
        self.step(what)
        with Watch(f"/api/v1/namespaces/{self.namespace}/pods", WORKERS) as workers, self.watch_lists() as lists:
            mark, lists_mark = workers.mark(), lists.mark()
            act()
            unready = workers.wait(
                lambda event: name_of(event.object) == worker_of(leader) and not is_ready(event.object),
                "the worker to be not ready", 60, after=mark)
            off = lists.wait(lambda event: leader not in endpoints_of(event.object), f"a list without {leader}", SOON,
                             after=lists_mark)
            self.figure(f"{what}: its leader is off the list after", (off.at - unready.at) * 1000, "ms")
            self.assertLess(off.at - unready.at, AGAIN)

    def test_example_as_it_stands(self) -> None:
        self.addCleanup(self.delete_all)
        apply_without_gpu(self, "leaderworkerset")

    def test_scale_without_the_gate(self) -> None:
        url = self.deploy()
        with open_gate():
            self.cut(url, "without the gate: kubectl scale leaderworkerset/vllm --replicas=2",
                     lambda: self.kube.run("scale", "leaderworkerset/vllm", "--replicas=2"), gone=2)


def signal_all(pids: list[int], number: int) -> None:
    for pid in pids:
        os.kill(pid, number)


main()
