"""Make systemctl hibernate use Torpor: choose the store, and tell the initramfs and systemd of it.

The initramfs is rebuilt and checked. If a step fails, everything is undone.
"""

import argparse
import time
from functools import partial

from hibernate.choose import Settings, choose_store, open_store
from linux import cmdline
from linux.machine import machine_id
from state.conf import read_conf
from state.location import read_location
from torpor.doctor.machine import Machine
from torpor.doctor.rebuilt import after_rebuild
from torpor.enable.enable import enable, take_effect
from torpor.enable.remarks import remarks
from torpor.enable.system import System
from torpor.enable.target import target_of
from torpor.output import remark, say


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what it takes."""
    parser.add_argument(
        "--store", metavar="STORE", help="a store or active swap; default: as for hibernate"
    )


def run(arguments: argparse.Namespace) -> None:
    """Choose the store and make the system hibernate to it."""
    began, command_line = time.time(), cmdline.read()
    path = choose_store(arguments.store, Settings(read_conf(), command_line, read_location()))
    with open_store(path):
        target = target_of(path, machine_id())
    system, look = System(), partial(after_rebuild, Machine(), "torpor enable", began)
    found = enable(system, target, say, look)
    say(f"enabled: systemctl hibernate writes to {path}, and a boot looks there for an image")
    found += take_effect(system, target, command_line)
    remark([*found, *remarks(system, target, command_line)])
