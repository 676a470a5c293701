#!/usr/bin/env python3
"""The dashboard's queries as Prometheus itself evaluates them, over series as the programs write them. Each query of the
dashboard has its answer here. Ends with 77 without promtool."""
import json
import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[3]
DASHBOARD = ROOT / "manifests/overlays/prometheus/dashboard.json"
# Of which programs: for the names of metrics.
PAGES = ("docs/contract.md", "examples/gateway/README.md")
MINUTES = 30

# A value a minute.
SERIES = {
    'poolwarden_endpoints{namespace="n", pool="p", state="ready"}': "2x60",
    'poolwarden_endpoints{namespace="n", pool="p", state="draining"}': "1x60",
    'poolwarden_wanted_replicas{namespace="n", pool="p"}': "5x60",
    'poolwarden_drain_gate{instance="a", state="present"}': "1x60",
    'poolwarden_drain_gate{instance="a", state="missing"}': "0x60",
    'poolwarden_leader{instance="a"}': "1x60",
    'poolwarden_leader{instance="b"}': "0x60",
    'poolwarden_withdrawal_seconds_count{instance="a"}': "0+6x60",
    'poolwarden_withdrawal_seconds_bucket{instance="a", le="0.01"}': "0+6x60",
    'poolwarden_withdrawal_seconds_bucket{instance="a", le="+Inf"}': "0+6x60",
    'poolwarden_standby_withdrawals_total{instance="b"}': "0+3x60",
    'poolwarden_gateway_fallen_endpoints{instance="g"}': "1x60",
    'poolwarden_gateway_apply_seconds_bucket{instance="g", change="withdraw", le="0.1"}': "0+6x60",
    'poolwarden_gateway_apply_seconds_bucket{instance="g", change="withdraw", le="+Inf"}': "0+6x60",
    'poolwarden_gateway_apply_seconds_bucket{instance="g", change="admit", le="1"}': "0+6x60",
    'poolwarden_gateway_apply_seconds_bucket{instance="g", change="admit", le="+Inf"}': "0+6x60",
    'poolwarden_consumer_confirm_seconds_bucket{namespace="n", pool="p", le="0.1"}': "0+6x60",
    'poolwarden_consumer_confirm_seconds_bucket{namespace="n", pool="p", le="+Inf"}': "0+6x60",
    'poolwarden_consumer_revisions_behind{namespace="n", pool="p"}': "4x60",
    'poolwarden_gateway_up{instance="g"}': "1x60",
    'poolwarden_gateway_up{instance="h"}': "0x60",
    'poolwarden_gateway_unplaced_endpoints{instance="g"}': "3x60",
    'poolwarden_gateway_refused_addresses{instance="g"}': "2x60",
    'poolwarden_drain_oldest_seconds{namespace="n", pool="p"}': "40x60",
    'poolwarden_drain_seconds_bucket{instance="a", le="100"}': "0+6x60",
    'poolwarden_drain_seconds_bucket{instance="a", le="+Inf"}': "0+6x60",
    'poolwarden_drains_total{instance="a", result="completed"}': "0+4x60",
    'poolwarden_drains_total{instance="a", result="timed_out"}': "0+1x60",
    'poolwarden_writes_total{instance="a", kind="ConfigMap", result="success"}': "0+60x60",
    'poolwarden_api_request_seconds_bucket{instance="a", verb="update", result="success", le="0.1"}': "0+6x60",
    'poolwarden_api_request_seconds_bucket{instance="a", verb="update", result="success", le="+Inf"}': "0+6x60",
    'poolwarden_watch_last_byte_age_seconds{instance="a", resource="pods"}': "7x60",
    'poolwarden_watch_last_byte_age_seconds{instance="b", resource="pods"}': "9x60",
    'process_cpu_seconds_total{instance="a"}': "0+30x60",
    'process_cpu_seconds_total{instance="other"}': "0+30x60",
    'process_resident_memory_bytes{instance="a"}': "1000x60",
    'process_resident_memory_bytes{instance="other"}': "1000x60",
}
OF_POOL = '{namespace="n", pool="p"}'
# By panel: the answer of each of its queries, in order.
ANSWERS = {
    "Ready endpoints": [{OF_POOL: 2}],
    "Replicas that are missing": [{OF_POOL: 3}],
    "Drain gate": [{'{state="present"}': 1}],
    "Leaders": [{"{}": 1}],
    "Pods by state": [{'{state="ready"}': 2, '{state="draining"}': 1}],
    "Withdrawals a minute": [{"{}": 6}, {"{}": 3}],
    "Held out by gateways themselves": [{'{instance="g"}': 1}],
    "From the pod's event to the list": [{"{}": 0.005}, {"{}": 0.0099}],
    "From the event to the gateway, p99": [{'{instance="g"}': 0.099}],
    "From the list to gateways' word, p99": [{OF_POOL: 0.099}],
    "Revisions that the slowest gateway is behind": [{OF_POOL: 4}],
    "Gateways that cannot be given the list": [{"{}": 1}],
    "Endpoints without a place": [{'{instance="g"}': 3}, {'{instance="g"}': 2}],
    "Age of the oldest drain": [{OF_POOL: 40}],
    "How long drains take": [{"{}": 50}, {"{}": 99}],
    "Drains that ended, a minute": [{'{result="completed"}': 4, '{result="timed_out"}': 1}],
    "Writes a second": [{'{kind="ConfigMap", result="success"}': 1}],
    "Calls: p99": [{'{verb="update"}': 0.099}],
    "Since a watch last brought anything": [{'{resource="pods"}': 9}],
    "CPU and memory of the operator": [{'{instance="a"}': 0.5}, {'{instance="a"}': 1000}],
}


def queries():
    """(panel, its queries), as they are with all namespaces and pools chosen."""
    for panel in json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]:
        if panel["type"] != "row":
            yield panel["title"], [re.sub(r"\$(namespace|pool)\b", ".*", target["expr"]) for target in panel["targets"]]


def rule_test():
    tests = [{"expr": query, "eval_time": f"{MINUTES}m",
              "exp_samples": [{"labels": labels, "value": value} for labels, value in answer.items()]}
             for title, of_panel in queries() for query, answer in zip(of_panel, ANSWERS[title], strict=True)]
    series = [{"series": name, "values": values} for name, values in SERIES.items()]
    return {"evaluation_interval": "1m",
            "tests": [{"interval": "1m", "input_series": series, "promql_expr_test": tests}]}


def unknown_metrics():
    known = set(re.findall(r"`(poolwarden_[a-z_]+)", "".join((ROOT / page).read_text(encoding="utf-8") for page in PAGES)))
    used = {name for _, of_panel in queries() for query in of_panel for name in re.findall(r"poolwarden_[a-z_]+", query)}
    return {name for name in used if re.sub("_(bucket|count)$", "", name) not in known and name not in known}


def main():
    titles = [title for title, _ in queries()]
    if sorted(titles) != sorted(ANSWERS):
        sys.exit(f"panels without an answer here, or the reverse: {set(titles) ^ set(ANSWERS)}")
    if wrong := unknown_metrics():
        sys.exit(f"the dashboard asks for metrics that no page names: {sorted(wrong)}")
    if DASHBOARD.read_bytes() != (ROOT / "charts/poolwarden/files/dashboard.json").read_bytes():
        sys.exit("the chart's copy of the dashboard is another: copy manifests/overlays/prometheus/dashboard.json")
    found = subprocess.run([ROOT / "scripts/promtool.sh"], capture_output=True, text=True, check=False)
    if found.returncode != 0:
        sys.exit(77)
    with tempfile.NamedTemporaryFile("w", suffix=".yaml", encoding="utf-8") as file:
        json.dump(rule_test(), file)  # which is YAML too
        file.flush()
        sys.exit(subprocess.run([found.stdout.strip(), "test", "rules", file.name], check=False).returncode)


if __name__ == "__main__":
    main()
