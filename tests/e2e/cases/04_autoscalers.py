"""HorizontalPodAutoscalers: on the pool, on the Deployment beneath it, and on both at once. They read a metric that the
case feeds them. Each reads the scale subresource, its selector included; wherever one writes, the other side follows;
and two that pull apart are a condition that names both instead of writes without end."""
import os
import time

from support.case import Case, main
from support.cluster import needs_own_cluster
from support.external_metrics import ExternalMetrics, autoscaler
from support.kube import ROOT, condition, stays, wait_for

EXAMPLE = os.path.join(ROOT, "examples", "vllm-sim")
POOL = {"apiVersion": "poolwarden.io/v1alpha1", "kind": "InferencePool", "name": "vllm"}
DEPLOYMENT = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "vllm"}


@needs_own_cluster("registers an API of external metrics")
class Autoscalers(Case):
    def setUp(self) -> None:
        super().setUp()
        self.kube.run("apply", "-f", os.path.join(EXAMPLE, "deployment.yaml"), "-f", os.path.join(EXAMPLE, "pool.yaml"))
        self.kube.wait_endpoints(1)
        self.metrics = self.enterContext(ExternalMetrics(self.kube))

    def replicas(self) -> tuple[int, int]:
        return self.kube.pool()["spec"]["replicas"], self.kube.get("deployment", "vllm")["spec"]["replicas"]

    def wait_replicas(self, count: int) -> None:
        began = time.monotonic()
        wait_for(lambda: self.replicas() == (count, count), f"{count} replicas of the pool and of its Deployment", 60)
        self.step(f"both have {count}, after {time.monotonic() - began:.1f} s")

    def scaling_active(self, name: str) -> None:
        """It may have looked once before it could be answered."""
        def look() -> bool:
            found = condition(self.kube.get("hpa", name), "ScalingActive")
            if (found["status"], found["reason"]) != ("True", "ValidMetricFound"):
                raise AssertionError(f"{found}")
            return True
        wait_for(look, f"{name} to have found its metric", 60)

    def follow_the_metric(self, scaled: dict) -> None:
        self.metrics.values["queued"] = 25
        self.kube.apply(autoscaler("by-queue", scaled, "queued"))
        self.step("25 queued, 10 for each replica")
        self.wait_replicas(3)
        self.scaling_active("by-queue")
        self.kube.wait_endpoints(3)
        self.note(self.kube.run("get", "hpa").out)
        # Of its next look at the scale subresource: the one that asked for three saw one.
        wait_for(lambda: self.kube.get("hpa", "by-queue")["status"]["currentReplicas"] == 3,
                 "the autoscaler to see three replicas", 30)
        self.metrics.values["queued"] = 5
        self.step("5 queued")
        self.wait_replicas(1)
        self.kube.wait_endpoints(1)
        self.assertEqual(condition(self.kube.pool(), "Degraded")["status"], "False")

    def test_on_the_pool(self) -> None:
        self.follow_the_metric(POOL)

    def test_on_the_deployment_underneath(self) -> None:
        self.follow_the_metric(DEPLOYMENT)

    def test_one_on_each_at_once(self) -> None:
        self.metrics.values.update(queued=20, load=40)
        self.kube.apply([autoscaler("by-queue", POOL, "queued"), autoscaler("by-load", DEPLOYMENT, "load")])
        found = self.kube.wait_condition("Degraded", "True", "AutoscalersCompete")
        self.note(found["message"])
        self.assertIn("by-queue", found["message"])
        self.assertIn("by-load", found["message"])
        # Kubernetes sees that the two select the same pods, and lets neither scale (since 1.27), once it has looked at both.
        for name in ("by-queue", "by-load"):
            wait_for(lambda: condition(self.kube.get("hpa", name), "ScalingActive")["reason"] == "AmbiguousSelector",
                     f"{name} to be told that it is not the only one", 60)
        # Others write all the same.
        self.step("somebody scales each side, as autoscalers of other makes would: nobody undoes it")
        self.kube.run("scale", "pwp/vllm", "--replicas=2")
        self.kube.run("scale", "deployment/vllm", "--replicas=3")
        before = self.generations()
        stays(lambda: self.generations() == before, "neither side's spec is written", seconds=20, every=1)
        self.assertEqual(self.replicas(), (2, 3))
        self.step("one of them goes: the two agree again")
        self.kube.delete("hpa", "by-load")
        self.wait_replicas(2)  # what the other asks for
        self.kube.wait_condition("Degraded", "False")

    def generations(self) -> tuple[int, int]:
        return self.kube.pool()["metadata"]["generation"], self.kube.get("deployment", "vllm")["metadata"]["generation"]


main()
