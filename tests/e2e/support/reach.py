"""An address for a pod or a Service.

The cases run inside the network namespace of the tests' own cluster, so there it is the pod's or the
Service's own address. On a user's cluster it is a `kubectl port-forward` for as long as it is needed.
"""
import re
import subprocess
import urllib.request

from support import cluster
from support.kube import Kube, wait_for


class Reach:
    """with Reach(namespace, "service/gateway", 8080) as address: ... address.url"""

    def __init__(self, namespace: str, target: str, port: int):
        self.kube, self.target, self.port = Kube(namespace), target, port
        self.host, self.forward = "", None

    def __enter__(self) -> "Reach":
        if cluster.OWNED:
            self.host = wait_for(self.own_address, f"an address of {self.target}", 30)
        else:
            self.open_forward()
        return self

    def own_address(self) -> str:
        kind, name = self.target.split("/")
        found = self.kube.get(kind, name)
        if found["kind"] == "Service":
            return found["spec"]["clusterIP"]
        return found.get("status", {}).get("podIP", "")

    def open_forward(self) -> None:
        self.forward = self.kube.start("port-forward", "--address=127.0.0.1", self.target, f":{self.port}",
                                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        line = self.forward.stdout.readline()
        found = re.search(r"127\.0\.0\.1:(\d+)", line)
        if not found:
            self.__exit__()
            raise AssertionError(f"kubectl port-forward {self.target}: {line}")
        self.host, self.port = "127.0.0.1", int(found[1])

    def __exit__(self, *_: object) -> None:
        if self.forward:
            self.forward.terminate()
            self.forward.wait()

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    def get(self, path: str, timeout: float = 10) -> str:
        with urllib.request.urlopen(self.url + path, timeout=timeout) as answer:
            return answer.read().decode()
