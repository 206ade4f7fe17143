"""What the pairs of dvrk_pairs.json read from the messages of an arm, and how a reading is compared with the
dVRK's."""

import itertools
import math
import statistics
from dataclasses import dataclass
from typing import Any

from l0_surgical.robot.control.records import Record

Json = dict[str, Any]


@dataclass(frozen=True)
class Heard:
    """A message and when it was heard, in seconds after the beginning of the stimulus or of all."""

    at_s: float
    record: Record


def value_of(text: Any) -> Any:
    """JSON has no nan and inf: they are written as texts."""
    if isinstance(text, list):
        return tuple(value_of(part) for part in text)
    if isinstance(text, dict):
        return {name: value_of(part) for name, part in text.items()}
    return float(text) if text in ("nan", "inf", "-inf") else text


def field(record: Record, path: str | list[str]) -> Any:
    """ "position.2" is a part, "name.#" how many there are, "stamp_ns?" whether it is not 0; a list of paths
    gives a list."""
    if isinstance(path, list):
        return [field(record, part) for part in path]
    if path.endswith("?"):
        return bool(field(record, path[:-1]))
    name, _, part = path.partition(".")
    value = getattr(record, name)
    if part:
        return len(value) if part == "#" else text_of(value[int(part)])
    return [text_of(one) for one in value] if isinstance(value, tuple) else text_of(value)


def text_of(value: Any) -> Any:
    """The inverse of `value_of` for single values."""
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def is_like(value: Any, wanted: Any, tolerance: float) -> bool:
    if isinstance(wanted, list):
        return (
            isinstance(value, list)
            and len(value) == len(wanted)
            and all(is_like(a, b, tolerance) for a, b in zip(value, wanted, strict=True))
        )
    if isinstance(wanted, float | int) and not isinstance(wanted, bool):
        return (
            isinstance(value, float | int)
            and not isinstance(value, bool)
            and abs(value - wanted) <= tolerance
        )
    return value == wanted


def differs(expected: Json, value: Any) -> str | None:
    """What is wrong with a reading, in one line."""
    tolerance = expected.get("tolerance", 0.0)
    wanted = expected["value"]
    # q and -q are the same rotation
    opposite = (
        [part if isinstance(part, str) else -part for part in value]
        if expected.get("field") == "orientation" and value
        else value
    )
    if is_like(value, wanted, tolerance) or is_like(opposite, wanted, tolerance):
        return None
    of = " ".join(str(expected[key]) for key in ("read", "topic", "field") if key in expected)
    return (
        f"{of} from {expected.get('from', 0)} to {expected['to']} s: {value}, the dVRK's is {wanted} +- "
        f"{tolerance}"
    )


def _within(said: list[Heard], expected: Json) -> list[Heard]:
    return [heard for heard in said if expected.get("from", 0.0) <= heard.at_s <= expected["to"]]


def _fields(said: list[Heard], expected: Json) -> list[Any]:
    return [field(heard.record, expected["field"]) for heard in _within(said, expected)]


def _last(said: list[Heard], expected: Json) -> Any:
    """Of the newest message then, which may have been said long before."""
    known = [heard for heard in said if heard.at_s <= expected["to"]]
    return field(known[-1].record, expected["field"]) if known else None


def _sequence(said: list[Heard], expected: Json) -> list[Any]:
    """Without repetitions."""
    values = _fields(said, expected)
    return [value for number, value in enumerate(values) if number == 0 or value != values[number - 1]]


def _largest_step(said: list[Heard], expected: Json) -> float:
    values = _fields(said, expected)
    return max((abs(b - a) for a, b in itertools.pairwise(values)), default=0.0)


def _time(said: list[Heard], expected: Json) -> float | None:
    """When the field was first as `equals`."""
    for heard in _within(said, expected):
        if is_like(field(heard.record, expected["field"]), expected["equals"], expected.get("near", 0.0)):
            return heard.at_s
    return None


READINGS = {
    "last": _last,
    "count": lambda said, expected: len(_within(said, expected)),
    "said": lambda said, expected: bool(_within(said, expected)),
    "sequence": _sequence,
    "largest_step": _largest_step,
    "time": _time,
}


def middle(values: list[Any]) -> Any:
    """The median of numbers, for each part of lists of numbers; of anything else what was read most often."""
    first = values[0]
    if all(isinstance(value, float | int) and not isinstance(value, bool) for value in values):
        return round(statistics.median_low(values), 9)
    if isinstance(first, list) and all(
        isinstance(value, list) and len(value) == len(first) for value in values
    ):
        return [middle([value[number] for value in values]) for number in range(len(first))]
    return max(values, key=values.count)
