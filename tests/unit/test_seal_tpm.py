"""Secrets and counters in a TPM of software, by tpm2-tools; and what a listener hears."""

import hashlib
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from errors import LockedError, WrongPinError
from seal import tpm_tools
from seal.tpm import LAST_PCR, PCRS, Sealed, Tpm
from tests.unit.soft_tpm import Listener, SoftTpm

SECRET, PIN = b"a secret of thirty-two bytes....", b"file:1234 \xff"
SALT = bytes(range(32))
BOTH = ("by boot", "by PIN")


@pytest.fixture
def tpm(soft: SoftTpm) -> Iterator[Tpm]:
    yield Tpm(soft.tcti)
    assert soft.inside() == ""


def seal(tpm: Tpm, how: str) -> Sealed:
    return tpm.seal(SECRET) if how == "by boot" else tpm.seal_with_pin(SECRET, PIN, SALT)


def unseal(tpm: Tpm, how: str, sealed: Sealed) -> bytes:
    return tpm.unseal(sealed) if how == "by boot" else tpm.unseal_with_pin(sealed, PIN, SALT)


def refused(words: str) -> pytest.RaisesExc[LockedError]:
    return pytest.raises(LockedError, match=f"^{re.escape(words)}")


@pytest.mark.parametrize("how", BOTH)
@pytest.mark.parametrize("secret", [b"\0", b"\n", bytes(range(128))])
def test_the_next_boot_has_the_secret_back(
    tpm: Tpm, soft: SoftTpm, how: str, secret: bytes
) -> None:
    soft.measure(4)
    sealed = tpm.seal(secret) if how == "by boot" else tpm.seal_with_pin(secret, PIN, SALT)
    assert secret not in b"".join(sealed) or len(secret) == 1
    soft.reboot()
    soft.measure(4)
    assert (
        tpm.unseal(sealed) if how == "by boot" else tpm.unseal_with_pin(sealed, PIN, SALT)
    ) == secret


@pytest.mark.parametrize("pcr", [*PCRS, LAST_PCR])
def test_a_boot_that_measures_something_else_has_not(tpm: Tpm, soft: SoftTpm, pcr: int) -> None:
    sealed = tpm.seal(SECRET)
    soft.measure(1)
    assert tpm.unseal(sealed) == SECRET
    soft.measure(pcr)
    with refused("what this boot measured is not what the image was sealed to"):
        tpm.unseal(sealed)


def test_other_registers_than_those_sealed_to(tpm: Tpm, soft: SoftTpm) -> None:
    sealed = tpm.seal(SECRET, (0, 7))
    with refused("what this boot measured"):
        tpm.unseal(sealed, (0, 8))
    soft.measure(4)
    assert tpm.unseal(sealed, (7, 0)) == SECRET


def test_a_boot_that_is_shut(tpm: Tpm, soft: SoftTpm) -> None:
    """What is sealed in it opens in the next one, as long as that is not shut."""
    tpm.shut()
    sealed = tpm.seal(SECRET)
    with refused("what this boot measured"):
        tpm.unseal(sealed)
    soft.reboot()
    assert tpm.unseal(sealed) == SECRET
    assert tpm.unseal(tpm.seal(b"again")) == b"again"
    tpm.shut()
    with refused("what this boot measured"):
        tpm.unseal(sealed)


def test_what_would_never_be_unsealed(tpm: Tpm, soft: SoftTpm) -> None:
    soft.measure(LAST_PCR)
    with refused("something else than Torpor is measured into PCR 13"):
        tpm.seal(SECRET)


def test_wrong_pins_lock_pins_only(tpm: Tpm) -> None:
    """Not what has no PIN, and no counter."""
    sealed, counter, boot = (
        tpm.seal_with_pin(SECRET, PIN, SALT),
        tpm.new_counter(),
        tpm.seal(SECRET),
    )
    for _ in range(3):
        with pytest.raises(WrongPinError, match=r"^the PIN is wrong$"):
            tpm.unseal_with_pin(sealed, b"1235", SALT)
    with refused("the TPM is locked after too many wrong PINs") as told:
        tpm.unseal_with_pin(sealed, PIN, SALT)
    assert not isinstance(told.value, WrongPinError)
    assert tpm.unseal(boot) == SECRET
    assert tpm.increment(counter) > tpm.read_counter(counter) - 1
    assert tpm.seal_with_pin(SECRET, PIN, SALT).parent == sealed.parent


def test_a_pin_is_taken_as_it_is(tpm: Tpm) -> None:
    """The tools would take prefixes, and cut off a newline."""
    sealed = tpm.seal_with_pin(SECRET, b"str:hex:31" * 8, SALT)
    with pytest.raises(WrongPinError):
        tpm.unseal_with_pin(sealed, b"hex:31" * 8 + b"\n", SALT)
    assert tpm.unseal_with_pin(sealed, b"str:hex:31" * 8, SALT) == SECRET


@pytest.mark.parametrize("how", BOTH)
def test_a_cleared_tpm(tpm: Tpm, soft: SoftTpm, how: str) -> None:
    sealed = seal(tpm, how)
    soft.tool("clear", "-c", "p")
    with refused("the TPM was cleared, or is another one"):
        unseal(tpm, how, sealed)


@pytest.mark.parametrize("how", BOTH)
def test_another_tpm(tpm: Tpm, tmp_path: Path, how: str) -> None:
    sealed = seal(tpm, how)
    other = SoftTpm(tmp_path / "other")
    try:
        with refused("the TPM was cleared, or is another one"):
            unseal(Tpm(other.tcti), how, sealed)
        posing = sealed._replace(parent=Tpm(other.tcti).seal(SECRET).parent)
        with refused("what was sealed is damaged, or sealed by another TPM"):
            unseal(Tpm(other.tcti), how, posing)
        assert other.inside() == ""
    finally:
        other.power_off()


@pytest.mark.parametrize("how", BOTH)
@pytest.mark.parametrize("part", ["public", "private"])
@pytest.mark.parametrize("at", [0, 5, -1])
def test_a_changed_byte_gives_no_secret(tpm: Tpm, how: str, part: str, at: int) -> None:
    sealed = seal(tpm, how)
    changed = bytearray(getattr(sealed, part))
    changed[at] ^= 1
    with refused("") as told:
        unseal(tpm, how, sealed._replace(**{part: bytes(changed)}))
    assert not isinstance(told.value, WrongPinError)


def test_nothing_at_all_gives_no_secret(tpm: Tpm) -> None:
    with refused("the TPM was cleared"):
        tpm.unseal(Sealed(b"", b"", b""))
    with refused("the TPM cannot be used: tpm2 load"):
        tpm.unseal(tpm.seal(SECRET)._replace(public=b"", private=b""))


def test_an_owner_with_a_password(tpm: Tpm, soft: SoftTpm) -> None:
    soft.tool("changeauth", "-c", "o", "of-the-owner")
    for call in (tpm.new_counter, lambda: tpm.seal(SECRET)):
        with refused("the TPM's owner hierarchy has a password"):
            call()


def test_a_counter_goes_forward_only(tpm: Tpm, soft: SoftTpm) -> None:
    index = tpm.new_counter()
    assert 0x01800000 <= index < 0x01C00000
    first = tpm.read_counter(index)
    assert [tpm.increment(index) for _ in range(3)] == [first + 1, first + 2, first + 3]
    soft.reboot()
    assert tpm.read_counter(index) == first + 3


def test_a_removed_counter_does_not_go_back(tpm: Tpm, soft: SoftTpm) -> None:
    index = tpm.new_counter()
    for _ in range(3):
        last = tpm.increment(index)
    tpm.remove_counter(index)
    for call in (tpm.read_counter, tpm.increment, tpm.remove_counter):
        with refused(f"the TPM has no counter 0x{index:08x}"):
            call(index)
    define = ("-C", "o", "-s", "8", "-a", "nt=counter|ownerread|ownerwrite")
    soft.tool("nvdefine", *define, hex(index))
    with refused(f"counter 0x{index:08x} of the TPM was never used"):
        tpm.read_counter(index)
    assert tpm.increment(index) > last
    assert tpm.read_counter(tpm.new_counter()) > last


@pytest.mark.parametrize("kind", ["ordinary", "bits", "extend"])
def test_another_index_in_place_of_a_counter(tpm: Tpm, soft: SoftTpm, kind: str) -> None:
    index = tpm.new_counter()
    tpm.remove_counter(index)
    size = "32" if kind == "extend" else "8"
    attributes = f"nt={kind}|ownerread|ownerwrite|authread|authwrite"
    soft.tool("nvdefine", "-C", "o", "-s", size, "-a", attributes, hex(index))
    for call in (tpm.read_counter, tpm.increment, tpm.remove_counter):
        with refused(f"0x{index:08x} of the TPM is no counter"):
            call(index)
    assert f"{index:x}" in soft.tool("getcap", "handles-nv-index").lower()


def test_a_free_index_is_looked_for(tpm: Tpm, monkeypatch: pytest.MonkeyPatch) -> None:
    found = iter([7, 7, 7, 8])
    monkeypatch.setattr("seal.tpm.os.urandom", lambda size: next(found).to_bytes(size))
    assert tpm.new_counter() == 0x01850007
    assert tpm.new_counter() == 0x01850008
    monkeypatch.setattr("seal.tpm.os.urandom", lambda size: bytes(size - 1) + b"\x08")
    with refused("the TPM has no free index for a counter"):
        tpm.new_counter()


def test_what_nobody_measured(tpm: Tpm, soft: SoftTpm) -> None:
    assert tpm.unmeasured() == [*PCRS]
    soft.measure(4)
    soft.measure(8)
    assert tpm.unmeasured((0, 4, 7, 8, 9, 17)) == [0, 7, 9, 17]


def test_no_sha256_values(tpm: Tpm, soft: SoftTpm) -> None:
    """A policy of no values would let every boot in."""
    soft.tool("pcrallocate", "sha1:all+sha256:none+sha384:none+sha512:none")
    soft.reboot()
    for call in (tpm.unmeasured, lambda: tpm.seal(SECRET)):
        with refused("the TPM has no SHA-256 values of what was measured"):
            call()


def test_a_listener_hears_no_secret_and_no_pin(soft: SoftTpm, bus: Listener) -> None:
    tpm = Tpm(bus.tcti)
    assert tpm.unseal(tpm.seal(SECRET)) == SECRET
    sealed = tpm.seal_with_pin(SECRET, PIN, SALT)
    assert tpm.unseal_with_pin(sealed, PIN, SALT) == SECRET
    with pytest.raises(WrongPinError):
        tpm.unseal_with_pin(sealed, PIN[:-1], SALT)
    assert sealed.public[2:] in bus.heard
    assert SECRET not in bus.heard
    for pin in (PIN, PIN[:-1], hashlib.sha256(PIN).digest()[:8]):
        assert pin not in bus.heard
        assert pin.hex().encode() not in bus.heard


def test_a_listener_hears_what_no_session_hides(
    soft: SoftTpm, bus: Listener, tmp_path: Path
) -> None:
    """The test above rests on this."""
    context, secret = tmp_path / "primary", tmp_path / "secret"
    secret.write_bytes(SECRET)
    soft.tool("createprimary", "-Q", "-C", "o", "-c", str(context))
    soft.tool(
        *("create", "-Q", "-T", bus.tcti, "-C", str(context), "-i", str(secret), "-p", "9876"),
        *("-u", str(tmp_path / "public"), "-r", str(tmp_path / "private")),
    )
    assert SECRET in bus.heard
    assert b"9876" in bus.heard


def running(words: str) -> list[str]:
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            line = Path("/proc", name, "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
        if line.startswith("tpm2 ") and words in line:
            found.append(line)
    return found


def test_a_tpm_that_does_not_answer(soft: SoftTpm) -> None:
    sealed = Tpm(soft.tcti).seal(SECRET)
    soft.freeze()
    before = time.monotonic()
    with refused("the TPM has not answered within 0.5 s"):
        Tpm(soft.tcti, 0.5).unseal(sealed)
    assert time.monotonic() - before < 2
    assert running(soft.tcti) == []
    soft.go_on()
    assert Tpm(soft.tcti).unseal(sealed) == SECRET


def test_all_steps_together_have_so_much_time(soft: SoftTpm) -> None:
    with refused("the TPM has not answered within 0.05 s"):
        Tpm(soft.tcti, 0.05).seal(SECRET)


@pytest.mark.parametrize("how", BOTH)
def test_no_command_line_holds_a_secret(
    soft: SoftTpm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    log, stand_in = tmp_path / "words", tmp_path / "tpm2"
    stand_in.write_text(f'#!/bin/sh\necho "$@" >> {log}\nexec tpm2 "$@"\n')
    stand_in.chmod(0o755)
    monkeypatch.setattr(tpm_tools, "PROGRAM", str(stand_in))
    tpm = Tpm(soft.tcti)
    assert unseal(tpm, how, seal(tpm, how)) == SECRET
    words = log.read_bytes()
    assert words.count(b"\n") > 8
    assert SECRET not in words
    assert b"1234" not in words
    assert hashlib.sha256(PIN).hexdigest()[:8].encode() not in words


def test_no_tpm(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("seal.tpm.DEVICES", (str(tmp_path / "tpmrm0"), str(tmp_path / "tpm0")))
    assert not Tpm().is_there()
    for call in (Tpm().new_counter, Tpm().shut, lambda: Tpm().seal(SECRET)):
        with refused("there is no TPM"):
            call()
    (tmp_path / "tpm0").touch()
    assert Tpm().is_there()
    with refused("the TPM cannot be used: tpm2 pcrread: "):
        Tpm().seal(SECRET)


def test_no_tools(soft: SoftTpm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tpm_tools, "PROGRAM", "tpm2-that-is-nowhere")
    with refused("there is no program tpm2-that-is-nowhere") as told:
        Tpm(soft.tcti).seal(SECRET)
    assert told.value.hint == "install tpm2-tools"


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("ERROR: Esys_Load(0x1DF) - tpm:parameter(1):integrity", "what was sealed is damaged"),
        ("ERROR: Esys_Unseal(0xB0128) - rm:pcr changed", "what this boot measured is not"),
        ("ERROR: Esys_CreatePrimary(0x1E) - tpm:error(1.2)", "the TPM is no TPM 2.0"),
        ("ERROR: Esys_NV_Define(0x14B)", "the TPM refuses load with error 0x14b"),
        ("ERROR: Esys_Load(0xA000A) - tcti:IO", "the TPM cannot be used: tpm2 load: Esys_Load"),
        ("", "the TPM cannot be used: tpm2 load: ?"),
    ],
)
def test_response_codes(said: str, words: str) -> None:
    told = tpm_tools._refusal(
        "load", f"WARN: old\n{said}\nERROR: Unable to run load\n" if said else ""
    )
    assert str(told).startswith(words)
