"""Plots of `make bench-peers` as SVG, drawn by hand: bars side by side, one group for each row."""
import html
import math
import statistics
from typing import Any, Callable

import bench_peers_report as report

WIDTH, BAR, GAP, LEFT, TOP, BOTTOM, HEIGHT = 860, 26, 34, 64, 64, 44, 220
COLOURS = ("#7f8c9b", "#c3cad3", "#4c9fd0", "#d08a4c", "#2f7d4f", "#8a5fb0", "#b0475f")
Value = Callable[[report.Result], float | None]


def nice_top(value: float) -> float:
    """The next of 1, 2, 5 times a power of ten."""
    if value <= 0:
        return 1
    power = 10 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= value * 0.999999)


def scale_of(values: list[float], logarithmic: bool) -> tuple[Callable[[float], float], list[float]]:
    """From a value to its share of the height, and where the lines are."""
    top = nice_top(max(values, default=1))
    if not logarithmic:
        return lambda value: value / top, [top * step / 4 for step in range(5)]
    low = 10 ** math.floor(math.log10(max(min(values, default=1), 0.1)))
    decades = max(math.log10(top / low), 1e-9)
    marks = [low * 10 ** step for step in range(int(decades + 1e-6) + 1)]
    return lambda value: max(math.log10(max(value, low) / low) / decades, 0.004), marks


def number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def text(x: float, y: float, words: str, anchor: str = "middle", extra: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" {extra}>{html.escape(words)}</text>'


def bars(title: str, rows: dict[str, dict[str, list[report.Result]]], value: Value, logarithmic: bool = False) -> str:
    """One plot. A program without such a figure has no bar; the thin line is from the least to the most of its runs."""
    figures: dict[str, dict[str, list[float]]] = {}
    for row, peers in rows.items():
        for peer, results in peers.items():
            known = [figure for figure in map(value, results) if figure is not None]
            if known:
                figures.setdefault(row, {})[peer] = known
    order = list(dict.fromkeys(peer for row in rows.values() for peer in row))
    colours = {peer: COLOURS[i % len(COLOURS)] for i, peer in enumerate(order)}
    everything = [each for row in figures.values() for known in row.values() for each in known]
    height_of, marks = scale_of(everything, logarithmic)
    width = max(WIDTH, LEFT + sum(len(row) * BAR + GAP for row in figures.values()) + GAP)
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {TOP + HEIGHT + BOTTOM}" '
             'font-family="sans-serif" font-size="12" fill="#222">',
             f'<rect width="{width}" height="{TOP + HEIGHT + BOTTOM}" fill="#fff"/>',
             text(LEFT, 20, title, "start", 'font-size="15" font-weight="bold"')]
    parts += legend(order, colours, figures)
    for mark in marks:
        y = TOP + HEIGHT * (1 - (0 if logarithmic and mark == marks[0] else height_of(mark)))
        parts.append(f'<line x1="{LEFT}" x2="{width - 10}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/>')
        parts.append(text(LEFT - 6, y + 4, number(mark), "end"))
    x = float(LEFT + GAP / 2)
    for row, peers in figures.items():
        for peer, known in peers.items():
            parts += bar(x, known, colours[peer], height_of)
            x += BAR
        parts.append(text(x - len(peers) * BAR / 2, TOP + HEIGHT + 20, row))
        x += GAP
    return "\n".join([*parts, "</svg>", ""])


def legend(order: list[str], colours: dict[str, str], figures: dict[str, dict[str, list[float]]]) -> list[str]:
    shown = [peer for peer in order if any(peer in row for row in figures.values())]
    parts, x = [], float(LEFT)
    for peer in shown:
        parts.append(f'<rect x="{x:.1f}" y="32" width="12" height="12" fill="{colours[peer]}"/>')
        parts.append(text(x + 17, 42, peer, "start"))
        x += 17 + 7.5 * len(peer) + 22
    return parts


def bar(x: float, known: list[float], colour: str, height_of: Callable[[float], float]) -> list[str]:
    middle = statistics.median(known)
    height = HEIGHT * height_of(middle)
    least, most = (TOP + HEIGHT * (1 - height_of(each)) for each in (min(known), max(known)))
    centre = x + BAR / 2 - 1
    parts = [f'<rect x="{x:.1f}" y="{TOP + HEIGHT - height:.1f}" width="{BAR - 2}" height="{height:.1f}" fill="{colour}"/>']
    if min(known) != max(known):
        parts.append(f'<line x1="{centre:.1f}" x2="{centre:.1f}" y1="{least:.1f}" y2="{most:.1f}" stroke="#222"/>')
    parts.append(text(centre, min(most, TOP + HEIGHT - height) - 4, number(middle), extra='font-size="10"'))
    return parts


def plots(results: list[dict[str, Any]]) -> dict[str, str]:
    """SVG by name."""
    rows = report.grouped(results)
    return {
        "peers-latency-p50": bars("From the pod's event to the list without it, p50, ms (logarithmic)", rows,
                                  report.of_lists("p50"), True),
        "peers-latency-p99": bars("From the pod's event to the list without it, p99, ms (logarithmic)", rows,
                                  report.of_lists("p99"), True),
        "peers-cpu": bars("Processor time of the program for one delete, ms", rows, report.of_process("cpu_ms_per_delete")),
        "peers-requests": bars("Requests at the API server for one delete, the pod's own included", rows,
                               report.requests_each),
        "peers-slices": bars("Kubernetes' own EndpointSlice meanwhile, p50, ms (logarithmic)", rows,
                             report.of_slices("p50"), True),
        "peers-memory": bars("Resident memory at rest, MiB", rows, report.of_process("resident_mib")),
    }
