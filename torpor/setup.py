"""enable, disable, rebuild and announce."""

import argparse
import sys
import time
from collections.abc import Iterable
from functools import partial

from errors import TorporError
from hibernate.choose import Settings, choose_store, open_store
from initramfs.generators.rebuild import commands, generator_of
from linux import cmdline
from linux.machine import machine_id
from state.conf import read_conf
from state.location import read_location
from torpor.doctor.machine import Machine
from torpor.doctor.rebuilt import after_disable, after_rebuild
from torpor.enable import announce as announcing
from torpor.enable import units
from torpor.enable.enable import disable as disable_system
from torpor.enable.enable import enable as enable_system
from torpor.enable.initramfs import rebuild as rebuild_initramfs
from torpor.enable.remarks import remarks
from torpor.enable.system import System
from torpor.enable.target import target_of
from torpor.output import say

_KEPT = (
    "the kernel keeps what is named in /sys/power/resume, and logind may refuse systemctl hibernate"
)


def enable(arguments: argparse.Namespace) -> None:
    """Choose the store and make the system hibernate to it."""
    system = System()
    command_line = cmdline.read()
    path = choose_store(arguments.store, Settings(read_conf(), command_line, read_location()))
    with open_store(path):
        target = target_of(path, machine_id())
    look = partial(after_rebuild, Machine(), "torpor enable", time.time())
    found = enable_system(system, target, say, look)
    say(f"enabled: systemctl hibernate writes to {path}, and a boot looks there for an image")
    if units.is_booted(system):
        _tell_kernel_and_logind(system, arguments)
    _remark([*found, *remarks(system, target, command_line)])


def _tell_kernel_and_logind(system: System, arguments: argparse.Namespace) -> None:
    """Do what the next boot would: that it cannot be done is no reason to undo the rest."""
    for step in (partial(announce, arguments), partial(units.let_logind_see, system)):
        try:
            step()
        except TorporError as error:
            _remark([str(error)])


def announce(_arguments: argparse.Namespace) -> None:
    """Tell the kernel, and by it logind, where images are."""
    announcing.announce(cmdline.parse(cmdline.read()), read_location())


def disable(arguments: argparse.Namespace) -> None:
    """Undo enable."""
    began = time.time()
    is_undone = disable_system(System(), say, with_rebuild=not arguments.no_rebuild)
    is_retracted = announcing.retract()
    if not is_undone:
        say("torpor is not enabled: nothing changed")
        return
    say("disabled: systemctl hibernate is the kernel's again")
    if not is_retracted:
        _remark([f"until the next boot {_KEPT}"])
    if not arguments.no_rebuild:
        _remark(after_disable(Machine(), began))


def rebuild(arguments: argparse.Namespace) -> None:
    """Have the initramfs made anew, and look into it; or print what makes it."""
    system, began = System(), time.time()
    generator = generator_of(system)
    if arguments.print:
        for command in commands(system, generator):
            say(" ".join(command))
        return
    rebuild_initramfs(system, generator, say)
    _remark(after_rebuild(Machine(), "torpor rebuild", began))


def _remark(lines: Iterable[str]) -> None:
    for line in lines:
        print(f"torpor: {line}", file=sys.stderr)
