"""A guest that serves its disks by NVMe over TCP to another one, at the end of a cable."""

from vm import cable
from vm.lives import Guest

NAME = "nqn.2026-11.org.example:disks"
_PORT = 4420

DRACUT_WORDS = f"{cable.DRACUT_WORDS} rd.nvmf.discover=tcp,{cable.TARGET},,{_PORT}"
"""By which the initramfs of the other guest connects at each boot (dracut, nvme-cli)."""

_CONFIGFS = "/sys/kernel/config/nvmet"


def connect(initiator: Guest) -> None:
    """Have the other guest connect the disks, as nvmf-autoconnect.service does."""
    cable.bring_up_initiator(initiator)
    all_of_it = f"nvme connect-all -t tcp -a {cable.TARGET} -s {_PORT}"
    there = f"modprobe nvme-tcp; {all_of_it}; udevadm settle"
    initiator.run(f"ls /dev/nvme*n1 || {{ {there}; }}")


def serve(target: Guest, *disks: str) -> None:
    """Have a guest that runs serve these disks as namespace 1, 2, … (nvmet, configfs)."""
    cable.bring_up_target(target)
    target.run("modprobe nvmet-tcp && mount -t configfs configfs /sys/kernel/config")
    subsystem = f"{_CONFIGFS}/subsystems/{NAME}"
    target.run(f"mkdir {subsystem} && echo 1 >{subsystem}/attr_allow_any_host")
    for number, disk in enumerate(disks, 1):
        place = f"{subsystem}/namespaces/{number}"
        target.run(f"mkdir {place} && echo {disk} >{place}/device_path && echo 1 >{place}/enable")
    port = f"{_CONFIGFS}/ports/1"
    values = {"trtype": "tcp", "adrfam": "ipv4", "traddr": cable.TARGET, "trsvcid": _PORT}
    written = " && ".join(f"echo {value} >{port}/addr_{key}" for key, value in values.items())
    target.run(f"mkdir {port} && {written} && ln -s {subsystem} {port}/subsystems/{NAME}")
