"""What a cluster can put in the operator's way: a quota, an admission policy, a definition of another release, a target
that is deleted, a namespace that goes. Each is told by a condition and an Event that name the fix, and mends itself
when that is done; another pool is served as ever meanwhile, and the operator neither crashes nor hammers the server."""
import json
import os
import time

from support import cluster, operator
from support.case import Case, main
from support.kube import POOLS, ROOT, Kube, name_of, stays, wait_for

EXAMPLE = os.path.join(ROOT, "examples", "vllm-sim")
DEFINITION = os.path.join(ROOT, "crds", "poolwarden.io_inferencepools.yaml")
PODS = "app=vllm"
HELD = "example.com/e2e"


class BadInput(Case):
    def setUp(self) -> None:
        super().setUp()
        operator.wait_ready()
        self.began = time.time()
        self.runs = self.containers()
        self.addCleanup(self.still_runs)
        self.other = self.make_namespace(f"{self.namespace}-other")
        self.deploy(self.other)

    def deploy(self, kube: Kube, replicas: int = 1) -> None:
        kube.run("apply", "-f", os.path.join(EXAMPLE, "deployment.yaml"), "-f", os.path.join(EXAMPLE, "pool.yaml"))
        kube.run("scale", "deployment/vllm", f"--replicas={replicas}")
        kube.wait_ready(PODS, replicas)
        wait_for(lambda: kube.pool()["spec"].get("replicas") == replicas, "the pool to follow", 30)

    @staticmethod
    def containers() -> dict[str, int]:
        return {name_of(pod): sum(each["restartCount"] for each in pod["status"]["containerStatuses"])
                for pod in operator.pods()}

    def still_runs(self) -> None:
        self.assertEqual(self.containers(), self.runs, "the operator restarted")

    def delete_one(self, kube: Kube) -> str:
        victim = name_of(kube.ready_pods(PODS)[0])
        kube.delete("pod", victim)
        return victim

    def other_is_served(self) -> None:
        """The other pool's list follows its pods."""
        self.step("the other pool is served as ever")
        self.other.wait_endpoints(1)
        victim = self.delete_one(self.other)
        wait_for(lambda: victim not in self.other.endpoints(), f"{victim} off the other list", 30, every=0.05)
        self.other.wait_endpoints(1)

    def told(self, condition: str, status: str, reason: str, *words: str) -> None:
        found = self.kube.wait_condition(condition, status, reason)
        self.note(f"{condition}: {found['message']}")
        for each in words:
            self.assertIn(each, found["message"])

    def wait_event(self, reason: str, *words: str) -> None:
        found = wait_for(lambda: [event for event in self.kube.events(reason, "vllm") if event["type"] == "Warning" and
                                  all(each in event["note"] for each in words)],
                         f"an Event {reason} on the pool with {words}", 30)
        self.note(f"Event {reason}: {found[0]['note']}")

    def patient(self, most: int, seconds: float) -> None:
        """How often the operator writes in this namespace while it can only fail."""
        if not cluster.OWNED:
            return
        began = time.time() + 1
        time.sleep(seconds)
        writes = [event for event in cluster.audit(began)
                  if event["user"]["username"] == operator.SERVICE_ACCOUNT
                  and event.get("objectRef", {}).get("namespace") == self.namespace
                  and event["verb"] not in ("get", "list", "watch")]
        self.note(f"{len(writes)} writes within {seconds:g} s")
        self.assertLessEqual(len(writes), most, "it hammers the API server")

    def test_quota_forbids_the_config_map(self) -> None:
        self.step("a quota that has no room for another ConfigMap")
        self.kube.create({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "tight"},
                          "spec": {"hard": {"count/configmaps": "1"}}})  # kube-root-ca.crt is one
        wait_for(lambda: self.kube.get("resourcequota", "tight").get("status", {}).get("used"), "its use counted", 30)
        self.deploy(self.kube)
        self.told("EndpointsPublished", "False", "Forbidden", "exceeded quota: tight", "raise that ResourceQuota")
        self.told("Degraded", "True", "PublishFailed")
        self.wait_event("PublishFailed", "raise that ResourceQuota")
        self.other_is_served()
        self.patient(12, 20)
        self.step("the quota is raised")
        self.kube.patch("resourcequota", "tight", {"spec": {"hard": {"count/configmaps": "5"}}})
        self.kube.wait_endpoints(1, seconds=90)
        self.told("EndpointsPublished", "True", "Published")

    def test_admission_policy_rejects_the_list(self) -> None:
        self.deploy(self.kube, 2)
        before = self.kube.wait_endpoints(2)
        name = f"e2e-{self.namespace}"
        self.step("a ValidatingAdmissionPolicy that refuses what the operator writes")
        Kube().create([
            {"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy",
             "metadata": {"name": name},
             "spec": {"failurePolicy": "Fail",
                      "matchConstraints": {"resourceRules": [{
                          "apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"],
                          "resources": ["configmaps"]}]},
                      "validations": [{"expression": "!object.metadata.name.endsWith('-endpoints')",
                                       "message": "lists are not welcome here"}]}},
            {"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding",
             "metadata": {"name": name},
             "spec": {"policyName": name, "validationActions": ["Deny"], "matchResources": {"namespaceSelector": {
                 "matchLabels": {"kubernetes.io/metadata.name": self.namespace}}}}}])
        self.addCleanup(Kube().delete, "validatingadmissionpolicy", name)
        self.addCleanup(Kube().delete, "validatingadmissionpolicybinding", name)
        wait_for(self.policy_holds, "the policy to be in force", 30)
        victim = self.delete_one(self.kube)
        self.told("EndpointsPublished", "False", "Invalid", "lists are not welcome here", "let that policy pass")
        self.wait_event("PublishFailed", "lists are not welcome here", "let that policy pass")
        self.assertEqual(self.kube.endpoints(), before, "the last list stays")
        self.other_is_served()
        self.patient(12, 20)
        self.step("the policy is taken away")
        Kube().delete("validatingadmissionpolicybinding", name)
        wait_for(lambda: victim not in self.kube.endpoints() and len(self.kube.endpoints()) == 2,
                 f"two endpoints without {victim}", 120)
        self.told("EndpointsPublished", "True", "Published")

    def policy_holds(self) -> bool:
        tried = self.kube.run("create", "configmap", "e2e-endpoints", "--dry-run=server", check=False)
        return "lists are not welcome here" in tried.err

    @cluster.needs_own_cluster("changes the InferencePool's definition")
    def test_definition_of_an_older_release(self) -> None:
        self.deploy(self.kube)
        self.kube.wait_condition("Degraded", "False")
        self.step("the definition of a release whose status had no endpointsRevision")
        definition = Kube().get("crd", POOLS)
        schema = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
        properties = schema["properties"]["status"]["properties"]
        del properties["endpointsRevision"]
        self.addCleanup(Kube().run, "apply", "--server-side", "--force-conflicts", "-f", DEFINITION)
        Kube().run("replace", "-f", "-", stdin=json.dumps(definition))
        time.sleep(2)  # until the API server goes by it
        self.delete_one(self.kube)
        self.told("Degraded", "True", "DefinitionOutdated", "endpointsRevision", "kubectl apply -f crds/")
        self.wait_event("Degraded", "DefinitionOutdated", "kubectl apply -f crds/")
        self.kube.wait_endpoints(1)
        self.other_is_served()
        time.sleep(15)
        self.patient(2, 20)
        self.step("the definition of this release is applied")
        Kube().run("apply", "--server-side", "--force-conflicts", "-f", DEFINITION)
        time.sleep(2)
        self.delete_one(self.kube)
        self.told("Degraded", "False", "AsExpected")

    def test_target_deleted_under_the_pool(self) -> None:
        self.deploy(self.kube, 2)
        self.kube.wait_endpoints(2)
        self.step("kubectl delete deployment/vllm")
        self.kube.delete("deployment", "vllm")
        self.told("ScaleTargetFound", "False", "NotFound", "Deployment vllm does not exist",
                  "create it, or correct spec.scaleTargetRef")
        self.wait_event("Degraded", "Deployment vllm does not exist", "create it")
        wait_for(lambda: self.kube.endpoints() == [], "its pods off the list as they go", 30)
        self.other_is_served()
        self.step("the Deployment is applied again; its file does not say how many, the pool does")
        self.kube.run("apply", "-f", os.path.join(EXAMPLE, "deployment.yaml"))
        self.kube.wait_endpoints(2)
        self.assertEqual(self.kube.pool()["spec"]["replicas"], 2)
        self.assertEqual(self.kube.get("deployment", "vllm")["spec"]["replicas"], 2)
        self.told("Degraded", "False", "AsExpected")

    def test_terminating_namespace(self) -> None:
        self.deploy(self.kube)
        # Kubernetes deletes pods first, and where it finds one it looks again after half of its grace period.
        self.kube.patch("deployment", "vllm", {"spec": {"template": {"spec": {"terminationGracePeriodSeconds": 10}}}})
        self.kube.wait_rolled_out("deployment/vllm")
        wait_for(lambda: len(self.kube.list("pods", PODS)) == 1, "the pod with the longer one to be gone", 60)
        self.kube.wait_endpoints(1)
        self.step("the namespace is deleted, and something holds the pool and the namespace")
        self.kube.patch(POOLS, "vllm", {"metadata": {"finalizers": [HELD]}})
        self.addCleanup(self.let_go)
        Kube().delete("namespace", self.namespace)
        wait_for(lambda: self.kube.find(POOLS, "vllm")["metadata"].get("deletionTimestamp"), "the pool to go", 60)
        wait_for(lambda: not self.kube.find("configmap", "vllm-endpoints"), "its list to go", 60)
        self.step("nothing is made anew in it")
        self.patient(4, 15)
        stays(lambda: not self.kube.find("configmap", "vllm-endpoints"), "no list", 3)
        self.other_is_served()
        self.let_go()
        wait_for(lambda: not Kube().find("namespace", self.namespace), "the namespace to be gone", 120)

    def let_go(self) -> None:
        if self.kube.find(POOLS, "vllm"):
            self.kube.patch(POOLS, "vllm", {"metadata": {"finalizers": None}})


main()
