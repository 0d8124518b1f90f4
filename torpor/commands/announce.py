"""Tell the kernel, and by it logind, where images are.

On a machine without EFI logind asks for that. Each boot does it, and enable.
"""

import argparse

from linux import cmdline
from state.conf import read_conf
from state.location import read_location
from store.choose import Settings
from torpor.enable.announce import announce


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what it takes: nothing."""


def run(_arguments: argparse.Namespace) -> None:
    """Name the place where the next boot looks. Raises SetupError, UnreadableError."""
    announce(Settings(read_conf(), cmdline.read(), read_location()))
