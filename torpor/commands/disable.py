"""Undo all that enable did, and rebuild the initramfs."""

import argparse
import time
from functools import partial

from linux.root import HOST
from torpor.doctor.rebuilt import after_disable
from torpor.enable.enable import disable
from torpor.enable.system import System
from torpor.output import remark, say


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what it takes."""
    parser.add_argument("--no-rebuild", action="store_true", help="do not rebuild the initramfs")


def run(arguments: argparse.Namespace) -> None:
    """Undo enable."""
    look = None if arguments.no_rebuild else partial(after_disable, HOST, time.time())
    remark(disable(System(), say, look))
