import math
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest

from l0_surgical.system.bounds import Bound, check_fields, check_value
from l0_surgical.system.errors import BadInputError

Units = Annotated[int, Bound(1, 4096, beyond="more would not fit into memory")]


@dataclass(frozen=True)
class Section:
    learning_rate: Annotated[float, Bound(above=0, most=1)] = 0.1
    hidden: tuple[Units, ...] = (8, 4)


@dataclass(frozen=True)
class Record:
    seeds: Annotated[int, Bound(1, 100)] = 1
    discount: Annotated[float, Bound(least=0, below=1)] = 0.9
    start: Annotated[int, Bound(0, 10)] | None = None
    goal: tuple[float, float] | None = None
    kind: Literal["l0", "none"] = "l0"
    quick: bool = False
    name: str = "x"
    out: Path | None = None
    section: Section = field(default_factory=Section)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {
            "seeds": 100,
            "discount": 0,
            "start": 10,
            "goal": (1e300, -1),
            "kind": "none",
            "quick": True,
            "out": Path("y"),
        },
        {"section": Section(1, ())},
    ],
)
def test_what_lies_in_its_bounds_passes(changes: dict[str, Any]) -> None:
    check_fields(Record(**changes))


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"seeds": 0}, "--seeds 0: pass a whole number >= 1 and <= 100"),
        ({"seeds": 101}, "--seeds 101: pass a whole number >= 1 and <= 100"),
        ({"seeds": 2.0}, "--seeds 2.0: pass a whole number >= 1 and <= 100"),
        ({"seeds": True}, "--seeds True: pass a whole number >= 1 and <= 100"),
        ({"seeds": None}, "--seeds None: pass a whole number >= 1 and <= 100"),
        ({"seeds": 10**5000}, "--seeds (a number of 16610 bits): pass a whole number >= 1 and <= 100"),
        ({"discount": 1.0}, "--discount 1.0: pass a finite number >= 0 and < 1"),
        ({"discount": math.nan}, "--discount nan: pass a finite number >= 0 and < 1"),
        ({"discount": "0.5"}, "--discount '0.5': pass a finite number >= 0 and < 1"),
        ({"start": -1}, "--start -1: pass a whole number >= 0 and <= 10"),
        ({"goal": (0.0, math.inf)}, "--goal inf: pass a finite number"),
        ({"goal": (0.0,)}, "--goal (0.0,): pass 2 values"),
        ({"goal": [0.0, 1.0]}, "--goal [0.0, 1.0]: pass a tuple"),
        ({"kind": "l3"}, "--kind 'l3': choose l0, none"),
        ({"quick": 1}, "--quick 1: pass True or False"),
        ({"name": 3}, "--name 3: pass a text"),
        ({"name": ["long"] * 1000}, f"--name {repr(['long'] * 1000)[:160]}...: pass a text"),
        (
            {"section": Section(learning_rate=0.0)},
            "--section.learning-rate 0.0: pass a finite number > 0 and <= 1",
        ),
        ({"section": Section(hidden=(3, -4))}, "--section.hidden -4: pass a whole number >= 1 and <= 4096"),
        (
            {"section": Section(hidden=(5000,))},
            "--section.hidden 5000: pass a whole number >= 1 and <= 4096; more would not fit into memory",
        ),
        ({"section": {"hidden": (3,)}}, "--section {'hidden': (3,)}: pass a Section"),
    ],
)
def test_anything_else_is_named_with_its_value_and_the_remedy(changes: dict[str, Any], line: str) -> None:
    with pytest.raises(BadInputError, match=f"^{re.escape(line)}$"):
        check_fields(Record(**changes))


def test_an_annotation_that_cannot_be_checked_is_a_mistake_in_the_program() -> None:
    with pytest.raises(TypeError, match="anything is annotated with"):
        check_value("anything", 3, dict[str, int])
    with pytest.raises(TypeError, match="which cannot be checked"):
        check_value("anything", 3, int | str)
