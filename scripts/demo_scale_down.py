"""The demo's second half: a Deployment is scaled from three to one under long answers, twice.

Counts the streamed answers that ended before their last token, without the drain gate and with it. The
servers are those of chat.yaml in examples/demo, or in its llama-cpp. They cut what they generate when they are
told to stop, as vLLM and llama.cpp do by default.
"""
import json
import subprocess
import threading
import time

from demo_support import BIN, INTERRUPTED, die_with_parent, pause, say, wait_for, wait_for_pods

CLIENTS = 8
ATTEMPTS = 3
POOL = "chat"


class Generation:
    """One client that reads one long streamed answer."""

    def __init__(self, number, gateway, tokens):
        self.number, self.gateway, self.wanted = number, gateway, tokens * (7 + number % 4) // 10
        self.pod, self.tokens, self.cut = "", 0, False
        self.began = threading.Event()  # its first token, or its end, has come
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        started, problem = time.monotonic(), ""
        try:
            self.read()
        except Exception as error:  # whatever a client could see counts
            problem = str(error) or type(error).__name__
        self.cut = bool(problem)
        self.began.set()
        self.over.set()
        if not INTERRUPTED.is_set():
            end = f"CUT after {self.tokens} of {self.wanted} tokens ({problem})" if self.cut else "all of it"
            say(f"Client {self.number}: {end}   <- {self.pod}, {time.monotonic() - started:.1f} s")

    def read(self):
        answer, self.pod = self.gateway.complete(prompt="A long story:", max_tokens=self.wanted, stream=True)
        if answer.status != 200:
            raise RuntimeError(f"HTTP {answer.status}")
        reason = None
        for line in answer:
            if line.strip() == b"data: [DONE]":
                break
            if line.startswith(b"data: "):
                choice = json.loads(line[6:])["choices"][0]
                self.tokens += choice["text"] != ""
                reason = choice["finish_reason"]
                self.began.set()
        else:
            raise RuntimeError("the stream ended")
        if reason != "length":  # an engine that stops may end it in an orderly way
            raise RuntimeError(f"finish_reason {reason}")


class Watch:
    """`poolwarden watch`, its lines among ours."""

    def __init__(self, cluster):
        say(f"  $ poolwarden watch {POOL} &")
        command = [f"{BIN}/poolwarden", "watch", POOL, "-n", "default", "--kubeconfig", cluster.kubeconfig]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                        start_new_session=True, preexec_fn=die_with_parent)
        self.watching = threading.Event()
        self.thread = threading.Thread(target=self.tell, daemon=True)
        self.thread.start()
        self.watching.wait(10)

    def tell(self):
        for line in self.process.stdout:
            say("    " + line.rstrip())
            self.watching.set()

    def stop(self):
        self.process.terminate()
        self.process.wait(10)
        self.thread.join(5)


def gate_reason(cluster):
    """What the operator says of the gate, in the pool's condition (docs/contract.md)."""
    conditions = cluster.pool(POOL)["status"]["conditions"]
    return next(c["reason"] for c in conditions if c["type"] == "DisruptionSafe")


def three_replicas(cluster, processes):
    if cluster.pool(POOL)["spec"].get("replicas", 3) != 3:
        cluster.scale("deployment", POOL, 3)
    wait_for_pods(3, POOL, cluster, processes)
    pause(1)  # for the gateway to have them, too


def scale_down(cluster, gateway, processes, tokens):
    """Three to one while every client is in the middle of its answer; how many were cut."""
    clients = [Generation(number, gateway, tokens) for number in range(1, CLIENTS + 1)]
    for client in clients:
        client.began.wait(30)
    pause(2)
    at_work = [client.pod for client in clients if not client.over.is_set()]
    say("   in flight: " + ", ".join(f"{at_work.count(pod)} at {pod}" for pod in sorted(set(at_work))))
    cluster.scale("deployment", POOL, 1)
    for client in clients:
        client.thread.join()
    wait_for_pods(1, POOL, cluster, processes)
    return sum(client.cut for client in clients)


def without_gate(cluster, gateway, processes, engine):
    length = engine.length(engine.streamed)
    say(f"\n6. Scale down under long answers ({length}, streamed), first as Kubernetes does it:"
        " without the gate.\n"
        f"   The model servers stop at once when told to, as {engine.label} does by default.")
    wait_for("the operator to miss the gate", lambda: gate_reason(cluster) == "DrainGateMissing", processes)
    cluster.poolwarden("status", POOL)
    for attempt in range(ATTEMPTS):
        tokens = engine.streamed << attempt  # longer, as a quick machine had done them all before it was scaled
        three_replicas(cluster, processes)
        cut = scale_down(cluster, gateway, processes, tokens)
        say(f"   -> {cut} of {CLIENTS} answers were cut")
        if cut:
            break
    return cut, tokens


def with_gate(cluster, gateway, processes, tokens):
    say("\n7. The same with the gate: Kubernetes holds the deletes; Poolwarden picks the least busy,"
        "\n   sends them nothing new, waits until they are idle, and lets go of them.")
    cluster.apply_gate()
    wait_for("the operator to see the gate", lambda: gate_reason(cluster) == "Held", processes)
    three_replicas(cluster, processes)
    watch = Watch(cluster)
    try:
        cut = scale_down(cluster, gateway, processes, tokens)
    finally:
        watch.stop()
    say(f"   -> {cut} of {CLIENTS} answers were cut")
    cluster.show(POOL)
    return cut


def run(cluster, gateway, processes, engine):
    """How many answers were cut without the gate, and with it."""
    cut, tokens = without_gate(cluster, gateway, processes, engine)
    return cut, with_gate(cluster, gateway, processes, tokens)
