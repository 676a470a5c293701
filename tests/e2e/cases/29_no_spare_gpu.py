"""A rollout where no GPU is to spare. Each node has as many GPUs as it has replicas, so one more pod finds no room. The
Deployment has `maxSurge: 0` and `maxUnavailable: 1`, as examples/vllm has it: a new replica gets the place of an old one.
So the new pod waits for room while the old one drains, and must wait no longer than that. No answer may be cut, and never
may two be off the list at once. Beside it the same without Poolwarden's gate."""
import json
import time

from support import gateway
from support.case import main
from support.cluster import needs_own_cluster
from support.drain import SECONDS, SOON, Disruptions, Fate, open_gate, slow_model
from support.kube import Kube, condition, is_ready, name_of, wait_for
from support.watch import Event, Watch

GPU = "example.com/gpu"
PER_NODE = 2
IN_PLACE = {"strategy": {"rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}}}
ONE_GPU = {"resources": {"limits": {GPU: "1"}}}
WITH_A_GPU = {"patch": json.dumps({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "vllm"}, "spec": {
    "template": {"spec": {"containers": [{"name": "vllm", **ONE_GPU}]}}}})}
ONE_MORE = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "one-more"}, "spec": {
    "securityContext": {"runAsNonRoot": True, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
    "containers": [{"name": "one", "image": "ghcr.io/poolwarden/vllm-sim:0.1.0", **ONE_GPU, "securityContext": {
        "allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}}]}}


def finds_no_room(pod: dict) -> bool:
    return "nodeName" not in pod["spec"] and condition(pod, "PodScheduled")["reason"] == "Unschedulable"


@needs_own_cluster("says of nodes that they have GPUs, and opens the gate, for all pools")
class NoSpareGpu(Disruptions):
    seconds = min(SECONDS, 10)  # the drains come one after the other

    def setUp(self) -> None:
        super().setUp()
        nodes = [name_of(each) for each in Kube().list("nodes") if is_ready(each)]
        for node in nodes:
            self.give_gpus(node)
        self.replicas = PER_NODE * len(nodes)

    def give_gpus(self, node: str) -> None:
        count = {GPU: str(PER_NODE)}
        self.addCleanup(Kube().patch, "node", node, {"status": {"capacity": {GPU: None}, "allocatable": {GPU: None}}},
                        "--subresource=status")
        Kube().patch("node", node, {"status": {"capacity": count, "allocatable": count}}, "--subresource=status")

    def deploy(self) -> str:
        """As many as there are GPUs. Returns the gateway's address."""
        gateway.deploy(self.kube, self.replicas, patches=(slow_model(**IN_PLACE), WITH_A_GPU))
        self.one_more_finds_no_room()
        return self.enterContext(gateway.reach_pod(self.kube)).url

    def one_more_finds_no_room(self) -> None:
        """Else this shows nothing."""
        self.kube.create(ONE_MORE)
        pod = wait_for(lambda: next(filter(finds_no_room, [self.kube.get("pod", "one-more")]), None),
                       "one pod more to find no room", 30)
        self.note(f"one pod more: {condition(pod, 'PodScheduled')['message']}")
        self.kube.run("delete", "pod", "one-more", "--timeout=30s")

    def restart(self) -> None:
        self.kube.run("rollout", "restart", "deployment/vllm")

    def test_rollout(self) -> None:
        url = self.deploy()
        before = self.uids()
        with self.watch_pods() as pods:
            gone = self.disrupt(url, f"kubectl rollout restart, of {self.replicas} on as many GPUs", self.restart,
                                gone=self.replicas, seconds=self.replicas * (self.seconds + 60), least=self.replicas - 1)
            self.kube.wait_rolled_out("deployment/vllm")
            self.judge_waits(pods, gone)
        self.kube.wait_endpoints(self.replicas)
        self.assertEqual(set(), before & self.uids(), "all were replaced")

    def judge_waits(self, pods: Watch, gone: dict[str, Fate]) -> None:
        """New pods had to wait for room, one at a time, and none for longer than an old one took to drain and to end."""
        self.assertEqual(0, pods.breaks, "the watch of the pods was cut: the times are wrong")
        waits = waits_for_room(list(pods.events))
        self.assertTrue(waits, "no new pod waited for room: this shows nothing")
        drains = [(fate.released or 0) - (fate.withdrawn or 0) for fate in gone.values()]
        self.figure("an old pod drained, at most", max(drains), "s")
        self.figure("a new pod waited for room, at most", max(end - begin for begin, end in waits), "s")
        self.assertLess(max(end - begin for begin, end in waits), max(drains) + SOON, "it waited when there was room")
        for (_, earlier), (later, _) in zip(waits, waits[1:]):
            self.assertLessEqual(earlier, later, "two new pods waited for room at once")

    def test_rollout_without_the_gate(self) -> None:
        url = self.deploy()
        with open_gate():
            self.cut(url, f"without the gate: kubectl rollout restart, of {self.replicas} on as many GPUs", self.restart,
                     gone=self.replicas)


def waits_for_room(events: list[Event]) -> list[tuple[float, float]]:
    """From when the scheduler said that there was no room to when there was, of each pod, in turn. Of one that waits still
    the end is now."""
    began: dict[str, float] = {}
    ended: dict[str, float] = {}
    for event in events:
        uid = event.object["metadata"]["uid"]
        if finds_no_room(event.object):
            began.setdefault(uid, event.at)
        elif uid in began:
            ended.setdefault(uid, event.at)
    return sorted((at, ended.get(uid, time.monotonic())) for uid, at in began.items())


main()
