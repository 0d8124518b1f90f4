"""What the commands share that look at all machines on a server."""

import argparse
from collections.abc import Iterator

from s3.client import Client
from s3.url import ServerUrl
from state.server import read_credentials
from store.server.machines import Machine, Said, client_below, machines, said_by


def add_url(parser: argparse.ArgumentParser) -> None:
    """Add URL."""
    parser.add_argument(
        "url", metavar="URL", help="as torpor enable --store takes it: s3+https://HOST/BUCKET"
    )


def looked_at(url: str) -> Iterator[tuple[Machine, Said, Client]]:
    """Yield each machine below the URL, what its head says, and what leads there.

    Raises ConfigurationError, ServerError.
    """
    above = Client(ServerUrl.parse(url), read_credentials())
    for machine in machines(above):
        client = client_below(above, machine.machine_id)
        yield machine, said_by(client), client
