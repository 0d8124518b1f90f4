"""Opens /dev/snapshot, and says in words why the kernel will not have it."""

import errno

from errors import KernelRefusedError
from linux.snapshot import PATH, SnapshotDevice

_REASONS = {
    errno.ENOENT: ("this kernel has no /dev/snapshot", "it needs CONFIG_HIBERNATION_SNAPSHOT_DEV"),
    errno.ENODEV: ("this kernel has no /dev/snapshot", "it needs CONFIG_HIBERNATION_SNAPSHOT_DEV"),
    errno.EPERM: (
        "the kernel does not allow hibernation",
        "Secure Boot (kernel lockdown) or `nohibernate` forbids it",
    ),
    errno.EACCES: (f"no permission to open {PATH}", "run this as root"),
    errno.EBUSY: (f"another program has {PATH} open", ""),
}


def open_snapshot(flags: int) -> SnapshotDevice:
    """Open the device as SnapshotDevice does. Raises KernelRefusedError."""
    try:
        return SnapshotDevice(flags)
    except OSError as error:
        message, hint = _REASONS.get(error.errno or 0, (f"cannot open {PATH}: {error}", ""))
        raise KernelRefusedError(message, hint) from error
