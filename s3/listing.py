"""The pages of ListObjectsV2.

https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html
"""

import re
from calendar import timegm
from typing import NamedTuple

from errors import ServerError
from s3 import xml

MOST = 8 << 20
"""Bytes of a page: of a thousand keys of 1,024 characters, each of which may be an entity."""
_TIME = re.compile(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.\d+)?Z", re.ASCII)


class Listed(NamedTuple):
    """An object, as a list has it."""

    key: str
    size: int
    """Bytes."""
    modified: float
    """Seconds since 1970."""


class Page(NamedTuple):
    """A part of a list."""

    objects: list[Listed]
    folders: list[str]
    """What the keys of others begin with, up to the delimiter."""
    more: str
    """What the next page is asked for with, "" after the last one."""


def query(prefix: str, delimiter: str, more: str) -> dict[str, str]:
    """Return what asks for a page."""
    given = {"prefix": prefix, "delimiter": delimiter, "continuation-token": more}
    return {"list-type": "2"} | {name: value for name, value in given.items() if value}


def parse(body: bytes, what: str) -> Page:
    """Return a page. Raises ServerError, which `what` begins."""
    text = body.decode("utf-8", "replace")
    try:
        objects = [_listed(one) for one in xml.each(text, "Contents")]
    except ValueError as error:
        raise ServerError(f"{what}: the list is not one of S3: {error}") from error
    folders = [xml.plain(xml.first(one, "Prefix")) for one in xml.each(text, "CommonPrefixes")]
    truncated = xml.first(text, "IsTruncated")
    more = xml.plain(xml.first(text, "NextContinuationToken"))
    if truncated not in ("true", "false") or (truncated == "true") != bool(more):
        raise ServerError(f"{what}: the list does not say whether it goes on")
    return Page(objects, folders, more)


def _listed(text: str) -> Listed:
    key, size, modified = (xml.plain(xml.first(text, n)) for n in ("Key", "Size", "LastModified"))
    time = _TIME.fullmatch(modified)
    if not key or not size.isdecimal() or time is None:
        raise ValueError(f"an object of size '{size[:20]}' of '{modified[:40]}'")
    return Listed(key, int(size), float(timegm(tuple(map(int, time.groups())))))
