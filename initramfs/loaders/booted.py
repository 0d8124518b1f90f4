"""Which initramfs this boot took.

The next one takes what the chosen entry names by then, else the file of the same name again.
"""

import re
from collections.abc import Iterator

from errors import InitramfsError
from initramfs.archive.initramfs import Source
from initramfs.loaders.files import (
    beside,
    entries,
    loader_variable,
    locate,
    look_up,
    read_by_loader,
)
from linux import cmdline
from linux.root import Root

_COUNTERS = re.compile(r"\+\d+(-\d+)?(?=\.\w+$)")
"""Of boot attempts, in the names of entries (systemd.io, AUTOMATIC_BOOT_ASSESSMENT)."""
_PROFILE = re.compile(r"@\w+(?=$|\.efi$)")


def booted(root: Root) -> Iterator[Source]:
    """Yield what was booted, by the surest sign first; nothing where nothing tells.

    Raises InitramfsError where that is told, and lies on no file system that is mounted.
    """
    for find in (_by_stub, _by_entry, _by_command_line, _by_kernel):
        if (source := find(root)) is not None:
            yield source


def _by_stub(root: Root) -> Source | None:
    """Return the unified kernel image that told its own path, which not every stub does.

    One before systemd 257 tells it in place of a boot loader's, where there was none.
    """
    path = loader_variable(root, "StubImageIdentifier")
    if not path and loader_variable(root, "StubInfo"):
        is_direct = not loader_variable(root, "LoaderEntrySelected")
        path = loader_variable(root, "LoaderImageIdentifier") if is_direct else ""
    return _unified(root, path.replace("\\", "/")) if path else None


def _unified(root: Root, path: str) -> Source | None:
    parent, _, name = path.strip("/").rpartition("/")
    for folder in read_by_loader(root):
        place = look_up(root, folder, parent)
        for one in root.names(place) if place else ():
            if _plain(one) == _plain(name):
                profile = loader_variable(root, "StubProfile")
                return Source((f"{place}/{one}",), int(profile) if profile.isdecimal() else 0)
    _see_that_it_is_mounted(root, path, read_by_loader(root))
    return None


def _see_that_it_is_mounted(root: Root, path: str, places: list[str]) -> None:
    """Raise InitramfsError if none of the places has the path's folder: the file may be there."""
    folder = path.replace("\\", "/").rpartition("/")[0]
    if not any(look_up(root, place, folder) for place in places):
        raise InitramfsError(
            f"{path}, from which this system was booted, lies on a partition that is not mounted",
            "mount the boot partition (EFI system partition), at /efi, say",
        )


def _by_entry(root: Root) -> Source | None:
    """Return what the chosen entry of systemd-boot, or of a loader in its fashion, boots."""
    chosen = _PROFILE.sub("", loader_variable(root, "LoaderEntrySelected"))
    if chosen.endswith(".efi"):
        return _unified(root, f"/EFI/Linux/{chosen}")
    if chosen.endswith(".conf"):
        for entry in entries(root, read_by_loader(root)):
            if _plain(entry.name) == _plain(chosen):
                return entry.source(root)
        _see_that_it_is_mounted(root, f"/loader/entries/{chosen}", read_by_loader(root))
    return None


def _by_command_line(root: Root) -> Source | None:
    """Return the files of initrd=, for the kernel's own EFI stub and some boot loaders' sake."""
    paths = [path for value in _told(root, "initrd") for path in value.split(",")]
    places = read_by_loader(root)
    if paths and _may_be_of_the_root(paths[-1]):
        places.append("")
    found = [locate(root, path.replace("\\", "/"), places) for path in paths]
    there = tuple(path for path in found if path)
    if paths and not there:
        _see_that_it_is_mounted(root, paths[-1], places)
    return Source(there) if there else None


def _told(root: Root, parameter: str) -> Iterator[str]:
    """Yield the values of a parameter on the kernel command line, but for empty ones."""
    said = cmdline.parameters(root.line("/proc/cmdline"))
    return (value for name, value in said if name == parameter and value)


def _may_be_of_the_root(path: str) -> bool:
    """Return whether rEFInd may have read it, which reads the root file system, too.

    It does not tell that it was there.
    """
    parts = path.strip("\\/").replace("\\", "/").lower().split("/")
    return parts[0] != "efi" and "boot" in parts[:-1]


def _plain(name: str) -> str:
    return _COUNTERS.sub("", name).lower()


def _by_kernel(root: Root) -> Source | None:
    """Return what lies beside the kernel, whose path GRUB and others tell."""
    path = re.sub(r"^\([^)]*\)", "", next(_told(root, "BOOT_IMAGE"), ""))
    kernel = locate(root, path, ["", *read_by_loader(root)])
    found = next(beside(root, kernel), None) if kernel else None
    return Source((found,)) if found else None
