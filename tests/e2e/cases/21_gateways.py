"""One pool, every kind of gateway in front of it, and each way in which a replica goes: how many requests fail. All
gateways at once, so that one fault meets all of them under the same load, plain and streamed; first without Poolwarden,
then with it. The servers cut what they generate when they are told to stop, as vLLM does by default.

Of a replica that is taken away on purpose no request may fail, whatever the gateway. Of one that dies no request may fail
whose answer had not begun, where the gateway tries such a request again. The rest is printed."""
import contextlib
import dataclasses
import http.client
import json
import signal
import threading
import time
from typing import Callable

from support import gateways, processes
from support.case import Case, main
from support.cluster import needs_own_cluster
from support.gateway import PATIENCE
from support.kube import Kube, is_ready, name_of, wait_for
from support.load import Clients
from support.watch import Watch, access, connect

PODS = "app=vllm"
CLIENTS = 4  # with plain answers, and as many with streamed ones, of each gateway
CONSUMERS = 50
SHORT, MIDDLE, LONG = 5, 50, 400  # tokens, ten a second
# A connection to a Service is to one replica, and nothing tries a request again.
NO_RETRY = ("service", "service, direct")
SERVERS = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "vllm"}, "spec": {
    "replicas": 3, "template": {"spec": {"terminationGracePeriodSeconds": 30, "containers": [{
        "name": "vllm", "lifecycle": None, "readinessProbe": PATIENCE,
        "args": ["--model=facebook/opt-125m", "--port=8000", "--time-to-first-token=100", "--time-per-output-token=100"]}]}}}}
PLAIN = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "plain"}, "spec": {
    "selector": {"app": "vllm"}, "ports": [{"port": 8000}]}}
# Not "vllm": the Service of a pool of that name has no address, since vLLM would take its variable for a setting.
POOL = {"apiVersion": "poolwarden.io/v1alpha1", "kind": "InferencePool", "metadata": {"name": "vllm"}, "spec": {
    "scaleTargetRef": {"name": "vllm"}, "targetPorts": [{"number": 8000}],
    "publish": {"service": {"name": "models"}}}}


class Consumers:
    """Consumers of the list as docs/contract.md has them, which hold each list as soon as they hear of it."""

    def __init__(self, namespace: str, count: int):
        self.path, self.kube = f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases", Kube(namespace)
        self.names = [f"vllm-made-{number}" for number in range(count)]
        self.lists = Watch(f"/api/v1/namespaces/{namespace}/configmaps", "poolwarden.io/pool=vllm")
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.confirmed = 0

    def __enter__(self) -> "Consumers":
        self.lists.__enter__()
        self.kube.create([self.lease(name) for name in self.names])
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self.thread.join()
        self.lists.__exit__()

    @staticmethod
    def lease(name: str) -> dict:
        return {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {
            "name": name, "labels": {"poolwarden.io/pool": "vllm", "poolwarden.io/consumer": "made"}},
            "spec": {"holderIdentity": name, "leaseDurationSeconds": 30}}

    def run(self) -> None:
        connection, held, renew = connect(), None, 0.0
        while not self.over.wait(0.02):
            events = [event for event in list(self.lists.events) if event.kind in ("ADDED", "MODIFIED")]
            revision = json.loads(events[-1].object["data"]["endpoints.json"])["revision"] if events else None
            if revision == held and time.monotonic() < renew:
                continue
            for name in self.names:
                self.confirm(connection, name, revision)
            self.confirmed += revision != held
            held, renew = revision, time.monotonic() + 8

    def confirm(self, connection: http.client.HTTPSConnection, name: str, revision: int | None) -> None:
        now = time.time()
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + f".{int(now % 1 * 1e6):06d}Z"
        body = {"metadata": {"annotations": {"poolwarden.io/applied-revisions": str(revision or ""),
                                             "poolwarden.io/applied-at": stamp}}, "spec": {"renewTime": stamp}}
        connection.request("PATCH", f"{self.path}/{name}", json.dumps(body),
                           {**access().headers, "Content-Type": "application/merge-patch+json"})
        answer = connection.getresponse()
        text = answer.read()
        if answer.status >= 300:
            raise AssertionError(f"PATCH {name}: {answer.status} {text[:300]!r}")


@dataclasses.dataclass(frozen=True)
class Fault:
    name: str
    tokens: int
    act: Callable[["Gateways"], None]
    left: int  # replicas, after it
    on_purpose: bool  # held by Poolwarden until nothing is in flight


@dataclasses.dataclass
class Row:
    fault: Fault
    gateway: str
    fed: bool
    plain: Clients
    streamed: Clients

    def told(self) -> str:
        return "  ".join(f"{len(load.errors):3d} / {len(load.answers):4d}" for load in (self.plain, self.streamed))


FAULTS = (
    Fault("delete pod", SHORT, lambda case: case.delete(), 3, False),
    Fault("delete pod", MIDDLE, lambda case: case.delete(), 3, False),
    Fault("delete pod --force", SHORT, lambda case: case.delete("--force", "--grace-period=0"), 3, False),
    Fault("kill -9", SHORT, lambda case: processes.kill(case.victim(), "vllm-sim"), 3, False),
    Fault("rollout restart", MIDDLE, lambda case: case.restart(), 3, True),
    Fault("scale to 1", LONG, lambda case: case.scale(1), 1, True),
)


@needs_own_cluster("runs gateways in the cluster's own network, and signals processes of containers")
class Gateways(Case):
    def victim(self) -> dict:
        return self.kube.ready_pods(PODS)[0]

    def delete(self, *how: str) -> None:
        self.kube.run("delete", "pod", name_of(self.victim()), "--wait=false", *how)

    def restart(self) -> None:
        self.kube.run("rollout", "restart", "deployment/vllm")
        self.kube.wait_rolled_out("deployment/vllm")

    def scale(self, replicas: int) -> None:
        self.kube.run("scale", "deployment/vllm", f"--replicas={replicas}")

    def whole(self, count: int, seconds: float = 120) -> None:
        """As many pods, all ready, and none on its way out."""
        def look() -> bool:
            pods = self.kube.list("pods", PODS)
            return len(pods) == count and all(map(is_ready, pods))
        wait_for(look, f"{count} ready pods and no other", seconds)

    def deploy(self) -> None:
        """Three servers, without a pool and without the example's own gateway."""
        self.kube.apply_kustomization("examples/vllm-sim", ({"patch": json.dumps(SERVERS)},))
        self.kube.delete("pwp", "vllm")
        self.kube.delete("deployment", "gateway")
        self.whole(3)
        self.kube.apply(PLAIN)

    def pool(self) -> None:
        self.kube.apply(POOL)
        self.kube.wait_endpoints(3)

    def test_every_gateway_under_every_fault(self) -> None:
        kinds = [kind for kind in gateways.KINDS if not gateways.missing(kind)]
        for kind in set(gateways.KINDS) - set(kinds):
            self.note(f"{kind} is left out: its program cannot be had")
        self.deploy()
        rows = self.all_faults(kinds, fed=False, service="plain")
        self.pool()
        rows += self.all_faults(kinds, fed=True, service="models")
        self.kube.patch("pwp", "vllm", {"spec": {"publish": {"service": {"endpointSlices": "Direct"}}}})
        wait_for(lambda: not self.kube.get("service", "models")["spec"].get("selector"), "the Service without a selector", 60)
        rows += self.all_faults(["service"], fed=True, service="models", called="service, direct")
        self.show(rows)
        self.judge([row for row in rows if row.fed])

    def test_a_consumer_falls_silent_in_the_middle_of_a_drain(self) -> None:
        """Beside two gateways, one of which stops confirming, fifty consumers that go on: the drain waits for the one, and
        the operator says for which, until its Lease has run out."""
        self.deploy()
        self.pool()
        address = gateways.service_address(self.kube, "models")
        silent, other = (self.enterContext(gateways.Gateway("haproxy", self.namespace, address, fed=True, consumer=name))
                         for name in ("silent", "other"))
        consumers = self.enterContext(Consumers(self.namespace, CONSUMERS))
        self.wait_consumers(CONSUMERS + 2)
        self.wait_renewed("vllm-haproxy-silent")
        load = Clients(other.url, CLIENTS, tokens=SHORT, streamed=True).start()
        self.addCleanup(load.abandon)
        self.step("the feed of one gateway stands still, and a replica is to go")
        silent.processes["sync"].send_signal(signal.SIGSTOP)
        began = time.monotonic()
        self.scale(2)
        self.kube.wait_endpoints(2)
        said = wait_for(lambda: [each for each in self.kube.pool()["status"]["endpoints"]
                                 if "silent" in each.get("message", "")], "the drain to say whom it waits for", 30)
        self.note(said[0]["message"])
        self.note(self.kube.run("get", "pwp", "vllm", "-o", "jsonpath={.status.consumers}").out)
        before: set[int] = set()  # how many pods there were before the Event

        def event() -> list[dict]:
            pods, found = len(self.kube.list("pods", PODS)), self.kube.events("ConsumerSilent", "vllm")
            before.update([] if found else [pods])
            return found
        note = wait_for(event, "an Event ConsumerSilent", 90)[0]["note"]
        self.note(note)
        self.assertIn("silent", note)
        told = time.monotonic()
        self.assertEqual({3}, before, "the drain did not wait")
        self.whole(2)
        self.figure("drain: the Event ConsumerSilent after", told - began, "s")
        self.figure("drain: the replica gone, from that Event,", time.monotonic() - told, "s")
        self.figure(f"lists that {CONSUMERS} consumers confirmed", consumers.confirmed, "")
        self.step("it goes on, and is waited for again")
        silent.processes["sync"].send_signal(signal.SIGCONT)
        self.wait_consumers(CONSUMERS + 2)
        load.stop()
        self.assertEqual([], load.errors, load.summary())

    def wait_renewed(self, lease: str) -> None:
        """Of one that was made and never renewed no Event says that it fell silent: nobody knows that it ever ran."""
        first = self.kube.get("lease", lease)["spec"]["renewTime"]
        wait_for(lambda: self.kube.get("lease", lease)["spec"]["renewTime"] != first, f"Lease {lease} to be renewed", 30)

    def wait_consumers(self, count: int) -> None:
        """As many, all live, and each with the newest list."""
        def look() -> bool:
            status = self.kube.pool()["status"]
            late = [each for each in status["consumers"] if not each["live"] or each.get("behind")]
            if late or status["consumerCount"] != count:
                raise AssertionError(f"{status['consumerCount']} consumers, late: {late}")
            return True
        wait_for(look, f"{count} live consumers with the newest list", 60)

    def all_faults(self, kinds: list[str], fed: bool, service: str, called: str = "") -> list[Row]:
        rows = []
        address = gateways.service_address(self.kube, service)
        with contextlib.ExitStack() as running:
            fronts = [running.enter_context(gateways.Gateway(kind, self.namespace, address, fed)) for kind in kinds]
            for fault in FAULTS:
                rows += [dataclasses.replace(row, gateway=called or row.gateway)
                         for row in self.one_fault(fault, fronts, fed)]
                self.scale(3)
                self.whole(3)
                for front in fronts:
                    wait_for(front.answers, f"{front.kind} to answer again", 60)
        return rows

    def one_fault(self, fault: Fault, fronts: list[gateways.Gateway], fed: bool) -> list[Row]:
        self.step(f"{fault.name}, answers of {fault.tokens / 10:g} s, {'with' if fed else 'without'} Poolwarden")
        rows = [Row(fault, front.kind, fed, *(Clients(front.url, CLIENTS, tokens=fault.tokens, streamed=streamed)
                                              for streamed in (False, True))) for front in fronts]
        loads = [load for row in rows for load in (row.plain, row.streamed)]
        try:
            for load in loads:
                load.start()
            time.sleep(3)
            began = time.monotonic()
            fault.act(self)
            self.whole(fault.left)
            # Those that it met are over, and those that went astray soon after it.
            wait_for(lambda: not sum(load.waiting_since(began + 1) for load in loads), "answers under way to end",
                     fault.tokens / 10 + 60)
        finally:
            for load in loads:
                load.abandon()
        for row in rows:
            self.note(f"{row.gateway:14} {row.told()}")
            for load in (row.plain, row.streamed):
                for answer in load.errors[:3]:
                    self.note(f"    {answer.error[:150]} (after {answer.seconds:.1f} s, pod {answer.pod or '?'})")
        return rows

    def show(self, rows: list[Row]) -> None:
        self.note("errors / requests, plain and streamed")
        for fed in (False, True):
            for row in rows:
                if row.fed == fed:
                    what = f"{row.fault.name}, {row.fault.tokens / 10:g} s"
                    self.note(f"{'with' if fed else 'without':8} {what:28} {row.gateway:14} {row.told()}")
        for fed in (False, True):
            for on_purpose in (True, False):
                for kind in dict.fromkeys(row.gateway for row in rows):
                    of = [row for row in rows if (row.gateway, row.fed, row.fault.on_purpose) == (kind, fed, on_purpose)]
                    if of:
                        self.sums(f"{kind} {'with' if fed else 'without'} Poolwarden, replicas "
                                  f"{'taken away on purpose' if on_purpose else 'that died or were deleted'}", of)

    def sums(self, what: str, rows: list[Row]) -> None:
        for streamed in (False, True):
            loads = [row.streamed if streamed else row.plain for row in rows]
            self.figure(f"{what}: {'streams cut' if streamed else 'answers lost'}", sum(len(load.errors) for load in loads),
                        f"of {sum(len(load.answers) for load in loads)}")

    def judge(self, rows: list[Row]) -> None:
        for row in rows:
            with self.subTest(gateway=row.gateway, fault=row.fault.name, tokens=row.fault.tokens):
                self.assertTrue(row.plain.answers and row.streamed.answers, "no request was made: this shows nothing")
                if row.fault.on_purpose or row.gateway not in NO_RETRY:
                    self.assertEqual([], row.plain.errors)
                if row.fault.on_purpose:
                    self.assertEqual([], row.streamed.errors)


main()
