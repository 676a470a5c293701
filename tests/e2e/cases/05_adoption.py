"""A pool laid over a Deployment that runs already restarts nothing and resizes nothing; from then on whoever scales
last, the pool or the Deployment, is followed by the other, and Events say so. A Deployment that is made again under its
name is given the pool's count."""
import os

from support.case import Case, main
from support.kube import ROOT, SERVING, name_of, wait_for

EXAMPLE = os.path.join(ROOT, "examples", "vllm-sim")
PODS = "app=vllm"


class Adoption(Case):
    def adopt(self, replicas: int) -> None:
        self.kube.run("apply", "-f", os.path.join(EXAMPLE, "deployment.yaml"))
        self.kube.run("scale", "deployment/vllm", f"--replicas={replicas}")
        self.kube.wait_ready(PODS, replicas)
        self.before = self.what_runs()
        self.step("apply the pool")
        self.kube.run("apply", "-f", os.path.join(EXAMPLE, "pool.yaml"))
        self.kube.wait_endpoints(replicas)

    def what_runs(self) -> dict:
        """All that a restart, a rollout or a resize would change."""
        deployment = self.kube.get("deployment", "vllm")
        return {
            "generation": deployment["metadata"]["generation"],
            "replicas": deployment["spec"]["replicas"],
            "replica sets": sorted(name_of(each) for each in self.kube.list("replicasets")),
            "pods": sorted((pod["metadata"]["uid"], pod["status"]["startTime"],
                            sum(each["restartCount"] for each in pod["status"]["containerStatuses"]))
                           for pod in self.kube.list("pods", PODS)),
        }

    def replicas(self, kind: str) -> int | None:
        return self.kube.get(kind, "vllm")["spec"].get("replicas")

    def wait_agreed(self, replicas: int) -> None:
        wait_for(lambda: (self.replicas("pwp"), self.replicas("deployment"),
                          self.kube.pool()["status"].get("syncedReplicas")) == (replicas,) * 3,
                 f"pool, Deployment and status.syncedReplicas at {replicas}", 30)

    def wait_event(self, reason: str, words: str) -> None:
        found = wait_for(lambda: [event for event in self.kube.events(reason, "vllm") if words in event["note"]],
                         f"an Event {reason} on the pool with '{words}'", 30)
        self.note(f"{reason}: {found[0]['note']}")

    def test_restarts_and_resizes_nothing(self) -> None:
        self.step("a Deployment of three is running")
        self.adopt(3)
        self.wait_agreed(3)
        self.wait_event("AdoptedReplicas", "Took over 3 replicas from Deployment vllm, as the pool had none")
        self.kube.wait_condition("Progressing", "False", "Stable")
        wait_for(lambda: len(self.kube.list("pods", f"{PODS},{SERVING}=true")) == 3, "the label on all three", 30)
        self.assertEqual(self.what_runs(), self.before)
        self.step("apply it again")
        self.kube.run("apply", "-f", os.path.join(EXAMPLE, "pool.yaml"))
        self.assertEqual(self.replicas("pwp"), 3)
        self.assertEqual(self.what_runs(), self.before)

    def test_whoever_scales_last_is_followed(self) -> None:
        self.adopt(1)
        self.step("kubectl scale deployment/vllm --replicas=3")
        self.kube.run("scale", "deployment/vllm", "--replicas=3")
        self.wait_agreed(3)
        self.wait_event("AdoptedReplicas", "Took over 3 replicas from Deployment vllm, instead of 1")
        self.kube.wait_endpoints(3)
        self.step("kubectl scale pwp/vllm --replicas=2")
        self.kube.run("scale", "pwp/vllm", "--replicas=2")
        self.wait_agreed(2)
        self.wait_event("ScaledTarget", "Scaled Deployment vllm from 3 to 2 replicas")
        self.kube.wait_endpoints(2)
        self.step("kubectl scale deployment/vllm --replicas=0, and the pool brings it back")
        self.kube.run("scale", "deployment/vllm", "--replicas=0")
        self.wait_agreed(0)
        self.kube.wait_endpoints(0)
        self.kube.wait_condition("Available", "False", "ScaledToZero")
        self.kube.run("scale", "pwp/vllm", "--replicas=1")
        self.wait_agreed(1)
        self.kube.wait_endpoints(1)

    def test_a_recreated_deployment_is_given_the_pools_count(self) -> None:
        self.adopt(2)
        self.wait_agreed(2)
        self.step("kubectl delete deployment/vllm, and apply it again: its file does not say how many")
        self.kube.run("delete", "deployment", "vllm", "--timeout=60s")
        self.kube.run("apply", "-f", os.path.join(EXAMPLE, "deployment.yaml"))
        uid = self.kube.get("deployment", "vllm")["metadata"]["uid"]
        wait_for(lambda: self.kube.pool()["status"].get("syncedTarget") == uid, "the new one to have agreed", 60)
        self.wait_agreed(2)
        self.wait_event("ScaledTarget", "Scaled Deployment vllm from 1 to 2 replicas")
        self.kube.wait_endpoints(2)

    def test_a_pool_that_says_how_many_means_it(self) -> None:
        self.kube.run("apply", "-f", os.path.join(EXAMPLE, "deployment.yaml"))
        self.kube.wait_ready(PODS, 1)
        self.step("a pool with replicas: 2 over a Deployment of one")
        self.kube.apply({"apiVersion": "poolwarden.io/v1alpha1", "kind": "InferencePool",
                         "metadata": {"name": "vllm"},
                         "spec": {"replicas": 2, "scaleTargetRef": {"name": "vllm"},
                                  "targetPorts": [{"number": 8000}]}})
        self.wait_agreed(2)
        self.kube.wait_endpoints(2)


main()
