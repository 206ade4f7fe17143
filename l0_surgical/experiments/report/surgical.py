"""The results of NeedleReach (results/surgical): one row per policy and preset, and the rank sweeps over
three seeds."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from l0_surgical.experiments.rows import (
    Rows,
    fraction,
    number,
    one_of,
    read_json,
    read_table,
    required,
    whole,
)
from l0_surgical.system.errors import BadInputError

PRESETS = ("best", "paper")
FILES = ("best.csv", "paper.csv", "rank_sweeps.json")
_MEMBERS = {
    "seed": required(whole),
    "regularizer": one_of("none", "l0", "l1", "l2"),
    "coefficient": required(number),
    **dict.fromkeys(("return_mean", "success_rate", "sparsity", "sparsity_at_init"), required(number)),
    "critic_sparsity": fraction,
    "parameters": required(whole),
}
_COMPRESSED = {"policy": required(str), "parameters": required(whole), "bytes": required(whole)}
_COMPRESSED |= {"size_decrease_percent": required(number), "return_mean": number, "success_rate": fraction}
_SWEEP = (
    "rank",
    "parameters_paper",
    "parameters",
    "size_decrease_percent",
    "return_mean",
    "return_range",
    "success_rate",
    "seeds",
)


@dataclass(frozen=True)
class SurgicalResults:
    """`members` by preset; `sweeps` by name ("best dense", "paper L0 0.05", ...), one row per rank;
    `compressed` may be empty."""

    path: Path
    members: dict[str, Rows]
    sweeps: dict[str, list[dict[str, Any]]]
    compressed: Rows
    missing: list[str]

    def sweep(self, preset: str, dense: bool) -> tuple[str, list[dict[str, Any]]] | None:
        """The name and rows of a preset's dense or sparse sweep; None if there is none."""
        names = [name for name in self.sweeps if name.startswith(preset) and name.endswith("dense") == dense]
        return (names[0], self.sweeps[names[0]]) if names else None


def is_surgical(folder: Path) -> bool:
    """Whether a folder holds at least one of this suite's files of its own."""
    return (folder / "rank_sweeps.json").is_file()


def read_surgical(folder: Path) -> SurgicalResults:
    """The results in `folder`; what is absent is in `missing`.

    Raises:
        BadInputError: a file cannot be read or lacks a column.
    """
    missing = [f"NeedleReach: no {name}" for name in FILES if not (folder / name).is_file()]
    members = {
        preset: read_table(folder / f"{preset}.csv", _MEMBERS) if (folder / f"{preset}.csv").is_file() else []
        for preset in PRESETS
    }
    sweeps = read_json(folder / "rank_sweeps.json")
    for name, rows in sweeps.items():
        for row in rows:
            if absent := [key for key in _SWEEP if key not in row]:
                raise BadInputError(
                    f"{folder / 'rank_sweeps.json'}, {name}: a row lacks {', '.join(absent)}; write the "
                    "results anew"
                )
    compressed = folder / "compressed.csv"
    results = SurgicalResults(
        folder, members, sweeps, read_table(compressed, _COMPRESSED) if compressed.is_file() else [], missing
    )
    for preset in PRESETS:
        missing += [
            f"NeedleReach, preset {preset}: no {'dense' if dense else 'sparse'} rank sweep"
            for dense in (True, False)
            if results.sweep(preset, dense) is None
        ]
    return results
