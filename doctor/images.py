"""Where the running kernel's initramfs is, on the distributions that we know."""

from collections.abc import Iterator

from doctor.errors import InitramfsError
from doctor.machine import Machine

_BOOT = ("/boot", "/efi", "/boot/efi")


def find_image(machine: Machine) -> str:
    """Return its path. Raises InitramfsError."""
    for path in candidates(machine):
        if machine.exists(path):
            return path
    raise InitramfsError(
        f"no initramfs of the running kernel {machine.release} is found",
        "make one: update-initramfs -u, dracut --force, or mkinitcpio -P; mount /boot if it is not",
    )


def candidates(machine: Machine) -> Iterator[str]:
    """Yield where it may be."""
    release = machine.release
    yield f"/boot/initrd.img-{release}"
    yield f"/boot/initramfs-{release}.img"
    yield f"/boot/initrd-{release}"
    if package := machine.line(f"/usr/lib/modules/{release}/pkgbase"):
        yield f"/boot/initramfs-{package}.img"
    tokens = (machine.line("/etc/kernel/entry-token"), machine.line("/etc/machine-id"))
    for token in filter(None, tokens):
        for boot in _BOOT:
            yield f"{boot}/{token}/{release}/initrd"
            yield f"{boot}/{token}/{release}/initramfs.img"
            for name in machine.names(f"{boot}/EFI/Linux"):
                if name.startswith(f"{token}-{release}") and name.endswith(".efi"):
                    yield f"{boot}/EFI/Linux/{name}"
    for boot in _BOOT:
        for name in machine.names(f"{boot}/EFI/Linux"):
            if release in name and name.endswith(".efi"):
                yield f"{boot}/EFI/Linux/{name}"
