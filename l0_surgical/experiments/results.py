"""Results folders: the columns of every table, as the suites write them and the report reads them."""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from l0_surgical.settings import registry
from l0_surgical.system.errors import BadInputError
from l0_surgical.system.files import atomic_write, number_name
from l0_surgical.tasks import TASKS
from l0_surgical.tasks.classic import CLASSIC as CLASSIC_TASKS

SUITE, FORMAT = "classic", 1
_KNOWN = {name: TASKS[name].open() for name in TASKS if TASKS[name].experience == "vector"}
FACTS = {n: task for n, task in _KNOWN.items() if None not in (task.target, task.random_return)}
"""The tasks that the suite can judge, the registered ones of a user's too."""
ENVIRONMENTS = {name: task.title or name for name, task in FACTS.items()}
_SIDE_BY_SIDE = [n for n in registry.ALGORITHMS if registry.ALGORITHMS[n].experience == "vector"]
ALGORITHMS = {name: name.upper() for name in _SIDE_BY_SIDE}
REGULARIZERS = tuple(registry.SPARSIFIERS)
PAPER_ENVIRONMENTS, PAPER_ALGORITHMS = tuple(CLASSIC_TASKS), ("dqn", "ppo")
PAPER_REGULARIZERS = ("none", "l0", "l1", "l2")
RANKS = range(5, 30)
"""Of the classic suite's sweeps, as in the paper."""
KEY = ["environment", "algorithm", "regularizer", "coefficient"]
"""The columns that the policies of one way of training share; their seeds differ."""


def _number(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is not a finite number")
    return value


def _whole(text: str) -> int:
    value = _number(text)
    if value != int(value):
        raise ValueError(f"{text} is not a whole number")
    return int(value)


def _fraction(text: str) -> float:
    value = _number(text)
    if not 0 <= value <= 1:
        raise ValueError(f"{text} is not a fraction from 0 to 1")
    return value


def _boolean(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise ValueError(f"{text} is neither true nor false")
    return text.lower() == "true"


@dataclass(frozen=True)
class Column:
    """How a column is read: a field's text becomes a value, or ValueError says why not.

    Attributes:
        choices: the words that a field may hold; the column's rows are in their order wherever they are
            grouped.
    """

    read: Callable[[str], Any]
    is_required: bool = False
    choices: tuple[str, ...] = ()

    def value(self, text: str) -> Any:
        """The value of a field, None for an empty one.

        Raises:
            ValueError: it may not be so.
        """
        if self.choices and text not in self.choices:
            raise ValueError(f"{text!r} is none of {', '.join(self.choices)}")
        if not text and self.is_required:
            raise ValueError("the field is empty")
        return self.read(text) if text or self.read is str else None

    def series(self, values: list[Any]) -> pd.Series:
        """The values as pandas holds them; an unknown number is NaN."""
        if self.choices:
            return pd.Series(pd.Categorical(values, categories=self.choices, ordered=True))
        is_number = self.read in (_number, _fraction) or (self.read is _whole and not self.is_required)
        return pd.Series(values, dtype=float if is_number else int if self.read is _whole else object)


Table = Mapping[str, Column]
"""Columns by name, in the order of the file."""

_NUMBER, _WHOLE, _FRACTION, _TEXT = Column(_number), Column(_whole), Column(_fraction), Column(str)
_A_NUMBER, _A_WHOLE, _A_TEXT = (Column(read, is_required=True) for read in (_number, _whole, str))
_REGULARIZER = Column(str, choices=REGULARIZERS)
_POLICY = {
    "environment": Column(str, choices=tuple(ENVIRONMENTS)),
    "algorithm": Column(str, choices=tuple(ALGORITHMS)),
    "regularizer": _REGULARIZER,
    "coefficient": _A_NUMBER,
    "seed": _A_WHOLE,
}
_RETURN = dict.fromkeys(("return_mean", "return_low", "return_high"), _NUMBER)
_MEMBERS = {
    **_POLICY,
    "temperature": _NUMBER,
    **_RETURN,
    **dict.fromkeys(("sparsity", "sparsity_at_init", "critic_sparsity"), _FRACTION),
    **dict.fromkeys(("parameters", "nonzero", "env_steps", "updates", "steps_to_target"), _WHOLE),
    **dict.fromkeys(("wall_seconds", "cpu_seconds"), _NUMBER),
    "failed": _TEXT,
}
_SIZE = {"parameters": _A_WHOLE, "size_decrease_percent": _A_NUMBER}

CLASSIC: dict[str, Table] = {
    "members": _MEMBERS,
    "temperatures": {**_MEMBERS, "temperature": _A_NUMBER},
    "curves": {**_POLICY, "env_steps": _A_WHOLE, "return_mean": _A_NUMBER, "sparsity": _FRACTION},
    "ranks": {**_POLICY, "rank": _A_WHOLE, "parameters_paper": _A_WHOLE, **_SIZE, **_RETURN},
    "compressed": {
        **_POLICY,
        "method": _A_TEXT,
        "parameters": _A_WHOLE,
        "bytes": _A_WHOLE,
        "size_decrease_percent": _A_NUMBER,
        **_RETURN,
        "kept": Column(_boolean),
    },
}
"""The tables of the classic suite by name (the file is `<name>.csv`)."""
MORE_SEEDS = "members_ten_seeds"
"""The table, with the columns of members.csv, of the further seeds of what was picked
(benchmarks/ten_seeds.py)."""

_NEEDLE_REACH = {
    "seed": _A_WHOLE,
    "regularizer": _REGULARIZER,
    "coefficient": _A_NUMBER,
    **dict.fromkeys(("return_mean", "success_rate", "sparsity", "sparsity_at_init"), _A_NUMBER),
    **dict.fromkeys(("critic_sparsity", "critic_sparsity_at_init"), _FRACTION),
    **dict.fromkeys(("parameters", "env_steps", "updates"), _A_WHOLE),
}
SURGICAL: dict[str, Table] = {
    "best": _NEEDLE_REACH,
    "paper": _NEEDLE_REACH,
    "compressed": {
        "policy": _A_TEXT,
        "parameters": _A_WHOLE,
        "bytes": _A_WHOLE,
        "size_decrease_percent": _A_NUMBER,
        **dict.fromkeys(("units", "representation"), _A_TEXT),
        "return_mean": _NUMBER,
        "success_rate": _FRACTION,
    },
}
"""The tables of the surgical suite; `best` and `paper` are its presets."""
SWEEPS = "rank_sweeps.json"
SWEEP = ("rank", "parameters_paper", "parameters", "size_decrease_percent")
SWEEP += ("return_mean", "return_range", "success_rate", "seeds")
"""What a row of a rank sweep tells."""


def read_table(path: Path, columns: Table) -> pd.DataFrame:
    """The rows of a CSV file, each of its `columns` read; other columns are left out.

    Raises:
        BadInputError: the file cannot be read, lacks a column, or holds a value that may not be there.
    """
    try:
        text = pd.read_csv(path, dtype=str, keep_default_na=False, index_col=False, encoding="utf-8")
    except (OSError, ValueError) as error:  # pandas's own errors of a file that is no table are ValueErrors
        raise BadInputError(f"cannot read {path} ({error}); restore it or run the suite again") from error
    absent = [name for name in columns if name not in text]
    if absent:
        raise BadInputError(
            f"{path} lacks the columns {', '.join(absent)}; write the results anew with this version"
        )
    text = text.fillna("")
    return pd.DataFrame({name: _column(path, name, text[name], column) for name, column in columns.items()})


def _column(path: Path, name: str, fields: pd.Series, column: Column) -> pd.Series:
    lines = enumerate(fields.str.strip(), start=2)
    return column.series(
        [_field(f"{path}, line {line}, column {name}", text, column) for line, text in lines]
    )


def _field(place: str, text: str, column: Column) -> Any:
    try:
        return column.value(text)
    except ValueError as error:
        raise BadInputError(f"{place}: {error}; correct it or run that cell again") from error


def write_table(
    path: Path, columns: Table | Sequence[str], rows: Sequence[Mapping[str, Any]], digits: int | None = 6
) -> None:
    """Writes these columns of the rows, numbers to so many digits (None: all of them)."""
    shown = [{name: _shown(name, row.get(name), digits) for name in columns} for row in rows]
    table = pd.DataFrame(shown, columns=list(columns), dtype=object)
    with atomic_write(path) as file:
        file.write(table.to_csv(index=False, lineterminator="\r\n").encode())


def with_bounds(row: dict[str, Any]) -> dict[str, Any]:
    """The row with the interval of its return in two columns."""
    low, high = row.get("return_ci95") or (None, None)
    return {**row, "return_low": low, "return_high": high}


def _shown(column: str, value: Any, digits: int | None) -> Any:
    """Six digits are more than any of these figures is known to; a coefficient is none of them, but says
    which policies these are."""
    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, float) or digits is None:
        return value
    return number_name(value) if column == "coefficient" else f"{value:.{digits}g}"


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


def write_json(path: Path, data: Any, indent: int = 2) -> None:
    """Writes a JSON file."""
    with atomic_write(path) as file:
        file.write((json.dumps(data, indent=indent) + "\n").encode())


def read_tables(folder: Path, tables: Mapping[str, Table]) -> dict[str, pd.DataFrame]:
    """Every table that is in the folder; one that is not has no rows.

    Raises:
        BadInputError: see `read_table`.
    """
    return {
        name: read_table(path, columns)
        if (path := folder / f"{name}.csv").is_file()
        else pd.DataFrame({column: how.series([]) for column, how in columns.items()})
        for name, columns in tables.items()
    }
