"""A watch of the API server, with the moment each event was read.

Plain HTTP, because kubectl holds output back and says no time. All watches and clients of a case run in one
process, so their times (time.monotonic()) are of one clock.

    with Watch("/api/v1/namespaces/x/pods") as pods:
        pods.wait(lambda event: event.object["metadata"].get("deletionTimestamp"), "a terminating pod")
"""
import base64
import dataclasses
import functools
import http.client
import json
import os
import socket
import ssl
import subprocess
import tempfile
import threading
import time
import urllib.parse
from typing import Callable


@dataclasses.dataclass(frozen=True)
class Event:
    at: float  # time.monotonic() when its line had been read
    kind: str  # ADDED, MODIFIED, DELETED, BOOKMARK, ERROR
    object: dict


@dataclasses.dataclass(frozen=True)
class Access:
    """How the kubeconfig in use reaches the API server."""
    host: str
    port: int
    context: ssl.SSLContext
    headers: dict[str, str]


def pem(folder: str, entry: dict, key: str) -> str:
    """The file a kubeconfig's entry names, or one with the data it holds."""
    if key in entry:
        return entry[key]
    path = os.path.join(folder, key)
    with open(path, "wb") as file:
        file.write(base64.b64decode(entry[key + "-data"]))
    return path


@functools.cache
def access() -> Access:
    text = subprocess.run(["kubectl", "config", "view", "--raw", "--minify", "-o", "json"], capture_output=True,
                          text=True, check=True, timeout=30).stdout
    config = json.loads(text)
    cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
    server = urllib.parse.urlsplit(cluster["server"])
    with tempfile.TemporaryDirectory(prefix="e2e-access-") as folder:
        has_ca = "certificate-authority" in cluster or "certificate-authority-data" in cluster
        ca = pem(folder, cluster, "certificate-authority") if has_ca else None
        context = ssl.create_default_context(cafile=ca)
        if cluster.get("insecure-skip-tls-verify"):
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        headers = {}
        if "client-certificate" in user or "client-certificate-data" in user:
            context.load_cert_chain(pem(folder, user, "client-certificate"), pem(folder, user, "client-key"))
        elif "token" in user:
            headers["Authorization"] = f"Bearer {user['token']}"
        else:
            raise AssertionError("the kubeconfig has neither a client certificate nor a token: to measure latencies"
                                 " the tests speak to the API server themselves, and know no other way")
    return Access(server.hostname or "", server.port or 443, context, headers)


def connect() -> http.client.HTTPSConnection:
    how = access()
    connection = http.client.HTTPSConnection(how.host, how.port, context=how.context, timeout=10)
    connection.connect()
    connection.sock.settimeout(None)  # a watch may be quiet for as long as it likes
    return connection


class Watch:
    """Begins with the objects there are, as ADDED, and goes on until the end of the `with`. If the connection
    ends, it begins anew, ADDED events included; `breaks` counts that."""

    def __init__(self, path: str, selector: str = ""):
        query = {"watch": "1", **({"labelSelector": selector} if selector else {})}
        self.path = f"{path}?{urllib.parse.urlencode(query)}"
        self.events: list[Event] = []
        self.breaks = 0
        self.arrived = threading.Condition()
        self.stopping = threading.Event()
        self.connection: http.client.HTTPSConnection | None = None
        self.thread = threading.Thread(target=self.run, daemon=True)

    def __enter__(self) -> "Watch":
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        while self.thread.is_alive():
            self.interrupt()
            self.thread.join(0.1)

    def interrupt(self) -> None:
        """Ends a read that waits. Beneath TLS, which another thread is in."""
        connection = self.connection
        try:
            if connection and connection.sock:
                socket.socket.shutdown(connection.sock, socket.SHUT_RDWR)
        except OSError:
            pass  # it has ended already

    def run(self) -> None:
        while not self.stopping.is_set():
            try:
                self.follow()
            except (OSError, http.client.HTTPException, ValueError, AssertionError):
                self.stopping.wait(0.2)
            self.breaks += not self.stopping.is_set()

    def follow(self) -> None:
        connection = self.connection = connect()
        try:
            connection.request("GET", self.path, headers=access().headers)
            answer = connection.getresponse()
            if answer.status != 200:
                raise AssertionError(f"watch {self.path}: {answer.status} {answer.read()!r}")
            buffer = b""
            while not self.stopping.is_set():
                piece = answer.read1(1 << 16)
                if not piece:
                    return
                *lines, buffer = (buffer + piece).split(b"\n")
                self.take(time.monotonic(), lines)
        finally:
            connection.close()

    def take(self, at: float, lines: list[bytes]) -> None:
        events = [json.loads(line) for line in lines if line.strip()]
        with self.arrived:
            self.events += [Event(at, event["type"], event["object"]) for event in events]
            self.arrived.notify_all()

    def mark(self) -> int:
        """A place in the events, for wait(after=)."""
        with self.arrived:
            return len(self.events)

    def wait(self, wanted: Callable[[Event], object], what: str, seconds: float = 30, after: int = 0) -> Event:
        """The first event, from that place on, for which wanted() is true."""
        deadline = time.monotonic() + seconds
        with self.arrived:
            while True:
                found = next((event for event in self.events[after:] if wanted(event)), None)
                if found:
                    return found
                if time.monotonic() >= deadline:
                    raise AssertionError(f"still waiting after {seconds:g} s on the watch {self.path}: {what}")
                self.arrived.wait(deadline - time.monotonic())
