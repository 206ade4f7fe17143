"""Which coefficient of a grid is picked, by the paper's rule and by ours: pure functions on frames with the
columns of members.csv.

They need `coefficient`, `return_mean` and `sparsity` (a fraction); a row whose `return_mean` is unknown (a
failed policy) is left out.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

import pandas as pd

from l0_surgical.experiments.results import FACTS
from l0_surgical.experiments.statistics import Estimate, differences

Key = TypeVar("Key")

TARGET_RETURN = {name: task.target for name, task in FACTS.items()}
RANDOM_RETURN = {name: task.random_return for name, task in FACTS.items()}

TOLERANCE = 0.01
RULES = {"paper": "paper's rule", "ours": "our rule", "doubt": "not shown lower"}
"""`by_paper`, `by_evidence` and `by_doubt` in words."""


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

    @property
    def verdict(self) -> str:
        """kept, lost or open."""
        return "kept" if self.is_kept else "lost" if self.is_lost else "open"


def by_paper(policies: pd.DataFrame) -> float | None:
    """The paper's rule (sec. 5.1.1): the coefficient with the largest mean reward + mean sparsity in percent;
    the smallest of equals.

    None if no row has a reward.
    """
    means = _means(policies)
    return _largest(means["return_mean"] + 100 * means["sparsity"])


def by_evidence(policies: pd.DataFrame, comparisons: Mapping[float, Comparison]) -> float | None:
    """Our rule: the coefficient with the largest mean sparsity among those whose reward is shown to be kept
    (`Comparison.is_kept`).

    `comparisons` has one for each coefficient that has a reward (`compare`). None if no coefficient is shown
    to keep the dense reward; the smallest of equals.
    """
    return _sparsest(policies, [c for c, found in comparisons.items() if found.is_kept])


def by_doubt(policies: pd.DataFrame, comparisons: Mapping[float, Comparison]) -> float | None:
    """The weaker form of our rule: the sparsest coefficient whose reward is not shown to be lower
    (`Comparison.is_lost`)."""
    return _sparsest(policies, [c for c, found in comparisons.items() if not found.is_lost])


def compare(
    groups: Mapping[Key, pd.DataFrame], dense: pd.DataFrame, random_return: float
) -> dict[Key, Comparison]:
    """The reward of each group of rows (the seeds of one coefficient) against that of the `dense` rows;
    without the groups that have none.

    The tolerance is 1 % of what the dense policies gain over random actions.
    """
    base, *sets = ([*rows["return_mean"].dropna()] for rows in (dense, *groups.values()))
    if not base:
        return {}
    allowed = tolerance(sum(base) / len(base), random_return)
    return {
        key: Comparison(estimate, allowed)
        for key, estimate in zip(groups, differences(sets, base), strict=True)
        if estimate is not None
    }


def tolerance(reward: float, random_return: float) -> float:
    """1 % of what a reward is above that of random actions; 0 for a policy that is no better."""
    return TOLERANCE * max(0.0, reward - random_return)


def _means(policies: pd.DataFrame) -> pd.DataFrame:
    known = policies[policies["return_mean"].notna()]
    return known.groupby("coefficient")[["return_mean", "sparsity"]].mean()


def _sparsest(policies: pd.DataFrame, among: list[float]) -> float | None:
    sparsity = _means(policies)["sparsity"]
    return _largest(sparsity[sparsity.index.isin(among)])


def _largest(by_coefficient: pd.Series) -> float | None:
    """The first, which is the smallest, coefficient of those with the largest value."""
    return None if by_coefficient.empty else float(by_coefficient.idxmax())
