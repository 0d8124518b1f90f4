"""What boot loaders left: variables, entries, files, named from the beginning of a partition."""

import re
from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

from initramfs.archive.initramfs import Source
from initramfs.generators import kernels
from linux import cmdline
from linux.efivar import ATTRIBUTES_SIZE, EFI, FOLDER, text_of
from linux.root import Root

KERNEL = re.compile(r"(vmlinuz|vmlinux|kernel|bzImage|linux)(-?)(.*)$")
"""What is named like a kernel."""
_VENDOR = "4a67b082-0a4c-41cf-b6c7-440b29bb8c4f"


def look_up(root: Root, folder: str, path: str) -> str | None:
    """Return the path of a file below the folder, None for nothing; FAT has no upper case."""
    at = folder
    for part in _parts(path):
        names = root.names(at or "/")
        same = (name for name in names if name.lower() == part.lower())
        name = part if part in names else next(same, None)
        if name is None:
            return None
        at = f"{at}/{name}"
    return at


def locate(root: Root, path: str, places: list[str]) -> str | None:
    """Return where a boot loader's path leads to: below the first of the places that has it.

    What it begins with may be a subvolume of btrfs, or a folder that is mounted elsewhere.
    """
    parts = _parts(path)
    for start in range(len(parts)):
        for place in places:
            if found := look_up(root, place, "/".join(parts[start:])):
                return found
    return None


def read_by_loader(root: Root) -> list[str]:
    """Return the folders, "" is the root, from which the paths count that told what was booted.

    EFI's loaders and its firmware read partitions: an ordinary folder /boot is none, and neither is
    one in which the partition is not mounted now. GRUB, and loaders without EFI, read any.
    """
    if root.exists(EFI) and not loader_variable(root, "LoaderInfo").startswith("GRUB"):
        return kernels.partitions(root)
    return [*kernels.folders(root), ""]


def _parts(path: str) -> list[str]:
    return [part for part in path.split("/") if part not in ("", ".", "..")]


def beside(root: Root, kernel: str) -> Iterator[str]:
    """Yield what may be the initramfs of the kernel at a path: what lies beside it."""
    folder, _, name = kernel.rpartition("/")
    there = root.names(folder or "/")
    if match := KERNEL.match(name):
        end = match[2] + match[3]
        yield from (f"{folder}/{one}" for one in initramfs_names(end) if one in there)
        if match[1] == "linux":  # of kernel-install, and openSUSE's with a checksum
            yield from newest(root, folder, "initrd")


def initramfs_names(end: str) -> tuple[str, ...]:
    """Return the names that an initramfs may have whose kernel's name ends so: `-6.1.0`."""
    return (
        *(f"initrd.img{end}", f"initramfs{end}.img", f"initrd{end}", f"initramfs{end}"),
        *(f"initrd{end}.img", f"initramfs{end}.gz"),
    )


def newest(root: Root, folder: str, beginning: str) -> Iterator[str]:
    """Yield the files of a folder that begin so and are no fallback, the last written first."""
    names = [
        name for name in root.names(folder) if name.startswith(beginning) and "fallback" not in name
    ]
    paths = [f"{folder}/{name}" for name in sorted(names, key=kernels.order)]
    yield from sorted(paths, key=root.modified, reverse=True)


def loader_variable(root: Root, name: str) -> str:
    """Return a text variable of the boot loader or the stub, "" if there is none.

    systemd.io, BOOT_LOADER_INTERFACE.
    """
    data = root.data(f"{FOLDER}/{name}-{_VENDOR}") or b""
    with suppress(UnicodeDecodeError):
        return text_of(data[ATTRIBUTES_SIZE:])
    return ""


class Entry(NamedTuple):
    """What a file of entries says (the UAPI group's Boot Loader Specification, type 1)."""

    name: str
    folder: str
    """Where the partition is mounted."""
    values: dict[str, list[str]]

    def source(self, root: Root) -> Source | None:
        """Return the initramfs that it boots, None if none of its files is there.

        Without initrd it is in the kernel.
        """
        kernels = (self.values.get(key, []) for key in ("efi", "uki", "linux"))
        paths = self.values.get("initrd") or [path for paths in kernels for path in paths]
        places = [self.folder, *read_by_loader(root)]
        found = [locate(root, path, places) for path in paths]
        there = tuple(path for path in found if path)
        return Source(there) if there else None

    def is_for(self, release: str) -> bool:
        """Return whether it boots this kernel."""
        kernels = [path.split("/") for path in self.values.get("linux", ())]
        named = any(release in parts or parts[-1].endswith(f"-{release}") for parts in kernels)
        return named or release in self.values.get("version", ())

    def options(self) -> set[tuple[str, str]]:
        """Return the parameters that it puts on the kernel command line."""
        return set(cmdline.parameters(" ".join(self.values.get("options", ()))))


def entries(root: Root, folders: list[str]) -> Iterator[Entry]:
    """Yield all entries on boot partitions that are mounted at these folders.

    Those whose options are all on this boot's command line come first.
    """
    said = set(cmdline.parameters(root.line("/proc/cmdline")))
    found = [
        _read(root, folder, name)
        for folder in folders
        for name in root.names(f"{folder}/loader/entries")
        if name.endswith(".conf")
    ]
    yield from sorted(found, key=lambda entry: not entry.options() <= said)


def _read(root: Root, folder: str, name: str) -> Entry:
    values: dict[str, list[str]] = {}
    for line in (root.text(f"{folder}/loader/entries/{name}") or "").split("\n"):
        key, _, value = line.replace("\t", " ").strip().partition(" ")
        if key and not key.startswith("#"):
            values.setdefault(key, []).append(value.strip())
    return Entry(name, folder, values)
