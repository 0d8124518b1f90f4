"""Where the initramfs is that boots a kernel."""

import os
import re
from collections.abc import Iterator

from errors import InitramfsError
from initramfs.archive.initramfs import Source
from initramfs.archive.uki import kernel_in
from initramfs.generators import dracut, hooks, kernels
from initramfs.loaders.booted import booted
from initramfs.loaders.files import KERNEL, beside, entries, initramfs_names, newest
from linux.root import Root


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
