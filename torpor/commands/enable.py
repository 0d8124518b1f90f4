"""Make systemctl hibernate use Torpor: choose the store, and tell the initramfs and systemd of it.

The initramfs is rebuilt and checked. If a step fails, everything is undone.
"""

import argparse
import time
from functools import partial

from linux import cmdline
from linux.root import HOST
from state.conf import read_conf
from state.location import read_location
from store.choose import Settings, choose_store, doubts
from store.names import passing_names
from store.secrecy import exposure
from torpor.doctor.rebuilt import after_rebuild
from torpor.enable.enable import enable, take_effect, target_of
from torpor.enable.system import System
from torpor.output import remark, say


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what it takes."""
    parser.add_argument(
        "--store", metavar="STORE", help="a store or active swap; default: as for hibernate"
    )


def run(arguments: argparse.Namespace) -> None:
    """Choose the store and make the system hibernate to it."""
    began, settings = time.time(), Settings(read_conf(), cmdline.read(), read_location())
    store = choose_store(arguments.store, settings)
    target = target_of(store)
    system, look = System(), partial(after_rebuild, HOST, "torpor enable", began)
    found = enable(system, target, say, look)
    say(f"enabled: systemctl hibernate writes to {store.path}, and a boot looks there for an image")
    settings = settings._replace(location=target.location)
    found += take_effect(system, settings)
    doubted = [*doubts(store, settings), *passing_names(settings), exposure(store)]
    remark(found + [f"{doubt.message}: {doubt.remedy}" for doubt in doubted if doubt])
