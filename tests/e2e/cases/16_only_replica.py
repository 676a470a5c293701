"""The only replica of a pool, on a node that is emptied: another serves before it drains, so nobody is ever without one.
Sixteen clients through HAProxy, long answers, `kubectl drain`; and `kubectl cordon` alone, which moves it as well."""
import time

from support import gateway
from support.case import main
from support.cluster import needs_own_cluster
from support.drain import PODS, SECONDS, Disruptions, slow_model
from support.kube import Kube, wait_for


class OnlyReplica(Disruptions):
    @needs_own_cluster("drains a node")
    def test_its_node_is_drained(self) -> None:
        gateway.deploy(self.kube, 1, patches=(slow_model(),))
        url = self.enterContext(gateway.reach(self.kube)).url
        self.drain_a_node(url, "gateway")
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

    def at_rest(self) -> None:
        """As many as were asked for, no more, and nothing left of what was there meanwhile."""
        wait_for(lambda: self.kube.get("deployment", "vllm")["spec"]["replicas"] == 1, "one replica again", 60)
        wait_for(lambda: "surgeReplicas" not in self.kube.pool()["status"], "no more replicas than asked for", 30)
        self.assertEqual(self.kube.pool()["spec"]["replicas"], 1)
        self.kube.wait_endpoints(1)


main()
