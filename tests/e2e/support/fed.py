"""The base of a case with every kind of gateway at once in front of one pool of hollow pods, each fed by gateway-sync."""
import time

from support import gateways
from support.case import Case
from support.hollow import POOL, HollowPods
from support.kube import wait_for

KINDS = [kind for kind in gateways.KINDS if kind != "service"]


class FedGateways(Case):
    count = 20  # pods

    def setUp(self) -> None:
        super().setUp()
        kinds = [kind for kind in KINDS if not gateways.missing(kind)]
        for kind in set(KINDS) - set(kinds):
            self.note(f"{kind} is left out: its program cannot be had")
        self.pods = HollowPods(self, self.count)
        self.kube.create(POOL)
        self.kube.wait_endpoints(self.count)
        address = f"{self.pods.address(self.count)}:8000"
        self.fronts = [self.enterContext(gateways.Gateway(kind, self.namespace, address, fed=True)) for kind in kinds]
        self.agree("at first")

    def agree(self, when: str, seconds: float = 30) -> None:
        """Each gateway sends to exactly the pods that are ready."""
        wanted = set(self.pods.ready.values())
        began = time.monotonic()
        for front in self.fronts:
            wait_for(lambda each=front: self.send_to(each, wanted), f"{front.kind} to agree {when}", seconds)
        self.note(f"{when}: all agree on {len(wanted)} endpoints after {time.monotonic() - began:.1f} s")

    def send_to(self, front: gateways.Gateway, wanted: set[str]) -> bool:
        serving = front.serving()
        if serving != wanted:
            raise AssertionError(f"beside {sorted(serving - wanted)}, without {sorted(wanted - serving)}\n{front.log()}")
        return True
