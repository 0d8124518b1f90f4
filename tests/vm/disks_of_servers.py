"""Guests whose store and a file system lie on disks of a server."""

from pathlib import Path

from tests.vm.conftest import LONG_LIMIT_SECONDS, Guests
from tests.vm.sealed_lives import WAITS
from tests.vm.whole_lives import enable, hibernate_and_resume
from vm.cable import join
from vm.disks import blank_disk, file_system_disk
from vm.lives import Guest

SERVED = "/dev/vdb", "/dev/vdc"
"""The disks at a guest that serves them."""


def initiator_and_target(
    guests: Guests, kind: str, words: str, folder: Path
) -> tuple[Guest, Guest]:
    """Make a guest that reaches the disks by these words, and one that has them, which is on."""
    target = guests.make("target", "6.12", disks_of_a_server(folder), suite="13")
    guest = guests.make(kind, "6.12", append=f"{words} {WAITS}", suite="13")
    guest.limit = target.limit = 2 * LONG_LIMIT_SECONDS
    join(target, guest)
    target.boot()
    return guest, target


def disks_of_a_server(folder: Path) -> tuple[Path, Path]:
    """Make what hibernate_to_disks takes."""
    store, data = folder / "store.img", folder / "data.img"
    blank_disk(store, 1024)
    file_system_disk(data, "ext4")
    return store, data


def hibernate_to_disks(guest: Guest, disks: str) -> str:
    """Hibernate with a store and an ext4 on these two disks; both go on. Return the kernel's log.

    `disks` is a pattern: a kernel that looks for them side by side names them as they come.
    """
    guest.run(
        f"for _ in $(seq 30); do [ $(ls {disks} | wc -l) = 2 ] && exit; sleep 1; done; exit 1"
    )
    (data,) = guest.run(f"blkid -t TYPE=ext4 -o device {disks}").output.split()
    (store,) = guest.run(f"ls {disks} | grep -v {data}").output.split()
    guest.run(f"mkdir /data && mount {data} /data && torpor mkstore {store}")
    enable(guest, f"--store {store}")
    guest.run("echo before >/data/file && sync")
    hibernate_and_resume(guest)
    said = guest.run("dmesg").output
    assert "mark cleared" in said, said
    assert "I/O error" not in said, said
    guest.run("grep before /data/file && echo after >/data/file && sync")
    guest.run("echo 3 >/proc/sys/vm/drop_caches && grep after /data/file")
    return said
