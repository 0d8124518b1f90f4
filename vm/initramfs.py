"""Builds the initramfs that runs the frozen resumer and then mounts the root."""

from collections.abc import Sequence
from pathlib import Path

from vm.host import BUILD, GUEST_SCRIPTS
from vm.kernels import Kernel
from vm.modules import guest_modules
from vm.tree import Tree

RESUMER = BUILD / "torpor-resume"
APPLETS = ["sh", "cat", "echo", "insmod", "mkdir", "mount", "poweroff", "switch_root"]
EARLY_APPLETS = ["dmesg", "grep", "pidof", "sleep", "tr"]


def build_initramfs(
    kernel: Kernel,
    output: Path,
    resumer: Path = RESUMER,
    modules: Sequence[str] = (),
    early: Sequence[str] = (),
) -> Path:
    """Write an initramfs for this kernel with the frozen resumer's folder to `output`.

    It loads these modules besides those for the root, has dmsetup where dm_mod is among them, and
    runs these scripts of guest/ before the resumer.
    Uncompressed: the guest, often emulated, would take longer to unpack it than it saves.
    """
    tree = Tree()
    for folder in ("/dev", "/proc", "/run", "/sys", "/newroot"):
        tree.folder(folder)
    tree.busybox([*APPLETS, *EARLY_APPLETS])
    tree.file("/init", GUEST_SCRIPTS / "initramfs-init.sh", executable=True)
    for name in early:
        tree.file(f"/early/{name}", GUEST_SCRIPTS / name)
    tree.program("/usr/lib/torpor/resume", resumer)
    loaded = guest_modules(kernel, modules)
    for name, contents in loaded.items():
        tree.file(f"/modules/{name}.ko", contents)
    tree.file("/modules/order", "".join(f"{name}\n" for name in loaded).encode())
    if "dm_mod" in loaded:
        tree.host_program("dmsetup")
    with output.open("wb") as file:
        tree.write_cpio(file)
    return output
