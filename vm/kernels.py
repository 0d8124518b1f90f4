"""Finds kernels to boot: Debian's, downloaded and unpacked but never installed, or any other."""

import re
import struct
from dataclasses import dataclass
from pathlib import Path

from vm.host import HostError, building, cache, run

# linux-image-6.1.0-56-amd64, linux-image-6.12.117+deb12-amd64; not the -rt-, -cloud-, -dbg and
# -unsigned ones, which have a further dash.
PACKAGE = re.compile(r"linux-image-(\d+\.\d+(?:\.\d+)?(?:[-+][0-9a-z.]+)?)-amd64")
SERIES = re.compile(r"\d+\.\d+")


@dataclass(frozen=True, slots=True)
class Kernel:
    """A bootable kernel and the folder of its modules (lib/modules/RELEASE)."""

    release: str
    vmlinuz: Path
    modules: Path


def find_kernel(which: str) -> Kernel:
    """Return the kernel named by a series of Debian's archive ("6.1") or the path of its file.

    Raises HostError when there is none, or its modules are missing.
    """
    if SERIES.fullmatch(which):
        return _debian_kernel(which)
    vmlinuz = Path(which).resolve()
    if not vmlinuz.is_file():
        raise HostError(f"{which} is neither a kernel series such as 6.1 nor a file")
    return _kernel_at(vmlinuz)


def _kernel_at(vmlinuz: Path) -> Kernel:
    release = _release(vmlinuz)
    places = [vmlinuz.parent.parent / "lib/modules" / release, Path("/lib/modules") / release]
    for modules in places:
        if modules.is_dir():
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


def _debian_kernel(series: str) -> Kernel:
    package = _newest_package(series)
    version = _candidate_version(package)
    home = cache("kernels") / f"{package}_{version}"
    if not home.exists():
        with building(home) as scratch:
            _download(f"{package}={version}", scratch)
    (vmlinuz,) = home.glob("boot/vmlinuz-*")
    return _kernel_at(vmlinuz)


def _download(package: str, folder: Path) -> None:
    try:
        run("apt-get", "download", "-q", package, cwd=folder)
    except HostError as error:
        raise HostError(f"{error}\nhint: apt-get update, if the lists are old") from error
    (archive,) = folder.glob("*.deb")
    run("dpkg-deb", "-x", archive, folder)
    archive.unlink()


def _newest_package(series: str) -> str:
    names = run("apt-cache", "pkgnames", f"linux-image-{series}.").split()
    found = [name for name in names if PACKAGE.fullmatch(name)]
    if not found:
        raise HostError(
            f"no kernel {series} in this system's package lists\n"
            "hint: apt-get update, or name the file of a kernel instead"
        )
    return max(found, key=lambda name: [int(number) for number in re.findall(r"\d+", name)])


def _candidate_version(package: str) -> str:
    shown = run("apt-cache", "show", "--no-all-versions", package)
    found = re.search(r"^Version: (\S+)$", shown, re.MULTILINE)
    if found is None:
        raise HostError(f"apt-cache show {package} names no version")
    return found[1]
