"""What a setting may be, written where it stands, and the one loop that checks it: `episodes: Annotated[int,
Bound(1, 1000)] = 200`.

A bound belongs to the number itself, also inside of a tuple or beside None: `hidden: tuple[Annotated[int,
Bound(1, 4096)], ...]`. Whether bounded or not, a number is finite, a whole one is whole, and a choice is one
of its choices.
"""

import dataclasses
import functools
import math
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from l0_surgical.system.errors import BadInputError


@dataclass(frozen=True)
class Bound:
    """The ends of a range; each is either included (`least`, `most`) or not (`above`, `below`).

    Attributes:
        beyond: what stands against more, e.g. "more would not fit into memory"; said of what is too large.
    """

    least: float | None = None
    most: float | None = None
    above: float | None = None
    below: float | None = None
    beyond: str = ""

    def is_too_low(self, value: float) -> bool:
        """Whether the value lies under the range."""
        return (self.least is not None and value < self.least) or (
            self.above is not None and value <= self.above
        )

    def is_too_high(self, value: float) -> bool:
        """Whether the value lies over the range."""
        return (self.most is not None and value > self.most) or (
            self.below is not None and value >= self.below
        )

    def __str__(self) -> str:
        """The range in words, e.g. `> 0 and <= 1`."""
        ends = {">=": self.least, ">": self.above, "<=": self.most, "<": self.below}
        return " and ".join(f"{sign} {end}" for sign, end in ends.items() if end is not None)


Seed = Annotated[int, Bound(0, 2**53 - 1, beyond="a larger one would be rounded by what reads it from JSON")]
"""Of a member, of episodes, of goals; each is spread over all bits by NumPy's SeedSequence before anything
else sees it."""
Episodes = Annotated[
    int, Bound(1, 100_000, beyond="more would not fit into memory side by side; run several with other seeds")
]
"""Of one evaluation."""
Jobs = Annotated[int, Bound(1, 1024, beyond="each is a process of its own with some 200 MB of memory")]
"""Processes at a time."""


def check_fields(record: Any, section: str = "") -> None:
    """Checks every field of a dataclass, and of the dataclasses in it, against its annotation.

    Raises:
        BadInputError: `--section.name VALUE: remedy`, of the first field that holds something else.
    """
    hints = _hints(type(record))
    for field in dataclasses.fields(record):
        name = section + field.name.replace("_", "-")
        check_value(name, getattr(record, field.name), hints[field.name])


@functools.cache
def _hints(record: type) -> dict[str, Any]:
    return typing.get_type_hints(record, include_extras=True)


def check_value(name: str, value: Any, hint: Any, bound: Bound | None = None) -> None:
    """Checks one value against an annotation: a number with or without a bound, a text, a path, a truth
    value, a choice, a dataclass, a tuple of these, dataclasses by name, or None beside one of these. `bound`
    is for numbers whose own annotation has none.

    Raises:
        BadInputError: `--name VALUE: remedy`; of a tuple the element that is wrong.
        TypeError: the annotation is of another kind.
    """
    kind, arguments = get_origin(hint), get_args(hint)
    if kind is Annotated:
        bounds = [one for one in hint.__metadata__ if isinstance(one, Bound)]
        check_value(name, value, hint.__origin__, bounds[0] if bounds else bound)
    elif kind in (Union, types.UnionType) and len(arguments) == 2 and type(None) in arguments:
        if value is not None:
            check_value(name, value, next(one for one in arguments if one is not type(None)), bound)
    elif kind is tuple:
        endless = arguments[-1] is Ellipsis
        _require(isinstance(value, tuple), name, value, "pass a tuple")
        _require(endless or len(value) == len(arguments), name, value, f"pass {len(arguments)} values")
        for one, inner in zip(value, arguments[:1] * len(value) if endless else arguments, strict=True):
            check_value(name, one, inner, bound)
    elif kind is Literal:
        _require(value in arguments, name, value, f"choose {', '.join(map(str, arguments))}")
    elif dataclasses.is_dataclass(hint):
        _require(isinstance(value, hint), name, value, f"pass a {hint.__name__}")
        # an algorithm's section has the algorithm's name
        check_fields(value, f"{getattr(type(value), 'name', name)}.")
    elif kind is Mapping:
        for key, one in value.items():
            check_fields(one, f"{key}.")
    elif hint in (int, float):
        _check_number(name, value, hint, bound or Bound())
    elif hint in _WORDS:
        _require(isinstance(value, hint), name, value, f"pass {_WORDS[hint]}")
    else:
        raise TypeError(f"{name} is annotated with {hint}, which cannot be checked")


_LONGEST = 160
_WORDS = {bool: "True or False", str: "a text", Path: "a path"}


def _check_number(name: str, value: Any, hint: type, bound: Bound) -> None:
    what = "a whole number" if hint is int else "a finite number"
    remedy = f"pass {what} {bound}".rstrip()
    is_number = isinstance(value, int if hint is int else (int, float)) and not isinstance(value, bool)
    _require(
        is_number and (isinstance(value, int) or math.isfinite(value)) and not bound.is_too_low(value),
        name,
        value,
        remedy,
    )
    _require(
        not bound.is_too_high(value), name, value, f"{remedy}; {bound.beyond}" if bound.beyond else remedy
    )


def _require(holds: bool, name: str, value: Any, remedy: str) -> None:
    if not holds:
        raise BadInputError(f"--{name} {_shown(value)}: {remedy}")


def _shown(value: Any) -> str:
    """The value in at most a line; Python does not print whole numbers of more than some thousand digits."""
    if isinstance(value, int) and value.bit_length() > 512:
        return f"(a number of {value.bit_length()} bits)"
    text = repr(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
