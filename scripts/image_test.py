#!/usr/bin/env python3
"""Tests image.py on programs of this machine: what is in an image, and that it comes out the same each time."""

import gzip
import hashlib
import io
import json
import os
import pathlib
import tarfile
import tempfile
import unittest

import image

PROGRAM = "/bin/ls"  # dynamic, and on every machine


class Image(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.TemporaryDirectory()
        self.addCleanup(self.directory.cleanup)
        self.path = pathlib.Path(self.directory.name)
        (self.path / "LICENSE").write_text("free\n")

    def build(self, *arguments, epoch=0):
        options = image.parse(["--name", "example.org/a:1", "--out", "unused", "--entrypoint", '["/bin/ls"]', *arguments])
        return image.build(options, image.collect(options.files), epoch)

    def unpack(self, packed):
        """The image's files by name."""
        with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
            return {entry.name: tar.extractfile(entry).read() for entry in tar if entry.isfile()}

    def layer(self, packed):
        """The tar of what a container would see."""
        files = self.unpack(packed)
        name = json.loads(files["manifest.json"])[0]["Layers"][0]
        return tarfile.open(fileobj=io.BytesIO(gzip.decompress(files[name])))

    def test_twice_the_same(self):
        first, name = self.build(f"{PROGRAM}:/bin/ls", epoch=7)
        copy = self.path / "copy"
        copy.write_bytes(pathlib.Path(PROGRAM).read_bytes())
        copy.chmod(0o755)
        os.utime(copy, (1, 1))
        second, other = self.build(f"{copy}:/bin/ls", epoch=7)
        self.assertEqual(name, other)
        self.assertEqual(first, second)

    def test_another_content_is_another_digest(self):
        _, first = self.build(f"{self.path}/LICENSE:/LICENSE")
        (self.path / "LICENSE").write_text("not free\n")
        _, second = self.build(f"{self.path}/LICENSE:/LICENSE")
        self.assertNotEqual(first, second)

    def test_a_folder_comes_whole(self):
        for name in ("a/b/deep", "a/top", "a/__pycache__/compiled"):
            file = self.path / "folder" / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(name)
        packed, _ = self.build(f"{self.path}/folder:/usr/lib/it")
        with self.layer(packed) as tar:
            files = [entry.name for entry in tar if entry.isfile() and entry.name.startswith("usr")]
        self.assertEqual(files, ["usr/lib/it/a/b/deep", "usr/lib/it/a/top"])

    def test_a_program_brings_its_libraries_at_their_paths(self):
        packed, _ = self.build(f"{PROGRAM}:/bin/ls")
        with self.layer(packed) as tar:
            names = tar.getnames()
            for library in image.shared_libraries(pathlib.Path(PROGRAM)):
                self.assertIn(library.lstrip("/"), names)
            self.assertTrue(any("ld-linux" in name for name in names), names)
            self.assertEqual(0o1777, tar.getmember("tmp").mode)
            self.assertEqual(0o755, tar.getmember("bin/ls").mode)
            self.assertEqual({(0, 0, 0)}, {(entry.uid, entry.gid, entry.mtime) for entry in tar})

    def test_the_layout_holds_what_it_names(self):
        files = self.unpack(self.build(f"{self.path}/LICENSE:/LICENSE")[0])
        for name, content in files.items():
            if name.startswith("blobs/sha256/"):
                self.assertEqual(name.rpartition("/")[2], hashlib.sha256(content).hexdigest())
        index = json.loads(files["index.json"])["manifests"][0]
        self.assertEqual("example.org/a:1", index["annotations"]["io.containerd.image.name"])
        manifest = json.loads(files["blobs/sha256/" + index["digest"].removeprefix("sha256:")])
        for part in [manifest["config"], *manifest["layers"]]:
            self.assertEqual(part["size"], len(files["blobs/sha256/" + part["digest"].removeprefix("sha256:")]))
        config = json.loads(files["blobs/sha256/" + manifest["config"]["digest"].removeprefix("sha256:")])
        layer = gzip.decompress(files["blobs/sha256/" + manifest["layers"][0]["digest"].removeprefix("sha256:")])
        self.assertEqual(["sha256:" + hashlib.sha256(layer).hexdigest()], config["rootfs"]["diff_ids"])
        self.assertEqual("65532:65532", config["config"]["User"])

    def test_what_is_missing_is_named(self):
        with self.assertRaisesRegex(image.ImageError, "no/such/file is not there; build it first"):
            self.build("no/such/file:/x")
        with self.assertRaisesRegex(image.ImageError, "is not SRC:/DST"):
            self.build(PROGRAM)


if __name__ == "__main__":
    unittest.main()
