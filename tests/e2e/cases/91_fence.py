"""The fence around the operator's token, on the real API server: whoever has the token tries what RBAC alone would let
through. Each line of REFUSED is refused to the operator and to nobody else; each line of ALLOWED, which is how the operator
writes, goes through. docs/security.md has both tables, and a test compares them."""
import base64
import json
import os
import ssl
import tempfile
import urllib.error
import urllib.request
from typing import Any, NamedTuple

from support import operator
from support.case import Case, main
from support.cluster import needs_own_cluster
from support.kube import SERVING, Kube, wait_for

FENCE = "poolwarden-fence"
POLICY = "validatingadmissionpolicy"
API = {"pods": "/api/v1", "configmaps": "/api/v1", "services": "/api/v1", "poddisruptionbudgets": "/apis/policy/v1",
       "deployments": "/apis/apps/v1", "statefulsets": "/apis/apps/v1", "inferencepools": "/apis/poolwarden.io/v1alpha1"}
PATCHES = {dict: "application/merge-patch+json", list: "application/json-patch+json"}
OURS = {"poolwarden.io/pool": "old", "app.kubernetes.io/managed-by": "poolwarden"}
COST = "controller.kubernetes.io/pod-deletion-cost"
LIST = {"endpoints.json": "{}", "endpoints.txt": ""}
# Stands for the pool's owner reference, which has an UID only once the pool is there.
OWNER: list[dict] = [{"the": "pool's"}]


class Write(NamedTuple):
    verb: str
    resource: str
    path: str  # below the resource: a name, maybe with a subresource; empty: one that is made
    body: Any
    namespace: str = ""  # else the test's own


def change(resource: str, path: str, body: Any, namespace: str = "") -> Write:
    return Write("PATCH", resource, path, body, namespace)


def make(resource: str, name: str, body: dict, namespace: str = "") -> Write:
    metadata = {"name": name, **body.get("metadata", {})}
    return Write("POST", resource, "", {**body, "metadata": metadata}, namespace)


def meta(**fields: Any) -> dict:
    return {"metadata": fields}


def owned(**more: Any) -> dict:
    return {**meta(ownerReferences=OWNER), **more}


def service(**more: Any) -> dict:
    return {"selector": {"app": "none", SERVING: "true"}, "ports": [{"port": 8000}], **more}


def budget(key: str = SERVING, **more: Any) -> dict:
    return {"minAvailable": 1000000, "unhealthyPodEvictionPolicy": "IfHealthyBudget",
            "selector": {"matchExpressions": [{"key": key, "operator": "In", "values": ["draining", "finishing", "true"]}]}, **more}


SPEC, POD = "changes nothing in the spec of a pod", "Of a pod Poolwarden changes only"
MAP, KEYS = "only ConfigMaps that an InferencePool owns", "only endpoints.json and endpoints.txt"
SERVICE, PORTS = "only Services that an InferencePool owns", "only selector and ports"
SELECTS, BUDGET = "selects only pods that are labelled", "only PodDisruptionBudgets that an InferencePool owns"
POOL, SYSTEM = "changes only spec.replicas and status", "nothing in the namespace"

REFUSED: dict[str, tuple[Write, str]] = {
    "change the image of a pod": (
        change("pods", "plain", [{"op": "replace", "path": "/spec/containers/0/image", "value": "evil"}]), SPEC),
    "let a pod tolerate another taint": (
        change("pods", "plain", [{"op": "add", "path": "/spec/tolerations/-", "value": {"operator": "Exists"}}]), SPEC),
    "change another label of a pod": (change("pods", "plain", meta(labels={"app": "theirs"})), POD),
    "take another label off a pod": (change("pods", "plain", meta(labels={"app": None})), POD),
    "change another annotation of a pod": (change("pods", "plain", meta(annotations={"team": "theirs"})), POD),
    "give a pod a finalizer": (change("pods", "plain", meta(finalizers=["example.com/stay"])), POD),
    "give a pod an owner": (change("pods", "plain", owned()), POD),
    "label a pod of kube-system": (change("pods", "e2e-fence", meta(labels={SERVING: "true"}), "kube-system"), SYSTEM),
    "change a ConfigMap of others": (change("configmaps", "foreign", {"data": LIST}), MAP),
    "make a ConfigMap of others its own": (change("configmaps", "foreign", owned(data=LIST)), MAP),
    "make a ConfigMap without an owner": (make("configmaps", "new", {"data": LIST}), MAP),
    "make a ConfigMap with other keys": (make("configmaps", "new", owned(data={**LIST, "config.yaml": "a"})), KEYS),
    "change another key of a list": (change("configmaps", "shared-endpoints", {"data": {"theirs": "other"}}), KEYS),
    "take another key out of a list": (change("configmaps", "shared-endpoints", {"data": {"theirs": None}}), KEYS),
    "put bytes into a list": (change("configmaps", "shared-endpoints", {"binaryData": {"x": "AAAA"}}), KEYS),
    "make a list in kube-system": (make("configmaps", "e2e-fence", owned(data=LIST), "kube-system"), SYSTEM),
    "point a Service of others elsewhere": (change("services", "foreign", {"spec": {"selector": {"app": "evil"}}}), SERVICE),
    "make a Service of others its own": (change("services", "foreign", owned(spec=service())), SERVICE),
    "change another label of a Service": (change("services", "foreign", meta(labels={"app": "evil"})), SERVICE),
    "annotate a Service": (change("services", "foreign", meta(annotations={"cloud/public": "true"})), SERVICE),
    "make a Service without an owner": (make("services", "new", {"spec": service()}), SERVICE),
    "make a Service that takes an address of others": (
        make("services", "new", owned(spec=service(externalIPs=["192.0.2.1"]))), PORTS),
    "make a Service that is open to the world": (make("services", "new", owned(spec=service(type="LoadBalancer"))), PORTS),
    "give the pool's Service an address of others": (
        change("services", "fenced", {"spec": {"externalIPs": ["192.0.2.1"]}}), PORTS),
    "point the pool's Service at pods that serve nothing": (
        change("services", "fenced", {"spec": {"selector": {SERVING: None, "app": "evil"}}}), SELECTS),
    "change a budget of others": (change("poddisruptionbudgets", "foreign", {"spec": {"minAvailable": 0}}), BUDGET),
    "make a budget of others its own": (change("poddisruptionbudgets", "foreign", owned(spec=budget())), BUDGET),
    "make a budget without an owner": (make("poddisruptionbudgets", "new", {"spec": budget()}), BUDGET),
    "hold evictions of any pods": (make("poddisruptionbudgets", "new", owned(spec=budget("app"))), SELECTS),
    "change what a pool selects": (
        change("inferencepools", "fenced", {"spec": {"selector": {"matchLabels": {"app": "evil"}}}}), POOL),
    "label a pool": (change("inferencepools", "fenced", meta(labels={"app": "evil"})), POOL),
    "scale a Deployment of kube-system": (
        change("deployments", "e2e-fence/scale", {"spec": {"replicas": 1}}, "kube-system"), SYSTEM),
    "scale a StatefulSet of kube-system": (
        change("statefulsets", "e2e-fence/scale", {"spec": {"replicas": 1}}, "kube-system"), SYSTEM),
}

ALLOWED: dict[str, Write] = {
    "label a pod that serves": change("pods", "plain", meta(labels={SERVING: "true"})),
    "mark a pod that drains": change("pods", "plain", meta(labels={SERVING: "draining"}, annotations={
        "poolwarden.io/drain-started": "2026-01-02T03:04:05Z", "poolwarden.io/drain-reason": "ScaleDown"})),
    "release a pod that is idle": change("pods", "plain", meta(labels={SERVING: "drained"}, annotations={
        COST: "-2147483648", "poolwarden.io/saved-deletion-cost": ""})),
    "take the label and a drain off a pod": change("pods", "drains", meta(labels={SERVING: None}, annotations={
        "poolwarden.io/drain-started": None, "poolwarden.io/drain-reason": None, COST: None})),
    "make a list": make("configmaps", "new-endpoints", owned(data=LIST)),
    "make another shard of a list": make("configmaps", "fenced-endpoints-2", {
        **meta(ownerReferences=OWNER, labels={**OURS, "poolwarden.io/shard": "2"}), "data": LIST}),
    "replace a list as a whole": Write("PUT", "configmaps", "fenced-endpoints", {
        "metadata": {"name": "fenced-endpoints", "ownerReferences": OWNER, "labels": OURS}, "data": LIST}),
    "change a list that others have put something into": change("configmaps", "shared-endpoints", owned(data=LIST)),
    "take back a list that lost its owner": change("configmaps", "old-endpoints", owned(data=LIST)),
    "make a Service": make("services", "new", owned(spec=service(clusterIP="None"))),
    "change selector and ports of the pool's Service": change("services", "fenced", {
        "spec": service(ports=[{"port": 8001}])}),
    "take back a Service that lost its owner": change("services", "old", owned(spec=service())),
    "label a Service of others": change("services", "foreign", meta(labels={
        "poolwarden.io/pool": "fenced", "poolwarden.io/ready-endpoints": "3", "poolwarden.io/health": "healthy"})),
    "make a budget": make("poddisruptionbudgets", "new", owned(spec=budget())),
    "change the pool's budget": change("poddisruptionbudgets", "fenced-serving", owned(spec=budget())),
    "take back a budget that lost its owner": change("poddisruptionbudgets", "old-serving", owned(spec=budget())),
    "scale the target of a pool": change("deployments", "target/scale", {"spec": {"replicas": 1}}),
    "scale a target that is a StatefulSet": change("statefulsets", "target/scale", {"spec": {"replicas": 1}}),
    "take over the replicas of a target": change("inferencepools", "fenced", {"spec": {"replicas": 3}}),
    "write the status of a pool": change("inferencepools", "fenced/status", {"status": {"replicas": 3}}),
}


class Caller:
    """Calls the API server as one of its users, and changes nothing: every call is a dry run."""

    def __init__(self, token: str = ""):
        config = json.loads(Kube().run("config", "view", "--raw", "--flatten", "--minify", "-o", "json").out)
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        self.server, self.token = cluster["server"], token
        self.context = ssl.create_default_context(cadata=decoded(cluster["certificate-authority-data"]))
        if not token:
            with tempfile.TemporaryDirectory() as scratch:
                path = os.path.join(scratch, "pem")
                with open(path, "w", encoding="ascii") as file:
                    file.write(decoded(user["client-certificate-data"]) + "\n" + decoded(user["client-key-data"]))
                self.context.load_cert_chain(path)

    def refusal(self, write: Write, namespace: str, owner: dict) -> str:
        """What the API server says against it, "" if nothing."""
        path = f"{API[write.resource]}/namespaces/{write.namespace or namespace}/{write.resource}"
        path += f"/{write.path}" if write.path else ""
        kind = PATCHES[type(write.body)] if write.verb == "PATCH" else "application/json"
        body = json.dumps(write.body).replace(json.dumps(OWNER), json.dumps([owner]))
        request = urllib.request.Request(f"{self.server}{path}?dryRun=All", body.encode(), {"Content-Type": kind},
                                         method=write.verb)
        if self.token:
            request.add_header("Authorization", f"Bearer {self.token}")
        try:
            with urllib.request.urlopen(request, timeout=30, context=self.context):
                return ""
        except urllib.error.HTTPError as error:
            return f"{error.code} {json.load(error)['message']}"


def decoded(text: str) -> str:
    return base64.b64decode(text).decode("ascii")


def pod(name: str, namespace: str, labels: dict, annotations: dict) -> dict:
    """It waits for a node that there is not."""
    return {"apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": name, "namespace": namespace, "labels": labels, "annotations": annotations},
            "spec": {"nodeSelector": {"there": "is-none"}, "automountServiceAccountToken": False,
                     "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
                     "containers": [{"name": "a", "image": "a", "securityContext": {
                         "allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}}]}}


def workload(kind: str, name: str, namespace: str) -> dict:
    template = pod("", namespace, {"app": name}, {})
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name, "namespace": namespace}, "spec": {
        "replicas": 0, "selector": {"matchLabels": {"app": name}},
        "template": {"metadata": {"labels": {"app": name}}, "spec": template["spec"]}}}


@needs_own_cluster("takes the operator away from all its pools, and makes objects in kube-system")
class Fence(Case):
    """No operator runs: what is tried here is all that its token is used for."""

    @classmethod
    def setUpClass(cls) -> None:
        operator.take_away(cls)

    def setUp(self) -> None:
        super().setUp()
        self.kube.create({"apiVersion": "poolwarden.io/v1alpha1", "kind": "InferencePool", "metadata": {"name": "fenced"},
                          "spec": {"selector": {"matchLabels": {"app": "none"}}, "targetPorts": [{"number": 8000}]}})
        self.owner = {"apiVersion": "poolwarden.io/v1alpha1", "kind": "InferencePool", "name": "fenced",
                      "uid": self.kube.pool("fenced")["metadata"]["uid"], "controller": True}
        self.make_objects()
        token = operator.kube.run("create", "token", "poolwarden").out.strip()
        self.operator, self.admin = Caller(token), Caller()

    def make_objects(self) -> None:
        """What is the pool's, what lost its owner, and what is of others."""
        def thing(kind: str, name: str, labels: dict, *owners: dict, **more: Any) -> dict:
            version = "policy/v1" if kind == "PodDisruptionBudget" else "v1"
            return {"apiVersion": version, "kind": kind, **more,
                    "metadata": {"name": name, "labels": labels, "ownerReferences": list(owners)}}
        drains = pod("drains", self.namespace, {SERVING: "draining"}, {
            "poolwarden.io/drain-started": "2026-01-02T03:04:05Z", "poolwarden.io/drain-reason": "ScaleDown",
            COST: "-2147483648"})
        self.kube.create([
            thing("ConfigMap", "fenced-endpoints", OURS, self.owner, data=LIST),
            thing("ConfigMap", "shared-endpoints", OURS, self.owner, data={**LIST, "theirs": "their own"}),
            thing("Service", "fenced", OURS, self.owner, spec=service()),
            thing("PodDisruptionBudget", "fenced-serving", OURS, self.owner, spec=budget()),
            thing("ConfigMap", "old-endpoints", OURS, data=LIST),
            thing("Service", "old", OURS, spec=service()),
            thing("PodDisruptionBudget", "old-serving", {}, spec=budget()),
            thing("ConfigMap", "foreign", {}, data={"a": "b"}),
            thing("Service", "foreign", {"app": "theirs"}, spec=service(selector={"app": "theirs"})),
            thing("PodDisruptionBudget", "foreign", {}, spec=budget("app", minAvailable=1)),
            pod("plain", self.namespace, {"app": "theirs-too"}, {"team": "models"}), drains,
            workload("Deployment", "target", self.namespace), workload("StatefulSet", "target", self.namespace)])
        system = Kube("kube-system")
        for each in (pod("e2e-fence", "kube-system", {}, {}), workload("Deployment", "e2e-fence", "kube-system"),
                     workload("StatefulSet", "e2e-fence", "kube-system")):
            system.create(each)
            self.addCleanup(system.run, "delete", each["kind"], "e2e-fence", "--now")

    def asked(self, caller: Caller, write: Write) -> str:
        return caller.refusal(write, self.namespace, self.owner)

    def test_what_it_refuses_and_to_whom(self) -> None:
        for name, (write, words) in REFUSED.items():
            with self.subTest(name):
                said = self.asked(self.operator, write)
                self.assertIn(f"ValidatingAdmissionPolicy '{FENCE}'", said or "it was let through")
                self.assertIn(words, said)
                self.assertTrue(said.startswith("403 "), said)
                self.assertEqual("", self.asked(self.admin, write), "it is refused to a person, too")
        self.figure("writes that the fence refuses", len(REFUSED), "")

    def test_what_it_lets_through(self) -> None:
        for name, write in ALLOWED.items():
            with self.subTest(name):
                self.assertEqual("", self.asked(self.operator, write))
        self.figure("writes that the fence lets through", len(ALLOWED), "")

    def test_a_pod_of_thousands_of_annotations_can_be_labelled(self) -> None:
        """What an expression may cost is bounded, and a tenant may make its pods large: 256 KiB of annotations."""
        many = {f"example.com/{number:05}": "a" for number in range(9000)}
        large = pod("large", self.namespace, {f"label-{number}": "a" for number in range(1000)}, many)
        self.kube.create([large])
        self.assertEqual("", self.asked(self.operator, change("pods", "large", meta(labels={SERVING: "true"}))))
        self.assertIn(POD, self.asked(self.operator, change("pods", "large", meta(annotations={"team": "theirs"}))))

    def test_its_expressions_fit_the_kinds_they_judge(self) -> None:
        """The API server checks their types against each kind's schema, and says so in status. Rules for kinds that this
        cluster does not have (LeaderWorkerSets, Rollouts) are passed over, and spoil nothing."""
        status = wait_for(lambda: Kube().get(POLICY, FENCE).get("status"), "the API server to check the policy", 60)
        self.assertEqual([], status.get("typeChecking", {}).get("expressionWarnings", []))


main()
