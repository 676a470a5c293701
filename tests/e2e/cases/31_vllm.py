"""The same with vLLM itself, as scripts/vllm.sh makes it for processors, with weights that are made up: on request only, since
each replica takes 2 GB and a minute of a core to start. The guide's steps; then rolled out, deleted by hand and scaled down
under streamed and plain answers, with vLLM's default, by which it aborts what it generates when it is told to stop, and with
--shutdown-timeout. Where the gate holds a replica nothing may be aborted, by its own log, and nobody may see an error."""
import json
import os
import re
import subprocess
import tempfile
import threading
import time
import unittest
from typing import Callable

from support import cluster, gateway
from support.case import main
from support.drain import PODS, Disruptions
from support.kube import ROOT, Output, name_of, wait_for
from support.load import MODEL, Clients, Load, NumberedStream

ASKED_FOR = "E2E_VLLM"  # `make e2e-vllm` sets it
PATIENCE = 900  # until replicas have started beside others that are busy, on two cores
HALF = 2  # clients with streamed answers, and as many with plain ones
# Of each client between two answers, in seconds: replicas that generate leave no processor to one that starts.
PAUSE = 10
TOKENS = 1200  # of an answer
LONG = 2500  # of one that outlasts the preStop sleep of its replica, also where that has a core to itself
POSITIONS = 8192  # of the model's 16384
# Each replica would bind itself to the first core.
ENVIRONMENT = {"HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1", "VLLM_CPU_KVCACHE_SPACE": "1",
               "VLLM_HOST_IP": "127.0.0.1", "OMP_NUM_THREADS": "1", "VLLM_CPU_OMP_THREADS_BIND": "nobind", "HOME": "/tmp"}
# /proc is that of the container, so that vLLM finds its own children there. It looks its host's name up, too, which takes a
# minute where there is no DNS.
IN_THE_ROOT = 'mount -t proc proc /proc && hostname localhost && exec "$@"'
PROBE = {"timeoutSeconds": 10, "failureThreshold": 6}


def folder_of_vllm() -> str:
    done = subprocess.run(["scripts/vllm.sh", "--find"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode:
        raise unittest.SkipTest(done.stderr.strip())
    return done.stdout.strip()


def patches(folder: str, flags: tuple[str, ...], grace: int) -> tuple[dict, ...]:
    """Of examples/vllm: without a GPU, and in place of vLLM's image the node's own disk."""
    # What vLLM looks up about the model's code, in a process of its own, is kept: a replica starts ten seconds sooner.
    own = {"PATH": f"{folder}/bin:/usr/bin:/bin", "VLLM_CACHE_ROOT": f"{folder}/cache"}
    variables = [f"{name}={value}" for name, value in {**ENVIRONMENT, **own}.items()]
    container = {
        "name": "vllm", "image": "ghcr.io/poolwarden/chroot:0.1.0",
        "command": ["/usr/sbin/chroot", "/host", "/bin/sh", "-c", IN_THE_ROOT, "sh", "/usr/bin/env", "-i", *variables,
                    f"{folder}/bin/python", "-m", "vllm.entrypoints.cli.main", "serve", f"{folder}/model"],
        "args": [f"--served-model-name={MODEL}", "--port=8000", "--load-format=dummy", "--dtype=float32", "--enforce-eager",
                 f"--max-model-len={POSITIONS}", *flags],
        "startupProbe": {"failureThreshold": PATIENCE // 5, "timeoutSeconds": 10},
        "readinessProbe": PROBE, "livenessProbe": PROBE,
        "resources": {"requests": {"cpu": "100m", "memory": "1Gi"}, "limits": {"memory": "6Gi", "nvidia.com/gpu": None}},
        "securityContext": {"$patch": "replace", "privileged": True, "runAsUser": 0},
        "volumeMounts": [{"name": "host", "mountPath": "/host"}, {"name": "shm", "mountPath": "/host/dev/shm"},
                         {"name": "tmp", "mountPath": "/host/tmp"}]}
    deployment = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "vllm"}, "spec": {
        # The example gives a GPU up before it asks for another; here there is room for one more.
        "strategy": {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
        "template": {"spec": {
            "terminationGracePeriodSeconds": grace, "containers": [container],
            "volumes": [{"name": "host", "hostPath": {"path": "/"}}, {"name": "tmp", "emptyDir": {}}]}}}}
    # Nothing brings its metric, and who scales is this case.
    autoscaler = {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "vllm"},
                  "$patch": "delete"}
    return {"patch": json.dumps(deployment)}, {"patch": json.dumps(autoscaler)}


class Logs:
    """Of the pods that there are now, to their ends."""

    def __init__(self, case: Disruptions):
        self.files = {}
        for pod in map(name_of, case.kube.list("pods", PODS)):
            file = case.enterContext(tempfile.TemporaryFile("w+"))
            process = case.kube.start("logs", "--follow", "--tail=0", pod, stdout=file, stderr=subprocess.DEVNULL)
            case.addCleanup(process.wait)
            case.addCleanup(process.kill)
            self.files[pod] = file

    def shutdown(self) -> dict[str, list[str]]:
        """What those that were told to stop said of it."""
        found = {}
        for pod, file in self.files.items():
            file.seek(0)
            lines = [line.strip() for line in file if "[shutdown]" in line]
            if lines:
                found[pod] = lines
        return found


class Courtesy:
    """Replicas that are ready leave the processors to one that starts, which else takes many minutes on two of them."""

    def __init__(self, case: Disruptions):
        self.kube, self.done = case.kube, threading.Event()
        thread = threading.Thread(target=self.run, daemon=True)
        thread.start()
        case.addCleanup(thread.join)
        case.addCleanup(self.done.set)

    def run(self) -> None:
        served: set[str] = set()
        while not self.done.wait(3):
            try:
                ready = {each["containerID"].rpartition("/")[2] for pod in self.kube.ready_pods(PODS)
                         for each in pod["status"]["containerStatuses"]}
            except AssertionError:
                continue  # kubectl failed; the next time will do
            for container in ready - served:
                self.yield_processor(container)
            served |= ready

    @staticmethod
    def yield_processor(container: str) -> None:
        for entry in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{entry}/cgroup", encoding="ascii") as cgroup:
                    threads = os.listdir(f"/proc/{entry}/task") if container in cgroup.read() else []
                for each in threads:
                    os.setpriority(os.PRIO_PROCESS, int(each), 10)
            except (FileNotFoundError, ProcessLookupError):
                continue  # it ended


def counted(word: str, lines: dict[str, list[str]]) -> int:
    text = "\n".join(line for of_pod in lines.values() for line in of_pod)
    return sum(int(count) for count in re.findall(rf"EngineCore: {word} in-flight requests count=(\d+)", text))


@cluster.needs_own_cluster("runs what is on this machine's disk, in pods that may do anything")
@unittest.skipUnless(os.environ.get(ASKED_FOR), "it is large, and runs on request: make e2e-vllm")
class Vllm(Disruptions):
    folder = ""

    @classmethod
    def setUpClass(cls) -> None:
        cls.folder = folder_of_vllm()
        cluster.bring_images("chroot")

    def deploy(self, replicas: int, *flags: str, grace: int = 60) -> None:
        self.kube.run("label", "--overwrite", "namespace", self.namespace, "pod-security.kubernetes.io/enforce=privileged")
        self.kube.apply_kustomization("examples/vllm", patches(self.folder, flags, grace))
        Courtesy(self)
        self.step(f"{replicas} replicas start")
        began = time.monotonic()
        self.scale(replicas)
        self.figure(f"{replicas} replicas on the list, from nothing", time.monotonic() - began, "s")
        self.kube.wait_rolled_out("deployment/gateway")

    def kubectl(self, *words: str) -> Output:
        self.note("$ kubectl " + " ".join(words))
        return self.kube.run(*words)

    def scale(self, replicas: int) -> None:
        self.kubectl("scale", "pwp/vllm", f"--replicas={replicas}")
        self.settled(replicas)

    def settled(self, replicas: int) -> None:
        """As many pods, none on its way out, and all of the newest template."""
        self.kube.wait_rolled_out("deployment/vllm", PATIENCE)
        wait_for(lambda: len(self.kube.list("pods", PODS)) == replicas, f"{replicas} pods and no more", PATIENCE)
        self.kube.wait_endpoints(replicas, seconds=PATIENCE)

    def served(self) -> set[str]:
        """Which pods served, by their own logs, as the guide looks for it."""
        lines = self.kube.run("logs", "--prefix", "-l", PODS, "--tail=-1").out.splitlines()
        return {re.sub(r"^\[pod/([^/]+)/.*", r"\1", line) for line in lines if "POST /v1" in line}

    def errors(self, what: str, *loads: Load) -> int:
        """How many there were, once what is under way has ended."""
        for load in loads:
            load.stopping.set()
        for load in loads:
            load.stop()
        failed = [answer for load in loads for answer in load.errors]
        answers = [answer for load in loads for answer in load.answers]
        for error in sorted({re.sub(r"after \d+ of", "after N of", answer.error) for answer in failed}):
            self.note(f"a client sees: {error}")
        longest = max((answer.seconds for answer in answers), default=0)
        self.figure(f"{what}: errors", len(failed), f"of {len(answers)} answers, the longest of {longest:.1f} s")
        return len(failed)

    def under_load(self, url: str, what: str, act: Callable[[], object], gone: int,
                   tokens: int = TOKENS) -> tuple[int, dict[str, list[str]]]:
        """How many answers failed, and what the replicas that went said."""
        self.step(f"{what}, under {HALF} streamed and {HALF} plain answers at a time, and short ones")
        logs = Logs(self)
        loads = [Clients(url, HALF, PAUSE, tokens=tokens, streamed=streamed, counted=streamed, timeout=PATIENCE).start()
                 for streamed in (True, False)]
        loads.append(NumberedStream(url, period=0.7, quiet=True, tokens=1, timeout=PATIENCE).start())
        for load in loads:
            self.addCleanup(load.abandon)
        busy = wait_for(lambda: sum((found := self.in_flight()).values()) >= 2 * HALF and found,
                        f"{2 * HALF} requests in flight, by the engines' metrics", PATIENCE, every=0.05)
        self.note("in flight: " + ", ".join(f"{pod} {count}" for pod, count in busy.items()))
        began = time.monotonic()
        act()
        self.figure(f"{what}: all of it", time.monotonic() - began, "s")
        errors = self.errors(what, *loads)
        said = wait_for(lambda: len(found := logs.shutdown()) >= gone and found, f"the last words of {gone} replicas", 60)
        self.assertEqual(gone, len(said), "replicas that were told to stop")
        self.note("\n".join(max(said.values(), key=len)))
        return errors, said

    def delete_the_busiest(self) -> None:
        busy = self.in_flight()
        victim = max(busy, key=lambda pod: busy[pod])
        self.kubectl("delete", "pod", victim, "--wait=false")
        wait_for(lambda: not self.kube.find("pod", victim), f"the end of {victim}", PATIENCE)

    def restart(self) -> None:
        self.kubectl("rollout", "restart", "deployment/vllm")
        self.settled(3)

    def held(self, url: str, what: str, act: Callable[[], object], gone: int, mode: str) -> None:
        """The gate holds these until they have answered."""
        errors, said = self.under_load(url, what, act, gone)
        for pod, lines in said.items():
            self.assertIn(f"mode={mode} ", "\n".join(lines), pod)
        self.assertEqual(0, errors, "they are listed above")
        self.assertEqual(0, counted("aborting", said), "aborted, by the replicas' own logs")

    def rows(self, mode: str, *flags: str, grace: int) -> int:
        """All ways in which a replica goes. Returns how many answers its deletion by hand cut."""
        self.deploy(3, *flags, grace=grace)
        url = self.enterContext(gateway.reach_pod(self.kube)).url
        cut, said = self.under_load(url, f"kubectl delete pod, mode={mode}", self.delete_the_busiest, 1, LONG)
        self.assertIn(f"mode={mode} ", "\n".join(*said.values()))
        self.settled(3)
        self.held(url, f"kubectl rollout restart, mode={mode}", self.restart, 3, mode)
        self.held(url, f"kubectl scale 3 to 1, mode={mode}", lambda: self.scale(1), 2, mode)
        return cut

    def test_guide_steps(self) -> None:
        self.deploy(1)
        self.step("1. scale to three")
        self.scale(3)
        with gateway.reach(self.kube) as address:
            self.step("2. the numbered stream; 3. who serves, by the pods' logs")
            stream = NumberedStream(address.url, timeout=PATIENCE).start()
            self.addCleanup(stream.abandon)
            self.note("\n".join(sorted(wait_for(lambda: len(found := self.served()) >= 2 and found, "two that serve", 60))))
            victim = self.kube.endpoints()[0]
            self.step("4. delete one of them; 5. the others carry on until its replacement serves")
            self.kubectl("delete", "pod", victim, "--wait=false")
            self.kube.wait_replaced(victim, 3, seconds=PATIENCE)
            wait_for(lambda: self.served() - {victim} >= set(self.kube.endpoints()), "all three to serve", 120)
            self.step("6. scale back to one")
            self.scale(1)
            self.assertEqual(0, self.errors("the guide's steps", stream), "they are listed above")
            self.assertGreater(len(stream.answers), 10, "too few requests to show anything")

    def test_default_abort(self) -> None:
        # Nobody holds back who deletes by hand: what has longer to go than the preStop sleep is lost. Of plain answers HAProxy
        # asks again for those of which nothing came: so it is where vLLM kills its engine before that has aborted them.
        self.assertLessEqual(self.rows("abort", grace=60), 2 * HALF, "more than the replica had")

    def test_shutdown_timeout(self) -> None:
        self.assertEqual(0, self.rows("drain", "--shutdown-timeout=300", grace=330), "cut, although vLLM was to finish it")


main()
