"""What serves the model in the demo: vllm-sim, which only takes its time, or llama.cpp with a small model."""
import subprocess
from dataclasses import dataclass, field

from demo_support import BIN, FAST, ROOT


class Unavailable(Exception):
    """What was asked for exists, and cannot be had here."""


def stand_in():
    return f"{BIN}/vllm-sim"


def llama_cpp():
    """Fetches it the first time."""
    made = subprocess.run([f"{ROOT}/scripts/llama_cpp.sh"], stdout=subprocess.PIPE, text=True)
    if made.returncode:
        raise Unavailable("llama.cpp cannot be had here: see above")
    return f"{made.stdout.strip()} {ROOT}/examples/llama-cpp/server.py"


@dataclass(frozen=True)
class Engine:
    label: str  # what people call it
    pool: str  # the first pool, of which a pod is deleted; the second one is called chat with every engine
    folder: str  # of both pools' manifests
    image: str
    command: object  # a function, since it may have to be fetched: what that image stands for
    names_pod: bool  # whether its answers say which pod they are from
    log_line: str  # what its log has for every request
    log_lines: int  # so many from the end of the log have one of them
    period: float  # seconds from one request of the stream to the next
    short: int  # tokens of an answer of the stream
    long: int  # of the answers beside the stream
    streamed: int  # of those under which the pool is scaled down; kubectl may need seconds before it has scaled
    token_seconds: float = 0  # where that is fixed
    request: dict = field(default_factory=dict)  # what every request has

    def length(self, tokens):
        return f"{tokens * self.token_seconds:.0f} s" if self.token_seconds else f"{tokens} tokens"


ENGINES = {
    "vllm-sim": Engine(
        label="vLLM", pool="vllm", folder="examples/demo", image="vllm-sim", command=stand_in, names_pod=True,
        log_line="POST /v1", log_lines=2, period=0.25 if FAST else 2.0, short=5, long=60 if FAST else 200,
        streamed=80, token_seconds=0.1, request={"model": "facebook/opt-125m"}),
    # About 40 tokens a second and thread, for all requests together; three replicas are to do on two cores.
    "llama.cpp": Engine(
        label="llama.cpp", pool="llama", folder="examples/demo/llama-cpp", image="llama-cpp", command=llama_cpp,
        names_pod=False, log_line="stop processing", log_lines=12, period=1.0 if FAST else 2.0, short=8,
        long=60 if FAST else 120, streamed=120, request={"ignore_eos": True}),
}


def chosen(name):
    """That of the environment variable ENGINE."""
    if name not in ENGINES:
        raise ValueError(f"ENGINE={name} is not known: choose {' or '.join(ENGINES)}")
    return ENGINES[name]
