"""A new passphrase: typed twice at the terminal, unseen, or a line of a script."""

import io
import sys
from collections.abc import Iterator

import pytest

from errors import UnreadableError, UsageError
from linux import terminal
from tests.unit.keyboard import Keyboard
from torpor.passphrase import LONGEST, new_passphrase


@pytest.fixture
def keyboard(monkeypatch: pytest.MonkeyPatch) -> Iterator[Keyboard]:
    made = Keyboard()
    monkeypatch.setattr(terminal, "TERMINAL", made.path)
    with open(made.path) as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        yield made
    made.close()


def script(monkeypatch: pytest.MonkeyPatch, lines: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(lines)))


def test_it_is_typed_twice_and_not_shown(
    keyboard: Keyboard, capsys: pytest.CaptureFixture[str]
) -> None:
    keyboard.types(b" s\xc3\xbc\xc3\x9f \n", b" s\xc3\xbc\xc3\x9f \n")
    assert new_passphrase("passphrase") == b" s\xc3\xbc\xc3\x9f "
    assert keyboard.look() == "New passphrase: \r\nThe same passphrase once more: \r\n"
    assert keyboard.showed_typing == [False, False]
    assert keyboard.settings() == keyboard.before
    assert capsys.readouterr() == ("", "")


def test_one_that_is_wrong_is_asked_for_again(
    keyboard: Keyboard, capsys: pytest.CaptureFixture[str]
) -> None:
    keyboard.types(b"12345\n", b"12344\n", b"\n", b"12345\n", b"12345\n")
    assert new_passphrase("PIN") == b"12345"
    said = capsys.readouterr().err
    assert said == "torpor: the two are not the same\ntorpor: it is empty\n"


def test_three_tries(keyboard: Keyboard, capsys: pytest.CaptureFixture[str]) -> None:
    keyboard.types(*[b"secret-one\n", b"secret-two\n"] * 3)
    with pytest.raises(UsageError, match="no new PIN after 3 tries: the two are not the same"):
        new_passphrase("PIN")
    assert capsys.readouterr().err.count("not the same") == 3
    assert keyboard.settings() == keyboard.before


def test_an_empty_one_where_it_may_be_is_not_asked_for_again(keyboard: Keyboard) -> None:
    keyboard.types(b"\n")
    assert new_passphrase("recovery passphrase", may_be_empty=True) == b""
    assert keyboard.look() == "New recovery passphrase (empty for none): \r\n"


@pytest.mark.parametrize("typed", [[b"\x03"], [b"one\n", b"\x03"], [b"\x04"]])
def test_control_c(typed: list[bytes], keyboard: Keyboard) -> None:
    keyboard.types(*typed)
    with pytest.raises(KeyboardInterrupt):
        new_passphrase("passphrase")
    assert keyboard.settings() == keyboard.before


def test_no_controlling_terminal(keyboard: Keyboard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terminal, "TERMINAL", "/nonexistent")
    with pytest.raises(UnreadableError, match="cannot ask at /nonexistent: no such file"):
        new_passphrase("passphrase")


def test_a_script_gives_a_line_for_each(monkeypatch: pytest.MonkeyPatch) -> None:
    script(monkeypatch, b" one \n\n" + b"x" * LONGEST + b"\nlast")
    assert new_passphrase("passphrase") == b" one "
    assert new_passphrase("recovery passphrase", may_be_empty=True) == b""
    assert new_passphrase("passphrase") == b"x" * LONGEST
    assert new_passphrase("PIN") == b"last"
    with pytest.raises(UsageError, match="no new PIN on the standard input") as raised:
        new_passphrase("PIN", may_be_empty=True)
    assert raised.value.hint == "give one line for each, or use a terminal"


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"\n", "it is empty"),
        (b"secret" * 100 + b"\n", f"it has more than {LONGEST} bytes"),
        (b"se\0cret\n", "it has a character that cannot be typed at every boot"),
        (b"se\tcret\n", "it has a character that cannot be typed at every boot"),
        (b"secret\r\n", "it has a character that cannot be typed at every boot"),
        (b"secret\xff\n", "it has a character that cannot be typed at every boot"),
    ],
)
def test_what_a_boot_could_not_be_given(
    line: bytes, why: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    script(monkeypatch, line)
    with pytest.raises(UsageError) as raised:
        new_passphrase("PIN")
    assert str(raised.value) == f"no new PIN can be taken from the standard input: {why}"
    assert "cret" not in raised.value.hint + "".join(capsys.readouterr())
