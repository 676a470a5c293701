"""A real Prometheus over the operator that is installed, with the alerts of manifests/overlays/prometheus. Only on the
tests' own cluster, in whose network it runs.

    with Prometheus() as prometheus:
        prometheus.wait_firing("PoolwardenNobodyLeads")
"""
import http.client
import json
import os
import re
import socket
import subprocess
import tempfile
import urllib.parse
import urllib.request
from typing import Iterable

from support import operator
from support.kube import ROOT, wait_for

RULES = os.path.join(ROOT, "manifests", "overlays", "prometheus", "rules.yaml")


def rules() -> str:
    """The groups that the PrometheusRule holds, without the time for which an alert has to hold before it fires: what is
    looked at is that it would."""
    with open(RULES, encoding="utf-8") as file:
        spec = file.read().split("\nspec:\n", 1)[1]
    return re.sub(r"(?m)^( *)for: .*$", r"\1for: 0s", re.sub(r"(?m)^  ", "", spec))


def targets() -> list[str]:
    """What is behind the metrics Service now. (Debian's Prometheus cannot look it up by itself.)"""
    return [f"{address}:{port['port']}"
            for each in operator.kube.list("endpointslices", "kubernetes.io/service-name=poolwarden-metrics")
            for port in each["ports"] for endpoint in each["endpoints"] for address in endpoint["addresses"]]


def configuration(folder: str, also: Iterable[str]) -> dict:
    return {"global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": [os.path.join(folder, "rules.yaml")],
            "scrape_configs": [{"job_name": "poolwarden", "honor_labels": True,
                                "static_configs": [{"targets": [*targets(), *also]}]}]}


class Prometheus:
    """also: targets beside the operator."""

    def __init__(self, also: Iterable[str] = ()) -> None:
        self.also = also
        done = subprocess.run([os.path.join(ROOT, "scripts", "promtool.sh"), "prometheus"], capture_output=True,
                              text=True, timeout=300, check=False)
        if done.returncode:
            raise AssertionError(f"promtool.sh prometheus: {done.stderr}")
        self.program = done.stdout.strip()
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.address = f"127.0.0.1:{free.getsockname()[1]}"

    def __enter__(self) -> "Prometheus":
        self.scratch = tempfile.TemporaryDirectory(prefix="e2e-prometheus-")
        folder = self.scratch.name
        for name, text in (("rules.yaml", rules()), ("prometheus.yaml", json.dumps(configuration(folder, self.also)))):
            with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
                file.write(text)
        self.log = open(os.path.join(folder, "log"), "w+", encoding="utf-8")
        self.process = subprocess.Popen(
            [self.program, f"--config.file={folder}/prometheus.yaml", f"--storage.tsdb.path={folder}/data",
             f"--web.listen-address={self.address}"], stdout=self.log, stderr=self.log)
        try:
            wait_for(lambda: self.query("max(poolwarden_leader)") == 1 and not self.firing(), "Prometheus to be calm", 60)
        except AssertionError as error:
            said = self.said()
            self.__exit__()
            raise AssertionError(f"{error}\n{said}") from None
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait()
        self.log.close()
        self.scratch.cleanup()

    def said(self) -> str:
        self.log.seek(0)
        return self.log.read()[-2000:]

    def ask(self, path: str) -> dict:
        try:
            with urllib.request.urlopen(f"http://{self.address}/api/v1/{path}", timeout=10) as answer:
                return json.load(answer)["data"]
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise AssertionError(f"Prometheus: {error}") from None

    def query(self, expression: str) -> float | None:
        result = self.ask(f"query?query={urllib.parse.quote(expression)}")["result"]
        return float(result[0]["value"][1]) if result else None

    def firing(self) -> dict[str, dict]:
        """Alerts by name, each with its annotations."""
        return {alert["labels"]["alertname"]: alert["annotations"] for alert in self.ask("alerts")["alerts"]
                if alert["state"] == "firing"}

    def wait_firing(self, alert: str, seconds: float = 60) -> dict:
        return wait_for(lambda: self.firing().get(alert), f"the alert {alert}", seconds)
