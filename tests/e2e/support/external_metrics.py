"""A stand-in for an adapter of metrics (KEDA, prometheus-adapter): HorizontalPodAutoscalers read from it what the case
says. It registers itself with the API server's aggregation layer and answers on the node's address, so it works only on
the tests' own cluster.

    with ExternalMetrics(kube) as metrics:
        metrics.values["queued_requests"] = 25
    with PodMetrics(kube, lambda pod: 1500): ...        of each pod that an autoscaler selects, in thousandths
"""
import http.server
import json
import os
import ssl
import subprocess
import tempfile
import threading
import time
import urllib.parse
from typing import Callable

from support.kube import Kube, condition, name_of, wait_for

STAMP = "2026-01-01T00:00:00Z"


def autoscaler(name: str, scaled: dict, metric: str) -> dict:
    """Of one replica for every ten of the metric, without the pauses that are for real traffic."""
    at_once = {"stabilizationWindowSeconds": 0, "policies": [{"type": "Pods", "value": 10, "periodSeconds": 5}]}
    return {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": name}, "spec": {
        "scaleTargetRef": scaled, "minReplicas": 1, "maxReplicas": 4,
        "behavior": {"scaleUp": at_once, "scaleDown": at_once},
        "metrics": [{"type": "External", "external": {
            "metric": {"name": metric}, "target": {"type": "AverageValue", "averageValue": "10"}}}]}}


def pod_autoscaler(name: str, scaled: dict, metric: str) -> dict:
    """The same of a metric of pods, which is to be 10 at each of them; none goes unless the average is less than 4. Without
    such a tolerance what idle pods bring to an average they take from it again, as it is multiplied with their count."""
    wanted = autoscaler(name, scaled, metric)
    wanted["spec"]["behavior"]["scaleDown"] = {**wanted["spec"]["behavior"]["scaleDown"], "tolerance": "0.6"}
    wanted["spec"]["metrics"] = [{"type": "Pods", "pods": {
        "metric": {"name": metric}, "target": {"type": "AverageValue", "averageValue": "10"}}}]
    return wanted


class MetricsApi:
    """What the two have in common: group_version, and found(), the body of an answer or None."""
    group_version = ""

    def __init__(self, kube: Kube):
        self.kube = kube
        self.reads = 0
        self.group, self.version = self.group_version.split("/")
        self.service = self.group.split(".")[0] + "-metrics"

    def found(self, words: list[str], query: dict[str, list[str]]) -> dict | None:
        """words: of the path, after group and version."""
        raise NotImplementedError

    def __enter__(self) -> "MetricsApi":
        self.server = http.server.ThreadingHTTPServer((self.node_address(), 0), self.handler())
        self.server.socket = tls().wrap_socket(self.server.socket, server_side=True)
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()
        self.register()
        return self

    def __exit__(self, *_: object) -> None:
        Kube().delete("apiservice", f"{self.version}.{self.group}")
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def node_address(self) -> str:
        node = Kube().list("nodes")[0]
        return next(each["address"] for each in node["status"]["addresses"] if each["type"] == "InternalIP")

    def register(self) -> None:
        address, port = self.server.server_address[:2]
        namespace = self.kube.namespace
        self.kube.apply([
            {"apiVersion": "v1", "kind": "Service", "metadata": {"name": self.service}, "spec": {"ports": [
                {"name": "https", "port": 443, "targetPort": port}]}},
            {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
             "metadata": {"name": self.service, "labels": {"kubernetes.io/service-name": self.service}},
             "addressType": "IPv4", "ports": [{"name": "https", "port": port}],
             "endpoints": [{"addresses": [address], "conditions": {"ready": True}}]}])
        Kube().apply({
            "apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService", "metadata": {"name": f"{self.version}.{self.group}"},
            "spec": {"group": self.group, "version": self.version, "groupPriorityMinimum": 100,
                     "versionPriority": 100, "insecureSkipTLSVerify": True,
                     "service": {"name": self.service, "namespace": namespace, "port": 443}}})
        wait_for(lambda: condition(Kube().get("apiservice", f"{self.version}.{self.group}"),
                                   "Available")["status"] == "True", f"{self.group} to be available", 60)

    def answer(self, path: str) -> dict | None:
        asked = urllib.parse.urlsplit(path)
        words = urllib.parse.unquote(asked.path).strip("/").split("/")
        if words[:3] != ["apis", self.group, self.version]:
            return None
        if len(words) == 3:
            return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": self.group_version, "resources": []}
        found = self.found(words[3:], urllib.parse.parse_qs(asked.query))
        self.reads += bool(found)
        return found

    def handler(self) -> type:
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                found = outer.answer(self.path)
                body = json.dumps(found or {"kind": "Status", "status": "Failure", "code": 404}).encode()
                self.send_response(200 if found else 404)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        return Handler


class ExternalMetrics(MetricsApi):
    group_version = "external.metrics.k8s.io/v1beta1"

    def __init__(self, kube: Kube):
        super().__init__(kube)
        self.values: dict[str, int] = {}

    def found(self, words: list[str], query: dict[str, list[str]]) -> dict | None:
        metric = words[-1]
        if len(words) != 3 or metric not in self.values:  # namespaces, ns, metric
            return None
        value = {"metricName": metric, "metricLabels": {}, "timestamp": STAMP, "value": str(self.values[metric])}
        return {"kind": "ExternalMetricValueList", "apiVersion": self.group_version, "metadata": {}, "items": [value]}


class PodMetrics(MetricsApi):
    """Any metric, of the pods of that namespace."""
    group_version = "custom.metrics.k8s.io/v1beta2"

    def __init__(self, kube: Kube, values: Callable[[list[dict]], dict[str, int]]):
        """values: of each of the pods, by name, in thousandths."""
        super().__init__(kube)
        self.values_of = values
        self.told: list[tuple[float, dict[str, int]]] = []  # what was said of each pod, and the time.monotonic() of that

    def found(self, words: list[str], query: dict[str, list[str]]) -> dict | None:
        if len(words) != 5 or words[2:4] != ["pods", "*"]:  # namespaces, ns, pods, *, metric
            return None
        pods = self.kube.list("pods", query.get("labelSelector", [""])[0])
        values = self.values_of(pods)
        self.told.append((time.monotonic(), values))
        return {"kind": "MetricValueList", "apiVersion": self.group_version, "metadata": {}, "items": [
            {"describedObject": {"kind": "Pod", "apiVersion": "/v1", "name": pod, "namespace": self.kube.namespace},
             "metric": {"name": words[4]}, "timestamp": STAMP, "value": f"{value}m"}
            for pod, value in values.items()]}


def tls() -> ssl.SSLContext:
    """With a certificate made for this run: the API server is told not to check it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.TemporaryDirectory(prefix="e2e-metrics-") as folder:
        key, certificate = os.path.join(folder, "key"), os.path.join(folder, "certificate")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj",
                        "/CN=external-metrics", "-keyout", key, "-out", certificate], check=True, capture_output=True,
                       timeout=30)
        context.load_cert_chain(certificate, key)
    return context
