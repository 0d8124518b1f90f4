"""The bill of materials of the frozen programs, in CycloneDX's JSON: their third-party parts.

Each component was seen in a folder: distributions of the environment by their files, libraries of
the system by the Debian package that they were taken from. The same folders give the same bytes.
"""

import json
import subprocess
import sys
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from importlib.metadata import distributions, version
from pathlib import Path
from uuid import NAMESPACE_URL, uuid5

from cyclonedx.factory.license import LicenseFactory
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

from package.changelog import changelog_date, changelog_version

LICENSES = {
    "cffi": "MIT-0",
    "construct": "MIT",
    "cpython": "PSF-2.0",
    "crc32c": "LGPL-2.1-or-later",
    "crcmod-plus": "MIT",
    "libbz2-1.0": "bzip2-1.0.6",
    "libcap2": "BSD-3-Clause OR GPL-2.0-only",
    "libexpat1": "MIT",
    "libffi8": "MIT",
    "liblzma5": "LicenseRef-public-domain OR 0BSD",
    "libsodium": "ISC",
    "libssl3": "Apache-2.0",
    "libssl3t64": "Apache-2.0",
    "libudev1": "LGPL-2.1-or-later",
    "lz4": "BSD-3-Clause",
    "pynacl": "Apache-2.0",
    "pyinstaller": "GPL-2.0-or-later WITH Bootloader-exception",
    "pyudev": "LGPL-2.1-or-later",
    "rich": "MIT",
    "torpor": "GPL-2.0-or-later",
    "zlib1g": "Zlib",
    "zstandard": "BSD-3-Clause",
}
"""Of each component, as SPDX writes them. debian/copyright has the holders."""

_INSIDE = {"pynacl 1.6.2": ("libsodium", "1.0.20")}
"""What a distribution of that version is for, and holds without a file of its own."""


def bill_of_materials(folders: Iterable[Path], libraries: Iterable[Path]) -> str:
    """Return what is in frozen folders; `libraries` are the files that their ELF files were."""
    python = ".".join(map(str, sys.version_info[:3]))
    bom = Bom(components=[_component("generic", "cpython", python)])
    bom.components.add(_component("pypi", "pyinstaller", version("pyinstaller")))
    bom.components.update(_distributions(folders))
    bom.components.update(_system_libraries(libraries))
    torpor = _component("generic", "torpor", changelog_version())
    torpor.type = ComponentType.APPLICATION
    bom.metadata.component = torpor
    bom.register_dependency(torpor, bom.components)
    bom.metadata.timestamp = datetime.fromtimestamp(changelog_date(), UTC)
    listed = "\n".join(sorted(str(component.purl) for component in bom.components))
    bom.serial_number = uuid5(NAMESPACE_URL, f"{torpor.purl}\n{listed}")
    return f"{json.dumps(json.loads(JsonV1Dot6(bom).output_as_string()), indent=1)}\n"


def _component(kind: str, name: str, version: str, namespace: str | None = None) -> Component:
    found = LICENSES.get(name)
    licenses = [LicenseFactory().make_from_string(found)] if found else []
    purl = PackageURL(kind, namespace, name, version)
    return Component(name=name, version=version, purl=purl, bom_ref=str(purl), licenses=licenses)


def _distributions(folders: Iterable[Path]) -> Iterator[Component]:
    """Yield the distributions of the environment that a file of the folders comes from."""
    frozen = {
        str(path.relative_to(folder / "_internal"))
        for folder in folders
        for path in (folder / "_internal").rglob("*.*")
    }
    for distribution in distributions():
        modules = {str(file) for file in distribution.files or ()}
        if any(name in modules or name.removesuffix("c") in modules for name in frozen):
            name, its_version = distribution.name.lower(), distribution.version
            yield _component("pypi", name, its_version)
            if inside := _INSIDE.get(f"{name} {its_version}"):
                yield _component("generic", *inside)


def _system_libraries(libraries: Iterable[Path]) -> Iterator[Component]:
    """Yield the Debian packages that own a library; what none owns is Python's or a wheel's."""
    real = {str(library.resolve()) for library in libraries}
    # dpkg knows a file of /usr/lib by the name that its package has, which may be in /lib.
    said = _dpkg_query("-S", *sorted(real | {name.removeprefix("/usr") for name in real}))
    owners = sorted({line.partition(": ")[0] for line in said.splitlines()})
    form = "${Package} ${Version}\\n"
    for line in _dpkg_query("-W", "-f", form, *owners).splitlines() if owners else []:
        name, _, installed = line.partition(" ")
        if not name.startswith("libpython3"):  # named cpython already
            yield _component("deb", name, installed, "debian")


def _dpkg_query(*arguments: str) -> str:
    """Return what dpkg knows; it fails where it does not know all that it was asked."""
    return subprocess.run(
        ["dpkg-query", *arguments], capture_output=True, text=True, check=False
    ).stdout
