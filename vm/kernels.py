"""Finds kernels to boot: Debian's, downloaded and unpacked but never installed, or any other."""

import re
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from vm.apt import HOST, Apt, apt_of
from vm.host import HostError, kept, run
from vm.suites import NEWEST, SUITES

# linux-image-6.1.0-56-amd64, linux-image-7.3.4+deb13-amd64; not the -rt-, -cloud-, -dbg and
# -unsigned ones, which have a further dash.
PACKAGE = re.compile(r"linux-image-((\d+\.\d+)(?:\.\d+)?(?:[-+][0-9a-z.]+)?-amd64)")
PARTS = ("image", "binary", "modules", "base")
"""The packages of one kernel: image alone, or, from 6.19 on, the others, and image is empty."""
SERIES = re.compile(r"\d+\.\d+")
KNOWN = ("6.1", "6.12", "7.2", "7.3")
"""The series on which machines have hibernated and resumed here, the newest last."""


@dataclass(frozen=True, slots=True)
class Kernel:
    """A bootable kernel and the folder of its modules (lib/modules/RELEASE)."""

    release: str
    vmlinuz: Path
    modules: Path


def find_kernel(which: str) -> Kernel:
    """Return the kernel named by a series of Debian's archive ("6.1") or the path of its file.

    A series is looked for in the host's own package lists, then in those of the suites. Raises
    HostError when there is none, or its modules are missing.
    """
    if SERIES.fullmatch(which):
        return _debian_kernel(which, chain([HOST], map(apt_of, SUITES.values())))
    vmlinuz = Path(which).resolve()
    if not vmlinuz.is_file():
        raise HostError(f"{which} is neither a kernel series such as 6.12 nor a file")
    return _kernel_at(vmlinuz)


def kernel_of(suite: str, series: str) -> Kernel:
    """Return a suite's kernel of this series, or its NEWEST; raises HostError if it has none."""
    return _debian_kernel(series, [apt_of(SUITES[suite])])


def newest_known() -> str:
    """Return the newest of the KNOWN series that the host's own package lists have.

    Raises HostError if they have none.
    """
    offered = {series for series, _ in _releases(HOST)}
    known = [series for series in KNOWN if series in offered]
    if not known:
        raise HostError(
            f"this system's package lists have {_listed(offered)}, and Torpor is known to work "
            f"on {_listed(KNOWN)}\nhint: apt-get update, or choose one of these by --kernel"
        )
    return known[-1]


def _listed(series: Iterable[str]) -> str:
    return f"kernel {', '.join(sorted(series, key=_numbers))}" if series else "no kernel"


def _numbers(release: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", release)]


def _kernel_at(vmlinuz: Path) -> Kernel:
    release = _release(vmlinuz)
    folder = vmlinuz.parent
    beside = [folder.parent / "lib/modules" / release, folder.parent / "usr/lib/modules" / release]
    # Packages of today have the kernel itself in the folder of its modules.
    places = [folder, *beside, Path("/lib/modules") / release]
    for modules in places:
        if (modules / "modules.builtin").is_file():
            return Kernel(release, vmlinuz, modules)
    looked = " or ".join(str(place) for place in places)
    raise HostError(f"{vmlinuz} is kernel {release}, but its modules are not in {looked}")


def _release(vmlinuz: Path) -> str:
    """Read the release out of the boot header (Documentation/arch/x86/boot.rst)."""
    head = vmlinuz.read_bytes()[:0x8000]
    if len(head) < 0x210 or head[0x202:0x206] != b"HdrS":
        raise HostError(f"{vmlinuz} is not an x86 Linux kernel")
    (offset,) = struct.unpack_from("<H", head, 0x20E)
    text = head[0x200 + offset :].split(b"\0", 1)[0]
    return text.decode("ascii", "replace").split(" ", 1)[0]


def _debian_kernel(series: str, archives: Iterable[Apt]) -> Kernel:
    """Return the newest kernel of a series from the first archive that has one."""
    for apt in archives:
        found = [release for its, release in _releases(apt) if series in (its, NEWEST)]
        if found:
            return _unpacked(max(found, key=_numbers), apt)
    raise HostError(
        f"no kernel {series} in the package lists of Debian\n"
        "hint: apt-get update, or name the file of a kernel instead"
    )


def _releases(apt: Apt) -> list[tuple[str, str]]:
    """Return series and release of each kernel that the package lists have."""
    found = map(PACKAGE.fullmatch, apt.names("linux-image-"))
    return [(match[2], match[1]) for match in found if match]


def _unpacked(release: str, apt: Apt) -> Kernel:
    there = apt.names("linux-")
    packages = [name for part in PARTS if (name := f"linux-{part}-{release}") in there]

    def unpack(folder: Path) -> None:
        for archive in apt.download(folder, *packages):
            run("dpkg-deb", "-x", archive, folder)
            archive.unlink()

    shown = run("apt-cache", *apt.options, "show", "--no-all-versions", packages[0])
    version = re.search(r"^Version: (\S+)$", shown, re.MULTILINE)
    if version is None:
        raise HostError(f"apt-cache show {packages[0]} names no version")
    home = kept("kernels", f"{packages[0]}_{version[1]}", unpack)
    (vmlinuz,) = [*home.glob("boot/vmlinuz-*"), *home.glob("usr/lib/modules/*/vmlinuz")]
    return _kernel_at(vmlinuz)
