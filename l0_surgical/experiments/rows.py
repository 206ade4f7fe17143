"""Reading the CSV and JSON files of a results folder, with one clear line for whatever is wrong in them."""

import csv
import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from l0_surgical.system.errors import BadInputError

Rows = list[dict[str, Any]]
Reader = Callable[[str], Any]


def number(text: str) -> float | None:
    """A finite number; None for an empty field.

    Raises:
        ValueError: anything else.
    """
    if not text:
        return None
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is not a finite number")
    return value


def whole(text: str) -> int | None:
    """A whole number; None for an empty field.

    Raises:
        ValueError: anything else.
    """
    value = number(text)
    if value is None:
        return None
    if value != int(value):
        raise ValueError(f"{text} is not a whole number")
    return int(value)


def fraction(text: str) -> float | None:
    """A number from 0 to 1; None for an empty field.

    Raises:
        ValueError: anything else.
    """
    value = number(text)
    if value is not None and not 0 <= value <= 1:
        raise ValueError(f"{text} is not a fraction from 0 to 1")
    return value


def boolean(text: str) -> bool | None:
    """true or false; None for an empty field.

    Raises:
        ValueError: anything else.
    """
    known = {"": None, "true": True, "false": False}
    if text.lower() not in known:
        raise ValueError(f"{text} is neither true nor false")
    return known[text.lower()]


def one_of(*choices: str) -> Reader:
    """A reader of one of the `choices`, which may not be empty."""

    def read(text: str) -> str:
        if text not in choices:
            raise ValueError(f"{text!r} is none of {', '.join(choices)}")
        return text

    return read


def required(reader: Reader) -> Reader:
    """The same reader, which refuses an empty field."""

    def read(text: str) -> Any:
        if not text:
            raise ValueError("the field is empty")
        return reader(text)

    return read


def read_table(path: Path, columns: Mapping[str, Reader]) -> Rows:
    """The rows of a CSV file, each of its `columns` read; other columns are left out.

    Raises:
        BadInputError: the file cannot be read, lacks a column, or holds a value that its reader refuses.
    """
    try:
        with path.open(newline="", encoding="utf-8") as stream:
            reader = csv.DictReader(stream)
            absent = [name for name in columns if name not in (reader.fieldnames or ())]
            if absent:
                raise BadInputError(
                    f"{path} lacks the columns {', '.join(absent)}; write the results anew with this version"
                )
            return [
                {
                    name: _read_field(f"{path}, line {line}", name, (row[name] or "").strip(), read)
                    for name, read in columns.items()
                }
                for line, row in enumerate(reader, start=2)
            ]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise BadInputError(f"cannot read {path} ({error}); restore it or run the suite again") from error


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file.

    Raises:
        BadInputError: it cannot be read or holds something else.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadInputError(f"cannot read {path} ({error}); restore it or run the suite again") from error
    if not isinstance(data, dict):
        raise BadInputError(f"{path} holds no JSON object; restore it or run the suite again")
    return data


def _read_field(place: str, name: str, text: str, read: Reader) -> Any:
    try:
        return read(text)
    except ValueError as error:
        raise BadInputError(f"{place}, column {name}: {error}; correct it or run that cell again") from error
