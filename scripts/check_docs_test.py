#!/usr/bin/env python3
"""Tests check_docs.py on small pages. Run by scripts/lint.sh."""

import pathlib
import tempfile
import unittest

import check_docs

GOOD = "# Title\n\nWhat does this page answer?\n"


class CheckDocs(unittest.TestCase):
    def check(self, files: dict[str, str]) -> tuple[list[str], list[str]]:
        """The complaints and the warnings about a tree of {path: text}."""
        with tempfile.TemporaryDirectory() as directory:
            root = pathlib.Path(directory)
            for name, text in files.items():
                path = root / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8")
            return check_docs.check(root)

    def wrong(self, text: str, **more: str) -> list[str]:
        return self.check({"docs/page.md": text, **more})[0]

    def warned(self, text: str) -> list[str]:
        return self.check({"docs/page.md": GOOD + "\n" + text})[1]

    def test_a_good_page_passes(self) -> None:
        self.assertEqual(([], []), self.check({"README.md": GOOD, "docs/a.md": GOOD, "examples/x/README.md": GOOD}))

    def test_a_page_opens_with_its_question(self) -> None:
        expected = ["docs/page.md:1: the line below the title is not the question that the page answers"]
        self.assertEqual(expected, self.wrong("# Title\n\nThis is no question.\n"))
        self.assertEqual(expected, self.wrong("# Title\n\nA statement. Is this too late?\n"))
        self.assertEqual(expected, self.wrong("# Title\n"))
        self.assertEqual(["docs/page.md:1: a page begins with its title: # Title"], self.wrong("What is it?\n"))

    def test_a_long_line_of_a_table_is_named_with_its_length(self) -> None:
        row = "| " + "x" * 197 + " |\n"
        self.assertEqual(["docs/page.md:5: a line of a table has 201 characters, at most 200: make it a list"],
                         self.wrong(GOOD + "\n" + row))
        self.assertEqual([], self.wrong(GOOD + "\n" + row.replace("x", "", 1)))

    def test_long_lines_outside_of_tables_pass(self) -> None:
        self.assertEqual([], self.wrong(GOOD + "\n```\n| " + "x" * 300 + " |\n```\n\n" + "y" * 300 + "\n"))

    def test_links_to_files_and_headings_that_are_there_pass(self) -> None:
        text = GOOD + "\n[a](page.md#the-gate), [b](../README.md), [c](#what-happens-if), [d](https://example.com/x)\n"
        text += "\n## The gate\n\n## What happens if...\n"
        self.assertEqual([], self.wrong(text, **{"README.md": GOOD}))

    def test_a_dead_link_is_named(self) -> None:
        self.assertEqual(["docs/page.md:5: gone.md: there is no such file"], self.wrong(GOOD + "\n[a](gone.md)\n"))
        self.assertEqual(["docs/page.md:5: #gone: there is no such heading"], self.wrong(GOOD + "\n[a](#gone)\n"))

    def test_an_example_of_a_link_is_no_link(self) -> None:
        self.assertEqual([], self.wrong(GOOD + "\n`[a](gone.md)`\n\n```\n# [a](gone.md)\n```\n"))

    def test_tests_that_are_there_pass(self) -> None:
        text = GOOD + "\n`scenarios/pod-life`, `e2e/12_gate test_it`, `unit/a/b_test A.B`, `integration/c_test C.D`\n"
        self.assertEqual([], self.wrong(text, **{
            "tests/scenarios/pod-life.txt": "", "tests/e2e/cases/12_gate.py": "    def test_it(self) -> None:",
            "tests/unit/a/b_test.cpp": "TEST_F(A, B) {", "tests/integration/c_test.cpp": "TEST(C, D) {"}))

    def test_a_test_that_is_not_there_is_named(self) -> None:
        files = {"tests/e2e/cases/12_gate.py": "def test_it_too():", "tests/unit/b_test.cpp": "TEST(A, Bee) {"}
        for name in ("scenarios/gone", "e2e/12_gate test_it", "e2e/13_gone", "unit/b_test A.B", "integration/c_test"):
            self.assertEqual([f"docs/page.md:5: {name}: there is no such test"], self.wrong(f"{GOOD}\n`{name}`\n", **files))

    def test_headings_of_the_same_name_are_numbered(self) -> None:
        text = GOOD + "\n## Flags\n\n## Flags\n\n[first](#flags) [second](#flags-1)\n"
        self.assertEqual([], self.wrong(text))
        self.assertEqual(1, len(self.wrong(text + "[third](#flags-2)\n")))

    def test_a_long_sentence_is_a_warning(self) -> None:
        wrong, warned = self.check({"docs/page.md": GOOD + "\nShort one. " + "word " * 13 + "\n" + "word " * 13 + "\n"})
        self.assertEqual([], wrong)
        self.assertEqual(["docs/page.md:5: a sentence of 26 words: word word word word word word ..."], warned)

    def test_sentences_end_with_blocks_and_cells(self) -> None:
        half = "word " * 20
        self.assertEqual([], self.warned(f"{half}\n\n{half}\n\n- {half}\n- {half}\n\n| {half} | {half} |\n"))
        self.assertEqual([], self.warned(f"{half} at the end. {half} (in brackets.) {half}\n"))

    def test_names_in_code_quotes_are_not_counted(self) -> None:
        self.assertEqual([], self.warned("One of " + ", ".join(["`Name`"] * 40) + ".\n"))

    def test_an_empty_tree_is_a_mistake(self) -> None:
        self.assertEqual(1, len(self.check({})[0]))


if __name__ == "__main__":
    unittest.main()
