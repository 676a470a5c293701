#!/usr/bin/env python3
"""Tests that mutants.py tells a mutant that lives from one that is caught, with a program that is a script. Run by
scripts/lint.sh."""

import contextlib
import io
import pathlib
import subprocess
import tempfile
import unittest
from unittest import mock

import mutants

# "Builds" by copying: a mutant that breaks this file's second line does not compile.
BUILD = """#!/bin/sh
grep -q WRONG rule.txt && echo "rule.txt: error" && exit 1
mkdir -p build-debug/bin && cp check.sh build-debug/bin/check && chmod +x build-debug/bin/check
"""
CHECK = """#!/bin/sh
[ "$1" = nothing ] && echo "[==========] Running 0 tests from 0 test suites." && exit 0
grep -q keep rule.txt || { echo "[  FAILED  ] Rule.IsKept (0 ms)"; exit 1; }
"""


def patch(before: str, after: str, test: str = "check") -> str:
    return (f"Rule: it is kept\nTest: {test}\n\ndiff --git a/rule.txt b/rule.txt\n--- a/rule.txt\n+++ b/rule.txt\n"
            f"@@ -1 +1 @@\n-{before}\n+{after}\n")


class Mutants(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = pathlib.Path(folder.name)
        for name, text in (("rule.txt", "keep it\n"), ("check.sh", CHECK), ("scripts/build.sh", BUILD)):
            path = self.root / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
            path.chmod(0o755)
        (self.root / ".gitignore").write_text("build-*/\n")
        (self.root / "tests" / "mutants").mkdir(parents=True)
        subprocess.run(["git", "init", "--quiet", self.root], check=True)
        for name, value in (("ROOT", self.root), ("FOLDER", self.root / "tests" / "mutants"),
                            ("COPY", self.root / "build-mutants" / "source")):
            change = mock.patch.object(mutants, name, value)
            change.start()
            self.addCleanup(change.stop)

    def run_one(self, text: str) -> tuple[int, str]:
        (self.root / "tests" / "mutants" / "one.patch").write_text(text)
        said = io.StringIO()
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            status = mutants.main([])
        self.assertEqual((self.root / "rule.txt").read_text(), "keep it\n")
        copied = self.root / "build-mutants" / "source" / "rule.txt"
        self.assertTrue(not copied.exists() or copied.read_text() == "keep it\n", "taken back")
        return status, said.getvalue()

    def test_one_that_a_test_notices(self) -> None:
        status, said = self.run_one(patch("keep it", "drop it"))
        self.assertEqual(status, 0)
        self.assertIn("caught by Rule.IsKept", said)

    def test_one_that_lives(self) -> None:
        status, said = self.run_one(patch("keep it", "keep another"))
        self.assertEqual(status, 1)
        self.assertIn("LIVES", said)

    def test_one_that_does_not_compile_is_not_caught(self) -> None:
        status, said = self.run_one(patch("keep it", "WRONG"))
        self.assertEqual(status, 1)
        self.assertIn("does not compile", said)

    def test_one_that_no_longer_applies(self) -> None:
        status, said = self.run_one(patch("never there", "drop it"))
        self.assertEqual(status, 1)
        self.assertIn("no longer applies", said)

    def test_a_test_that_runs_nothing(self) -> None:
        status, said = self.run_one(patch("keep it", "drop it", test="check nothing"))
        self.assertEqual(status, 1)
        self.assertIn("runs no test", said)

    def test_a_test_that_fails_anyway(self) -> None:
        (self.root / "rule.txt").write_text("drop it\n")
        (self.root / "tests" / "mutants" / "one.patch").write_text(patch("drop it", "break it"))
        with contextlib.redirect_stderr(io.StringIO()) as said:
            self.assertEqual(mutants.main([]), 1)
        self.assertIn("fails without a patch", said.getvalue())

    def test_a_patch_without_a_rule(self) -> None:
        status, said = self.run_one(patch("keep it", "drop it").replace("Rule: ", ""))
        self.assertEqual(status, 1)
        self.assertIn('needs a line "Rule: ..."', said)


if __name__ == "__main__":
    unittest.main()
