"""Named tuples do what typing's do: the same classes by either."""

import copy
import typing
from collections.abc import Callable
from typing import Any

import pytest

import named_tuple


def classes(base: object) -> tuple[Any, ...]:
    """Return a class, one below it, and one without fields."""

    class Point(base):  # type: ignore[misc, valid-type]
        """A place."""

        x: int
        y: "int | None" = 2
        names: tuple[str, ...] = ()

        @property
        def double(self) -> int:
            return 2 * self.x

    class Below(Point):
        def __repr__(self) -> str:
            return f"below: {super().__repr__()}"

    class Nothing(base):  # type: ignore[misc, valid-type]
        pass

    return Point, Below, Nothing


OURS, TYPINGS = classes(named_tuple.NamedTuple), classes(typing.NamedTuple)
CALLS: dict[str, Callable[[Any, Any, Any], Any]] = {
    "positions": lambda point, *_: point(1, 3, ("a",)),
    "names": lambda point, *_: point(names=("a",), x=1),
    "defaults": lambda point, *_: (point(1).double, point(1) == (1, 2, ())),
    "replaced": lambda point, *_: point(1)._replace(y=None),
    "a dict": lambda point, *_: point(1)._asdict(),
    "made": lambda point, *_: point._make(iter("abc")),
    "copied": lambda point, *_: copy.copy(point(1)),
    "order": lambda point, *_: sorted({point(2), point(1), point(1, 1)}),
    "shown": lambda point, below, nothing: (repr(point(1)), repr(below(2)), repr(nothing())),
    "of the class": lambda point, *_: (point._fields, point._field_defaults, point.__match_args__),
    "documented": lambda point, *_: (point.__doc__, point.__name__, point.__qualname__),
    "no room": lambda point, below, _: [hasattr(each(1), "__dict__") for each in (point, below)],
    "hashed": lambda point, *_: hash(point(1)),
    "below": lambda _, below, __: (below(1).y, below(1)._replace(x=5).double),
}
WRONG: dict[str, Callable[[Any], Any]] = {
    "too few": lambda point: point(),
    "too many": lambda point: point(1, 2, (), 4),
    "unknown": lambda point: point(1, z=1),
    "twice": lambda point: point(1, x=1),
    "not replaced": lambda point: point(1)._replace(z=1),
    "not made": lambda point: point._make([1]),
    "set": lambda point: setattr(point(1), "x", 2),
    "added": lambda point: setattr(point(1), "z", 2),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_they_do_the_same(call: Callable[..., Any]) -> None:
    assert call(*OURS) == call(*TYPINGS)


@pytest.mark.parametrize("call", WRONG.values(), ids=WRONG)
def test_they_refuse_the_same(call: Callable[..., Any]) -> None:
    for point, *_ in (OURS, TYPINGS):
        with pytest.raises((TypeError, ValueError, AttributeError)):
            call(point)


def test_a_call_names_what_is_wrong_with_it() -> None:
    with pytest.raises(TypeError, match=r"Point\.__new__\(\).* unexpected keyword argument 'z'"):
        OURS[0](1, z=1)


def test_a_pattern_finds_the_fields() -> None:
    point, *_ = OURS
    match point(1, 3):
        case point(1, y=y):
            assert y == 3
        case _:
            pytest.fail("it does not match")
