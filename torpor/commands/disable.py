"""Undo all that enable did, and rebuild the initramfs.

Sealing ends with its keys: an image that is sealed for them is not restored any more.
"""

import argparse
import time
from functools import partial

from linux.root import HOST
from seal.tpm import Tpm
from state import sealing
from torpor.doctor.rebuilt import after_disable
from torpor.enable.enable import disable
from torpor.enable.system import System
from torpor.output import remark, say


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what it takes."""
    parser.add_argument("--no-rebuild", action="store_true", help="do not rebuild the initramfs")


def run(arguments: argparse.Namespace) -> None:
    """Undo enable."""
    system = System()
    if sealing.is_on():
        from torpor.enable.keys import forget  # libsodium, where sealing is on

        forget(system, Tpm())
    look = None if arguments.no_rebuild else partial(after_disable, HOST, time.time())
    remark(disable(system, say, look))
