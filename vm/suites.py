"""The Debian systems that guests run: one line each, with all that differs between them."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Suite:
    """A Debian system: where its packages come from, and what a guest needs besides the others'.

    Backports may be among the releases: apt takes from there only what is nowhere else.
    """

    name: str
    releases: str
    packages: str = ""

    @property
    def codename(self) -> str:
        """The release that the system is made from."""
        return self.releases.split()[0]


SUITES = {
    suite.name: suite
    for suite in (
        Suite("12", "bookworm bookworm-updates bookworm-security"),
        Suite("13", "trixie trixie-updates trixie-security trixie-backports", "systemd-cryptsetup"),
        Suite("unstable", "sid", "systemd-cryptsetup"),
    )
}
