"""Whether a server on the network can still be reached once all tasks are frozen.

Cards, VLANs, bonds and bridges go on: the kernel serves them, and resolves addresses itself. What a
process keeps up does not, nor what the kernel does in threads that are frozen as well.
"""

import re
from collections.abc import Iterator
from contextlib import suppress

from linux.root import HOST, Root

_CLASS = "/sys/class/net"

_OWN = "this machine serves it to itself"

_KINDS = {
    # Its work queues are WQ_FREEZABLE (drivers/net/wireguard/device.c).
    "wireguard": "a WireGuard tunnel, which stops with all tasks",
    "ppp": "a line that pppd keeps up, which is frozen",
}
"""By DEVTYPE in an interface's uevent."""

# It leaves its network when devices are suspended for the snapshot (wiphy_suspend in
# net/wireless/sysfs.c), and only the supplicant joins it again.
_WIRELESS = "a wireless network, which wpa_supplicant or iwd joins, and those are frozen"

_PAIR = "which leads to a container of this machine, and that is frozen"


def why_not_reached(address: str, root: Root = HOST) -> str:
    """Return why the server at this address does not answer a frozen machine, "" if it may.

    A name, or an address of another kind of network, may. Raises OSError.
    """
    from ipaddress import IPv6Address, ip_address  # for servers only

    try:
        found = ip_address(address.strip("[]"))
    except ValueError:
        return ""
    if isinstance(found, IPv6Address) and found.ipv4_mapped:
        found = found.ipv4_mapped
    own = _own_ipv4(root) if found.version == 4 else _own_ipv6(root)
    if found.is_loopback or found.packed in own:
        return _OWN
    scope = found.scope_id if isinstance(found, IPv6Address) else None
    interface = scope or root.interface_to(found.packed)
    why = _why_stopped(interface, root) if interface else ""
    return why and f"its server {address} is reached by {why}"


def _own_ipv4(root: Root) -> set[bytes]:
    text = root.text("/proc/net/fib_trie") or ""
    found = re.findall(r"\|-- (\d+)\.(\d+)\.(\d+)\.(\d+)\n\s*/32 host LOCAL", text)
    return {bytes(map(int, each)) for each in found}


def _own_ipv6(root: Root) -> set[bytes]:
    text = root.text("/proc/net/if_inet6") or ""
    return {bytes.fromhex(each) for each in re.findall(r"^[0-9a-f]{32}", text, re.MULTILINE)}


def _why_stopped(interface: str, root: Root) -> str:
    """Return the interface and why it stops; it goes on if one of those that it is made of does."""
    if why := _why_itself(interface, root):
        return f"{interface}, {why}"
    names = root.names(f"{_CLASS}/{interface}")
    below = [name.removeprefix("lower_") for name in names if name.startswith("lower_")]
    found = [_why_stopped(each, root) for each in below]
    return f"{interface} over {found[0]}" if found and all(found) else ""


def _why_itself(interface: str, root: Root) -> str:
    folder = f"{_CLASS}/{interface}"
    if root.exists(f"{folder}/tun_flags"):
        server = next(_servers(interface, root), "a process")
        return f"a tunnel that {server} serves"
    if root.exists(f"{folder}/phy80211") or root.exists(f"{folder}/wireless"):
        return _WIRELESS
    kind = re.search(r"^DEVTYPE=(.*)$", root.text(f"{folder}/uevent") or "", re.MULTILINE)
    if kind:
        return _KINDS.get(kind[1], "")
    return _PAIR if _is_pair(folder, root) else ""


def _is_pair(folder: str, root: Root) -> bool:
    """Return whether it is one end of veth: what says no kind, and has its other end elsewhere.

    Its other end is the interface with the number `iflink`, which is no layer below.
    """
    here, there, kind = (root.line(f"{folder}/{file}") for file in ("ifindex", "iflink", "type"))
    is_ethernet = kind == "1"  # ARPHRD_ETHER: a tunnel of IP has another, and may name a card
    has_below = any(name.startswith("lower_") for name in root.names(folder))
    return is_ethernet and there not in (here, "", "0") and not has_below


def _servers(interface: str, root: Root) -> Iterator[str]:
    """Yield the processes that have the tunnel open (tun_chr_show_fdinfo in drivers/net/tun.c)."""
    for pid in filter(str.isdecimal, root.names("/proc")):
        with suppress(OSError):  # it has ended, or is another user's
            for fd in root.names(f"/proc/{pid}/fdinfo"):
                if f"iff:\t{interface}\n" in (root.text(f"/proc/{pid}/fdinfo/{fd}") or ""):
                    yield f"{root.line(f'/proc/{pid}/comm')} (process {pid})"
