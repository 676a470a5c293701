"""A replica that is saturated misses its probe, with all that it answers. Kubernetes takes pods that are not ready first,
whatever they cost, and by default no budget keeps one that is not ready. So the busiest replica would go before the idle
ones. Here none of its answers is cut: not by a scale-down, not by a rollout, not by `kubectl drain`. Beside it the same
without Poolwarden's gate."""
import concurrent.futures
from typing import Callable

from support import gateway
from support.case import main
from support.cluster import needs_own_cluster
from support.drain import AT_ONCE, PODS, SHORT, SOON, Disruptions, Fate, fates, open_gate, slow_model
from support.kube import SERVING, Kube, is_ready, name_of, wait_for
from support.load import Answer, NumberedStream, complete
from support.reach import Reach
from support.watch import Watch

MOST = 4
REQUESTS = 2 * MOST


def saturable_model(**spec: object) -> dict:
    """From a server that does not answer its probe with more than MOST requests; one whose probe is not patient."""
    probes = {"livenessProbe": None, "readinessProbe": {"timeoutSeconds": 1, "periodSeconds": 1, "failureThreshold": 2}}
    return slow_model(f"--saturated-above={MOST}", probes=probes, **spec)


class Saturated(Disruptions):
    seconds = SHORT + 15

    def deploy(self, replicas: int, **spec: object) -> None:
        gateway.deploy(self.kube, replicas, patches=(saturable_model(**spec),))
        self.url = self.enterContext(gateway.reach_pod(self.kube)).url

    def saturate(self) -> str:
        """Returns the pod's name. Its requests come on the address of the pod, past the list: then it is one of several
        that is saturated, and the others are idle."""
        pod = name_of(self.kube.ready_pods(PODS)[0])
        address = self.enterContext(Reach(self.namespace, f"pod/{pod}", 8000))
        pool = self.enterContext(concurrent.futures.ThreadPoolExecutor(REQUESTS))
        self.answers = [pool.submit(complete, address.url, number, tokens=self.seconds, streamed=True,
                                    timeout=self.seconds + 60) for number in range(REQUESTS)]
        wait_for(lambda: not is_ready(self.kube.get("pod", pod)), f"{pod} to miss its probe", SOON)
        wait_for(lambda: self.label(pod) == "finishing", f"{pod} to be labelled finishing", SOON)
        self.note(self.kube.run("get", "pods", "-l", PODS, "-L", SERVING).out)
        return pod

    def label(self, pod: str) -> str:
        return self.kube.get("pod", pod)["metadata"]["labels"].get(SERVING, "")

    def ended(self) -> list[Answer]:
        return [each.result(timeout=self.seconds + 90) for each in self.answers]

    def let_go(self, what: str, act: Callable[[], object], gone: int) -> None:
        """act() takes pods away, the saturated one among them."""
        stream = NumberedStream(self.url, period=0.7, quiet=True, tokens=1)
        self.addCleanup(stream.abandon)
        with self.watch_pods() as pods:
            victim = self.saturate()
            stream.start()
            mark = pods.mark()
            self.step(f"{what}, with {REQUESTS} requests in flight at {victim}, which is not ready")
            act()
            answers = self.ended()
            wait_for(lambda: sum(1 for fate in fates(pods, mark).values() if fate.released) >= gone,
                     f"{gone} pods to be let go", gone * self.seconds + 120)
            stream.stop()
            self.judge_answers(what, answers, self.fate(pods, mark, victim), stream)

    def fate(self, pods: Watch, mark: int, victim: str) -> Fate:
        return next(fate for fate in fates(pods, mark).values() if fate.name == victim)

    def judge_answers(self, what: str, answers: list[Answer], fate: Fate, stream: NumberedStream) -> None:
        errors = [answer.error for answer in answers if answer.error]
        last = max(answer.ended for answer in answers)
        self.figure(f"{what}: errors", len(errors) + len(stream.errors), f"of {len(answers)} long answers and the short ones")
        self.assertEqual([], errors)
        self.assertEqual([], stream.errors)
        self.assertIsNotNone(fate.released, f"{fate.name} went")
        self.figure(f"{what}: the saturated one let go after its last answer", fate.released - last, "s")
        self.assertGreater(fate.released, last, "it was let go with answers under way")

    def test_scale(self) -> None:
        self.deploy(3)
        self.let_go("kubectl scale pwp/vllm --replicas=2", lambda: self.kube.run("scale", "pwp/vllm", "--replicas=2"), gone=1)
        self.kube.wait_endpoints(2)

    def test_rollout(self) -> None:
        self.deploy(2, **AT_ONCE)
        self.let_go("kubectl rollout restart", lambda: self.kube.run("rollout", "restart", "deployment/vllm"), gone=2)
        self.kube.wait_rolled_out("deployment/vllm")

    @needs_own_cluster("drains a node")
    def test_node(self) -> None:
        gateway.deploy(self.kube, 2, patches=(saturable_model(),))
        node = self.kube.ready_pods(PODS)[0]["spec"]["nodeName"]
        self.keep_off(node, "gateway")
        self.url = self.enterContext(gateway.reach_pod(self.kube)).url
        there = sum(1 for pod in self.kube.list("pods", PODS) if pod["spec"]["nodeName"] == node)
        self.let_go(f"kubectl drain {node}", lambda: self.drain_node(node, there), gone=there)
        self.kube.wait_endpoints(2)

    @needs_own_cluster("opens the gate, for all pools")
    def test_scale_without_the_gate(self) -> None:
        self.deploy(3)
        with open_gate():
            self.saturate()
            self.kube.run("scale", "pwp/vllm", "--replicas=2")
            errors = [answer.error for answer in self.ended() if answer.error]
        self.figure("without the gate: kubectl scale pwp/vllm --replicas=2: cut", len(errors), f"of {REQUESTS}")
        self.assertTrue(errors, "nothing was cut: this shows nothing")


main()
