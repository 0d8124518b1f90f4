"""doctor, enable and hibernate, as commands, on the same machine: same store, place and reasons."""

import io
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from hibernate.plan import Plan
from initramfs.generators.generator import Target
from linux import cmdline, kmsg, root
from linux.line import one_line
from state import conf, location
from state.conf import Conf
from state.location import Location
from store.choose import location_of
from store.find import look_at
from tests.forge import KERNEL, SWAP, USER
from tests.unit.fake_machine import GIB, MACHINE_ID, UUID_TEXT, FakeMachine, header
from tests.unit.fake_root import FILE_PAGE, FakeRoot, say_udev
from tests.unit.pace import AT_ANY_PACE
from torpor import hibernation
from torpor.__main__ import main
from torpor.commands import doctor, enable
from torpor.doctor.facts import Facts

SDA1, SDA2 = "UUID=aaaaaaaa-0000-0000-0000-000000000000", f"UUID={UUID_TEXT}"
SDA4 = "UUID=dddddddd-0000-0000-0000-000000000000"
WARNING = "torpor: warning: "
PAGES = {
    "store": header(USER, b"TORPSTOR"),
    "swap": header(SWAP),
    "the kernel's": header(KERNEL),
    "another's": header(USER),
    "nothing": bytes(4096),
}
"""What may be in a first page."""
TOO_LONG = "9" * 5000 + ":1"
LUKS = f"CRYPT-LUKS2-{'0' * 32}-mapped"


@dataclass(frozen=True, slots=True)
class Parts:
    """What a machine is made of."""

    swaps: list[str]
    layer: str
    table: str
    crypttab: str
    sda4: str
    file: str
    fs_type: str
    conf: str
    resume: str
    offset: str
    word: str
    location: Location | None


def one_of(*values: object) -> st.SearchStrategy[Any]:
    """Choose one of the values; what is there twice is as likely as two."""
    return st.sampled_from(values)


PARTS = st.builds(
    Parts,
    swaps=st.lists(
        one_of(
            "/dev/sda2 partition 2097152 0",
            "/dev/dm-0 partition 3145728 0",
            "/dev/zram0 partition 9999999 0",
            "/file file 1048576 0",
            r"/gone\040(deleted) file 8888888 0",
            r"/gr\374n file 524288 0",
            "/dev/gone partition 7777777 0",
        ),
        unique=True,
    ),
    layer=one_of(LUKS, "CRYPT-PLAIN-mapped", "LVM-" + "x" * 64, "stratis-1-mapped"),
    table=one_of("", "0 1 linear 8:3 0", "0 1 thin 8:3 1", "0 1 integrity 8:3 0 4 J 0"),
    crypttab=one_of("", "mapped /dev/sda3 /dev/urandom swap\n", "mapped /dev/sda3 /key plain\n"),
    sda4=one_of(*sorted(PAGES)),
    file=one_of("store", "swap", "nothing"),
    fs_type=one_of("ext4", "ext4", "xfs", "f2fs"),
    conf=one_of(
        *[""] * 4, "/dev/sda4", f'"{SDA4}" # slow', "/file", "LABEL=gone", "sda4", "0x804", TOO_LONG
    ),
    resume=one_of(
        *[""] * 3, "/dev/sda2", SDA2, SDA2, "8:4", "0x802", "swap:/dev/sda2", "LABEL=gone", SDA1
    ),
    offset=one_of(*[""] * 3, "resume_offset=4711", "resume_offset=76", "resume_offset=x"),
    word=one_of("quiet", "quiet", "ro", "noresume", "hibernate=noresume", "nocompress"),
    location=one_of(
        *[None] * 2,
        *[Location(SDA2, 0, MACHINE_ID)] * 2,
        Location(SDA2, 0, "f" * 32),
        Location(SDA4),
        Location(SDA1, FILE_PAGE, MACHINE_ID, "/file"),
        Location(SDA1, 76, MACHINE_ID, "/file"),
        Location("LABEL=gone"),
        Location("nonsense"),
        Location("/dev/sda2\r"),
    ),
)


def build(folder: Path, parts: Parts) -> FakeMachine:
    fake = FakeMachine(folder)
    # Read-only, so that the guard, which only two of the three commands have, does not mind.
    fake.replace("/proc/self/mountinfo", "/dev/sda1 rw", "/dev/sda1 ro")
    fake.write("/dev/sda1", b"")
    fake.device("sda3", "8:3", 3 * GIB, "cccccccc-0000-0000-0000-000000000000")
    fake.device("sda4", "8:4", 3 * GIB, SDA4.removeprefix("UUID="))
    fake.device("zram0", "253:0", GIB, "")
    fake.layer(0, 3 * GIB, "", "sda3", ("mapped", parts.layer))
    fake.write("/sys/class/block/dm-0/dm/table", parts.table)
    for number in ("253:0", "254:0"):
        say_udev(fake.root, number, ID_FS_TYPE="swap", ID_FS_UUID=f"of-{number}")
    fake.write("/etc/crypttab", parts.crypttab)
    for name, page in (("dm-0", "swap"), ("zram0", "swap"), ("sda4", parts.sda4)):
        fake.write(f"/dev/{name}", PAGES[page])
    for name in ("/file", "/gr\udcfcn"):
        fake.file(name, PAGES[parts.file], GIB)
    fake.replace("/proc/self/mountinfo", "ext4", parts.fs_type)
    fake.swaps(*parts.swaps)
    fake.write("/etc/torpor.conf", f"store = {parts.conf}\n" if parts.conf else "")
    resume = f"resume={parts.resume}" if parts.resume else ""
    fake.write("/proc/cmdline", f"ro {resume} {parts.offset} {parts.word}\n")
    if parts.location:
        fake.write("/var/lib/torpor/location", parts.location.build())
    else:
        fake.remove("/var/lib/torpor/location")
    return fake


@dataclass(frozen=True, slots=True)
class Answers:
    """What the three commands say of the same machine."""

    doctor: dict[str, set[str]]
    """Messages by their level."""
    store: str
    """Where hibernate would write to, "" if it refuses to."""
    refusal: str
    """Why it does."""
    warnings: list[str]
    """What it says of the next boot."""
    target: Target | None
    """What enable would enable, None if it refuses to."""
    enable_refusal: str


def said(*words: str) -> tuple[str, str]:
    """Run the command; return stdout and stderr."""
    with redirect_stdout(io.StringIO()) as out, redirect_stderr(io.StringIO()) as err:
        main([*words])
    return out.getvalue(), err.getvalue()


def note(targets: list[Target], _system: object, target: Target, *_: object) -> list[str]:
    targets.append(target)
    return []


@contextmanager
def on(fake: FakeMachine) -> Iterator[tuple[list[Plan], list[Target]]]:
    """Have all commands see that machine; yield what hibernate and enable come to."""
    plans: list[Plan] = []
    targets: list[Target] = []
    fake.machine()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(root.HOST, "__class__", FakeRoot)
        patched.setattr(root.HOST, "root", str(fake.root))
        patched.setattr(conf, "PATH", f"{fake.root}/etc/torpor.conf")
        patched.setattr(location, "PATH", f"{fake.root}/var/lib/torpor/location")
        text = (fake.root / "proc/cmdline").read_text().strip()
        patched.setattr(cmdline, "read", lambda: text)
        patched.setattr(kmsg, "PATH", "/dev/null")
        patched.setattr(os, "fsync", lambda _fd: None)
        patched.setattr(doctor, "can_hibernate", lambda _system: fake.logind)
        patched.setattr(hibernation, "carry_out", lambda plan, *_: plans.append(plan))
        patched.setattr(enable, "enable", partial(note, targets))
        patched.setattr(enable, "take_effect", lambda *_: [])
        yield plans, targets


def ask(fake: FakeMachine) -> Answers:
    with on(fake) as (plans, targets):
        findings = json.loads(said("doctor", "--json")[0])
        lines = said("hibernate", "--mode=reboot", "--working-set=off")[1].split("\n")
        enable_refusal = said("enable")[1]
    warnings = [line.removeprefix(WARNING) for line in lines if line.startswith(WARNING)]
    refusals = [line for line in lines if line.startswith("torpor: ") and WARNING not in line]
    return Answers(
        {
            level: {one["message"] for one in findings if one["level"] == level}
            for level in ("ok", "enable", "warning", "problem")
        },
        plans[0].store if plans else "",
        "" if plans else refusals[-1].removeprefix("torpor: "),
        [text for text in warnings if not text.startswith("there is swap on")],
        targets[0] if targets else None,
        enable_refusal,
    )


def compare(fake: FakeMachine) -> str:
    """Compare what the commands say; return what they agree on."""
    answers, machine = ask(fake), fake.machine()
    is_enabled = machine.exists("/var/lib/torpor/location")
    problems = {one_line(text) for text in answers.doctor["problem"]}
    if not answers.target:
        assert answers.refusal in problems
        assert answers.enable_refusal.startswith(f"torpor: {answers.refusal}\n")
        return "no store"
    (store,) = (text for text in answers.doctor["ok"] if text.startswith("the store is "))
    path = store.removeprefix("the store is ").rpartition(", a ")[0]
    found = look_at(path, machine)
    assert store == f"the store is {path}, a {found.kind}"
    assert answers.target.location == location_of(found, machine)
    assert answers.store in (path, "")
    told = {f"torpor enable will tell the next boot where {path} is"}
    for reason in filter(None, [*answers.warnings, answers.refusal]):
        assert reason in problems or (not is_enabled and answers.doctor["enable"] >= told)
    looks_there = any(text.startswith("the next boot looks") for text in answers.doctor["ok"])
    assert looks_there is not bool(answers.warnings or answers.refusal)
    if answers.refusal:
        return "a boot cannot find it"
    return "a boot may not find it" if answers.warnings else "all is well"


@settings(AT_ANY_PACE, max_examples=100)
@given(PARTS)
def test_three_commands_agree(parts: Parts) -> None:
    with tempfile.TemporaryDirectory() as folder:
        event(compare(build(Path(folder), parts)))


SOUND = Parts(
    ["/dev/sda2 partition 2097152 0"],
    *(LUKS, "", "", "store", "store", "ext4", "", SDA2, "", "quiet"),
    Location(SDA2, 0, MACHINE_ID),
)


@pytest.mark.parametrize(
    ("changes", "outcome"),
    [
        ({}, "all is well"),
        ({"conf": "LABEL=gone"}, "no store"),
        ({"conf": "/file"}, "a boot cannot find it"),
        ({"conf": "/file", "resume": "", "location": None}, "a boot cannot find it"),
        ({"resume": "", "location": None}, "a boot may not find it"),
    ],
)
def test_each_outcome_can_be_had(changes: dict[str, Any], outcome: str, tmp_path: Path) -> None:
    assert compare(build(tmp_path, replace(SOUND, **changes))) == outcome


def test_disagreement_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests above rest on this."""
    fake = build(tmp_path, replace(SOUND, conf="/dev/sda4"))
    monkeypatch.setattr(Facts, "conf", Conf())
    with pytest.raises(AssertionError):
        compare(fake)
