"""What is in a container image, as an SPDX 2.3 document in JSON (https://spdx.github.io/spdx-spec/v2.3/).

Used by image.py --sbom. Each file of the image is named with its checksums, and so is each Debian package that files
come from, or whose headers were compiled into the programs, with its version. The document is reproducible: the same files
and packages give the same bytes. Licenses are not concluded: /usr/share/doc/PACKAGE/copyright has them.
"""

import datetime
import functools
import hashlib
import json
import pathlib
import re
import subprocess
from typing import NamedTuple

NONE = "NOASSERTION"
# What dpkg calls the fields of a package. The source package is what security advisories name.
FIELDS = ("Package", "Version", "Architecture", "source:Package", "source:Version")


class SbomError(Exception):
    """What cannot be told, and why."""


class Package(NamedTuple):
    name: str
    version: str
    architecture: str
    source: str
    source_version: str


class File(NamedTuple):
    path: str  # in the image, without the leading slash
    content: bytes
    package: Package | None


def dpkg(*command: str) -> str | None:
    try:
        ran = subprocess.run(command, capture_output=True, text=True, check=False, env={"LC_ALL": "C", "PATH": "/usr/bin:/bin"})
    except FileNotFoundError:
        raise SbomError(f"an SBOM needs {command[0]}: build the image on Debian") from None
    return ran.stdout if ran.returncode == 0 else None


def installed(name: str) -> Package:
    """An installed package by its name."""
    told = dpkg("dpkg-query", "--show", "--showformat", "\\t".join(f"${{{field}}}" for field in FIELDS), name)
    if not told:
        raise SbomError(f"the package {name} is not installed")
    return Package(*told.split("\t"))


@functools.cache  # dpkg reads its whole database each time
def package_of(path: str) -> Package | None:
    """The package that has installed a file; None: no package has. dpkg remembers paths as packages name them, some
    from before /lib became a link to /usr/lib."""
    real = str(pathlib.Path(path).resolve())
    for name in dict.fromkeys((path, real, path.removeprefix("/usr"), real.removeprefix("/usr"))):
        if told := dpkg("dpkg-query", "--search", name):
            return installed(told.splitlines()[0].partition(": ")[0].partition(",")[0])
    return None


def distribution() -> str:
    """As in a package URL: debian-12."""
    text = pathlib.Path("/etc/os-release").read_text(encoding="utf-8")
    told = dict(re.findall(r'^(\w+)="?([^"\n]*)"?$', text, re.MULTILINE))
    return f'{told.get("ID", "debian")}-{told.get("VERSION_ID", "unknown")}'


def identifier(kind: str, name: str) -> str:
    """Of the letters that SPDX allows; the digest keeps names apart that differ in others only."""
    return f"SPDXRef-{kind}-{re.sub('[^A-Za-z0-9.]+', '-', name)}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def describe_package(package: Package, where: str) -> dict:
    vendor = where.partition("-")[0]
    url = f"pkg:deb/{vendor}/{package.name}@{package.version.replace('+', '%2B').replace(':', '%3A')}"
    return {
        "SPDXID": identifier("Package", package.name), "name": package.name, "versionInfo": package.version,
        "supplier": "Organization: Debian", "downloadLocation": NONE, "filesAnalyzed": False,
        "licenseConcluded": NONE, "licenseDeclared": NONE, "copyrightText": NONE,
        "sourceInfo": f"built from the source package {package.source} {package.source_version}",
        "externalRefs": [{"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl",
                          "referenceLocator": f"{url}?arch={package.architecture}&distro={where}"}]}


def describe_file(file: File) -> dict:
    sums = [{"algorithm": name.upper(), "checksumValue": hashlib.new(name, file.content).hexdigest()}
            for name in ("sha1", "sha256")]
    return {"SPDXID": identifier("File", file.path), "fileName": f"./{file.path}", "checksums": sums,
            "licenseConcluded": NONE, "licenseInfoInFiles": [NONE], "copyrightText": NONE}


def relation(one: str, kind: str, other: str) -> dict:
    return {"spdxElementId": one, "relationshipType": kind, "relatedSpdxElement": other}


def document(name: str, digest: str, files: list[File], compiled_in: list[Package], epoch: int) -> bytes:
    """`name` and `digest` are the image's; `compiled_in` are packages of headers."""
    where = distribution()
    created = datetime.datetime.fromtimestamp(epoch, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    repository, _, tag = name.rpartition(":")
    image = {"SPDXID": "SPDXRef-Image", "name": repository, "versionInfo": tag, "downloadLocation": NONE,
             "filesAnalyzed": False, "primaryPackagePurpose": "CONTAINER", "licenseConcluded": NONE,
             "licenseDeclared": NONE, "copyrightText": NONE,
             "checksums": [{"algorithm": "SHA256", "checksumValue": digest.removeprefix("sha256:")}]}
    files = sorted(files, key=lambda file: file.path)
    packages = sorted({file.package for file in files if file.package} | set(compiled_in))
    relations = [relation("SPDXRef-DOCUMENT", "DESCRIBES", "SPDXRef-Image")]
    relations += [relation("SPDXRef-Image", "CONTAINS", identifier("File", file.path)) for file in files]
    relations += [relation(identifier("Package", file.package.name), "CONTAINS", identifier("File", file.path))
                  for file in files if file.package]
    relations += [relation("SPDXRef-Image", "STATIC_LINK", identifier("Package", each.name)) for each in sorted(compiled_in)]
    content = {
        "spdxVersion": "SPDX-2.3", "dataLicense": "CC0-1.0", "SPDXID": "SPDXRef-DOCUMENT", "name": name,
        "documentNamespace": f"https://{repository}/spdx/{digest.removeprefix('sha256:')}",
        "creationInfo": {"created": created, "creators": ["Tool: scripts/image.py"]},
        "packages": [image, *(describe_package(package, where) for package in packages)],
        "files": [describe_file(file) for file in files], "relationships": relations}
    return (json.dumps(content, indent=1, sort_keys=True) + "\n").encode()
