"""A pool at zero, and back: scaled by hand, by an autoscaler that may scale to zero, and as KEDA does it. Nothing that is
under way is cut. While there is no replica, all that watches the pool says that this is meant, and clients of the gateway
are told so at once and when to try again. Once there are replicas again, the same gateway serves, and nobody has touched
it."""
import http.client
import json
import time
import urllib.parse
from typing import Callable

from support import gateway, gateways
from support.case import main
from support.cluster import needs_own_cluster
from support.drain import PODS, SECONDS, Disruptions, slow_model
from support.external_metrics import ExternalMetrics, autoscaler
from support.kube import Kube, condition, stays, wait_for
from support.load import Clients, NumberedStream, complete
from support.prometheus import Prometheus

POOL = {"apiVersion": "poolwarden.io/v1alpha1", "kind": "InferencePool", "name": "vllm"}
DEPLOYMENT = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "vllm"}
LOAD = 8
ANSWER = min(SECONDS, 30)  # seconds, of those that are under way
# What conditions say of a pool that is at zero because somebody wants it there.
MEANT = {"Available": ("False", "ScaledToZero"), "Progressing": ("False", "Stable"), "Degraded": ("False", "AsExpected"),
         "ScaleTargetFound": ("True", "Found"), "EndpointsPublished": ("True", "Published")}
AT_ONCE = 1.0  # s until a client hears that there is nobody, on a busy machine


class AtZero(Disruptions):
    def deploy(self, replicas: int) -> str:
        """Returns the address of the gateway's Service, as clients have it: at zero there must be somebody behind it."""
        gateway.deploy(self.kube, replicas, patches=(slow_model(),))
        return self.enterContext(gateway.reach(self.kube)).url

    def gateway_pods(self) -> list[tuple[str, list[int]]]:
        return [(pod["metadata"]["uid"], [each["restartCount"] for kind in ("containerStatuses", "initContainerStatuses")
                                          for each in pod["status"][kind]])
                for pod in self.kube.list("pods", gateway.SELECTOR)]

    def to_zero(self, url: str, act: Callable[[], object]) -> None:
        """act() under long answers, each of which is to be whole. What comes later is to be refused until there is
        somebody."""
        load = Clients(url, LOAD, tokens=ANSWER, streamed=True).start()
        self.addCleanup(load.abandon)
        wait_for(lambda: sum(self.in_flight().values()) == LOAD, f"{LOAD} answers under way", 60)
        load.stopping.set()
        act()
        self.kube.wait_endpoints(0)
        self.assertEqual(LOAD, load.waiting_since(time.monotonic()), "answers under way when the list was empty")
        self.refused(url, "while they drain")
        load.stop()
        self.figure("answers under way that were cut", len(load.errors), f"of {LOAD}")
        self.assertEqual([], load.errors, load.summary())
        wait_for(lambda: not self.kube.list("pods", PODS), "no pod", 60)

    def refused(self, url: str, when: str) -> None:
        """At once, and in a form that clients of OpenAI's API know."""
        wait_for(lambda: post(url)[0] == 503, "the gateway to have nobody", 10)
        for streamed in (False, True):
            began = time.monotonic()
            status, headers, body = post(url, streamed)
            took = time.monotonic() - began
            self.assertEqual((503, "application/json"), (status, headers["content-type"]), f"{when}: {body!r}")
            self.assertGreater(int(headers["retry-after"]), 0)
            error = json.loads(body)["error"]
            self.assertEqual(("server_error", "no_replica"), (error["type"], error["code"]), error)
            self.assertLess(took, AT_ONCE, f"{when}: it had to wait for its 503")
        self.note(f"{when}: {status}, Retry-After: {headers['retry-after']}, {body.decode()} (after {took * 1000:.0f} ms)")

    def wait_meant(self) -> None:
        """The pool's status, its list and what kubectl shows."""
        shown = ["vllm", "0", "0", "0", "0", "vllm"]
        wait_for(lambda: self.kube.run("get", "pwp", "--no-headers").out.split()[:6] == shown, "zero of all", 30)
        for kind, (status, reason) in MEANT.items():
            self.kube.wait_condition(kind, status, reason, seconds=30)
        status = self.kube.pool()["status"]
        self.assertEqual([], status.get("endpoints", []), "pods of which something is said")
        self.assertEqual(0, self.kube.get("deployment", "vllm")["spec"]["replicas"])
        self.note(self.kube.run("get", "pwp").out)
        self.note("; ".join(f"{kind}: {condition(self.kube.pool(), kind)['message']}" for kind in MEANT))
        published = self.kube.get("configmap", "vllm-endpoints")
        document = json.loads(published["data"]["endpoints.json"])
        self.assertEqual(("EndpointSet", "vllm", []), (document["kind"], document["pool"], document["endpoints"]))
        self.assertEqual("", published["data"]["endpoints.txt"])
        self.assertEqual(status["endpointsRevision"], document["revision"])

    def back(self, url: str, began: float, replicas: int) -> None:
        """Clients try again, as they were told to; nobody else does anything."""
        wait_for(lambda: not complete(url, tokens=1).error, "an answer", 60)
        self.figure("from there to the first answer", time.monotonic() - began, "s")
        self.kube.wait_endpoints(replicas)
        stream = NumberedStream(url, period=0.7, quiet=True, tokens=1).start()
        time.sleep(5)
        stream.stop()
        self.assertEqual([], stream.errors, stream.summary())
        self.step(f"{stream.summary()}, by {len(stream.by_pod())} pods")
        wait_for(lambda: condition(self.kube.pool(), "Available")["status"] == "True", "the pool to be available", 30)

    def test_by_hand(self) -> None:
        url = self.deploy(2)
        before = self.gateway_pods()
        self.step("kubectl scale pwp/vllm --replicas=0")
        self.to_zero(url, lambda: self.kube.run("scale", "pwp/vllm", "--replicas=0"))
        self.wait_meant()
        self.refused(url, "at zero")
        # Its probe looks each second, and the Service forgets a pod after three.
        stays(lambda: post(url)[0] == 503, "an answer by way of the gateway's Service", seconds=8, every=1)
        self.step("kubectl scale pwp/vllm --replicas=2")
        began = time.monotonic()
        self.kube.run("scale", "pwp/vllm", "--replicas=2")
        self.back(url, began, 2)
        self.assertEqual(before, self.gateway_pods(), "the gateway is the same, and was not restarted")

    def test_gateway_that_starts_at_zero(self) -> None:
        """It has never had a replica, and serves its 503 all the same, from when it has read the list."""
        url = self.deploy(1)
        self.kube.run("scale", "pwp/vllm", "--replicas=0")
        self.kube.wait_endpoints(0)
        self.step("kubectl rollout restart deployment/gateway, at zero")
        before = self.gateway_pods()
        began = time.monotonic()
        self.kube.run("rollout", "restart", "deployment/gateway")
        self.kube.wait_rolled_out("deployment/gateway", seconds=90)
        self.figure("a gateway replaced at zero", time.monotonic() - began, "s")
        wait_for(lambda: len(self.gateway_pods()) == 1 and self.gateway_pods() != before, "the new one alone", 90)
        self.refused(url, "by a gateway that started at zero")
        began = time.monotonic()
        self.kube.run("scale", "pwp/vllm", "--replicas=1")
        self.back(url, began, 1)

    @needs_own_cluster("runs gateways in the cluster's own network")
    def test_other_gateways(self) -> None:
        """Those of examples/ that say of themselves what a client is told."""
        self.deploy(1)
        fronts = [self.enterContext(gateways.Gateway(kind, self.namespace, "", fed=True)) for kind in ("envoy", "nginx")
                  if not gateways.missing(kind)]
        self.kube.run("scale", "pwp/vllm", "--replicas=0")
        self.kube.wait_endpoints(0)
        for front in fronts:
            self.refused(front.url, f"{front.kind}, at zero")
            self.assertTrue(front.is_ready(), f"{front.kind} holds the empty list")
        self.kube.run("scale", "pwp/vllm", "--replicas=1")
        for front in fronts:
            self.back(front.url, time.monotonic(), 1)

    @needs_own_cluster("runs a Prometheus in the cluster's network")
    def test_alerts(self) -> None:
        """None while there is nobody on purpose; one while somebody is wanted and nobody comes."""
        self.deploy(1)
        prometheus = self.enterContext(Prometheus())
        of_pool = f'namespace="{self.namespace}",pool="vllm"'
        ready = f'sum(poolwarden_endpoints{{{of_pool},state="ready"}})'
        wait_for(lambda: prometheus.query(ready) == 1, "Prometheus to know of the pool", 30)
        self.step("kubectl scale deployment/vllm --replicas=0")
        self.kube.run("scale", "deployment/vllm", "--replicas=0")
        wait_for(lambda: prometheus.query(ready) == 0, "Prometheus to see none", 30)
        self.wait_meant()
        # Without the time for which an alert has to hold, it may fire for the moment between the list and the pool.
        wait_for(lambda: not prometheus.firing(), "no alert", 15)
        stays(lambda: prometheus.query(ready) == 0 and not prometheus.firing(), "none serves, and no alert", 10, every=1)
        self.step("kubectl scale deployment/vllm --replicas=1, and no node will have it")
        self.kube.patch("deployment", "vllm", {"spec": {"template": {"spec": {"nodeSelector": {"no": "node"}}}}})
        self.kube.run("scale", "deployment/vllm", "--replicas=1")
        alert = prometheus.wait_firing("PoolEmpty")
        self.note(f"{alert['summary']}. {alert['description']}")
        self.assertIn(f"{self.namespace}/vllm", alert["summary"])
        self.kube.wait_condition("Available", "False", "NoReadyEndpoints")
        self.kube.patch("deployment", "vllm", {"spec": {"template": {"spec": {"nodeSelector": None}}}})
        self.kube.wait_endpoints(1)
        wait_for(lambda: not prometheus.firing(), "the alert to end", 30)

    @needs_own_cluster("registers an API of external metrics")
    def test_autoscaler(self) -> None:
        """HPAScaleToZero: on by default since Kubernetes 1.37. It comes back from a zero of its own only."""
        url = self.deploy(2)
        metrics = self.enterContext(ExternalMetrics(self.kube))
        metrics.values["queued"] = 15
        wanted = autoscaler("by-queue", POOL, "queued")
        wanted["spec"]["minReplicas"] = 0
        self.kube.apply(wanted)
        wait_for(lambda: self.scaling("by-queue") == ("True", "ValidMetricFound"), "the autoscaler to read its metric", 60)
        self.step("nothing queued: the autoscaler asks for none")
        self.to_zero(url, lambda: metrics.values.update(queued=0))
        self.assertEqual("True", condition(self.kube.get("hpa", "by-queue"), "ScaledToZero")["status"])
        self.wait_meant()
        self.refused(url, "at zero")
        self.step("15 queued: it asks for two")
        began = time.monotonic()
        metrics.values["queued"] = 15
        self.back(url, began, 2)
        self.step("kubectl scale pwp/vllm --replicas=0: the autoscaler leaves that be")
        self.kube.run("scale", "pwp/vllm", "--replicas=0")
        wait_for(lambda: self.scaling("by-queue") == ("False", "ScalingDisabled"), "the autoscaler to see it", 30)
        self.wait_meant()

    def scaling(self, name: str) -> tuple[str, str]:
        found = condition(self.kube.get("hpa", name), "ScalingActive")
        return found["status"], found["reason"]

    @needs_own_cluster("registers an API of external metrics")
    def test_keda_on_the_pool(self) -> None:
        self.as_keda_does(POOL)

    @needs_own_cluster("registers an API of external metrics")
    def test_keda_on_the_deployment(self) -> None:
        self.as_keda_does(DEPLOYMENT)

    def as_keda_does(self, scaled: dict) -> None:
        """Its own writes are those of zero and of the first replica, by way of the scale subresource; between one and the
        most its HorizontalPodAutoscaler does the rest, which is there all the time and leaves a zero be. So has KEDA
        2.20, pkg/scaling/executor/scale_scaledobjects.go."""
        url = self.deploy(2)
        metrics = self.enterContext(ExternalMetrics(self.kube))
        metrics.values["queued"] = 15
        self.kube.apply(autoscaler("keda-hpa-vllm", scaled, "queued"))
        wait_for(lambda: self.scaling("keda-hpa-vllm") == ("True", "ValidMetricFound"), "its autoscaler to read its metric",
                 60)
        self.step(f"inactive: KEDA writes zero to the {scaled['kind']}")
        metrics.values["queued"] = 0
        self.to_zero(url, lambda: self.write_scale(scaled, 0))
        self.wait_meant()
        wait_for(lambda: self.scaling("keda-hpa-vllm") == ("False", "ScalingDisabled"), "its autoscaler to leave it be", 30)
        self.refused(url, "at zero")
        self.step("active, with 25 queued: KEDA writes one, and its autoscaler asks for three")
        began = time.monotonic()
        metrics.values["queued"] = 25
        self.write_scale(scaled, 1)
        self.back(url, began, 3)
        self.assertEqual(3, self.kube.pool()["spec"]["replicas"])
        self.assertEqual(3, self.kube.get("deployment", "vllm")["spec"]["replicas"])
        self.assertEqual("False", condition(self.kube.pool(), "Degraded")["status"])

    def write_scale(self, scaled: dict, replicas: int) -> None:
        """As it was read, with another count. Whoever else wrote the object meanwhile has KEDA look again, later."""
        plural = {"InferencePool": "inferencepools", "Deployment": "deployments"}[scaled["kind"]]
        path = f"/apis/{scaled['apiVersion']}/namespaces/{self.namespace}/{plural}/{scaled['name']}/scale"

        def write() -> bool:
            scale = json.loads(Kube().run("get", "--raw", path).out)
            scale["spec"]["replicas"] = replicas
            return bool(Kube().run("replace", "--raw", path, "-f", "-", stdin=json.dumps(scale)).out)
        wait_for(write, f"{replicas} to be written", 30, every=1)


def post(url: str, streamed: bool = False) -> tuple[int, dict[str, str], bytes]:
    """Status, headers by their names in lower case, and body. 0 if nobody answers."""
    address = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=10)
    try:
        connection.request("POST", "/v1/completions", json.dumps({"model": "m", "prompt": "p", "stream": streamed,
                                                                  "max_tokens": 1}), {"Content-Type": "application/json"})
        answer = connection.getresponse()
        return answer.status, {key.lower(): value for key, value in answer.getheaders()}, answer.read()
    except (OSError, http.client.HTTPException):
        return 0, {}, b""
    finally:
        connection.close()


main()
