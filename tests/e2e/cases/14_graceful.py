"""The overlay `graceful`: a pod made in a labelled namespace gets a preStop sleep and the time for it; pods elsewhere, and
those that bring their own, stay as they are. Where the Kubernetes is too old for it, it is skipped."""
import json
import os
import time
import unittest

from support import operator
from support.case import Case, main
from support.kube import ROOT, Kube, wait_for
from support.load import Clients
from support.reach import Reach
from support.watch import Watch

OVERLAY = os.path.join(ROOT, "manifests", "overlays", "graceful")
LABEL = "poolwarden.io/graceful"
# Seconds. The answer is long for a machine that takes some to delete a pod, and ends as long before the sleep does.
ANSWER, SLEEP = 15, 30


def served() -> bool:
    kinds = Kube().run("api-resources", "--api-group=admissionregistration.k8s.io", "--no-headers").out
    return any(line.split()[0] == "mutatingadmissionpolicies" and line.split()[1].endswith("/v1")
               for line in kinds.splitlines())


def pod(name: str, containers: dict[str, dict] | None = None, labels: dict | None = None, **spec: object) -> dict:
    """containers: name and what it has beside the image."""
    security = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": labels or {}}, "spec": {
        "automountServiceAccountToken": False,
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [{"name": each, "image": "ghcr.io/poolwarden/vllm-sim:0.1.0", "args": [f"--port={8000 + number}"],
                        "securityContext": security, **more}
                       for number, (each, more) in enumerate((containers or {"vllm": {}}).items())], **spec}}


def sleeps(made: dict) -> list[object]:
    """Of each container: how long it sleeps before it is stopped; None if it does not, and what it does instead."""
    hooks = [each.get("lifecycle", {}).get("preStop") for each in made["spec"]["containers"]]
    return [hook["sleep"]["seconds"] if hook and "sleep" in hook else hook for hook in hooks]


@unittest.skipUnless(served(), "this Kubernetes has no MutatingAdmissionPolicy of version v1")
class Graceful(Case):
    @classmethod
    def setUpClass(cls) -> None:
        Kube().run("apply", "-k", OVERLAY)
        cls.addClassCleanup(Kube().run, "delete", "-k", OVERLAY, "--ignore-not-found")

    def setUp(self) -> None:
        super().setUp()
        self.models = self.make_namespace(f"{self.namespace}-models", **{LABEL: "enabled"})
        wait_for(lambda: self.made(pod("probe")) == ([300], 330), "the API server to know the policy", 30)

    def made(self, wanted: dict, kube: Kube | None = None) -> tuple[list[object], int]:
        """What the API server would make of it: the sleeps, and the grace period."""
        found = json.loads((kube or self.models).run("create", "--dry-run=server", "-o", "json", "-f", "-",
                                                     stdin=json.dumps(wanted)).out)
        return sleeps(found), found["spec"]["terminationGracePeriodSeconds"]

    def test_who_gets_what(self) -> None:
        own = {"lifecycle": {"preStop": {"sleep": {"seconds": 5}}}}
        exec_hook = {"exec": {"command": ["/bin/true"]}}
        rows = [
            ("nothing of its own", pod("a"), ([300], 330)),
            ("a grace period of its own, which it still has after the sleep",
             pod("b", terminationGracePeriodSeconds=600), ([300], 900)),
            ("no grace period at all", pod("c", terminationGracePeriodSeconds=0), ([300], 300)),
            ("a sleep of its own", pod("d", {"vllm": own}, terminationGracePeriodSeconds=70), ([5], 70)),
            ("a command of its own", pod("e", {"vllm": {"lifecycle": {"preStop": exec_hook}}}), ([exec_hook], 30)),
            ("two containers, one with its own", pod("f", {"vllm": own, "sidecar": {}}), ([5, 300], 330)),
            ("a hook for the start only", pod("g", {"vllm": {"lifecycle": {"postStart": {"sleep": {"seconds": 1}}}}}),
             ([300], 330)),
            ("the label against it", pod("h", labels={LABEL: "disabled"}), ([None], 30)),
            ("as a Job's", pod("i", restartPolicy="Never"), ([None], 30)),
        ]
        for what, wanted, expected in rows:
            self.assertEqual(expected, self.made(wanted), what)
            self.step(f"{what}: {expected}")
        self.assertEqual(([None], 30), self.made(pod("j"), self.kube), "in a namespace without the label")

    def test_seconds_are_the_namespaces(self) -> None:
        for said, seconds in (("120", 120), ("9999", 9999), ("1", 1), ("0", 300), ("-5", 300), ("5m", 300), ("", 300),
                              ("99999999999999999999", 300)):
            Kube().run("annotate", "--overwrite", "namespace", self.models.namespace, f"{LABEL}-seconds={said}")
            wait_for(lambda: self.made(pod("a")) == ([seconds], seconds + 30), f"{said!r} to be {seconds}", 30)

    def test_the_pool_counts_what_its_pods_are_given(self) -> None:
        Kube().run("annotate", "namespace", self.models.namespace, f"{LABEL}-seconds=5")
        wait_for(lambda: self.made(pod("a")) == ([5], 35), "the seconds", 30)
        spec = pod("", {"vllm": {"readinessProbe": {"httpGet": {"path": "/health", "port": 8000}}}})["spec"]
        labels = {"app": "vllm"}
        self.models.apply([
            {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "vllm"},
             "spec": {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": spec}}},
            {"apiVersion": "poolwarden.io/v1alpha1", "kind": "InferencePool", "metadata": {"name": "vllm"},
             "spec": {"scaleTargetRef": {"name": "vllm"}, "targetPorts": [{"number": 8000}],
                      "drain": {"timeoutSeconds": 20}}}])
        self.models.wait_endpoints(1)
        self.note(self.models.wait_condition("DisruptionSafe", "True", "Held")["message"])

    def test_a_deleted_pod_answers_on(self) -> None:
        Kube().run("annotate", "namespace", self.models.namespace, f"{LABEL}-seconds={SLEEP}")
        wait_for(lambda: self.made(pod("a")) == ([SLEEP], SLEEP + 30), "the seconds", 30)
        # A token a second; told to stop, it cuts what it generates, as vLLM does by default.
        self.models.create(pod("vllm", {"vllm": {"args": ["--port=8000", "--time-per-output-token=1000"]}}))
        self.models.wait_ready("", 1)
        pods = self.enterContext(Watch(f"/api/v1/namespaces/{self.models.namespace}/pods"))
        address = self.enterContext(Reach(self.models.namespace, "pod/vllm", 8000))
        answer = Clients(address.url, 1, tokens=ANSWER, streamed=True).start()
        wait_for(lambda: answer.started, "the request to be sent", 30)
        answer.stopping.set()  # it is the only one
        wait_for(lambda: operator.Metrics(address.get("/metrics")).sum("vllm:num_requests_running") == 1,
                 "it to be answered", 30)
        began = time.monotonic()
        self.models.run("delete", "pod", "vllm", f"--timeout={SLEEP + 90}s", timeout=SLEEP + 100)
        took = time.monotonic() - began
        answer.stop()
        deleted = pods.wait(lambda event: "deletionTimestamp" in event.object["metadata"], "its deletion")
        self.assertEqual(answer.errors, [], answer.summary())
        after = answer.answers[0].ended - deleted.at
        self.figure("a streamed answer ended, whole, after its pod was deleted", after, "s")
        self.assertGreater(after, 0, "it was under way when its pod was deleted: else this shows nothing")
        self.figure("from delete to gone", took, "s")
        self.assertGreater(took, SLEEP - 0.1)
        self.assertLess(took, SLEEP + 30, "it ended after its sleep, and not with its grace period")


main()
