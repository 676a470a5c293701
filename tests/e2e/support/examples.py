"""An example as it stands: the API server accepts it, and a second time changes nothing."""
from support.case import Case
from support.kube import POOLS, condition, wait_for


def apply_twice(case: Case, example: str) -> None:
    case.step(f"kubectl apply -k examples/{example}")
    case.kube.apply_kustomization(f"examples/{example}")
    # That is a change of the pool's spec, too.
    wait_for(lambda: "replicas" in case.kube.list(POOLS)[0]["spec"], "the target's count to be taken over", 30)
    before = case.kube.list(POOLS)[0]["metadata"]["generation"]
    case.kube.apply_kustomization(f"examples/{example}")
    case.assertEqual(before, case.kube.list(POOLS)[0]["metadata"]["generation"], "a second time changes nothing")


def apply_without_gpu(case: Case, example: str) -> None:
    """An example with vLLM, for which there is neither a GPU nor an image here."""
    # vLLM's image runs as root.
    case.kube.run("label", "--overwrite", "namespace", case.namespace, "pod-security.kubernetes.io/enforce=baseline")
    apply_twice(case, example)
    case.step("There is no GPU and no such image here, and the pool says what it sees")
    pool = wait_for(lambda: condition(case.kube.pool(), "ScaleTargetFound")["status"] == "True" and case.kube.pool(),
                    "the pool to be looked after", 30)
    case.assertEqual("False", condition(pool, "Available")["status"])
    case.assertEqual(1, wait_for(lambda: case.kube.pool()["status"].get("replicas"), "its replica to be counted", 30))
