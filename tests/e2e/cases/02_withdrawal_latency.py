"""How long a pod that is told to stop goes on being offered requests: from the event that says it is
terminating to the published list without it, and to HAProxy that sends it no more. Beside it, in the same run
and on the same clock, what a plain Service does: the moment its EndpointSlice says so, which is before any
kube-proxy has acted on it. And the same for HAProxy when no operator runs at all: there, nobody writes the list."""
import statistics

from support import gateway, operator
from support.case import Case, main
from support.cluster import needs_own_cluster
from support.kube import endpoints_of, name_of, wait_for
from support.watch import Event, Watch

ROUNDS = 10
ALONE = 4
PODS = "app=vllm"
# An idle machine does it in a few hundredths. The median is the program's own; one round in ten may meet whatever else a
# busy machine with two cores does, but none may have waited for the next list of anything.
MEDIAN_SECONDS, SLOWEST_SECONDS = 1.0, 3.0


def terminating(pod: str):
    return lambda event: (event.kind == "MODIFIED" and name_of(event.object) == pod
                          and "deletionTimestamp" in event.object["metadata"])


def list_without(pod: str):
    return lambda event: event.kind == "MODIFIED" and pod not in endpoints_of(event.object)


def slice_without(pod: str):
    def look(event: Event) -> bool:
        endpoints = event.object.get("endpoints") or []
        ready = [each["targetRef"]["name"] for each in endpoints if each["conditions"]["ready"]]
        return event.kind == "MODIFIED" and pod not in ready
    return look


class WithdrawalLatency(Case):
    def plain_service(self) -> None:
        """Over the same pods, by Kubernetes alone."""
        self.kube.apply({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "plain"},
                         "spec": {"selector": {"app": "vllm"}, "ports": [{"port": 8000}]}})

    def watches(self) -> tuple[Watch, Watch, Watch]:
        at = f"namespaces/{self.namespace}"
        return (Watch(f"/api/v1/{at}/pods", PODS),
                Watch(f"/api/v1/{at}/configmaps", "poolwarden.io/pool=vllm"),
                Watch(f"/apis/discovery.k8s.io/v1/{at}/endpointslices", "kubernetes.io/service-name=plain"))

    def one_round(self, pods: Watch, lists: Watch, slices: Watch,
                  haproxy: gateway.Haproxy) -> tuple[float, ...]:
        victim = self.kube.ready_pods(PODS)[0]
        name = name_of(victim)
        drained = haproxy.time_of_withdrawal(victim["status"]["podIP"])
        marks = [watch.mark() for watch in (pods, lists, slices)]
        self.kube.run("delete", "pod", name, "--wait=false")
        told = pods.wait(terminating(name), f"{name} terminating", after=marks[0]).at
        listed = lists.wait(list_without(name), f"the list without {name}", after=marks[1]).at
        sliced = slices.wait(slice_without(name), f"the EndpointSlice without {name}", after=marks[2]).at
        gone = drained.wait()
        self.note(f"{name}: list {(listed - told) * 1e3:6.1f} ms, HAProxy {(gone - told) * 1e3:6.1f} ms, "
                  f"EndpointSlice {(sliced - told) * 1e3:6.1f} ms")
        self.kube.wait_replaced(name, 3)
        return listed - told, gone - told, sliced - told

    def confirmed(self) -> bool:
        """HAProxy has said that it has the list as it is."""
        consumers = self.kube.pool()["status"].get("consumers", [])
        return [each["kind"] for each in consumers if each["live"] and each["behind"] == 0] == ["haproxy"]

    @needs_own_cluster("looks into HAProxy's volume")
    def test_from_the_event_to_the_list_and_to_haproxy(self) -> None:
        gateway.deploy(self.kube, replicas=3)
        wait_for(self.confirmed, "HAProxy's word that it has the list", 60)
        self.plain_service()
        haproxy = gateway.Haproxy(self.kube)
        pods, lists, slices = self.watches()
        with pods, lists, slices:
            # Each has begun: what comes then comes as a change.
            pods.wait(lambda event: True, "the pods")
            lists.wait(lambda event: len(endpoints_of(event.object)) == 3, "the list")
            slices.wait(lambda event: len(event.object.get("endpoints") or []) == 3, "the plain Service's pods")
            self.step(f"delete a pod, {ROUNDS} times; from its terminating event:")
            rounds = [self.one_round(pods, lists, slices, haproxy) for _ in range(ROUNDS)]
            breaks = pods.breaks + lists.breaks + slices.breaks
            self.assertEqual(breaks, 0, "a watch was cut: the times are wrong")
        names = ("to the list", "to HAProxy drained", "to a plain Service's EndpointSlice")
        medians, slowest = ([of(times) for times in zip(*rounds)] for of in (statistics.median, max))
        for what, times in zip(names, zip(*rounds)):
            self.figure(f"{what}, p50", statistics.median(times) * 1e3, "ms")
            self.figure(f"{what}, slowest", max(times) * 1e3, "ms")
        self.assertLess(max(medians[:2]), MEDIAN_SECONDS, "the list, or HAProxy, is slow")
        self.assertLess(max(slowest[:2]), SLOWEST_SECONDS, "the list, or HAProxy, was late once")
        wait_for(self.confirmed, "HAProxy's word that it has the last list", 60)

    def withdrawn_by_its_event(self, pods: Watch, haproxy: gateway.Haproxy, name: str) -> float:
        address = self.kube.get("pod", name)["status"]["podIP"]
        drained = haproxy.time_of_withdrawal(address)
        mark = pods.mark()
        self.kube.run("delete", "pod", name, "--wait=false")
        told = pods.wait(terminating(name), f"{name} terminating", after=mark).at
        gone = drained.wait()
        self.note(f"{name}: HAProxy {(gone - told) * 1e3:6.1f} ms")
        return gone - told

    @needs_own_cluster("looks into HAProxy's volume")
    def test_from_the_event_to_haproxy_without_an_operator(self) -> None:
        gateway.deploy(self.kube, replicas=ALONE + 1)
        haproxy = gateway.Haproxy(self.kube)
        listed = sorted(self.kube.endpoints())
        with Watch(f"/api/v1/namespaces/{self.namespace}/pods", PODS) as pods:
            pods.wait(lambda event: True, "the pods")
            self.step(f"no operator, and delete a pod, {ALONE} times")
            self.addCleanup(operator.start)
            operator.stop()
            times = [self.withdrawn_by_its_event(pods, haproxy, name) for name in listed[:ALONE]]
            self.assertEqual(pods.breaks, 0, "a watch was cut: the times are wrong")
        self.assertEqual(sorted(self.kube.endpoints()), listed, "nobody was there to write the list")
        self.figure("to HAProxy drained, without an operator, p50", statistics.median(times) * 1e3, "ms")
        self.figure("to HAProxy drained, without an operator, slowest", max(times) * 1e3, "ms")
        self.assertLess(statistics.median(times), MEDIAN_SECONDS, "HAProxy is slow")
        self.assertLess(max(times), SLOWEST_SECONDS, "HAProxy was late once")
        operator.start()
        wait_for(lambda: not set(self.kube.endpoints()) & set(listed[:ALONE]), "a list without them", 60)


main()
