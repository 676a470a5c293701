"""The replicas of a StatefulSet, as examples/statefulset has them. Four are scaled down to two and up again, rolled out, and
one of them is deleted by a person, each time under answers that are cut by a server that is told to stop. The ones that go
are those that the StatefulSet controller takes, and none of their answers may be cut. Once all are made and deleted beside
each other, once in order. Beside it the same without Poolwarden's gate."""
import itertools
import json

from support import gateway
from support.case import main
from support.cluster import needs_own_cluster
from support.drain import PODS, SECONDS, SHORT, Disruptions, Fate, open_gate, slow_model
from support.kube import SERVING, name_of, wait_for

NAMES = ["vllm-0", "vllm-1", "vllm-2", "vllm-3"]
KEPT, GONE = NAMES[:2], NAMES[2:]
# Where there is neither a GPU nor a volume, a server that only behaves as vLLM does. Root it need not be.
STAND_IN = {"patch": json.dumps({"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "vllm"}, "spec": {
    "volumeClaimTemplates": None, "template": {"spec": {"securityContext": {"runAsNonRoot": True}, "containers": [{
        "name": "vllm", "image": "ghcr.io/poolwarden/vllm-sim:0.1.0", "startupProbe": None, "resources": None,
        "volumeMounts": None,
        "env": [{"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]}]}}}})}


class StatefulSet(Disruptions):
    seconds = SHORT

    def deploy(self, **spec: object) -> str:
        """Returns the gateway's address."""
        gateway.deploy(self.kube, len(NAMES), (STAND_IN, slow_model(kind="StatefulSet", **spec)), example="statefulset")
        self.assertEqual(NAMES, self.kube.endpoints(), "the published list")
        return self.enterContext(gateway.reach_pod(self.kube)).url

    def test_scale_one_pod_and_rollout(self) -> None:
        url = self.deploy()
        shown = ["vllm", "4", "4", "4"]
        wait_for(lambda: self.kube.run("get", "pwp", "--no-headers").out.split()[:4] == shown, "kubectl to show four", 30)
        self.note(self.kube.run("get", "pwp").out)
        self.scale_down(url, "kubectl scale statefulset/vllm --replicas=2")
        self.scale_up()
        self.delete_one(url)
        self.roll_out(url)

    def test_scale_in_order(self) -> None:
        url = self.deploy(podManagementPolicy="OrderedReady")
        turns = self.scale_down(url, "with OrderedReady: kubectl scale statefulset/vllm --replicas=2")
        self.assertEqual(GONE[::-1], [fate.name for fate in turns], "who was let go, in turn")

    @needs_own_cluster("opens the gate, for all pools")
    def test_scale_without_the_gate(self) -> None:
        url = self.deploy()
        with open_gate():
            self.cut(url, "without the gate: kubectl scale statefulset/vllm --replicas=2",
                     lambda: self.kube.run("scale", "statefulset/vllm", "--replicas=2"), gone=2)

    def scale_down(self, url: str, what: str) -> list[Fate]:
        """Those that went, in turn."""
        before = self.named()
        gone = self.disrupt(url, what, self.ask_for_two, gone=2, least=2, at_once=True)
        self.assertEqual(GONE, sorted(fate.name for fate in gone.values()))
        self.assertEqual(KEPT, self.kube.endpoints(), "the published list")
        self.assertEqual({name: before[name] for name in KEPT}, self.named(), "those that stay are the same pods")
        self.assertEqual(2, self.kube.pool()["spec"]["replicas"], "the pool follows")
        return in_turn(gone)

    def ask_for_two(self) -> None:
        self.kube.run("scale", "statefulset/vllm", "--replicas=2")
        wait_for(lambda: sorted(map(name_of, self.kube.list("pods", f"{PODS},{SERVING}=draining"))) == GONE,
                 "both to drain", 30)
        said = self.poolwarden("why", "pod/vllm-3")
        self.assertRegex(said, r"is draining .*\(ScaleDown\)")
        self.assertRegex(said, r"(?m)^StatefulSet +vllm\b")

    def scale_up(self) -> None:
        self.step("kubectl scale pwp/vllm --replicas=4")
        before = self.named()
        self.scale_back(len(NAMES), "pwp/vllm")
        self.assertEqual(len(NAMES), self.kube.get("statefulset", "vllm")["spec"]["replicas"], "the StatefulSet follows")
        self.assertEqual(NAMES, sorted(self.named()))
        self.assertEqual(before, {name: self.named()[name] for name in KEPT}, "those that stayed are the same pods")

    def delete_one(self, url: str) -> None:
        before = self.named()
        gone = self.disrupt(url, "kubectl poolwarden delete pod/vllm-1",
                            lambda: self.poolwarden("delete", "pod/vllm-1"), gone=1, least=3)
        self.assertEqual(["vllm-1"], [fate.name for fate in gone.values()])
        self.kube.wait_endpoints(len(NAMES))
        after = self.named()
        self.assertEqual(NAMES, sorted(after), "it is back under its name")
        self.assertEqual(["vllm-1"], [name for name in NAMES if before[name] != after[name]], "other pods than before")

    def roll_out(self, url: str) -> None:
        self.seconds = min(SECONDS, 10)
        before = self.uids()
        gone = self.disrupt(url, "kubectl rollout restart statefulset/vllm",
                            lambda: self.kube.run("rollout", "restart", "statefulset/vllm"), gone=4,
                            seconds=4 * (self.seconds + 60), least=3)
        turns = in_turn(gone)
        self.assertEqual(NAMES[::-1], [fate.name for fate in turns], "from the top")
        for earlier, later in itertools.pairwise(turns):
            self.assertGreater(later.withdrawn or 0, earlier.released, f"{later.name} was withdrawn too soon")
        self.kube.wait_rolled_out("statefulset/vllm")
        self.kube.wait_endpoints(len(NAMES))
        self.assertEqual(set(), before & self.uids(), "all were replaced")


def in_turn(gone: dict[str, Fate]) -> list[Fate]:
    return sorted(gone.values(), key=lambda fate: fate.released or 0)


main()
