"""How an initramfs is told which iSCSI targets to log in to."""

from initramfs.generators.generator import LOADER, Netroot

_NETWORK = f"and how the network comes up: ip= in {LOADER}"

OPEN_ISCSI = Netroot(
    ("iscsi_auto", "iscsi_target_name=", "root=iscsi:"),
    "/etc/iscsi.initramfs",
    f"name its target in /etc/iscsi/iscsi.initramfs, {_NETWORK}",
)
"""Of initramfs-tools (scripts/local-top/iscsi of Debian's open-iscsi)."""

DRACUT = Netroot(
    (
        *("netroot=iscsi", "netroot=dhcp", "root=iscsi", "root=dhcp", "iscsiroot="),
        *("rd.iscsi.firmware", "iscsi_firmware"),
    ),
    "",
    f"name its target by netroot=iscsi: (dracut.cmdline(7)), {_NETWORK} and rd.neednet=1",
)
"""parse-iscsiroot.sh of its module iscsi."""
