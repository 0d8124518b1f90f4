"""Hibernate now; return after the resume.

If anything fails, the machine goes on, and a message says why.
"""

import argparse
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial

from errors import KernelRefusedError
from hibernate.plan import largest_image
from linux import kmsg
from linux.kmsg import Log
from state.conf import MODES, ON, WORKING_SETS, Conf, parse_image_size, read_conf
from state.record import recording
from torpor.arguments import add_codec, size
from torpor.output import say, warn
from workingset.recorder import Recorder


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what it takes."""
    parser.add_argument(
        "--store",
        metavar="STORE",
        help="write to this store or active swap: a path, UUID=, LABEL=, PARTUUID= or PARTLABEL=; "
        "default: torpor.conf's, else resume='s, else torpor enable's, else the largest swap",
    )
    parser.add_argument(
        "--image-size",
        metavar="min|max|SIZE",
        type=size(parse_image_size),
        help="limit the snapshot to this many bytes (suffixes K, M, G, T); min: the smallest that "
        "the kernel can make, max: the largest; default: what the kernel prefers",
    )
    parser.add_argument(
        "--mode",
        choices=MODES,
        help="how to power off; default: platform if the firmware has it, else shutdown",
    )
    add_codec(parser, default=None)
    parser.add_argument(
        "--working-set",
        choices=WORKING_SETS,
        help="bring back after the resume what was in memory besides the snapshot; no-paths: "
        "record inodes in place of file names; default: on",
    )
    parser.add_argument(
        "--verify",
        action="store_true",
        help="read the whole image back from the device before it counts",
    )
    parser.add_argument(
        "--sleep-hooks",
        action="store_true",
        help="run the programs in /usr/lib/systemd/system-sleep before and after, as systemd does",
    )


def run(arguments: argparse.Namespace) -> None:
    """Hibernate; return when the machine has been resumed. Raises a TorporError if it goes on."""
    with recording(warn) as under_way, _kernel_log() as log:
        conf = _conf(arguments, read_conf())
        with Recorder(conf.working_set or ON, largest_image(conf.image_size), log) as working_set:
            from torpor.hibernation import hibernate  # half of all imports, while that records

            hibernate(arguments, conf, under_way, working_set, log)
    say("torpor: resumed")


def _conf(arguments: argparse.Namespace, conf: Conf) -> Conf:
    """Return the configuration; what the arguments say comes first."""
    names = ("image_size", "mode", "codec", "working_set")
    said = {name: value for name in names if (value := getattr(arguments, name)) is not None}
    return conf._replace(**said)


@contextmanager
def _kernel_log() -> Iterator[Log]:
    try:
        log = kmsg.KernelLog("torpor")
    except OSError as error:
        raise KernelRefusedError(
            f"cannot write to /dev/kmsg: {error}", "run this as root"
        ) from error
    with closing(log):
        yield partial(log.write, kmsg.INFO)
