"""The version and the date, which package/debian/changelog says for all that is made."""

import re
from email.utils import parsedate_to_datetime
from pathlib import Path

CHANGELOG = Path(__file__).resolve().parent / "debian/changelog"


def changelog_date() -> int:
    """Return the date of the last entry, in seconds since 1970."""
    found = re.search(r"^ -- .*>  (.*)$", CHANGELOG.read_text(), re.MULTILINE)
    if found is None:
        raise ValueError(f"{CHANGELOG} has no entry")
    return int(parsedate_to_datetime(found[1]).timestamp())


def changelog_version() -> str:
    """Return the version of the last entry."""
    found = re.match(r"torpor \(([^)]+)\)", CHANGELOG.read_text())
    if found is None:
        raise ValueError(f"{CHANGELOG} has no entry")
    return found[1]
