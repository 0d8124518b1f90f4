"""Configuration that bash reads: its plain assignments, as bash carries them out (bash(1))."""

import re
from collections.abc import Iterable, Iterator

Value = str | list[str] | None
"""None: what bash makes of it cannot be told from the file."""

_ASSIGNMENT = re.compile(r"([A-Za-z_]\w*)(\+?)=", re.ASCII)
_EXPANSION = re.compile(r"\$(?:([A-Za-z_]\w*)|\{([A-Za-z_]\w*)(\[[@*]\])?\})", re.ASCII)
_BLANK = " \t"
_ENDS_WORD = ("", *" \t\n;()&|<>")
_ENDS_VALUE = ("", *" \t\n;")
_EXPANDED = "*[{"
"""Without quotes, in an array, these may stand for names of files or several words. Not `?`:
MODULES=(one?) is mkinitcpio's own."""
_ESCAPED = ("$", "`", '"', "\\")
"""What a backslash between double quotes takes the meaning of."""


class _NotPlainError(Exception):
    """Something other than an assignment of words that are known here."""


def assign(text: str, variables: dict[str, Value]) -> str:
    """Carry out the assignments in `text`, at most up to the first that is not plain.

    Return the rest of the text from there, "" if all was plain: NAME=, NAME+=, words and arrays,
    quotes, comments, and expansions of variables. What depends on more than `variables` is None.
    """
    reader = _Reader(text, variables)
    while reader.at < len(text):
        start = reader.at
        try:
            variables.update(reader.statement())
        except _NotPlainError:
            return text[start:]
    return ""


def names(rest: str, variable: str) -> bool:
    """Return whether what `assign` left may change a variable: by its name, or by another file."""
    code = re.sub(r"(?m)(^|\s)#.*", "", rest)
    return re.search(rf"\b{variable}\b|(^|[\s;&|])(source|\.|eval)\s", code) is not None


def value_of(variable: str, texts: Iterable[str]) -> Value:
    """Return what a variable holds once bash has read one text after the other.

    None if it is not set, or if only a shell can tell. What a text leaves unknown, a later one may
    set again.
    """
    variables: dict[str, Value] = {}
    for text in texts:
        if names(assign(text, variables), variable):
            variables[variable] = None
    return variables.get(variable)


class _Reader:
    def __init__(self, text: str, variables: dict[str, Value]) -> None:
        self._text = text
        self._variables = variables
        self._known = variables
        self._is_known = True
        self.at = 0

    def statement(self) -> dict[str, Value]:
        """Return what the next statement assigns: nothing for an empty line."""
        made: dict[str, Value] = {}
        while True:
            self._skip(_BLANK)
            if self._next() in ("", "\n", ";"):
                self.at += 1
                return made
            found = _ASSIGNMENT.match(self._text, self.at)
            if not found:
                raise _NotPlainError
            self.at = found.end()
            self._known = self._variables | made
            made[found[1]] = self._value(found[1], is_added=bool(found[2]))

    def _skip(self, blanks: str) -> None:
        """Go on behind blanks, comments and continued lines."""
        while char := self._next():
            if self._text.startswith("\\\n", self.at):
                self.at += 2
            elif char == "#":
                end = self._text.find("\n", self.at)
                self.at = len(self._text) if end < 0 else end
            elif char in blanks:
                self.at += 1
            else:
                return

    def _next(self) -> str:
        return self._text[self.at : self.at + 1]

    def _value(self, name: str, *, is_added: bool) -> Value:
        before = self._known.get(name)
        self._is_known = not (is_added and name in self._known and before is None)
        made: Value
        if self._next() == "(":
            self.at += 1
            made = [*(_as_list(before) if is_added else []), *self._elements()]
        else:
            word = " ".join(self._word(is_split=False))
            old = _as_list(before) or [""]
            word = f"{old[0] if is_added else ''}{word}"
            # An array keeps its other elements.
            made = [word, *old[1:]] if isinstance(before, list) else word
        if self._next() not in _ENDS_VALUE:
            raise _NotPlainError
        return made if self._is_known else None

    def _elements(self) -> Iterator[str]:
        while True:
            self._skip(" \t\n")
            if self._next() == ")":
                self.at += 1
                return
            if self._next() in _ENDS_WORD:
                raise _NotPlainError
            yield from self._word(is_split=True)

    def _word(self, *, is_split: bool) -> list[str]:
        """Return the fields that a word becomes: more than one by an expansion, or none."""
        fields = _Fields()
        while (char := self._next()) not in _ENDS_WORD:
            if char == "'":
                fields.add(self._single_quoted())
            elif char == '"':
                self._double_quoted(fields)
            elif char == "\\":
                fields.add(self._escaped())
            elif char == "$":
                self._expand(fields, is_split=is_split)
            elif char == "`":
                raise _NotPlainError
            else:
                self._is_known &= char != "~" and not (is_split and char in _EXPANDED)
                fields.add(char)
                self.at += 1
        return fields.done()

    def _single_quoted(self) -> str:
        end = self._text.find("'", self.at + 1)
        if end < 0:
            raise _NotPlainError
        text = self._text[self.at + 1 : end]
        self.at = end + 1
        return text

    def _double_quoted(self, fields: "_Fields") -> None:
        self.at += 1
        fields.add("")
        while (char := self._next()) != '"':
            if char == "\\":
                following = self._escaped()
                is_plain = following and following not in _ESCAPED
                fields.add(f"\\{following}" if is_plain else following)
            elif char == "$":
                self._expand(fields, is_split=False)
            elif char in ("", "`"):
                raise _NotPlainError
            else:
                fields.add(char)
                self.at += 1
        self.at += 1

    def _escaped(self) -> str:
        """Return what follows the backslash here, "" for an end of line."""
        following = self._text[self.at + 1 : self.at + 2]
        if not following:
            raise _NotPlainError
        self.at += 2
        return following.strip("\n")

    def _expand(self, fields: "_Fields", *, is_split: bool) -> None:
        found = _EXPANSION.match(self._text, self.at)
        if found is None:
            raise _NotPlainError
        self.at = found.end()
        value = self._known.get(found[1] or found[2])
        self._is_known &= value is not None
        elements = _as_list(value) if found[3] else _as_list(value)[:1]
        if is_split:
            fields.split(" ".join(elements))
        elif found[3] == "[@]":
            fields.add_each(elements)
        else:
            fields.add(" ".join(elements))


class _Fields:
    """What a word becomes: letters go to the last field, of which there may be none yet."""

    def __init__(self) -> None:
        self._done: list[str] = []
        self._open: str | None = None

    def add(self, text: str) -> None:
        self._open = (self._open or "") + text

    def add_each(self, elements: list[str]) -> None:
        for number, element in enumerate(elements):
            if number:
                self._end()
            self.add(element)

    def split(self, text: str) -> None:
        """Add what an expansion without quotes gives, a field for each word of it."""
        if text[:1].isspace():
            self._end()
        self.add_each(text.split())
        if text[-1:].isspace():
            self._end()

    def done(self) -> list[str]:
        self._end()
        return self._done

    def _end(self) -> None:
        if self._open is not None:
            self._done.append(self._open)
            self._open = None


def _as_list(value: Value) -> list[str]:
    return value if isinstance(value, list) else [] if value is None else [value]
