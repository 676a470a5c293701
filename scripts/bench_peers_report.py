"""The tables of `make bench-peers`, made of the driver's results."""
import dataclasses
import statistics
from typing import Any, Callable, Iterable

Result = dict[str, Any]
# What goes on at an API server whatever is measured: its own Leases and endpoints, and the reading of its metrics.
BACKGROUND = {"GET", "PUT leases", "GET leases", "GET endpoints", "GET endpointslices"}

ATTACKS = {"": "", "objects": ", beside 50,000 hostile objects", "clients": ", beside 1,000 hostile clients"}


@dataclasses.dataclass(frozen=True)
class Column:
    """One figure of a row. value: None where the program has none."""
    title: str
    value: Callable[[Result], float | None]
    digits: int = 1


def counts(kind: str) -> bool:
    """Whether these requests belong to what is measured. Watches last longer than a row."""
    verb, _, what = kind.strip().partition(" ")
    return kind.strip() not in BACKGROUND and verb != "WATCH" and not what.startswith("/")


def has_list(result: Result) -> bool:
    return result["lists"]["count"] > 0


def of_process(name: str) -> Callable[[Result], float | None]:
    """A figure of the program's process; nothing where it has none."""
    return lambda result: result[name] or None


def of_lists(name: str) -> Callable[[Result], float | None]:
    return lambda result: result["lists"][name] if has_list(result) else None


def of_slices(name: str) -> Callable[[Result], float | None]:
    return lambda result: result["slices"][name] if result["slices"]["count"] else None


def requests_each(result: Result) -> float:
    """All of them, for one delete, the delete itself included."""
    return sum(count for kind, count in result["counters"]["requests"].items() if counts(kind)) / deletes(result)


def kib_each(result: Result) -> float:
    """In requests, in answers and to watchers."""
    sizes = [size for name in ("request_bytes", "response_bytes") for kind, size in result["counters"][name].items()
             if counts(kind)]
    return (sum(sizes) + sum(result["counters"]["watch_bytes"].values())) / 1024 / deletes(result)


def server_cpu(result: Result) -> float:
    return sum(result["server_cpu_ms_per_delete"].values())


def deletes(result: Result) -> int:
    return max(1, result["deletes"])


COLUMNS = (
    Column("p50 ms", of_lists("p50")),
    Column("p99 ms", of_lists("p99")),
    Column("max ms", of_lists("max")),
    Column("CPU ms", of_process("cpu_ms_per_delete"), 2),
    Column("servers' CPU ms", server_cpu),
    Column("requests", requests_each),
    Column("KiB", kib_each, 0),
    Column("EndpointSlice p50 ms", of_slices("p50")),
    Column("EndpointSlice p99 ms", of_slices("p99")),
    Column("resident MiB", of_process("resident_mib"), 0),
    Column("peak at start MiB", of_process("peak_start_mib"), 0),
    Column("first right list s", of_process("start_s"), 2),
)


def cell(values: Iterable[float | None], digits: int) -> str:
    """The median, and the spread where there is one."""
    known = [value for value in values if value is not None]
    if not known:
        return ""
    middle = f"{statistics.median(known):,.{digits}f}"
    low, high = f"{min(known):,.{digits}f}", f"{max(known):,.{digits}f}"
    return middle if low == high else f"{middle} ({low} to {high})"


def grouped(results: Iterable[Result]) -> dict[str, dict[str, list[Result]]]:
    """By row, then by program, in the order in which they were measured."""
    rows: dict[str, dict[str, list[Result]]] = {}
    for result in results:
        rows.setdefault(result["row"], {}).setdefault(result["peer"], []).append(result)
    return rows


def row_words(result: Result) -> str:
    """A row for people."""
    size = f'{result["pods"]:,} pods in {result["pools"]} pools'
    how = {
        "rate": lambda: f'{result["row"].partition("@")[2].partition("+")[0]} deletes a second',
        "node": lambda: f'{result["deletes"]} pods of a node at once',
        "adopt": lambda: "deletes right after the start",
        "leader": lambda: "the leader killed among deletes",
    }[result["kind"]]
    return f"{size}, {how()}{ATTACKS[result.get('attack', '')]}"


def table(head: list[str], lines: Iterable[list[str]]) -> str:
    rule = ["---"] * len(head)
    return "\n".join("| " + " | ".join(line) + " |" for line in [head, rule, *lines])


def main_table(rows: dict[str, dict[str, list[Result]]]) -> str:
    lines = []
    for peers in rows.values():
        for name, results in peers.items():
            cells = [cell(map(column.value, results), column.digits) for column in COLUMNS]
            lines.append([row_words(results[0]), name, *cells])
    return table(["", "program", *(column.title for column in COLUMNS)], lines)


def ratio(figure: Callable[[Result], float | None], of: list[Result], to: list[Result]) -> str:
    """Of medians."""
    above = [value for value in map(figure, of) if value is not None]
    below = [value for value in map(figure, to) if value is not None]
    if not above or not below or not statistics.median(below):
        return ""
    return f"{statistics.median(above) / statistics.median(below):.2f}"


def ratio_table(rows: dict[str, dict[str, list[Result]]]) -> str:
    """Each Poolwarden beside Go; and what it does to Kubernetes' own EndpointSlices."""
    lines = []
    for peers in rows.values():
        for name in (name for name in peers if name.startswith("poolwarden")):
            go, alone = peers.get("go", []), peers.get("kubernetes", [])
            figures = [of_lists("p50"), of_lists("p99"), of_process("cpu_ms_per_delete"), of_process("resident_mib")]
            lines.append([row_words(peers[name][0]), name, *(ratio(figure, peers[name], go) for figure in figures),
                          ratio(of_slices("p50"), peers[name], alone), ratio(of_slices("p50"), go, alone)])
    return table(["", "program", "p50 / Go", "p99 / Go", "CPU / Go", "resident / Go", "EndpointSlice p50 / alone",
                  "the same with Go"], lines)


def attack_table(rows: dict[str, dict[str, list[Result]]]) -> str:
    """Each attack beside the same row without it; empty where there was none."""
    lines = []
    for row, peers in rows.items():
        usual = rows.get(row.partition("+")[0], {})
        for name, results in peers.items():
            if results[0].get("attack") and name in usual:
                lines.append([row_words(results[0]), name, ratio(of_lists("p50"), results, usual[name]),
                              ratio(of_lists("p99"), results, usual[name]), cell(map(of_process("peak_mib"), results), 0)])
    return table(["", "program", "p50 / usual", "p99 / usual", "peak MiB"], lines) if lines else ""


def request_table(peers: dict[str, list[Result]]) -> str:
    """Requests for one delete by kind; conflicts are among them."""
    def each(kind: str, name: str, results: list[Result]) -> float:
        return statistics.median(result["counters"][name].get(kind, 0) / deletes(result) for result in results)

    kinds = sorted({kind for results in peers.values() for result in results for kind in result["counters"]["requests"]
                    if counts(kind)})
    lines = []
    for kind in kinds:
        requests = [each(kind, "requests", results) for results in peers.values()]
        conflicts = [each(kind, "conflicts", results) for results in peers.values()]
        if max(requests) >= 0.005:
            lines.append([kind] + [f"{count:.2f}" + (f" ({lost:.2f} in conflict)" if lost >= 0.005 else "") if count >= 0.005
                                   else "" for count, lost in zip(requests, conflicts)])
    return table(["requests for one delete", *peers], lines)


def warnings(results: Iterable[Result]) -> list[str]:
    """What a reader of the figures must know."""
    out = []
    for result in results:
        where = f'{result["peer"]}, {result["row"]}, run {result["run"]}'
        if result["late"] or result["late_slices"]:
            out.append(f'- {where}: {result["late"]} of {result["deletes"]} were never seen to leave the list, '
                       f'{result["late_slices"]} their EndpointSlice. The latencies are those of the others.')
        if not result["right"]:
            out.append(f"- {where}: at rest the lists were not what the pods say.")
        if result["foreign_share"] > 0.1:
            out.append(f'- {where}: other programs used {result["foreign_share"]:.0%} of the machine.')
    return out


def render(data: dict[str, Any]) -> str:
    """All of it, as Markdown."""
    about, rows = data["about"], grouped(data["results"])
    parts = [f'{about["date"]}, {about["commit"]}, {about["processors"]} processors, load before it '
             f'{about["load_before"]:.1f}; medians of {about["runs"]} runs (least to most)'
             + (", a short run" if about["fast"] else "") + "."]
    parts.append(main_table(rows))
    if any(name.startswith("poolwarden") for peers in rows.values() for name in peers):
        parts.append(ratio_table(rows))
    parts.extend(filter(None, [attack_table(rows)]))
    for peers in rows.values():
        parts.append(f"{row_words(next(iter(peers.values()))[0])}:\n\n{request_table(peers)}")
    doubts = warnings(data["results"])
    if doubts:
        parts.append("\n".join(doubts))
    return "\n\n".join(parts)
