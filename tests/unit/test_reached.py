"""Which servers a frozen machine reaches, and which disks on the network it connects again."""

from ipaddress import ip_address
from pathlib import Path

import pytest

from linux.route import interface_to
from store.reached import why_not_reached
from store.served import connects_again, why_served
from tests.tools import put
from tests.unit.fake_root import Disks

NET = "sys/class/net"
SERVER = "10.1.2.3"


@pytest.fixture
def disks(tmp_path: Path) -> Disks:
    """A machine whose card is eth0."""
    made = Disks(tmp_path)
    put(tmp_path, interface("eth0"))
    return made


def interface(name: str, kind: str = "", below: str = "", **files: str) -> dict[str, str]:
    """Return the files of a network interface, which may lie on others."""
    made = {"uevent": f"DEVTYPE={kind}\n" if kind else "", "ifindex": "7\n", "iflink": "7\n"}
    lower = {f"lower_{each}/ifindex": "" for each in below.split()}
    files = {"type": "1\n", **made, **lower, **files}
    return {f"{NET}/{name}/{file}": text for file, text in files.items()}


TUN = interface("tun0", tun_flags="0x1001\n", type="65534\n")
WIFI = interface("wlan0", "wlan") | {f"{NET}/wlan0/phy80211/index": "0\n"}
VPN = {"proc/41/comm": "openvpn\n", "proc/41/fdinfo/5": "pos:\t0\niff:\ttun0\n"}
OTHER_VPN = {"proc/41/comm": "openvpn\n", "proc/41/fdinfo/5": "pos:\t0\niff:\ttun01\n"}
WAYS = {
    "a card": ("eth0", {}, ""),
    "no route": ("", {}, ""),
    "VLAN": ("eth0.7", interface("eth0.7", "vlan", "eth0"), ""),
    "bond": ("bond0", interface("bond0", "bond", "eth0 wlan0") | WIFI, ""),
    "bridge": ("br0", interface("br0", "bridge", "eth0 tun0") | TUN, ""),
    "bridge of nothing": ("br0", interface("br0", "bridge"), ""),
    "tunnel of IP": ("gre1", interface("gre1", type="778\n", iflink="2\n"), ""),
    "VLAN of a virtual card": ("v7", interface("v7", below="eth0", iflink="2\n"), ""),
    "WireGuard": ("wg0", interface("wg0", "wireguard"), "wg0, a WireGuard tunnel, which stops"),
    "Wi-Fi": ("wlan0", WIFI, "wlan0, a wireless network, which wpa_supplicant or iwd joins"),
    "tunnel": ("tun0", TUN, "tun0, a tunnel that a process serves"),
    "OpenVPN": ("tun0", TUN | VPN, "tun0, a tunnel that openvpn (process 41) serves"),
    "another tunnel's process": ("tun0", TUN | OTHER_VPN, "tun0, a tunnel that a process serves"),
    "PPP": ("ppp0", interface("ppp0", "ppp", type="512\n"), "ppp0, a line that pppd keeps up"),
    "container": ("veth1", interface("veth1", iflink="3\n"), "veth1, which leads to a container"),
    "VLAN on Wi-Fi": ("w.7", interface("w.7", "vlan", "wlan0") | WIFI, "w.7 over wlan0, a wireles"),
    "machines only": (
        "virbr0",
        interface("virbr0", "bridge", "tun0 veth1") | TUN | interface("veth1", iflink="3\n"),
        "virbr0 over tun0, a tunnel",
    ),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("address", [SERVER, "fd00::3", "[fd00::3]", f"::ffff:{SERVER}"])
def test_interfaces(way: str, address: str, disks: Disks) -> None:
    name, files, why = WAYS[way]
    put(disks.folder, files)
    if name:
        put(disks.folder, {"routes": f"{SERVER} {name}\nfd00::3 {name}\n"})
    said = why_not_reached(address, disks)
    assert said.startswith(f"its server {address} is reached by {why}") if why else not said


def test_a_scope_is_an_interface(disks: Disks) -> None:
    put(disks.folder, interface("wg0", "wireguard"))
    assert "reached by wg0, a WireGuard" in why_not_reached("fe80::1%wg0", disks)
    assert not why_not_reached("fe80::1%eth0", disks)


def test_our_own_addresses(disks: Disks) -> None:
    trie = "  |-- 10.0.0.5\n     /32 host LOCAL\n  |-- 10.0.0.6\n     /32 host UNICAST\n"
    put(disks.folder, {"proc/net/fib_trie": trie, "proc/net/if_inet6": f"{'fd' + 29 * '0'}5 02\n"})
    for address in ("127.0.0.1", "::1", "10.0.0.5", "::ffff:10.0.0.5", "fd00::5"):
        assert why_not_reached(address, disks) == "this machine serves it to itself"
    for address in ("10.0.0.6", "fd00::6", "a.name", ""):
        assert not why_not_reached(address, disks)


def test_the_kernel_is_asked() -> None:
    """Of any machine that has a loopback; 240.0.0.0/4 is routed nowhere or by the default."""
    assert interface_to(ip_address("127.0.0.53").packed) == "lo"
    default = interface_to(ip_address("240.0.0.1").packed)
    assert default != "lo"


ISCSI = "platform/host3/session2/target3:0:0/3:0:0:1/block/sdg"
NVME = "virtual/nvme-fabrics/ctl/nvme1/nvme1n1"


def add(disks: Disks, place: str, **files: str) -> str:
    """Add a disk there, with files of what it is attached to, and return its name."""
    folder = disks.folder / "sys/devices" / place
    folder.mkdir(parents=True)
    (disks.folder / "sys/class/block").mkdir(parents=True, exist_ok=True)
    (disks.folder / "sys/class/block" / folder.name).symlink_to(folder)
    (folder / "device").symlink_to(folder.parent)
    put(folder.parent, files)
    return folder.name


def test_iscsid_has_to_run(disks: Disks) -> None:
    """Else the restored machine waits for a session that nobody begins again."""
    disk = add(disks, ISCSI)
    put(disks.folder, {"sys/class/iscsi_connection/connection2:0/address": f"{SERVER}\n"})
    assert connects_again(disk, disks) == "iscsid"
    put(disks.folder, {"proc/8/comm": "iscsiadm\n", "proc/self/comm": "iscsid\n"})
    assert why_served(disk, disks).startswith("iscsid, which has to connect it again afterwards")
    put(disks.folder, {"proc/9/comm": "iscsid\n"})
    assert not why_served(disk, disks)
    put(disks.folder, {"routes": f"{SERVER} wg0\n", **interface("wg0", "wireguard")})
    assert "reached by wg0" in why_served(disk, disks)


def test_a_card_that_logs_in_by_itself(disks: Disks) -> None:
    disk = add(disks, ISCSI)
    put(disks.folder, {"sys/class/scsi_host/host3/proc_name": "qla4xxx\n"})
    assert not connects_again(disk, disks)
    assert not why_served(disk, disks)


def test_nvme_needs_a_process_for_tls_only(disks: Disks) -> None:
    plain = add(disks, NVME, transport="tcp\n", address=f"traddr={SERVER},trsvcid=4420\n")
    assert not connects_again(plain, disks)
    assert not why_served(plain, disks)
    put(disks.folder, {"sys/devices/virtual/nvme-fabrics/ctl/nvme1/tls_key": "0815\n"})
    assert connects_again(plain, disks) == "tlshd"
    assert why_served(plain, disks).startswith("tlshd, which has to connect it again afterwards")
    put(disks.folder, {"proc/9/comm": "tlshd\n"})
    assert not why_served(plain, disks)
    put(disks.folder, {"routes": f"{SERVER} wlan0\n", **WIFI})
    assert f"its server {SERVER} is reached by wlan0" in why_served(plain, disks)


@pytest.mark.parametrize(
    ("files", "why"),
    [
        ({}, "no process connects it again afterwards (NBD)"),
        ({"sys/class/block/nbd0/pid": "51\n"}, "no process connects it again afterwards (NBD)"),
        (
            {"sys/class/block/nbd0/pid": "51\n", "proc/51/comm": "qemu-nbd\n"},
            "qemu-nbd (process 51) serves it",
        ),
    ],
    ids=["not connected", "by netlink", "by a process that waits"],
)
def test_nbd_is_refused_by_the_name_of_its_process(
    files: dict[str, str], why: str, disks: Disks
) -> None:
    disks.add("nbd0")
    put(disks.folder, files)
    assert why_served("nbd0", disks) == why
