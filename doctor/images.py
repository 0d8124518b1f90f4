"""Where the initramfs is that boots a kernel."""

from collections.abc import Iterator

from doctor.booted import booted
from doctor.entries import entries
from doctor.errors import InitramfsError
from doctor.files import beside, initramfs_names, newest
from doctor.initramfs import Source
from doctor.machine import Machine
from generators import boot, dracut, mkinitcpio
from generators.kernels import installed, release_of


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
        is_named = preset.file == f"{mkinitcpio.PRESETS}/{base}.preset"
        kernel = preset.kernel
        if is_named or release in (kernel, kernel.startswith("/") and release_of(machine, kernel)):
            yield from filter(None, (preset.image, preset.uki))


def _said(machine: Machine, release: str, name: str) -> str:
    """Return what a package left beside the modules: pkgbase of Arch, kernelbase of Manjaro."""
    return machine.line(f"/lib/modules/{release}/{name}")


def _plain(machine: Machine, release: str) -> Iterator[Source]:
    for entry in entries(machine):
        if entry.is_for(release) and (source := entry.source(machine)) is not None:
            yield source
    yield from (Source((path,)) for path in _by_name(machine, release))


def _by_name(machine: Machine, release: str) -> Iterator[str]:
    base, kernel_base = _said(machine, release, "pkgbase"), _said(machine, release, "kernelbase")
    ends = dict.fromkeys(filter(None, (release, base, kernel_base)))
    folders = boot.folders(machine)
    for folder in folders:
        for end in ends:
            yield from (f"{folder}/{name}" for name in initramfs_names(f"-{end}"))
    for token in boot.tokens(machine):
        for folder in folders:
            yield from beside(machine, f"{folder}/{token}/{release}/linux")
            for end in ends:  # dracut's and limine's
                yield from newest(machine, f"{folder}/{token}/{end}", "initramfs")
    yield from beside(machine, f"/lib/modules/{release}/linux")
    yield f"/lib/modules/{release}/initramfs.img"


def _unified(machine: Machine, release: str) -> Iterator[Source]:
    """Yield the unified kernel images of this kernel, by their names."""
    base = _said(machine, release, "pkgbase")
    for folder in boot.folders(machine):
        for vendor in machine.names(f"{folder}/EFI"):
            place = f"{folder}/EFI/{vendor}"
            found = [
                name
                for name in machine.names(place)
                if name.lower().endswith(".efi")
                and (_is_of(machine, name, release) or _ends(name[:-4], base))
            ]
            for path in newest(machine, place, ""):
                if path.rpartition("/")[2] in found:
                    yield Source((path,))


def _is_of(machine: Machine, name: str, release: str) -> bool:
    """Return whether a name has the release in it, and no longer one of those that are there."""
    known = [one for one in {release, *installed(machine)} if one in name]
    return release in name and release == max(known, key=len)


def _ends(stem: str, base: str) -> bool:
    return bool(base) and (stem == base or stem.endswith((f"-{base}", f"_{base}")))
