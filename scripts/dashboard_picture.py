#!/usr/bin/env python3
"""Draws manifests/overlays/prometheus/dashboard.json as one picture, with what its own queries give at a real Prometheus:
docs/images/dashboard.png. No Grafana is needed, and none has part in it: places, titles, queries, legends and units are the
dashboard's, the drawing is this script's.

On a cluster of the tests' own it records what it shows: two pools, each behind a gateway, whose replicas come and go for
MINUTES (15) under clients. The browser is Debian's Chromium (scripts/setup.sh browser).

    scripts/e2e.sh up
    tests/e2e/fixtures/inside.sh python3 scripts/dashboard_picture.py [FILE]
    scripts/e2e.sh down
"""
import html
import json
import math
import os
import re
import subprocess
import sys
import tempfile
import time
import urllib.parse

from support import gateway
from support.kube import ROOT, Kube, wait_for
from support.load import Clients
from support.prometheus import Prometheus

DASHBOARD = os.path.join(ROOT, "manifests", "overlays", "prometheus", "dashboard.json")
MINUTES = float(os.environ.get("MINUTES", "15"))
NAMESPACES = ("chat", "code")
STEPS = 240
LEGENDS = 4
COLUMN, LINE = 60, 32  # of the dashboard's grid, in pixels
COLOURS = ("#2f7d4f", "#d08a4c", "#4c7fd0", "#b0475f", "#8a5fb0", "#3aa6a6", "#8a7a2f", "#7f8c9b")
Series = tuple[str, list[tuple[float, float]]]  # what the legend says, and its points
PAGE = """<!doctype html><meta charset="utf-8"><style>
body { margin: 0; background: #f4f5f5; font: 12px sans-serif; color: #24292e; position: relative; width: %dpx; height: %dpx }
div { position: absolute; box-sizing: border-box; overflow: hidden }
.row { font-size: 15px; font-weight: bold; padding: 8px }
.panel { background: #fff; border: 1px solid #dcdfe3; padding: 6px 8px }
.legend { left: 8px; bottom: 5px; right: 6px; font-size: 11px; line-height: 14px; white-space: nowrap }
b { font-weight: 600 } i { display: inline-block; width: 9px; height: 3px; margin: 0 4px 3px 0 }
.stat { font-size: 44px; text-align: center; padding-top: 34px } .stat small { font-size: 15px; display: block }
svg text { font-size: 10px; fill: #6a737d }
</style>"""


def shown(value: float, unit: str) -> str:
    if unit == "s" and 0 < abs(value) < 1:
        return f"{value * 1000:.3g} ms"
    if unit == "s":
        return f"{value:.3g} s" if value < 120 else f"{value / 60:.3g} min"
    for scale, letter in ((1e9, " Bil"), (1e6, " Mil"), (1e3, " K")):
        if abs(value) >= scale:
            return f"{value / scale:.3g}{letter}"
    return f"{value:.3g}"


def legend(target: dict, labels: dict[str, str]) -> str:
    return re.sub(r"{{(\w+)}}", lambda name: labels.get(name[1], ""), target["legendFormat"])


def ask(prometheus: Prometheus, panel: dict, began: float, ended: float) -> list[Series]:
    found = []
    for target in panel["targets"]:
        query = target["expr"].replace("$namespace", ".*").replace("$pool", ".*")
        words = urllib.parse.urlencode({"query": query, "start": began, "end": ended, "step": (ended - began) / STEPS})
        for each in prometheus.ask(f"query_range?{words}")["result"]:
            points = [(float(at), float(value)) for at, value in each["values"] if math.isfinite(float(value))]
            if points:
                found.append((legend(target, each["metric"]), points))
    if len(found) > LEGENDS:  # the largest at the end are named
        found.sort(key=lambda series: -series[1][-1][1])
    return found


def nice_top(value: float) -> float:
    power = 10 ** math.floor(math.log10(value)) if value > 0 else 1
    return next(step * power for step in (1, 2, 2.5, 5, 10) if step * power >= value * 0.999999) if value > 0 else 1


def chart(series: list[Series], unit: str, width: int, height: int, began: float, ended: float) -> str:
    left, top, right, bottom = 52, 8, width - 8, height - 18
    high = nice_top(max(value for _name, points in series for _at, value in points))

    def place(at: float, value: float) -> tuple[float, float]:
        return left + (at - began) / (ended - began) * (right - left), bottom - value / high * (bottom - top)
    drawn = []
    for share in (0, 0.5, 1):
        _x, y = place(began, high * share)
        drawn.append(f'<path d="M{left} {y:.1f}H{right}" stroke="#e4e7eb"/>'
                     f'<text x="{left - 4}" y="{y + 3:.1f}" text-anchor="end">{shown(high * share, unit)}</text>')
    for minutes in range(0, int((ended - began) / 60) + 1, 5):
        x, _y = place(began + minutes * 60, 0)
        drawn.append(f'<text x="{x:.1f}" y="{height - 5}" text-anchor="middle">{minutes} min</text>')
    gap = (ended - began) / STEPS * 1.5
    for number, (_name, points) in enumerate(series):
        path, last = "", -math.inf
        for at, value in points:
            x, y = place(at, value)
            path += f"{'M' if at - last > gap else 'L'}{x:.1f} {y:.1f}"
            last = at
        drawn.append(f'<path d="{path}" fill="none" stroke-width="1.6" stroke="{COLOURS[number % len(COLOURS)]}"/>')
    return f'<svg width="{width}" height="{height}">{"".join(drawn)}</svg>'


def inside(panel: dict, series: list[Series], width: int, height: int, began: float, ended: float) -> str:
    unit = panel["fieldConfig"]["defaults"]["unit"]
    if not series:
        return '<div class="stat"><small>No data</small></div>'
    if panel["type"] == "stat":
        # What is so at the end; a series that ended before is gone.
        now = [(name, points[-1][1]) for name, points in series if points[-1][0] > ended - 60]
        return '<div class="stat" style="width:100%">' + "".join(
            f"{shown(value, unit)}<small>{html.escape(name)}</small>" for name, value in now) + "</div>"
    lines = "<br>".join(f'<i style="background:{COLOURS[number % len(COLOURS)]}"></i>{html.escape(name)}: '
                        f"{shown(points[-1][1], unit)}" for number, (name, points) in enumerate(series[:LEGENDS]))
    lines += f"<br>and {len(series) - LEGENDS} more" if len(series) > LEGENDS else ""
    room = 14 * min(len(series), LEGENDS + 1)
    return chart(series, unit, width, height - room, began, ended) + f'<div class="legend">{lines}</div>'


def page(prometheus: Prometheus, began: float, ended: float) -> tuple[str, int, int]:
    """And its width and height."""
    with open(DASHBOARD, encoding="utf-8") as file:
        panels = json.load(file)["panels"]
    drawn = []
    for panel in panels:
        x, y, w, h = (panel["gridPos"][key] for key in "xywh")
        width, height = w * COLUMN - 6, h * LINE - 6
        place = f'style="left:{x * COLUMN + 6}px;top:{y * LINE + 4}px;width:{width}px;height:{height}px"'
        title = html.escape(panel["title"])
        if panel["type"] == "row":
            drawn.append(f'<div class="row" {place}>{title}</div>')
            continue
        series = ask(prometheus, panel, began, ended)
        print(f"{panel['title']}: {len(series)} series", flush=True)
        room = height - (34 if len(title) * 7.5 < width else 48)  # the title may need two lines
        drawn.append(f'<div class="panel" {place}><b>{title}</b>{inside(panel, series, width - 18, room, began, ended)}</div>')
    width, height = 24 * COLUMN + 6, max(each["gridPos"]["y"] + each["gridPos"]["h"] for each in panels) * LINE + 6
    return PAGE % (width, height) + "".join(drawn), width, height


def save(text: str, width: int, height: int, file: str) -> None:
    with tempfile.TemporaryDirectory(prefix="dashboard-") as folder:
        with open(f"{folder}/page.html", "w", encoding="utf-8") as page_file:
            page_file.write(text)
        subprocess.run(["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
                        f"--user-data-dir={folder}/profile", "--no-proxy-server", f"--window-size={width},{height}",
                        f"--screenshot={folder}/page.png", f"file://{folder}/page.html"], env={**os.environ, "HOME": folder},
                       capture_output=True, timeout=120, check=True)
        subprocess.run([sys.executable, f"{ROOT}/scripts/pack_png.py", f"{folder}/page.png", file], check=True)


def deploy(name: str) -> Kube:
    Kube().apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {"e2e": "true"}}})
    kube = Kube(name)
    wait_for(lambda: kube.find("serviceaccount", "default"), "the namespace's service account", 60)
    gateway.deploy(kube, replicas=3)
    return kube


def live(kubes: list[Kube], until: float) -> None:
    """Replicas come and go."""
    number = 0
    while time.time() < until:
        kube = kubes[number % len(kubes)]
        act = (lambda: kube.run("delete", "pod", kube.endpoints()[0], "--wait=false"),
               lambda: kube.run("scale", "pwp/vllm", "--replicas=4"),
               lambda: kube.run("rollout", "restart", "deployment/vllm"),
               lambda: kube.run("scale", "pwp/vllm", "--replicas=3"))[number // len(kubes) % 4]
        act()
        number += 1
        time.sleep(min(25.0, max(0.0, until - time.time())))


def main() -> None:
    file = sys.argv[1] if len(sys.argv) > 1 else os.path.join(ROOT, "docs", "images", "dashboard.png")
    kubes = [deploy(name) for name in NAMESPACES]
    feeds = [f"{kube.ready_pod(gateway.SELECTOR)['status']['podIP']}:8082" for kube in kubes]
    try:
        with Prometheus(also=feeds) as prometheus, gateway.reach(kubes[0]) as one, gateway.reach(kubes[1]) as other:
            clients = [Clients(each.url, 4, tokens=50, streamed=True).start() for each in (one, other)]
            began = time.time()
            live(kubes, began + MINUTES * 60)
            text, width, height = page(prometheus, began, time.time())
            for each in clients:
                each.abandon()
                print(each.summary())
        save(text, width, height, file)
    finally:
        for name in NAMESPACES:
            Kube().run("delete", "namespace", name, timeout=120, check=False)


if __name__ == "__main__":
    main()
