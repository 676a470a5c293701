"""The replicas of an Argo Rollout, as examples/rollout has them, under Argo's own controller. They are scaled down and
up again, updated as a canary, restarted, and drained from a node; then updated blue-green. Each time answers are under
way at servers that cut them when they are told to stop, and none may be cut. Beside it the same without the gate."""
import json

from support import gateway, workloads
from support.case import main
from support.cluster import needs_own_cluster
from support.drain import PODS, SECONDS, SHORT, Disruptions, Fate, open_gate, slow_model
from support.examples import apply_without_gpu
from support.kube import SERVING, name_of, wait_for

REPLICAS = 3
HASH = "rollouts-pod-template-hash"
CONTAINER = "/spec/template/spec/containers/0"
# Where there is no GPU, a server that only behaves as vLLM does. Root it need not be.
STAND_IN = {"image": "ghcr.io/poolwarden/vllm-sim:0.1.0", "startupProbe": None, "resources": None, "volumeMounts": None,
            "env": [{"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]}
# The preview pods stay off the active Service until they are promoted; the old ones go soon after that.
BLUE_GREEN = {"canary": None, "blueGreen": {
    "activeService": "vllm-active", "previewService": "vllm-preview", "autoPromotionEnabled": False,
    "scaleDownDelaySeconds": 5}}
# Of Argo's `kubectl argo rollouts promote`.
PROMOTE = {"status": {"pauseConditions": None}}


def patches(**spec: object) -> tuple[dict, ...]:
    """slow_model() on the stand-in, for a Rollout. spec: of its spec."""
    patch = json.loads(slow_model(kind="Rollout", **spec)["patch"])
    patch["apiVersion"] = "argoproj.io/v1alpha1"
    pod = patch["spec"]["template"]["spec"]
    container, = pod.pop("containers")
    del container["name"]
    pod["securityContext"] = {"runAsNonRoot": True}
    return ({"patch": json.dumps(patch)},
            {"target": {"kind": "Rollout", "name": "vllm"},
             "patch": json.dumps(workloads.operations(CONTAINER, {**STAND_IN, **container}))})


@needs_own_cluster("brings definitions and an image of others, and drains a node")
class Rollout(Disruptions):
    seconds = SHORT

    @classmethod
    def setUpClass(cls) -> None:
        cls.addClassCleanup(workloads.remove, "rollouts")
        workloads.provide("rollouts")

    def setUp(self) -> None:
        super().setUp()
        self.namespaces.append("argo-rollouts")  # what is kept of a failure has Argo's log

    def deploy(self, **spec: object) -> str:
        """Returns the gateway's address."""
        self.addCleanup(self.delete_all)
        gateway.deploy(self.kube, REPLICAS, patches(**spec), example="rollout")
        wait_for(lambda: self.rollout()["status"]["phase"] == "Healthy", "the Rollout to be healthy", 60)
        self.note(self.kube.run("get", "rollouts,pwp").out)
        return self.enterContext(gateway.reach_pod(self.kube)).url

    def delete_all(self) -> None:
        """Else it makes its ReplicaSets anew, as often as they are deleted."""
        self.kube.run("delete", "rollouts", "--all", "--timeout=60s", timeout=70)

    def rollout(self) -> dict:
        return self.kube.get("rollout", "vllm")

    def change(self, value: str) -> None:
        """Another version of it."""
        self.kube.patch("rollout", "vllm", [{"op": "add", "path": f"{CONTAINER}/env/-",
                                             "value": {"name": "CHANGED", "value": value}}])

    def wait_paused(self, reason: str) -> None:
        wait_for(lambda: [each["reason"] for each in self.rollout()["status"].get("pauseConditions", [])] == [reason],
                 f"the Rollout to pause: {reason}", SECONDS + 60)

    def promote(self) -> None:
        self.kube.patch("rollout", "vllm", PROMOTE, "--subresource=status")

    def wait_complete(self) -> None:
        def look() -> bool:
            status = self.rollout()["status"]
            if status["phase"] != "Healthy" or status["stableRS"] != status["currentPodHash"]:
                raise AssertionError(f"{status}")
            return True
        wait_for(look, "the Rollout to be done", 120)
        self.kube.wait_endpoints(REPLICAS)

    def versions(self) -> dict[str, list[str]]:
        """The names of the pods that are not on their way out, by the hash of their template."""
        found: dict[str, list[str]] = {}
        for pod in self.kube.list("pods", PODS):
            if "deletionTimestamp" not in pod["metadata"]:
                found.setdefault(pod["metadata"]["labels"][HASH], []).append(name_of(pod))
        return {key: sorted(names) for key, names in found.items()}

    def test_scale(self) -> None:
        url = self.deploy()
        self.disrupt(url, "kubectl scale rollout/vllm --replicas=1", self.ask_for_one, gone=2, least=1, at_once=True)
        self.assertEqual(1, self.kube.pool()["spec"]["replicas"], "the pool follows")
        self.step("kubectl scale pwp/vllm --replicas=3")
        kept = self.uids()
        self.scale_back(REPLICAS, "pwp/vllm")
        self.assertEqual(REPLICAS, self.rollout()["spec"]["replicas"], "the Rollout follows")
        self.assertEqual(kept, kept & self.uids(), "the one that stayed is the same pod")
        self.disrupt(url, "kubectl scale pwp/vllm --replicas=1",
                     lambda: self.kube.run("scale", "pwp/vllm", "--replicas=1"), gone=2, least=1, at_once=True)

    def ask_for_one(self) -> None:
        self.kube.run("scale", "rollout/vllm", "--replicas=1")
        draining = wait_for(lambda: self.kube.list("pods", f"{PODS},{SERVING}=draining"), "pods to drain", 30)
        said = self.poolwarden("why", f"pod/{name_of(draining[0])}")
        self.assertRegex(said, r"is draining .*\(ScaleDown\)")
        self.assertRegex(said, r"(?m)^ReplicaSet +vllm-\w+ wants 1 of the 3 pods")

    def test_canary_and_restart(self) -> None:
        url = self.deploy()
        before = self.uids()
        self.disrupt(url, "an update as a canary, promoted after its first step", self.update, gone=REPLICAS,
                     seconds=REPLICAS * (self.seconds + 60), least=REPLICAS)
        self.wait_complete()
        self.assertEqual(set(), before & self.uids(), "all were replaced")
        self.restart(url)

    def update(self) -> None:
        self.change("canary")
        self.wait_paused("CanaryPauseStep")
        versions = self.versions()
        self.note(f"at the pause: {versions}")
        self.assertEqual([1, 2], sorted(map(len, versions.values())), "one of three is new")
        self.promote()

    def restart(self, url: str) -> None:
        """As `kubectl argo rollouts restart` does it: Argo's controller evicts older pods by itself, with no surge. When it
        is refused, it asks again after 30 s."""
        self.seconds, self.asked_again = min(SECONDS, 10), 30
        before = self.uids()
        now = self.kube.run("create", "configmap", "now", "-o", "jsonpath={.metadata.creationTimestamp}").out
        self.disrupt(url, f"restartAt: {now}",
                     lambda: self.kube.patch("rollout", "vllm", {"spec": {"restartAt": now}}), gone=REPLICAS,
                     seconds=REPLICAS * (self.seconds + self.asked_again + 60), least=REPLICAS - 1)
        self.wait_complete()
        self.assertEqual(set(), before & self.uids(), "all were replaced")

    def test_node(self) -> None:
        self.deploy()
        self.drain_a_node(gateway.reach_pod, "gateway")
        self.kube.wait_endpoints(REPLICAS)

    def test_blue_green(self) -> None:
        self.kube.apply([{"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": {
            "selector": {"app": "vllm"}, "ports": [{"port": 8000}]}} for name in ("vllm-active", "vllm-preview")])
        url = self.deploy(strategy=BLUE_GREEN)
        old, = self.versions().values()
        self.assertEqual(old, self.kube.endpoints(), "the published list")
        gone = self.disrupt(url, "a blue-green update, promoted while all of its preview pods are ready",
                            lambda: self.update_blue_green(old), gone=REPLICAS, least=REPLICAS, at_once=True)
        self.assertEqual(old, sorted(fate.name for fate in gone.values()))
        self.assert_withdrawn_first(gone)
        self.wait_complete()
        self.disrupt(url, "kubectl scale rollout/vllm --replicas=2, blue-green",
                     lambda: self.kube.run("scale", "rollout/vllm", "--replicas=2"), gone=1, least=2)

    def update_blue_green(self, old: list[str]) -> None:
        self.change("blue-green")
        self.wait_paused("BlueGreenPause")
        self.kube.wait_ready(PODS, 2 * REPLICAS)
        new = sorted({name for names in self.versions().values() for name in names} - set(old))
        self.assertEqual(old, self.kube.endpoints(), "the list has none of the preview pods")
        self.promote()
        wait_for(lambda: self.kube.endpoints() == new, "the list to have the new pods and no other", 30)

    def assert_withdrawn_first(self, gone: dict[str, Fate]) -> None:
        """All of them at the promotion, and not one after the other."""
        withdrawn = [fate.withdrawn or 0 for fate in gone.values()]
        self.assertLess(max(withdrawn) - min(withdrawn), 5, "withdrawn at once")

    def test_example_as_it_stands(self) -> None:
        self.addCleanup(self.delete_all)
        apply_without_gpu(self, "rollout")

    def test_scale_without_the_gate(self) -> None:
        url = self.deploy()
        with open_gate():
            self.cut(url, "without the gate: kubectl scale rollout/vllm --replicas=1",
                     lambda: self.kube.run("scale", "rollout/vllm", "--replicas=1"), gone=2)


main()
