"""A stand-in for an adapter of external metrics (KEDA, prometheus-adapter): HorizontalPodAutoscalers read from it what
the case says. It registers itself with the API server's aggregation layer and answers on the node's address, so it
works only on the tests' own cluster.

    with ExternalMetrics(kube) as metrics:
        metrics.values["queued_requests"] = 25
"""
import http.server
import json
import os
import ssl
import subprocess
import tempfile
import threading

from support.kube import Kube, condition, wait_for

GROUP_VERSION = "external.metrics.k8s.io/v1beta1"
API_SERVICE = "v1beta1.external.metrics.k8s.io"
SERVICE = "external-metrics"


def autoscaler(name: str, scaled: dict, metric: str) -> dict:
    """Of one replica for every ten of the metric, without the pauses that are for real traffic."""
    at_once = {"stabilizationWindowSeconds": 0, "policies": [{"type": "Pods", "value": 10, "periodSeconds": 5}]}
    return {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": name}, "spec": {
        "scaleTargetRef": scaled, "minReplicas": 1, "maxReplicas": 4,
        "behavior": {"scaleUp": at_once, "scaleDown": at_once},
        "metrics": [{"type": "External", "external": {
            "metric": {"name": metric}, "target": {"type": "AverageValue", "averageValue": "10"}}}]}}


class ExternalMetrics:
    def __init__(self, kube: Kube):
        self.kube = kube
        self.values: dict[str, int] = {}
        self.reads = 0

    def __enter__(self) -> "ExternalMetrics":
        self.server = http.server.ThreadingHTTPServer((self.node_address(), 0), self.handler())
        self.server.socket = tls().wrap_socket(self.server.socket, server_side=True)
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()
        self.register()
        return self

    def __exit__(self, *_: object) -> None:
        Kube().delete("apiservice", API_SERVICE)
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
            {"apiVersion": "v1", "kind": "Service", "metadata": {"name": SERVICE}, "spec": {"ports": [
                {"name": "https", "port": 443, "targetPort": port}]}},
            {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
             "metadata": {"name": SERVICE, "labels": {"kubernetes.io/service-name": SERVICE}},
             "addressType": "IPv4", "ports": [{"name": "https", "port": port}],
             "endpoints": [{"addresses": [address], "conditions": {"ready": True}}]}])
        Kube().apply({
            "apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService", "metadata": {"name": API_SERVICE},
            "spec": {"group": GROUP_VERSION.split("/")[0], "version": "v1beta1", "groupPriorityMinimum": 100,
                     "versionPriority": 100, "insecureSkipTLSVerify": True,
                     "service": {"name": SERVICE, "namespace": namespace, "port": 443}}})
        wait_for(lambda: condition(Kube().get("apiservice", API_SERVICE), "Available")["status"] == "True",
                 "the API of external metrics to be available", 60)

    def answer(self, path: str) -> dict | None:
        words = path.partition("?")[0].strip("/").split("/")  # apis, group, version, namespaces, ns, metric
        if words == ["apis", *GROUP_VERSION.split("/")]:
            return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": GROUP_VERSION, "resources": []}
        if len(words) != 6 or words[5] not in self.values:
            return None
        self.reads += 1
        value = {"metricName": words[5], "metricLabels": {}, "timestamp": "2026-01-01T00:00:00Z",
                 "value": str(self.values[words[5]])}
        return {"kind": "ExternalMetricValueList", "apiVersion": GROUP_VERSION, "metadata": {}, "items": [value]}

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
