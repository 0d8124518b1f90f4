"""How what opens devices gets into dracut's initramfs: by a module of dracut, and a package."""


def adding(module: str) -> str:
    """Return what to do so that a module gets there."""
    return f'put add_dracutmodules+=" {module} " into a file in /etc/dracut.conf.d'


def _remedy(module: str, packages: str) -> str:
    return f"install {packages}, and {adding(module)}"


CRYPT = _remedy("crypt", "cryptsetup")
LVM = _remedy("lvm", "lvm2")
BY_PROGRAM = {
    "mdadm": _remedy("mdraid", "mdadm"),
    "iscsistart": _remedy("iscsi", "dracut-network and open-iscsi"),
    "nvme": _remedy("nvmf", "dracut-network and nvme-cli"),
    "multipath": _remedy("multipath", "multipath-tools and kpartx"),
    "dmraid": _remedy("dmraid", "dmraid and kpartx"),
}
"""check() in the module-setup.sh of each asks for more programs than this one."""
