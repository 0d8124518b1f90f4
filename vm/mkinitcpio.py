"""A Debian whose initramfs is what a stand-in for mkinitcpio makes of our hook."""

from dataclasses import dataclass, field
from pathlib import Path

from vm.debian import SCRIPTS, rebuild_initramfs
from vm.host import run
from vm.initramfs import guest_modules
from vm.lives import Guest
from vm.tree import Tree

HOOK = "torpor"
RUNS_HOOK = f":: running hook [{HOOK}]"
"""What the console shows before the hook runs."""
_GENERATOR = "/var/tmp/mkinitcpio"
_MADE = "initrd.img-mkinitcpio"
_MAKE = (
    f"bash {_GENERATOR} {_GENERATOR}.tree base {HOOK}"
    f" && cp /lib/klibc-*.so {_GENERATOR}.tree/lib"  # for its ipconfig, if the hook takes that
    f" && cd {_GENERATOR}.tree && find . | cpio --quiet -o -H newc >/boot/{_MADE}"
)


@dataclass(slots=True)
class MkinitcpioGuest(Guest):
    """A guest whose initramfs, from take_rebuilt on, has busybox and our hook for mkinitcpio.

    The `stand_in` is a program as `tests/initramfs/mkinitcpio.bash`; it runs in the guest's root.
    """

    stand_in: Path = field(kw_only=True)

    def take_rebuilt(self) -> None:
        """Put what the stand-in makes of the root as it is now into the root; it has to be off."""
        run("debugfs", "-w", "-R", f"write {self.stand_in} {_GENERATOR}", self.root)
        folder = self.folder / f"mkinitcpio{len(self.logs)}"
        made = rebuild_initramfs(self.root, folder, ["sh", "-c", _MAKE]) / _MADE
        with made.open("ab") as file:
            self._what_mkinitcpio_adds().write_cpio(file)
        self.put_initramfs(made)

    def _what_mkinitcpio_adds(self) -> Tree:
        """Return what an image has besides the files of hooks: init, folders and modules."""
        tree = Tree()
        for folder in ("/dev", "/run", "/sys", "/new_root"):
            tree.folder(folder)
        tree.file("/init", SCRIPTS / "mkinitcpio-init.sh", executable=True)
        modules = guest_modules(self.installed.kernel, ["e1000"] if self.network else [])
        for name, contents in modules.items():
            tree.file(f"/modules/{name}.ko", contents)
        tree.file("/modules/order", "".join(f"{name}\n" for name in modules).encode())
        return tree
