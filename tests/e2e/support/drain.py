"""A disruption of a pool under long generations, and what became of each pod and of each request.

    class Scale(Disruptions):
        def test_down(self):
            gateway.deploy(self.kube, 3, patches=(slow_model(),))
            with gateway.reach_pod(self.kube) as address:
                self.disrupt(address.url, "scale to one", lambda: ..., gone=2)

disrupt() keeps sixteen clients busy, half of them with streamed answers, each answer E2E_GENERATION_SECONDS (40) long,
and sends a short request every 0.7 s besides. Then it acts, and asks of what follows: no request failed; exactly the
pods that were said to be drained were let go; and each of them soon after the last answer that it gave, or as soon as
there was an operator again.
"""
import collections
import contextlib
import dataclasses
import json
import os
import tempfile
import time
from typing import Callable, ContextManager, Iterator

from support import operator
from support.case import Case
from support.gateway import PATIENCE
from support.kube import ROOT, SERVING, Kube, endpoints_of, is_ready, name_of, wait_for
from support.load import Answer, Clients, NumberedStream, complete
from support.reach import Reach
from support.watch import Watch

SECONDS = int(os.environ.get("E2E_GENERATION_SECONDS", "40"))
SHORT = min(SECONDS, 15)  # where pods drain one after the other
# What an idle machine needs five seconds for takes a busy one longer.
SOON = 5 * float(os.environ.get("E2E_SLACK", "4"))
# The same for what is one second there.
AGAIN = SOON / 5
CLIENTS = 16
PODS = "app=vllm"
GATE = "poolwarden-drain-gate"
# All new replicas at once. The old ones go in steps all the same: while a ReplicaSet has more than it was last told to
# have, the Deployment controller asks no more of it (cleanupUnhealthyReplicas in its rolling.go).
AT_ONCE = {"strategy": {"rollingUpdate": {"maxSurge": "100%", "maxUnavailable": 0}}}


def slow_model(*flags: str, probes: dict | None = None, kind: str = "Deployment", **spec: object) -> dict:
    """A patch for the Deployment of the examples, or what else runs the model there: a token a second, and told to stop it
    cuts what it generates, as vLLM does by default. flags: more of its server's. probes: of its container, in place of a
    patient one. spec: of the spec of that kind."""
    container = {"name": "vllm", "lifecycle": None, **(probes or {"readinessProbe": PATIENCE}), "args": [
        "--model=facebook/opt-125m", "--port=8000", "--time-to-first-token=1000", "--time-per-output-token=1000", *flags]}
    patch = {"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": "vllm"}, "spec": {
        **spec, "template": {"spec": {"terminationGracePeriodSeconds": 30, "containers": [container]}}}}
    return {"patch": json.dumps(patch)}


class Generations:
    """The load of a disruption. At its end clients hang up: nothing waits for generations that show nothing more."""

    def __init__(self, url: str, seconds: int = SECONDS):
        self.long = [Clients(url, CLIENTS // 2, tokens=seconds, streamed=streamed, timeout=seconds + 60)
                     for streamed in (False, True)]
        # Of a second each. Engines close a connection that is idle for 5 s; a period that divides the six would have one
        # begin just then, on that connection, and Envoy, as llm-d has it, tries nothing again.
        self.short = NumberedStream(url, period=0.7, quiet=True, tokens=1)
        self.loads = [*self.long, self.short]

    def __enter__(self) -> "Generations":
        for load in self.long:
            load.start()
        return self

    def __exit__(self, *_: object) -> None:
        for load in self.loads:
            load.abandon()

    def answers(self) -> list[Answer]:
        return [answer for load in self.loads for answer in list(load.answers)]

    def errors(self) -> list[Answer]:
        return [answer for load in self.loads for answer in load.errors]

    def older_than(self, seconds: float) -> int:
        """How many of the long ones have been under way for longer than that."""
        return sum(load.waiting_since(time.monotonic() - seconds) for load in self.long)

    def summary(self) -> str:
        failed = self.errors()
        lines = [f"\n    {each.error} (after {each.seconds:.1f} s, pod {each.pod or '?'})" for each in failed[:20]]
        return f"{len(failed)} errors / {sum(load.started for load in self.loads)} requests{''.join(lines)}"


@dataclasses.dataclass
class Fate:
    """Of a pod, as its watch told it; each is time.monotonic(), or None for never."""
    name: str
    withdrawn: float | None = None
    drained: float | None = None
    released: float | None = None  # its deletion began


def fates(pods: Watch, mark: int) -> dict[str, Fate]:
    """By uid, from that place of the watch on. Not of those that were never endpoints: an eviction may take a pod that was
    let go before its Deployment is scaled down, and its ReplicaSet makes one more, which goes as it came."""
    found: dict[str, Fate] = {}
    for event in list(pods.events[mark:]):
        meta = event.object["metadata"]
        state = meta.get("labels", {}).get(SERVING)
        if state is None and meta["uid"] not in found:
            continue
        fate = found.setdefault(meta["uid"], Fate(name_of(event.object)))
        if fate.released:
            continue
        if state == "draining":
            fate.withdrawn = fate.withdrawn or event.at
        if state == "drained":
            fate.drained = fate.drained or event.at
        if event.kind == "DELETED" or "deletionTimestamp" in meta:
            fate.released = event.at
    return found


@contextlib.contextmanager
def open_gate() -> Iterator[None]:
    """Without the binding of the gate, for the length of a `with`."""
    kind = "validatingadmissionpolicybinding"
    binding = Kube().find(kind, GATE)
    if binding:
        Kube().delete(kind, GATE)
        time.sleep(3)  # the API server hears of it through a watch of its own
    try:
        yield
    finally:
        if binding:
            put_back(binding)


def put_back(thing: dict) -> None:
    """An object as it was read, made anew."""
    meta = thing["metadata"]
    kept = {key: meta[key] for key in ("name", "namespace", "labels", "annotations") if key in meta}
    Kube().apply({**{key: thing[key] for key in thing if key not in ("metadata", "status")}, "metadata": kept})


class Disruptions(Case):
    seconds = SECONDS  # of a long answer; less where a test has many drains, one after the other
    asked_again = 0.0  # seconds until whoever is refused a pod asks for it again, if that is long
    operator_back = 0.0  # time.monotonic(): before that there was none to let go of a pod

    def watch_pods(self) -> Watch:
        return Watch(f"/api/v1/namespaces/{self.namespace}/pods", PODS)

    def in_flight(self) -> dict[str, int]:
        """What the engines themselves say."""
        found = {}
        for pod in self.kube.ready_pods(PODS):
            with Reach(self.namespace, f"pod/{name_of(pod)}", 8000) as address:
                metrics = operator.Metrics(address.get("/metrics"))
            found[name_of(pod)] = int(sum(metrics.sum(f"vllm:num_requests_{state}") for state in ("running", "waiting")))
        return found

    def identities(self) -> list[tuple[str, int]]:
        """Which pods there are, and how often their containers were restarted."""
        return sorted((pod["metadata"]["uid"],
                       sum(each["restartCount"] for each in pod["status"].get("containerStatuses", [])))
                      for pod in self.kube.list("pods", PODS))

    def named(self) -> dict[str, str]:
        """The uids of the pods that are not on their way out, by name."""
        return {name_of(pod): pod["metadata"]["uid"] for pod in self.kube.list("pods", PODS)
                if "deletionTimestamp" not in pod["metadata"]}

    def uids(self) -> set[str]:
        return set(self.named().values())

    def poolwarden(self, *words: str) -> str:
        """What `kubectl poolwarden` says to that, in this namespace."""
        with tempfile.TemporaryDirectory() as folder:
            os.symlink(os.path.join(ROOT, "build", "bin", "poolwarden"), os.path.join(folder, "kubectl-poolwarden"))
            path = os.environ["PATH"]
            os.environ["PATH"] = f"{folder}:{path}"
            try:
                said = Kube().run("poolwarden", *words, "--namespace", self.namespace, timeout=SECONDS + 60).out
            finally:
                os.environ["PATH"] = path
        self.note(said)
        return said

    def wait_busy(self, load: Generations) -> None:
        """Until the generations that this load asked for are under way, those of an earlier one are over, and all have long
        to go: what is done next takes a slow machine seconds, and is to meet them."""
        busy = wait_for(lambda: sum(self.in_flight().values()) == CLIENTS and self.in_flight(),
                        f"{CLIENTS} requests in flight, by the engines' metrics", 60)
        wait_for(lambda: not load.older_than(self.seconds / 4), "generations that began just now", self.seconds + 60)
        self.note("in flight: " + ", ".join(f"{pod} {count}" for pod, count in busy.items()))

    def wait_idle(self) -> None:
        """The clients have hung up: what they asked for is no longer generated, since the gateway passes that on."""
        wait_for(lambda: not sum(self.in_flight().values()), "no request in flight, by the engines' metrics", SOON)

    def watch_lists(self) -> Watch:
        return Watch(f"/api/v1/namespaces/{self.namespace}/configmaps", "poolwarden.io/pool=vllm")

    def disrupt(self, url: str, what: str, act: Callable[[], object], gone: int,
                seconds: float = SECONDS + 60, least: int = 0, at_once: bool = False) -> dict[str, Fate]:
        """gone: how many pods are to be let go, within that time of act()'s end. least: as many are on the list at every
        moment of it. at_once: they drain beside each other. Returns what became of them."""
        self.step(what)
        with self.watch_pods() as pods, self.watch_lists() as lists, Generations(url, self.seconds) as load:
            self.wait_busy(load)
            load.short.start()
            mark, lists_mark, began = pods.mark(), lists.mark(), time.monotonic()
            act()

            def released() -> dict[str, Fate]:
                return {uid: fate for uid, fate in fates(pods, mark).items() if fate.released}
            wait_for(lambda: load.errors() or len(released()) >= gone, f"{gone} pods to be let go", seconds)
            time.sleep(2)  # a request that went to one of them all the same
            self.step(load.summary())
            self.assertEqual(load.errors(), [], load.summary())
            self.assertEqual(pods.breaks, 0, "the watch of the pods was cut: the times are wrong")
            self.assertEqual(len(released()), gone, "pods that were let go")
            self.judge(what, fates(pods, mark), load.answers(), began)
            if at_once:
                self.judge_total(what, released(), load.answers(), began)
            self.judge_lists(what, lists, lists_mark, least)
        self.wait_idle()
        return released()

    def judge(self, what: str, everybody: dict[str, Fate], answers: list[Answer], began: float) -> None:
        released = [fate for fate in everybody.values() if fate.released]
        drained = [uid for uid, fate in everybody.items() if fate.drained]
        self.assertEqual(drained, [uid for uid, fate in everybody.items() if fate.released], "drained, and let go")
        idle = []
        for fate in released:
            # Later ones are of the next pod of that name: one of a StatefulSet comes back under its own.
            last = max((answer.ended for answer in answers
                        if answer.pod == fate.name and answer.began < fate.released), default=None)
            after = f"{fate.released - last:.1f} s after its last answer" if last else "without an answer"
            idle += [fate.released - max(last, self.operator_back)] if last else []
            withdrawn = f"withdrawn after {fate.withdrawn - began:.1f} s, " if fate.withdrawn else ""
            self.note(f"{fate.name}: {withdrawn}let go after {fate.released - began:.1f} s, {after}")
        if idle:
            self.figure(f"{what}: each let go after its last answer, at most", max(idle), "s")
            self.assertLess(max(idle), SOON + self.asked_again, "let go late after the last answer")
        self.figure(f"{what}: all of it", max(fate.released for fate in released) - began, "s")

    def judge_total(self, what: str, released: dict[str, Fate], answers: list[Answer], began: float) -> None:
        """No longer than the longest of the answers that were under way at the pods that went, when they were withdrawn: a
        drain adds no turn of its own, and no answer that began later keeps it up. SOON beyond that is for the withdrawal, for a second
        after which gateways have heard of it, for two readings of the engines in which nothing is in flight, a second apart,
        and for the ReplicaSet's turn: five seconds on an idle machine."""
        withdrawn = {fate.name: fate.withdrawn or began for fate in released.values()}
        longest = max((answer.ended for answer in answers
                       if answer.pod in withdrawn and answer.began <= withdrawn[answer.pod] <= answer.ended), default=began)
        total = max(fate.released for fate in released.values()) - began
        self.figure(f"{what}: all of it, beyond the longest answer under way, which took {longest - began:.1f} s",
                    total - (longest - began), "s")
        self.assertLess(total, longest - began + SOON, "it took longer than what was in flight")

    def judge_lists(self, what: str, lists: Watch, mark: int, least: int) -> None:
        self.assertEqual(lists.breaks, 0, "the watch of the list was cut: it may have missed some")
        sizes = [len(endpoints_of(event.object)) for event in list(lists.events[mark:])]
        if sizes:
            self.figure(f"{what}: on the list, at least", min(sizes), f"(in turn {', '.join(map(str, sizes))})")
            self.assertGreaterEqual(min(sizes), least, f"endpoints on the list, in turn: {sizes}")

    def cut(self, url: str, what: str, act: Callable[[], object], gone: int) -> None:
        """The same where nothing is held: what there was before there was Poolwarden. Ends as soon as the pods are gone,
        which is at once."""
        self.step(what)
        with self.watch_pods() as pods, Generations(url, self.seconds) as load:
            self.wait_busy(load)
            load.short.start()
            mark = pods.mark()
            act()
            wait_for(lambda: sum(1 for fate in fates(pods, mark).values() if fate.released) >= gone,
                     f"{gone} pods to be let go", 120)
            wait_for(load.errors, "answers that are cut: else this shows nothing", 30)
            time.sleep(3)
            self.note(load.summary().splitlines()[0])
            self.figure(f"{what}: cut", len(load.errors()), f"of {CLIENTS} long answers and the short ones")
        self.wait_idle()

    def drain_a_node(self, reach: Callable[[Kube], ContextManager[Reach]], gateway: str,
                     watched: Callable[[str, str, Callable[[], None], int], object] | None = None,
                     least: int | None = None) -> None:
        """The one with the most replicas, so that with three on two nodes there are some to drain one by one: each of them
        does when the one before it has been replaced, and so the list never lacks more than one. The clients' way in, that
        Deployment, is kept off it, and stays where it is from when it is reached. watched: instead of disrupt(). least: on
        the list, if it is not one less."""
        replicas = collections.Counter(pod["spec"]["nodeName"] for pod in self.kube.list("pods", PODS))
        node, count = max(replicas.items(), key=lambda item: (item[1], item[0]))
        asked = replicas.total()
        self.assertGreaterEqual(count, 2 if asked > 2 else 1, f"replicas to drain one by one, on one node of {replicas}")
        self.keep_off(node, gateway)
        with reach(self.kube) as address:
            url = address.url
            wait_for(lambda: not complete(url, tokens=1).error, "an answer", 30)
            if watched:
                watched(url, node, lambda: self.drain_node(node, count), count)
            else:
                self.disrupt(url, f"kubectl drain {node}, with {count} of the replicas",
                             lambda: self.drain_node(node, count), count, count * (self.seconds + 60),
                             least=max(1, asked - 1) if least is None else least)
        self.assertNotIn(node, [pod["spec"]["nodeName"] for pod in self.kube.list("pods", PODS)])
        Kube().run("uncordon", node)

    def keep_off(self, node: str, deployment: str) -> None:
        others = [name_of(each) for each in Kube().list("nodes") if is_ready(each) and name_of(each) != node]
        if not others:
            self.skipTest(f"{node} is the only node: what is on it has nowhere to go")
        self.kube.patch("deployment", deployment, {"spec": {"template": {"spec": {
            "nodeSelector": {"kubernetes.io/hostname": others[0]}}}}})
        self.kube.wait_rolled_out(f"deployment/{deployment}")
        wait_for(lambda: len(self.kube.list("pods", f"app={deployment}")) == 1, f"one pod of {deployment}", 60)

    def drain_node(self, node: str, replicas: int) -> None:
        """As a person does it. kubectl says each few seconds that it tries again."""
        self.addCleanup(Kube().run, "uncordon", node)
        seconds = replicas * self.seconds + 180
        done = Kube().run("drain", node, "--ignore-daemonsets", "--delete-emptydir-data", f"--timeout={seconds}s",
                          timeout=seconds + 10)
        self.note("\n".join(dict.fromkeys(done.out.splitlines())))

    def scale_back(self, replicas: int, what: str = "deployment/vllm") -> None:
        self.kube.run("scale", what, f"--replicas={replicas}")
        self.kube.wait_endpoints(replicas)
        wait_for(lambda: len(self.kube.list("pods", PODS)) == replicas, f"{replicas} pods, none on its way out", 60)
