#!/usr/bin/env python3
"""Keeps the pages of the documentation easy to read and to review.

Usage: check_docs.py [root]

Prints "file:line: what is wrong" and exits with 1 if
  - a line of a table has more than 200 characters (a diff of such a line cannot be reviewed),
  - the line below a page's title is not the question that the page answers,
  - a link leads to a file or a heading that is not there,
  - a test that a page names is not there: `scenarios/pod-life`, `e2e/12_gate test_what_the_refusal_says`,
    `unit/kube/lease_test Lease.CreatesTheLeaseWhereThereIsNone`.
Warns of sentences with more than 25 words. A warning fails nothing.
"""

import itertools
import pathlib
import re
import sys
from collections.abc import Iterator
from typing import NamedTuple

MAX_TABLE_LINE = 200
MAX_WORDS = 25
PAGES = ("README.md", "CONTRIBUTING.md", "SECURITY.md", "docs/**/*.md", "examples/**/*.md")

CODE = re.compile(r"`[^`]*`")
LINK = re.compile(r"\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)\s]+)\)")
TEST = re.compile(r"`(scenarios|e2e|unit|integration)/([\w/-]+)(?: ([\w.]+))?`")
# What begins a block of its own: an item of a list, a heading, a quotation.
BLOCK = re.compile(r"^\s*(?:[-*+]|\d+\.|#+|>)\s+")


class Line(NamedTuple):
    number: int
    text: str


def lines_of(text: str) -> Iterator[Line]:
    """The lines outside of fenced code blocks."""
    fenced = False
    for number, line in enumerate(text.splitlines(), start=1):
        if line.lstrip().startswith("```"):
            fenced = not fenced
            yield Line(number, "")
        elif not fenced:
            yield Line(number, line)


def long_table_lines(text: str) -> Iterator[tuple[int, str]]:
    for number, line in lines_of(text):
        if line.startswith("|") and len(line) > MAX_TABLE_LINE:
            yield number, f"a line of a table has {len(line)} characters, at most {MAX_TABLE_LINE}: make it a list"


def missing_question(text: str) -> Iterator[tuple[int, str]]:
    told = [line for line in lines_of(text) if line.text.strip()]
    if not told or not told[0].text.startswith("# "):
        yield 1, "a page begins with its title: # Title"
    elif len(told) < 2 or not re.match(r"[A-Z*][^.!?]*\?", told[1].text):
        yield told[0].number, "the line below the title is not the question that the page answers"


def anchors_of(text: str) -> set[str]:
    """The headings as GitHub names them in links."""
    out: set[str] = set()
    for _, line in lines_of(text):
        if match := re.match(r"#+\s+(.*)", line):
            heading = LINK.sub(r"\1", match.group(1)).strip().lower()
            anchor = re.sub(r"[^\w\- ]", "", heading).replace(" ", "-")
            repeats = itertools.chain([anchor], (f"{anchor}-{n}" for n in itertools.count(1)))
            out.add(next(name for name in repeats if name not in out))
    return out


def dead_links(page: pathlib.Path, text: str) -> Iterator[tuple[int, str]]:
    for number, line in lines_of(text):
        for _, target in LINK.findall(CODE.sub("`", line)):
            if re.match(r"[a-z]+:", target):
                continue
            path, _, anchor = target.partition("#")
            file = page.parent / path if path else page
            if not file.exists():
                yield number, f"{target}: there is no such file"
            elif anchor and file.suffix == ".md" and anchor not in anchors_of(file.read_text(encoding="utf-8")):
                yield number, f"{target}: there is no such heading"


def has_test(root: pathlib.Path, kind: str, path: str, name: str | None) -> bool:
    if kind == "scenarios":
        return (root / "tests/scenarios" / f"{path}.txt").exists()
    file = root / "tests/e2e/cases" / f"{path}.py" if kind == "e2e" else root / "tests" / kind / f"{path}.cpp"
    if not file.exists():
        return False
    suite, _, test = (name or "").rpartition(".")
    wanted = rf"def {test}\(" if kind == "e2e" else rf"TEST(_F|_P)?\({suite}, {test}\)"
    return name is None or re.search(wanted, file.read_text(encoding="utf-8")) is not None


def missing_tests(root: pathlib.Path, text: str) -> Iterator[tuple[int, str]]:
    for number, line in lines_of(text):
        for match in TEST.finditer(line):
            if not has_test(root, *match.groups()):
                yield number, f"{match.group(0).strip('`')}: there is no such test"


def blocks_of(text: str) -> Iterator[Line]:
    """Paragraphs, items of lists, headings and cells of tables, each on one line."""
    block: list[str] = []
    began = 0
    for number, line in lines_of(text):
        if not line.strip() or line.startswith("|") or BLOCK.match(line):
            if block:
                yield Line(began, " ".join(block))
            block = []
        if line.startswith("|"):
            yield from (Line(number, cell.strip()) for cell in CODE.sub("`", line).split("|"))
        elif line.strip():
            began = began if block else number
            block.append(BLOCK.sub("", line).strip())
    if block:
        yield Line(began, " ".join(block))


def long_sentences(text: str) -> Iterator[tuple[int, str]]:
    """Names in code quotes are not counted: a list of them is not hard to read."""
    for number, block in blocks_of(text):
        plain = LINK.sub(r"\1", CODE.sub("`", block)).replace("*", "")
        for sentence in re.split(r"(?<=[.?!:])[)\"']*\s", plain):
            words = [word for word in sentence.split() if any(c.isalnum() for c in word)]
            if len(words) > MAX_WORDS:
                yield number, f"a sentence of {len(words)} words: {' '.join(words[:6])} ..."


def pages(root: pathlib.Path) -> list[pathlib.Path]:
    return sorted({page for pattern in PAGES for page in root.glob(pattern)})


def check(root: pathlib.Path) -> tuple[list[str], list[str]]:
    """What is wrong, and what is only warned of."""
    found = pages(root)
    if not found:
        return [f"{root}: no pages found"], []
    wrong: list[str] = []
    warned: list[str] = []
    for page in found:
        name = page.relative_to(root)
        text = page.read_text(encoding="utf-8")
        problems = [*long_table_lines(text), *missing_question(text), *dead_links(page, text),
                    *missing_tests(root, text)]
        wrong += [f"{name}:{number}: {what}" for number, what in sorted(problems)]
        warned += [f"{name}:{number}: {what}" for number, what in long_sentences(text)]
    return wrong, warned


def main() -> int:
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ".").resolve()
    wrong, warned = check(root)
    for line in warned:
        print(f"{line} (warning)", file=sys.stderr)
    for line in wrong:
        print(line, file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
