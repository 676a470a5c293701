"""Requests as clients of a gateway send them, each checked to its end.

    stream = NumberedStream(url).start(); ...; stream.stop()        one request every two seconds, as people do
    clients = Clients(url, count=20, tokens=50, streamed=True).start(); ...; clients.stop()        closed loops
    stream.errors, clients.errors       what a client would call a failure, with its reason

An error is whatever a client would see as one: connection refused or cut, a status other than 200, an answer
that is not complete (no finish_reason, no [DONE], fewer tokens than asked for), or silence for longer than
the timeout. Nothing is tried again here: that is the gateway's part. stop() lets requests in flight end, and
counts them; abandon() hangs up on them, and does not.
"""
import dataclasses
import http.client
import json
import socket
import threading
import time
import urllib.parse
from typing import Callable

PROMPT = "The future of AI is"
MODEL = "facebook/opt-125m"


@dataclasses.dataclass(frozen=True)
class Answer:
    number: int
    began: float  # time.monotonic()
    ended: float
    error: str  # "" when all is well
    text: str
    pod: str  # the header x-inference-pod, "" if the gateway does not pass it on

    @property
    def seconds(self) -> float:
        return self.ended - self.began


class Refused(Exception):
    """The answer came and is not what was asked for."""


def read_whole(response: http.client.HTTPResponse, tokens: int) -> str:
    document = json.loads(response.read())
    choice = document["choices"][0]
    if choice.get("finish_reason") != "length":
        raise Refused(f"finish_reason is {choice.get('finish_reason')!r}")
    if document["usage"]["completion_tokens"] != tokens:
        raise Refused(f"{document['usage']['completion_tokens']} of {tokens} tokens")
    return choice["text"]


def read_streamed(response: http.client.HTTPResponse, tokens: int) -> str:
    """Server-sent events, as OpenAI's API has them: one a token, then [DONE]. An engine that puts several tokens into one,
    or half a letter into none, says at the end how many there were, if it is asked to (`counted`)."""
    text, finished, done, pieces = "", None, False, 0
    for line in response:
        if not line.startswith(b"data: "):
            continue
        data = line[len(b"data: "):].strip()
        if data == b"[DONE]":
            done = True
            continue
        chunk = json.loads(data)
        if "error" in chunk:  # said by the gateway
            raise Refused(f"cut short after {pieces} of {tokens} tokens: {chunk['error']}")
        choices, usage = chunk["choices"], chunk.get("usage")
        if usage:
            pieces = usage["completion_tokens"]
        if choices:
            pieces += bool(choices[0]["text"])
            text += choices[0]["text"]
            finished = choices[0].get("finish_reason") or finished
    if not done or finished != "length" or pieces < tokens:
        raise Refused(f"cut short after {pieces} of {tokens} tokens (finish_reason {finished}, "
                      f"{'with' if done else 'without'} [DONE])")
    return text


def complete(url: str, number: int = 1, prompt: str = PROMPT, tokens: int = 5, streamed: bool = False,
             counted: bool = False, timeout: float = 120,
             opened: Callable[[http.client.HTTPConnection], None] = lambda _: None) -> Answer:
    """One completion on a connection of its own, which opened() is told of."""
    address = urllib.parse.urlsplit(url)
    began, text, pod, error = time.monotonic(), "", "", ""
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=timeout)
    opened(connection)
    try:
        # As many tokens as asked for, and the same each time: what vLLM and llama.cpp have beside OpenAI's API.
        body = json.dumps({"model": MODEL, "prompt": prompt, "max_tokens": tokens, "stream": streamed,
                           "ignore_eos": True, "temperature": 0,
                           **({"stream_options": {"include_usage": True}} if streamed and counted else {})})
        connection.request("POST", "/v1/completions", body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        pod = response.getheader("x-inference-pod", "")
        if response.status != 200:
            raise Refused(f"HTTP {response.status}: {response.read(200)!r}")
        text = read_streamed(response, tokens) if streamed else read_whole(response, tokens)
    except (OSError, http.client.HTTPException, ValueError, LookupError, TypeError, Refused) as problem:
        error = f"{type(problem).__name__}: {problem}"
    finally:
        connection.close()
    return Answer(number, began, time.monotonic(), error, text, pod)


def hang_up(connection: http.client.HTTPConnection) -> None:
    try:
        if connection.sock:
            connection.sock.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass  # it has ended already


class Load:
    """What NumberedStream and Clients share: answers as they come, counted under a lock."""

    def __init__(self, url: str, **request: object):
        self.url, self.request = url, request
        self.answers: list[Answer] = []
        self.started = 0
        self.lock, self.stopping, self.hung_up = threading.Lock(), threading.Event(), threading.Event()
        self.threads: list[threading.Thread] = []
        self.in_flight: dict[int, tuple[float, http.client.HTTPConnection]] = {}  # since when

    def next_number(self) -> int:
        with self.lock:
            self.started += 1
            return self.started

    def one(self) -> Answer:
        number = self.next_number()

        def opened(connection: http.client.HTTPConnection) -> None:
            with self.lock:
                self.in_flight[number] = time.monotonic(), connection
        answer = complete(self.url, number, opened=opened, **self.request)
        with self.lock:
            del self.in_flight[number]
            if self.hung_up.is_set():
                return answer
            self.answers.append(answer)
        self.show(answer)
        return answer

    def show(self, answer: Answer) -> None:
        """For who wants to print it."""

    def stop(self) -> None:
        """Begins no more requests and waits for those in flight."""
        self.stopping.set()
        for thread in list(self.threads):
            thread.join()

    def abandon(self) -> None:
        """Begins no more requests and hangs up on those in flight, as a client that has lost its patience."""
        self.stopping.set()
        with self.lock:
            self.hung_up.set()
        while any(thread.is_alive() for thread in self.threads):
            with self.lock:
                connections = [connection for _since, connection in self.in_flight.values()]
            for connection in connections:
                hang_up(connection)
            for thread in list(self.threads):
                thread.join(0.02)

    def waiting_since(self, moment: float) -> int:
        """How many requests that began before that moment have not ended."""
        with self.lock:
            return sum(1 for since, _connection in self.in_flight.values() if since < moment)

    @property
    def errors(self) -> list[Answer]:
        with self.lock:
            return [answer for answer in self.answers if answer.error]

    def done_after(self, moment: float) -> int:
        """How many requests that began after that moment ended well."""
        with self.lock:
            return sum(1 for answer in self.answers if answer.began >= moment and not answer.error)

    def by_pod(self) -> dict[str, int]:
        with self.lock:
            pods = [answer.pod for answer in self.answers if not answer.error]
        return {pod: pods.count(pod) for pod in sorted(set(pods))}

    def summary(self) -> str:
        errors = self.errors
        reasons = "".join(
            f"\n    {each.number}: {each.error} (after {each.seconds:.1f} s, pod {each.pod or '?'})"
            for each in errors[:20])
        return f"{len(errors)} errors / {self.started} requests{reasons}"


class NumberedStream(Load):
    """One request every period seconds, each on a thread of its own so that a slow one delays no other;
    prints "Request N: <text>" or "Request N: ERROR"."""

    def __init__(self, url: str, period: float = 2.0, quiet: bool = False, **request: object):
        super().__init__(url, **request)
        self.period, self.quiet = period, quiet

    def start(self) -> "NumberedStream":
        pump = threading.Thread(target=self.run, daemon=True)
        self.threads.append(pump)
        pump.start()
        return self

    def run(self) -> None:
        due = time.monotonic()
        while not self.stopping.is_set():
            thread = threading.Thread(target=self.one, daemon=True)
            self.threads = [each for each in self.threads if each.is_alive()] + [thread]
            thread.start()
            due += self.period
            self.stopping.wait(max(0.0, due - time.monotonic()))

    def stop(self) -> None:
        self.stopping.set()
        self.threads[0].join()  # the pump, before the list of requests is read
        super().stop()

    def show(self, answer: Answer) -> None:
        if answer.error:
            print(f"    Request {answer.number}: ERROR ({answer.error}) {answer.pod}", flush=True)
        elif not self.quiet:
            text = answer.text.strip()
            print(f"    Request {answer.number}: {text}   <- {answer.pod}, {answer.seconds:.1f} s", flush=True)


class Clients(Load):
    """That many clients at once, each with its next request as soon as the last one ended."""

    def __init__(self, url: str, count: int, pause: float = 0.0, **request: object):
        super().__init__(url, **request)
        self.count, self.pause = count, pause

    def start(self) -> "Clients":
        self.threads = [threading.Thread(target=self.run, daemon=True) for _ in range(self.count)]
        for thread in self.threads:
            thread.start()
        return self

    def run(self) -> None:
        while not self.stopping.is_set():
            failed = self.one().error
            self.stopping.wait(max(self.pause, 0.1 if failed else 0))  # no flood for a gateway that refuses
