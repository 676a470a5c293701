"""Four replicas whose controller goes by their ordinals: vllm-0 to vllm-3, each of them a pod or the leader of a group.

    class StatefulSet(Ordinals):
        target = "statefulset/vllm"
"""
import itertools

from support.drain import PODS, SECONDS, SHORT, Disruptions, Fate
from support.kube import SERVING, name_of, wait_for

NAMES = ["vllm-0", "vllm-1", "vllm-2", "vllm-3"]
KEPT, GONE = NAMES[:2], NAMES[2:]


class Ordinals(Disruptions):
    seconds = SHORT
    target = ""  # as kubectl scale names it

    def wait_four_shown(self) -> None:
        shown = ["vllm", "4", "4", "4"]
        wait_for(lambda: self.kube.run("get", "pwp", "--no-headers").out.split()[:4] == shown, "four to be shown", 30)

    def scale_down(self, url: str, what: str) -> dict[str, Fate]:
        """The two highest go, and those that stay are untouched. Returns what became of the others."""
        before = self.named()
        gone = self.disrupt(url, what, self.ask_for_two, gone=2, least=2, at_once=True)
        self.assertEqual(GONE, sorted(fate.name for fate in gone.values()))
        self.assertEqual(KEPT, self.kube.endpoints(), "the published list")
        self.assertEqual({name: before[name] for name in KEPT}, self.named(), "those that stay are the same pods")
        self.assertEqual(2, self.kube.pool()["spec"]["replicas"], "the pool follows")
        return gone

    def drain_two(self) -> None:
        self.kube.run("scale", self.target, "--replicas=2")
        wait_for(lambda: sorted(map(name_of, self.kube.list("pods", f"{PODS},{SERVING}=draining"))) == GONE,
                 "both to drain", 30)

    def ask_for_two(self) -> None:
        self.drain_two()
        said = self.poolwarden("why", "pod/vllm-3")
        self.assertRegex(said, r"is draining .*\(ScaleDown\)")
        self.assertRegex(said, r"(?m)^StatefulSet +vllm\b")

    def scale_up(self) -> None:
        self.step("kubectl scale pwp/vllm --replicas=4")
        before = self.named()
        self.scale_back(len(NAMES), "pwp/vllm")
        self.assertEqual(len(NAMES), self.kube.get(*self.target.split("/"))["spec"]["replicas"], "the target follows")
        self.assertEqual(NAMES, sorted(self.named()))
        self.assertEqual(before, {name: self.named()[name] for name in KEPT}, "those that stayed are the same pods")

    def short_answers(self) -> None:
        """For a rollout, where they drain one after the other."""
        self.seconds = min(SECONDS, 10)

    def assert_from_the_top(self, gone: dict[str, Fate]) -> None:
        turns = in_turn(gone)
        self.assertEqual(NAMES[::-1], [fate.name for fate in turns], "from the top")
        for earlier, later in itertools.pairwise(turns):
            self.assertGreater(later.withdrawn or 0, earlier.released, f"{later.name} was withdrawn too soon")


def in_turn(gone: dict[str, Fate]) -> list[Fate]:
    return sorted(gone.values(), key=lambda fate: fate.released or 0)
