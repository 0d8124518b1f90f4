"""By which interface a server is reached, and what that is, as the kernel tells it."""

import json
import subprocess
import sys

import pytest

from tests.tools import ROOT

_SET_UP = """
mount -t sysfs sysfs /sys
ip link add veth0 type veth peer name veth1
ip link add br0 type bridge
ip link add br1 type bridge
ip link set veth1 master br1
ip tuntap add tun0 mode tun
for name in lo veth0 veth1 br0 br1 tun0; do ip link set "$name" up; done
ip addr add 10.1.0.1/24 dev br0
ip addr add 10.2.0.1/24 dev veth0
ip addr add 10.4.0.1/24 dev br1
ip addr add fd00:2::1/64 dev veth0 nodad
ip route add 10.3.0.0/24 dev br0
ip rule add to 10.3.0.7 lookup 100
ip route add default dev tun0 table 100
exec "$@"
"""
_ASK = """
import fcntl, json, struct, sys
from store.reached import why_not_reached
tun = open("/dev/net/tun", "r+b", buffering=0)
fcntl.ioctl(tun, 0x400454CA, struct.pack("16sH22x", b"tun0", 1))  # TUNSETIFF, IFF_TUN
print(json.dumps([why_not_reached(each) for each in sys.argv[1:]]))
"""
EXPECTED = {
    "127.0.0.1": "serves it to itself",
    "10.1.0.1": "serves it to itself",
    "10.1.0.9": "",
    "10.2.0.9": "reached by veth0, which leads to a container",
    "fd00:2::9": "reached by veth0, which leads to a container",
    "10.3.0.6": "",
    "10.3.0.7": "reached by tun0, a tunnel that python",
    "10.4.0.9": "reached by br1 over veth1, which leads to a container",
    "10.9.9.9": "",
}


@pytest.fixture(scope="module")
def said() -> dict[str, str]:
    """Ask in a network of its own, where a rule sends one address through a tunnel."""
    ask = [sys.executable, "-c", _ASK, *EXPECTED]
    command = ["unshare", "--net", "--mount", "sh", "-euc", _SET_UP, "sh", *ask]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if "Unknown device type" in done.stderr or "/dev/net/tun" in done.stderr:
        pytest.skip(done.stderr)
    assert done.returncode == 0, done.stderr
    return dict(zip(EXPECTED, json.loads(done.stdout), strict=True))


@pytest.mark.parametrize("address", EXPECTED)
def test_ways(address: str, said: dict[str, str]) -> None:
    why = EXPECTED[address]
    assert why in said[address] if why else not said[address]
