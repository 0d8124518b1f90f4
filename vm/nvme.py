"""A guest that serves its disks by NVMe over TCP to another one, at the end of a cable."""

from vm.lives import Guest
from vm.s3_server import HOST, free_ports

TARGET, INITIATOR = "10.9.0.1", "10.9.0.2"
NAME = "nqn.2026-11.org.example:disks"
_PORT = 4420

DRACUT_WORDS = (
    f"ip={INITIATOR}:::255.255.255.0::eth0:none rd.neednet=1 net.ifnames=0 "
    f"rd.nvmf.discover=tcp,{TARGET},,{_PORT}"
)
"""By which the initramfs of the other guest connects at each boot (dracut, nvme-cli)."""

_CONFIGFS = "/sys/kernel/config/nvmet"


def join(target: Guest, initiator: Guest) -> None:
    """Lay a cable between the two, which are off."""
    (port,) = free_ports(1)
    target.cable = f"listen={HOST}:{port}"
    initiator.cable = f"connect={HOST}:{port}"


def connect(initiator: Guest) -> None:
    """Have the other guest connect the disks, as nvmf-autoconnect.service does.

    Its initramfs does so only while it waits for one of them.
    """
    initiator.run(f"ip link set eth0 up; ip addr replace {INITIATOR}/24 dev eth0")
    there = f"modprobe nvme-tcp; nvme connect-all -t tcp -a {TARGET} -s {_PORT}; udevadm settle"
    initiator.run(f"ls /dev/nvme*n1 || {{ {there}; }}")


def serve(target: Guest, *disks: str) -> None:
    """Have a guest that runs serve these disks as namespace 1, 2, … (nvmet, configfs)."""
    target.run(
        f"name=$(ls /sys/class/net | grep -v lo); ip link set $name up; "
        f"ip addr add {TARGET}/24 dev $name"
    )
    target.run("modprobe nvmet-tcp && mount -t configfs configfs /sys/kernel/config")
    subsystem = f"{_CONFIGFS}/subsystems/{NAME}"
    target.run(f"mkdir {subsystem} && echo 1 >{subsystem}/attr_allow_any_host")
    for number, disk in enumerate(disks, 1):
        place = f"{subsystem}/namespaces/{number}"
        target.run(f"mkdir {place} && echo {disk} >{place}/device_path && echo 1 >{place}/enable")
    port = f"{_CONFIGFS}/ports/1"
    values = {"trtype": "tcp", "adrfam": "ipv4", "traddr": TARGET, "trsvcid": _PORT}
    written = " && ".join(f"echo {value} >{port}/addr_{key}" for key, value in values.items())
    target.run(f"mkdir {port} && {written} && ln -s {subsystem} {port}/subsystems/{NAME}")
