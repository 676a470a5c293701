"""What feeds a gateway, on its bad days and under very many changes: a thousand changes of endpoints a minute, the feed
killed, the gateway killed, the API server away for a minute. Every kind of gateway at once, on pods that have no kubelet:
what is said of them is the test's to say, and what answers at their addresses is one server."""
import os
import random
import time

from support import cluster, gateways
from support.case import main
from support.fed import FedGateways
from support.kube import wait_for
from support.load import Clients

SECONDS = int(os.environ.get("E2E_CHANGES_SECONDS", "300"))
A_MINUTE = 1000
GROWTH = 8  # MiB that a feed may grow while nothing but its revision does: pages of its allocator, not of the list


@cluster.needs_own_cluster("runs gateways in the cluster's own network, and stops the API server")
class GatewayFeeds(FedGateways):
    api_server_runs = True

    def loads(self) -> list[Clients]:
        return [Clients(front.url, 2, pause=0.2, tokens=5, streamed=True, timeout=30).start() for front in self.fronts]

    def no_errors(self, loads: list[Clients]) -> None:
        for load in loads:
            load.stop()
        for front, load in zip(self.fronts, loads):
            self.note(f"{front.kind}: {load.summary()}")
        for front, load in zip(self.fronts, loads):
            self.assertEqual([], load.errors, front.kind)

    def test_a_thousand_changes_a_minute(self) -> None:
        count = SECONDS * A_MINUTE // 60
        self.step(f"{count} changes, {A_MINUTE} a minute if the machine keeps up")
        loads, began = self.loads(), time.monotonic()
        self.change(count // 5)
        early = {front.kind: front.resident() for front in self.fronts}
        self.change(count - count // 5)
        self.figure(f"{count} changes of endpoints", time.monotonic() - began, "s")
        self.agree("after the last change")
        self.no_errors(loads)
        for front in self.fronts:
            grown = front.resident() - early[front.kind]
            self.figure(f"{front.kind}: its feed has grown by, of {front.resident():.0f} MiB", grown, "MiB")
            for change in ("withdraw", "admit"):
                self.latency(front, change)
            self.assertLess(grown, GROWTH, front.kind)

    def change(self, count: int) -> None:
        """At that rate, one pod at a time is said to be ready, or not."""
        began = time.monotonic()
        for made in range(count):
            time.sleep(max(0.0, began + made * 60 / A_MINUTE - time.monotonic()))
            number = random.randint(1, self.count // 2)  # some always are
            self.pods.say(number, self.pods.name_of(number) not in self.pods.ready)

    def latency(self, front: gateways.Gateway, change: str) -> None:
        found = front.applied(change)
        self.assertTrue(found.count, f"{front.kind}: nothing was counted")
        shown = [f"p{share * 100:.0f} within {found.within(share) * 1000:g} ms" for share in (0.5, 0.99)]
        self.note(f"{front.kind}: {change}, from the event to the gateway's word: {', '.join(shown)}, of {found.count:.0f}")

    def test_its_feed_is_killed(self) -> None:
        loads = self.loads()
        time.sleep(2)
        self.step("kill -9 of every gateway-sync; endpoints change; it starts again")
        for front in self.fronts:
            front.kill("sync")
        for number in (1, 2, 3):
            self.pods.say(number, False)
        time.sleep(2)
        for front in self.fronts:
            front.restart("sync")
        self.agree("after its feed was killed")
        self.no_errors(loads)

    def test_the_gateway_is_killed(self) -> None:
        for number in (1, 2, 3):
            self.pods.say(number, False)
        self.agree("before it")
        self.step("kill -9 of every gateway; it starts again with what its configuration has")
        for front in self.fronts:
            front.restart("gateway")
        self.agree("after the gateway was killed", 60)
        for front in self.fronts:
            wait_for(front.answers, f"{front.kind} to answer", 30)

    def start_api_server(self) -> None:
        if not self.api_server_runs:
            cluster.component("start", "apiserver")
            cluster.wait_api_server()
            self.api_server_runs = True

    def test_the_api_server_is_away(self) -> None:
        self.addCleanup(self.start_api_server)
        loads = self.loads()
        before = set(self.pods.ready.values())
        self.step("the API server is stopped for a minute")
        cluster.component("stop", "apiserver")
        self.api_server_runs = False
        until = time.monotonic() + 60
        while time.monotonic() < until:
            for front in self.fronts:
                self.assertEqual(before, front.serving(), front.kind)
            time.sleep(2)
        self.start_api_server()
        self.pods.say(1, False)
        self.agree("after the API server was away", 120)
        self.no_errors(loads)


main()
