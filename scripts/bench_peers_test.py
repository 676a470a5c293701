#!/usr/bin/env python3
"""Tests what bench_peers.py decides: the rows and programs it measures, its tables and its plots."""

import unittest
import xml.etree.ElementTree
from typing import Any

import bench_peers
import bench_peers_plot
import bench_peers_report


def result(peer: str, row: str = "1000x20@10", p50: float = 8.0, **more: Any) -> dict[str, Any]:
    """As the driver writes it."""
    spread = {"count": 200, "p50": p50, "p90": p50, "p99": 2 * p50, "max": 3 * p50}
    counters = {"requests": {"PUT configmaps": 200, "GET ": 1, "DELETE pods": 200, "GET /openapi/v3": 9, "WATCH pods": 1}, "conflicts": {"PUT configmaps": 2},
                "request_bytes": {"UPDATE configmaps": 102400}, "response_bytes": {"PUT configmaps": 102400, "GET ": 5e9},
                "watch_bytes": {"configmaps": 204800}}
    return {"run": 1, "peer": peer, "row": row, "kind": "rate", "pods": 1000, "pools": 20, "deletes": 200,
            "lists": spread, "late": 0, "slices": spread, "late_slices": 0, "right": True, "cpu_ms_per_delete": 3.1,
            "server_cpu_ms_per_delete": {"etcd": 1.0, "apiserver": 4.0}, "resident_mib": 48.0, "peak_start_mib": 50.0,
            "peak_mib": 51.0, "start_s": 0.5, "start_cpu_s": 0.4, "start_counters": counters, "counters": counters,
            "foreign_share": 0.0, "seconds": 20.0} | more


class Rows(unittest.TestCase):
    def test_of_a_size_are_measured_together(self):
        sizes = bench_peers.parse_rows("1000x20@10,10000x100@20,1000x20@node", fast=False)
        self.assertEqual([(size.pods, size.pools) for size in sizes], [(1000, 20), (10000, 100)])
        self.assertEqual([row.kind for row in sizes[0].rows], ["rate", "node"])

    def test_delete_half_of_the_pods_at_most(self):
        for text, deletes in (("1000x20@10", 500), ("1000x20@50", 500), ("1000x20@node", 250), ("100x4@node", 100),
                              ("1000x20@leader", 300), ("10000x100@adopt", 400)):
            self.assertEqual(bench_peers.parse_row(text, False)[2].deletes, deletes, text)

    def test_may_name_an_attack(self):
        for text, attack in (("1000x20@10", ""), ("1000x20@10+objects", "objects"), ("1000x20@node+clients", "clients")):
            self.assertEqual(bench_peers.parse_row(text, False)[2].attack, attack, text)

    def test_that_make_no_sense_are_refused(self):
        for text in ("", "1000x20@10+", "1000x20@10+fire", "1000x20@leader+objects", "1000@10", "1000x20", "20x1000@10", "1000x0@10", "1000x20@never", "1000x20@0", "x@10"):
            with self.assertRaises(bench_peers.WrongUse, msg=text):
                bench_peers.parse_rows(text, False)


class Peers(unittest.TestCase):
    def test_poolwarden_stands_for_all_of_them(self):
        programs = bench_peers.parse_poolwardens("/new,old=/old")
        chosen = bench_peers.choose_peers("go,poolwarden", programs)
        self.assertEqual([each["name"] for each in chosen], ["go", "poolwarden", "poolwarden-old"])
        self.assertEqual(chosen[2]["command"][0], "/old")

    def test_only_what_can_elect_has_a_leader(self):
        leads = {name: "leader_command" in bench_peers.peer(name, {"poolwarden": "/a"})
                 for name in bench_peers.USUAL_PEERS.split(",")}
        self.assertEqual(leads, {"kubernetes": False, "floor": False, "go": True, "rust": False, "poolwarden": True})

    def test_any_program_but_ours_can_have_budgets_beside_it(self):
        with_budgets = bench_peers.peer("go+budgets", {})
        self.assertEqual(with_budgets, bench_peers.peer("go", {}) | {"name": "go+budgets", "pools": "services+budgets"})

    def test_only_what_has_ports_can_be_attacked_there(self):
        open_to = {name: bench_peers.peer(name, {"poolwarden": "/a"}).get("ports")
                   for name in bench_peers.USUAL_PEERS.split(",")}
        self.assertEqual({name for name, ports in open_to.items() if ports}, {"poolwarden"})

    def test_unknown_or_twice_is_refused(self):
        for peers, programs in (("java", "/a"), ("", "/a"), ("poolwarden+budgets", "/a"), ("poolwarden", "/a,/b")):
            with self.assertRaises(bench_peers.WrongUse, msg=peers):
                bench_peers.choose_peers(peers, bench_peers.parse_poolwardens(programs))


class Report(unittest.TestCase):
    def test_cell_is_the_median_with_its_spread(self):
        self.assertEqual(bench_peers_report.cell([3.0, 1.0, 20.0], 1), "3.0 (1.0 to 20.0)")
        self.assertEqual(bench_peers_report.cell([2.0], 1), "2.0")
        self.assertEqual(bench_peers_report.cell([None], 1), "")

    def test_requests_leave_out_what_goes_on_anyway(self):
        self.assertEqual(bench_peers_report.requests_each(result("go")), 2)
        self.assertEqual(bench_peers_report.kib_each(result("go")), 2)

    def test_ratio_is_to_go_in_the_same_row(self):
        rows = bench_peers_report.grouped([result("go", p50=8), result("poolwarden", p50=20), result("kubernetes", p50=10)])
        self.assertIn("| poolwarden | 2.50 | 2.50 | 1.00 | 1.00 | 2.00 | 0.80 |", bench_peers_report.ratio_table(rows))

    def test_an_attack_is_beside_the_same_row_without_it(self):
        rows = bench_peers_report.grouped(
            [result("poolwarden", p50=8), result("poolwarden", row="1000x20@10+objects", p50=12, attack="objects")])
        self.assertIn("10 deletes a second, beside 50,000 hostile objects | poolwarden | 1.50 | 1.50 | 51 |",
                      bench_peers_report.attack_table(rows))
        self.assertEqual(bench_peers_report.attack_table(bench_peers_report.grouped([result("poolwarden")])), "")

    def test_all_of_it_has_one_line_a_program_and_its_warnings(self):
        results = [result("go"), result("poolwarden", late=3, foreign_share=0.5, right=False)]
        about = {"date": "2026-01-02 03:04", "commit": "abc", "processors": 2, "load_before": 0.1, "runs": 1, "fast": False}
        text = bench_peers_report.render({"about": about, "results": results})
        self.assertEqual(text.count("| 1,000 pods in 20 pools, 10 deletes a second | go |"), 1)
        self.assertIn("3 of 200 were never seen to leave the list", text)
        self.assertIn("other programs used 50% of the machine", text)
        self.assertIn("at rest the lists were not what the pods say", text)
        self.assertIn("| PUT configmaps | 1.00 (0.01 in conflict) | 1.00 (0.01 in conflict) |", text)


class Plots(unittest.TestCase):
    def test_are_svg_with_a_bar_for_each_program(self):
        plots = bench_peers_plot.plots([result("go"), result("poolwarden", p50=20), result("poolwarden", p50=30)])
        self.assertEqual(len(plots), 6)
        for svg in plots.values():
            root = xml.etree.ElementTree.fromstring(svg)
            bars = [each for each in root.iter("{http://www.w3.org/2000/svg}rect") if each.get("width") == "24"]
            self.assertEqual(len(bars), 2)
            self.assertTrue(all(0 < float(bar.get("height")) <= bench_peers_plot.HEIGHT for bar in bars))

    def test_of_nothing_are_empty_and_whole(self):
        for svg in bench_peers_plot.plots([]).values():
            xml.etree.ElementTree.fromstring(svg)

    def test_scale_ends_above_the_highest(self):
        for top, wanted in ((0, 1), (0.7, 1), (1, 1), (1.1, 2), (3, 5), (51, 100), (2000, 2000)):
            self.assertAlmostEqual(bench_peers_plot.nice_top(top), wanted)


if __name__ == "__main__":
    unittest.main()
