"""Each example of examples/ is accepted by the API server as it stands, a second time without a change, and what
becomes of it is what its README says."""
import json
import urllib.request

from support import gateway
from support.case import Case, main
from support.examples import apply_twice, apply_without_gpu
from support.kube import condition, wait_for

PODS = "app=vllm"
# As the guide has it: nobody thought of what happens when a replica goes.
GUIDE = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "vllm"}, "spec": {
    "replicas": 3, "selector": {"matchLabels": {"app": "vllm"}},
    "template": {"metadata": {"labels": {"app": "vllm"}}, "spec": {
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [{
            "name": "vllm", "image": "ghcr.io/poolwarden/vllm-sim:0.1.0", "args": ["--model=facebook/opt-125m"],
            "ports": [{"containerPort": 8000}], "readinessProbe": {"httpGet": {"path": "/health", "port": 8000}},
            "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}}]}}}}


class Examples(Case):
    def test_vllm_sim(self) -> None:
        apply_twice(self, "vllm-sim")
        self.kube.wait_endpoints(1)
        self.kube.run("scale", "pwp/vllm", "--replicas=2")
        self.kube.wait_endpoints(2)
        self.kube.wait_rolled_out("deployment/gateway")
        body = json.dumps({"model": "facebook/opt-125m", "prompt": "The future of AI is", "max_tokens": 5}).encode()
        with gateway.reach(self.kube) as address:
            request = urllib.request.Request(f"{address.url}/v1/completions", body, {"Content-Type": "application/json"})
            with urllib.request.urlopen(request, timeout=30) as answer:
                self.note(answer.read().decode()[:200])
                self.assertEqual(200, answer.status)
        self.kube.wait_condition("DisruptionSafe", "True")
        self.assertEqual("False", condition(self.kube.pool(), "Degraded")["status"])

    def apply_of_vllm(self, example: str) -> None:
        apply_without_gpu(self, example)
        self.kube.wait_condition("DisruptionSafe", "True")

    def test_statefulset(self) -> None:
        self.apply_of_vllm("statefulset")

    def test_vllm(self) -> None:
        self.apply_of_vllm("vllm")
        self.step("The autoscaler finds the pool and its pods, and only misses its metric")
        self.note(wait_for(self.scaling_active, "the autoscaler to find all but its metric", 60)["message"])
        self.assertEqual("True", condition(self.kube.get("hpa", "vllm"), "AbleToScale")["status"])

    def scaling_active(self) -> dict:
        """Its first look may have come before the pool had a status."""
        found = condition(self.kube.get("hpa", "vllm"), "ScalingActive")
        self.assertIn(found["reason"], ("FailedGetPodsMetric", "ValidMetricFound"), found["message"])
        return found

    def test_llm_d(self) -> None:
        self.kube.apply(GUIDE)
        pods = self.kube.wait_ready(PODS, 3)
        apply_twice(self, "llm-d")
        self.kube.wait_endpoints(3)
        self.assertEqual(3, self.kube.pool()["spec"]["replicas"], "the count is taken over")
        after = self.kube.list("pods", PODS)
        self.assertEqual(sorted(pod["metadata"]["uid"] for pod in pods), sorted(pod["metadata"]["uid"] for pod in after))
        self.note(self.kube.wait_condition("DisruptionSafe", "False", "NoPreStopSleep")["message"])


main()
