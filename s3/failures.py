"""Why a request failed, in words for the user, and whether it is worth another try."""

import ssl
from email.utils import mktime_tz, parsedate_tz
from http.client import HTTPException, IncompleteRead
from typing import NamedTuple

from errors import (
    ConflictError,
    NoObjectError,
    NoSpaceError,
    ServerError,
    TorporError,
    UnreachableError,
)
from s3 import xml
from s3.connection import Answer

_LONGEST = 200
"""Characters of what a server says that are repeated."""
_NOT_FOUND, _BUSY, _CHANGED, _FULL = 404, 409, 412, 507
_CLOCK_MATTERS = {400, 403}
_TRANSIENT = {408, _BUSY, 425, 429}
_LASTING = {501, 505}
"""Of 500 and above."""
_DAMAGED_ON_THE_WAY = {
    *("BadDigest", "IncompleteBody", "RequestTimeout", "XAmzContentSHA256Mismatch"),
}
_OVER_QUOTA = {"QuotaExceeded", "XMinioAdminBucketQuotaExceeded", "XMinioStorageFull"}
_CLOCK = 240
"""Seconds that a clock may be off: servers take 900, some 300."""
_UNITS = ((86400, "day"), (3600, "hour"), (60, "minute"))
_HINTS = {
    "AccessDenied": "its policy has to allow s3:GetObject, PutObject, DeleteObject and ListBucket",
    "ExpiredToken": "get new credentials, and run: torpor enable",
    "InvalidAccessKeyId": "access_key is none that the server knows",
    "NoSuchBucket": "make the bucket: Torpor makes none",
    "SignatureDoesNotMatch": "secret_key is not that of access_key",
}


class Failure(NamedTuple):
    """A try that failed."""

    error: TorporError
    is_final: bool
    """Whether another one would fail as well."""
    least: float = 0.0
    """Seconds to wait before it, as the server asks."""
    clock: float = 0.0
    """The server's time in seconds since 1970, if ours may be why."""


def of_exception(what: str, error: OSError | HTTPException) -> Failure:
    """Return the failure of a request without an answer; `what` says what cannot be done."""
    is_final = isinstance(error, ssl.SSLCertVerificationError)
    kind = ServerError if is_final else UnreachableError
    return Failure(kind(f"{what}: {_why(error)}", _hint_of(error)), is_final)


def _hint_of(error: OSError | HTTPException) -> str:
    said = error.verify_message if isinstance(error, ssl.SSLCertVerificationError) else ""
    if said.endswith(("has expired", "is not yet valid")):
        return "its certificate, or the clock of this machine, has to be set right"
    is_strange = "issuer" in said or "sign" in said
    return "say whose certificates to trust, in the credentials" if is_strange else ""


def _why(error: OSError | HTTPException) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"TLS: {_lower(error.verify_message)}"
    if isinstance(error, ssl.SSLError):
        return f"TLS: {_lower((error.reason or str(error)).replace('_', ' '))}"
    if isinstance(error, IncompleteRead):
        return "the answer was cut off"
    if isinstance(error, OSError):
        return _lower(error.strerror or str(error))
    return f"no answer by HTTP: {_lower(str(error) or type(error).__name__)}"


def _lower(text: str) -> str:
    return text[:_LONGEST].lower().rstrip(".")


def of_answer(what: str, answer: Answer, now: float, *, is_conditional: bool) -> Failure:
    """Return the failure that an answer is; `now` is the time that the request had in it."""
    status, code = answer.status, _said(answer, "Code")
    words, message = f"{status} {code}".rstrip(), _said(answer, "Message").rstrip(".")
    why = f"{what}: {words}: {message}" if message else f"{what}: {words}"
    is_gone = status == _NOT_FOUND and code != "NoSuchBucket"
    if is_conditional and status in (_BUSY, _CHANGED):
        return Failure(ConflictError(why), is_final=True)
    if is_gone:
        return Failure(NoObjectError(why), is_final=True)
    if status == _FULL or code in _OVER_QUOTA:
        return Failure(NoSpaceError(why), is_final=True)
    if clock := _other_clock(answer, now):
        off = f"{what}: the clock is off by {duration(abs(clock - now))}: {words}"
        return Failure(ServerError(off), is_final=False, clock=clock)
    passes = status in _TRANSIENT or (status >= 500 and status not in _LASTING)
    is_final = not passes and code not in _DAMAGED_ON_THE_WAY
    kind = UnreachableError if passes else ServerError
    return Failure(kind(why, _hint(answer, code)), is_final, _retry_after(answer))


def _said(answer: Answer, name: str) -> str:
    """Return what the server's XML says, on one short line."""
    text = xml.first(answer.body.decode("utf-8", "replace"), name)
    return " ".join(xml.plain(text).split())[:_LONGEST].rstrip()


def _hint(answer: Answer, code: str) -> str:
    region = answer.headers.get("x-amz-bucket-region", "")
    if region and answer.status in (301, 307, 400):
        return f"the bucket's region may be another one: region={region[:_LONGEST]}"
    return _HINTS.get(code, "")


def _retry_after(answer: Answer) -> float:
    seconds = answer.headers.get("retry-after", "")
    return float(seconds) if seconds.isdecimal() else 0.0


def _other_clock(answer: Answer, now: float) -> float:
    """Return the server's time, 0 unless it is another one and that may matter."""
    date = parsedate_tz(answer.headers.get("date", ""))
    if answer.status not in _CLOCK_MATTERS or date is None:
        return 0.0
    try:
        clock = float(mktime_tz(date))
    except (ValueError, OverflowError):
        return 0.0
    return clock if abs(clock - now) > _CLOCK else 0.0


def duration(seconds: float) -> str:
    """Return about how long a time is, in words of one unit: "1 day", "3 hours"."""
    fitting = ((size, unit) for size, unit in _UNITS if seconds > 0.95 * size)
    size, unit = next(fitting, (1, "second"))
    count = round(seconds / size)
    return f"{count} {unit}" if count == 1 else f"{count} {unit}s"
