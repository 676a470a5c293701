"""Away with it: `kubectl delete -k` with pools in place ends and leaves nothing behind, also when the operator is not
running, and the models go on as if nothing had happened. Then the install for one namespace, which takes no right
outside it."""
import os
import time

from support import operator
from support.case import Case, main
from support.cluster import needs_own_cluster
from support.kube import POOLS, ROOT, SERVING, Kube, KubectlError, stays, wait_for

MANIFESTS = os.path.join(ROOT, "manifests")
SINGLE = os.path.join(MANIFESTS, "overlays", "single-namespace")
EXAMPLE = os.path.join(ROOT, "examples", "vllm-sim")
PODS = "app=vllm"
OWNED = (("configmap", "vllm-endpoints"), ("service", "vllm"), ("pdb", "vllm-serving"))


def install() -> None:
    Kube().run("apply", "-k", MANIFESTS)
    operator.kube.wait_rolled_out(operator.DEPLOYMENT)
    operator.leader()


def deploy_pool(kube: Kube, replicas: int) -> None:
    """Of the example only what the operator sees: no gateway."""
    kube.run("apply", "-f", os.path.join(EXAMPLE, "deployment.yaml"), "-f", os.path.join(EXAMPLE, "pool.yaml"))
    kube.run("scale", "deployment/vllm", f"--replicas={replicas}")
    kube.wait_endpoints(replicas)
    wait_for(lambda: len(kube.list("pods", f"{SERVING}=true")) == replicas, "the label on each", 30)


def identities(kube: Kube) -> list[tuple[str, int]]:
    """Which pods there are, and how often their containers were restarted."""
    return sorted((pod["metadata"]["uid"], sum(each["restartCount"] for each in pod["status"]["containerStatuses"]))
                  for pod in kube.list("pods", PODS))


def serving(kube: Kube) -> list[dict]:
    return [pod for pod in kube.list("pods", PODS) if "deletionTimestamp" not in pod["metadata"]]


@needs_own_cluster("takes the operator away from all its pools")
class Uninstall(Case):
    def setUp(self) -> None:
        super().setUp()
        install()
        self.addCleanup(install)

    def two_pools(self) -> list[Kube]:
        self.step("Two pools, in two namespaces")
        places = [self.kube, self.make_namespace(f"{self.namespace}-b")]
        for place, replicas in zip(places, (3, 2)):
            deploy_pool(place, replicas)
        return places

    def delete_all(self) -> None:
        began = time.monotonic()
        output = Kube().run("delete", "-k", MANIFESTS, "--timeout=120s", timeout=130).out
        self.note(output)
        self.figure("kubectl delete -k", time.monotonic() - began, "s")

    def nothing_is_left(self, places: list[Kube]) -> None:
        for kind in ("customresourcedefinitions", "namespaces", "clusterroles", "clusterrolebindings",
                     "validatingadmissionpolicies", "validatingadmissionpolicybindings",
                     "validatingwebhookconfigurations"):
            names = Kube().run("get", kind, "-o", "name").out
            self.assertNotIn("poolwarden", names, kind)
        for place in places:
            # The garbage collector deletes what the pools owned. It learns every half minute that a kind is gone.
            wait_for(lambda: not any(place.find(*each) for each in OWNED),
                     f"what the pool of {place.namespace} owned to go", 120)

    def test_with_pools_in_place(self) -> None:
        places = self.two_pools()
        before = [identities(place) for place in places]
        self.delete_all()
        self.nothing_is_left(places)
        for place in places:
            self.assertEqual([], place.list("pods", SERVING), "pods that keep the label")
        self.assertEqual(before, [identities(place) for place in places], "the models were left alone")

    def test_while_no_operator_runs(self) -> None:
        places = self.two_pools()
        before = [identities(place) for place in places]
        operator.stop()
        self.delete_all()
        self.nothing_is_left(places)
        self.assertEqual(before, [identities(place) for place in places], "the models were left alone")
        self.assertEqual(3, len(self.kube.list("pods", SERVING)), "nobody was there to take the labels off...")
        install()
        for place in places:
            wait_for(lambda: not place.list("pods", SERVING), "...and the operator does so when it is back", 60)

    def test_a_scale_down_that_is_held_is_let_go(self) -> None:
        deploy_pool(self.kube, 3)
        operator.stop()
        self.step("Nobody drains, so the gate holds...")
        self.kube.run("scale", "deployment/vllm", "--replicas=1")
        wait_for(lambda: self.kube.events("FailedDelete"), "the ReplicaSet to be refused", 30)
        stays(lambda: len(serving(self.kube)) == 3, "all three are there", 3)
        self.step("...until it goes, which is first of all")
        self.delete_all()
        # By itself the ReplicaSet controller tries again after as long as it has waited so far.
        wait_for(lambda: len(serving(self.kube)) == 1, "Kubernetes to finish", 60)

    def test_an_install_for_one_namespace(self) -> None:
        self.delete_all()
        Kube().run("apply", "-k", os.path.join(ROOT, "crds"))
        Kube().wait_established(POOLS)
        self.step("An administrator closes the gate, and the operator, which may not look, is told")
        Kube().run("apply", "-k", os.path.join(MANIFESTS, "gate"))
        told = {"target": {"kind": "Deployment", "name": "poolwarden"},
                "patch": '[{"op": "add", "path": "/spec/template/spec/containers/0/args/-", "value": "--drain-gate=on"}]'}
        self.kube.apply_kustomization(os.path.relpath(SINGLE, ROOT), [told])
        self.kube.wait_rolled_out(operator.DEPLOYMENT)
        self.step("It keeps the pools of its namespace...")
        deploy_pool(self.kube, 2)
        self.kube.run("scale", "pwp/vllm", "--replicas=1")
        self.kube.wait_endpoints(1)
        wait_for(lambda: len(serving(self.kube)) == 1, "the pod that goes to be let go", 60)
        wait_for(lambda: self.kube.events("DrainCompleted"), "an Event that it was drained first", 30)
        other = self.make_namespace(f"{self.namespace}-other")
        other.apply({"apiVersion": "poolwarden.io/v1alpha1", "kind": "InferencePool", "metadata": {"name": "vllm"},
                     "spec": {"selector": {"matchLabels": {"app": "vllm"}}, "targetPorts": [{"number": 8000}]}})
        self.step("...with no right outside it")
        account = f"system:serviceaccount:{self.namespace}:poolwarden"
        for verb, what in (("list", "pods"), ("patch", "pods"), ("list", POOLS), ("create", "configmaps")):
            self.assertEqual("no", may(other, account, verb, what), f"{verb} {what} in another namespace")
            self.assertEqual("yes", may(self.kube, account, verb, what), f"{verb} {what} in its own")
        self.assertEqual({}, other.pool().get("status", {}), "nobody looks after that one")
        self.kube.run("delete", "deployment,networkpolicy,pdb,rolebinding,role,serviceaccount,service", "-l",
                      "app.kubernetes.io/name=poolwarden")


def may(kube: Kube, account: str, verb: str, what: str) -> str:
    try:
        return kube.run("auth", "can-i", verb, what, f"--as={account}", check=False).out.strip()
    except KubectlError as error:
        return str(error)


main()
