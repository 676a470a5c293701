"""The only replica of a pool, on a node that is emptied: another serves before it drains, so nobody is ever without one.
Sixteen clients through HAProxy, long answers, `kubectl drain`; and `kubectl cordon` alone, which moves it as well. And
the same for two replicas, where the pool says so: `kubectl drain`, and a taint that node autoscalers announce themselves
with."""
import collections
import contextlib
import time
from typing import Callable, Iterator

from support import gateway
from support.case import main
from support.cluster import needs_own_cluster
from support.drain import PODS, SECONDS, SHORT, Disruptions, slow_model
from support.kube import POOLS, Kube, wait_for
from support.watch import Watch

# Karpenter's, one of those that drain a node's pods by default.
TAINT = "karpenter.sh/disrupted:NoSchedule"


class OnlyReplica(Disruptions):
    @needs_own_cluster("drains a node")
    def test_its_node_is_drained(self) -> None:
        gateway.deploy(self.kube, 1, patches=(slow_model(),))
        self.drain_a_node(gateway.reach_pod, "gateway")
        self.at_rest()

    @needs_own_cluster("cordons a node")
    def test_its_node_is_cordoned(self) -> None:
        gateway.deploy(self.kube, 1, patches=(slow_model(),))
        pod = self.kube.ready_pods(PODS)[0]
        node = pod["spec"]["nodeName"]
        self.addCleanup(Kube().run, "uncordon", node)
        began = time.monotonic()
        Kube().run("cordon", node)
        wait_for(lambda: pod["metadata"]["uid"] not in {uid for uid, _ in self.identities()},
                 "its ReplicaSet to take it, with nobody to evict it", SECONDS + 60)
        self.figure("kubectl cordon, idle: moved after", time.monotonic() - began, "s")
        self.at_rest()

    @needs_own_cluster("drains a node, and taints one")
    def test_two_that_are_replaced_first(self) -> None:
        self.seconds = SHORT
        gateway.deploy(self.kube, 2, patches=(slow_model(),))
        self.kube.patch(POOLS, "vllm", {"spec": {"disruption": {"replaceFirst": True}}})
        with self.surges() as surges:
            self.drain_a_node(gateway.reach_pod, "gateway", least=2)
            self.assertEqual({1}, set(surges()), "status.surgeReplicas while a node is drained")
        self.at_rest(2)
        nodes = collections.Counter(pod["spec"]["nodeName"] for pod in self.kube.list("pods", PODS))
        node, count = nodes.most_common(1)[0]
        with self.surges() as surges, gateway.reach_pod(self.kube) as address:
            # Nobody evicts them: their ReplicaSet takes them.
            self.disrupt(address.url, f"kubectl taint node {node} {TAINT}, with {count} of the replicas",
                         lambda: self.taint(node), count, count * (SHORT + 60), least=2)
            self.assertEqual({1}, set(surges()), "status.surgeReplicas while a node is tainted")
        self.assertNotIn(node, [pod["spec"]["nodeName"] for pod in self.kube.ready_pods(PODS)])
        Kube().run("taint", "node", node, f"{TAINT}-")
        self.at_rest(2)

    def taint(self, node: str) -> None:
        self.addCleanup(Kube().run, "taint", "node", node, f"{TAINT}-", check=False)
        Kube().run("taint", "node", node, TAINT)

    @contextlib.contextmanager
    def surges(self) -> Iterator[Callable[[], list[int]]]:
        """What the pool's status said of more replicas than asked for, from here on, where it said anything."""
        with Watch(f"/apis/poolwarden.io/v1alpha1/namespaces/{self.namespace}/inferencepools") as pools:
            yield lambda: [event.object["status"]["surgeReplicas"] for event in list(pools.events)
                           if "surgeReplicas" in event.object.get("status", {})]

    def at_rest(self, replicas: int = 1) -> None:
        """As many as were asked for, no more, and nothing left of what was there meanwhile."""
        wait_for(lambda: self.kube.get("deployment", "vllm")["spec"]["replicas"] == replicas, f"{replicas} again", 60)
        wait_for(lambda: "surgeReplicas" not in self.kube.pool()["status"], "no more replicas than asked for", 30)
        self.assertEqual(self.kube.pool()["spec"]["replicas"], replicas)
        self.kube.wait_endpoints(replicas)
        wait_for(lambda: len(self.kube.list("pods", PODS)) == replicas, "none on its way out", 60)


main()
