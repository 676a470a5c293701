#!/usr/bin/env python3
"""Tests which engine the demo runs, and what it takes for an answer. Run by scripts/lint.sh."""

import contextlib
import io
import os
import pathlib
import subprocess
import tempfile
import types
import unittest
from unittest import mock

import demo
import demo_engine
import demo_scale_down
import demo_support

ROOT = pathlib.Path(demo_support.ROOT)
LLAMA = demo_engine.ENGINES["llama.cpp"]


class Asked(unittest.TestCase):
    def main(self, *arguments: str, engine: str | None = None, command=None) -> tuple[int, str, list]:
        """The exit code, what it said, and the engines that it ran."""
        ran, said = [], io.StringIO()
        environment = {} if engine is None else {"ENGINE": engine}
        with mock.patch.dict(os.environ, environment), mock.patch.object(demo, "run", lambda it: ran.append(it) or 0), \
                mock.patch("signal.signal"), mock.patch.object(subprocess, "run", command or mock.Mock()), \
                contextlib.redirect_stderr(said):
            if engine is None:
                os.environ.pop("ENGINE", None)
            return demo.main(list(arguments)), said.getvalue(), ran

    def test_for_none_it_runs_the_stand_in_and_fetches_nothing(self):
        command = mock.Mock()
        for engine in (None, ""):
            self.assertEqual((0, "", [demo_engine.ENGINES["vllm-sim"]]), self.main(engine=engine, command=command))
        command.assert_not_called()

    def test_for_llama_cpp(self):
        made = mock.Mock(return_value=types.SimpleNamespace(returncode=0, stdout="/venv/bin/python\n"))
        self.assertEqual((0, "", [LLAMA]), self.main(engine="llama.cpp", command=made))

    def test_for_one_that_is_unknown(self):
        for arguments in ((), ("--check",)):
            self.assertEqual((2, "demo: ENGINE=llama is not known: choose vllm-sim or llama.cpp\n", []),
                             self.main(*arguments, engine="llama"))

    def test_for_one_that_is_not_to_be_had(self):
        code, said, ran = self.main(engine="llama.cpp", command=mock.Mock(return_value=types.SimpleNamespace(returncode=77)))
        self.assertEqual((77, []), (code, ran))
        self.assertIn("llama.cpp cannot be had", said)

    def test_only_to_check(self):
        self.assertEqual((0, "", []), self.main("--check"))

    def test_for_what_it_does_not_know(self):
        self.assertEqual((2, "demo: it knows --check, not --engine llama.cpp\n", []), self.main("--engine", "llama.cpp"))


class Engines(unittest.TestCase):
    def test_their_pods_run_the_image_that_the_cluster_knows(self):
        for engine in demo_engine.ENGINES.values():
            for pool in (engine.pool, "chat"):
                name = "chat" if pool == "chat" else "pool"
                manifest = (ROOT / engine.folder / f"{name}.yaml").read_text()
                self.assertIn(f"image: {engine.image}\n", manifest)
                self.assertIn(f"matchLabels: {{app: {pool}}}\n", manifest)
                self.assertEqual(2, manifest.count(f"\n  name: {pool}\n"), "the Deployment and its pool")

    def test_haproxy_says_who_answers_where_the_engine_does_not(self):
        with tempfile.TemporaryDirectory() as folder:
            config = demo_support.gateway_config("llama", types.SimpleNamespace(folder=folder), LLAMA)
            lines = pathlib.Path(config).read_text().splitlines()
        self.assertEqual("    http-response set-header x-inference-pod %si", lines[-1])
        self.assertEqual("backend pool", [line for line in lines if line and line[0] not in " #"][-1])

    def test_a_pod_that_has_gone_keeps_its_name(self):
        pods = [{"metadata": {"name": "a"}, "status": {"podIP": "127.0.1.1"}}, {"metadata": {"name": "new"}}]
        gateway = demo_support.Gateway(1, "llama", types.SimpleNamespace(pods=lambda pool: pods), LLAMA)
        self.assertEqual("a", gateway.pod_at("127.0.1.1"))
        pods.clear()
        self.assertEqual("a", gateway.pod_at("127.0.1.1"))
        self.assertEqual("127.0.1.9", gateway.pod_at("127.0.1.9"))


class Answers(unittest.TestCase):
    """What counts as cut."""

    def read(self, *events: str) -> demo_scale_down.Generation:
        class Answer(list):
            status = 200
        answer = Answer(f"data: {event}\n".encode() for event in events)
        gateway = types.SimpleNamespace(engine=LLAMA, complete=lambda **body: (answer, "a"))
        with mock.patch.object(demo_scale_down, "say"):
            generation = demo_scale_down.Generation(1, gateway, 10)
            generation.thread.join()
        return generation

    def event(self, text: str, reason: str = "null") -> str:
        return f'{{"choices": [{{"text": "{text}", "finish_reason": {reason}}}]}}'

    def test_one_with_all_its_tokens_is_whole(self):
        # llama.cpp has the reason in an event of its own, vLLM in that of the last token.
        for last in ("", "c"):
            generation = self.read(self.event("a"), self.event("b"), self.event(last, '"length"'), "[DONE]")
            self.assertFalse(generation.cut)
            self.assertEqual(2 + len(last), generation.tokens)

    def test_one_without_its_end_is_cut(self):
        self.assertTrue(self.read(self.event("a")).cut)
        self.assertTrue(self.read(self.event("a", '"length"')).cut)
        self.assertTrue(self.read().cut)

    def test_one_that_the_engine_gave_up_is_cut(self):
        self.assertTrue(self.read(self.event("a", '"abort"'), "[DONE]").cut)
        self.assertTrue(self.read('{"error": {"message": "shutting down"}}', "[DONE]").cut)


class ScaleDown(unittest.TestCase):
    def run_with(self, *cut: int) -> tuple[tuple[int, int], list[int]]:
        """What it returns, and how long the answers were each time, if so many are cut without the gate, then with it."""
        left, lengths = list(cut), []

        def scale_down(cluster, gateway, processes, tokens):
            lengths.append(tokens)
            return left.pop(0)
        with mock.patch.multiple(demo_scale_down, scale_down=scale_down, say=mock.Mock(), wait_for=mock.Mock(),
                                 three_replicas=mock.Mock(), Watch=mock.Mock()):
            return demo_scale_down.run(mock.Mock(), mock.Mock(), mock.Mock(), LLAMA), lengths

    def test_both_times_with_answers_of_the_same_length(self):
        self.assertEqual(((6, 0), [LLAMA.streamed] * 2), self.run_with(6, 0))

    def test_longer_ones_where_all_were_done_before_it_was_scaled(self):
        self.assertEqual(((3, 1), [LLAMA.streamed, 2 * LLAMA.streamed, 2 * LLAMA.streamed]), self.run_with(0, 3, 1))

    def test_not_for_ever(self):
        result, lengths = self.run_with(*[0] * (demo_scale_down.ATTEMPTS + 1))
        self.assertEqual((0, 0), result)
        self.assertEqual(demo_scale_down.ATTEMPTS + 1, len(lengths))


if __name__ == "__main__":
    unittest.main()
