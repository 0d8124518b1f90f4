"""torpor: hibernates a Linux machine and looks after its images."""

import argparse
import io
import signal
import sys
from typing import NoReturn

from errors import TorporError
from format import codec
from format.pipeline import prepare_process
from state.conf import MODES, WORKING_SETS, parse_image_size, parse_size
from torpor import VERSION

_EXAMPLES = """\
examples:
  torpor mkstore /dev/sdb2          prepare an empty device for images
  torpor hibernate                  hibernate to the store that resume= names, or to swap
  torpor verify /dev/sda3           check every byte of the image on a swap partition
  torpor inspect --json image       what is in an image, for a script
  torpor pack stream image          make an image of a snapshot stream
  torpor unpack image - | sha256sum give the stream back

exit codes:
  0 done    2 usage    3 no image there    4 damaged or incomplete    5 not supported
  6 cannot be read or written; the others are in torpor(8)"""


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
    parser = argparse.ArgumentParser(
        prog="torpor",
        description="Hibernate this machine, and look after its images.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"torpor {VERSION}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    _add_image_commands(commands)
    _add_store_commands(commands)
    _add_hibernate_command(commands)
    _add_working_set_command(commands)
    _add_setup_commands(commands)
    _add_report_commands(commands)
    return parser


def _add_image_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    for name, text in (
        ("verify", "check every byte of an image"),
        ("inspect", "say what an image holds, without reading all of it"),
    ):
        command = commands.add_parser(name, help=text, description=f"{text.capitalize()}.")
        command.add_argument(
            "image", metavar="IMAGE", help="a file, store device or swap partition"
        )
        command.add_argument("--json", action="store_true", help="print JSON")
        command.set_defaults(run=_run_on_image)
    command = commands.add_parser(
        "pack", help="make an image of a snapshot stream", description="Make an image of a stream."
    )
    _add_codec(command, default=codec.DEFAULT)
    command.add_argument("stream", metavar="STREAM", help="what /dev/snapshot gave; - for stdin")
    command.add_argument("file", metavar="FILE", help="the image to write")
    command.set_defaults(run=_run_on_image)
    command = commands.add_parser(
        "unpack", help="give an image's snapshot stream", description="Give an image's stream back."
    )
    command.add_argument("file", metavar="FILE", help="a file, store device or swap partition")
    command.add_argument("stream", metavar="STREAM", help="where to write it; - for stdout")
    command.set_defaults(run=_run_on_image)


def _add_codec(command: argparse.ArgumentParser, default: str | None) -> None:
    command.add_argument(
        "--codec",
        choices=codec.NAMES,
        default=default,
        help="how to compress; zstd is for a disk that writes less than 250 MB/s; default: lz4",
    )


def _add_store_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    command = commands.add_parser(
        "mkstore",
        help="prepare a device or a file for images",
        description="Prepare a device of its own, which must be empty and unused, or a new file.",
    )
    command.add_argument(
        "--size", type=_size, metavar="SIZE", help="make a new file of this size (K, M, G) instead"
    )
    command.add_argument("device", metavar="DEVICE|FILE", help="a block device, or the new file")
    command.set_defaults(run=_run_on_store)
    command = commands.add_parser(
        "discard",
        help="throw away the image in a store",
        description="Throw away the image in a store; a swap partition becomes swap again.",
    )
    which = command.add_mutually_exclusive_group(required=True)
    which.add_argument("store", metavar="STORE", nargs="?", help="a store, or swap")
    which.add_argument(
        "--stale",
        metavar="STORE",
        nargs="?",
        const="",
        help="only an image that cannot be restored any more, and use the swap again; "
        "default: those that the resumer of this boot kept",
    )
    command.set_defaults(run=_run_on_store)


def _add_hibernate_command(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    command = commands.add_parser(
        "hibernate",
        help="hibernate now",
        description="Hibernate now. Returns when the machine has been resumed, or with a message "
        "when it could not be hibernated and goes on.",
    )
    command.add_argument(
        "--store",
        metavar="STORE",
        help="a store, or swap that is in use: a path, UUID=, LABEL=, PARTUUID= or PARTLABEL=; "
        "default: torpor.conf's, else resume='s, else torpor enable's, else the largest swap",
    )
    command.add_argument(
        "--image-size",
        metavar="SIZE",
        type=_image_size,
        help="keep the snapshot below this many bytes (suffixes K, M, G); min: as small as "
        "possible, max: as large as the kernel allows; default: what the kernel prefers",
    )
    command.add_argument(
        "--mode",
        choices=MODES,
        help="how to switch off; default: platform where the firmware can, else shutdown",
    )
    _add_codec(command, default=None)
    command.add_argument(
        "--working-set",
        choices=WORKING_SETS,
        help="bring back after the resume what was in memory besides the snapshot; no-paths: "
        "the image names files by their inodes only; default: on",
    )
    command.add_argument(
        "--verify",
        action="store_true",
        help="read the whole image back from the device before it counts",
    )
    command.add_argument(
        "--sleep-hooks",
        action="store_true",
        help="run the programs in /usr/lib/systemd/system-sleep before and after, as systemd does",
    )
    command.set_defaults(run=_run_hibernate)


def _add_working_set_command(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
) -> None:
    command = commands.add_parser(
        "workingset",
        help="record what is in memory, or bring it back",
        description="Record which files and processes are in memory, or bring back what is not any "
        "more: in the background of all else, and only where memory is free.",
    )
    command.add_argument(
        "--no-paths", action="store_true", help="record files by their inodes, not their paths"
    )
    command.add_argument("action", choices=("record", "replay"), help="what to do")
    command.add_argument(
        "file",
        metavar="FILE",
        nargs="?",
        help="where it is recorded; default for replay: what the last hibernation left",
    )
    command.set_defaults(run=_run_working_set, usage_error=command.error)


def _add_setup_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    command = commands.add_parser(
        "enable",
        help="make systemctl hibernate use Torpor",
        description="Choose the store, tell the initramfs and systemd of it, and rebuild the "
        "initramfs. If a step fails, everything is undone.",
    )
    command.add_argument(
        "--store", metavar="STORE", help="a store, or swap that is in use; default: as hibernate"
    )
    command.set_defaults(run=_run_setup)
    command = commands.add_parser(
        "disable",
        help="undo enable",
        description="Undo all that enable did, and rebuild the initramfs.",
    )
    command.add_argument(
        "--no-rebuild", action="store_true", help="leave the rebuilding of the initramfs to you"
    )
    command.set_defaults(run=_run_setup)
    command = commands.add_parser(
        "announce",
        help="tell the kernel and logind where images are",
        description="Tell the kernel, and by it logind, where images are: on a machine without EFI "
        "logind asks for that. Each boot does it, and enable.",
    )
    command.set_defaults(run=_run_setup)
    command = commands.add_parser(
        "rebuild",
        help="make the initramfs of every kernel anew, and look into it",
        description="Run what makes the initramfs of every kernel here, and say what is wrong with "
        "the one that the next boot takes.",
    )
    command.add_argument(
        "--print", action="store_true", help="print the commands instead of running them"
    )
    command.set_defaults(run=_run_setup)


def _add_report_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    command = commands.add_parser(
        "doctor",
        help="say whether hibernation will work, and what to do if not",
        description="Check all that a hibernation and the resume after it need. Changes nothing. "
        "Exits with 0 only if hibernation will work, or will once torpor enable was run.",
    )
    command.add_argument("--json", action="store_true", help="print JSON")
    command.set_defaults(run=_run_report)
    command = commands.add_parser(
        "status",
        help="say how the last hibernation and resume went",
        description="Say how the last hibernation went, and why this boot did not resume if so.",
    )
    command.add_argument("--json", action="store_true", help="print JSON")
    command.set_defaults(run=_run_report)


# Each command imports what it needs: the rest would be 0.1 s of a verification's half second.


def _run_on_image(arguments: argparse.Namespace) -> None:
    from torpor import images

    commands = {
        "verify": images.verify,
        "inspect": images.inspect,
        "pack": images.pack,
        "unpack": images.unpack,
    }
    commands[arguments.command](arguments)


def _run_on_store(arguments: argparse.Namespace) -> None:
    from torpor import stores

    {"mkstore": stores.mkstore, "discard": stores.discard}[arguments.command](arguments)


def _run_hibernate(arguments: argparse.Namespace) -> None:
    from torpor.hibernate import hibernate_command

    hibernate_command(arguments)


def _run_working_set(arguments: argparse.Namespace) -> None:
    if arguments.action == "record" and not arguments.file:
        arguments.usage_error("record needs a FILE")
    if arguments.action == "replay" and arguments.no_paths:
        arguments.usage_error("--no-paths is for record")
    from torpor import workingset

    actions = {"record": workingset.record_command, "replay": workingset.replay_command}
    actions[arguments.action](arguments)


def _run_setup(arguments: argparse.Namespace) -> None:
    from torpor import setup

    commands = {
        "enable": setup.enable,
        "disable": setup.disable,
        "announce": setup.announce,
        "rebuild": setup.rebuild,
    }
    commands[arguments.command](arguments)


def _run_report(arguments: argparse.Namespace) -> None:
    from torpor.report import doctor
    from torpor.status import status

    {"doctor": doctor, "status": status}[arguments.command](arguments)


def _size(text: str) -> int:
    try:
        return parse_size(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _image_size(text: str) -> int:
    try:
        return parse_image_size(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _terminated(number: int, _frame: object) -> NoReturn:
    """End by an exception, so that nothing half-written is left."""
    sys.exit(128 + number)


def main() -> int:
    """Run the program; return its exit code."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Names of files and hosts are not always text that the locale can show.
        sys.stdout.reconfigure(errors="backslashreplace")
    arguments = build_parser().parse_args()
    prepare_process()
    signal.signal(signal.SIGTERM, _terminated)
    try:
        arguments.run(arguments)
    except TorporError as error:
        print(f"torpor: {error}", file=sys.stderr)
        if error.hint:
            print(f"  {error.hint}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except BrokenPipeError:
        return 128 + signal.SIGPIPE
    return 0


if __name__ == "__main__":
    sys.exit(main())
