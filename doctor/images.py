"""Where the initramfs is that boots a kernel."""

import re
from collections.abc import Iterator

from doctor.booted import booted
from doctor.entries import entries
from doctor.errors import InitramfsError
from doctor.files import beside, initramfs_names, kernels_in, newest
from doctor.initramfs import Source
from doctor.machine import Machine
from doctor.uki import kernel_in
from generators import boot, dracut, mkinitcpio
from generators.kernels import KERNEL_HEAD, beside_modules, installed, release_in, release_of


def find_initramfs(machine: Machine, release: str) -> Source:
    """Return what boots the kernel. Raises InitramfsError.

    For the running one first what it was booted from, then what the generators' configuration
    says, then what there is by the usual names.
    """
    for source in _sources(machine, release):
        if all(machine.exists(path) for path in source.paths):
            return source
    raise InitramfsError(f"no initramfs of the kernel {release} is found")


def _sources(machine: Machine, release: str) -> Iterator[Source]:
    if release == machine.release:
        yield from booted(machine)
    for path in _configured(machine, release):
        yield Source((path,))
    unified = boot.setting(machine, "layout") == "uki" or dracut.makes_unified(machine)
    ways = (_unified, _plain) if unified else (_plain, _unified)
    for way in ways:
        yield from way(machine, release)


def _configured(machine: Machine, release: str) -> Iterator[str]:
    """Yield what mkinitcpio's presets for this kernel name."""
    base = _said(machine, release, "pkgbase")
    for preset in mkinitcpio.presets(machine):
        is_path = preset.kernel.startswith("/")
        made_for = release_of(machine, preset.kernel) if is_path else preset.kernel
        if made_for == release or preset.file == f"{mkinitcpio.PRESETS}/{base}.preset":
            yield from filter(None, (preset.image, preset.uki))


def _said(machine: Machine, release: str, name: str) -> str:
    """Return what a package left beside the modules: pkgbase of Arch, kernelbase of Manjaro."""
    path = beside_modules(machine, release, name)
    return machine.line(path) if path else ""


def _plain(machine: Machine, release: str) -> Iterator[Source]:
    for entry in entries(machine, boot.folders(machine)):
        if entry.is_for(release) and (source := entry.source(machine)) is not None:
            yield source
    for way in (_by_name, _by_folder, _by_kernel):
        yield from (Source((path,)) for path in way(machine, release))
    for name in ("initrd", "initramfs.img"):
        if path := beside_modules(machine, release, name):
            yield Source((path,))


def _ends(machine: Machine, release: str) -> list[str]:
    """Return what names end in: the release, or what the package is called."""
    said = (_said(machine, release, name) for name in ("pkgbase", "kernelbase"))
    return [release, *filter(None, said)]


def _by_name(machine: Machine, release: str) -> Iterator[str]:
    for folder in boot.folders(machine):
        for end in _ends(machine, release):
            yield from (f"{folder}/{name}" for name in initramfs_names(f"-{end}"))


def _by_folder(machine: Machine, release: str) -> Iterator[str]:
    """Yield what is in a kernel's own folder: by release kernel-install's, by package limine's."""
    folders = boot.folders(machine)
    own = [f"{folder}/{token}" for token in boot.tokens(machine) for folder in folders]
    others = [f"{folder}/{name}" for folder in folders for name in machine.names(folder)]
    for place in dict.fromkeys((*own, *others)):
        for end in _ends(machine, release) if place in own else [release]:
            for beginning in ("initrd", "initramfs"):
                yield from newest(machine, f"{place}/{end}", beginning)


def _by_kernel(machine: Machine, release: str) -> Iterator[str]:
    """Yield what lies beside a kernel that says this release."""
    for folder in boot.folders(machine):
        for kernel in kernels_in(machine, folder):
            if release_of(machine, kernel) == release:
                yield from beside(machine, kernel)


def _unified(machine: Machine, release: str) -> Iterator[Source]:
    """Yield the unified kernel images of this kernel: by their names, else by what they hold."""
    base = _said(machine, release, "pkgbase")
    found = [
        path
        for folder in boot.folders(machine)
        for vendor in machine.names(f"{folder}/EFI")
        for path in newest(machine, f"{folder}/EFI/{vendor}", "")
        if path.lower().endswith(".efi")
    ]
    for path in found:
        stem = path.rpartition("/")[2][:-4]
        if _is_of(machine, stem, release) or _is_named(stem, base):
            yield Source((path,))
    for path in found:
        with open(machine.path(path), "rb") as file:
            if release_in(kernel_in(file, KERNEL_HEAD)) == release:
                yield Source((path,))


def _is_of(machine: Machine, name: str, release: str) -> bool:
    """Return whether a name has the release in it, and no longer one of those that are there."""
    known = [one for one in {release, *installed(machine)} if _stands_in(one, name)]
    return release == max(known, key=len, default="")


def _stands_in(release: str, name: str) -> bool:
    alone = rf"(?<![0-9A-Za-z.]){re.escape(release)}(?![0-9A-Za-z]|\.[0-9])"
    return re.search(alone, name) is not None


def _is_named(stem: str, base: str) -> bool:
    return bool(base) and (stem == base or stem.endswith((f"-{base}", f"_{base}")))
