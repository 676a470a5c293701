"""What feeds a gateway, on its bad days and under very many changes: a thousand changes of endpoints a minute, the feed
killed, the gateway killed, the API server away for a minute. Every kind of gateway at once, on pods that have no kubelet:
what is said of them is the test's to say, and what answers at their addresses is one server."""
import http.client
import json
import os
import random
import subprocess
import threading
import time

from support import cluster, gateways
from support.case import Case, main
from support.kube import ROOT, Kube, wait_for
from support.load import Clients
from support.watch import access, connect

SECONDS = int(os.environ.get("E2E_CHANGES_SECONDS", "300"))
A_MINUTE = 1000
COUNT = 20  # pods; the first half of them changes
KINDS = [kind for kind in gateways.KINDS if kind != "service"]
GROWTH = 8  # MiB that a feed may grow while nothing but its revision does: pages of its allocator, not of the list
POOL = {"apiVersion": "poolwarden.io/v1alpha1", "kind": "InferencePool", "metadata": {"name": "vllm"}, "spec": {
    "selector": {"matchLabels": {"app": "hollow"}}, "targetPorts": [{"number": 8000}]}}


def now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


class HollowPods:
    """Pods of a node without a kubelet, at addresses of the cluster's own network (RFC 5737's, for documentation)."""

    def __init__(self, case: Case):
        self.namespace, self.kube, self.node = case.namespace, case.kube, f"hollow-{case.namespace}"
        self.ready: dict[str, str] = {}  # address of each pod that is said to be ready, by name
        self.connection = connect()
        Kube().create({"apiVersion": "v1", "kind": "Node", "metadata": {"name": self.node, "labels": {"e2e": "true"}},
                       "spec": {"taints": [{"key": "e2e", "effect": "NoSchedule"}]}})
        case.addCleanup(Kube().delete, "node", self.node)
        self.over = threading.Event()
        heart = threading.Thread(target=self.beat, daemon=True)
        heart.start()
        case.addCleanup(heart.join)
        case.addCleanup(self.over.set)
        for number in range(1, COUNT + 1):
            self.make(number, case)

    def beat(self) -> None:
        """The node is given up, and its pods with it, after 40 s without a word."""
        connection = None
        while not self.over.wait(2):
            try:
                connection = connection or connect()
                self.patch(f"/api/v1/nodes/{self.node}/status", {"status": {"conditions": [
                    {"type": "Ready", "status": "True", "reason": "Said", "lastHeartbeatTime": now(),
                     "lastTransitionTime": now()}]}}, connection)
            except (OSError, http.client.HTTPException, AssertionError):
                connection = None  # the API server is away

    @staticmethod
    def address(number: int) -> str:
        return f"198.51.100.{number}"

    @staticmethod
    def name(number: int) -> str:
        return f"pod-{number}"

    def make(self, number: int, case: Case) -> None:
        subprocess.run(["ip", "address", "replace", f"{self.address(number)}/32", "dev", "lo"], check=True, timeout=10)
        case.addCleanup(subprocess.run, ["ip", "address", "delete", f"{self.address(number)}/32", "dev", "lo"], check=False,
                        timeout=10)
        self.kube.create({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": self.name(number), "labels": {"app": "hollow"}},
            "spec": {"nodeName": self.node, "terminationGracePeriodSeconds": 0, "automountServiceAccountToken": False,
                     "tolerations": [{"operator": "Exists"}],
                     "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
                     "containers": [{"name": "vllm", "image": "hollow",
                                     "securityContext": {"allowPrivilegeEscalation": False,
                                                         "capabilities": {"drop": ["ALL"]}}}]}})
        self.say(number, True)

    def say(self, number: int, ready: bool) -> None:
        """As a kubelet would, once its probe has spoken."""
        conditions = [{"type": kind, "status": "True" if ready or kind in ("PodScheduled", "Initialized") else "False",
                       "lastTransitionTime": now()} for kind in ("PodScheduled", "Initialized", "ContainersReady", "Ready")]
        address = self.address(number)
        body = {"status": {"phase": "Running", "podIP": address, "podIPs": [{"ip": address}], "conditions": conditions}}
        self.patch(f"/api/v1/namespaces/{self.namespace}/pods/{self.name(number)}/status", body,
                   self.connection)
        if ready:
            self.ready[self.name(number)] = address
        else:
            self.ready.pop(self.name(number), None)

    @staticmethod
    def patch(path: str, body: dict, connection: http.client.HTTPSConnection) -> None:
        connection.request("PATCH", path, json.dumps(body), {
            **access().headers, "Content-Type": "application/strategic-merge-patch+json"})
        answer = connection.getresponse()
        text = answer.read()
        if answer.status >= 300:
            raise AssertionError(f"PATCH {path}: {answer.status} {text[:300]!r}")

    def reconnect(self) -> None:
        self.connection.close()
        self.connection = connect()


@cluster.needs_own_cluster("runs gateways in the cluster's own network, and stops the API server")
class GatewayFeeds(Case):
    api_server_runs = True

    def setUp(self) -> None:
        super().setUp()
        self.kinds = [kind for kind in KINDS if not gateways.missing(kind)]
        for kind in set(KINDS) - set(self.kinds):
            self.note(f"{kind} is left out: its program cannot be had")
        server = subprocess.Popen([os.path.join(ROOT, "build", "bin", "vllm-sim"), "--host=0.0.0.0", "--port=8000",
                                   "--model=facebook/opt-125m", "--time-to-first-token=20", "--time-per-output-token=20"],
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(server.wait)
        self.addCleanup(server.kill)
        self.pods = HollowPods(self)
        self.kube.create(POOL)
        self.kube.wait_endpoints(COUNT)
        address = f"{self.pods.address(COUNT)}:8000"
        self.fronts = [self.enterContext(gateways.Gateway(kind, self.namespace, address, fed=True)) for kind in self.kinds]
        self.agree("at first")

    def agree(self, when: str, seconds: float = 30) -> None:
        """Each gateway sends to exactly the pods that are ready."""
        wanted = set(self.pods.ready.values())
        began = time.monotonic()
        for front in self.fronts:
            wait_for(lambda each=front: self.sends_to(each, wanted), f"{front.kind} to agree {when}", seconds)
        self.note(f"{when}: all agree on {len(wanted)} endpoints after {time.monotonic() - began:.1f} s")

    def sends_to(self, front: gateways.Gateway, wanted: set[str]) -> bool:
        serving = front.serving()
        if serving != wanted:
            raise AssertionError(f"beside {sorted(serving - wanted)}, without {sorted(wanted - serving)}\n{front.log()}")
        return True

    def loads(self) -> list[Clients]:
        return [Clients(front.url, 2, pause=0.2, tokens=5, streamed=True, timeout=30).start() for front in self.fronts]

    def no_errors(self, loads: list[Clients]) -> None:
        for load in loads:
            load.stop()
        for front, load in zip(self.fronts, loads):
            self.note(f"{front.kind}: {load.summary()}")
        for front, load in zip(self.fronts, loads):
            self.assertEqual([], load.errors, front.kind)

    def test_a_thousand_changes_a_minute(self) -> None:
        count = SECONDS * A_MINUTE // 60
        self.step(f"{count} changes, {A_MINUTE} a minute if the machine keeps up")
        loads, began = self.loads(), time.monotonic()
        self.change(count // 5)
        early = {front.kind: front.resident() for front in self.fronts}
        self.change(count - count // 5)
        self.figure(f"{count} changes of endpoints", time.monotonic() - began, "s")
        self.agree("after the last change")
        self.no_errors(loads)
        for front in self.fronts:
            grown = front.resident() - early[front.kind]
            self.figure(f"{front.kind}: its feed has grown by, of {front.resident():.0f} MiB", grown, "MiB")
            for change in ("withdraw", "admit"):
                self.latency(front, change)
            self.assertLess(grown, GROWTH, front.kind)

    def change(self, count: int) -> None:
        """At that rate, one pod at a time is said to be ready, or not; some always are."""
        began = time.monotonic()
        for made in range(count):
            time.sleep(max(0.0, began + made * 60 / A_MINUTE - time.monotonic()))
            number = random.randint(1, COUNT // 2)
            self.pods.say(number, self.pods.name(number) not in self.pods.ready)

    def latency(self, front: gateways.Gateway, change: str) -> None:
        found = front.metrics()
        name = "poolwarden_gateway_apply_seconds"
        buckets = sorted((float(labels["le"]), value) for sample, labels, value in found.samples
                         if sample == f"{name}_bucket" and labels["change"] == change)
        count = buckets[-1][1]
        self.assertTrue(count, f"{front.kind}: nothing was counted")
        shown = []
        for share in (0.5, 0.99):
            bound = next(le for le, value in buckets if value >= share * count)
            shown.append(f"p{share * 100:.0f} within {bound * 1000:g} ms")
        self.note(f"{front.kind}: {change}, from the event to the gateway's word: {', '.join(shown)}, of {count:.0f}")

    def test_its_feed_is_killed(self) -> None:
        loads = self.loads()
        time.sleep(2)
        self.step("kill -9 of every gateway-sync; endpoints change; it starts again")
        for front in self.fronts:
            front.kill("sync")
        for number in (1, 2, 3):
            self.pods.say(number, False)
        time.sleep(2)
        for front in self.fronts:
            front.restart("sync")
        self.agree("after its feed was killed")
        self.no_errors(loads)

    def test_the_gateway_is_killed(self) -> None:
        for number in (1, 2, 3):
            self.pods.say(number, False)
        self.agree("before it")
        self.step("kill -9 of every gateway; it starts again with what its configuration has")
        for front in self.fronts:
            front.restart("gateway")
        self.agree("after the gateway was killed", 60)
        for front in self.fronts:
            wait_for(front.answers, f"{front.kind} to answer", 30)

    def start_api_server(self) -> None:
        if not self.api_server_runs:
            cluster.component("start", "apiserver")
            cluster.wait_api_server()
            self.api_server_runs = True

    def test_the_api_server_is_away(self) -> None:
        self.addCleanup(self.start_api_server)
        loads = self.loads()
        before = set(self.pods.ready.values())
        self.step("the API server is stopped for a minute")
        cluster.component("stop", "apiserver")
        self.api_server_runs = False
        until = time.monotonic() + 60
        while time.monotonic() < until:
            for front in self.fronts:
                self.assertEqual(before, front.serving(), front.kind)
            time.sleep(2)
        self.start_api_server()
        self.pods.reconnect()
        self.pods.say(1, False)
        self.agree("after the API server was away", 120)
        self.no_errors(loads)


main()
