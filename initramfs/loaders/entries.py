"""Entries of boot loaders (the UAPI group's Boot Loader Specification, type 1)."""

from collections.abc import Iterator
from dataclasses import dataclass

from initramfs.archive.initramfs import Source
from initramfs.loaders.files import locate, read_by_loader
from linux import cmdline
from linux.root import Root


@dataclass(frozen=True, slots=True)
class Entry:
    """What one file of entries says."""

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
