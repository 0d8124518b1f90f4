"""enable and disable."""

import argparse
import sys

from cli.output import say
from hibernate.choose import Settings, choose_store, open_store
from kernel import cmdline
from kernel.machine import machine_id
from setup.enable import disable as disable_system
from setup.enable import enable as enable_system
from setup.remarks import remarks
from setup.system import System
from setup.target import target_of
from state.conf import read_conf
from state.location import read_location


def enable(arguments: argparse.Namespace) -> None:
    """Choose the store and make the system hibernate to it."""
    system = System()
    command_line = cmdline.read()
    path = choose_store(arguments.store, Settings(read_conf(), command_line, read_location()))
    with open_store(path):
        target = target_of(path, machine_id())
    enable_system(system, target, say)
    say(f"enabled: systemctl hibernate writes to {path}, and a boot looks there for an image")
    for remark in remarks(system, target, command_line):
        print(f"torpor: {remark}", file=sys.stderr)


def disable(arguments: argparse.Namespace) -> None:
    """Undo enable."""
    if disable_system(System(), say, with_rebuild=not arguments.no_rebuild):
        say("disabled: systemctl hibernate is the kernel's again")
    else:
        say("torpor is not enabled: nothing changed")
