#!/usr/bin/env python3
"""Holds the one direction in which the parts of operator/ may depend on each other.

Usage: check_dependencies.py [root]

Reads the #include lines below root/operator and prints "file:line: what is wrong" for each that breaks a rule.
Exits with 1 if there was one.
"""

import pathlib
import re
import sys

# A part and what it may include besides itself and base/. The programs (operator/*.cpp) may include every part.
ALLOWED = {
    "base": set(),
    "api": set(),
    "kube": set(),
    "telemetry": set(),
    "engine": {"api", "kube"},
    "pool": {"api"},
    "publish": {"api", "kube"},
    "gateway": {"api", "kube", "pool", "telemetry"},
    "commands": {"api", "kube", "pool", "publish", "telemetry"},
    "control": {"api", "engine", "kube", "pool", "publish", "telemetry"},
    "status_page": {"api", "commands", "control", "kube", "telemetry"},
}
# Libraries that one file has for itself: cpprestsdk is no longer developed, and stays where it can be replaced, behind
# kube/transport.h; Mustache does whatever a template says, but for what that file keeps from it.
HOMES = {
    ("cpprest/", "pplx/"): "operator/kube/cpprest_transport.cpp",
    ("kainjow/",): "operator/gateway/list_template.cpp",
}

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')


def includes(path):
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if match := INCLUDE.match(line):
            yield number, match.group(1) == '"', match.group(2)


def problem(root, path, quoted, target):
    """What is wrong with `path` including `target`, or None."""
    name = path.relative_to(root).as_posix()
    if not quoted:
        for prefixes, home in HOMES.items():
            if target.startswith(prefixes) and name != home:
                return f"<{target}> may be included in {home} only"
        return None
    if not (root / "operator" / target).is_file():
        return f'"{target}" is not a file below operator/; includes are written relative to it'
    owner = path.relative_to(root / "operator").parts
    if len(owner) == 1:
        return None
    part, other = owner[0], pathlib.PurePosixPath(target).parts[0]
    if part not in ALLOWED:
        return f"operator/{part}/ is not in the list of parts: say in check_dependencies.py what it may include"
    allowed = ALLOWED[part] | ({"base"} if part != "base" else set())
    if other != part and other not in allowed:
        may = ", ".join(sorted(allowed)) or "nothing of ours"
        return f'{part}/ may not include "{target}": it may include {may}'
    return None


def check(root):
    sources = sorted(p for p in (root / "operator").rglob("*") if p.suffix in {".h", ".cpp"})
    if not sources:
        return [f"{root / 'operator'}: no sources found"]
    found = []
    for path in sources:
        for number, quoted, target in includes(path):
            if wrong := problem(root, path, quoted, target):
                found.append(f"{path.relative_to(root)}:{number}: {wrong}")
    return found


def main():
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ".").resolve()
    found = check(root)
    for line in found:
        print(line, file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
