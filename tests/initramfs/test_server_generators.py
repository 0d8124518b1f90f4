"""Initramfs images by the real generators, or a stand-in, of a machine with a store on a server."""

import shutil
from pathlib import Path

import pytest

from tests.initramfs.installed import SERVER_LOCATION, UNITS, lay_out
from tests.initramfs.test_generators import SENDER, build, files, mkinitcpio, require
from tests.tools import put, unavailable

NETWORK = "usr/lib/systemd/network/zz-torpor.network"
NETWORKD = "usr/lib/systemd/systemd-networkd"


@pytest.fixture
def system(tmp_path: Path) -> Path:
    tree = tmp_path / "system"
    lay_out(tree, SERVER_LOCATION, f"sender={SENDER}\ntpm2=no\nask=no\n", "access_key=a\n")
    return tree


@pytest.fixture
def result(tmp_path: Path) -> Path:
    return tmp_path / "result"


def require_network_of_dracut() -> None:
    require("dracut")
    if not Path("/usr/lib/dracut/modules.d/40network").exists():
        unavailable("dracut-network is missing")


def test_dracut_with_systemd(system: Path, result: Path) -> None:
    require_network_of_dracut()
    modules = "base systemd systemd-initrd dracut-systemd resume torpor"
    tree = build(system, result, "dracut.sh", str(result), modules)
    assert (tree / NETWORKD).exists()
    assert (tree / NETWORK).read_bytes() == (
        system / "usr/lib/torpor/zz-torpor.network"
    ).read_bytes()
    for unit in ("nm-wait-online-initrd", "NetworkManager-wait-online-initrd"):
        drop_in = tree / UNITS / f"{unit}.service.d/torpor.conf"
        assert drop_in.read_text() == "[Service]\nTimeoutStartSec=15s\n"


def test_dracut_without_systemd(system: Path, result: Path) -> None:
    require_network_of_dracut()
    if not shutil.which("dhclient", path="/usr/sbin:/usr/bin"):
        unavailable("dhclient is missing")
    tree = build(system, result, "dracut.sh", str(result), "base resume torpor")
    assert (tree / "usr/sbin/dhclient-script").exists()
    assert not (tree / NETWORKD).exists()
    hooks = tree / "usr/lib/dracut/hooks"
    assert files(hooks, "cmdline")[0] == "05-torpor-network.sh"
    assert files(hooks, "pre-udev").index("60-net-genrules.sh") < files(hooks, "pre-udev").index(
        "61-torpor-network.sh"
    )


def test_mkinitcpio(system: Path, result: Path) -> None:
    put(system, {"usr/lib/initcpio/ipconfig": Path("/bin/true").read_bytes()})
    (system / "usr/lib/initcpio/ipconfig").chmod(0o755)
    tree = mkinitcpio(system, result, "base", "torpor")
    assert (tree / "usr/bin/ipconfig").stat().st_mode & 0o111
    assert (tree / "usr/lib/torpor/server-network").stat().st_mode & 0o111
    assert not (tree / NETWORK).exists()


def test_mkinitcpio_without_ipconfig(system: Path, result: Path) -> None:
    with pytest.raises(AssertionError, match="install mkinitcpio-nfs-utils"):
        mkinitcpio(system, result, "base", "torpor")


def test_mkinitcpio_with_systemd(system: Path, result: Path) -> None:
    tree = mkinitcpio(system, result, "systemd", "sd-torpor")
    wanted = tree / UNITS / "sysinit.target.wants"
    assert {"systemd-networkd.service", "systemd-network-generator.service"} <= {
        path.name for path in wanted.iterdir()
    }
    assert (tree / UNITS / "systemd-networkd.socket").exists()
    assert (tree / NETWORKD).exists()
    assert (tree / NETWORK).exists()
    for file in ("passwd", "group"):
        assert (tree / "etc" / file).read_text().startswith("systemd-network:")


def test_mkinitcpio_without_networkds_user(system: Path, result: Path) -> None:
    put(system, {"etc/passwd": "root:x:0:0:root:/root:/bin/sh\n"})
    with pytest.raises(AssertionError, match="no systemd-network in /etc/passwd"):
        mkinitcpio(system, result, "systemd", "sd-torpor")
