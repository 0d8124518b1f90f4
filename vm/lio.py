"""A guest that serves its disks by iSCSI to another one, at the end of a cable.

dracut's initramfs logs in at the portal that the target names itself (discovery), which on QEMU's
user network is an address of the host: so vm/iscsi.py does not do for it.
"""

from vm import cable
from vm.lives import Guest

NAME = "iqn.2026-11.org.example:disks"
_PORT = 3260

DRACUT_WORDS = f"{cable.DRACUT_WORDS} netroot=iscsi:{cable.TARGET}::::{NAME}"
"""By which the initramfs of the other guest logs in at each boot (dracut, open-iscsi)."""

_CONFIGFS = "/sys/kernel/config/target"


def log_in(initiator: Guest) -> None:
    """Have the other guest log in, as open-iscsi.service does."""
    cable.bring_up_initiator(initiator)
    initiator.run("systemctl start iscsid.service")
    node = f"iscsiadm -m node -T {NAME} -p {cable.TARGET}:{_PORT}"
    initiator.run(f"iscsiadm -m session || {{ {node} -o new && {node} --login; }}")


def serve(target: Guest, *disks: str) -> None:
    """Have a guest that runs serve these disks as LUN 1, 2, … (the kernel's LIO, configfs)."""
    cable.bring_up_target(target)
    modules = "modprobe -a iscsi_target_mod target_core_iblock"
    target.run(f"{modules} && mount -t configfs configfs /sys/kernel/config")
    group = f"{_CONFIGFS}/iscsi/{NAME}/tpgt_1"
    target.run(f"mkdir -p {group}/np/{cable.TARGET}:{_PORT}")
    for number, disk in enumerate(disks, 1):
        store, lun = f"{_CONFIGFS}/core/iblock_{number}/disk", f"{group}/lun/lun_{number}"
        target.run(f"mkdir -p {store} && echo udev_path={disk} >{store}/control")
        target.run(f"echo 1 >{store}/enable && mkdir {lun} && ln -s {store} {lun}/disk")
    values = {"authentication": 0, "generate_node_acls": 1, "demo_mode_write_protect": 0}
    written = " && ".join(f"echo {value} >{group}/attrib/{key}" for key, value in values.items())
    target.run(f"{written} && echo 1 >{group}/enable")
