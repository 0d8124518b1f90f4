"""List the images of all machines on a server.

No key is asked for: what is listed is what the server says.
"""

import argparse
import time

from errors import TorporError
from seal.recipients import words
from store.server.machines import Machine, Said
from torpor.output import print_json, say
from torpor.server import add_url, looked_at

_UNITS = ((86400, "days"), (3600, "h"), (60, "min"))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what it takes."""
    add_url(parser)
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(arguments: argparse.Namespace) -> None:
    """List them. Raises ConfigurationError, ServerError."""
    found = [(machine, said) for machine, said, _ in looked_at(arguments.url)]
    if arguments.json:
        print_json([_facts(machine, said) for machine, said in found])
        return
    if not found:
        say(f"no machine has a store at {arguments.url}")
    for machine, said in found:
        say(_line(machine, said, time.time()))


def _facts(machine: Machine, said: Said) -> dict[str, object]:
    """Return what there is to say of a machine, for a script."""
    facts = {**machine._asdict(), "state": said.state, "trouble": said.trouble}
    if said.superblock is None:
        return facts
    return facts | {
        "image_uuid": str(said.superblock.image_uuid),
        "created": said.superblock.created_ns / 10**9,
        "host_name": said.superblock.identity.host_name,
        "kernel_release": said.superblock.identity.kernel_release,
        "sealed_for": _sealed_for(said),
    }


def _line(machine: Machine, said: Said, now: float) -> str:
    """Return the same in a line."""
    line = f"{machine.machine_id}  {said.state}, {machine.size >> 20} MiB"
    if said.trouble:
        return f"{line}: {said.trouble}"
    if said.superblock is None:
        return line
    identity = said.superblock.identity
    age = _duration(now - said.superblock.created_ns / 10**9)
    sealed_for = ", ".join(_sealed_for(said)) or "nobody any more"
    return (
        f"{line}, {age} old, of {identity.host_name}, Linux {identity.kernel_release}, sealed for "
        f"{sealed_for}"
    )


def _sealed_for(said: Said) -> list[str]:
    seal = said.superblock and said.superblock.seal
    try:
        return words(seal.recipients) if seal else []
    except TorporError:
        return []


def _duration(seconds: float) -> str:
    for size, unit in _UNITS:
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"
