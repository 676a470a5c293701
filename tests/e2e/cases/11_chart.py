"""The Helm chart renders what manifests/ holds, object by object. Nothing is installed. The one difference is the
namespace, which Helm makes itself (--create-namespace)."""
import json
import os
import subprocess
import tempfile
import unittest

from support.case import main
from support.kube import ROOT

MANIFESTS = os.path.join(ROOT, "manifests")
CHART = os.path.join(ROOT, "charts", "poolwarden")
Objects = dict[tuple[str, str, str], dict]


def run(*words: str, seconds: float = 60) -> str:
    done = subprocess.run(words, capture_output=True, text=True, timeout=seconds, check=False)
    if done.returncode:
        raise AssertionError(f"$ {' '.join(words)}\nended with {done.returncode}: {done.stdout}{done.stderr}")
    return done.stdout


def parsed(yaml: str) -> Objects:
    """By kind, namespace and name. A kustomization that only passes them on is how kubectl reads YAML without a
    cluster that knows their kinds; from there each is a document of JSON's own plainness."""
    with tempfile.TemporaryDirectory() as scratch:
        with open(os.path.join(scratch, "objects.yaml"), "w", encoding="utf-8") as file:
            file.write(yaml)
        patched = run("kubectl", "patch", "--local", "--type=merge", "-p", "{}", "-o", "json", "-f",
                      os.path.join(scratch, "objects.yaml"))
    decoder, text, found = json.JSONDecoder(), patched.strip(), {}
    while text:
        thing, end = decoder.raw_decode(text)
        text = text[end:].lstrip()
        meta = thing["metadata"]
        found[thing["kind"], meta.get("namespace", ""), meta["name"]] = thing
    return found


class Chart(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls) -> None:
        cls.helm = run(os.path.join(ROOT, "tests", "e2e", "helm", "build.sh"), seconds=800).strip()

    def rendered(self, namespace: str, *values: str) -> Objects:
        options = [word for value in values for word in ("--set", value)]
        return parsed(run(self.helm, "template", "poolwarden", CHART, "--namespace", namespace, "--include-crds",
                          "--kube-version", "1.36.0", *options))

    def kustomized(self, folder: str) -> Objects:
        return parsed(run("kubectl", "kustomize", os.path.join(MANIFESTS, folder)))

    def same(self, chart: Objects, manifests: Objects) -> None:
        self.assertEqual(sorted(chart), sorted(manifests))
        for name, thing in manifests.items():
            self.assertEqual(thing, chart[name], name)

    def test_the_whole_cluster(self) -> None:
        manifests = self.kustomized(".")
        del manifests["Namespace", "", "poolwarden-system"]
        self.same(self.rendered("poolwarden-system"), manifests)

    def test_with_alerts(self) -> None:
        manifests = self.kustomized("overlays/prometheus")
        del manifests["Namespace", "", "poolwarden-system"]
        self.same(self.rendered("poolwarden-system", "prometheus.serviceMonitor=true", "prometheus.rules=true",
                                "prometheus.dashboard=true"), manifests)

    def test_for_one_namespace(self) -> None:
        manifests = self.kustomized("overlays/single-namespace")
        chart = self.rendered("default", "watchNamespace=default")
        del chart["CustomResourceDefinition", "", "inferencepools.poolwarden.io"]
        # Helm knows the namespace when it renders; the manifests let the pod say it.
        operator = manifests["Deployment", "default", "poolwarden"]["spec"]["template"]["spec"]["containers"][0]
        self.assertEqual(operator["args"].pop(), "--namespace=$(POD_NAMESPACE)")
        del operator["env"]
        args = chart["Deployment", "default", "poolwarden"]["spec"]["template"]["spec"]["containers"][0]["args"]
        self.assertEqual(args.pop(), "--namespace=default")
        self.same(chart, manifests)

    def test_the_gate_can_be_left_out(self) -> None:
        def gates(namespace: str, *values: str) -> int:
            return len([name for _, _, name in self.rendered(namespace, *values) if name == "poolwarden-drain-gate"])
        self.assertEqual(2, gates("ops"))
        self.assertEqual(0, gates("ops", "drainGate.enabled=false"))
        self.assertEqual(0, gates("ops", "watchNamespace=models"), "it is no namespace's")

    def test_the_fence_is_around_its_own_operator(self) -> None:
        policy = self.rendered("ops")["ValidatingAdmissionPolicy", "", "poolwarden-fence"]
        self.assertEqual("request.userInfo.username == 'system:serviceaccount:ops:poolwarden'",
                         policy["spec"]["matchConditions"][0]["expression"])

    def test_what_is_the_clusters_can_be_left_out(self) -> None:
        names = {"fence.enabled": {"poolwarden-fence"}, "roles.enabled": {"poolwarden-view", "poolwarden-edit"},
                 "scaleRights.enabled": {"poolwarden-scale-rights"}}
        everything = {name for _, _, name in self.rendered("ops")}
        for value, gone in names.items():
            self.assertEqual(gone, everything - {name for _, _, name in self.rendered("ops", f"{value}=false")}, value)
        one = {name for _, _, name in self.rendered("ops", "watchNamespace=models")}
        self.assertEqual(set(), one & set().union(*names.values()), "it is no namespace's")

    def test_targets_of_other_kinds_are_granted_as_the_overlays_do(self) -> None:
        def rules(*values: str) -> list[dict]:
            return self.rendered("ops", *values)["ClusterRole", "", "poolwarden"]["rules"]
        for value, folder, name in (("leaderWorkerSets", "leaderworkerset", "poolwarden-leaderworkersets"),
                                    ("rollouts", "rollouts", "poolwarden-rollouts")):
            overlay = self.kustomized(f"overlays/{folder}")
            self.assertEqual([("ClusterRole", "", name), ("ClusterRoleBinding", "", name)], sorted(overlay))
            more = [rule for rule in rules(f"targets.{value}=true") if rule not in rules()]
            self.assertEqual(overlay["ClusterRole", "", name]["rules"], more)

    def test_secrets_are_granted_by_name_only(self) -> None:
        value = "engineKeySecrets[0]"
        objects = self.rendered("ops", f"{value}.namespace=models", f"{value}.name=vllm-key")
        role = objects["Role", "models", "poolwarden-engine-key-vllm-key"]
        self.assertEqual([{"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["vllm-key"], "verbs": ["get"]}],
                         role["rules"])
        binding = objects["RoleBinding", "models", "poolwarden-engine-key-vllm-key"]
        self.assertEqual("poolwarden-engine-key-vllm-key", binding["roleRef"]["name"])
        self.assertEqual([{"kind": "ServiceAccount", "name": "poolwarden", "namespace": "ops"}], binding["subjects"])
        self.assertEqual([], [rule for _, thing in self.rendered("ops").items() for rule in thing.get("rules", [])
                              if "secrets" in rule.get("resources", [])], "none is by itself")

    def test_who_may_scrape(self) -> None:
        def ingress(*values: str) -> list[dict]:
            return self.rendered("ops", *values)["NetworkPolicy", "ops", "poolwarden"]["spec"]["ingress"]
        where = "networkPolicy.metricsFrom"
        self.assertEqual([{"podSelector": {"matchLabels": {"app": "a"}}}],
                         ingress(f"{where}[0].podSelector.matchLabels.app=a")[0]["from"])
        self.assertNotIn("from", ingress(f"{where}=null")[0], "anybody")

    def test_its_other_values_render(self) -> None:
        chart = self.rendered("ops", "replicas=3", "image.tag=x", "priorityClassName=system-cluster-critical",
                              "networkPolicy.enabled=false", "extraArgs={--log-level=debug}", "nodeSelector.a=b",
                              "watchNamespace=models")
        spec = chart["Deployment", "ops", "poolwarden"]["spec"]
        pod = spec["template"]["spec"]
        self.assertEqual((3, "system-cluster-critical", {"a": "b"}),
                         (spec["replicas"], pod["priorityClassName"], pod["nodeSelector"]))
        self.assertEqual("ghcr.io/poolwarden/poolwarden:x", pod["containers"][0]["image"])
        self.assertEqual(["--namespace=models", "--log-level=debug"], pod["containers"][0]["args"][-2:])
        self.assertNotIn(("NetworkPolicy", "ops", "poolwarden"), chart)
        self.assertEqual("ops", chart["RoleBinding", "models", "poolwarden"]["subjects"][0]["namespace"])


main()
