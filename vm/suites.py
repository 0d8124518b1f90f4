"""The Debian systems that guests run: one line each, with all that differs between them."""

import platform
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Suite:
    """A Debian system: where its packages come from, its kernels, and what else a guest needs.

    Backports may be among the releases: apt takes from there only what is nowhere else.
    """

    name: str
    releases: str
    series: tuple[str, ...]
    """Of its kernels that are tried, the oldest first."""
    packages: str = ""

    @property
    def codename(self) -> str:
        """The release that the system is made from."""
        return self.releases.split()[0]


NEWEST = "newest"
"""Stands for the series of a suite's newest kernel."""

TRIXIE = "trixie trixie-updates trixie-security trixie-backports"
SUITES = {
    suite.name: suite
    for suite in (
        Suite("12", "bookworm bookworm-updates bookworm-security", ("6.1", "6.12")),
        Suite("13", TRIXIE, ("6.12", NEWEST), "systemd-cryptsetup"),
        Suite("unstable", "sid", (NEWEST,), "systemd-cryptsetup"),
    )
}
"""The oldest first."""


def suites_from_here() -> list[Suite]:
    """Return the suites on which programs run that were made here, the oldest first.

    They want a C library that is no older than the host's: where the host is none of the suites,
    that of the newest.
    """
    here = platform.freedesktop_os_release().get("VERSION_CODENAME")
    suites = list(SUITES.values())
    codenames = [suite.codename for suite in suites]
    return suites[codenames.index(here) :] if here in codenames else suites[-1:]
