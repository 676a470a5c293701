#!/usr/bin/env python3
"""Breaks the program on purpose, one rule at a time, and shows which test notices: `make mutants`.

Usage: mutants.py [NAME]...     those of tests/mutants/NAME.patch; without names, all of them

A patch begins with lines of its own, then comes what `git diff` printed:

  Rule: nobody who has requests in flight is released before the time is up
  Test: pool_test --gtest_filter=Drain.*

The source as it is here, uncommitted changes included, is copied to build-mutants/source, so that nothing here is
touched. There each patch is applied in turn, the test's program built and run, and the patch taken back. The same tests
run first without any patch: one that fails anyway would catch everything. Prints a table. Exits with 1 if a mutant lives,
if a patch no longer applies, or if something does not compile.
"""

import dataclasses
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
FOLDER = ROOT / "tests" / "mutants"
COPY = ROOT / "build-mutants" / "source"
TEST_SECONDS = 300
FAILED = re.compile(r"^\[  FAILED  \] ([^\s,]+)", re.MULTILINE)


class Broken(Exception):
    """Nothing can be said of a mutant; the text says why."""


@dataclasses.dataclass(frozen=True)
class Mutant:
    name: str
    rule: str
    program: str
    arguments: tuple[str, ...]
    patch: str

    @property
    def test(self) -> tuple[str, ...]:
        return (self.program, *self.arguments)


def read(path: pathlib.Path) -> Mutant:
    text = path.read_text(encoding="utf-8")
    header, separator, diff = text.partition("diff --git ")
    fields = dict(re.findall(r"^(Rule|Test): (.+)$", header, re.MULTILINE))
    if not separator or len(fields) != 2:
        raise Broken(f'{path.name}: needs a line "Rule: ...", a line "Test: PROGRAM [ARGUMENT]..." and a diff')
    program, *arguments = shlex.split(fields["Test"])
    return Mutant(path.stem, fields["Rule"], program, tuple(arguments), separator + diff)


def choose(names: list[str]) -> list[Mutant]:
    there = {path.stem: path for path in sorted(FOLDER.glob("*.patch"))}
    unknown = [name for name in names if name not in there]
    if unknown:
        raise Broken(f"tests/mutants has no {', '.join(unknown)}; it has {', '.join(there)}")
    return [read(there[name]) for name in names or there]


def copy_source() -> None:
    """Only what changed since the last time is written, so that little is compiled."""
    listed = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, check=True,
                            stdout=subprocess.PIPE).stdout.split(b"\0")
    wanted = {os.fsdecode(name) for name in listed if name and os.path.lexists(os.path.join(os.fsencode(ROOT), name))}
    for name in wanted:
        source, target = ROOT / name, COPY / name
        if target.is_file() and target.read_bytes() == source.read_bytes():
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
        shutil.copymode(source, target)
    for path in COPY.rglob("*"):
        name = str(path.relative_to(COPY))
        if path.is_file() and not name.startswith("build") and name not in wanted:
            path.unlink()


def apply(mutant: Mutant, *options: str) -> None:
    # The copy is no repository, and must not be taken for a part of the one that it lies in.
    environment = os.environ | {"GIT_CEILING_DIRECTORIES": str(COPY.parent)}
    done = subprocess.run(["git", "apply", "-C1", *options, "-"], cwd=COPY, env=environment, input=mutant.patch,
                          capture_output=True, text=True, check=False)
    if done.returncode:
        raise Broken(f"{mutant.name}: the patch no longer applies; make it anew with git diff:\n{done.stderr}")


def build(programs: list[str], why: str) -> None:
    environment = os.environ | {"CCACHE_BASEDIR": str(COPY), "CCACHE_NOHASHDIR": "1"}
    done = subprocess.run([COPY / "scripts" / "build.sh", "debug", *programs], cwd=COPY, env=environment,
                          capture_output=True, text=True, check=False)
    if done.returncode:
        raise Broken(f"{why}: does not compile:\n{done.stdout[-4000:]}{done.stderr[-4000:]}")


def failures(mutant: Mutant) -> list[str]:
    """The tests that fail, by name. One that hangs or crashes fails, too."""
    program = COPY / "build-debug" / "bin" / mutant.program
    try:
        done = subprocess.run([program, *mutant.arguments], cwd=COPY, capture_output=True, text=True, errors="replace",
                              timeout=TEST_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return [f"{mutant.program} (did not end)"]
    if "[==========] Running 0 tests" in done.stdout:
        raise Broken(f"{mutant.name}: {shlex.join(mutant.test)} runs no test")
    if done.returncode == 0:
        return []
    return list(dict.fromkeys(FAILED.findall(done.stdout))) or [f"{mutant.program} (ended with {done.returncode})"]


def try_one(mutant: Mutant) -> list[str]:
    apply(mutant)
    try:
        build([mutant.program], mutant.name)
        return failures(mutant)
    finally:
        apply(mutant, "--reverse")


def check_sound(mutants: list[Mutant]) -> None:
    build(sorted({mutant.program for mutant in mutants}), "the source without a patch")
    for test in sorted({mutant.test for mutant in mutants}):
        failed = failures(next(mutant for mutant in mutants if mutant.test == test))
        if failed:
            raise Broken(f"{shlex.join(test)} fails without a patch: {', '.join(failed[:5])}")


def main(names: list[str]) -> int:
    try:
        mutants = choose(names)
        copy_source()
        check_sound(mutants)
    except Broken as broken:
        print(f"mutants: {broken}", file=sys.stderr)
        return 1
    bad = 0
    for mutant in mutants:
        began = time.monotonic()
        try:
            caught = try_one(mutant)
            word = f"caught by {caught[0]}{f' and {len(caught) - 1} more' if len(caught) > 1 else ''}" if caught else "LIVES"
        except Broken as broken:
            caught, word = [], f"BROKEN: {broken}"
        bad += not caught
        print(f"{mutant.name}: {mutant.rule}\n    {word} ({time.monotonic() - began:.0f} s)", flush=True)
    print(f"mutants: {len(mutants) - bad} of {len(mutants)} caught")
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
