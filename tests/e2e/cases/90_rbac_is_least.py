"""The permissions in manifests/ are the least that work: of each rule every verb is used, and nothing else is asked for.
Read from the API server's audit log while the operator goes through all it does."""
import json
import os
import subprocess
import time

from support import cluster, operator
from support.case import Case, main
from support.cluster import needs_own_cluster
from support.kube import ROOT, SERVING, wait_for

EXAMPLE = os.path.join(ROOT, "examples", "vllm-sim")
Right = tuple[str, str, str]  # group, resource with subresource, verb


def granted() -> set[Right]:
    """All that the manifests grant to the operator, as kubectl renders them."""
    rendered = subprocess.run(["kubectl", "kustomize", os.path.join(ROOT, "manifests")], check=True, capture_output=True,
                              text=True, timeout=30).stdout
    found = subprocess.run(["kubectl", "create", "--dry-run=client", "-o", "json", "-f", "-"], input=rendered, check=True,
                           capture_output=True, text=True, timeout=30).stdout
    rights = set()
    things = objects(found)
    # The other roles are for people.
    bound = {(each["roleRef"]["kind"], each["roleRef"]["name"]) for each in things if "roleRef" in each}
    for each in things:
        for rule in each.get("rules", []) if (each["kind"], each["metadata"]["name"]) in bound else []:
            rights |= {(group, resource, verb) for group in rule["apiGroups"] for resource in rule["resources"]
                       for verb in rule["verbs"]}
    return rights


def objects(text: str) -> list[dict]:
    """kubectl prints several objects as a List, or one after the other."""
    decoder, found = json.JSONDecoder(), []
    text = text.strip()
    while text:
        value, end = decoder.raw_decode(text)
        found += value["items"] if value["kind"] == "List" else [value]
        text = text[end:].lstrip()
    return found


def asked(since: float) -> list[dict]:
    """The operator's requests for objects."""
    return [event for event in cluster.audit(since)
            if event["user"]["username"] == operator.SERVICE_ACCOUNT and "objectRef" in event]


def right(event: dict) -> Right:
    about = event["objectRef"]
    resource = about["resource"] + ("/" + about["subresource"] if about.get("subresource") else "")
    return about.get("apiGroup", ""), resource, event["verb"]


@needs_own_cluster("reads the API server's audit log")
class LeastRbac(Case):
    def all_it_does(self) -> None:
        self.step("It starts with no Lease there is: every list, every watch, the Lease")
        operator.kube.run("delete", "lease", "poolwarden", "--ignore-not-found")
        operator.kube.run("rollout", "restart", operator.DEPLOYMENT)
        operator.kube.wait_rolled_out(operator.DEPLOYMENT)
        operator.leader()
        self.step("A pool is made, scaled from both sides, and edited by hand")
        self.kube.run("apply", "-f", os.path.join(EXAMPLE, "deployment.yaml"), "-f", os.path.join(EXAMPLE, "pool.yaml"))
        self.kube.wait_endpoints(1)
        self.kube.run("scale", "pwp/vllm", "--replicas=2")
        self.kube.wait_endpoints(2)
        # A list with somebody's annotation is patched, and no longer replaced as a whole.
        self.kube.run("annotate", "configmap", "vllm-endpoints", "team=inference")
        self.kube.run("scale", "deployment/vllm", "--replicas=1")
        self.kube.wait_endpoints(1)
        wait_for(lambda: self.kube.pool()["spec"]["replicas"] == 1, "the pool to follow", 30)
        self.assertEqual("inference", self.kube.get("configmap", "vllm-endpoints")["metadata"]["annotations"]["team"])
        wait_for(lambda: self.kube.list("pods", f"{SERVING}=true"), "a labelled pod", 30)
        wait_for(lambda: self.kube.find("pdb", "vllm-serving"), "the pool's budget", 30)
        self.kube.patch("pdb", "vllm-serving", {"spec": {"minAvailable": None, "maxUnavailable": 1}})
        wait_for(lambda: "maxUnavailable" not in self.kube.get("pdb", "vllm-serving")["spec"], "the edit to be undone", 30)
        self.step("The Service's EndpointSlices become the operator's")
        self.kube.patch("pwp", "vllm", {"spec": {"publish": {"service": {"endpointSlices": "Direct"}}}})
        managers = "endpointslice.kubernetes.io/managed-by"

        def slices(manager: str) -> list[dict]:
            return self.kube.list("endpointslices", f"kubernetes.io/service-name=vllm,{managers}={manager}")
        wait_for(lambda: slices("operator.poolwarden.io") and not slices("endpointslice-controller.k8s.io"),
                 "slices of the operator alone", 60)
        self.kube.run("scale", "pwp/vllm", "--replicas=2")
        wait_for(lambda: len(slices("operator.poolwarden.io")[0]["endpoints"]) == 2, "the slice to follow", 90)
        self.step("A StatefulSet is scaled through its pool")
        self.kube.apply({"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "ordinal"}, "spec": {
            "replicas": 0, "selector": {"matchLabels": {"app": "ordinal"}}, "template": {
                "metadata": {"labels": {"app": "ordinal"}},
                "spec": {"containers": [{"name": "vllm", "image": "ghcr.io/poolwarden/vllm-sim:0.1.0"}]}}}})
        self.kube.apply({"apiVersion": "poolwarden.io/v1alpha1", "kind": "InferencePool", "metadata": {"name": "ordinal"},
                         "spec": {"scaleTargetRef": {"kind": "StatefulSet", "name": "ordinal"},
                                  "targetPorts": [{"number": 8000}]}})
        wait_for(lambda: self.kube.get("pwp", "ordinal")["spec"].get("replicas") == 0, "the pool to take over the count", 30)
        self.kube.run("scale", "pwp/ordinal", "--replicas=1")
        wait_for(lambda: self.kube.get("statefulset", "ordinal")["spec"]["replicas"] == 1, "the StatefulSet to follow", 30)
        self.step("Someone else has the ConfigMap's name")
        self.kube.run("create", "configmap", "taken-endpoints")
        self.kube.apply({"apiVersion": "poolwarden.io/v1alpha1", "kind": "InferencePool", "metadata": {"name": "taken"},
                         "spec": {"selector": {"matchLabels": {"app": "none"}}, "targetPorts": [{"number": 8000}]}})
        self.kube.wait_condition("EndpointsPublished", "False", "NameTaken", pool="taken")

    def repeat_an_event(self) -> None:
        """What happens twice is counted in the first Event."""
        for _ in range(2):
            self.kube.patch("configmap", "vllm-endpoints", {"data": {"endpoints.txt": "edited"}})
            wait_for(lambda: "edited" not in self.kube.get("configmap", "vllm-endpoints")["data"]["endpoints.txt"],
                     "the edit to be undone", 60)

    def test_each_right_is_used_and_no_other_asked_for(self) -> None:
        rights = granted()
        self.assertGreater(len(rights), 20)
        since = time.time()
        self.all_it_does()
        self.repeat_an_event()

        def unused() -> set[Right]:
            return rights - {right(event) for event in asked(since)}
        try:
            wait_for(lambda: not unused(), "each right to be used", 90, every=1)
        finally:
            self.note("\n".join("never used: " + " ".join(each) for each in sorted(unused())))
        forbidden = [event for event in asked(since) if event["responseStatus"]["code"] in (401, 403)]
        self.assertEqual([], [(right(event), event["objectRef"].get("name")) for event in forbidden])
        self.assertEqual(set(), {right(event) for event in asked(since)} - rights)
        self.figure("rights, all of them used", len(rights), "")


main()
