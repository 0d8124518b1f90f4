"""Guests that seal their images: how they are told to, and how their boots are answered."""

import re

from tests.vm.conftest import Guests
from tests.vm.cuts import refusals
from tests.vm.whole_lives import check_resumed
from vm.lives import Guest
from vm.networked import CREDENTIALS, bring_up, give_credentials, url_of
from vm.s3_server import S3Server

PASSPHRASE = "correct horse"
PIN = "2718281"
ASKS_PASSPHRASE = "Passphrase of the hibernated session"
ASKS_PIN = "PIN of the hibernated session"
ANSWERS = {ASKS_PASSPHRASE: PASSPHRASE, ASKS_PIN: PIN}
LATE_SECONDS = 2.0
LIMIT_SECONDS = 1500.0

WAITS = "torpor.timeout=60"
"""On the kernel command line: how long a boot waits for a server; emulated, 10 s are too short."""

MachineKind = tuple[str, str, str]
"""Generator, one of vm.debian.SEALING or NETWORK; suite; series of the kernel."""


def machine(kind: MachineKind, guests: Guests) -> Guest:
    """Return a guest of this kind that runs, with swap on a partition."""
    generator, suite, series = kind
    return guests.with_swap(
        generator, series, suite=suite, options="sw,nofail", limit=LIMIT_SECONDS
    )


def seal(guest: Guest, *kinds: str, store: str = "", typed: str = PASSPHRASE) -> str:
    """Seal for keys of these kinds, and boot the initramfs that knows of it.

    `store` is an argument of --store, and options may follow it. Return what `torpor enable` says.
    """
    guest.rebuild_outside()
    options = " ".join(f"--seal {kind}" for kind in kinds) + (f" --store {store}" if store else "")
    answers = {"passphrase": typed, "tpm2+pin": PIN}
    lines = "".join(f"{answers[kind]}\\n" for kind in kinds if kind in answers)
    said = guest.run(f"printf '{lines}' | torpor enable {options}").output
    guest.boot_rebuilt()
    # Until torpor-announce.service has run logind says no, where there is no EFI.
    guest.run("systemctl is-system-running --wait", check=False)
    return said


def on_server(kind: MachineKind, guests: Guests, server: S3Server) -> tuple[Guest, str]:
    """Return a guest that runs and has its store on the server, and the URL of that."""
    generator, suite, series = kind
    guest = guests.make(generator, series, suite=suite)
    guest.network, guest.limit, guest.append = True, LIMIT_SECONDS, WAITS
    guest.boot()
    return guest, move_to_server(guest, server)


def move_to_server(guest: Guest, server: S3Server) -> str:
    """Have the store of a guest that runs on the server; return its URL."""
    bring_up(guest)
    give_credentials(guest, server)
    url = url_of(server, guest.folder.parent.name)
    said = seal(guest, "passphrase", store=f"{url} --credentials {CREDENTIALS}")
    assert "does not hold" not in said, said
    bring_up(guest)
    return url


def resume(guest: Guest, asks: str = "") -> None:
    """Resume; answer the one question, if there has to be one."""
    guest.resume(ANSWERS.get(asks, ""), asks, LATE_SECONDS)
    check_resumed(guest)
    asked = re.findall("|".join(ANSWERS), guest.console)
    assert asked == [asks] if asks else not asked, asked


def boot_cold(guest: Guest) -> str:
    """Boot without a resume; return the one line that says why."""
    guest.boot()
    (refusal,) = refusals(guest)
    return refusal
