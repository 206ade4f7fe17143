"""Which coefficient of a grid is picked, by the paper's rule and by ours: pure functions on rows with the
columns of members.csv.

A row needs `coefficient`, `return_mean` and `sparsity` (a fraction); a row whose `return_mean` is None (a
failed policy) is left out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from l0_surgical.experiments.intervals import Estimate, differences
from l0_surgical.tasks.classic import CLASSIC

Row = Mapping[str, Any]
Key = TypeVar("Key")

TARGET_RETURN = {name: task.target for name, task in CLASSIC.items()}

# Means over 1000 episodes of uniformly random actions, Gymnasium 1.4 (CartPole-v1, Acrobot-v1,
# LunarLander-v3), reset(seed=0 ... 999), action_space.seed(0); standard errors 0.4, 0.3 and 3.5.
RANDOM_RETURN = {"cartpole": 22.2, "acrobot": -499.1, "lunar-lander": -181.7}

TOLERANCE = 0.01


@dataclass(frozen=True)
class Comparison:
    """How the reward of a policy differs from the dense one's over seeds; `tolerance` is in units of
    reward."""

    difference: Estimate
    tolerance: float

    @property
    def is_kept(self) -> bool:
        """The reward is shown to be kept: the interval's lower bound is not below minus the tolerance."""
        return self.difference.low is not None and self.difference.low >= -self.tolerance

    @property
    def is_lost(self) -> bool:
        """The reward is shown to be lower: the whole interval is below minus the tolerance."""
        return self.difference.high is not None and self.difference.high < -self.tolerance

    @property
    def is_higher(self) -> bool:
        """The reward is shown to be higher: the whole interval is above the tolerance."""
        return self.difference.low is not None and self.difference.low > self.tolerance


def by_paper(rows: Sequence[Row]) -> float | None:
    """The paper's rule (sec. 5.1.1): the coefficient with the largest mean reward + mean sparsity in percent;
    the smallest of equals.

    None if no row has a reward.
    """
    groups = _by_coefficient(rows)
    scores = {c: _mean(group, "return_mean") + 100 * _mean(group, "sparsity") for c, group in groups.items()}
    return max(scores, key=lambda c: (scores[c], -c), default=None)


def by_evidence(rows: Sequence[Row], comparisons: Mapping[float, Comparison]) -> float | None:
    """Our rule: the coefficient with the largest mean sparsity among those whose reward is shown to be kept
    (`Comparison.is_kept`).

    `comparisons` has one for each coefficient that has a reward (`compare`). None if no coefficient is shown
    to keep the dense reward; the smallest of equals.
    """
    return _sparsest(
        {
            c: group
            for c, group in _by_coefficient(rows).items()
            if c in comparisons and comparisons[c].is_kept
        }
    )


def by_doubt(rows: Sequence[Row], comparisons: Mapping[float, Comparison]) -> float | None:
    """The weaker form of our rule: the sparsest coefficient whose reward is not shown to be lower
    (`Comparison.is_lost`)."""
    return _sparsest(
        {
            c: group
            for c, group in _by_coefficient(rows).items()
            if c in comparisons and not comparisons[c].is_lost
        }
    )


def compare(
    groups: Mapping[Key, Sequence[Row]], dense: Sequence[Row], random_return: float
) -> dict[Key, Comparison]:
    """The reward of each group of rows (the seeds of one coefficient) against that of the `dense` rows;
    without the groups that have none.

    The tolerance is 1 % of what the dense policies gain over random actions.
    """
    base = _values(dense, "return_mean")
    if not base:
        return {}
    allowed = tolerance(sum(base) / len(base), random_return)
    found = differences([_values(group, "return_mean") for group in groups.values()], base)
    return {
        key: Comparison(estimate, allowed)
        for key, estimate in zip(groups, found, strict=True)
        if estimate is not None
    }


def tolerance(reward: float, random_return: float) -> float:
    """1 % of what a reward is above that of random actions; 0 for a policy that is no better."""
    return TOLERANCE * max(0.0, reward - random_return)


def _by_coefficient(rows: Sequence[Row]) -> dict[float, list[Row]]:
    groups: dict[float, list[Row]] = {}
    for row in rows:
        if row["return_mean"] is not None:
            groups.setdefault(row["coefficient"], []).append(row)
    return dict(sorted(groups.items()))


def _sparsest(groups: Mapping[float, Sequence[Row]]) -> float | None:
    return max(groups, key=lambda c: (_mean(groups[c], "sparsity"), -c), default=None)


def _values(rows: Sequence[Row], column: str) -> list[float]:
    return [row[column] for row in rows if row[column] is not None]


def _mean(rows: Sequence[Row], column: str) -> float:
    values = _values(rows, column)
    return sum(values) / len(values)
