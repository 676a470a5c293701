"""Kubelets that do not reach the API server, while everything on their nodes runs on: gateway, engines, operator. First all
of them for two and a half minutes, of which the node controller says Unknown for most, then one of two. Clients see none of
it. Of all of them at once nothing on the list is believed to be ill; the pods of one node leave the list."""
import collections
import os
import signal
import time

from support import cluster, gateway, operator
from support.case import Case, main
from support.kube import Kube, condition, endpoints_of, name_of, wait_for
from support.load import Clients
from support.watch import Watch

PODS = "app=vllm"
NODES = ("node0", "node1")
# Kubernetes' own controllers say Unknown after 50 s. They evict after 300 s, which is not what this is about.
AWAY_SECONDS = int(os.environ.get("E2E_UNSEEN_SECONDS", "150"))
SAID_AFTER = 90


def ready_of(node: str) -> str:
    return condition(Kube().get("node", node), "Ready")["status"]


class UnseenNodes(Case):
    def setUp(self) -> None:
        super().setUp()
        operator.wait_ready()
        gateway.deploy(self.kube, replicas=4, patches=(gateway.PATIENT,))
        lists = Watch(f"/api/v1/namespaces/{self.namespace}/configmaps", "poolwarden.io/pool=vllm")
        self.lists = self.enterContext(lists)
        address = self.enterContext(gateway.reach_pod(self.kube))
        self.clients = Clients(address.url, 6, tokens=20, streamed=True).start()
        self.addCleanup(self.clients.stop)
        self.all_four = set(self.kube.endpoints())
        self.mark = self.lists.mark()

    def stop_kubelet(self, node: str) -> int:
        """Stopped as by a debugger, it is as one whose network is cut: containers know nothing of it."""
        pid = int(cluster.component("pid", cluster.kubelet(node)))
        self.addCleanup(os.kill, pid, signal.SIGCONT)
        os.kill(pid, signal.SIGSTOP)
        return pid

    def shortest(self, since: float = 0) -> int:
        """Of all lists that were published."""
        return min((len(set(endpoints_of(event.object))) for event in self.lists.events[self.mark:]
                    if event.kind in ("ADDED", "MODIFIED") and event.at >= since), default=len(self.all_four))

    def degraded(self) -> str:
        found = condition(self.kube.pool(), "Degraded")
        return found["reason"] if found["status"] == "True" else ""

    def whole_again(self) -> None:
        for node in NODES:
            wait_for(lambda node=node: ready_of(node) == "True", f"{node} to be heard of again", 90)
        wait_for(lambda: set(self.kube.endpoints()) == self.all_four, "the four that were there before", 90)
        wait_for(lambda: not self.degraded(), "the pool to be well", 120)
        operator.wait_ready()

    def no_client_saw(self) -> None:
        self.clients.stop()
        self.step(self.clients.summary())
        self.assertEqual(self.clients.errors, [])
        self.assertGreater(len(self.clients.answers), 0)

    @cluster.needs_own_cluster("stops kubelets")
    def test_all_of_them(self) -> None:
        self.step("stop both kubelets")
        began = time.monotonic()
        pids = [self.stop_kubelet(node) for node in NODES]
        for node in NODES:
            wait_for(lambda node=node: ready_of(node) == "Unknown", f"{node} to be Unknown", SAID_AFTER)
        self.figure("both Unknown after", time.monotonic() - began, "s")
        wait_for(lambda: self.degraded() == "NodesUnseen", "the pool to say that nodes are unseen", 30)
        wait_for(lambda: set(self.kube.endpoints()) == self.all_four, "all four on the list", 30)
        blind = time.monotonic()
        time.sleep(max(0.0, AWAY_SECONDS - (blind - began)))
        self.figure("shortest list while all were unseen", self.shortest(blind), "endpoints")
        self.assertEqual(self.shortest(blind), 4)
        self.step("let both go on")
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
        self.whole_again()
        self.assertEqual(self.shortest(blind), 4)
        self.figure("shortest list of all", self.shortest(), "endpoints")
        self.assertGreater(self.shortest(), 0)
        self.no_client_saw()

    @cluster.needs_own_cluster("stops a kubelet")
    def test_one_of_two(self) -> None:
        by_node = collections.Counter(pod["spec"]["nodeName"] for pod in self.kube.ready_pods(PODS))
        self.assertEqual(len(by_node), 2, "replicas on both nodes")
        there = {name_of(pod) for pod in self.kube.ready_pods(PODS) if pod["spec"]["nodeName"] == "node1"}
        self.step(f"stop the kubelet of node1, with {len(there)} of the replicas")
        pid = self.stop_kubelet("node1")
        wait_for(lambda: ready_of("node1") == "Unknown", "node1 to be Unknown", SAID_AFTER)
        wait_for(lambda: set(self.kube.endpoints()) == self.all_four - there, "its replicas off the list", 30)
        self.assertEqual(self.degraded(), "")
        self.step("let it go on")
        os.kill(pid, signal.SIGCONT)
        self.whole_again()
        self.no_client_saw()


main()
