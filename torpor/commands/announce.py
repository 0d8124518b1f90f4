"""torpor announce: tells the kernel, and by it logind, where images are; at each boot."""

import argparse

from linux import cmdline
from state.location import read_location
from torpor.enable.announce import announce


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes: nothing."""
    parser.description = (
        "Tell the kernel, and by it logind, where images are: on a machine without EFI logind "
        "asks for that. Each boot does it, and enable."
    )


def run(_arguments: argparse.Namespace) -> None:
    """Name the place where the next boot looks. Raises SetupError, UnreadableError."""
    announce(cmdline.parse(cmdline.read()), read_location())
