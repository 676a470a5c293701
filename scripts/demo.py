#!/usr/bin/env python3
"""The main job, on this machine: scale a pool, lose a pod under load, scale down, and lose no request.

Runs the operator and its gateway feed against a stand-in for the Kubernetes API server (real HTTP and TLS),
with HAProxy as the gateway and stand-ins for vLLM as pods: real processes on addresses of their own
(127.0.x.y). ENGINE=llama.cpp has a small model in llama.cpp answer instead. Prints what it does, the
numbered request stream, and a summary. Scales down under long answers twice, without the drain gate and with
it; exits with 1 if a request failed with it, or if it made no difference.

DEMO_FAST=1 runs the same steps without the pauses. --check runs none of them: it only fetches the engine, if it
has to be fetched. Exits with 2 if ENGINE is unknown, with 77 if it is not to be had. Everything it starts it
stops, also on Ctrl-C.
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
import demo_engine  # noqa: E402
import demo_scale_down  # noqa: E402
from demo_support import (BIN, INTERRUPTED, PODS, Processes, pause, say, start_cluster,  # noqa: E402
                          start_gateway, start_operator, wait_for, wait_for_pods)


class Stream:
    """The guide's numbered request stream, each request on a thread of its own so that slow ones overlap."""

    def __init__(self, gateway, engine):
        self.gateway, self.engine, self.number, self.errors = gateway, engine, 0, 0
        self.lock, self.threads, self.stopping = threading.Lock(), [], threading.Event()
        self.pump = threading.Thread(target=self.run, daemon=True)

    def run(self):
        while not self.stopping.is_set():
            self.request("The future of AI is", self.engine.short)
            self.stopping.wait(self.engine.period)

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
            answer, pod = self.gateway.complete(prompt=prompt, max_tokens=tokens)
            body = answer.read()
            if answer.status != 200:
                raise RuntimeError(f"HTTP {answer.status}")
            text = json.loads(body)["choices"][0]["text"]
            text = " ".join(text.split())
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


def start_everything(engine, folder, processes):
    say("Starting: a stand-in for the Kubernetes API server with controllers and a kubelet ...")
    cluster = start_cluster(folder, processes, engine, "crds/poolwarden.io_inferencepools.yaml",
                            f"{engine.folder}/pool.yaml", f"{engine.folder}/chat.yaml")
    say("          poolwarden operator ...")
    operator_log = start_operator(cluster, processes)
    say("          HAProxy as the gateway of each pool, and poolwarden gateway-sync beside it ...")
    gateways = {pool: start_gateway(pool, cluster, processes, engine) for pool in (engine.pool, "chat")}
    for pool, gateway in gateways.items():
        say(f"          client -> HAProxy 127.0.0.1:{gateway.port} -> pods of {pool}, 127.0.x.y:8000")
    return cluster, gateways, operator_log


def steps(engine, folder, processes):
    cluster, gateways, operator_log = start_everything(engine, folder, processes)
    say("\n1. Scale the pool to three replicas.")
    cluster.scale("pwp", engine.pool, 3)
    wait_for_pods(3, engine.pool, cluster, processes)
    cluster.show(engine.pool)

    say("\n2. A numbered request stream, and one long generation"
        f" ({engine.length(engine.long)}) on every replica beside it.")
    stream = Stream(gateways[engine.pool], engine)
    for _ in range(3):
        stream.request("A long story:", engine.long, label="Long request")
    stream.pump.start()
    pause(6)

    say("\n3. Who serves, by the pods' own logs:")
    show_who_serves(cluster, engine)
    victim = cluster.endpoints(engine.pool)[0]
    say(f"\n4. Delete one of the three under load: {victim}")
    cluster.delete_pod(victim)
    wait_for("the withdrawal", lambda: withdrawal(operator_log, victim), processes)
    entry = withdrawal(operator_log, victim)
    took = float(entry["latency_ms"])
    say(f"   -> withdrawn {took:.1f} ms after its watch event ({entry['reason']}); the list is now:"
        f" {', '.join(cluster.endpoints(engine.pool))}")

    say("\n5. The others carry on; its replacement joins once it is ready.")
    wait_for("three endpoints again", lambda: len(cluster.endpoints(engine.pool)) == 3, processes)
    say(f"   -> the list: {', '.join(cluster.endpoints(engine.pool))}")
    pause(6)
    show_who_serves(cluster, engine)
    stream.finish()

    without_gate, with_gate = demo_scale_down.run(cluster, gateways["chat"], processes, engine)
    say(f"\nrequests={stream.number} errors={stream.errors} withdrawn_in_ms={took:.1f}"
        f" scale_down without_gate_errors={without_gate} with_gate_errors={with_gate}")
    if without_gate == 0:
        say("demo: without the gate nothing was cut either, so this has shown nothing")
    return 1 if stream.errors or with_gate or not without_gate else 0


def show_who_serves(cluster, engine):
    if cluster.kubectl_path:
        words = ["logs", "--prefix", "-l", f"app={engine.pool}", f"--tail={engine.log_lines}"]
        say(f"  $ kubectl {' '.join(words)} | grep '{engine.log_line}'")
        command = [cluster.kubectl_path, "--kubeconfig", cluster.kubeconfig, *words]
        output = subprocess.run(command, capture_output=True, text=True, timeout=60).stdout
        lines = [line for line in output.splitlines() if engine.log_line in line]
    else:
        lines = []
        for pod in cluster.pods(engine.pool):
            name = pod["metadata"]["name"]
            path = f"{PODS}/{name}/log?tailLines={engine.log_lines}"
            say(f"  $ curl {path} | grep '{engine.log_line}'")
            request = urllib.request.Request(cluster.server + path,
                                             headers={"Authorization": "Bearer " + cluster.token})
            with urllib.request.urlopen(request, context=cluster.tls, timeout=10) as answer:
                text = answer.read().decode(errors="replace")
            lines += [f"[pod/{name}] {line}" for line in text.splitlines() if engine.log_line in line]
    for line in lines:
        say("    " + line)


def run(engine):
    for program in ("poolwarden", "testcluster", "vllm-sim"):
        if not os.access(os.path.join(BIN, program), os.X_OK):
            sys.exit(f"demo: {BIN}/{program} is not built; run: make demo")
    folder = tempfile.mkdtemp(prefix="poolwarden-demo-")
    processes = Processes(folder)
    try:
        return steps(engine, folder, processes)
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


def main(arguments):
    if arguments not in ([], ["--check"]):
        return complain(f"it knows --check, not {' '.join(arguments)}", 2)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    signal.signal(signal.SIGINT, signal.default_int_handler)  # shells start background jobs with it ignored
    try:
        engine = demo_engine.chosen(os.environ.get("ENGINE") or "vllm-sim")
        engine.command()
    except ValueError as problem:
        return complain(problem, 2)
    except demo_engine.Unavailable as problem:
        return complain(problem, 77)
    return 0 if arguments else run(engine)


def complain(problem, code):
    sys.stderr.write(f"demo: {problem}\n")
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
