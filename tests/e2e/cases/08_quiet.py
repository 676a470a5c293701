"""A quiet cluster costs nothing: with pools that serve and nothing that changes, the operator writes nothing but its
Lease. Told by the API server's audit log, over five minutes (E2E_QUIET_SECONDS); with its CPU and memory."""
import collections
import os
import time

from support import cluster, operator
from support.case import Case, main
from support.gateway import PATIENCE
from support.kube import ROOT, name_of

SECONDS = int(os.environ.get("E2E_QUIET_SECONDS", "300"))
EXAMPLE = os.path.join(ROOT, "examples", "vllm-sim")
PROBE = "/spec/template/spec/containers/0/readinessProbe"
READS = ("get", "list", "watch")


@cluster.needs_own_cluster("reads the audit log")
class Quiet(Case):
    def pools(self, count: int) -> None:
        for number in range(count):
            kube = self.kube if number == 0 else self.make_namespace(f"{self.namespace}-{number}")
            kube.run("apply", "-f", os.path.join(EXAMPLE, "deployment.yaml"), "-f", os.path.join(EXAMPLE, "pool.yaml"))
            kube.patch("deployment", "vllm", [{"op": "add", "path": f"{PROBE}/{field}", "value": value}
                                              for field, value in PATIENCE.items()])
            kube.wait_rolled_out("deployment/vllm")
            kube.run("scale", "pwp/vllm", "--replicas=2")
            kube.wait_endpoints(2)
            kube.wait_ready("app=vllm", 2)
            kube.wait_condition("Progressing", "False", "Stable")

    def test_nothing_is_written_but_the_lease(self) -> None:
        # What happened more than twice in an earlier case is counted in its Event after six minutes without it.
        self.step("an operator that has nothing left to tell of")
        operator.kube.run("rollout", "restart", operator.DEPLOYMENT)
        operator.kube.wait_rolled_out(operator.DEPLOYMENT)
        operator.wait_ready()
        operator.leader()
        self.pools(3)
        time.sleep(15)  # the last status, Events and labels of the start
        before = {name_of(pod): operator.metrics(pod) for pod in operator.pods()}
        began, wall = time.monotonic(), time.time()
        self.step(f"three pools serve; now {SECONDS} s of quiet")
        time.sleep(SECONDS)
        requests = collections.Counter(
            (event["verb"], event["objectRef"]["resource"]) for event in cluster.audit(wall + 1)
            if event["user"]["username"] == operator.SERVICE_ACCOUNT and "objectRef" in event)
        seconds = time.monotonic() - began
        for (verb, resource), count in sorted(requests.items()):
            self.note(f"{count:5} {verb} {resource}")
        self.costs(before, seconds)
        writes = {key: count for key, count in requests.items() if key[0] not in READS and key[1] != "leases"}
        self.assertEqual(writes, {})
        self.assertGreater(requests[("update", "leases")], SECONDS / 10, "the Lease is renewed, or nothing was counted")

    def costs(self, before: dict, seconds: float) -> None:
        for pod in operator.pods():
            now, name = operator.metrics(pod), name_of(pod)
            self.assertIn(name, before, "a pod of the operator came while all was quiet")
            used = now.sum("process_cpu_seconds_total") - before[name].sum("process_cpu_seconds_total")
            role = "leader" if operator.holder().startswith(name) else "standby"
            self.figure(f"CPU of the {role}", used / seconds * 1000, "millicores")
            self.figure(f"memory of the {role}", now.sum("process_resident_memory_bytes") / 2**20, "MiB")


main()
