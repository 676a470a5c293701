"""The replicas of a StatefulSet, as examples/statefulset has them. Four are scaled down to two and up again, rolled out, and
one of them is deleted by a person, each time under answers that are cut by a server that is told to stop. The ones that go
are those that the StatefulSet controller takes, and none of their answers may be cut. Once all are made and deleted beside
each other, once in order. Beside it the same without Poolwarden's gate."""
import json

from support import gateway
from support.case import main
from support.cluster import needs_own_cluster
from support.drain import open_gate, slow_model
from support.ordinals import GONE, NAMES, Ordinals, in_turn

# Where there is neither a GPU nor a volume, a server that only behaves as vLLM does. Root it need not be.
STAND_IN = {"patch": json.dumps({"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "vllm"}, "spec": {
    "volumeClaimTemplates": None, "template": {"spec": {"securityContext": {"runAsNonRoot": True}, "containers": [{
        "name": "vllm", "image": "ghcr.io/poolwarden/vllm-sim:0.1.0", "startupProbe": None, "resources": None,
        "volumeMounts": None,
        "env": [{"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]}]}}}})}


class StatefulSet(Ordinals):
    target = "statefulset/vllm"

    def deploy(self, **spec: object) -> str:
        """Returns the gateway's address."""
        gateway.deploy(self.kube, len(NAMES), (STAND_IN, slow_model(kind="StatefulSet", **spec)), example="statefulset")
        self.assertEqual(NAMES, self.kube.endpoints(), "the published list")
        return self.enterContext(gateway.reach_pod(self.kube)).url

    def test_scale_one_pod_and_rollout(self) -> None:
        url = self.deploy()
        self.wait_four_shown()
        self.note(self.kube.run("get", "pwp").out)
        self.scale_down(url, "kubectl scale statefulset/vllm --replicas=2")
        self.scale_up()
        self.delete_one(url)
        self.roll_out(url)

    def test_scale_in_order(self) -> None:
        url = self.deploy(podManagementPolicy="OrderedReady")
        gone = self.scale_down(url, "with OrderedReady: kubectl scale statefulset/vllm --replicas=2")
        self.assertEqual(GONE[::-1], [fate.name for fate in in_turn(gone)], "who was let go, in turn")

    @needs_own_cluster("opens the gate, for all pools")
    def test_scale_without_the_gate(self) -> None:
        url = self.deploy()
        with open_gate():
            self.cut(url, "without the gate: kubectl scale statefulset/vllm --replicas=2",
                     lambda: self.kube.run("scale", "statefulset/vllm", "--replicas=2"), gone=2)

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
        self.short_answers()
        before = self.uids()
        gone = self.disrupt(url, "kubectl rollout restart statefulset/vllm",
                            lambda: self.kube.run("rollout", "restart", "statefulset/vllm"), gone=4,
                            seconds=4 * (self.seconds + 60), least=3)
        self.assert_from_the_top(gone)
        self.kube.wait_rolled_out("statefulset/vllm")
        self.kube.wait_endpoints(len(NAMES))
        self.assertEqual(set(), before & self.uids(), "all were replaced")


main()
