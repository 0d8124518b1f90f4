"""Rebuild the initramfs of every kernel, and check the one that the next boot takes."""

import argparse
import time

from errors import command
from initramfs.generators.find import commands, generator_of
from linux.root import Root
from torpor.doctor.rebuilt import after_rebuild
from torpor.enable.enable import rebuild
from torpor.enable.system import System
from torpor.output import remark, say


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what it takes."""
    parser.add_argument(
        "--print", action="store_true", help="print the commands instead of running them"
    )


def run(arguments: argparse.Namespace, root: str = "/") -> None:
    """Rebuild and check the initramfs, or print what would. `root` is the system's.

    Raises NoGeneratorError, SetupError, NotReadyError.
    """
    system, began = System(root), time.time()
    generator = generator_of(system)
    if arguments.print:
        for words in commands(system, generator):
            say(command(*words))
        return
    rebuild(system, generator, say)
    remark(after_rebuild(Root(root), "torpor rebuild", began))
