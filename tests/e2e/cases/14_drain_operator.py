"""Drains whose operator has a bad day, and drains that are asked for with bad input. Killed in the middle of one and back
20 seconds later, it carries on, and no answer is cut. Gone for good, everything goes on serving, an alert fires, and
deleting the gate's binding lets Kubernetes finish. And: a label that a person wrote, a pool of no replicas, a gate that
somebody edited, so that it holds nothing or so that it still holds, no time to drain at all, and a pod that is never idle."""
import re
import time

from support import gateway, operator
from support.case import main
from support.cluster import needs_own_cluster
from support.drain import GATE, PODS, SHORT, Disruptions, Generations, fates, open_gate, put_back, slow_model
from support.kube import POOLS, SERVING, Kube, name_of, stays, wait_for
from support.load import Clients, complete
from support.prometheus import Prometheus

AWAY_SECONDS = 20
POLICY, BINDING = "validatingadmissionpolicy", "validatingadmissionpolicybinding"
COST = "controller.kubernetes.io/pod-deletion-cost"


def take_away() -> None:
    """All of it, as when their nodes lose power: nobody gets to finish anything."""
    operator.kube.run("scale", operator.DEPLOYMENT, "--replicas=0")
    operator.kube.run("delete", "pods", "-l", operator.SELECTOR, "--force", "--grace-period=0")
    operator.wait_ready(0)


@needs_own_cluster("takes the operator away from all its pools, and the gate; runs a Prometheus in the pods' network")
class DrainOperator(Disruptions):
    def deploy(self, replicas: int, **pool: object) -> str:
        gateway.deploy(self.kube, replicas, patches=(slow_model(),))
        if pool:
            self.kube.patch(POOLS, "vllm", {"spec": pool})
        return self.enterContext(gateway.reach_pod(self.kube)).url

    def scale_and_kill(self) -> None:
        self.kube.run("scale", "pwp/vllm", "--replicas=1")
        self.kube.wait_endpoints(1)
        wait_for(lambda: len(self.kube.list("pods", f"{PODS},{SERVING}=draining")) == 2, "two that drain", 30)
        self.step(f"both drain; kill the operator, for {AWAY_SECONDS} s")
        self.addCleanup(operator.start)
        take_away()
        time.sleep(AWAY_SECONDS)
        self.step("the operator is back")
        operator.start()
        self.operator_back = time.monotonic()

    def test_operator_killed_in_the_middle(self) -> None:
        url = self.deploy(3)
        self.disrupt(url, "kubectl scale pwp/vllm --replicas=1", self.scale_and_kill, gone=2)
        wait_for(lambda: not self.kube.list("pods", f"{PODS},{SERVING}!=true"), "only pods that serve to be left", 60)

    def test_operator_gone_for_good(self) -> None:
        url = self.deploy(3)
        everybody = self.uids()
        with Prometheus() as prometheus, Generations(url) as load:
            self.step("no operator; kubectl scale deployment/vllm --replicas=1")
            self.addCleanup(operator.start)
            take_away()
            self.wait_busy(load)
            load.short.start()
            self.kube.run("scale", "deployment/vllm", "--replicas=1")
            stays(lambda: self.uids() == everybody, "all three pods are there", seconds=10, every=1)
            self.assertEqual(len(self.kube.endpoints()), 3, "and on the list")
            self.assertEqual(load.errors(), [], load.summary())
            alert = prometheus.wait_firing("PoolwardenGateHoldsAlone")
            self.note(f"{alert['summary']}. {alert['description']}")
            self.assertIn(f"kubectl delete validatingadmissionpolicybinding {GATE}", alert["description"])
        self.step("delete the binding, as the alert says")
        with open_gate():
            # By itself Kubernetes tries again after a time that grows; a touched pod makes it do so at once.
            # It may go on at the first, and then kubectl finds a later pod gone.
            self.kube.run("annotate", "pods", "-l", PODS, "e2e/touched=yes", check=False)
            wait_for(lambda: len(self.uids()) == 1, "Kubernetes to finish", 60)
        self.step("the operator is back, and so is the gate")
        operator.start()
        self.kube.wait_endpoints(1)
        self.kube.wait_condition("DisruptionSafe", "False", "NoPreStopSleep")

    def test_bad_input(self) -> None:
        url = self.deploy(2)
        self.labelled_by_hand()
        self.edited_gate()
        self.no_replicas(url)
        self.never_idle(url)
        self.no_time(url)

    def labelled_by_hand(self) -> None:
        before = self.uids()
        pods = [name_of(pod) for pod in self.kube.list("pods", PODS)]
        for pod, state in zip(pods, ("drained", "draining")):
            self.step(f"a person labels a pod {state}")
            self.kube.run("label", "--overwrite", "pod", pod, f"{SERVING}={state}")
            wait_for(lambda: self.kube.get("pod", pod)["metadata"]["labels"][SERVING] == "true", "the label as it was", 30)
            self.note(wait_for(lambda: self.kube.events("OverwriteUndone", pod), "an Event", 30)[0]["note"])
        self.step("a person gives a pod a deletion cost, which stays")
        self.kube.run("annotate", "pod", pods[0], f"{COST}=7")
        time.sleep(3)
        self.assertEqual(self.kube.get("pod", pods[0])["metadata"]["annotations"][COST], "7")
        self.kube.run("annotate", "pod", pods[0], f"{COST}-")
        self.assertEqual(before, self.uids(), "nobody was let go")

    def edited_gate(self) -> None:
        self.step("somebody edits the gate's policy: it is said, and nothing is drained for a delete that is not held")
        policy = Kube().get(POLICY, GATE)
        self.addCleanup(put_back, policy)
        Kube().patch(POLICY, GATE, [{"op": "replace", "path": "/spec/validations/0/expression", "value": "true"}])
        self.note(self.kube.wait_condition("DisruptionSafe", "False", "DrainGateEdited")["message"])
        wait_for(lambda: self.gate_state("edited") == 1, "the metric to say so", 30)
        put_back(policy)
        wait_for(lambda: self.gate_state("present") == 1, "the metric to say that it stands again", 30)
        self.kube.wait_condition("DisruptionSafe", "False", "NoPreStopSleep")

    def test_a_gate_that_was_edited_and_still_holds(self) -> None:
        """It may look as if it held nothing, as the operator does not work out which namespaces a selector selects. What it
        holds is seen from a surplus that lasts."""
        self.seconds = SHORT
        url = self.deploy(2)
        self.step("somebody narrows the gate's binding, to namespaces that this one is among")
        self.addCleanup(Kube().patch, BINDING, GATE, {"spec": {"matchResources": None}})
        Kube().patch(BINDING, GATE, {"spec": {"matchResources": {"namespaceSelector": {"matchLabels": {"e2e": "true"}}}}})
        said = self.kube.wait_condition("DisruptionSafe", "False", "DrainGateEdited")["message"]
        self.note(said)
        self.assertIn("namespaceSelector", said)
        gone = self.disrupt(url, "with a narrowed gate: kubectl scale pwp/vllm --replicas=1",
                            lambda: self.kube.run("scale", "pwp/vllm", "--replicas=1"), gone=1)
        self.note(wait_for(lambda: self.kube.events("DrainStarted", "vllm"), "an Event DrainStarted", 30)[0]["note"])
        self.assertTrue(all(fate.withdrawn for fate in gone.values()), "by way of a drain")
        Kube().patch(BINDING, GATE, {"spec": {"matchResources": None}})
        self.kube.wait_condition("DisruptionSafe", "False", "NoPreStopSleep")

    @staticmethod
    def gate_state(state: str) -> float:
        return operator.metrics(operator.leader()).sum("poolwarden_drain_gate", state=state)

    def no_replicas(self, url: str) -> None:
        self.step("kubectl scale pwp/vllm --replicas=0 while eight answers are generated: all of them are finished")
        load = Clients(url, 8, tokens=10, streamed=True).start()
        wait_for(lambda: sum(self.in_flight().values()) == 8, "eight in flight", 60)
        load.stopping.set()
        self.kube.run("scale", "pwp/vllm", "--replicas=0")
        load.stop()
        self.assertEqual(load.errors, [], load.summary())
        wait_for(lambda: not self.kube.list("pods", PODS), "no pod", 60)
        self.kube.wait_condition("Available", "False", "ScaledToZero")
        self.kube.run("scale", "pwp/vllm", "--replicas=2")
        self.kube.wait_endpoints(2)

    def never_idle(self, url: str) -> None:
        self.step("spec.drain.timeoutSeconds: 5, and pods that are never idle")
        self.kube.patch(POOLS, "vllm", {"spec": {"drain": {"timeoutSeconds": 5}}})
        # It tells how long the drain took, in whole seconds, and the pass after its time may be a moment late.
        self.cut_by(url, "DrainTimedOut", r"after [56] s, the limit of spec\.drain\.timeoutSeconds", "in flight")

    def no_time(self, url: str) -> None:
        self.step("spec.drain.timeoutSeconds: 0: released at once")
        self.kube.run("scale", "pwp/vllm", "--replicas=2")
        self.kube.wait_endpoints(2)
        self.kube.patch(POOLS, "vllm", {"spec": {"drain": {"timeoutSeconds": 0}}})
        self.cut_by(url, "DrainStarted", "released at once, as spec.drain.timeoutSeconds is 0")

    def cut_by(self, url: str, reason: str, *words: str) -> None:
        """Scaled from two to one under endless answers: one goes all the same, and an Event says so, in words that match."""
        # The list is ahead of the gateway: what comes while that has one server only leaves the other idle.
        wait_for(lambda: len({complete(url, tokens=1).pod for _ in range(4)}) == 2, "answers from both", 60)
        with self.watch_pods() as pods:
            load = Clients(url, 4, tokens=600, streamed=True).start()
            self.addCleanup(load.abandon)
            wait_for(lambda: sum(self.in_flight().values()) == 4, "four in flight", 60)
            mark, began = pods.mark(), time.monotonic()
            self.kube.run("scale", "pwp/vllm", "--replicas=1")
            gone = wait_for(lambda: [fate for fate in fates(pods, mark).values() if fate.released],
                            "one to be let go", 60)
            self.assertEqual(1, len(gone))
            self.assertTrue(gone[0].drained, "by way of a drain")
            self.figure("let go after", gone[0].released - began, "s")
            event = wait_for(lambda: [each for each in self.kube.events(reason, "vllm") if gone[0].name in each["note"]
                                      and all(re.search(text, each["note"]) for text in words)], f"an Event {reason}", 30)
            self.note(event[0]["note"])
            load.abandon()


main()
