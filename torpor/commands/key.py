"""Make a key that images are sealed for.

generate writes a new private key to FILE and prints the public one, for scripts that use torpor
pack --recipient and torpor verify --identity.
"""

import argparse

from torpor.output import say


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what it takes."""
    parser.add_argument("action", choices=("generate",), help="what to do")
    parser.add_argument("file", metavar="FILE", help="a file that is not there yet")


def run(arguments: argparse.Namespace) -> None:
    """Do what is asked for. Raises UnreadableError."""
    from seal.identity import generate  # libsodium, for what needs a key only

    say(generate(arguments.file))
