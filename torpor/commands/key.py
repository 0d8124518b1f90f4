"""Look after the keys that images are sealed for.

list says which this machine has, add makes more, remove takes some away, and rotate makes new ones
in place of those named, or of all. KIND is tpm2, tpm2+pin, passphrase or keyfile=PATH. generate
writes a new private key to FILE and prints the public one, for scripts that use torpor pack
--recipient and torpor verify --identity.
"""

import argparse
import time
from collections.abc import Callable
from functools import partial

from linux import tasks
from linux.root import HOST
from seal.tpm import Tpm
from torpor.doctor.rebuilt import after_rebuild
from torpor.enable.system import System
from torpor.new_keys import kind
from torpor.output import print_json, remark, say

_WORDS = {"generate": "FILE", "list": "", "add": "KIND", "remove": "NAME", "rotate": "NAME"}
"""What each action takes."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what it takes."""
    parser.add_argument("--json", action="store_true", help="list: print JSON")
    parser.add_argument("action", choices=_WORDS, help="what to do")
    parser.add_argument(
        "words",
        metavar="KIND|NAME|FILE",
        nargs="*",
        help="add: kinds of keys; remove, rotate: names of keys; generate: a file that is not "
        "there yet",
    )
    parser.set_defaults(usage_error=parser.error)


def run(arguments: argparse.Namespace) -> None:
    """Do what is asked for. Raises SetupError, UsageError, UnreadableError and others."""
    action, words = arguments.action, arguments.words
    _check(action, words, arguments.usage_error)
    if arguments.json and action != "list":
        arguments.usage_error("--json is for list")
    tasks.forbid_core_dump()
    if action == "generate":
        from seal.identity import generate  # libsodium, for what needs a key only

        say(generate(*words))
    elif action == "list":
        _list(as_json=arguments.json)
    else:
        _change(action, words)


def _check(action: str, words: list[str], usage_error: Callable[[str], None]) -> None:
    takes = _WORDS[action]
    if words and not takes:
        usage_error(f"{action} takes nothing more")
    if takes and not words and action != "rotate":
        usage_error(f"{action} needs a {takes}")
    if action == "generate" and len(words) > 1:
        usage_error("generate takes one FILE")
    if action == "add":
        try:
            for word in words:
                kind(word)
        except argparse.ArgumentTypeError as error:
            usage_error(str(error))


def _list(*, as_json: bool) -> None:
    from torpor.keys import listed

    found = listed(System())
    if as_json:
        print_json([one._asdict() for one in found])
        return
    for one in found:
        say("  ".join(filter(None, (one.name, one.kind, one.public, one.path))))


def _change(action: str, words: list[str]) -> None:
    """Change the keys; rebuild the initramfs if the next boot has to know."""
    from seal.doubts import doubts
    from torpor import keys
    from torpor.enable.keys import change_keys, clear

    system, tpm, began = System(), Tpm(), time.time()
    before = keys.sealing_of(system).keys
    change = {"add": keys.add, "remove": keys.remove, "rotate": keys.rotate}[action]
    look = partial(after_rebuild, HOST, f"torpor key {action}", began)
    remarks = change_keys(system, partial(change, system, words, tpm), say, look)
    after = keys.sealing_of(system).keys
    clear(before, after, tpm)
    say(f"images are sealed for {', '.join(after.slots)}")
    doubted = doubts(after, system)
    remark([*remarks, *(f"{doubt.message}: {doubt.remedy}" for doubt in doubted)])
