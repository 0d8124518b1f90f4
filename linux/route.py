"""By which interface this machine reaches an address: the kernel's own answer, by rtnetlink(7).

Policy rules decide, too, which no file tells of. By the C library, since the programs hold no
module `socket`.
"""

import ctypes
import os
import struct

from linux.libc import checked, libc

_AF_NETLINK, _SOCK_RAW, _NETLINK_ROUTE = 16, 3, 0
_AF_INET, _AF_INET6 = 2, 10
_RTM_NEWROUTE, _RTM_GETROUTE = 24, 26
_NLM_F_REQUEST = 1
_RTA_DST, _RTA_OIF = 1, 4
"""include/uapi/linux/netlink.h, rtnetlink.h."""
_HEADER = struct.Struct("=IHHII")
"""struct nlmsghdr: length, type, flags, sequence, port."""
_ROUTE = struct.Struct("=8BI")
"""struct rtmsg: family, bits of the destination, six more bytes, flags."""
_ATTRIBUTE = struct.Struct("=HH")
"""struct rtattr: length with this, type."""
_NAME_SIZE = 16
"""Bytes of an interface's name (IFNAMSIZ)."""
_MOST = 1 << 15


def interface_to(address: bytes) -> str:
    """Return the name of the interface, "" where no route leads to the address.

    `address` has the four bytes of IPv4, or the sixteen of IPv6. Raises OSError where the kernel
    cannot be asked.
    """
    number = _number_in(_ask(_question(address)))
    name = ctypes.create_string_buffer(_NAME_SIZE)
    return os.fsdecode(name.value) if number and libc.if_indextoname(number, name) else ""


def _question(address: bytes) -> bytes:
    family = _AF_INET if len(address) == 4 else _AF_INET6
    route = _ROUTE.pack(family, 8 * len(address), 0, 0, 0, 0, 0, 0, 0)
    body = route + _ATTRIBUTE.pack(_ATTRIBUTE.size + len(address), _RTA_DST) + address
    return _HEADER.pack(_HEADER.size + len(body), _RTM_GETROUTE, _NLM_F_REQUEST, 1, 0) + body


def _ask(question: bytes) -> bytes:
    flags = _SOCK_RAW | os.O_CLOEXEC  # SOCK_CLOEXEC is the same bit
    fd = checked(libc.socket(_AF_NETLINK, flags, _NETLINK_ROUTE))
    try:
        os.write(fd, question)
        return os.read(fd, _MOST)
    finally:
        os.close(fd)


def _number_in(answer: bytes) -> int:
    """Return the interface's number; 0 for an error, which says that there is no route."""
    if _HEADER.unpack_from(answer)[1] != _RTM_NEWROUTE:
        return 0
    at = _HEADER.size + _ROUTE.size
    while at + _ATTRIBUTE.size <= len(answer):
        length, kind = _ATTRIBUTE.unpack_from(answer, at)
        if kind == _RTA_OIF:
            return int.from_bytes(answer[at + _ATTRIBUTE.size : at + length], "little")
        at += max(length + 3 & ~3, _ATTRIBUTE.size)
    return 0
