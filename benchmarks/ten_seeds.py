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

import pandas as pd

from l0_surgical.commands.terminal import ProgressBar
from l0_surgical.experiments.report.analysis import ClassicResults, GroupAnalysis
from l0_surgical.experiments.results import CLASSIC, MORE_SEEDS, with_bounds, write_table
from l0_surgical.experiments.selection import compare
from l0_surgical.experiments.suite import train_seeds
from l0_surgical.experiments.suites.classic import seed_cells

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
    known, rows = ClassicResults.read(arguments.results), []
    with ProgressBar() as bar:
        for cell in CELLS:
            for group in _train(GroupAnalysis(known, cell), arguments.out, bar):
                rows += group
                write_table(arguments.results / f"{MORE_SEEDS}.csv", CLASSIC["members"], rows)
                print(f"{'-'.join(cell)} {group[0]['coefficient']:g}: done", flush=True)


def _train(analysis: GroupAnalysis, out: Path, bar: ProgressBar) -> Iterator[list[dict[str, Any]]]:
    """The new rows of one coefficient after the other, dense first."""

    def trained(coefficient: float) -> list[dict[str, Any]]:
        return [
            with_bounds(row)
            for row in train_seeds(seed_cells(*analysis.group, [coefficient], SEEDS), out, bar)
        ]

    dense = trained(0.0)
    yield dense
    highest, strict = analysis.pick("doubt"), analysis.pick("ours")
    below = [] if highest is None else [c for c in reversed(analysis.coefficients()) if c <= highest]
    for coefficient in below:
        rows = trained(coefficient)
        yield rows
        sparse = pd.concat([analysis.policies(coefficient), pd.DataFrame(rows)])
        every_dense = pd.concat([analysis.dense, pd.DataFrame(dense)])
        if compare({coefficient: sparse}, every_dense, analysis.random_return)[coefficient].is_kept:
            break
    if strict is not None and strict < coefficient:
        yield trained(strict)


if __name__ == "__main__":
    main()
