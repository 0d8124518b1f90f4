"""ZFS pools that are imported, as its module shows them (openzfs, linux/zfs/spa_stats.c)."""

import os

KSTAT = "/proc/spl/kstat/zfs"


def pools(root: str = "") -> list[str]:
    """Return the names of the imported pools: each has a folder with the file `state`."""
    folder = root + KSTAT
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        return []
    return [name for name in names if os.path.exists(f"{folder}/{name}/state")]
