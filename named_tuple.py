"""Named tuples that are quickly made. For a type checker they are typing's.

typing.NamedTuple compiles a function for each class, and looks through all of its slots twice. That
takes six times as long as what is done here, 3 ms of a start that makes fifty classes. Here a
function is compiled for each number of fields; a class gets a copy with its names of arguments.
"""

import sys
from collections import _tuplegetter  # type: ignore[attr-defined]
from functools import cache
from types import CodeType, FunctionType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any, Self

__all__ = ["NamedTuple"]


class _Maker(type):
    """Makes the classes: their fields are what the body annotates, in order, some with defaults."""

    def __new__(cls, name: str, bases: tuple[type, ...], body: "dict[str, Any]") -> "_Maker":
        """See type."""
        if bases[0].__base__ is tuple:  # no class that is derived from one of them
            body["__slots__"] = ()
            fields = tuple(body.get("__annotations__", ()))
            defaults = {field: body[field] for field in fields if field in body}
            body |= {"_fields": fields, "__match_args__": fields, "_field_defaults": defaults}
            body |= {field: _getter(nth) for nth, field in enumerate(fields)}
            body["__new__"] = _new(f"{name}.__new__", fields, tuple(defaults.values()))
        return super().__new__(cls, name, bases, body)


@cache
def _getter(nth: int) -> object:
    return _tuplegetter(nth, None)


def _new(name: str, fields: tuple[str, ...], defaults: "tuple[Any, ...]") -> FunctionType:
    code = _code(len(fields)).replace(co_qualname=name, co_varnames=("cls", *fields))
    return FunctionType(code, _GLOBALS, "__new__", defaults)


@cache
def _code(size: int) -> CodeType:
    """Return that of a function that makes a tuple of so many fields."""
    fields = "".join(f"_{nth}, " for nth in range(size))
    made: FunctionType = eval(f"lambda cls, {fields}: new(cls, ({fields}))")
    return made.__code__


_GLOBALS = {"new": tuple.__new__}


class _NamedTuple(tuple["Any", ...], metaclass=_Maker):
    """What all have; see collections.namedtuple."""

    __slots__ = ()
    _fields: tuple[str, ...]

    @classmethod
    def _make(cls, values: "Iterable[Any]") -> "Self":
        made = tuple.__new__(cls, values)
        if len(made) != len(cls._fields):
            raise TypeError(f"{cls.__name__} has {len(cls._fields)} fields, not {len(made)}")
        return made

    def _replace(self, **values: object) -> "Self":
        made = self._make(map(values.pop, self._fields, self))
        if values:
            raise TypeError(f"{type(self).__name__} has no fields {', '.join(values)}")
        return made

    def _asdict(self) -> "dict[str, Any]":
        return dict(zip(self._fields, self, strict=True))

    def __getnewargs__(self) -> "tuple[Any, ...]":
        return tuple(self)

    def __repr__(self) -> str:
        fields = (f"{name}={value!r}" for name, value in self._asdict().items())
        return f"{type(self).__name__}({', '.join(fields)})"


if TYPE_CHECKING or sys.version_info >= (3, 14):  # which does not keep annotations in the body
    from typing import NamedTuple
else:
    NamedTuple = _NamedTuple
