"""Say how the last hibernation went, and why this boot did not resume if so."""

import argparse
from collections.abc import Iterator
from datetime import UTC, datetime

from errors import NoImageError
from linux.machine import boot_id
from state.boot import BootRecord
from state.record import HibernationRecord, Outcome
from state.working_set import ReplayRecord
from torpor.output import print_json, say


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what it takes."""
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(arguments: argparse.Namespace) -> None:
    """Say how it went. Raises StateError, UnreadableError."""
    last, boot, kept = HibernationRecord.read(), BootRecord.read(), ReplayRecord.read()
    replay = kept and kept.as_of_now()
    if arguments.json:
        records = {
            "hibernation": last and last._asdict(),
            "boot": boot and _facts(boot),
            "replay": replay and replay._asdict(),
        }
        print_json(records | {"boot_id": boot_id()})
        return
    for line in _lines(last, boot, boot_id()):
        say(line)
    if replay:
        say(str(replay))


def _facts(boot: BootRecord) -> dict[str, object]:
    kept = [{"device": device, "page": page} for device, page in boot.kept]
    return vars(boot) | {"kept": kept}


def _lines(
    last: HibernationRecord | None, boot: BootRecord | None, this_boot: str
) -> Iterator[str]:
    """Yield what there is to say in the boot `this_boot`."""
    if last is None:
        yield "no hibernation recorded"
    else:
        yield _hibernation(last, boot, this_boot)
    is_missed = last and last.outcome == Outcome.BEGUN and last.boot_id != this_boot
    is_told = last and boot and last.ended == boot.when
    if boot and (is_missed or is_told or boot.exit_code != NoImageError.exit_code):
        yield f"this boot, {_time(boot.when)}, did not resume: {boot.message}"
    elif is_missed:
        yield "this boot did not resume, and its initramfs does not say why: run torpor doctor"


def _hibernation(last: HibernationRecord, boot: BootRecord | None, this_boot: str) -> str:
    where = f" to {last.store}" if last.store else ""
    sealing = f", sealed for {last.sealing}" if last.sealing else ""
    head = f"last hibernation: {_time(last.begun)}{where}{sealing}"
    if last.outcome == Outcome.RESUMED:
        downtime = f", after a downtime of {_duration(last.downtime)}" if last.downtime else ""
        return f"{head}, resumed {_time(last.ended)}{downtime}"
    if last.outcome == Outcome.FAILED:
        seconds = last.ended - last.begun
        downtime = f", {_duration(last.downtime)} of it frozen" if last.downtime else ""
        failed = f"failed after {seconds:.0f} s{downtime}"
        return f"{head}, {failed}: {last.message} (exit code {last.exit_code})"
    if last.outcome == Outcome.REFUSED and not (boot and boot.when == last.ended):
        return f"{head}, not resumed by the boot of {_time(last.ended)}: {last.message}"
    if last.boot_id == this_boot:
        return f"{head}, not finished: it is under way, or was killed"
    return f"{head}, not resumed"


def _duration(seconds: float) -> str:
    """Return it in a unit that suits: seconds, or days if the machine was switched off."""
    for size, unit in ((86400, "days"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.1f} s"


def _time(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"
