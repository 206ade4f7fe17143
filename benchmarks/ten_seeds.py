"""Five more seeds for what results/classic picks, so that the strict rule can be judged with ten.

    python benchmarks/ten_seeds.py --out runs/ten-seeds [--results results/classic]

Trains seeds 5 to 9 of every environment x algorithm: dense; the sparsest coefficient whose reward is not
shown to be lower; the next coefficients below it, one after the other, until the reward is shown to be kept
(the whole interval of the difference within 1 % of the dense gain) with seeds 0 to 9 or the grid ends; and
what that rule picks with seeds 0 to 4. What is trained already is taken from --out. Writes
members_ten_seeds.csv, the new seeds only: `report` adds those of members.csv.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from l0_surgical.commands.terminal import ProgressBar
from l0_surgical.experiments.report.analysis import CellAnalysis
from l0_surgical.experiments.report.classic import read_classic
from l0_surgical.experiments.selection import compare
from l0_surgical.experiments.suite import seed_cells, train_seeds
from l0_surgical.experiments.suite_format import MORE_SEEDS, TABLES
from l0_surgical.experiments.suite_tables import with_bounds, write_csv

# cheapest first
CELLS = (
    ("cartpole", "ppo"),
    ("acrobot", "ppo"),
    ("cartpole", "dqn"),
    ("acrobot", "dqn"),
    ("lunar-lander", "dqn"),
    ("lunar-lander", "ppo"),
)
SEEDS = range(5, 10)


def main() -> None:
    """Trains what is missing and writes the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of the trainings")
    parser.add_argument("--results", type=Path, default=Path("results/classic"), help="where the table goes")
    arguments = parser.parse_args()
    known, rows = read_classic(arguments.results), []
    with ProgressBar() as bar:
        for cell in CELLS:
            for group in _train(CellAnalysis(known, cell), arguments.out, bar):
                rows += group
                write_csv(arguments.results / f"{MORE_SEEDS}.csv", tuple(TABLES["members"]), rows)
                print(f"{'-'.join(cell)} {group[0]['coefficient']:g}: done", flush=True)


def _train(analysis: CellAnalysis, out: Path, bar: ProgressBar) -> Iterator[list[dict[str, Any]]]:
    """The new rows of one coefficient after the other, dense first."""

    def trained(coefficient: float) -> list[dict[str, Any]]:
        return [
            with_bounds(row)
            for row in train_seeds(seed_cells(*analysis.cell, [coefficient], SEEDS), out, bar)
        ]

    dense = trained(0.0)
    yield dense
    highest, strict = analysis.pick("doubt"), analysis.pick("ours")
    below = (
        []
        if highest is None
        else [c for c in reversed(analysis.results.coefficients(analysis.cell)) if c <= highest]
    )
    for coefficient in below:
        rows = trained(coefficient)
        yield rows
        sparse = [*analysis.policies(coefficient), *rows]
        if compare({coefficient: sparse}, [*analysis.dense, *dense], analysis.random_return)[
            coefficient
        ].is_kept:
            break
    if strict is not None and strict < coefficient:
        yield trained(strict)


if __name__ == "__main__":
    main()
