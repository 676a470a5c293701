#!/usr/bin/env python3
"""The main job, on this machine: scale a pool, lose a pod under load, scale down, and lose no request.

Runs the operator and its gateway feed against a stand-in for the Kubernetes API server (real HTTP and TLS),
with HAProxy as the gateway and stand-ins for vLLM as pods: real processes on addresses of their own
(127.0.x.y). Prints what it does, the numbered request stream, and a summary. Scales down under long answers
twice, without the drain gate and with it; exits with 1 if a request failed with it, or if it made no
difference.

DEMO_FAST=1 runs the same steps without the pauses. Everything it starts it stops, also on Ctrl-C.
"""
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

sys.dont_write_bytecode = True
import demo_scale_down  # noqa: E402
from demo_support import (BIN, FAST, INTERRUPTED, PODS, Processes, complete, pause, say,  # noqa: E402
                          start_cluster, start_gateway, start_operator, wait_for, wait_for_pods)

PERIOD = 0.25 if FAST else 2.0
LONG_TOKENS = 60 if FAST else 200  # of 100 ms each


class Stream:
    """The guide's numbered request stream, each request on a thread of its own so that slow ones overlap."""

    def __init__(self, port):
        self.port, self.number, self.errors = port, 0, 0
        self.lock, self.threads, self.stopping = threading.Lock(), [], threading.Event()
        self.pump = threading.Thread(target=self.run, daemon=True)

    def run(self):
        while not self.stopping.is_set():
            self.request("The future of AI is", 5)
            self.stopping.wait(PERIOD)

    def request(self, prompt, tokens, label="Request"):
        with self.lock:
            self.number += 1
            number = self.number
        thread = threading.Thread(target=self.complete, args=(label, number, prompt, tokens), daemon=True)
        self.threads = [t for t in self.threads if t.is_alive()] + [thread]
        thread.start()
        return thread

    def complete(self, label, number, prompt, tokens):
        started, pod = time.monotonic(), ""
        try:
            answer, pod = complete(self.port, prompt=prompt, max_tokens=tokens)
            body = answer.read()
            if answer.status != 200:
                raise RuntimeError(f"HTTP {answer.status}")
            text = json.loads(body)["choices"][0]["text"].strip()
            text = text if len(text) < 40 else text[:37] + "..."
            say(f"{label} {number}: {text}   <- {pod}, {time.monotonic() - started:.1f} s")
        except Exception as problem:  # whatever a client could see counts
            if INTERRUPTED.is_set():
                return
            with self.lock:
                self.errors += 1
            say(f"{label} {number}: ERROR ({problem}) {pod}")

    def finish(self):
        self.stopping.set()
        self.pump.join()
        for thread in self.threads:
            thread.join()


def withdrawal(log_path, pod):
    """The operator's own line about it: watch event decoded -> ConfigMap write acknowledged."""
    with open(log_path, errors="replace") as log:
        for line in log:
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            if entry.get("message") == "withdrew pod" and entry.get("pod", "").endswith("/" + pod):
                return entry
    return None


def start_everything(folder, processes):
    say("Starting: a stand-in for the Kubernetes API server with controllers and a kubelet ...")
    cluster = start_cluster(folder, processes, "crds/poolwarden.io_inferencepools.yaml",
                            "examples/demo/pool.yaml", "examples/demo/chat.yaml")
    say("          poolwarden operator ...")
    operator_log = start_operator(cluster, processes)
    say("          HAProxy as the gateway of each pool, and poolwarden gateway-sync beside it ...")
    gateways = {pool: start_gateway(pool, cluster, processes) for pool in ("vllm", "chat")}
    for pool, port in gateways.items():
        say(f"          client -> HAProxy 127.0.0.1:{port} -> pods of {pool}, 127.0.x.y:8000")
    return cluster, gateways, operator_log


def steps(folder, processes):
    cluster, gateways, operator_log = start_everything(folder, processes)
    say("\n1. Scale the pool to three replicas.")
    cluster.scale("pwp", "vllm", 3)
    wait_for_pods(3, "vllm", cluster, processes)
    cluster.show("vllm")

    say("\n2. A numbered request stream, and one long generation"
        f" ({LONG_TOKENS * 0.1:.0f} s) on every replica beside it.")
    stream = Stream(gateways["vllm"])
    for _ in range(3):
        stream.request("A long story:", LONG_TOKENS, label="Long request")
    stream.pump.start()
    pause(6)

    say("\n3. Who serves, by the pods' access logs:")
    show_who_serves(cluster)
    victim = cluster.endpoints("vllm")[0]
    say(f"\n4. Delete one of the three under load: {victim}")
    cluster.delete_pod(victim)
    wait_for("the withdrawal", lambda: withdrawal(operator_log, victim), processes)
    entry = withdrawal(operator_log, victim)
    took = float(entry["latency_ms"])
    say(f"   -> withdrawn {took:.1f} ms after its watch event ({entry['reason']}); the list is now:"
        f" {', '.join(cluster.endpoints('vllm'))}")

    say("\n5. The others carry on; its replacement joins once it is ready.")
    wait_for("three endpoints again", lambda: len(cluster.endpoints("vllm")) == 3, processes)
    say(f"   -> the list: {', '.join(cluster.endpoints('vllm'))}")
    pause(6)
    show_who_serves(cluster)
    stream.finish()

    without_gate, with_gate = demo_scale_down.run(cluster, gateways["chat"], processes)
    say(f"\nrequests={stream.number} errors={stream.errors} withdrawn_in_ms={took:.1f}"
        f" scale_down without_gate_errors={without_gate} with_gate_errors={with_gate}")
    if without_gate == 0:
        say("demo: without the gate nothing was cut either, so this has shown nothing")
    return 1 if stream.errors or with_gate or not without_gate else 0


def show_who_serves(cluster):
    if cluster.kubectl_path:
        say("  $ kubectl logs --prefix -l app=vllm --tail=2 | grep 'POST /v1'")
        command = [cluster.kubectl_path, "--kubeconfig", cluster.kubeconfig, "logs", "--prefix", "-l",
                   "app=vllm", "--tail=2"]
        output = subprocess.run(command, capture_output=True, text=True, timeout=60).stdout
        lines = [line for line in output.splitlines() if "POST /v1" in line]
    else:
        lines = []
        for pod in cluster.pods("vllm"):
            name = pod["metadata"]["name"]
            say(f"  $ curl {PODS}/{name}/log?tailLines=2 | grep 'POST /v1'")
            request = urllib.request.Request(f"{cluster.server}{PODS}/{name}/log?tailLines=2",
                                             headers={"Authorization": "Bearer " + cluster.token})
            with urllib.request.urlopen(request, context=cluster.tls, timeout=10) as answer:
                text = answer.read().decode(errors="replace")
            lines += [f"[pod/{name}] {line}" for line in text.splitlines() if "POST /v1" in line]
    for line in lines:
        say("    " + line)


def main():
    for program in ("poolwarden", "testcluster", "vllm-sim"):
        if not os.access(os.path.join(BIN, program), os.X_OK):
            sys.exit(f"demo: {BIN}/{program} is not built; run: make demo")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    signal.signal(signal.SIGINT, signal.default_int_handler)  # shells start background jobs with it ignored
    folder = tempfile.mkdtemp(prefix="poolwarden-demo-")
    processes = Processes(folder)
    try:
        return steps(folder, processes)
    except KeyboardInterrupt:
        INTERRUPTED.set()
        say("\ninterrupted; stopping what was started")
        return 130
    except RuntimeError as problem:
        say(f"\ndemo: {problem}")
        return 1
    finally:
        processes.stop()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
