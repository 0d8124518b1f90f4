"""Check everything that a hibernation and its resume need.

Changes nothing. The exit status is 0 only if hibernation will work, or will after torpor enable.
"""

import argparse
from collections.abc import Iterable
from functools import partial

from errors import NotReadyError
from linux.root import HOST
from torpor.doctor.examine import examine
from torpor.doctor.finding import Finding, Level
from torpor.enable.enable import can_hibernate
from torpor.enable.system import System
from torpor.output import print_json, say

_FIELDS = ("level", "message", "remedy")
_WORDS = {
    Level.OK: "ok",
    Level.ENABLE: "not yet",
    Level.WARNING: "warning",
    Level.PROBLEM: "PROBLEM",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what it takes."""
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(arguments: argparse.Namespace) -> None:
    """Examine this machine. Raises NotReadyError if hibernation will not work."""
    report(examine(HOST, partial(can_hibernate, System())), as_json=arguments.json)


def report(findings: Iterable[Finding], *, as_json: bool) -> None:
    """Print the findings as they come. Raises NotReadyError if there is a problem among them."""
    made = []
    for finding in findings:
        made.append(finding)
        if not as_json:
            say(f"{_WORDS[finding.level]:8} {finding.message}")
            if finding.remedy:
                say(f"{'':8}   {finding.remedy}")
    if as_json:
        print_json([{name: getattr(finding, name) for name in _FIELDS} for finding in made])
    problems = sum(finding.level == Level.PROBLEM for finding in made)
    if problems:
        count = f"{problems} problems" if problems > 1 else "1 problem"
        raise NotReadyError(f"not ready to hibernate: {count}")
