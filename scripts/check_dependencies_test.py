#!/usr/bin/env python3
"""Tests check_dependencies.py on small trees. Run by scripts/lint.sh."""

import pathlib
import tempfile
import unittest

import check_dependencies


class CheckDependencies(unittest.TestCase):
    def check(self, files):
        """The complaints about a tree of {path below operator/: text}."""
        with tempfile.TemporaryDirectory() as directory:
            root = pathlib.Path(directory)
            for name, text in files.items():
                path = root / "operator" / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
            return check_dependencies.check(root)

    def test_allowed_directions_pass(self):
        self.assertEqual([], self.check({
            "api/pod.h": "#include <string>\n",
            "pool/decide.cpp": '#include "pool/decide.h"\n#include "api/pod.h"\n',
            "pool/decide.h": "",
            "main.cpp": '#include "pool/decide.h"\n',
            "kube/cpprest_transport.cpp": "#include <cpprest/http_client.h>\n",
        }))

    def test_a_call_back_up_is_named_with_its_line(self):
        self.assertEqual(
            ['operator/pool/decide.h:2: pool/ may not include "kube/client.h": it may include api, base'],
            self.check({"kube/client.h": "", "pool/decide.h": '#pragma once\n  #  include "kube/client.h"\n'}))

    def test_a_leaf_includes_nothing_of_ours(self):
        found = self.check({"api/pod.h": "", "telemetry/log.h": '#include "api/pod.h"\n'})
        self.assertEqual(
            ['operator/telemetry/log.h:1: telemetry/ may not include "api/pod.h": it may include base'], found)

    def test_cpprest_has_one_home(self):
        found = self.check({"kube/client.cpp": "#include <pplx/pplxtasks.h>\n"})
        self.assertEqual(1, len(found))
        self.assertIn("operator/kube/client.cpp:1: <pplx/pplxtasks.h> may be included in", found[0])

    def test_mustache_has_one_home(self):
        found = self.check({"gateway/list_template.cpp": "#include <kainjow/mustache.hpp>\n",
                            "gateway/reload.cpp": "#include <kainjow/mustache.hpp>\n"})
        self.assertEqual(["operator/gateway/reload.cpp:1: <kainjow/mustache.hpp> may be included in "
                          "operator/gateway/list_template.cpp only"], found)

    def test_a_path_that_is_not_relative_to_operator(self):
        found = self.check({"api/pod.h": "", "api/pod.cpp": '#include "pod.h"\n'})
        self.assertIn('"pod.h" is not a file below operator/', found[0])

    def test_a_new_part_must_be_declared(self):
        found = self.check({"api/pod.h": "", "extra/x.h": '#include "api/pod.h"\n'})
        self.assertIn("operator/extra/ is not in the list of parts", found[0])

    def test_an_empty_tree_is_a_mistake(self):
        self.assertEqual(1, len(self.check({})))


if __name__ == "__main__":
    unittest.main()
