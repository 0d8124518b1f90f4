"""A part of an object: how it is asked for, and whether an answer is that part and no other."""

import re
from typing import NamedTuple

from errors import IncompleteError, ServerError
from s3.connection import PARTIAL, Answer
from s3.failures import Failure

GOOD = (200, PARTIAL, 416)
"""Answers that `Range.misfit` judges: 200 ignores the range, 416 has not one byte of it."""
_TOLD = re.compile(r"bytes (?:\d{1,19}-\d{1,19}|\*)/(\d{1,19})", re.ASCII)


class Range(NamedTuple):
    """Some bytes of an object."""

    offset: int
    size: int

    @property
    def header(self) -> dict[str, str]:
        """What a request has of it."""
        return {"Range": f"bytes={self._bytes}"}

    @property
    def _bytes(self) -> str:
        return f"{self.offset}-{self.offset + self.size - 1}"

    def misfit(self, what: str, answer: Answer) -> Failure | None:
        """Return why an answer of GOOD is not this part, None if it is; `what` begins the words."""
        if answer.status not in (PARTIAL, 416):
            return Failure(ServerError(f"{what}: the server ignores ranges"), is_final=True)
        said = answer.headers.get("content-range", "")
        told = _TOLD.fullmatch(said)
        end = self.offset + self.size
        if told and int(told[1]) < end:
            short = f"{what}: it has {told[1]} bytes, {end} were expected"
            return Failure(IncompleteError(short), is_final=True)
        if answer.status == 416 and not said:  # Ceph's, which does not say how many it has
            short = f"{what}: it has no byte {self.offset}, {end} were expected"
            return Failure(IncompleteError(short), is_final=True)
        length = answer.headers.get("content-length", "")
        if told and said.startswith(f"bytes {self._bytes}/") and length == str(self.size):
            return None
        wrong = f"{what}: not what was asked for: {length} bytes, '{said[:60]}'"
        return Failure(ServerError(wrong), is_final=False)
