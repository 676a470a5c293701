"""With endpointSlices: Direct the operator writes the EndpointSlices of the pool's Service. Kubernetes' own controllers
leave such a Service alone, old slices go, and on the way there and back no ready endpoint is missing at any moment."""
import os
import statistics
import threading
import time

from support.case import Case, main
from support.kube import ROOT, name_of, wait_for
from support.watch import Event, Watch

EXAMPLE = os.path.join(ROOT, "examples", "vllm-sim")
DELETES = 8
OURS, KUBERNETES = "operator.poolwarden.io", "endpointslice-controller.k8s.io"
MIRRORED = "endpointslicemirroring-controller.k8s.io"


class EndpointSlices(Case):
    def slices(self, manager: str = "") -> list[dict]:
        managed = f",endpointslice.kubernetes.io/managed-by={manager}" if manager else ""
        return self.kube.list("endpointslices", "kubernetes.io/service-name=vllm" + managed)

    def ready(self) -> set[str]:
        """As a client takes all slices together."""
        return {endpoint["targetRef"]["name"] for each in self.slices() for endpoint in each.get("endpoints") or []
                if endpoint["conditions"].get("ready", True)}

    def switch(self, mode: str) -> None:
        self.kube.patch("pwp", "vllm", {"spec": {"publish": {"service": {"endpointSlices": mode}}}})

    def selector(self) -> dict:
        return self.kube.get("service", "vllm")["spec"].get("selector") or {}

    def test_there_and_back(self) -> None:
        self.kube.run("apply", "-f", os.path.join(EXAMPLE, "deployment.yaml"), "-f", os.path.join(EXAMPLE, "pool.yaml"))
        self.kube.run("scale", "pwp/vllm", "--replicas=3")
        pods = set(self.kube.wait_endpoints(3))
        wait_for(lambda: self.ready() == pods, "Kubernetes' slices to have all", 60)
        seen: list[set[str]] = []
        ends = threading.Event()

        def look() -> None:
            while not ends.is_set():
                seen.append(self.ready())
                time.sleep(0.02)
        looking = threading.Thread(target=look)
        looking.start()
        try:
            self.step("To Direct")
            self.switch("Direct")
            wait_for(lambda: not self.selector() and not self.slices(KUBERNETES), "the operator's slices alone", 60)
            self.assertEqual(self.ready(), pods)
            self.step("What Kubernetes' controllers make of it by themselves: nothing")
            time.sleep(10)
            self.assertEqual([], self.slices(KUBERNETES) + self.slices(MIRRORED))
            self.step("Back")
            self.switch("Selector")
            wait_for(lambda: self.selector() and not self.slices(OURS), "Kubernetes' slices alone", 60)
        finally:
            ends.set()
            looking.join()
        self.assertEqual([], [sorted(pods - each) for each in seen if not pods <= each])
        self.figure("looks at the slices, none without a ready endpoint", len(seen), "")

    def test_withdrawn_pod_terminates(self) -> None:
        self.kube.run("apply", "-f", os.path.join(EXAMPLE, "deployment.yaml"), "-f", os.path.join(EXAMPLE, "pool.yaml"))
        self.kube.run("scale", "pwp/vllm", "--replicas=2")
        pods = self.kube.wait_endpoints(2)
        self.switch("Direct")
        wait_for(lambda: not self.selector() and not self.slices(KUBERNETES), "the operator's slices alone", 60)
        self.kube.run("annotate", "pod", pods[0], "poolwarden.io/drain=true")
        wait_for(lambda: self.ready() == {pods[1]}, "the pod to be withdrawn", 30)
        self.kube.run("annotate", "pod", pods[0], "poolwarden.io/drain-")
        wait_for(lambda: self.ready() == set(pods), "the pod to be back", 30)
        self.step("A slice that somebody deletes is made again")
        name = self.slices(OURS)[0]["metadata"]["name"]
        self.kube.run("delete", "endpointslice", name)
        wait_for(lambda: self.ready() == set(pods), "the slice to be back", 30)

    def test_how_soon(self) -> None:
        """From a pod's terminating event to the slice that says it is not ready, in both modes, on one clock."""
        self.kube.run("apply", "-f", os.path.join(EXAMPLE, "deployment.yaml"), "-f", os.path.join(EXAMPLE, "pool.yaml"))
        self.kube.run("scale", "pwp/vllm", "--replicas=3")
        self.kube.wait_endpoints(3)
        pods = self.enterContext(Watch(f"/api/v1/namespaces/{self.namespace}/pods", "app=vllm"))
        slices = self.enterContext(Watch(f"/apis/discovery.k8s.io/v1/namespaces/{self.namespace}/endpointslices"))
        for mode, manager in (("Selector", KUBERNETES), ("Direct", OURS)):
            self.switch(mode)
            wait_for(lambda wanted=manager: {each["metadata"]["labels"]["endpointslice.kubernetes.io/managed-by"]
                                             for each in self.slices()} == {wanted}, f"slices of {manager} alone", 60)
            taken = [self.one_delete(pods, slices) for _ in range(DELETES)]
            self.figure(f"{mode}: a pod's terminating event to its EndpointSlice, p50", statistics.median(taken), "ms")
            self.figure(f"{mode}: a pod's terminating event to its EndpointSlice, slowest", max(taken), "ms")

    def one_delete(self, pods: Watch, slices: Watch) -> float:
        """In milliseconds."""
        victim = self.kube.wait_endpoints(3)[0]
        wait_for(lambda: victim in self.ready(), f"{victim} in a slice", 30)
        pods_mark, slices_mark = pods.mark(), slices.mark()
        self.kube.run("delete", "pod", victim, "--wait=false")
        said = pods.wait(lambda event: name_of(event.object) == victim and "deletionTimestamp" in event.object["metadata"],
                         f"the terminating event of {victim}", after=pods_mark)

        def without(event: Event) -> bool:
            return victim not in {each["targetRef"]["name"] for each in event.object.get("endpoints") or []
                                  if each["conditions"].get("ready", True)}
        off = slices.wait(without, f"{victim} in no slice as ready", after=slices_mark)
        self.kube.wait_replaced(victim, 3)
        return (off.at - said.at) * 1000


main()
