#!/usr/bin/env python3
"""Builds a container image from programs of this machine, without a container engine.

    scripts/image.py --name ghcr.io/poolwarden/poolwarden:0.1.0 --out poolwarden.tar \
        --entrypoint '["/usr/local/bin/poolwarden"]' build/bin/poolwarden:/usr/local/bin/poolwarden

Each SRC:DST is a file or a folder and its place in the image; of a program, the shared libraries that ldd names come
along, at the paths it names. Of a folder everything is taken but what Python compiles. Nothing else is in the image but /etc/passwd, /etc/group, /etc/nsswitch.conf and /tmp.

The result is an OCI image layout in a tar (`ctr images import`, `skopeo copy oci-archive:`, `podman load`) that has
docker's manifest.json as well (`docker load`). It is reproducible: the same files give the same bytes, whoever
builds it, where and when. Times are $SOURCE_DATE_EPOCH, or 0.

--sbom FILE also writes down what is in it: each file, and each Debian package that it comes from (sbom.py).
"""

import argparse
import datetime
import gzip
import hashlib
import io
import json
import os
import pathlib
import platform
import re
import subprocess
import sys
import tarfile

import sbom

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
# Numbers need no names to run as; programs that ask for their own find these. 65532 is what "nonroot" images use,
# 99 the official haproxy image.
PASSWD = """root:x:0:0:root:/:/sbin/nologin
haproxy:x:99:99:haproxy:/:/sbin/nologin
nonroot:x:65532:65532:nonroot:/:/sbin/nologin
"""
GROUP = "root:x:0:\nhaproxy:x:99:\nnonroot:x:65532:\n"
# Both lookups are part of glibc itself since 2.34: no libnss_*.so is needed.
NSSWITCH = "passwd: files\ngroup: files\nhosts: files dns\n"


class ImageError(Exception):
    """What cannot be built, and why."""


def shared_libraries(program: pathlib.Path) -> list[str]:
    """Paths of what the loader would load for `program`, itself included; none for what is no dynamic program."""
    with program.open("rb") as file:
        if file.read(4) != b"\x7fELF":
            return []
    environment = {k: v for k, v in os.environ.items() if not k.startswith("LD_")}
    environment["LC_ALL"] = "C"
    ran = subprocess.run(["ldd", str(program)], capture_output=True, text=True, env=environment, check=False)
    if ran.returncode != 0:
        # Word for word what ldd says of a static one.
        if "not a dynamic executable" in ran.stdout + ran.stderr:
            return []
        raise ImageError(f"ldd {program}: {(ran.stderr or ran.stdout).strip()}")
    found = []
    for line in ran.stdout.splitlines():
        if "=> not found" in line:
            raise ImageError(f"{program} needs {line.split()[0]}, which is not installed here")
        if match := re.search(r"(/\S+) \(0x[0-9a-f]+\)$", line):
            found.append(match.group(1))
    return found


def collect(pairs: list[str]) -> dict[str, tuple[bytes, int]]:
    """{path in the image: (content, mode)} of the SRC:DST pairs and of what they need."""
    files = {"etc/passwd": (PASSWD.encode(), 0o644), "etc/group": (GROUP.encode(), 0o644),
             "etc/nsswitch.conf": (NSSWITCH.encode(), 0o644)}
    for pair in pairs:
        source, separator, destination = pair.partition(":")
        if not separator or not destination.startswith("/"):
            raise ImageError(f'"{pair}" is not SRC:/DST')
        path = pathlib.Path(source)
        if not path.exists():
            raise ImageError(f"{source} is not there; build it first")
        for each in files_below(path):
            place = destination.lstrip("/") + str(each)[len(str(path)):]
            files[place] = (each.read_bytes(), 0o755 if os.access(each, os.X_OK) else 0o644)
            for library in shared_libraries(each):
                files[library.lstrip("/")] = (pathlib.Path(library).read_bytes(), 0o755)
    return files


def files_below(path: pathlib.Path) -> list[pathlib.Path]:
    if not path.is_dir():
        return [path]
    return [each for each in path.rglob("*") if each.is_file() and "__pycache__" not in each.parts]


def tar_of(entries: list[tarfile.TarInfo], contents: dict[str, bytes], epoch: int) -> bytes:
    """A tar whose bytes depend on nothing but these arguments."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for entry in sorted(entries, key=lambda each: each.name):
            entry.uid = entry.gid = 0
            entry.uname = entry.gname = ""
            entry.mtime = epoch
            content = contents.get(entry.name, b"")
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def directory(name: str, mode: int = 0o755) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type = tarfile.DIRTYPE
    entry.mode = mode
    return entry


def regular(name: str, mode: int = 0o644) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.mode = mode
    return entry


def layer_of(files: dict[str, tuple[bytes, int]], epoch: int) -> bytes:
    parents = {str(parent) for name in files for parent in pathlib.PurePosixPath(name).parents} - {"."}
    entries = [directory(name) for name in parents] + [directory("tmp", 0o1777)]
    entries += [regular(name, mode) for name, (_, mode) in files.items()]
    return tar_of(entries, {name: content for name, (content, _) in files.items()}, epoch)


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def canonical(value) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def descriptor(media_type: str, content: bytes) -> dict:
    return {"mediaType": media_type, "digest": f"sha256:{digest(content)}", "size": len(content)}


def config_of(layer: bytes, options: argparse.Namespace, epoch: int) -> bytes:
    created = datetime.datetime.fromtimestamp(epoch, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    run = {"Entrypoint": options.entrypoint, "User": options.user,
           "Env": ["PATH=/usr/local/bin:/usr/bin:/bin", *options.env]}
    if options.cmd:
        run["Cmd"] = options.cmd
    if options.stop_signal:
        run["StopSignal"] = options.stop_signal
    if options.label:
        run["Labels"] = dict(label.split("=", 1) for label in options.label)
    return canonical({
        "architecture": ARCHITECTURES.get(platform.machine(), platform.machine()), "os": "linux",
        "created": created, "config": run,
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest(layer)}"]},
        "history": [{"created": created, "created_by": "scripts/image.py"}]})


Files = dict[str, tuple[bytes, int]]


def build(options: argparse.Namespace, files: Files, epoch: int) -> tuple[bytes, str]:
    """The image's tar, and the digest of its manifest: what a registry would call it."""
    layer = layer_of(files, epoch)
    packed = gzip.compress(layer, compresslevel=9, mtime=0)
    config = config_of(layer, options, epoch)
    manifest = canonical({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": descriptor("application/vnd.oci.image.config.v1+json", config),
        "layers": [descriptor("application/vnd.oci.image.layer.v1.tar+gzip", packed)]})
    # The two names are containerd's and the OCI layout's: without them an import has no name.
    names = {"io.containerd.image.name": options.name,
             "org.opencontainers.image.ref.name": options.name.rpartition(":")[2]}
    index = canonical({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [{**descriptor("application/vnd.oci.image.manifest.v1+json", manifest), "annotations": names}]})
    blobs = {f"blobs/sha256/{digest(blob)}": blob for blob in (packed, config, manifest)}
    contents = {
        "oci-layout": canonical({"imageLayoutVersion": "1.0.0"}), "index.json": index, **blobs,
        "manifest.json": canonical([{"Config": f"blobs/sha256/{digest(config)}", "RepoTags": [options.name],
                                     "Layers": [f"blobs/sha256/{digest(packed)}"]}])}
    entries = [directory("blobs"), directory("blobs/sha256")] + [regular(name) for name in contents]
    return tar_of(entries, contents, epoch), f"sha256:{digest(manifest)}"


def sbom_of(options: argparse.Namespace, files: Files, name: str, epoch: int) -> bytes:
    """What is in the image of that digest."""
    sources = {destination.lstrip("/"): source for source, _, destination in (pair.partition(":") for pair in options.files)}
    made = {name: (content, sources.get(name, f"/{name}")) for name, (content, _) in files.items()}
    # /etc/passwd and its like are written here, and are nobody's.
    told = [sbom.File(path, content, None if source.startswith("/etc/") else sbom.package_of(source))
            for path, (content, source) in made.items()]
    return sbom.document(options.name, name, told, [sbom.installed(each) for each in options.compiled_in], epoch)


def words(text: str) -> list[str]:
    """A JSON array of strings, as in a Containerfile's ENTRYPOINT."""
    value = json.loads(text)
    if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
        raise argparse.ArgumentTypeError(f"{text} is not a JSON array of strings")
    return value


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--name", required=True, help="the image's full name with its tag")
    parser.add_argument("--out", required=True, type=pathlib.Path, help="the tar to write")
    parser.add_argument("--entrypoint", required=True, type=words, help="JSON array")
    parser.add_argument("--cmd", type=words, help="JSON array")
    parser.add_argument("--user", default="65532:65532")
    parser.add_argument("--env", action="append", default=[], metavar="K=V")
    parser.add_argument("--label", action="append", default=[], metavar="K=V")
    parser.add_argument("--stop-signal", metavar="SIGNAL")
    parser.add_argument("--sbom", type=pathlib.Path, metavar="FILE", help="where to write what is in the image, as SPDX")
    parser.add_argument("--compiled-in", action="append", default=[], metavar="PACKAGE",
                        help="a Debian package whose headers are part of a program, for the SBOM")
    parser.add_argument("files", nargs="+", metavar="SRC:/DST")
    options = parser.parse_args(arguments)
    if ":" not in options.name.rpartition("/")[2]:
        parser.error(f'--name {options.name} has no tag: write "{options.name}:TAG"')
    return options


def main() -> int:
    options = parse(sys.argv[1:])
    epoch = int(os.environ.get("SOURCE_DATE_EPOCH", "0"))
    try:
        files = collect(options.files)
        image, name = build(options, files, epoch)
        told = sbom_of(options, files, name, epoch) if options.sbom else b""
    except (ImageError, sbom.SbomError) as error:
        print(f"image.py: {error}", file=sys.stderr)
        return 1
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_bytes(image)
    if options.sbom:
        options.sbom.write_bytes(told)
    print(f"{options.out}  {len(image) / 1e6:.1f} MB  {options.name}@{name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
