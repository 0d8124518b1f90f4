"""In which order file systems stop: one that lies in a file before the one that holds the file."""

from linux import stack
from linux.mounts import Mount

FileSystem = list[Mount]
"""All mounts of one file system."""


def topmost_first(file_systems: list[FileSystem]) -> list[FileSystem]:
    """Return the file systems, given in order of mounting, in the order to freeze them.

    To freeze one is to write to it. If what holds its file (loop) were frozen, that would wait
    for ever. Beyond that the last one mounted comes first.
    """
    last_first = list(reversed(file_systems))
    last_first.sort(key=lambda each: _depth(each, file_systems), reverse=True)
    return last_first


def _depth(file_system: FileSystem, others: list[FileSystem]) -> int:
    """Return how many file systems lie below this one, each in a file of the next."""
    rest = [each for each in others if each is not file_system]
    holders = [_holder(path, rest) for path in _files_below(file_system[0])]
    return max((1 + _depth(holder, rest) for holder in holders if holder), default=0)


def layers_below(mount: Mount) -> list[stack.Layer]:
    """Return the devices that the file system lies on, from the top; none if they are not known."""
    try:
        if mount.device.startswith("0:"):
            return stack.layers(mount.source)
        return stack.layers_of(mount.device)
    except OSError:
        return []


def _files_below(mount: Mount) -> list[str]:
    """Return the files that hold the devices of the file system."""
    paths = (stack.backing_file(layer.name) for layer in layers_below(mount))
    return [path for path in paths if path]


def _holder(path: str, file_systems: list[FileSystem]) -> FileSystem | None:
    """Return the file system with the mount point nearest above the path."""
    above = [
        (len(mount.mount_point), file_system)
        for file_system in file_systems
        for mount in file_system
        if f"{path}/".startswith(f"{mount.mount_point.rstrip('/')}/")
    ]
    return max(above, key=lambda found: found[0], default=(0, None))[1]
