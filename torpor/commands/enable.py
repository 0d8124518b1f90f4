"""Make systemctl hibernate use Torpor: choose the store, and tell the initramfs and systemd of it.

With --seal, images are encrypted, and the next boots restore none but those that this machine
sealed. The initramfs is rebuilt and checked. If a step fails, everything is undone.
"""

import argparse
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial

from linux import cmdline, tasks
from linux.root import HOST
from s3.scheme import is_server
from seal.tpm import Tpm
from state.conf import read_conf
from state.location import read_location
from state.sealing import PATH as SEALING
from store.choose import Doubt, Settings, choose_store, doubts
from store.names import passing_names
from store.secrecy import exposure, remains
from torpor.doctor.rebuilt import after_rebuild
from torpor.enable.enable import enable, take_effect, target_of
from torpor.enable.system import System
from torpor.new_keys import KINDS, kind
from torpor.output import remark, say

OFF = "off"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what it takes."""
    parser.add_argument(
        "--store", metavar="STORE", help="a store or active swap; default: as for hibernate"
    )
    parser.add_argument(
        "--seal",
        metavar=f"{KINDS}|{OFF}",
        action="append",
        type=lambda word: word if word == OFF else kind(word),
        help="seal images for a key of this kind, which may be given several times; keys that are "
        "there stay; off: seal no more; default: as before",
    )
    parser.add_argument(
        "--credentials",
        metavar="FILE",
        help="of a store on a server, s3+https://HOST/BUCKET: a file with lines access_key=… and "
        "secret_key=…; default: those kept, else they are asked for",
    )
    parser.set_defaults(usage_error=parser.error)


def run(arguments: argparse.Namespace) -> None:
    """Choose the store and make the system hibernate to it."""
    kinds: list[str] = arguments.seal or []
    if OFF in kinds and kinds != [OFF]:
        arguments.usage_error("--seal off goes with no other --seal")
    began, settings = time.time(), Settings(read_conf(), cmdline.read(), read_location())
    system, look = System(), partial(after_rebuild, HOST, "torpor enable", began)
    was_sealed = system.exists(SEALING)
    with ExitStack() as undo:
        _make_ready(system, arguments, undo)
        store = choose_store(arguments.store, settings)
        target = target_of(store)
        found = enable(system, target, say, look, _sealing(system, kinds))
        undo.pop_all()
    say(f"enabled: systemctl hibernate writes to {store.path}, and a boot looks there for an image")
    doubted: list[Doubt | None] = [*_tell(system, kinds)]
    settings = settings._replace(location=target.location)
    found += take_effect(system, settings)
    doubted += [*doubts(store, settings), *passing_names(settings), exposure(store)]
    if system.exists(SEALING) and not was_sealed:
        doubted.append(remains(store))
    remark(found + [f"{doubt.message}: {doubt.remedy}" for doubt in doubted if doubt])


def _make_ready(system: System, arguments: argparse.Namespace, undo: ExitStack) -> None:
    """Make the store on a server that is named, if one is."""
    if not arguments.store or not is_server(arguments.store):
        if arguments.credentials:
            arguments.usage_error("--credentials goes with --store s3+https://…")
        return
    from torpor.credentials import credentials_of
    from torpor.enable.server import keep, make_ready  # HTTP and TLS, for such a store only

    if new := credentials_of(arguments.credentials, system):
        keep(system, new, undo)
    make_ready(arguments.store)


def _sealing(system: System, kinds: list[str]) -> Callable[[ExitStack], object] | None:
    """Return what switches sealing on or off, None where that stays as it is."""
    if kinds == [OFF]:
        return partial(system.remove, SEALING)
    if not kinds:
        return None
    from torpor.keys import seal_for

    tasks.forbid_core_dump()
    return partial(seal_for, system, kinds, Tpm())


def _tell(system: System, kinds: list[str]) -> list[Doubt]:
    """Say what came of --seal, forget the keys if it is off; return what is doubtful of them."""
    if not kinds:
        return []
    from seal import doubts as of_keys
    from torpor.enable.keys import forget, sealed

    if found := sealed(system):
        say(f"images are sealed for {', '.join(found.keys.slots)}, and no others are restored")
        return [*of_keys.doubts(found.keys, system)]
    forget(system, Tpm())
    say("images are not sealed any more; the keys are removed")
    return []
