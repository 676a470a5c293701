#!/usr/bin/env python3
"""Tests the SBOM of an image on programs of this machine. Run by scripts/lint.sh."""

import hashlib
import json
import pathlib
import shutil
import subprocess
import tempfile
import unittest

import image
import sbom

PROGRAM = "/bin/ls"  # dynamic, and of a package
DIGEST = "sha256:" + "0" * 64


@unittest.skipUnless(shutil.which("dpkg-query"), "only Debian knows packages by their files")
class Sbom(unittest.TestCase):
    def setUp(self) -> None:
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.path = pathlib.Path(directory.name)
        (self.path / "LICENSE").write_text("free\n", encoding="ascii")

    def text(self, *arguments: str, epoch: int = 0) -> bytes:
        out = self.path / "sbom.json"
        options = image.parse(["--name", "example.org/a:1", "--out", "unused", "--entrypoint", '["/a"]', "--sbom", str(out),
                               *arguments, f"{PROGRAM}:/a", f"{self.path}/LICENSE:/LICENSE"])
        files = image.collect(options.files)
        return image.sbom_of(options, files, DIGEST, epoch)

    def document(self, *arguments: str) -> dict:
        return json.loads(self.text(*arguments))

    def related(self, document: dict, kind: str) -> set[tuple[str, str]]:
        """Pairs of names."""
        names = {each["SPDXID"]: each.get("name") or each["fileName"] for each in document["packages"] + document["files"]}
        names["SPDXRef-DOCUMENT"] = "document"
        return {(names[each["spdxElementId"]], names[each["relatedSpdxElement"]])
                for each in document["relationships"] if each["relationshipType"] == kind}

    def test_twice_the_same(self) -> None:
        self.assertEqual(self.text(epoch=7), self.text(epoch=7))

    def test_says_what_spdx_asks_for(self) -> None:
        document = self.document()
        self.assertEqual(("SPDX-2.3", "CC0-1.0", "example.org/a:1"),
                         tuple(document[key] for key in ("spdxVersion", "dataLicense", "name")))
        self.assertEqual("https://example.org/a/spdx/" + "0" * 64, document["documentNamespace"])
        self.assertEqual("1970-01-01T00:00:00Z", document["creationInfo"]["created"])
        self.assertEqual({("document", "example.org/a")}, self.related(document, "DESCRIBES"))
        ids = [each["SPDXID"] for each in document["packages"] + document["files"]]
        self.assertEqual(sorted(set(ids)), sorted(ids), "each its own")
        self.assertTrue(all(name.replace("-", "").replace(".", "").isalnum() for name in ids), ids)

    def test_each_library_is_of_a_package_with_its_version(self) -> None:
        document = self.document()
        contains = self.related(document, "CONTAINS")
        versions = {each["name"]: each["versionInfo"] for each in document["packages"]}
        for library in image.shared_libraries(pathlib.Path(PROGRAM)):
            owners = [owner for owner, file in contains if file == f".{library}" and owner != "example.org/a"]
            self.assertEqual(1, len(owners), library)
            told = subprocess.run(["dpkg-query", "-W", "-f", "${Version}\n", owners[0]], capture_output=True, text=True,
                                  check=True).stdout.split()
            self.assertIn(versions[owners[0]], told)
        self.assertIn("libc6", versions)
        purl = next(each for each in document["packages"] if each["name"] == "libc6")["externalRefs"][0]["referenceLocator"]
        self.assertRegex(purl, r"^pkg:deb/\w+/libc6@[^?]+\?arch=\w+&distro=[\w.-]+$")

    def test_each_file_of_the_image_is_named_with_its_checksum(self) -> None:
        document = self.document()
        sums = {each["fileName"]: each["checksums"][1]["checksumValue"] for each in document["files"]}
        files = image.collect([f"{PROGRAM}:/a", f"{self.path}/LICENSE:/LICENSE"])
        self.assertEqual({f"./{name}": hashlib.sha256(content).hexdigest() for name, (content, _) in files.items()}, sums)

    def test_what_no_package_has_is_the_images_own(self) -> None:
        owners = [owner for owner, file in self.related(self.document(), "CONTAINS") if file == "./LICENSE"]
        self.assertEqual(["example.org/a"], owners)

    def test_packages_whose_headers_are_compiled_in_are_named(self) -> None:
        document = self.document("--compiled-in", "libc6")
        self.assertEqual({("example.org/a", "libc6")}, self.related(document, "STATIC_LINK"))
        with self.assertRaisesRegex(sbom.SbomError, "the package no-such-package is not installed"):
            self.document("--compiled-in", "no-such-package")


if __name__ == "__main__":
    unittest.main()
