"""A cable from a guest that serves its disks to another guest, their initiator."""

from vm.lives import Guest
from vm.s3_server import HOST, free_ports

TARGET, INITIATOR = "10.9.0.1", "10.9.0.2"
DRACUT_WORDS = f"ip={INITIATOR}:::255.255.255.0::eth0:none rd.neednet=1 net.ifnames=0"
"""By which the initramfs of the initiator brings its end up."""


def join(target: Guest, initiator: Guest) -> None:
    """Lay a cable between the two, which are off."""
    (port,) = free_ports(1)
    target.cable = f"listen={HOST}:{port}"
    initiator.cable = f"connect={HOST}:{port}"


def bring_up_target(target: Guest) -> None:
    """Bring the target's end up; it runs."""
    target.run(
        f"name=$(ls /sys/class/net | grep -v lo); ip link set $name up; "
        f"ip addr add {TARGET}/24 dev $name"
    )


def bring_up_initiator(initiator: Guest) -> None:
    """Bring the other end up, which its initramfs does only while it waits for a disk."""
    initiator.run(f"ip link set eth0 up; ip addr replace {INITIATOR}/24 dev eth0")
