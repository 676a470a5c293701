"""The same with an engine that computes: llama.cpp as it is, with a model of 135 million parameters, on this machine's
processors. The guide's steps; then scaled down, rolled out and with a node drained under streamed answers; and all that
with more requests than it has slots, which llama.cpp counts apart. It cuts its answers when it is told to stop. None may
be cut, and each answer is the model's own."""
from typing import Callable

from support import cluster, gateway
from support.case import main
from support.drain import Disruptions
from support.kube import name_of, wait_for
from support.load import Clients, Load, NumberedStream, complete
from support.reach import Reach

POOL = "llama-cpp"
PODS = f"app={POOL}"
SLOTS = 4  # of each replica: examples/llama-cpp
PROMPT, WORD = "The capital of France is", "Paris"
TOKENS = 48  # of a long answer: some ten seconds where two processors serve eight
PATIENCE = 300


@cluster.needs_own_cluster("brings an image that no registry has, and drains a node")
class LlamaCpp(Disruptions):
    @classmethod
    def setUpClass(cls) -> None:
        cluster.bring_images(POOL)

    def deploy(self, replicas: int) -> None:
        self.kube.apply_kustomization("examples/llama-cpp")
        self.scale(replicas)
        self.kube.wait_rolled_out("deployment/gateway")

    def scale(self, replicas: int) -> None:
        self.kube.run("scale", f"pwp/{POOL}", f"--replicas={replicas}")
        self.kube.wait_endpoints(replicas, POOL, PATIENCE)

    def settled(self, replicas: int) -> None:
        """As many pods, none on its way out, and all of the newest template."""
        self.kube.wait_rolled_out(f"deployment/{POOL}", PATIENCE)
        wait_for(lambda: len(self.kube.list("pods", PODS)) == replicas, f"{replicas} pods and no more", PATIENCE)
        self.kube.wait_endpoints(replicas, POOL, PATIENCE)

    def in_slots_and_waiting(self) -> tuple[int, int]:
        found = [0, 0]
        for pod in self.kube.ready_pods(PODS):
            with Reach(self.namespace, f"pod/{name_of(pod)}", 8000) as address:
                lines = address.get("/metrics").splitlines()
            for index, name in enumerate(("llamacpp:requests_processing ", "llamacpp:requests_deferred ")):
                found[index] += sum(int(float(line.removeprefix(name))) for line in lines if line.startswith(name))
        return found[0], found[1]

    def judge_load(self, what: str, load: Load) -> None:
        load.stop()
        answers = list(load.answers)
        self.figure(f"{what}: errors", len(load.errors), f"of {len(answers)} answers")
        self.assertEqual([], [answer.error for answer in load.errors])
        self.assertTrue(answers, "nothing was asked")
        for answer in answers:
            self.assertIn(WORD, answer.text, "this is not what the model says")
        self.note(f"each says: {answers[0].text[:60]!r}")

    def under_streams(self, url: str, what: str, act: Callable[[], object], clients: int, waiting: int = 0) -> None:
        self.step(f"{what}, under {clients} streamed answers")
        load = Clients(url, clients, prompt=PROMPT, tokens=TOKENS, streamed=True, timeout=PATIENCE).start()
        self.addCleanup(load.abandon)
        busy = wait_for(lambda: (found := self.in_slots_and_waiting())[0] >= clients - waiting > 0 and found[1] >= waiting
                        and found, f"{clients} requests in flight, {waiting} of them without a slot", PATIENCE)
        self.note(f"in slots {busy[0]}, waiting {busy[1]}")
        act()
        self.judge_load(what, load)

    def test_guide_steps(self) -> None:
        self.deploy(3)
        with gateway.reach(self.kube) as address:
            stream = NumberedStream(address.url, prompt=PROMPT, tokens=3, timeout=PATIENCE).start()
            self.addCleanup(stream.abandon)
            victim = self.kube.endpoints(POOL)[0]
            wait_for(lambda: len(stream.answers) >= 3, "answers", PATIENCE)
            self.step(f"delete {victim}; scale back to one")
            self.kube.run("delete", "pod", victim, "--wait=false")
            self.kube.wait_replaced(victim, 3, POOL, PATIENCE)
            self.scale(1)
            self.settled(1)
            self.judge_load("the guide's steps", stream)

    def test_disruptions(self) -> None:
        self.deploy(3)
        url = self.enterContext(gateway.reach_pod(self.kube)).url
        self.under_streams(url, "kubectl scale to one", lambda: (self.scale(1), self.settled(1)), clients=6)
        self.scale(2)
        self.under_streams(url, "kubectl rollout restart", self.restart, clients=6)
        node = self.kube.ready_pods(PODS)[0]["spec"]["nodeName"]
        there = sum(1 for pod in self.kube.list("pods", PODS) if pod["spec"]["nodeName"] == node)
        self.keep_off(node, "gateway")
        with gateway.reach_pod(self.kube) as address:
            wait_for(lambda: not complete(address.url, tokens=1).error, "an answer", 60)
            self.under_streams(address.url, f"kubectl drain {node}",
                               lambda: (self.drain_node(node, there), self.settled(2)), clients=6)

    def restart(self) -> None:
        self.kube.run("rollout", "restart", f"deployment/{POOL}")
        self.settled(2)

    def test_more_requests_than_slots(self) -> None:
        self.deploy(2)
        url = self.enterContext(gateway.reach_pod(self.kube)).url
        self.under_streams(url, "kubectl scale to one, with all slots taken", lambda: (self.scale(1), self.settled(1)),
                           clients=3 * SLOTS, waiting=SLOTS)


main()
