"""Which kernel this is, on which machine."""

import hashlib
import os
import re

from linux.proc import lines, mangled, read
from linux.root import HOST, Root

_MEMMAP = "/sys/firmware/memmap"
_BOOT_ID = "/proc/sys/kernel/random/boot_id"
_UUID_DIGITS = 32
_HEX = frozenset("0123456789abcdef")


def ram_map(root: Root = HOST) -> str:
    """Return the memory map that the firmware gave, a line for each range: start, end, type.

    Reads /sys/firmware/memmap (Documentation/ABI/testing/sysfs-firmware-memmap), the same map
    that x86 kernels compare by e820 checksum; elsewhere the System RAM lines of /proc/iomem.
    Raises OSError.
    """
    if numbers := sorted(root.names(_MEMMAP), key=int):
        return "\n".join(_range(root.path(f"{_MEMMAP}/{number}")) for number in numbers)
    iomem = lines(read(root.path("/proc/iomem")))
    return "\n".join(line for line in iomem if "System RAM" in line)


def _range(folder: str) -> str:
    return " ".join(read(f"{folder}/{name}").strip() for name in ("start", "end", "type"))


def ram_map_digest() -> bytes:
    """Return the SHA-256 of the memory map (32 bytes)."""
    return hashlib.sha256(ram_map().encode()).digest()


def processor(root: Root = HOST) -> tuple[str, frozenset[str]]:
    """Return name and features of the first processor (/proc/cpuinfo, arch/x86/kernel/cpu/proc.c).

    Where the architecture's cpuinfo says neither, the name is "" and there are no features.
    """
    # Not up to an empty line: what a hypervisor calls the processor may have newlines in it.
    first = re.split(r"\nprocessor\s*:", root.text("/proc/cpuinfo") or "")[0]
    words = (line.partition(":") for line in lines(first))
    fields = {name.strip(): value.strip() for name, _, value in words}
    features = fields.get("flags") or fields.get("Features") or ""
    return fields.get("model name", ""), frozenset(features.split())


def boot_id() -> str:
    """Return the UUID of this boot: Documentation/admin-guide/sysctl/kernel.rst. Raises OSError."""
    said = read(_BOOT_ID).strip()
    digits = said.replace("-", "")
    if len(digits) != _UUID_DIGITS or not set(digits) <= _HEX:
        raise mangled(_BOOT_ID)
    return said


def kernel_names() -> tuple[str, str, str, str]:
    """Return release, version, machine and host name (uname(2))."""
    uname = os.uname()
    return uname.release, uname.version, uname.machine, uname.nodename
