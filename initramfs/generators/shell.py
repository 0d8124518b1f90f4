"""Configuration that bash reads: its plain assignments, as bash carries them out (bash(1))."""

import re
from collections.abc import Iterable, Iterator

Value = str | list[str] | None
"""None: what bash makes of it cannot be told from the file."""

_ASSIGNMENT = re.compile(r"([A-Za-z_]\w*)(\+?)=", re.ASCII)
_EXPANSION = r"\$(?:(?P<name>[A-Za-z_]\w*)|\{(?P<braced>[A-Za-z_]\w*)(?P<all>\[[@*]\])?\})"
_PART = re.compile(
    rf"""'(?P<single>[^']*)'|"(?P<double>(?:[^"\\`]|\\.)*)"|\\(?P<escaped>.)|{_EXPANSION}|"""
    r"""(?P<plain>[^'"\\`$])""",
    re.ASCII | re.DOTALL,
)
"""What a word consists of."""
_INSIDE = re.compile(rf"\\(?P<escaped>.)|{_EXPANSION}|(?P<plain>[^\\$]+)|.", re.ASCII | re.DOTALL)
"""What double quotes hold."""
_BETWEEN = re.compile(r"([ \t]|\\\n|#.*)*")
_BETWEEN_ELEMENTS = re.compile(r"([ \t\n]|\\\n|#.*)*")
"""Blanks, comments and continued lines."""
_ENDS_WORD = ("", *" \t\n;()&|<>")
_ENDS_VALUE = ("", *" \t\n;")
_EXPANDED = "*[{"
"""Without quotes, in an array, these may stand for names of files or several words. Not `?`:
MODULES=(one?) is mkinitcpio's own."""
_ESCAPED = ("$", "`", '"', "\\", "\n")
"""What a backslash between double quotes takes the meaning of."""


_MOST_EXPANDED = 1 << 20
"""Characters that all expansions of a text may give: a few lines may double each other."""


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
        self._expanded = 0
        self.at = 0

    def statement(self) -> dict[str, Value]:
        """Return what the next statement assigns: nothing for an empty line."""
        made: dict[str, Value] = {}
        while True:
            self._take(_BETWEEN)
            if self._next() in ("", "\n", ";"):
                self.at += 1
                return made
            found = self._take(_ASSIGNMENT)
            self._known = self._variables | made
            made[found[1]] = self._value(found[1], is_added=bool(found[2]))

    def _next(self) -> str:
        return self._text[self.at : self.at + 1]

    def _take(self, pattern: re.Pattern[str]) -> re.Match[str]:
        found = pattern.match(self._text, self.at)
        if found is None:
            raise _NotPlainError
        self.at = found.end()
        return found

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
        while self._take(_BETWEEN_ELEMENTS) and self._next() != ")":
            if self._next() in _ENDS_WORD:
                raise _NotPlainError
            yield from self._word(is_split=True)
        self.at += 1

    def _word(self, *, is_split: bool) -> "_Fields":
        """Return the fields that a word becomes: more than one by an expansion, or none."""
        fields = _Fields()
        while self._next() not in _ENDS_WORD:
            found = self._take(_PART)
            if found["double"] is not None:
                self._add_inside(found["double"], fields)
            elif char := found["plain"]:
                self._is_known &= char != "~" and not (is_split and char in _EXPANDED)
                fields.add(char)
            elif found["single"] is not None:
                fields.add(found["single"])
            elif found["escaped"]:
                fields.add(found["escaped"].strip("\n"))
            else:
                self._expand(found, fields, is_split=is_split)
        return fields

    def _add_inside(self, quoted: str, fields: "_Fields") -> None:
        fields.add("")
        for found in _INSIDE.finditer(quoted):
            if char := found["escaped"]:
                fields.add(char.strip("\n") if char in _ESCAPED else f"\\{char}")
            elif found["plain"]:
                fields.add(found["plain"])
            else:
                self._expand(found, fields, is_split=False)

    def _expand(self, found: re.Match[str], fields: "_Fields", *, is_split: bool) -> None:
        name = found["name"] or found["braced"]
        if not name:
            raise _NotPlainError
        value = self._known.get(name)
        self._is_known &= value is not None
        elements = _as_list(value) if found["all"] else _as_list(value)[:1]
        self._expanded += sum(len(element) + 1 for element in elements)
        if self._expanded > _MOST_EXPANDED:
            raise _NotPlainError
        if is_split:
            fields.split(" ".join(elements))
        elif found["all"] == "[@]":
            fields.add_each(elements)
        else:
            fields.add(" ".join(elements))


class _Fields:
    """What a word becomes: letters go to the last field while it is open."""

    def __init__(self) -> None:
        self._fields: list[list[str]] = []
        """Of each its pieces."""
        self._is_open = False

    def __iter__(self) -> Iterator[str]:
        return map("".join, self._fields)

    def add(self, text: str) -> None:
        if not self._is_open:
            self._fields.append([])
        self._fields[-1].append(text)
        self._is_open = True

    def add_each(self, elements: list[str]) -> None:
        for number, element in enumerate(elements):
            self._is_open &= number == 0
            self.add(element)

    def split(self, text: str) -> None:
        """Add what an expansion without quotes gives, a field for each word of it."""
        self._is_open &= not text[:1].isspace()
        self.add_each(text.split())
        self._is_open &= not text[-1:].isspace()


def _as_list(value: Value) -> list[str]:
    return value if isinstance(value, list) else [] if value is None else [value]
