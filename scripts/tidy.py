#!/usr/bin/env python3
"""Runs clang-tidy on what compile_commands.json lists below operator/, and again only where something changed.

Usage: tidy.py BUILD_DIRECTORY [JOBS]

A file that was found clean is remembered in ~/.cache/poolwarden/tidy (XDG_CACHE_HOME is heeded) under a hash of all
that the verdict rests on: the file and the project's headers that it includes, how it is compiled, .clang-tidy,
clang-tidy itself, and the versions of the installed development packages. Without that folder, every file is checked.
Prints what is wrong and exits with 1 if anything is.
"""

import concurrent.futures
import hashlib
import json
import os
import pathlib
import shlex
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
TIDY = "clang-tidy-16"
KEEP_DAYS = 30


def output(*command, cwd=None):
    return subprocess.run(command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True).stdout


def common_key():
    """What every verdict rests on."""
    key = hashlib.sha256(output(TIDY, "--version"))
    key.update((ROOT / ".clang-tidy").read_bytes())
    try:
        key.update(output("dpkg-query", "-W", "lib*-dev"))
    except (OSError, subprocess.CalledProcessError):
        key.update(str(time.time()).encode())  # not known: nothing is remembered
    return key.digest()


def own_files(entry):
    """The file and the project's headers it includes; their names in a list of make's."""
    command = [word for word in shlex.split(entry["command"]) if word not in ("-c", "-MD")]
    for option in ("-o", "-MT", "-MF"):
        if option in command:
            at = command.index(option)
            del command[at:at + 2]
    if os.path.basename(command[0]) == "ccache":
        del command[0]
    rule = output(*command, "-MM", cwd=entry["directory"]).decode().replace("\\\n", " ")
    return sorted(rule.split(":", 1)[1].split())


def key_of(entry, common):
    key = hashlib.sha256(common)
    key.update(entry["command"].replace(str(ROOT), "").encode())
    for name in own_files(entry):
        path = (pathlib.Path(entry["directory"]) / name).resolve()
        key.update(f"{path.relative_to(ROOT) if path.is_relative_to(ROOT) else path}\0".encode())
        key.update(hashlib.sha256(path.read_bytes()).digest())
    return key.hexdigest()


def check(entry, build, common, remembered):
    """None if the file is clean, else what clang-tidy says; and whether that was remembered."""
    try:
        mark = remembered / key_of(entry, common)
    except (OSError, subprocess.CalledProcessError):
        mark = None  # it does not compile: clang-tidy says why
    if mark and mark.exists():
        os.utime(mark)
        return None, True
    run = subprocess.run([TIDY, "-quiet", "-p", str(build), entry["file"]], stdout=subprocess.PIPE,
                         stderr=subprocess.STDOUT, text=True, check=False)
    if run.returncode:
        return run.stdout, False
    if mark:
        try:
            remembered.mkdir(parents=True, exist_ok=True)
            mark.touch()
        except OSError:
            pass  # a cache is never required
    return None, False


def forget_old(remembered):
    for mark in remembered.glob("*"):
        if time.time() - mark.stat().st_mtime > KEEP_DAYS * 86400:
            mark.unlink(missing_ok=True)


def main():
    if len(sys.argv) not in (2, 3):
        sys.exit("usage: tidy.py BUILD_DIRECTORY [JOBS]")
    build = pathlib.Path(sys.argv[1]).resolve()
    jobs = int(sys.argv[2]) if len(sys.argv) == 3 else os.cpu_count()
    entries = [entry for entry in json.loads((build / "compile_commands.json").read_text())
               if entry["file"].startswith(f"{ROOT}/operator/")]
    if not entries:
        sys.exit(f"tidy: {build}/compile_commands.json has nothing below operator/")
    cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache")
    remembered = cache / "poolwarden" / "tidy"
    common, bad, known, shown = common_key(), 0, 0, time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        waiting = [pool.submit(check, entry, build, common, remembered) for entry in entries]
        for number, done in enumerate(concurrent.futures.as_completed(waiting), start=1):
            problems, was_known = done.result()
            known += was_known
            if problems:
                bad += 1
                print(problems, file=sys.stderr)
            if time.monotonic() - shown >= 30:
                shown = time.monotonic()
                print(f"lint: clang-tidy: {number} of {len(entries)} files", flush=True)
    print(f"lint: clang-tidy: {len(entries)} files, {known} of them known to be clean")
    forget_old(remembered)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
