#!/usr/bin/env python3
"""Tests what tidy.py remembers, with a clang-tidy that only counts. Run by scripts/lint.sh."""

import json
import os
import pathlib
import tempfile
import unittest
from unittest import mock

import tidy

COUNTING = """#!/bin/sh
[ "$1" = --version ] && { echo 16; exit; }
echo "$@" >>"$(dirname "$0")/calls"
grep -q wrong "$4" && echo "$4:1: something is wrong" && exit 1
exit 0
"""


class Remembers(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = pathlib.Path(folder.name).resolve()
        self.source = self.root / "operator" / "a.cpp"
        self.header = self.root / "operator" / "a.h"
        self.source.parent.mkdir()
        self.source.write_text('#include "a.h"\n')
        self.header.write_text("int one();\n")
        (self.root / ".clang-tidy").write_text("Checks: '*'\n")
        program = self.root / "counting-tidy"
        program.write_text(COUNTING)
        program.chmod(0o755)
        for name, value in (("ROOT", self.root), ("TIDY", str(program))):
            patch = mock.patch.object(tidy, name, value)
            patch.start()
            self.addCleanup(patch.stop)
        environment = mock.patch.dict(os.environ, XDG_CACHE_HOME=str(self.root / "cache"))
        environment.start()
        self.addCleanup(environment.stop)
        self.flags = ""

    def run_tidy(self):
        """(the exit status, how often clang-tidy was called for it)"""
        calls = self.root / "calls"
        calls.unlink(missing_ok=True)
        command = f"clang++-16 {self.flags} -MD -MT a.o -MF a.o.d -o a.o -c {self.source}"
        (self.root / "compile_commands.json").write_text(
            json.dumps([{"directory": str(self.root), "command": command, "file": str(self.source)}]))
        with mock.patch("sys.argv", ["tidy.py", str(self.root), "1"]), mock.patch("builtins.print"):
            status = tidy.main()
        return status, len(calls.read_text().splitlines()) if calls.exists() else 0

    def test_clean_file_is_checked_once(self):
        self.assertEqual(self.run_tidy(), (0, 1))
        self.assertEqual(self.run_tidy(), (0, 0))

    def test_whatever_the_verdict_rests_on_has_it_checked_again(self):
        self.run_tidy()
        self.source.write_text('#include "a.h"\n\n')
        self.assertEqual(self.run_tidy(), (0, 1))
        self.header.write_text("int two();\n")
        self.assertEqual(self.run_tidy(), (0, 1))
        (self.root / ".clang-tidy").write_text("Checks: '-*'\n")
        self.assertEqual(self.run_tidy(), (0, 1))
        self.flags = "-DX"
        self.assertEqual(self.run_tidy(), (0, 1))
        self.assertEqual(self.run_tidy(), (0, 0))

    def test_file_with_problems_is_never_remembered(self):
        self.source.write_text('#include "a.h"\n// wrong\n')
        self.assertEqual(self.run_tidy(), (1, 1))
        self.assertEqual(self.run_tidy(), (1, 1))

    def test_cache_that_cannot_be_written_is_done_without(self):
        (self.root / "cache").write_text("a file\n")
        self.assertEqual(self.run_tidy(), (0, 1))
        self.assertEqual(self.run_tidy(), (0, 1))


if __name__ == "__main__":
    unittest.main()
