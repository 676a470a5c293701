"""The operator's own bad days: its leader deleted, its leader killed, all of it restarted, the API server gone for a
minute, history compacted while nobody watched, its permissions taken away. Through each of them clients go on
through the gateway without an error, the published list never says anything wrong, and afterwards a pod that goes is
withdrawn as ever. How long each took is printed."""
import base64
import os
import time

from support import cluster, gateway, operator, processes
from support.case import Case, main
from support.kube import Kube, condition, endpoints_of, name_of, wait_for
from support.load import Clients
from support.watch import Watch

PODS = "app=vllm"
AWAY_SECONDS = int(os.environ.get("E2E_AWAY_SECONDS", "60"))
BINDING = "poolwarden"


class OperatorFaults(Case):
    """Three replicas behind the gateway, clients, and a watch of the list that remembers every state it was in."""

    def setUp(self) -> None:
        super().setUp()
        operator.wait_ready()
        gateway.deploy(self.kube, replicas=3, patches=(gateway.PATIENT,))
        lists = Watch(f"/api/v1/namespaces/{self.namespace}/configmaps", "poolwarden.io/pool=vllm")
        self.lists = self.enterContext(lists)
        address = self.enterContext(gateway.reach_pod(self.kube))
        self.clients = Clients(address.url, 6, tokens=20, streamed=True).start()
        self.addCleanup(self.clients.stop)
        self.all_three = set(self.kube.endpoints())
        self.mark = self.lists.mark()

    def published(self) -> list[set[str]]:
        """Each list there was since the last mark."""
        return [set(endpoints_of(event.object)) for event in self.lists.events[self.mark:]
                if event.kind in ("ADDED", "MODIFIED")]

    def list_stayed(self) -> None:
        """While no replica changes there is only one right list."""
        self.assertEqual([each for each in self.published() if each != self.all_three], [])

    def delete_and_measure(self, what: str, since: float | None = None) -> None:
        """A replica goes: until it is off the list. since: count from there instead of from the delete."""
        victim = sorted(self.all_three)[0]
        began = since or time.monotonic()
        self.kube.run("delete", "pod", victim, "--wait=false")
        wait_for(lambda: victim not in self.kube.endpoints(), f"{victim} off the list", 90, every=0.05)
        self.figure(what, time.monotonic() - began, "s")
        self.whole_again(victim)

    def whole_again(self, *gone: str) -> None:
        # A kubelet or scheduler whose API server was away asks it again after up to a minute (client-go's reflector).
        wait_for(lambda: len(self.kube.endpoints()) == 3 and not set(gone) & set(self.kube.endpoints()),
                 f"three endpoints without {', '.join(gone)}", 180)
        for names in self.published():
            self.assertLessEqual(self.all_three - names, set(gone), "a replica that served was off the list")
        wait_for(lambda: condition(self.kube.pool(), "Degraded")["status"] == "False", "the pool to be well", 60)

    def finish(self) -> None:
        self.clients.stop()
        self.step(self.clients.summary())
        self.assertEqual(self.clients.errors, [])
        self.assertGreater(len(self.clients.answers), 0)
        operator.wait_ready()

    def another_leads(self, before: str, seconds: float) -> None:
        began = time.monotonic()
        wait_for(lambda: operator.holder() not in ("", before), f"another than {before} to lead", seconds, every=0.1)
        self.figure("until another leads", time.monotonic() - began, "s")

    def somebody_leads(self, renewed: str, seconds: float) -> None:
        began = time.monotonic()
        wait_for(lambda: operator.renewed() != renewed, "the Lease to be renewed", seconds, every=0.1)
        self.figure("until one leads again", time.monotonic() - began, "s")

    def test_leader_deleted(self) -> None:
        leader = operator.leader()
        before = operator.holder()
        self.step(f"delete the leader, {name_of(leader)}")
        operator.kube.run("delete", "pod", name_of(leader), "--wait=false")
        self.another_leads(before, 60)
        self.list_stayed()
        self.delete_and_measure("a replica deleted then, off the list after")
        self.finish()

    @cluster.needs_own_cluster("kills a process of a container")
    def test_leader_killed(self) -> None:
        leader = operator.leader()
        self.step(f"kill -9 the leader, {name_of(leader)}: its container starts again and takes its Lease back")
        renewed = operator.renewed()
        processes.kill(leader, "poolwarden")
        self.somebody_leads(renewed, 60)
        self.list_stayed()
        self.delete_and_measure("a replica deleted then, off the list after")
        self.finish()

    @cluster.needs_own_cluster("kills a process of a container")
    def test_replica_deleted_as_the_leader_is_killed(self) -> None:
        leader = operator.leader()
        victim = sorted(self.all_three)[0]
        self.step(f"kill -9 the leader, {name_of(leader)}, and delete a replica: the other one withdraws it")
        processes.kill(leader, "poolwarden")
        began = time.monotonic()
        self.kube.run("delete", "pod", victim, "--wait=false")
        wait_for(lambda: victim not in self.kube.endpoints(), f"{victim} off the list", 60, every=0.02)
        self.figure("off the list after", time.monotonic() - began, "s")
        self.whole_again(victim)
        self.finish()

    def test_replica_deleted_while_nobody_leads(self) -> None:
        self.step("delete all pods of the operator and one replica at once")
        victim = sorted(self.all_three)[0]
        began = time.monotonic()
        operator.kube.run("delete", "pod", *[name_of(pod) for pod in operator.pods()], "--wait=false")
        self.kube.run("delete", "pod", victim, "--wait=false")
        wait_for(lambda: victim not in self.kube.endpoints(), f"{victim} off the list", 60, every=0.05)
        self.figure("off the list after", time.monotonic() - began, "s")
        self.whole_again(victim)
        self.finish()

    def test_all_of_it_restarted(self) -> None:
        self.step("kubectl rollout restart")
        operator.kube.run("rollout", "restart", operator.DEPLOYMENT)
        operator.kube.wait_rolled_out(operator.DEPLOYMENT)
        operator.wait_ready()
        operator.leader()
        self.list_stayed()
        self.delete_and_measure("a replica deleted then, off the list after")
        self.finish()

    @cluster.needs_own_cluster("kills the API server")
    def test_api_server_away(self) -> None:
        # Killed: one that ends in order takes itself out of the Service "kubernetes", and then it is kube-proxy that
        # takes its time to put it back.
        self.step(f"kill the API server, for {AWAY_SECONDS} s; the gateway has its list, and requests go on")
        answers = len(self.clients.answers)
        self.kill_api_server()
        time.sleep(AWAY_SECONDS)
        self.assertGreater(len(self.clients.answers), answers)
        cluster.component("start", "apiserver")
        began = time.monotonic()
        cluster.wait_api_server()
        self.figure("the API server needs", time.monotonic() - began, "s")
        start("controller-manager")
        self.list_stayed()
        self.delete_and_measure("a replica deleted as it is back, off the list after")
        self.list_stayed_but_for_one()
        self.finish()

    def kill_api_server(self) -> None:
        """The controller manager is stopped, too, as where it elects a leader: it ends when it cannot renew its Lease, and
        gives every node a new term when it is back. One that goes on would mark all nodes, and all their pods, not ready
        at once, where the API server needs longer than nodes may be silent."""
        self.addCleanup(start, "controller-manager")  # after the API server
        cluster.component("stop", "controller-manager")
        self.addCleanup(start_api_server)
        cluster.component("kill", "apiserver")

    def list_stayed_but_for_one(self) -> None:
        fewest = min((len(names) for names in self.published()), default=3)
        self.assertGreaterEqual(fewest, 2, "more than the one deleted replica was off the list")

    @cluster.needs_own_cluster("compacts etcd")
    def test_history_compacted_while_nobody_watched(self) -> None:
        """A DELETE that no watch will ever tell of: the pod is taken out of etcd while the API server is down, and the
        history of it with it. Whoever resumes is told 410 and has to list."""
        victim = sorted(self.all_three)[0]
        expired = self.expired()
        self.step("kill the API server, take a pod out of etcd, compact, start it again")
        self.kill_api_server()
        key = base64.b64encode(f"/registry/pods/{self.namespace}/{victim}".encode()).decode()
        self.assertEqual(cluster.etcd("/v3/kv/deleterange", {"key": key}).get("deleted"), "1")
        cluster.compact_etcd()
        cluster.component("start", "apiserver")
        began = time.monotonic()
        cluster.wait_api_server()
        start("controller-manager")
        wait_for(lambda: victim not in self.kube.endpoints(), f"{victim} off the list", 90, every=0.05)
        self.figure("off the list, from the start of the API server,", time.monotonic() - began, "s")
        wait_for(lambda: any(count > expired.get(pod, 0) for pod, count in self.expired().items()), "a 410 to be counted", 60)
        self.whole_again(victim)
        self.clients.stop()  # its container was killed with it: what it was answering is lost to anybody
        self.step(self.clients.summary())
        operator.wait_ready()

    def expired(self) -> dict[str, float]:
        """How often each pod of the operator was told 410. One that has just started anew may not answer yet."""
        counts = {}
        for pod in operator.pods():
            try:
                counts[name_of(pod)] = operator.metrics(pod).sum("poolwarden_watch_restarts_total", reason="expired")
            except OSError:
                continue
        return counts

    def test_permissions_taken_and_given_back(self) -> None:
        binding = Kube().get("clusterrolebinding", BINDING)
        restore = {key: binding[key] for key in ("apiVersion", "kind", "roleRef", "subjects")}
        restore["metadata"] = {"name": BINDING, "labels": binding["metadata"].get("labels", {})}
        restarts = self.restarts()
        self.step("delete the ClusterRoleBinding")
        Kube().delete("clusterrolebinding", BINDING)
        self.addCleanup(Kube().apply, restore)
        victim = sorted(self.all_three)[0]
        wait_for(self.may_not_patch, "the permission to be gone", 30)
        self.kube.run("delete", "pod", victim, "--wait=false")
        time.sleep(15)
        self.list_stayed()
        self.assertEqual(self.restarts(), restarts, "it does not crash for want of permissions")
        self.step("give it back")
        began = time.monotonic()
        Kube().apply(restore)
        wait_for(lambda: victim not in self.kube.endpoints(), f"{victim} off the list", 90, every=0.05)
        self.figure("off the list, from the permission,", time.monotonic() - began, "s")
        self.whole_again(victim)
        self.finish()

    def may_not_patch(self) -> bool:
        asked = self.kube.run("auth", "can-i", "patch", "configmaps", f"--as={operator.SERVICE_ACCOUNT}", check=False)
        return asked.out.strip() == "no"

    def restarts(self) -> int:
        return sum(status["restartCount"] for pod in operator.pods() for status in pod["status"]["containerStatuses"])


def start(component: str) -> None:
    """However the test ended: other cases follow."""
    try:
        cluster.component("pid", component)
    except AssertionError:
        cluster.component("start", component)


def start_api_server() -> None:
    start("apiserver")
    cluster.wait_api_server()


main()
