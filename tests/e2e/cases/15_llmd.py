"""The same behind llm-d's own stack: Envoy and the endpoint picker, both unmodified, know nothing of Poolwarden; only the
picker's InferencePool selects the pods that serve. Sixteen clients, answers that take 40 seconds, servers that cut them
when they are told to stop. First as the guide has it, without Poolwarden; then with the five lines of examples/llm-d:
scaled, rolled out, and with a node drained, no answer is cut, and no replica was restarted for the change."""
import os

from support import llmd
from support.case import main
from support.cluster import needs_own_cluster
from support.drain import AT_ONCE, PODS, SECONDS, SHORT, Disruptions, slow_model
from support.kube import ROOT, SERVING, name_of, wait_for

POOL = os.path.join(ROOT, "examples", "llm-d", "pool.yaml")


@needs_own_cluster("brings definitions and images of others, and drains a node")
class Llmd(Disruptions):
    @classmethod
    def setUpClass(cls) -> None:
        cls.addClassCleanup(llmd.remove, llmd.provide())

    def scale(self, replicas: int) -> None:
        self.kube.run("scale", "deployment/vllm", f"--replicas={replicas}")

    def restart(self) -> None:
        self.kube.run("rollout", "restart", "deployment/vllm")

    def add_the_five_lines(self) -> None:
        self.step("the five lines: a pool, and the label that the picker's pool selects")
        before = self.identities()
        self.kube.run("apply", "-f", POOL)
        self.kube.wait_endpoints(3)
        wait_for(lambda: len(self.kube.list("pods", f"{PODS},{SERVING}=true")) == 3, "the label on all three", 30)
        llmd.select(self.kube, SERVING, [name_of(pod) for pod in self.kube.list("pods", PODS)])
        self.assertEqual(before, self.identities(), "no replica was restarted")

    def whole_again(self) -> None:
        self.scale(3)
        self.kube.wait_rolled_out("deployment/vllm")
        wait_for(lambda: len(self.kube.list("pods", PODS)) == 3, "three pods, none on its way out", 60)

    def test_behind_envoy(self) -> None:
        llmd.deploy(self.kube, 3, (slow_model(**AT_ONCE),))
        url = self.enterContext(llmd.reach(self.kube)).url
        self.cut(url, "kubectl scale, as the guide has it", lambda: self.scale(1), gone=2)
        self.whole_again()
        self.cut(url, "kubectl rollout restart, as the guide has it", self.restart, gone=3)
        self.whole_again()
        self.drain_a_node(llmd.reach, "inference-gateway", lambda there, node, act, count: self.cut(
            there, f"kubectl drain {node}, as the guide has it", act, count))
        self.whole_again()
        url = self.enterContext(llmd.reach(self.kube)).url  # it has moved
        self.add_the_five_lines()
        self.disrupt(url, "kubectl scale deployment/vllm --replicas=1", lambda: self.scale(1), gone=2)
        self.scale_back(3)
        self.disrupt(url, "kubectl rollout restart", self.restart, gone=3, seconds=3 * SECONDS + 60)
        self.kube.wait_rolled_out("deployment/vllm")
        self.kube.wait_endpoints(3)
        self.seconds = SHORT
        self.drain_a_node(llmd.reach, "inference-gateway")


main()
