"""torpor-resume: restores a hibernated machine, or says in one line why not."""

import argparse
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from format import checksum
from format.errors import NoImageError, TorporError
from format.pipeline import prepare_process
from format.reader import ImageReader
from kernel import cmdline, kmsg, mounts, process
from resume.check import check_identity
from resume.errors import NotAskedError, UsageError
from resume.report import NAME, Report, to_kernel_log, to_stderr
from resume.request import Request
from resume.restore import restore
from resume.wait import wait_for_device
from store.header import StoreHeader, read_header
from store.identity import this_machine
from store.image import find_image, opened


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog=NAME,
        description="Restore the hibernated machine that resume= on the kernel command line names. "
        "Meant to be run in an initramfs, before the root file system is mounted.",
        epilog="Exit codes are those of torpor(8).",
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="do everything but restore, and change nothing"
    )
    parser.add_argument(
        "--cmdline", metavar="TEXT", help="use TEXT for the kernel command line (resume=FILE too)"
    )
    return parser.parse_args()


def main() -> int:
    """Run the program; return its exit code. Does not return from a resume."""
    arguments = _parse_arguments()
    prepare_process()
    report = to_stderr if arguments.dry_run else to_kernel_log()
    try:
        if arguments.dry_run:
            rehearse(arguments.cmdline, report)
        else:
            resume(Request.parse(_command_line(arguments.cmdline)), report)
    except TorporError as error:
        quiet = isinstance(error, NoImageError | NotAskedError)
        message = "; ".join([str(error), *getattr(error, "__notes__", [])])
        report(kmsg.INFO if quiet else kmsg.ERR, f"not resuming: {message}")
        return error.exit_code
    return 0


def resume(request: Request, report: Report) -> None:
    """Do what is asked. Raises a TorporError that says why there was no resume."""
    if not mounts.is_initramfs(mounts.read_mounts()):
        raise UsageError("this is no initramfs: a running machine is not overwritten")
    checksum.self_test()
    path = _find(request)
    with opened(path, os.O_RDWR) as fd:
        header = read_header(fd, path)
        with _discarded_unless_restored(header):
            if request.forbidden:
                raise NotAskedError("noresume on the kernel command line")
            image = _open_image(fd, path)
            report(kmsg.INFO, f"loading {describe(image)}")
            restore(image, header)


@contextmanager
def _discarded_unless_restored(header: StoreHeader) -> Iterator[None]:
    """Let no image stay, whatever goes wrong here.

    The boot goes on and mounts the file systems that the image holds open: it is stale from then.
    """
    try:
        yield
    except TorporError as error:
        if header.holds_image():
            error.add_note(f"the image on {header.name} is discarded")
        raise
    finally:
        if header.holds_image():
            header.clear()


def rehearse(text: str | None, report: Report) -> None:
    """Do all that `resume` does but restore, and change nothing; `text` as for --cmdline."""
    checksum.self_test()
    request = Request.parse(_command_line(text))
    if request.forbidden:
        raise NotAskedError("noresume on the kernel command line")
    stands_in = text is not None and os.path.isfile(request.device)
    path = request.device if stands_in else _find(request)
    with opened(path, os.O_RDONLY) as fd:
        image = _open_image(fd, path)
        for _ in image.stream():
            pass
        report(kmsg.INFO, f"would resume: {describe(image)} is sound")


def _command_line(text: str | None) -> str:
    return cmdline.read() if text is None else text


def _find(request: Request) -> str:
    if not request.device:
        raise NotAskedError("no resume= on the kernel command line")
    # A slow machine takes seconds to start us, and a boot does not wait for those on top.
    begun = time.monotonic() - process.age() + request.delay
    time.sleep(request.delay)
    return wait_for_device(request.device, request.timeout, begun)


def _open_image(fd: int, path: str) -> ImageReader:
    image = ImageReader(find_image(fd, path))
    check_identity(image.superblock.identity, this_machine(""))
    return image


def describe(image: ImageReader) -> str:
    """Return the image in a few words."""
    made = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(image.superblock.created_ns // 10**9))
    size = f"{image.stream_bytes >> 20} MiB in {image.stored_bytes >> 20} MiB"
    return f"the image of {image.superblock.identity.host_name} of {made} UTC, {size}"


if __name__ == "__main__":
    sys.exit(main())
