"""What a Debian guest does that keeps its images on a server."""

from vm.lives import Guest
from vm.s3_server import FROM_A_GUEST, S3Server

CREDENTIALS = "/root/keys"
"""A file in the guest."""

_UP = (
    "name=$(ls /sys/class/net | grep -v lo); ip link set $name up; "
    "ip addr replace 10.0.2.15/24 dev $name; ip route replace default via 10.0.2.2"
)


IPCONFIG = "install -D /usr/lib/klibc/bin/ipconfig /usr/lib/initcpio/ipconfig"
"""A command for the guest: klibc's, which that of mkinitcpio-nfs-utils was made from."""


def bring_up(guest: Guest) -> None:
    """Do what a daemon of the guest would do, which has none: after each boot."""
    guest.run(_UP)


def give_credentials(guest: Guest, server: S3Server) -> None:
    """Put them into a file of the guest."""
    authority = server.certificate.authority if server.certificate else ""
    keys = f"access_key={server.access_key}\nsecret_key={server.secret_key}\n{authority}"
    text = keys.replace("\n", "\\n")
    guest.run(f"umask 077; printf '{text}' >{CREDENTIALS}")


def is_empty(url: str) -> str:
    """Return a command for the guest: it succeeds if no image lies at the URL."""
    return f"torpor list {url} | grep -q 'empty, 0 MiB'"


def nothing_is_left(guest: Guest, url: str) -> None:
    """Wait until the restored machine has its image removed; raises GuestError."""
    waiting = f"for _ in $(seq 60); do {is_empty(url)} && exit; sleep 1; done"
    guest.run(f"{waiting}; torpor list {url}; exit 1")


def url_of(server: S3Server, prefix: str) -> str:
    """Return the URL of a store as the guest sees it."""
    return server.url(prefix, FROM_A_GUEST)
