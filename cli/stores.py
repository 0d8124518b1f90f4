"""mkstore, discard and hibernate."""

import argparse
import os
import sys

from cli.output import say
from format.errors import NoImageError
from hibernate.capture import Log, Plan, hibernate
from hibernate.choose import choose_store, resumes_from
from hibernate.power_off import Mode, default_mode
from kernel import cmdline, kmsg
from store.device import make_store
from store.errors import KernelRefusedError
from store.header import read_header
from store.image import opened


def mkstore(arguments: argparse.Namespace) -> None:
    """Prepare a device of its own for images."""
    store_uuid = make_store(arguments.device)
    say(f"{arguments.device} is a store now; to resume from it, boot with resume=UUID={store_uuid}")


def discard(arguments: argparse.Namespace) -> None:
    """Throw the image in a store away and put the store in order."""
    with opened(arguments.store, os.O_RDWR) as fd:
        header = read_header(fd, arguments.store)
        if not header.holds_image():
            raise NoImageError(f"no marked image on {arguments.store}: nothing changed")
        header.clear()
    what = "an empty store" if header.is_store else "swap as before; swapon uses it"
    say(f"the image is discarded: {arguments.store} is {what}")


def hibernate_command(arguments: argparse.Namespace) -> None:
    """Hibernate; return when the machine has been resumed."""
    command_line = cmdline.read()
    store = choose_store(arguments.store, command_line)
    if not resumes_from(store, command_line):
        print(
            f"torpor: warning: resume= does not name {store} on this boot's kernel command line\n"
            "  unless the next boot's does, the machine will start cold",
            file=sys.stderr,
        )
    mode = Mode(arguments.mode) if arguments.mode else default_mode()
    hibernate(Plan(store, mode, arguments.image_size), _kernel_log())
    say("torpor: resumed")


def _kernel_log() -> Log:
    try:
        log = kmsg.KernelLog("torpor")
    except OSError as error:
        raise KernelRefusedError(
            f"cannot write to /dev/kmsg: {error}", "run this as root"
        ) from error
    return lambda message: log.write(kmsg.INFO, message)
