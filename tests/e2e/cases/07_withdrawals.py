"""Each way in which a replica stops being one, on real objects: it leaves the published list at the speed of the event
that says so, with the reason that a person needs, in the pool's status or, once the pod is gone, in an Event."""
import json
import os
import signal
import time
from typing import Callable

from support import cluster, processes
from support.case import Case, main
from support.hollow import POOL, HollowNode, now
from support.kube import ROOT, SERVING, Kube, condition, endpoints_of, name_of, wait_for
from support.watch import Event, Watch

EXAMPLE = os.path.join(ROOT, "examples", "vllm-sim")
PODS = "app=vllm"
# From the event's line being read here to the list's: both come through the same API server. A busy machine is slow.
AT_ONCE = 2.0
HOLLOW_ADDRESS = "198.51.100.7"


def terminating(pod: dict) -> bool:
    return "deletionTimestamp" in pod["metadata"]


def not_ready(pod: dict) -> bool:
    return condition(pod, "Ready")["status"] != "True"


class Withdrawals(Case):
    def setUp(self) -> None:
        super().setUp()
        self.pods = self.follow("pods")
        self.lists = self.follow("configmaps")

    def follow(self, resource: str) -> Watch:
        watch = Watch(f"/api/v1/namespaces/{self.namespace}/{resource}")
        watch.__enter__()
        self.addCleanup(watch.__exit__)
        return watch

    def deploy(self, replicas: int, linger: int = 0) -> None:
        """linger: as many seconds are to pass before a deleted pod is gone, and with it what status says of it."""
        self.kube.run("apply", "-f", os.path.join(EXAMPLE, "deployment.yaml"), "-f", os.path.join(EXAMPLE, "pool.yaml"))
        if linger:
            sleep = "/spec/template/spec/containers/0/lifecycle/preStop/sleep/seconds"
            self.kube.patch("deployment", "vllm", [{"op": "replace", "path": sleep, "value": linger}])
            self.kube.wait_rolled_out("deployment/vllm")
        self.kube.run("scale", "pwp/vllm", f"--replicas={replicas}")
        self.kube.wait_endpoints(replicas)

    def one(self) -> dict:
        return self.kube.ready_pods(PODS)[0]

    def withdrawn(self, victim: str, act: Callable[[], object], cause: Callable[[dict], bool], *reasons: str,
                  pool: str = "vllm", seconds: float = 30) -> None:
        """act() makes cause() true of the pod; its DELETED event counts too."""
        pods, lists, told = self.pods.mark(), self.lists.mark(), self.told(pool)
        act()
        said = self.pods.wait(
            lambda event: name_of(event.object) == victim and (event.kind == "DELETED" or cause(event.object)),
            f"the event of {victim}", seconds, after=pods)

        def without(event: Event) -> bool:
            return name_of(event.object) == f"{pool}-endpoints" and victim not in endpoints_of(event.object)
        off = self.lists.wait(without, f"{victim} off the list", 20, after=lists)
        latency = off.at - said.at
        self.figure(f"{victim} off the list, from its event", latency * 1000, "ms")
        self.assertLess(latency, AT_ONCE)
        self.assertIn(self.reason(victim, pool, told), reasons)

    def told(self, pool: str) -> set[str]:
        """The names of the Events Withdrawn so far: they are written after the list, so that a new one is waited for."""
        return {name_of(event) for event in self.kube.events("Withdrawn", pool)}

    def reason(self, victim: str, pool: str, told: set[str]) -> str:
        """As the Event on the pool says it, which is not one of those told: "... left the list of endpoints: REASON, ..."."""
        def look() -> list[dict]:
            return [event for event in self.kube.events("Withdrawn", pool)
                    if event["note"].startswith(victim + " ") and name_of(event) not in told]
        note = wait_for(look, f"an Event Withdrawn on the pool about {victim}", 30)[0]["note"]
        self.note(note)
        return note.split("endpoints: ", 1)[1].split(",")[0].split(" ")[0]

    def told_in_status(self, victim: str, reason: str, pool: str = "vllm", state: str = "withdrawn") -> None:
        def look() -> bool:
            entries = [each for each in self.kube.pool(pool)["status"]["endpoints"] if each["pod"] == victim]
            if [(each["state"], each.get("reason")) for each in entries] != [(state, reason)]:
                raise AssertionError(f"status says {entries}")
            return True
        wait_for(look, f"{victim} {state} with reason {reason} in the pool's status", 20)

    def replaced(self, victim: str, count: int = 2) -> None:
        wait_for(lambda: victim not in self.kube.endpoints() and len(self.kube.endpoints()) == count,
                 f"{count} endpoints without {victim}", 90)

    def back(self, victim: str) -> None:
        wait_for(lambda: victim in self.kube.endpoints(), f"{victim} on the list again", 60)
        wait_for(lambda: self.kube.events("Readmitted", victim), f"an Event Readmitted on {victim}", 20)

    @cluster.needs_own_cluster("signals processes of containers")
    def test_its_container(self) -> None:
        self.deploy(2)
        victim = self.one()
        self.step("the container crashes")
        self.withdrawn(name_of(victim), lambda: processes.kill(victim, "vllm-sim"), not_ready, "NotReady")
        self.back(name_of(victim))
        self.step("it hangs: its readiness probe fails")
        server = processes.of_pod(victim, "vllm-sim")[0]
        self.addCleanup(resume, server)
        self.withdrawn(name_of(victim), lambda: os.kill(server, signal.SIGSTOP), not_ready, "NotReady")
        # For all that is known it may still answer: its engine says nothing.
        self.told_in_status(name_of(victim), "NotReady", state="finishing")
        wait_for(lambda: self.kube.get("pod", name_of(victim))["metadata"]["labels"][SERVING] == "finishing",
                 "the label, which is written beside the status", 20)
        resume(server)  # on a busy machine its liveness probe may have had it killed by now
        self.back(name_of(victim))

    def test_its_deletion(self) -> None:
        self.deploy(2, linger=60)
        victim = name_of(self.one())
        self.step("evicted through the Eviction API, which the pool does not hold")
        self.kube.patch("pwp", "vllm", {"spec": {"disruption": {"holdEvictions": False}}})
        self.withdrawn(victim, lambda: wait_for(lambda: self.evict(victim), "it to be evicted", 30), lambda pod: terminating(pod) or disrupted(pod),
                       "DisruptionTarget", "Terminating")
        self.told_in_status(victim, "Terminating")
        self.replaced(victim)
        victim = name_of(self.one())
        self.step("kubectl delete pod --force --grace-period=0")
        self.withdrawn(victim, lambda: self.kube.run("delete", "pod", victim, "--force", "--grace-period=0"),
                       terminating, "Deleted", "Terminating")
        self.replaced(victim)
        victim = name_of(self.one())
        self.step("kubectl label pod app=other: out of the Deployment and of the pool")
        self.withdrawn(victim, lambda: self.kube.run("label", "pod", victim, "app=other", "--overwrite"),
                       lambda pod: pod["metadata"]["labels"]["app"] == "other", "Relabelled")
        wait_for(lambda: SERVING not in self.kube.get("pod", victim)["metadata"]["labels"], "our label off it", 20)
        self.replaced(victim)

    def evict(self, pod: str) -> bool:
        done = self.kube.run("create", "--raw", f"/api/v1/namespaces/{self.namespace}/pods/{pod}/eviction", "-f", "-",
                             stdin=json.dumps({"apiVersion": "policy/v1", "kind": "Eviction",
                                               "metadata": {"name": pod, "namespace": self.namespace}}), check=False)
        return done.code == 0

    def test_kubectl_drain(self) -> None:
        self.deploy(2)
        pod = self.one()
        victim, node = name_of(pod), pod["spec"]["nodeName"]
        # Of this node, which others need too, only this one pod.
        self.kube.run("label", "pod", victim, "e2e-drain=this")
        self.step(f"kubectl drain {node}, of this pod alone")
        self.addCleanup(Kube().run, "uncordon", node)
        Kube().run("drain", node, "--pod-selector=e2e-drain=this", "--timeout=60s", timeout=70)
        for reason in ("DrainStarted", "DrainCompleted"):
            note = wait_for(lambda: self.kube.events(reason, victim), f"an Event {reason}", 20)[0]["note"]
            self.note(note)
        self.assertNotIn(victim, self.kube.endpoints(), "it left the list before it was evicted")
        Kube().run("uncordon", node)
        self.replaced(victim)

    def test_readiness_gate(self) -> None:
        self.kube.run("apply", "-f", os.path.join(EXAMPLE, "deployment.yaml"), "-f", os.path.join(EXAMPLE, "pool.yaml"))
        self.kube.patch("deployment", "vllm", {"spec": {"replicas": 1, "template": {"spec": {"readinessGates": [
            {"conditionType": "example.com/load-balancer"}]}}}})
        pod = wait_for(lambda: [each for each in self.kube.list("pods", PODS) if "readinessGates" in each["spec"]],
                       "a pod with the gate")[0]
        victim = name_of(pod)
        wait_for(lambda: condition(self.kube.get("pod", victim), "ContainersReady")["status"] == "True",
                 "its containers to be ready")
        self.step("its containers are ready, its gate is not")
        self.told_in_status(victim, "ReadinessGate")
        self.gate(victim, "True")
        wait_for(lambda: self.kube.endpoints() == [victim], f"{victim} on the list", 60)
        self.step("the gate closes")
        self.withdrawn(victim, lambda: self.gate(victim, "False"),
                       lambda pod: condition(pod, "example.com/load-balancer")["status"] == "False", "ReadinessGate")
        self.told_in_status(victim, "ReadinessGate")

    def gate(self, pod: str, status: str) -> None:
        self.kube.patch("pod", pod, {"status": {"conditions": [
            *[each for each in self.kube.get("pod", pod)["status"]["conditions"]
              if each["type"] != "example.com/load-balancer"],
            {"type": "example.com/load-balancer", "status": status, "lastTransitionTime": now()}]}},
            "--subresource=status")

    def test_its_node(self) -> None:
        self.step("a node without a kubelet, with two pods that are said to be ready")
        node = HollowNode(self)
        self.kube.create({**POOL, "metadata": {"name": "hollow"}})
        for name in ("one", "two"):
            node.make_pod(name, HOLLOW_ADDRESS)
        self.wait_both(node)
        self.step("nothing is heard of the node any more: the node controller says so after its grace period")
        # The node is marked first, and its pods after it.
        self.withdrawn("one", lambda: None, not_ready, "NodeNotReady", "NotReady", pool="hollow", seconds=120)
        wait_for(lambda: self.kube.endpoints("hollow") == [], "both off the list", 20)
        self.step("all are said to be ready again, and the node is deleted")
        node.say_ready(node.caller)
        for name in ("one", "two"):
            node.say_pod(name, HOLLOW_ADDRESS, True)
        self.wait_both(node)
        mark, told = self.lists.mark(), self.told("hollow")
        began = time.monotonic()
        Kube().delete("node", node.name)
        off = self.lists.wait(lambda event: name_of(event.object) == "hollow-endpoints" and
                              endpoints_of(event.object) == [], "both off the list", 20, after=mark)
        self.figure("both off the list, from the call of kubectl", (off.at - began) * 1000, "ms")
        self.assertIn(self.reason("one", "hollow", told), ("NodeGone", "Terminating", "Deleted"))

    def wait_both(self, node: HollowNode) -> None:
        """It goes on being heard of meanwhile."""
        def look() -> bool:
            node.say_ready(node.caller)
            return self.kube.endpoints("hollow") == ["one", "two"]
        wait_for(look, "both on the list", 30)


def disrupted(pod: dict) -> bool:
    return condition(pod, "DisruptionTarget")["status"] == "True"


def resume(process: int) -> None:
    try:
        os.kill(process, signal.SIGCONT)
    except ProcessLookupError:
        pass  # its probe had it killed


main()
