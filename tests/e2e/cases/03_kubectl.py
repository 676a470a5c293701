"""What kubectl shows of a pool, and what it is told: explain, get, describe, scale with its conditions, every rule of
the resource with its message, and apply, also server-side, next to the operator's own writes."""
import os
import time

from support import operator
from support.case import Case, main
from support.kube import POOLS, ROOT, as_text, stays, wait_for

EXAMPLE = os.path.join(ROOT, "examples", "vllm-sim")
CRD = "inferencepools.poolwarden.io"
TARGET = {"name": "vllm"}
PORTS = [{"number": 8000}]


def pool(name: str = "vllm", **spec) -> dict:
    return {"apiVersion": "poolwarden.io/v1alpha1", "kind": "InferencePool", "metadata": {"name": name},
            "spec": {"targetPorts": PORTS, **spec}}


def labels(**expression) -> dict:
    return {"matchExpressions": [{"key": "app", **expression}]}


# What each rule is for: an object it refuses.
REFUSED_BY_RULE = [
    ("a pool's name has at most 63 characters", {**pool(scaleTargetRef=TARGET), "metadata": {"name": "x" * 64}}),
    ("scaleTargetRef or selector is required", pool()),
    ("this release scales a Deployment or a StatefulSet", pool(scaleTargetRef={**TARGET, "kind": "ReplicaSet"})),
    ("this release scales a Deployment or a StatefulSet", pool(scaleTargetRef={**TARGET, "apiVersion": "apps/v1beta1"})),
    ("a LeaderWorkerSet of leaderworkerset.x-k8s.io/v1", pool(scaleTargetRef={**TARGET, "kind": "LeaderWorkerSet"})),
    ("a Rollout of argoproj.io/v1alpha1",
     pool(scaleTargetRef={**TARGET, "apiVersion": "argoproj.io/v1alpha1", "kind": "Deployment"})),
    ("selector must not be empty", pool(selector={})),
    ("selector must not be empty", pool(selector={"matchLabels": {}, "matchExpressions": []})),
    ("selector must not use poolwarden.io/serving", pool(selector={"matchLabels": {"poolwarden.io/serving": "true"}})),
    ("selector must not use poolwarden.io/serving",
     pool(selector={"matchExpressions": [{"key": "poolwarden.io/serving", "operator": "Exists"}]})),
    ("operators In and NotIn take one or more values", pool(selector=labels(operator="In"))),
    ("operators In and NotIn take one or more values", pool(selector=labels(operator="NotIn", values=[]))),
    ("operators In and NotIn take one or more values", pool(selector=labels(operator="Exists", values=["x"]))),
    ("port numbers must be unique", pool(scaleTargetRef=TARGET, targetPorts=[{"number": 1}, {"number": 1}])),
    ("port names must be unique",
     pool(scaleTargetRef=TARGET, targetPorts=[{"number": 1, "name": "a"}, {"number": 2, "name": "a"}])),
    ("a port without a name is called port-<number>",
     pool(scaleTargetRef=TARGET, targetPorts=[{"number": 8000}, {"number": 2, "name": "port-8000"}])),
    ("inFlightMetrics names the metrics of engine type custom", pool(scaleTargetRef=TARGET, engine={"type": "custom"})),
    ("inFlightMetrics names the metrics of engine type custom",
     pool(scaleTargetRef=TARGET, engine={"type": "vllm", "inFlightMetrics": ["requests_running"]})),
    ("serverLoad is what engine type vllm tells", pool(scaleTargetRef=TARGET, engine={"type": "sglang", "serverLoad": True})),
    ("tls is how an engine with scheme https is checked", pool(scaleTargetRef=TARGET, engine={"tls": {"caBundle": "QQ=="}})),
    ("tls is how an engine with scheme https is checked",
     pool(scaleTargetRef=TARGET, engine={"scheme": "http", "tls": {"insecureSkipVerify": True}})),
    ("scheme https needs either tls.caBundle or", pool(scaleTargetRef=TARGET, engine={"scheme": "https"})),
    ("scheme https needs either tls.caBundle or",
     pool(scaleTargetRef=TARGET, engine={"scheme": "https", "tls": {"serverName": "a.b"}})),
    ("scheme https needs either tls.caBundle or",
     pool(scaleTargetRef=TARGET, engine={"scheme": "https", "tls": {"caBundle": "QQ==", "insecureSkipVerify": True}})),
]
# And what the schema by itself refuses.
REFUSED_BY_SCHEMA = [
    ("spec.targetPorts: Required value", {**pool(), "spec": {"scaleTargetRef": TARGET}}),
    ("spec.targetPorts", pool(scaleTargetRef=TARGET, targetPorts=[])),
    ("must have at most 8 items", pool(scaleTargetRef=TARGET, targetPorts=[{"number": n} for n in range(1, 10)])),
    ("less than or equal to 65535", pool(scaleTargetRef=TARGET, targetPorts=[{"number": 65536}])),
    ("greater than or equal to 1", pool(scaleTargetRef=TARGET, targetPorts=[{"number": 0}])),
    ("spec.replicas", pool(scaleTargetRef=TARGET, replicas=-1)),
    ("unknown field", pool(scaleTargetRef=TARGET, replica=1)),
    ("spec.engine.scheme", pool(scaleTargetRef=TARGET, engine={"scheme": "HTTPS"})),
    ("spec.engine.tls.caBundle",
     pool(scaleTargetRef=TARGET, engine={"scheme": "https", "tls": {"caBundle": "no base64!"}})),
    ("spec.engine.tls.serverName",
     pool(scaleTargetRef=TARGET, engine={"scheme": "https", "tls": {"caBundle": "QQ==", "serverName": "a b"}})),
    ("spec.engine.apiKeySecret.name", pool(scaleTargetRef=TARGET, engine={"apiKeySecret": {"name": "../x"}})),
    ("spec.publish.service.name", pool(scaleTargetRef=TARGET, publish={"service": {"name": "-x"}})),
]


def messages_of(schema: object) -> set[str]:
    """Of every rule in it."""
    if isinstance(schema, list):
        return set().union(*map(messages_of, schema)) if schema else set()
    if not isinstance(schema, dict):
        return set()
    own = {rule["message"] for rule in schema.get("x-kubernetes-validations", [])}
    return own.union(*map(messages_of, schema.values()))


class Kubectl(Case):
    def deploy(self) -> None:
        self.kube.run("apply", "-f", os.path.join(EXAMPLE, "deployment.yaml"), "-f", os.path.join(EXAMPLE, "pool.yaml"))
        self.kube.wait_endpoints(1)
        self.kube.wait_condition("Progressing", "False", "Stable")

    def test_explain(self) -> None:
        text = self.kube.run("explain", "pwp.spec").out
        for part in ("InferencePool", "poolwarden.io", "replicas", "Replicas wanted", "scaleTargetRef", "targetPorts",
                     "-required-"):
            self.assertIn(part, text)
        self.assertIn("cannot be changed later", self.kube.run("explain", "pwp.spec.publish.configMap.name").out)
        self.assertIn("only ever grows", self.kube.run("explain", "pwp.status.endpointsRevision").out)

    def test_get_and_describe(self) -> None:
        self.deploy()
        wait_for(lambda: self.kube.events("AdoptedReplicas", "vllm"), "the Event that describe is to show", 30)
        header, row = self.kube.run("get", "pwp").out.splitlines()
        self.note(f"{header}\n{row}")
        self.assertEqual(header.split(), ["NAME", "REPLICAS", "READY", "SERVING", "DRAINING", "TARGET", "AGE"])
        shown = dict(zip(header.split(), row.split()))
        self.assertEqual([shown[key] for key in ("NAME", "REPLICAS", "READY", "SERVING", "TARGET")],
                         ["vllm", "1", "1", "1", "vllm"])
        wide = self.kube.run("get", "pwp", "-o", "wide").out
        self.note(wide)
        self.assertEqual(wide.splitlines()[0].split()[-2:], ["REVISION", "SELECTOR"])
        self.assertIn("app=vllm", wide.splitlines()[1])
        text = self.kube.run("describe", "pwp", "vllm").out
        for part in ("Target Ports:", "Conditions:", "EndpointsPublished", "Endpoints:", "AdoptedReplicas"):
            self.assertIn(part, text)
        self.step("get, get -o wide and describe show the pool, its conditions and its Events")

    def test_what_is_made_for_a_pool_of_an_engines_name(self) -> None:
        self.deploy()
        self.assertEqual("None", self.kube.get("service", "vllm")["spec"]["clusterIP"],
                         "with an address, it would set VLLM_PORT in every container that starts")
        self.kube.patch(POOLS, "vllm", {"spec": {"publish": {"service": {"name": "chat"}}}})
        made = wait_for(lambda: self.kube.find("service", "chat"), "the Service of the other name", 30)
        self.assertNotEqual("None", made["spec"]["clusterIP"])
        self.step("a Service called vllm is headless, one of another name is not")
        wanted = operator.metrics(operator.leader()).sum("poolwarden_wanted_replicas", namespace=self.kube.namespace)
        self.assertEqual(1, wanted)

    def test_each_rule_refuses_with_its_message(self) -> None:
        for message, bad in REFUSED_BY_RULE + REFUSED_BY_SCHEMA:
            with self.subTest(message):
                done = self.kube.run("create", "-f", "-", stdin=as_text(bad), check=False)
                self.assertNotEqual(done.code, 0, f"taken, though {message}: {bad}")
                self.assertIn(message, done.err)
        self.kube.apply(pool("kept", selector={"matchLabels": {"app": "x"}}))
        changed = self.kube.run("patch", POOLS, "kept", "--type=merge", "-p",
                                '{"spec":{"publish":{"configMap":{"name":"other"}}}}', check=False)
        immutable = "publish.configMap.name cannot be changed"
        self.assertIn(immutable, changed.err)
        known = messages_of(self.kube.get("crd", CRD)["spec"])
        tried = {immutable, *(message for message, _ in REFUSED_BY_RULE)}
        untried = {each for each in known if not any(each.startswith(message) for message in tried)}
        self.assertEqual(untried, set())
        self.step(f"{len(known)} rules, {len(REFUSED_BY_RULE) + len(REFUSED_BY_SCHEMA) + 1} refusals")

    def test_scale_with_conditions(self) -> None:
        self.deploy()
        refused = self.kube.run("scale", "pwp/vllm", "--replicas=2", "--current-replicas=5", check=False)
        self.assertNotEqual(refused.code, 0)
        self.assertIn("5", refused.err)
        self.assertEqual(self.kube.pool()["spec"]["replicas"], 1)
        began = time.monotonic()
        self.kube.run("scale", "pwp/vllm", "--replicas=2", "--current-replicas=1", "--timeout=60s", timeout=70)
        self.step(f"kubectl scale --timeout returned after {time.monotonic() - began:.1f} s")
        self.assertEqual(self.kube.pool()["status"]["replicas"], 2, "it waited for the pool to have them")
        self.kube.wait_endpoints(2)

    def test_apply_twice_changes_nothing(self) -> None:
        self.deploy()
        self.kube.run("scale", "pwp/vllm", "--replicas=2")
        self.kube.wait_endpoints(2)
        self.kube.wait_condition("Progressing", "False", "Stable")
        before = self.settled()
        said = self.kube.run("apply", "-f", os.path.join(EXAMPLE, "deployment.yaml"),
                             "-f", os.path.join(EXAMPLE, "pool.yaml")).out
        self.note(said)
        self.assertEqual(said.count("unchanged"), 2)
        stays(lambda: self.versions() == before, "nothing is written by a second apply", 5)

    def versions(self) -> dict:
        return {what: self.kube.get(*what.split("/"))["metadata"]["resourceVersion"]
                for what in (f"{POOLS}/vllm", "deployment/vllm", "configmap/vllm-endpoints", "service/vllm")}

    def settled(self) -> dict:
        """The versions, once the last status has been written, the Deployment's included."""
        self.kube.wait_rolled_out("deployment/vllm")
        last = {}

        def look() -> bool:
            nonlocal last
            before, last = last, self.versions()
            return before == last
        wait_for(look, "the pool's objects to rest", 60, every=3)
        return last

    def test_server_side_apply_by_a_user_and_by_us(self) -> None:
        self.deploy()
        manifest = pool(scaleTargetRef=TARGET)
        options = ("--server-side", "--field-manager=a-user")
        self.kube.apply(manifest, *options)
        self.kube.run("scale", "pwp/vllm", "--replicas=2")
        self.kube.wait_endpoints(2)
        self.kube.apply(manifest, *options)
        self.assertEqual(self.kube.pool()["spec"]["replicas"], 2, "what the user does not apply is not the user's")
        self.step("apply --server-side without replicas: no conflict, and the count stays")

        # The user's own fields on what we publish stay the user's through our writes.
        mark = {"annotations": {"example.com/owner": "a-user"}}
        for kind, name in (("ConfigMap", "vllm-endpoints"), ("Service", "vllm")):
            self.kube.apply({"apiVersion": "v1", "kind": kind, "metadata": {"name": name, **mark}}, *options)
        self.kube.run("scale", "pwp/vllm", "--replicas=1")
        self.kube.wait_endpoints(1)
        for kind, name in (("configmap", "vllm-endpoints"), ("service", "vllm")):
            kept = self.kube.get(kind, name)["metadata"]["annotations"]
            self.assertEqual(kept.get("example.com/owner"), "a-user", kind)
        self.kube.wait_ready("app=vllm", 1)  # the other takes some seconds to go, and status tells of it
        before = self.settled()
        stays(lambda: self.versions() == before, "neither side writes against the other", 10)
        self.step("annotations of the user on the ConfigMap and the Service stay, and nobody writes any more")


main()
