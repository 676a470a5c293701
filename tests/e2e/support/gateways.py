"""Gateways of every kind in front of one pool, as processes beside the cluster: each as its example has it, fed by
`poolwarden gateway-sync`, and as it is run without Poolwarden.

    with contextlib.ExitStack() as running:
        for kind in KINDS:
            gateway = running.enter_context(Gateway(kind, namespace, service, fed=True))
            complete(gateway.url)

Without Poolwarden the routers find pods by their own Kubernetes discovery, and the others send to a plain Service. A
gateway whose program cannot be had says so: missing(kind).
"""
import dataclasses
import functools
import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import urllib.parse
import urllib.request
from typing import Callable

from support import gateway as haproxy
from support import operator
from support.kube import ROOT, Kube, wait_for
from support.load import complete

ROUTERS = ("vllm-router", "sglang-router", "smg")
IN_MEMORY = ("haproxy", "envoy")  # the volume that they share with gateway-sync, in their examples
KINDS = ("haproxy", "envoy", "nginx", *ROUTERS, "service")
PORT, ROUTER_PORT, METRICS, PROBES = 8080, 30000, 8082, 8083
POOLWARDEN = os.path.join(ROOT, "build", "bin", "poolwarden")
_addresses = itertools.count(1)


@functools.cache
def program(kind: str) -> str:
    """Its path; "" where it cannot be had. In the cluster's network nothing can be fetched: what is there is used."""
    if kind in ("haproxy", "nginx"):
        return shutil.which(kind, path=f"{os.environ.get('PATH', '')}:/usr/sbin") or ""
    command = ["scripts/router.sh", kind] if kind in ROUTERS else ["tests/e2e/llmd/build.sh", kind]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""


def missing(kind: str) -> bool:
    return kind != "service" and not program(kind)


def get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=5) as answer:
        return answer.read().decode()


def example(*path: str) -> str:
    with open(os.path.join(ROOT, "examples", *path), encoding="utf-8") as file:
        return file.read()


def replaced(text: str, old: str, new: str) -> str:
    if old not in text:
        raise AssertionError(f"the example has no {old!r} any more")
    return text.replace(old, new)


def without_host(text: str, address: str) -> str:
    """Envoy's endpoints."""
    document = json.loads(text)
    for locality in document["resources"][0]["endpoints"]:
        locality["lb_endpoints"] = [each for each in locality["lb_endpoints"]
                                    if each["endpoint"]["address"]["socket_address"]["address"] != address]
    return json.dumps(document)


def without_server(text: str, address: str) -> str:
    """nginx's."""
    return re.sub(rf"^  server {re.escape(address)}:.*\n", "", text, flags=re.MULTILINE)


@dataclasses.dataclass(frozen=True)
class Applied:
    """From an event of the list or of a pod to the gateway's word."""
    buckets: dict[float, float]  # bound in seconds -> as many, or fewer
    seconds: float  # of all together

    @property
    def count(self) -> float:
        return max(self.buckets.values(), default=0.0)

    def since(self, before: "Applied") -> "Applied":
        return Applied({bound: value - before.buckets.get(bound, 0.0) for bound, value in self.buckets.items()},
                       self.seconds - before.seconds)

    def within(self, share: float) -> float:
        """The bound that so many of all are within."""
        return min(bound for bound, value in self.buckets.items() if value >= share * self.count)


class Gateway:
    """service: a Service's address and port, which is where a gateway that is not fed sends to."""

    def __init__(self, kind: str, namespace: str, service: str, fed: bool, consumer: str = ""):
        self.kind, self.namespace, self.service, self.fed = kind, namespace, service, fed
        self.consumer = consumer or kind  # the name under which it confirms
        number = next(_addresses)
        self.host = f"127.77.{number // 250}.{1 + number % 250}"
        self.folder = tempfile.mkdtemp(prefix=f"gateway-{kind}-", dir="/dev/shm" if kind in IN_MEMORY else None)
        if kind == "nginx":
            self.put("nginx.conf", self.nginx_config())
        self.processes: dict[str, subprocess.Popen] = {}  # "gateway" and "sync"

    @property
    def url(self) -> str:
        if self.kind == "service":
            return f"http://{self.service}"
        return f"http://{self.host}:{ROUTER_PORT if self.kind in ROUTERS else PORT}"

    def __enter__(self) -> "Gateway":
        try:
            if self.kind != "service":
                # Envoy and nginx do not start without the file that gateway-sync writes.
                if self.fed:
                    self.feed()
                self.serve()
            wait_for(self.answers, f"an answer through {self.kind}", 60)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for name in list(self.processes):
            self.kill(name)
        shutil.rmtree(self.folder, ignore_errors=True)

    def kill(self, name: str) -> None:
        """SIGKILL of its "gateway" or its "sync"."""
        process = self.processes.pop(name)
        # The whole group: nginx's workers would live on, and keep its address.
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def restart(self, name: str) -> None:
        if name in self.processes:
            self.kill(name)
        if name == "sync":
            self.feed()
        else:
            self.serve()

    def answers(self) -> bool:
        answer = complete(self.url, tokens=1, timeout=5)
        if answer.error:
            raise AssertionError(f"{answer.error}; {self.log()}")
        return not self.fed or self.kind == "service" or self.is_ready()

    def is_ready(self) -> bool:
        return get(f"http://{self.host}:{PROBES}/readyz") != ""

    def metrics(self) -> operator.Metrics:
        """Of its gateway-sync."""
        return operator.Metrics(get(f"http://{self.host}:{METRICS}/metrics"))

    def applied(self, change: str) -> "Applied":
        """What its gateway-sync has counted so far; change: "withdraw" or "admit"."""
        found, name = self.metrics(), "poolwarden_gateway_apply_seconds"
        buckets = {float(labels["le"]): value for sample, labels, value in found.samples
                   if sample == f"{name}_bucket" and labels["change"] == change}
        return Applied(buckets, found.sum(f"{name}_sum", change=change))

    def resident(self) -> float:
        """Of its gateway-sync, in MiB."""
        with open(f"/proc/{self.processes['sync'].pid}/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / (1 << 20)

    def serving(self) -> set[str]:
        """The addresses that get new requests, as the gateway itself says."""
        if self.kind == "haproxy":
            return {address for address, each in haproxy.servers(self.folder).items() if each.state == "ready"}
        if self.kind == "envoy":
            clusters = json.loads(get(f"http://{self.host}:9901/clusters?format=json"))["cluster_statuses"]
            return {host["address"]["socket_address"]["address"] for cluster in clusters if cluster["name"] == "vllm"
                    for host in cluster.get("host_statuses", [])
                    if host["health_status"].get("eds_health_status", "HEALTHY") == "HEALTHY"}
        if self.kind == "nginx":
            # It has no word for it: what it was last told to read, and to whom it sends all the same.
            return self.nginx_told() | {self.who_answers() for _ in range(20)}
        return {urllib.parse.urlsplit(each["url"]).hostname or "" for each in self.workers()
                if each.get("status") != "draining"}

    def sends_to(self, address: str) -> Callable[[], bool]:
        """To be asked many times a second: serving() of that address alone. For nginx, while nothing else changes: what it
        was told, and workers of now, for one of before a reload says of itself that it takes no more."""
        if self.kind != "nginx":
            return lambda: address in self.serving()
        workers = self.nginx_workers()
        return lambda: address in self.nginx_told() or bool(workers & self.nginx_workers())

    def nginx_told(self) -> set[str]:
        with open(self.path("pool.conf"), encoding="utf-8") as file:
            return set(re.findall(r"^  server ([^:]+):8000 ", file.read(), re.MULTILINE))

    def nginx_workers(self) -> set[int]:
        """The processes that take new requests."""
        master, found = self.processes["gateway"].pid, set()
        with open(f"/proc/{master}/task/{master}/children", encoding="ascii") as file:
            children = file.read().split()
        for child in children:
            try:
                with open(f"/proc/{child}/cmdline", "rb") as file:
                    title = file.read()
            except (FileNotFoundError, ProcessLookupError):
                continue  # it has ended
            if title and b"shutting down" not in title:
                found.add(int(child))
        return found

    def workers(self) -> list[dict]:
        """Of a router."""
        return json.loads(get(f"{self.url}/workers"))["workers"]

    def withdrawal(self, address: str) -> Callable[[], object]:
        """To be carried out: by the gateway's own means, as gateway-sync does it."""
        if self.kind == "haproxy":
            command = f"set server pool/{haproxy.servers(self.folder)[address].name} state drain"
            return lambda: haproxy.ask(self.folder, command)
        if self.kind in ("envoy", "nginx"):
            name = "vllm.json" if self.kind == "envoy" else "pool.conf"
            with open(self.path(name), encoding="utf-8") as file:
                text = (without_host if self.kind == "envoy" else without_server)(file.read(), address)
            return lambda: self.renew(name, text)
        worker = next(each for each in self.workers() if f"//{address}:" in each["url"])
        path, method = f"/workers/{worker.get('id')}", "DELETE"
        if self.kind == "vllm-router":
            path, method = f"/remove_worker?url={urllib.parse.quote(worker['url'], safe='')}", "POST"
        request = urllib.request.Request(self.url + path, method=method)
        return lambda: urllib.request.urlopen(request, timeout=5).close()

    def renew(self, name: str, text: str) -> None:
        os.replace(self.put(f"{name}.new", text), self.path(name))
        if self.kind == "nginx":
            subprocess.run(["/bin/sh", "-c", self.reload()], capture_output=True, timeout=30, check=True)

    def who_answers(self) -> str:
        """The address of the server that answered last of those that were asked."""
        with urllib.request.urlopen(f"{self.url}/v1/models", timeout=5) as answer:
            return answer.headers["x-upstream"].split(", ")[-1].rpartition(":")[0]

    def log(self) -> str:
        found = []
        for name in ("gateway", "sync"):
            path = self.path(name)
            if os.path.exists(path):
                with open(path, encoding="utf-8", errors="replace") as file:
                    found.append(f"{name}: {file.read()[-2000:]}")
        return "\n".join(found)

    def start(self, name: str, *words: str, **settings: str) -> None:
        with open(self.path(name), "ab") as log:
            # It ends with this process, however that ends.
            words = ("setpriv", "--pdeathsig", "KILL", *words)
            self.processes[name] = subprocess.Popen(words, env={**os.environ, **settings}, stdin=subprocess.DEVNULL,
                                                    stdout=log, stderr=subprocess.STDOUT, start_new_session=True)

    def feed(self) -> None:
        which = {"haproxy": [f"--haproxy-socket={self.folder}/admin.sock", f"--haproxy-state-file={self.folder}/state"],
                 "nginx": [f"--template={ROOT}/examples/nginx/pool.conf.mustache:{self.folder}/pool.conf",
                           f"--exec=/bin/sh -c '{self.reload()}'"],
                 "envoy": [f"--envoy-eds-dir={self.folder}", f"--envoy-admin=http://{self.host}:9901"]}
        router = [f"--worker-api={self.url}", f"--dialect={self.kind}"]
        self.start("sync", POOLWARDEN, "gateway-sync", "--pool=vllm", f"--namespace={self.namespace}",
                   f"--consumer={self.consumer}", f"--metrics-bind-address={self.host}:{METRICS}",
                   f"--health-probe-bind-address={self.host}:{PROBES}", *which.get(self.kind, router))
        file = {"envoy": "vllm.json", "nginx": "pool.conf"}.get(self.kind, "")
        wait_for(lambda: os.path.exists(os.path.join(self.folder, file)), f"the file of {self.kind}", 30)

    def serve(self) -> None:
        if self.kind == "haproxy":
            self.start("gateway", program("haproxy"), "-db", "-f", self.put("haproxy.cfg", self.haproxy_config()),
                       GATEWAY_BIND=f"{self.host}:{PORT}", GATEWAY_SOCKET=f"{self.folder}/admin.sock",
                       GATEWAY_STATE=f"{self.folder}/state")
        elif self.kind == "envoy":
            self.start("gateway", program("envoy"), "-c", self.put("envoy.yaml", self.envoy_config()),
                       "--disable-hot-restart", "--concurrency", "2", "--log-level", "warning")
        elif self.kind == "nginx":
            self.start("gateway", program("nginx"), "-e", "stderr", "-c", self.path("nginx.conf"), "-g", "daemon off;")
        else:
            self.start("gateway", program(self.kind), *([] if self.kind == "vllm-router" else ["launch"]),
                       f"--host={self.host}", f"--port={ROUTER_PORT}", "--policy=round_robin",
                       f"--prometheus-host={self.host}", "--prometheus-port=29000", *self.discovery())

    def nginx(self, what: str) -> str:
        return f"{program('nginx')} -e stderr -c {self.path('nginx.conf')} {what}"

    def reload(self) -> str:
        return f"{self.nginx('-t')} && {self.nginx('-s reload')}"

    def path(self, name: str) -> str:
        return os.path.join(self.folder, name)

    def put(self, name: str, text: str) -> str:
        path = self.path(name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def haproxy_config(self) -> str:
        config = example("gateway", "haproxy.cfg")
        if self.fed:
            return config
        # One server that is all replicas: no check of one of them may take it away.
        return replaced(config, "server-template pod- 64 free.invalid:1 disabled init-addr last,127.0.0.1",
                        f"server service {self.service} no-check observe none")

    def nginx_config(self) -> str:
        if not self.fed:
            self.put("pool.conf", f"upstream vllm {{\n  server {self.service};\n  keepalive 64;\n}}\n"
                                  'map "" $no_replica {\n  default 0;\n}\n')
        config = replaced(example("nginx", "nginx.conf"), "listen 0.0.0.0:8080", f"listen {self.host}:{PORT}")
        # Its workers may read the folder, and each answer says who gave it.
        config = replaced(config, "worker_processes auto;", "user root;\nworker_processes 2;")
        config = replaced(config, "proxy_buffering off;",
                          "proxy_buffering off;\n      add_header x-upstream $upstream_addr always;")
        return replaced(config, "/run/nginx", self.folder)

    def envoy_config(self) -> str:
        config = example("envoy", "envoy.yaml")
        for old in ("address: 127.0.0.1", "address: 0.0.0.0"):
            config = replaced(config, old, f"address: {self.host}")
        if self.fed:
            return replaced(config, "/run/envoy", self.folder)
        address, port = self.service.split(":")
        config = replaced(config, "type: EDS", "type: STATIC")
        return config[:config.index("      eds_cluster_config:")] + f"""      load_assignment:
        cluster_name: vllm
        endpoints:
          - lb_endpoints:
              - endpoint:
                  address:
                    socket_address:
                      address: {address}
                      port_value: {port}
"""

    def discovery(self) -> list[str]:
        if self.fed:
            return []
        return ["--service-discovery", "--selector", "app=vllm", "--service-discovery-port=8000",
                f"--service-discovery-namespace={self.namespace}"]


def service_address(kube: Kube, name: str) -> str:
    """Once kube-proxy has it: an answer through it."""
    found = wait_for(lambda: kube.get("service", name)["spec"]["clusterIP"], f"an address of Service {name}", 30)
    address = f"{found}:8000"

    def answers() -> bool:
        answer = complete(f"http://{address}", tokens=1, timeout=5)
        if answer.error:
            raise AssertionError(answer.error)
        return True
    wait_for(answers, f"an answer through Service {name}", 30)
    return address
