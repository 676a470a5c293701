"""How long a pod that is told to stop goes on being sent requests, by every kind of gateway at once in front of one pool:
with the operator there, with its leader killed a moment before, and with no operator at all. It is to be the same.

The clock begins as a bare watch of the test itself reads the pod's terminating event, and ends as the gateway itself says
that it sends there no more. Each gateway is asked every 10 ms, from the event to its word only: all of them together are no
small load for two cores. Beside it: what gateway-sync counts itself, how long the bare watch waits for its event, and what
the gateway's own command takes when the test gives it by hand."""
import dataclasses
import signal
import statistics
import time
from typing import Callable

from support import cluster, gateways, operator, processes
from support.case import main
from support.fed import FedGateways
from support.gateway import Withdrawal
from support.kube import name_of
from support.watch import Event, Watch

EVERY = 0.010  # s between two looks at a gateway
QUIET = 1.5  # s before a delete: nothing is on its way to a gateway any more, and no reload of nginx under way
BY_HAND = 5
# As in case 02: none may have waited for the next list of anything.
MEDIAN_SECONDS, SLOWEST_SECONDS = 1.0, 3.0
THERE, KILLED, NONE = "with the operator", "leader just killed", "without an operator"
ROUNDS = {THERE: 20, KILLED: 8, NONE: 10}


@dataclasses.dataclass
class Round:
    delivered: float  # from the DELETE to the event, as the bare watch reads it
    applied: dict[str, float]  # from that event, by gateway


@dataclasses.dataclass
class Situation:
    name: str
    rounds: list[Round]
    counted: dict[str, gateways.Applied]  # by each gateway's feed

    def applied(self, kind: str) -> list[float]:
        return [each.applied[kind] for each in self.rounds]


def in_ms(times: list[float]) -> str:
    return f"{statistics.median(times) * 1e3:.1f} / {max(times) * 1e3:.1f}"


@cluster.needs_own_cluster("runs gateways in the cluster's own network, and kills a process of a container")
class GatewayLatency(FedGateways):
    count = 12

    def setUp(self) -> None:
        super().setUp()
        self.events = self.enterContext(Watch(f"/api/v1/namespaces/{self.namespace}/pods", "app=hollow"))
        self.events.wait(lambda event: True, "the pods")

    def test_from_the_event_to_the_gateway(self) -> None:
        self.step(f"the gateway's own command, by hand, {BY_HAND} times")
        commands = {front.kind: [self.by_hand(front) for _ in range(BY_HAND)] for front in self.fronts}
        situations = [self.situation(THERE, lambda: None, self.listed),
                      self.situation(KILLED, self.kill_leader, self.another_leads)]
        self.step("no operator")
        self.addCleanup(operator.start)
        operator.stop()
        situations.append(self.situation(NONE, lambda: None, lambda: None))
        self.assertEqual(self.events.breaks, 0, "a watch was cut: the times are wrong")
        self.show(commands, situations)
        for situation in situations:
            for front in self.fronts:
                with self.subTest(gateway=front.kind, situation=situation.name):
                    times = situation.applied(front.kind)
                    self.assertLess(statistics.median(times), MEDIAN_SECONDS)
                    self.assertLess(max(times), SLOWEST_SECONDS)
                    self.assertTrue(situation.counted[front.kind].count, "its feed counted nothing")

    def by_hand(self, front: gateways.Gateway) -> float:
        """The feed stands still, and puts right later what was done here."""
        address = self.pods.address(1)
        time.sleep(QUIET)
        front.processes["sync"].send_signal(signal.SIGSTOP)
        try:
            withdraw = front.withdrawal(address)
            look = self.watched(front.kind, front.sends_to(address))
            began = time.monotonic()
            withdraw()
            took = look.wait() - began
        finally:
            front.processes["sync"].send_signal(signal.SIGCONT)
        self.agree(f"after a withdrawal of {front.kind} by hand")
        return took

    @staticmethod
    def watched(kind: str, sends: Callable[[], bool]) -> Withdrawal:
        return Withdrawal(sends, f"{kind} still sends requests to the pod", 30, EVERY)

    def situation(self, name: str, before: Callable[[], None], after: Callable[[], None]) -> Situation:
        self.step(f"{name}: delete a pod, {ROUNDS[name]} times")
        counted = {front.kind: front.applied("withdraw") for front in self.fronts}
        rounds: list[Round] = []
        while len(rounds) < ROUNDS[name]:
            number = len(rounds) % (self.count - 2) + 1
            if number == 1 and rounds:
                self.whole_again()
            rounds.append(self.one_round(number, before))
            after()
        counted = {front.kind: front.applied("withdraw").since(counted[front.kind]) for front in self.fronts}
        if name != NONE:
            self.whole_again()
        return Situation(name, rounds, counted)

    def one_round(self, number: int, before: Callable[[], None]) -> Round:
        time.sleep(QUIET)
        pod, mark = self.pods.name_of(number), self.events.mark()
        self.pods.caller.connected()
        sends = {front.kind: front.sends_to(self.pods.address(number)) for front in self.fronts}
        before()
        sent = time.monotonic()
        self.pods.delete(number, grace=600)

        def terminating(event: Event) -> bool:
            return name_of(event.object) == pod and "deletionTimestamp" in event.object["metadata"]
        told = self.events.wait(terminating, f"{pod} terminating", after=mark).at
        # Not before: this process, too, has to read the event in time.
        looks = {kind: self.watched(kind, each) for kind, each in sends.items()}
        found = Round(told - sent, {kind: look.wait() - told for kind, look in looks.items()})
        self.note(f"{pod}: its event after {found.delivered * 1e3:.1f} ms, then " + ", ".join(
            f"{kind} {took * 1e3:.1f}" for kind, took in found.applied.items()))
        return found

    def listed(self) -> None:
        """The list says it, too."""
        self.kube.wait_endpoints(len(self.pods.ready))

    def kill_leader(self) -> None:
        self.killed = operator.leader()
        processes.kill(self.killed, "poolwarden")

    def another_leads(self) -> None:
        # Another pod: a container that is killed again and again is started after minutes only.
        operator.kube.run("delete", "pod", name_of(self.killed), "--force", "--grace-period=0")
        operator.wait_ready()
        operator.leader()
        self.listed()

    def whole_again(self) -> None:
        for number in range(1, self.count + 1):
            if self.pods.name_of(number) not in self.pods.ready:
                self.pods.delete(number, grace=0)
                self.pods.make(number)
        self.agree("with all pods again")

    def show(self, commands: dict[str, list[float]], situations: list[Situation]) -> None:
        for situation in situations:
            for front in self.fronts:
                times, counted = situation.applied(front.kind), situation.counted[front.kind]
                what = f"{front.kind}, {situation.name}"
                self.figure(f"{what}: a pod's terminating event to its word, p50", statistics.median(times) * 1e3, "ms")
                self.figure(f"{what}: the same, slowest of {len(times)}", max(times) * 1e3, "ms")
                self.figure(f"{what}: as its feed counts it, mean", counted.seconds / counted.count * 1e3, "ms")
        self.note(f"p50 / slowest, ms; each gateway is looked at every {EVERY * 1e3:g} ms")
        for situation in situations:
            delivered = in_ms([each.delivered for each in situation.rounds])
            self.note(f"{situation.name}: the bare watch has the event {delivered} after the DELETE")
        self.note("then its gateway; in brackets what its feed counts: mean, and the bounds of p50 and p99;")
        self.note("x: from the DELETE to its word, in bare watches and own commands (p50)")
        for front in self.fronts:
            self.note(f"{front.kind}: own command {in_ms(commands[front.kind])}")
            for situation in situations:
                self.note(self.row(front.kind, statistics.median(commands[front.kind]), situation))

    @staticmethod
    def row(kind: str, command: float, situation: Situation) -> str:
        counted = situation.counted[kind]
        bare = statistics.median(each.delivered for each in situation.rounds)
        whole = statistics.median(each.delivered + each.applied[kind] for each in situation.rounds)
        feed = ", ".join(f"{seconds * 1e3:.3g}" for seconds in (counted.seconds / counted.count, counted.within(0.5),
                                                               counted.within(0.99)))
        return (f"{kind:14} {situation.name:20} {in_ms(situation.applied(kind)):>16}  ({feed}; of {counted.count:.0f})"
                f"  x {whole / (bare + command):.2f}")


main()
