#!/usr/bin/env python3
"""Tests check_hardening.sh on small programs that lack one thing, or all. Run by scripts/lint.sh."""

import pathlib
import platform
import subprocess
import tempfile
import unittest

SCRIPT = pathlib.Path(__file__).with_name("check_hardening.sh")
# With a call that libc can check, an index that libstdc++ can, a frame of several pages, and a buffer to protect.
PROGRAM = """
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>
int main(int argc, char** argv) {
  char large[20000];
  std::vector<int> some(static_cast<unsigned>(argc));
  std::memcpy(large, argv[0], std::strtoul(argv[argc - 1], nullptr, 10));
  std::fwrite(large, 1, sizeof large, stdout);
  return some[std::strtoul(large, nullptr, 10)];
}
"""
# As cmake/Poolwarden.cmake has them.
HARDENED = ("-O2 -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2 -D_GLIBCXX_ASSERTIONS -fstack-protector-strong "
            "-fstack-clash-protection -fPIE -pie -Wl,-z,relro,-z,now,-z,noexecstack").split()
X86 = platform.machine() == "x86_64"
if X86:
    HARDENED.append("-fcf-protection")
# What is told once a flag has undone it.
UNDONE = {
    "-fPIE, -pie": ["-fno-pie", "-no-pie"],
    "-z relro": ["-Wl,-z,norelro"],
    "-z now": ["-Wl,-z,lazy"],
    "-z noexecstack": ["-Wl,-z,execstack"],
    "-fstack-protector-strong": ["-fno-stack-protector"],
    "-D_FORTIFY_SOURCE": ["-U_FORTIFY_SOURCE"],
    "-D_GLIBCXX_ASSERTIONS": ["-U_GLIBCXX_ASSERTIONS"],
}
if X86:
    UNDONE |= {
        "-fcf-protection": ["-fcf-protection=none"],
        "-fstack-clash-protection": ["-fno-stack-clash-protection"],
    }


class CheckHardening(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.source = pathlib.Path(folder.name, "program.cpp")
        self.source.write_text(PROGRAM)

    def complaints(self, *flags: str) -> list[str]:
        """What the script says is missing: the words in brackets."""
        program = self.source.with_suffix("")
        # Linkers warn of a stack that is code.
        subprocess.run(["g++", *flags, "-o", program, self.source], check=True, stderr=subprocess.DEVNULL)
        ran = subprocess.run([SCRIPT, program], capture_output=True, text=True, check=False)
        told = [line.split("(")[1].rstrip(")") for line in ran.stderr.splitlines()]
        self.assertEqual(ran.returncode, 1 if told else 0, ran.stderr)
        return told

    def test_a_hardened_program_passes(self):
        self.assertEqual(self.complaints(*HARDENED), [])

    def test_each_thing_that_is_missing_is_told(self):
        for told, flags in UNDONE.items():
            with self.subTest(told):
                self.assertEqual(self.complaints(*HARDENED, *flags), [told])

    def test_a_program_without_any_of_it_is_told_all(self):
        flags = [flag for flags in UNDONE.values() for flag in flags]
        self.assertEqual(sorted(self.complaints("-O2", *flags)), sorted(UNDONE))

    def test_what_is_no_program_fails(self):
        ran = subprocess.run([SCRIPT, self.source], capture_output=True, text=True, check=False)
        self.assertNotEqual(ran.returncode, 0)


if __name__ == "__main__":
    unittest.main()
