"""Where the initramfs is that boots a kernel, and which one this boot took.

The next boot takes what the chosen entry names by then, else the file of the same name again.
"""

import os
import re
from collections.abc import Iterator

from errors import InitramfsError
from initramfs.archive.initramfs import Source
from initramfs.archive.uki import kernel_in
from initramfs.generators import dracut, hooks, kernels
from initramfs.loaders.files import (
    KERNEL,
    beside,
    entries,
    initramfs_names,
    loader_variable,
    locate,
    look_up,
    newest,
    read_by_loader,
)
from linux import cmdline
from linux.root import Root

_COUNTERS = re.compile(r"\+\d+(-\d+)?(?=\.\w+$)")
"""Of boot attempts, in the names of entries (systemd.io, AUTOMATIC_BOOT_ASSESSMENT)."""
_PROFILE = re.compile(r"@\w+(?=$|\.efi$)")


def find_initramfs(root: Root, release: str) -> Source:
    """Return what boots the kernel. Raises InitramfsError.

    For the running one first what it was booted from, then what the generators' configuration
    says, then what there is by the usual names.
    """
    for source in _sources(root, release):
        if all(root.exists(path) for path in source.paths):
            return source
    raise InitramfsError(f"no initramfs of the kernel {release} is found")


def _sources(root: Root, release: str) -> Iterator[Source]:
    if release == root.release:
        yield from booted(root)
    for path in _configured(root, release):
        yield Source((path,))
    unified = kernels.setting(root, "layout") == "uki" or dracut.makes_unified(root)
    ways = (_unified, _plain) if unified else (_plain, _unified)
    for way in ways:
        yield from way(root, release)


def _configured(root: Root, release: str) -> Iterator[str]:
    """Yield what mkinitcpio's presets for this kernel name."""
    base = _said(root, release, "pkgbase")
    for preset in hooks.presets(root):
        is_path = preset.kernel.startswith("/")
        made_for = kernels.release_of(root, preset.kernel) if is_path else preset.kernel
        if made_for == release or preset.file == f"{hooks.PRESETS}/{base}.preset":
            yield from filter(None, (preset.image, preset.uki))


def _said(root: Root, release: str, name: str) -> str:
    """Return what a package left beside the modules: pkgbase of Arch, kernelbase of Manjaro."""
    path = kernels.beside_modules(root, release, name)
    return root.line(path) if path else ""


def _plain(root: Root, release: str) -> Iterator[Source]:
    for entry in entries(root, kernels.folders(root)):
        if entry.is_for(release) and (source := entry.source(root)) is not None:
            yield source
    for way in (_by_name, _by_folder, _by_kernel):
        yield from (Source((path,)) for path in way(root, release))
    for name in ("initrd", "initramfs.img"):
        if path := kernels.beside_modules(root, release, name):
            yield Source((path,))


def _ends(root: Root, release: str) -> list[str]:
    """Return what names end in: the release, or what the package is called."""
    said = (_said(root, release, name) for name in ("pkgbase", "kernelbase"))
    return [release, *filter(None, said)]


def _by_name(root: Root, release: str) -> Iterator[str]:
    for folder in kernels.folders(root):
        for end in _ends(root, release):
            yield from (f"{folder}/{name}" for name in initramfs_names(f"-{end}"))


def _by_folder(root: Root, release: str) -> Iterator[str]:
    """Yield what is in a kernel's own folder: by release kernel-install's, by package limine's."""
    folders = kernels.folders(root)
    own = [f"{folder}/{token}" for token in kernels.tokens(root) for folder in folders]
    others = [f"{folder}/{name}" for folder in folders for name in root.names(folder)]
    for place in dict.fromkeys((*own, *others)):
        for end in _ends(root, release) if place in own else [release]:
            for beginning in ("initrd", "initramfs"):
                yield from newest(root, f"{place}/{end}", beginning)


def _by_kernel(root: Root, release: str) -> Iterator[str]:
    """Yield what lies beside a kernel that says this release."""
    for folder in kernels.folders(root):
        for path in (f"{folder}/{name}" for name in root.names(folder) if KERNEL.match(name)):
            if kernels.release_of(root, path) == release:
                yield from beside(root, path)


def _unified(root: Root, release: str) -> Iterator[Source]:
    """Yield the unified kernel images of this kernel: by their names, else by what they hold."""
    base = _said(root, release, "pkgbase")
    found = [
        path
        for folder in kernels.folders(root)
        for vendor in root.names(f"{folder}/EFI")
        for path in newest(root, f"{folder}/EFI/{vendor}", "")
        if path.lower().endswith(".efi") and os.path.isfile(root.path(path))
    ]
    for path in found:
        stem = path.rpartition("/")[2][:-4]
        is_named = base and (stem == base or stem.endswith((f"-{base}", f"_{base}")))
        if is_named or _is_of(root, stem, release):
            yield Source((path,))
    for path in found:
        with open(root.path(path), "rb") as file:
            if kernels.release_in(kernel_in(file, kernels.KERNEL_HEAD)) == release:
                yield Source((path,))


def _is_of(root: Root, name: str, release: str) -> bool:
    """Return whether a name has the release in it, and no longer one of those that are there."""
    alone = r"(?<![0-9A-Za-z.]){}(?![0-9A-Za-z]|\.[0-9])"
    known = {release, *kernels.installed(root)}
    found = (one for one in known if re.search(alone.format(re.escape(one)), name))
    return release == max(found, key=len, default="")


def booted(root: Root) -> Iterator[Source]:
    """Yield what was booted, by the surest sign first; nothing where nothing tells.

    Raises InitramfsError where that is told, and lies on no file system that is mounted.
    """
    for find in (_by_stub, _by_entry, _by_command_line, _by_kernels_path):
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
    return _unified_at(root, path.replace("\\", "/")) if path else None


def _unified_at(root: Root, path: str) -> Source | None:
    parent, _, name = path.strip("/").rpartition("/")
    for folder in read_by_loader(root):
        place = look_up(root, folder, parent)
        for one in root.names(place) if place else ():
            if _uncounted(one) == _uncounted(name):
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
        return _unified_at(root, f"/EFI/Linux/{chosen}")
    if chosen.endswith(".conf"):
        for entry in entries(root, read_by_loader(root)):
            if _uncounted(entry.name) == _uncounted(chosen):
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


def _uncounted(name: str) -> str:
    return _COUNTERS.sub("", name).lower()


def _by_kernels_path(root: Root) -> Source | None:
    """Return what lies beside the kernel, whose path GRUB and others tell."""
    path = re.sub(r"^\([^)]*\)", "", next(_told(root, "BOOT_IMAGE"), ""))
    kernel = locate(root, path, ["", *read_by_loader(root)])
    found = next(beside(root, kernel), None) if kernel else None
    return Source((found,)) if found else None
