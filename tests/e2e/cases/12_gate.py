"""The gate on the real API server: who deletes what, in which state. Nothing is held but what the ReplicaSet and the
StatefulSet controller delete while it serves or drains; evictions are held by a budget like the one that a pool has. Labels
are written by hand and no operator runs, so what is seen here is Kubernetes and the gate alone."""
import json
import os
import time

from support import operator
from support.case import Case, main
from support.cluster import needs_own_cluster
from support.kube import ROOT, SERVING, Kube, KubectlError, condition, name_of, stays, wait_for

GATE = "poolwarden-drain-gate"
MANIFESTS = os.path.join(ROOT, "manifests", "gate")
POLICY, BINDING = "validatingadmissionpolicy", "validatingadmissionpolicybinding"
CONTROLLER = "system:serviceaccount:kube-system:"
REPLICASETS, STATEFULSETS = f"{CONTROLLER}replicaset-controller", f"{CONTROLLER}statefulset-controller"
HELD = ("true", "draining", "finishing")
STATES = (None, *HELD, "drained", "false")
LOWEST_COST = {"controller.kubernetes.io/pod-deletion-cost": "-2147483648"}

# Everybody else who deletes pods in a Kubernetes, as the API server knows them.
OTHERS = {
    "a person": "",
    "the garbage collector": f"{CONTROLLER}generic-garbage-collector",
    "a namespace that goes": f"{CONTROLLER}namespace-controller",
    "the Job controller": f"{CONTROLLER}job-controller",
    "the DaemonSet controller": f"{CONTROLLER}daemon-set-controller",
    "the collector of ended pods": f"{CONTROLLER}pod-garbage-collector",
    "the eviction from tainted nodes": f"{CONTROLLER}node-controller",
    "the scheduler that preempts": "system:kube-scheduler",
}


def pod_spec(**more: object) -> dict:
    """A stand-in server that starts at once."""
    return {
        "terminationGracePeriodSeconds": 1,
        "automountServiceAccountToken": False,
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [{"name": "vllm", "image": "ghcr.io/poolwarden/vllm-sim:0.1.0", "args": ["--port=8000"],
                        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}}],
        **more}


def pod(name: str, state: str | None, annotations: dict | None = None) -> dict:
    return {"apiVersion": "v1", "kind": "Pod", "spec": pod_spec(), "metadata": {
        "name": name, "annotations": annotations or {}, "labels": {SERVING: state} if state else {}}}


def workload(kind: str, replicas: int, **spec: object) -> dict:
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": "vllm"}, "spec": {
        "replicas": replicas, "selector": {"matchLabels": {"app": "vllm"}},
        "template": {"metadata": {"labels": {"app": "vllm"}}, "spec": pod_spec(**spec)}}}


def budget() -> dict:
    """As the operator makes it for a pool."""
    return {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "vllm-serving"}, "spec": {
        "minAvailable": 1000000, "unhealthyPodEvictionPolicy": "IfHealthyBudget",
        "selector": {"matchLabels": {"app": "vllm"},
                     "matchExpressions": [{"key": SERVING, "operator": "In", "values": list(HELD)}]}}}


@needs_own_cluster("takes the operator away from all its pools, and the gate")
class Gate(Case):
    @classmethod
    def setUpClass(cls) -> None:
        operator.take_away(cls)

    def close_gate(self) -> None:
        Kube().run("apply", "-k", MANIFESTS)
        self.wait_gate(closed=True)

    def wait_gate(self, closed: bool) -> None:
        """The API server takes a moment to hear of a policy."""
        if not self.kube.find("pod", "probe"):
            self.kube.create(pod("probe", "true"))
        wait_for(lambda: bool(self.refusal("probe", REPLICASETS)) == closed, f"the gate to be closed: {closed}", 30)

    def refusal(self, name: str, user: str) -> str:
        """What the API server says against this delete, "" if nothing. It is not carried out."""
        identity = [f"--as={user}"] if user else []
        if user.startswith("system:node:"):
            identity.append("--as-group=system:nodes")
        done = self.kube.run("delete", "pod", name, "--dry-run=server", "--wait=false", *identity, check=False)
        if done.code and "denied request" not in done.err:
            raise KubectlError(f"delete {name} as {user}: {done.err}")
        return done.err.partition("denied request: ")[2].strip() if done.code else ""

    def mark(self, name: str, state: str, **annotations: str) -> None:
        self.kube.patch("pod", name, {"metadata": {"labels": {SERVING: state}, "annotations": annotations}})

    def release(self, *names: str) -> None:
        for name in names:
            self.kube.patch("pod", name, {"metadata": {"labels": {SERVING: "drained"}, "annotations": LOWEST_COST}})

    def alive(self) -> list[str]:
        return sorted(name_of(each) for each in self.kube.list("pods", "app=vllm")
                      if "deletionTimestamp" not in each["metadata"])

    def deploy(self, replicas: int, kind: str = "Deployment") -> list[str]:
        """All of them labelled as a pool's pods that serve."""
        self.kube.apply(workload(kind, replicas))
        names = [name_of(each) for each in self.kube.wait_ready("app=vllm", replicas)]
        for name in names:
            self.mark(name, "true")
        return sorted(names)

    def refused_deletes(self) -> list[str]:
        return [event["note"] for event in self.kube.events("FailedDelete")]

    def test_who_is_refused_what(self) -> None:
        """The table: everybody who deletes pods, and each state."""
        names = {state: f"pod-{(state or 'unlabelled')}" for state in STATES}
        self.kube.create([pod(name, state) for state, name in names.items()])
        for name in names.values():
            self.kube.run("wait", "--for=condition=Ready", f"pod/{name}", "--timeout=60s", timeout=70)
        for state, name in names.items():
            its_node = self.kube.get("pod", name)["spec"]["nodeName"]
            refused = [who for who, user in {**OTHERS, "its node": f"system:node:{its_node}"}.items()
                       if self.refusal(name, user)]
            self.assertEqual([], refused, f"others are refused a pod labelled {state}")
            for user in (REPLICASETS, STATEFULSETS):
                self.assertEqual(state in HELD, bool(self.refusal(name, user)), f"{user}: labelled {state}")
        self.step(f"{len(OTHERS) + 3} who delete, {len(STATES)} states: {2 * len(HELD)} refused")
        self.step("What has ended is held for nobody: a StatefulSet makes it anew only then")
        for phase in ("Failed", "Succeeded"):
            name = f"ended-{phase.lower()}"
            self.kube.create({**pod(name, "true"), "spec": pod_spec(schedulerName="nobody")})
            self.kube.patch("pod", name, {"status": {"phase": phase}}, "--subresource=status")
            self.assertEqual("", self.refusal(name, STATEFULSETS), phase)
        self.kube.run("delete", "pods", "--all", "--dry-run=server")
        self.kube.run("delete", "--raw", f"/api/v1/namespaces/{self.namespace}/pods?dryRun=All")

    def test_what_the_refusal_says(self) -> None:
        started = {"poolwarden.io/drain-started": "2026-01-02T03:04:05Z", "poolwarden.io/drain-reason": "ScaleDown"}
        self.kube.create([pod("serves", "true"), pod("drains", "draining", started), pod("bare", "draining"),
                          pod("finishes", "finishing", started),
                          pod("hostile", "draining", {"poolwarden.io/drain-started": "a\nb" + "x" * 20000})])
        texts = {name: self.refusal(name, REPLICASETS) for name in ("serves", "drains", "bare", "finishes", "hostile")}
        for name, text in texts.items():
            self.note(f"{name}: {text}")
            self.assertIn("kubectl get pwp", text)
            self.assertIn(f"kubectl delete validatingadmissionpolicybinding {GATE}", text)
            self.assertIn("spec.drain.timeoutSeconds", text)
            self.assertLess(len(text), 1000, "an Event holds 1024")
        self.assertIn(f"-n {self.namespace}", texts["serves"])
        self.assertIn("since 2026-01-02T03:04:05Z (ScaleDown)", texts["drains"])
        self.assertIn("is not ready since 2026-01-02T03:04:05Z and may still answer", texts["finishes"])

    def test_a_scale_down_waits_for_the_ones_that_are_released(self) -> None:
        names = self.deploy(4)
        self.kube.run("scale", "deployment/vllm", "--replicas=2")
        wait_for(self.refused_deletes, "the ReplicaSet's FailedDelete Event", 30)
        self.note(self.refused_deletes()[0])
        self.assertIn("Poolwarden holds this pod", self.refused_deletes()[0])
        self.mark(names[1], "draining")
        stays(lambda: self.alive() == names, "all four are there", 5)
        self.step("Two are drained, one after the other: each goes at once, and no other")
        for gone, left in ((names[1], 3), (names[2], 2)):
            began = time.monotonic()
            self.release(gone)
            wait_for(lambda count=left: len(self.alive()) == count, f"{gone} to go", 20, every=0.05)
            self.figure("from released to deleted", (time.monotonic() - began) * 1000, "ms")
        self.assertEqual([names[0], names[3]], self.alive())
        stays(lambda: self.alive() == [names[0], names[3]], "the other two stay", 3)

    def test_a_scale_down_that_is_taken_back_has_cost_nothing(self) -> None:
        names = self.deploy(3)
        self.kube.run("scale", "deployment/vllm", "--replicas=1")
        wait_for(self.refused_deletes, "the ReplicaSet's FailedDelete Event", 30)
        self.kube.run("scale", "deployment/vllm", "--replicas=3")
        self.kube.wait_rolled_out("deployment/vllm")
        self.assertEqual(names, self.alive())

    def test_a_rollout_keeps_each_old_pod_until_it_is_released(self) -> None:
        names = self.deploy(2)
        self.kube.run("rollout", "restart", "deployment/vllm")

        def new() -> list[str]:
            return [name for name in self.alive() if name not in names]
        wait_for(new, "a new pod", 60)
        stays(lambda: set(names) <= set(self.alive()), "both old pods are there", 4)
        for old in names:
            self.release(old)
            # The Deployment lets go of it once a new pod is ready.
            wait_for(lambda gone=old: gone not in self.alive(), f"{old} to go", 60)
        self.kube.wait_rolled_out("deployment/vllm")
        self.assertEqual(2, len(new()))

    def test_a_statefulset_waits_for_its_highest_pod(self) -> None:
        """It takes no other before that one, whoever is released."""
        names = self.deploy(3, "StatefulSet")
        self.kube.run("scale", "statefulset/vllm", "--replicas=1")
        wait_for(self.refused_deletes, "the StatefulSet's FailedDelete Event", 30)
        self.note(self.refused_deletes()[0])
        self.assertIn("Poolwarden holds this pod", self.refused_deletes()[0])
        self.mark(names[2], "draining")
        self.release(names[1])
        stays(lambda: self.alive() == names, "all three are there", 5)
        began = time.monotonic()
        self.release(names[2])
        wait_for(lambda: names[2] not in self.alive(), f"{names[2]} to go", 20, every=0.05)
        self.figure("from released to deleted, of a StatefulSet", (time.monotonic() - began) * 1000, "ms")
        wait_for(lambda: self.alive() == names[:1], f"{names[1]} to go", 30)
        stays(lambda: self.alive() == names[:1], "the one that is wanted stays", 3)

    def test_what_goes_as_a_whole_is_not_held(self) -> None:
        for cascade in ("background", "foreground"):
            self.step(f"A Deployment is deleted, {cascade}")
            self.deploy(2)
            self.kube.run("delete", "deployment", "vllm", f"--cascade={cascade}", "--timeout=60s", timeout=70)
            wait_for(lambda: not self.kube.list("pods", "app=vllm"), "its pods to go", 60)
        self.step("A person deletes a pod, and its node ends it")
        names = self.deploy(2)
        self.kube.run("delete", "pod", names[0], "--timeout=60s", timeout=70)
        self.step("The namespace is deleted")
        Kube().run("delete", "namespace", self.namespace, "--timeout=120s", timeout=130)

    def test_other_controllers_are_not_held(self) -> None:
        self.kube.create({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "job"}, "spec": {"template": {
            "metadata": {"labels": {"app": "job", SERVING: "true"}}, "spec": pod_spec(restartPolicy="Never")}}})
        self.kube.wait_ready("app=job", 1)
        self.kube.patch("job", "job", {"spec": {"suspend": True}})
        wait_for(lambda: not self.kube.list("pods", "app=job"), "its pod to go", 60)

    def evict(self, name: str) -> str:
        """"" if it is allowed. It is not carried out."""
        eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name},
                    "deleteOptions": {"dryRun": ["All"]}}
        path = f"/api/v1/namespaces/{self.namespace}/pods/{name}/eviction"
        done = self.kube.run("create", "--raw", path, "-f", "-", stdin=json.dumps(eviction), check=False)
        return done.err.strip() if done.code else ""

    def make_ready(self, name: str, ready: bool) -> None:
        """Through the pod's readiness gate."""
        patch = {"status": {"conditions": [{"type": "e2e/ready", "status": str(ready)}]}}
        self.kube.run("patch", "pod", name, "--subresource=status", "--type=strategic", "-p", json.dumps(patch))
        wait_for(lambda: condition(self.kube.get("pod", name), "Ready")["status"] == str(ready), f"{name} {ready}", 60)

    def test_evictions_are_held_while_there_are_too_many(self) -> None:
        """Kubernetes counts what a budget allows from what the Deployment wants, which is less than there is now."""
        names = self.deploy(3)
        self.kube.create(budget())
        wait_for(lambda: self.kube.get("pdb", "vllm-serving").get("status", {}).get("currentHealthy") == 3, "its count", 30)
        self.kube.run("scale", "deployment/vllm", "--replicas=1")
        wait_for(self.refused_deletes, "the ReplicaSet's FailedDelete Event", 30)
        self.mark(names[1], "draining")
        stays(lambda: all(self.evict(name) for name in names), "no eviction is allowed", 8, every=1)
        self.release(names[1])
        wait_for(lambda: names[1] not in self.alive(), "the released one to go", 30)
        stays(lambda: self.evict(names[0]) and self.evict(names[2]), "the others are held", 4, every=1)

    def test_evictions_are_held_by_the_budget(self) -> None:
        self.kube.apply(workload("Deployment", 7, readinessGates=[{"conditionType": "e2e/ready"}]))
        names = wait_for(lambda: len(self.alive()) == 7 and self.alive(), "seven pods", 60)
        states = dict(zip(names, ("true", "draining", "drained", "false", None, "true", "finishing")))
        unready = names[5:]  # which are held as the others are: they may still answer
        for name, state in states.items():
            self.make_ready(name, name not in unready)
            if state:
                self.mark(name, state)
        self.kube.apply(budget())
        wait_for(lambda: self.kube.get("pdb", "vllm-serving").get("status", {}).get("expectedPods") == 4,
                 "the budget to be counted", 30)
        for name, state in states.items():
            said = self.evict(name)
            self.note(f"{state}, {'un' if name in unready else ''}ready: {said or 'allowed'}")
            if state in HELD:
                self.assertIn("TooManyRequests", said)
            else:
                self.assertEqual("", said, state)
        self.step("A second budget, of the user's own: Kubernetes evicts no pod that has two")
        other = budget()
        other["metadata"]["name"] = "users-own"
        self.kube.apply(other)
        wait_for(lambda: "more than one PodDisruptionBudget" in self.evict(names[0]), "that refusal", 30)

    def test_without_its_binding_nothing_is_held(self) -> None:
        self.addCleanup(self.close_gate)
        names = self.deploy(3)
        self.kube.run("scale", "deployment/vllm", "--replicas=1")
        wait_for(self.refused_deletes, "the ReplicaSet's FailedDelete Event", 30)
        Kube().run("delete", BINDING, GATE)
        self.wait_gate(closed=False)
        # By itself it tries again after a time that grows to 17 minutes; a touched pod makes it do so at once.
        # The first touch may be enough: then kubectl finds a later pod gone, and says so.
        self.kube.run("annotate", "pods", "--all", "e2e/touched=yes", check=False)
        wait_for(lambda: len(self.alive()) == 1, "Kubernetes to finish", 60)
        self.assertIn(self.alive()[0], names)
        self.close_gate()
        self.deploy(2)
        self.kube.run("scale", "deployment/vllm", "--replicas=1")
        stays(lambda: len(self.alive()) == 2, "held again", 5)

    def test_a_policy_that_was_broken_by_hand_touches_nobody(self) -> None:
        self.addCleanup(self.close_gate)
        self.kube.create([pod("ours", "true"), pod("theirs", None)])
        broken = [{"op": "replace", "path": "/spec/matchConditions/0/expression",
                   "value": "oldObject.metadata.labels['no-such-label'] == 'x'"}]
        Kube().patch(POLICY, GATE, broken)
        self.wait_gate(closed=False)
        for name in ("ours", "theirs"):
            for user in (REPLICASETS, STATEFULSETS, *OTHERS.values()):
                self.assertEqual("", self.refusal(name, user), f"{name} by {user}")


main()
