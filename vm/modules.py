"""Finds the modules a guest needs before it can mount its root, in the order to load them."""

import gzip
import lzma
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import zstandard

from vm.host import HostError
from vm.kernels import Kernel

NEEDED = ("virtio_pci", "virtio_blk", "ext4")
# ext4 asks for a crc32c by a soft dependency; kernels without the module have it built in.
WELCOME = ("crc32c_generic",)


def _unzstd(packed: bytes) -> bytes:
    """Unpack a frame that need not tell its size."""
    return zstandard.ZstdDecompressor().decompressobj().decompress(packed)


UNPACK: dict[str, Callable[[bytes], bytes]] = {
    ".ko": bytes,
    ".gz": gzip.decompress,
    ".xz": lzma.decompress,
    ".zst": _unzstd,
}
"""By the suffix of the module's file (kernel/Makefile.modinst)."""


def guest_modules(kernel: Kernel, more: Sequence[str] = ()) -> dict[str, bytes]:
    """Return name and contents, uncompressed, of each module, those needed by others first.

    `more` are those that a guest needs besides its root.
    """
    files = {_name(path): path for path in kernel.modules.rglob("*.ko*")}
    builtin = {
        _name(Path(line)) for line in (kernel.modules / "modules.builtin").read_text().split()
    }
    loaded: dict[str, bytes] = {}

    def add(name: str) -> None:
        if name in builtin or name in loaded:
            return
        if name not in files:
            raise HostError(f"kernel {kernel.release} has no module {name}")
        contents = _contents(files[name])
        for dependency in _dependencies(contents):
            add(dependency)
        loaded[name] = contents

    for name in WELCOME:
        if name in files:
            add(name)
    for name in (*NEEDED, *more):
        add(name)
    return loaded


def _name(path: Path) -> str:
    return path.name.split(".ko", 1)[0].replace("-", "_")


def _contents(path: Path) -> bytes:
    unpack = UNPACK.get(path.suffix)
    if unpack is None:
        raise HostError(f"cannot unpack {path}")
    return unpack(path.read_bytes())


def _dependencies(contents: bytes) -> list[str]:
    """Read `depends=` from the NUL-separated strings of the .modinfo section."""
    found = re.search(rb"\0depends=([^\0]*)\0", contents)
    names = found[1].decode("ascii").split(",") if found else []
    return [name.replace("-", "_") for name in names if name]
