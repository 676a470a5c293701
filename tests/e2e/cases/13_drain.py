"""No answer is cut when replicas are taken away on purpose, whoever does it: the pool, its Deployment, an autoscaler, a
rollout, `kubectl drain` of their node, or `kubectl poolwarden delete` of one. Sixteen clients through HAProxy, answers
that take 40 seconds, plain and streamed, from servers that cut them when they are told to stop. Beside it the same
without Poolwarden's gate. And a drain that is called off gives warm replicas back at once."""
import threading
import time

from support import gateway
from support.case import main
from support.cluster import needs_own_cluster
from support.drain import (AGAIN, AT_ONCE, PODS, SECONDS, SHORT, SOON, Disruptions, Generations, fates, open_gate,
                           slow_model)
from support.external_metrics import ExternalMetrics, PodMetrics, autoscaler, pod_autoscaler
from support.kube import SERVING, condition, endpoints_of, name_of, stays, wait_for
from support.watch import Watch

POOL = {"apiVersion": "poolwarden.io/v1alpha1", "kind": "InferencePool", "name": "vllm"}


class Drain(Disruptions):
    def deploy(self, replicas: int, **spec: object) -> str:
        """Returns the gateway's address."""
        gateway.deploy(self.kube, replicas, patches=(slow_model(**spec),))
        return self.enterContext(gateway.reach_pod(self.kube)).url

    def test_scale(self) -> None:
        url = self.deploy(3)
        self.disrupt(url, "kubectl scale pwp/vllm --replicas=1",
                     lambda: self.kube.run("scale", "pwp/vllm", "--replicas=1"), gone=2, at_once=True)
        self.scale_back(3)
        self.disrupt(url, "kubectl scale deployment/vllm --replicas=1",
                     lambda: self.kube.run("scale", "deployment/vllm", "--replicas=1"), gone=2, at_once=True)
        self.scale_back(3)
        self.call_off(url)

    def call_off(self, url: str) -> None:
        """Scaled down, and up again while it drains."""
        self.step("kubectl scale pwp/vllm --replicas=1, and back to 3 while two drain")
        before = self.identities()
        pools = self.enterContext(Watch(f"/apis/poolwarden.io/v1alpha1/namespaces/{self.namespace}/inferencepools"))
        with self.watch_lists() as lists, Generations(url) as load:
            self.wait_busy(load)
            self.kube.run("scale", "pwp/vllm", "--replicas=1")
            self.kube.wait_endpoints(1)
            self.note(self.kube.run("get", "pods", "-l", PODS, "-L", SERVING).out)
            mark, pools_mark, began = lists.mark(), pools.mark(), time.monotonic()
            self.kube.run("scale", "pwp/vllm", "--replicas=3")
            back = lists.wait(lambda event: len(endpoints_of(event.object)) == 3, "all three on the list", after=mark)
            self.figure("warm replicas on the list again, from the call of kubectl", back.at - began, "s")
            # kubectl alone takes a busy machine seconds.
            asked = pools.wait(lambda event: event.object["spec"]["replicas"] == 3, "three asked for", after=pools_mark)
            self.figure("warm replicas on the list again, from the pool's event", (back.at - asked.at) * 1000, "ms")
            self.assertLess(back.at - asked.at, AGAIN)
            wait_for(lambda: len(self.kube.list("pods", f"{PODS},{SERVING}=true")) == 3, "the label of all three", 30)
            time.sleep(2)
            self.assertEqual(load.errors(), [], load.summary())
        self.assertEqual(before, self.identities(), "no pod was restarted or replaced")
        for pod in self.kube.list("pods", PODS):
            marks = [key for key in pod["metadata"].get("annotations", {})
                     if key.startswith("poolwarden.io/") or key.endswith("deletion-cost")]
            self.assertEqual([], marks, "left behind")
        wait_for(lambda: self.kube.events("DrainCancelled", "vllm"), "an Event DrainCancelled on the pool", 30)

    def test_its_pool_is_deleted(self) -> None:
        url = self.deploy(3)
        with self.watch_pods() as pods, Generations(url) as load:
            self.wait_busy(load)
            mark = pods.mark()
            self.kube.run("scale", "pwp/vllm", "--replicas=2")
            victim = wait_for(lambda: self.kube.list("pods", f"{PODS},{SERVING}=draining"), "one that drains", 30)[0]
            serving = [each for each in self.identities() if each[0] != victim["metadata"]["uid"]]
            self.step(f"kubectl delete pwp vllm, while {name_of(victim)} drains")
            began = time.monotonic()
            self.kube.run("delete", "pwp", "vllm", "--timeout=60s", timeout=70)
            gone = wait_for(lambda: [uid for uid, fate in fates(pods, mark).items() if fate.released],
                            "one to be let go", SOON)
            self.figure("a pool deleted while one drains: that one let go after",
                        fates(pods, mark)[gone[0]].released - began, "s")
            wait_for(lambda: not self.marked(), "no mark of ours on those that stay", SOON)
            # Long enough for a ReplicaSet that would go on and take another.
            stays(lambda: self.uids() == {uid for uid, _restarts in serving}, "those that served are there", 5, every=1)
            self.assertEqual([victim["metadata"]["uid"]],
                             [uid for uid, fate in fates(pods, mark).items() if fate.released], "who was let go")
        # The one that was let go may still be on its way out.
        self.assertEqual(serving, [each for each in self.identities() if each[0] != victim["metadata"]["uid"]],
                         "none was restarted")
        self.assertEqual({}, self.marked())

    def marked(self) -> dict[str, list[str]]:
        """Pods that stay and have labels or annotations of ours on them."""
        found = {name_of(pod): [key for kind in ("labels", "annotations") for key in pod["metadata"].get(kind, {})
                                if key.startswith("poolwarden.io/") or key.endswith("deletion-cost")]
                 for pod in self.kube.list("pods", PODS) if "deletionTimestamp" not in pod["metadata"]}
        return {pod: keys for pod, keys in found.items() if keys}

    @needs_own_cluster("opens the gate, for all pools")
    def test_scale_without_the_gate(self) -> None:
        url = self.deploy(3)
        with open_gate():
            self.cut(url, "without the gate: kubectl scale deployment/vllm --replicas=1",
                     lambda: self.kube.run("scale", "deployment/vllm", "--replicas=1"), gone=2)

    @needs_own_cluster("registers an API of external metrics")
    def test_autoscaler(self) -> None:
        url = self.deploy(3)
        metrics = self.enterContext(ExternalMetrics(self.kube))
        metrics.values["queued"] = 25
        self.kube.apply(autoscaler("by-queue", POOL, "queued"))
        wait_for(lambda: self.kube.get("hpa", "by-queue").get("status", {}).get("desiredReplicas") == 3,
                 "the autoscaler to ask for three", 60)
        self.disrupt(url, "an autoscaler asks for one replica", lambda: metrics.values.update(queued=5), gone=2)
        # Idle replicas that drain did not make it ask for yet another number.
        self.assertEqual(self.kube.pool()["spec"]["replicas"], 1)

    @needs_own_cluster("registers an API of metrics of pods")
    def test_autoscaler_of_what_each_pod_reports(self) -> None:
        """It averages over the pods that its target's selector selects, and leaves be what is not far from the 10 that it
        wants of each. Once it has asked for two, two serve with 4.5 each, and that it leaves be. With the idle one that
        drains among them the average would be 3, and it would ask for one."""
        url = self.deploy(3)
        metrics = self.autoscale_by_pods(POOL)
        pools = self.enterContext(Watch(f"/apis/poolwarden.io/v1alpha1/namespaces/{self.namespace}/inferencepools"))
        gone = self.disrupt(url, "an autoscaler of what each pod reports asks for two replicas", self.busy.clear, gone=1)
        fate, = gone.values()
        told = [values for at, values in metrics.told if fate.withdrawn < at < fate.released]
        self.note(f"meanwhile it was told {len(told)} times, the last time {told[-1:]}, in thousandths")
        self.assertTrue(told, "it did not look while one drained: this shows nothing")
        self.assertEqual([], [values for values in told if 0 in values.values()], "it was told of the one that drained")
        looked = metrics.reads
        wait_for(lambda: metrics.reads > looked + 2, "it to look again, with two pods", 60)
        self.assertEqual({2, 3}, {event.object["spec"]["replicas"] for event in list(pools.events)}, "what it asked for")
        self.assertEqual(2, len(self.uids()))

    @needs_own_cluster("registers an API of metrics of pods")
    def test_autoscaler_of_what_each_pod_reports_on_the_deployment(self) -> None:
        """The same on the Deployment, whose selector knows of no drains, as docs/drain.md says."""
        url = self.deploy(3)
        metrics = self.autoscale_by_pods({"apiVersion": "apps/v1", "kind": "Deployment", "name": "vllm"})
        with Generations(url) as load:
            self.wait_busy(load)
            self.busy.clear()
            wait_for(lambda: self.kube.pool()["spec"]["replicas"] == 1, "it to ask for one", SECONDS)
        self.note(f"it was told {metrics.told[-1][1]}, in thousandths")

    def autoscale_by_pods(self, scaled: dict) -> PodMetrics:
        """Content with three, while self.busy is set."""
        self.busy = threading.Event()
        self.busy.set()
        metrics = self.enterContext(PodMetrics(self.kube, self.reported))
        self.kube.apply(pod_autoscaler("by-pod", scaled, "requests"))
        made = self.kube.get("hpa", "by-pod")
        if "tolerance" not in made["spec"]["behavior"]["scaleDown"]:
            self.skipTest("the autoscalers of this Kubernetes know of no tolerance of their own")
        wait_for(lambda: condition(self.kube.get("hpa", "by-pod"), "ScalingActive")["reason"] == "ValidMetricFound",
                 "the autoscaler to have found its metric", 60)
        return metrics

    def reported(self, pods: list[dict]) -> dict[str, int]:
        """Less than three replicas are for, and spread over two once two are asked for. Who drains reports nothing, though
        it ends what it has: as one whose last answers are long."""
        if self.busy.is_set():
            return {name_of(pod): 10000 for pod in pods}
        each = 3500 if self.kube.pool()["spec"]["replicas"] == 3 else 4500
        return {name_of(pod): 0 if pod["metadata"]["labels"].get(SERVING) in ("draining", "drained") else each
                for pod in pods}

    def test_rollout(self) -> None:
        url = self.deploy(3, **AT_ONCE)
        self.disrupt(url, "kubectl rollout restart",
                     lambda: self.kube.run("rollout", "restart", "deployment/vllm"), gone=3, seconds=3 * SECONDS + 60)
        self.kube.wait_rolled_out("deployment/vllm")
        self.kube.wait_endpoints(3)
        self.step("pause, change, resume, undo, with a little traffic")
        with Generations(url) as load:
            for each in load.long:
                each.abandon()
            load.short.start()
            self.rollout_commands()
            self.assertEqual(load.errors(), [], load.summary())
            self.step(load.summary())

    def test_rollout_by_default(self) -> None:
        """A quarter more and a quarter less at a time: Kubernetes takes an old one from the list before there is a new one."""
        self.seconds = min(SECONDS, 10)
        url = self.deploy(4)
        self.disrupt(url, "kubectl rollout restart, of four with the default strategy",
                     lambda: self.kube.run("rollout", "restart", "deployment/vllm"), gone=4, seconds=4 * (self.seconds + 60),
                     least=3)
        self.kube.wait_rolled_out("deployment/vllm")
        self.kube.wait_endpoints(4)

    def rollout_commands(self) -> None:
        self.kube.run("rollout", "pause", "deployment/vllm")
        before = self.uids()
        self.kube.run("set", "env", "deployment/vllm", "CHANGED=yes")
        time.sleep(3)
        self.assertEqual(before, self.uids(), "paused")
        self.kube.run("rollout", "resume", "deployment/vllm")
        self.kube.wait_rolled_out("deployment/vllm")
        between = self.uids()
        self.assertEqual(set(), before & between, "all were replaced")
        self.kube.run("rollout", "undo", "deployment/vllm")
        self.kube.wait_rolled_out("deployment/vllm")
        self.kube.wait_endpoints(3)
        self.assertEqual(set(), between & self.uids(), "all were replaced")

    @needs_own_cluster("drains a node")
    def test_node(self) -> None:
        self.seconds = SHORT
        self.deploy(3)
        self.drain_a_node(gateway.reach_pod, "gateway")
        self.kube.wait_endpoints(3)

    def test_one_pod(self) -> None:
        url = self.deploy(3)
        victim = name_of(self.kube.ready_pods(PODS)[0])
        gone = self.disrupt(url, f"kubectl poolwarden delete {victim}",
                            lambda: self.poolwarden("delete", victim), gone=1)
        self.assertEqual([victim], [fate.name for fate in gone.values()])
        self.kube.wait_replaced(victim, 3)


main()
