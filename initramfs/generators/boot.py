"""Where boot loaders read from, and what kernel-install(8) puts there."""

from collections.abc import Iterator

from linux.mounts import read_mounts
from linux.root import Root

_USUAL = ("/boot", "/efi", "/boot/efi")
_SETTINGS = ("/etc/kernel", "/run/kernel", "/usr/local/lib/kernel", "/usr/lib/kernel")
"""Of which the first that has install.conf counts."""


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
    main = [f"{folder}/install.conf" for folder in _SETTINGS]
    texts = [next((text for path in main if (text := root.text(path)) is not None), "")]
    parts = {
        part: f"{folder}/install.conf.d/{part}"
        for folder in reversed(_SETTINGS)
        for part in root.names(f"{folder}/install.conf.d")
        if part.endswith(".conf")
    }
    texts += [root.text(parts[part]) or "" for part in sorted(parts)]
    found = ""
    for line in "\n".join(texts).split("\n"):
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
    names = (root.line("/etc/kernel/entry-token"), root.line("/etc/machine-id"))
    parts = (release.get(key, "").strip("\"'") for key in ("IMAGE_ID", "ID"))
    yield from dict.fromkeys(filter(None, (*names, *parts, "Default")))
