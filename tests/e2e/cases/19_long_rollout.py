"""A rollout whose drains last longer than the Deployment controller tries.

While an old pod drains, its ReplicaSet has more than it should have. The Deployment controller's next step fails then.
Up to Kubernetes 1.37 that error is dropped, and the step comes with the next event. Since 1.38 the step is tried again 15
times, ever more rarely: the last two times after 82 and after 164 seconds. Then the Deployment is out of the controller's
queue. So answers that take longer are under way at each old pod when the template changes. The rollout must go on by
itself when the first of them is let go, and no client may see an error."""
import json
import os
import time

from support import cluster, gateway
from support.case import main
from support.drain import PODS, Disruptions, Fate, fates, slow_model
from support.kube import is_ready, name_of, wait_for
from support.load import Clients, NumberedStream
from support.watch import Watch

REPLICAS = 4  # by default one more and one less at a time, so the first step is followed by one that fails
ANSWER = 240  # seconds, of each long one
LEAST = 180  # of which the first drain must see so much


class LongRollout(Disruptions):
    def test_goes_on_after_a_drain_of_three_minutes(self) -> None:
        gateway.deploy(self.kube, REPLICAS, patches=(slow_model(),))
        url = self.enterContext(gateway.reach_pod(self.kube)).url
        old = {pod["metadata"]["uid"] for pod in self.kube.list("pods", PODS)}
        with self.watch_pods() as pods:
            long, short = self.long_answers(url), NumberedStream(url, period=0.7, quiet=True, tokens=1).start()
            self.addCleanup(long.abandon)
            self.addCleanup(short.abandon)
            mark, began = pods.mark(), time.monotonic()
            self.step("a new template")
            self.kube.run("set", "env", "deployment/vllm", "CHANGED=yes")
            wait_for(self.step_fails, "a step of the rollout that the drain holds up", 120)
            self.step("new pods are ready, and the old ReplicaSet has more than it should")
            first = self.wait_released(pods, mark)
            self.judge_first(first)
            self.kube.wait_rolled_out("deployment/vllm")
            long.stop()
            short.stop()
            self.assertEqual(0, pods.breaks, "the watch of the pods was cut: the times are wrong")
            self.judge_all(fates(pods, mark), old, max(answer.ended for answer in long.answers), began)
            for load in (long, short):
                self.step(load.summary())
                self.assertEqual([], load.errors, load.summary())
        self.kube.wait_endpoints(REPLICAS)

    def long_answers(self, url: str) -> Clients:
        """One for each client and no more, some of them at each pod."""
        clients = Clients(url, 3 * REPLICAS, tokens=ANSWER, streamed=True).start()
        busy = wait_for(lambda: sum(self.in_flight().values()) == clients.count and self.in_flight(),
                        f"{clients.count} long answers under way", 60)
        clients.stopping.set()
        self.note("in flight: " + ", ".join(f"{pod} {count}" for pod, count in busy.items()))
        self.assertTrue(all(busy.values()), "a pod without a long answer goes at once, and this shows nothing")
        return clients

    def step_fails(self) -> bool:
        """Each new pod is ready, so the next old one could go. But the old ReplicaSet has not yet lost the last one."""
        sets = self.kube.list("replicasets", PODS)
        held = [each for each in sets if each["status"]["availableReplicas"] > each["spec"]["replicas"]]
        new = [each for each in sets if each["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "2"]
        return bool(held) and new[0]["status"]["availableReplicas"] == new[0]["spec"]["replicas"]

    def wait_released(self, pods: Watch, mark: int) -> Fate:
        return wait_for(lambda: min((fate for fate in fates(pods, mark).values() if fate.released),
                                    key=lambda fate: fate.released or 0, default=None),
                        "the first old pod to be let go", ANSWER + 60)

    def judge_first(self, first: Fate) -> None:
        drained = (first.released or 0) - (first.withdrawn or 0)
        self.assertTrue(first.withdrawn, "it was let go without a drain")
        self.figure("the first old pod drained for", drained, "s")
        self.assertGreater(drained, LEAST, "too short to show anything")
        if not cluster.OWNED:
            return
        given_up = self.given_up()
        self.figure("the Deployment controller gave up meanwhile", given_up, "times")
        if self.fails_with_an_error():
            self.assertGreater(given_up, 0, "it did not give up: this shows nothing of such a Kubernetes")

    def given_up(self) -> int:
        """As the log of the controller manager says."""
        with open(os.path.join(cluster.STATE, "log", "controller-manager.log"), encoding="utf-8", errors="replace") as log:
            return sum(1 for line in log if f"invalid request to scale down {self.namespace}/" in line)

    def fails_with_an_error(self) -> bool:
        version = json.loads(self.kube.run("version", "-o", "json").out)["serverVersion"]
        self.note(f"Kubernetes {version['gitVersion']}")
        return int(version["minor"]) >= 38 or "rollouts-1.38" in version["gitVersion"]

    def judge_all(self, everybody: dict[str, Fate], old: set[str], last: float, began: float) -> None:
        gone = sorted(fate.released for uid, fate in everybody.items() if uid in old and fate.released)
        self.assertEqual(REPLICAS, len(gone), "old pods that were let go")
        left = [pod for pod in self.kube.list("pods", PODS) if "deletionTimestamp" not in pod["metadata"]]
        self.assertFalse(old & {pod["metadata"]["uid"] for pod in left}, "old pods that stay")
        self.assertEqual(REPLICAS, sum(map(is_ready, left)), f"new pods that are ready, of {list(map(name_of, left))}")
        self.figure("the next old pod was let go after the first", gone[1] - gone[0], "s")
        self.figure("all old pods were let go after the last long answer", gone[-1] - last, "s")
        self.figure("the whole rollout", time.monotonic() - began, "s")


main()
