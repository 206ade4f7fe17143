"""The default coefficients: data of the recipes, and what the trial seeds in results/classic say of them."""

import csv
from pathlib import Path

import pytest

from l0_surgical.experiments.selection import RANDOM_RETURN
from l0_surgical.settings.presets import preset
from l0_surgical.settings.presets.classic import DQN_BEST, PPO_BEST, Recipe

RESULTS = Path(__file__).parents[2] / "results" / "classic"
RECIPES = {
    (task, name): recipe
    for name, recipes in (("dqn", DQN_BEST), ("ppo", PPO_BEST))
    for task, recipe in recipes.items()
}
BELOW = {("cartpole", "dqn"): 2, ("lunar-lander", "ppo"): 2}
"""How many trial seeds keep less than 95 %: DQN loses CartPole on some at 80 % sparsity, and PPO keeps 94.7 %
on LunarLander."""


def rows(table: str) -> list[dict[str, str]]:
    with (RESULTS / f"{table}.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.mark.parametrize(
    ("cell", "recipe"), RECIPES.items(), ids=lambda value: "-".join(value) if isinstance(value, tuple) else ""
)
def test_a_default_gives_80_percent_sparsity_and_keeps_the_reward_on_trial_seeds(
    cell: tuple[str, str], recipe: Recipe
) -> None:
    dense = [
        float(row["return_mean"])
        for row in rows("members")
        if (row["environment"], row["algorithm"], row["regularizer"]) == (*cell, "none")
    ]
    tried = [
        row
        for row in rows("default_coefficients")
        if (row["environment"], row["algorithm"], float(row["coefficient"])) == (*cell, recipe.coefficient)
    ]
    assert preset("best", *cell).coefficient == (recipe.coefficient,)
    assert len(tried) >= 3
    assert {int(row["seed"]) for row in tried}.isdisjoint(
        range(10)
    )  # never the seeds that results are reported on
    assert sum(float(row["sparsity"]) for row in tried) / len(tried) >= 0.8
    random = RANDOM_RETURN[cell[0]]
    enough = random + 0.95 * (sum(dense) / len(dense) - random)
    assert sum(float(row["return_mean"]) < enough for row in tried) == BELOW.get(cell, 0)


def test_other_tasks_keep_their_defaults() -> None:
    assert preset("best").coefficient == (2e-2,)
    assert preset("best", "MountainCar-v0", "dqn").coefficient == (1e-2,)
