"""Builds machines with an initramfs that runs the frozen resumer and then mounts the root."""

import gzip
import lzma
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import zstandard

from state.sealing import PATH as SEALING
from vm.disks import MACHINE_ID, root_disk
from vm.host import BUILD, GUEST_SCRIPTS, HostError
from vm.kernels import Kernel
from vm.machine import Machine
from vm.tree import NO_FILES, Tree

RESUMER = BUILD / "torpor-resume"
APPLETS = ["sh", "cat", "echo", "insmod", "mkdir", "mount", "poweroff", "switch_root"]
EARLY_APPLETS = ["cut", "dmesg", "grep", "pidof", "sleep", "tr"]
_GROUPS = {SEALING: "sealing", "/var/lib/torpor/server": "server"}
"""The file that says that an initramfs has more of the resumer, and what."""


def build_initramfs(
    kernel: Kernel,
    output: Path,
    modules: Sequence[str] = (),
    early: Sequence[str] = (),
    files: Mapping[str, bytes] = NO_FILES,
) -> Path:
    """Write an initramfs for this kernel with the frozen resumer's folder to `output`.

    It loads these modules besides those for the root, has dmsetup where dm_mod is among them, and
    runs these scripts of guest/ before the resumer. `files` are what else lies there; with the file
    that says so, it is that of a machine which seals its images, or has them on a server.
    Uncompressed: the guest, often emulated, would take longer to unpack it than it saves.
    """
    tree = Tree()
    for folder in ("/dev", "/proc", "/run", "/sys", "/newroot"):
        tree.folder(folder)
    tree.busybox([*APPLETS, *EARLY_APPLETS])
    tree.file("/init", GUEST_SCRIPTS / "initramfs-init.sh", executable=True)
    tree.file("/guest/lib.sh", GUEST_SCRIPTS / "lib.sh")
    for name in early:
        tree.file(f"/early/{name}", GUEST_SCRIPTS / name)
    groups = [group for place, group in _GROUPS.items() if place in files]
    tree.program("/usr/lib/torpor/resume", RESUMER, groups)
    tree.file("/var/lib/torpor/machine-id", MACHINE_ID)
    for place, data in files.items():
        tree.file(place, data)
    loaded = guest_modules(kernel, modules)
    for name, contents in loaded.items():
        tree.file(f"/modules/{name}.ko", contents)
    tree.file("/modules/order", "".join(f"{name}\n" for name in loaded).encode())
    if "dm_mod" in loaded:
        tree.host_program("dmsetup")
    with output.open("wb") as file:
        tree.write_cpio(file)
    return output


def new_machine(
    kernel: Kernel,
    folder: Path,
    disks: Iterable[Path],
    append: str,
    memory: int,
    *,
    modules: Sequence[str] = (),
    early: Sequence[str] = (),
    programs: Sequence[str] = (),
) -> Machine:
    """Return a machine that is off: a root of its own in `folder`, then these disks.

    Its initramfs, with these modules and early scripts, and its console are there, too. `programs`
    are of the host, for the root.
    """
    initramfs = build_initramfs(kernel, folder / "initramfs.cpio", modules, early)
    root = root_disk(folder / "root.img", programs)
    return Machine(kernel, initramfs, [root, *disks], folder / "console.log", append, memory)


NEEDED = ("virtio_pci", "virtio_blk", "ext4")
# ext4 asks for a crc32c by a soft dependency; kernels without the module have it built in.
WELCOME = ("crc32c_generic",)


UNPACK: dict[str, Callable[[bytes], bytes]] = {
    ".ko": bytes,
    ".gz": gzip.decompress,
    ".xz": lzma.decompress,
    ".zst": lambda packed: zstandard.ZstdDecompressor().decompressobj().decompress(packed),
}
"""By the suffix of the module's file (kernel/Makefile.modinst); Zstandard's need tell no size."""


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
        unpack = UNPACK.get(files[name].suffix)
        if unpack is None:
            raise HostError(f"cannot unpack {files[name]}")
        contents = unpack(files[name].read_bytes())
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


def _dependencies(contents: bytes) -> list[str]:
    """Read `depends=` from the NUL-separated strings of the .modinfo section."""
    found = re.search(rb"\0depends=([^\0]*)\0", contents)
    names = found[1].decode("ascii").split(",") if found else []
    return [name.replace("-", "_") for name in names if name]
