"""How the last hibernation went: a small JSON file on the disk."""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from typing import Any, NamedTuple, Self

from errors import StateError, TorporError, UnreadableError, of_system
from linux.machine import boot_id
from state.boot import MAX_TIME, BootRecord
from state.files import read_text, write_text

HIBERNATION_PATH = "/var/lib/torpor/hibernation.json"


class Outcome(StrEnum):
    """How far a hibernation got."""

    BEGUN = "begun"
    """The machine was about to be frozen. In another boot: it never came back."""
    FAILED = "failed"
    """Undone; the machine went on."""
    RESUMED = "resumed"
    REFUSED = "refused"
    """A boot did not restore the image, and said why."""


class HibernationRecord(NamedTuple):
    """The last hibernation."""

    outcome: Outcome
    begun: float
    """Seconds since 1970, UTC; as all times here."""
    ended: float
    """When it failed, was resumed or refused, or 0."""
    boot_id: str
    """The boot in which it began (/proc/sys/kernel/random/boot_id)."""
    store: str
    image_uuid: str
    exit_code: int
    message: str
    """Why it failed or was refused, or ""."""
    downtime: float = 0.0
    """Seconds from the first task that was stopped to the last one that went on, whether the
    machine was on or off; of all attempts. 0 if nothing was stopped."""
    sealing: str = ""
    """Names of the keys that the image was sealed for, "" for one in the clear."""

    def save(self, path: str | None = None) -> None:
        """Keep it. Raises UnreadableError."""
        write_text(path or HIBERNATION_PATH, json.dumps(self._asdict(), indent=2) + "\n")

    @classmethod
    def read(cls, path: str | None = None) -> Self | None:
        """Return the last one, None if there was none. Raises StateError, UnreadableError."""
        path = path or HIBERNATION_PATH
        found = read_fields(path, cls.__annotations__ | {"still": float})
        if found is None:
            return None
        found.setdefault("downtime", found.pop("still", 0.0))  # Torpor 0.1.0's name
        try:
            return cls(**{**found, "outcome": Outcome(found["outcome"])})
        except (TypeError, ValueError, KeyError) as error:
            raise StateError(f"{path} is not what torpor writes") from error


class Recording:
    """The record of a hibernation that is under way."""

    __slots__ = ("record", "warn")

    def __init__(self, record: HibernationRecord, warn: Callable[[str, str], None]) -> None:
        """`warn` takes a message and its consequence."""
        self.record = record
        self.warn = warn

    def keep(self, record: HibernationRecord) -> None:
        """Save the record; that this fails is no reason not to hibernate."""
        self.record = record
        try:
            record.save()
        except UnreadableError as error:
            self.warn(str(error), "torpor status will not know of this hibernation")

    def keep_failure(self, error: TorporError) -> None:
        """Save that it failed now, and why."""
        failed = self.record._replace(outcome=Outcome.FAILED, ended=time.time())
        self.keep(failed._replace(exit_code=error.exit_code, message=str(error)))


@contextmanager
def recording(warn: Callable[[str, str], None]) -> Iterator[Recording]:
    """Record how the block ends: when it is left the machine goes on, resumed or not.

    An OSError leaves it as an UnreadableError.
    """
    here = Recording(
        HibernationRecord(Outcome.BEGUN, time.time(), 0, boot_id(), "", "", 0, ""), warn
    )
    try:
        yield here
    except TorporError as error:
        here.keep_failure(error)
        raise
    except OSError as error:
        told = of_system(error)
        here.keep_failure(told)
        raise told from error
    here.keep(here.record._replace(outcome=Outcome.RESUMED, ended=time.time()))


def keep_refusal(this_boot: str) -> None:
    """Leave to later boots, in which /run is another, why `this_boot` did not resume.

    Raises StateError, UnreadableError.
    """
    last, boot = HibernationRecord.read(), BootRecord.read()
    if last and boot and last.outcome == Outcome.BEGUN and last.boot_id != this_boot:
        refused = last._replace(outcome=Outcome.REFUSED, ended=boot.when)
        refused._replace(exit_code=boot.exit_code, message=boot.message).save()


def read_fields(path: str, known: Mapping[str, object]) -> dict[str, Any] | None:
    """Return these of the fields in a file of JSON, None where there is no file.

    `known` has their types; others are of an older or a newer version. Raises StateError,
    UnreadableError.
    """
    text = read_text(path)
    if text is None:
        return None
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise StateError(f"{path} is not what torpor writes")
    said = {name: value for name, value in found.items() if name in known}
    if not all(_is_of(known[name], value) for name, value in said.items()):
        raise StateError(f"{path} is not what torpor writes")
    return said


def _is_of(kind: object, value: object) -> bool:
    """Return whether a value can be a field of this type; of counts by name for all other types."""
    if kind is float or kind is int:
        if not isinstance(value, int | float) or type(value) not in (int, kind):
            return False
        return 0 <= value < MAX_TIME
    if isinstance(kind, type) and issubclass(kind, str):
        return isinstance(value, str)
    return isinstance(value, dict) and all(_is_of(int, count) for count in value.values())
