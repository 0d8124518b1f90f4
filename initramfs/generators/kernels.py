"""The kernels that are installed, which of two is newer, and where boot loaders read from.

What kernel-install(8) puts there, too.
"""

import re
from collections.abc import Iterator

from initramfs.generators.systemd import configuration
from linux.installation import machine_id
from linux.mounts import read_mounts
from linux.root import Root

_FOLDERS = ("/lib/modules", "/usr/lib/modules")
"""The same, as a rule."""
_KERNELS_OWN = ("vmlinuz", "kernel", "modules.builtin", "modules.dep")
"""What lies in a folder of modules with a kernel; depmod's file goes with it."""
KERNEL_HEAD = 0x10300
"""Bytes in which the release of a kernel stands."""
_COPY = re.compile(r"\.(old|bak|orig|save|dpkg-\w+|rpm\w+|pac\w+)$|~$")
_USUAL = ("/boot", "/efi", "/boot/efi")
_SETTINGS = ("/etc/kernel", "/run/kernel", "/usr/local/lib/kernel", "/usr/lib/kernel")
"""Of which the first that has install.conf counts."""


def installed(root: Root) -> list[str]:
    """Return the releases of the kernels that are installed, the newest last.

    A folder of modules without a kernel is what one left that is gone, with modules of dkms, say.
    """
    found = {
        name
        for folder in _FOLDERS
        for name in root.names(folder)
        if name[:1].isdigit() and not _COPY.search(name) and _has_kernel(root, folder, name)
    }
    return sorted(found, key=order_of_release)


def _has_kernel(root: Root, folder: str, release: str) -> bool:
    there = root.names(f"{folder}/{release}")
    return any(name in there for name in _KERNELS_OWN) or root.exists(f"/boot/vmlinuz-{release}")


def beside_modules(root: Root, release: str, name: str) -> str:
    """Return the path of a file in the folder of a kernel's modules, "" if it is not there."""
    paths = (f"{folder}/{release}/{name}" for folder in _FOLDERS)
    return next((path for path in paths if root.exists(path)), "")


def kernel_of(root: Root, release: str) -> str:
    """Return the path of an installed kernel, "" if it is in neither of the usual places."""
    boot = f"/boot/vmlinuz-{release}"
    return beside_modules(root, release, "vmlinuz") or (boot if root.exists(boot) else "")


def release_of(root: Root, path: str) -> str:
    """Return the release that a kernel for x86 says it is, "" if it says none."""
    return release_in(root.data(path, KERNEL_HEAD) or b"")


def release_in(data: bytes) -> str:
    """Return the release that the head of a kernel says, "" if it says none."""
    return _said_in(data).partition(" ")[0]


def build_of(root: Root, path: str) -> str:
    """Return which build a kernel for x86 says it is, as `uname -v` does, "" if it says none."""
    return _said_in(root.data(path, KERNEL_HEAD) or b"").partition(") ")[2]


def _said_in(data: bytes) -> str:
    """See Documentation/arch/x86/boot.rst, kernel_version, and arch/x86/boot/version.c."""
    if data[0x202:0x206] != b"HdrS":
        return ""
    at = int.from_bytes(data[0x20E:0x210], "little") + 0x200
    return data[at : at + 256].split(b"\0")[0].decode("ascii", "replace")


Key = list[tuple[int, int, str]]


def order_of_release(release: str) -> Key:
    """Return a key that sorts releases as versions, 6.12-rc7 before 6.12."""
    return order(re.sub(r"-(?=rc\d)", "~", release))


def order(text: str) -> Key:
    """Return a key that sorts as `sort --version-sort` does: numbers by value, `~` before all.

    But for its special treatment of suffixes (filevercmp.c in gnulib).
    """
    key: Key = []
    for number, letter, other in re.findall(r"(\d+)|([A-Za-z])|(.)", text, re.DOTALL):
        if number:
            key.append((0, int(number), ""))
        elif letter:
            key.append((1, 0, letter))
        else:
            key.append((-1, 0, "") if other == "~" else (2, 0, other))
    return [*key, (0, -1, "")]


def folders(root: Root) -> list[str]:
    """Return where boot partitions may be mounted: the usual places, and whatever is FAT.

    The Discoverable Partitions Specification and the UAPI group's Boot Loader Specification.
    """
    fat = (mount.mount_point for mount in read_mounts(root) if mount.fs_type == "vfat")
    return [*dict.fromkeys((*_USUAL, *fat))]


def partitions(root: Root) -> list[str]:
    """Return those of `folders` that are mount points: a boot partition, or what automounts it."""
    there = {mount.mount_point for mount in read_mounts(root)}
    return [folder for folder in folders(root) if folder in there]


def setting(root: Root, name: str) -> str:
    """Return a setting of kernel-install, "" for none: layout, initrd_generator, uki_generator.

    The drop-ins in install.conf.d, by name, come after install.conf.
    """
    found = ""
    for path in configuration(root, _SETTINGS, "install.conf"):
        for line in (root.text(path) or "").split("\n"):
            key, _, value = line.partition("=")
            if key.strip() == name:
                found = value.strip().strip("\"'")
    return found


def own_folder(root: Root) -> str:
    """Return the token by which there is a folder of kernels on a boot partition, "" for none."""
    for token in tokens(root):
        for folder in folders(root):
            if any(name[:1].isdigit() for name in root.names(f"{folder}/{token}")):
                return token
    return ""


def tokens(root: Root) -> Iterator[str]:
    """Yield by what names the entries and folders of this system may begin, the likeliest first.

    kernel-install(8), --entry-token=.
    """
    release = dict(
        line.split("=", 1)
        for line in (root.text("/etc/os-release") or "").split("\n")
        if "=" in line
    )
    names = (root.line("/etc/kernel/entry-token"), machine_id(root))
    parts = (release.get(key, "").strip("\"'") for key in ("IMAGE_ID", "ID"))
    yield from dict.fromkeys(filter(None, (*names, *parts, "Default")))
