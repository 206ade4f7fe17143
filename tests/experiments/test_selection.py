"""Both selection rules by values worked out by hand."""

import pandas as pd
import pytest

from l0_surgical.experiments.selection import (
    RANDOM_RETURN,
    TARGET_RETURN,
    by_doubt,
    by_evidence,
    by_paper,
    compare,
    tolerance,
)

DENSE = pd.DataFrame(
    {"coefficient": 0.0, "return_mean": 200.0 + 0.1 * seed, "sparsity": 0.0} for seed in range(5)
)


def rows(coefficient: float, returns: list[float | None], sparsity: float) -> pd.DataFrame:
    known = [sparsity if value is not None else None for value in returns]
    table = {"coefficient": coefficient, "return_mean": returns, "sparsity": known}
    return pd.DataFrame(table, index=range(len(returns))).astype(float)


def comparisons(sparse: pd.DataFrame, random_return: float = 0.0) -> dict:
    return compare(dict(list(sparse.groupby("coefficient"))), DENSE, random_return)


def test_the_papers_rule_adds_percent_of_sparsity_to_the_reward():
    # 200 + 30 = 230; 190 + 45 = 235; 100 + 99 = 199
    sparse = pd.concat(
        [rows(1e-4, [200.0] * 5, 0.30), rows(1e-3, [190.0] * 5, 0.45), rows(1e-2, [100.0] * 5, 0.99)]
    )
    assert by_paper(sparse) == 1e-3


def test_the_papers_rule_takes_the_mean_over_seeds_and_the_smaller_of_equals():
    # means 150 and 150
    assert by_paper(pd.concat([rows(1e-3, [100.0, 200.0], 0.5), rows(1e-4, [150.0, 150.0], 0.5)])) == 1e-4


def test_failed_policies_are_left_out():
    assert by_paper(pd.concat([rows(1e-3, [None, 200.0], 0.5), rows(1e-2, [None, None], 0.9)])) == 1e-3
    assert by_paper(rows(1e-2, [None], 0.9)) is None
    assert by_paper(rows(1e-2, [], 0.9)) is None


def test_our_rule_takes_the_sparsest_that_is_shown_to_keep_the_reward():
    # tolerance 1 % of 200.2 = 2.002: 199 keeps, 190 is lost; 195 to 210 is open
    sparse = [rows(1e-4, [199.0] * 5, 0.5), rows(1e-3, [190.0] * 5, 0.9)]
    sparse = pd.concat([*sparse, rows(1e-2, [190.0, 195.0, 200.0, 205.0, 210.0], 0.8)])
    found = comparisons(sparse)
    assert (found[1e-4].is_kept, found[1e-4].is_lost) == (True, False)
    assert (found[1e-3].is_kept, found[1e-3].is_lost) == (False, True)
    assert (found[1e-2].is_kept, found[1e-2].is_lost) == (False, False)
    assert by_evidence(sparse, found) == 1e-4
    assert by_doubt(sparse, found) == 1e-2


def test_our_rule_picks_nothing_where_nothing_is_shown():
    sparse = rows(1e-3, [150.0] * 5, 0.9)
    assert by_evidence(sparse, comparisons(sparse)) is None
    assert by_evidence(sparse[:0], {}) is None


def test_one_seed_shows_nothing():
    found = compare({1e-3: rows(1e-3, [500.0], 0.5)}, DENSE[:1], 0.0)[1e-3]
    assert (found.is_kept, found.is_lost, found.is_higher) == (False, False, False)


def test_higher_means_above_the_tolerance():
    found = comparisons(pd.concat([rows(1e-3, [201.5] * 5, 0.5), rows(1e-2, [210.0] * 5, 0.5)]))
    assert not found[1e-3].is_higher
    assert found[1e-2].is_higher


def test_the_tolerance_is_a_hundredth_of_the_gain_over_random():
    assert tolerance(-100.0, -500.0) == pytest.approx(4.0)
    assert tolerance(-600.0, -500.0) == 0.0
    assert {
        name: tolerance(TARGET_RETURN[name], RANDOM_RETURN[name]) for name in TARGET_RETURN
    } == pytest.approx({"cartpole": 4.778, "acrobot": 3.991, "lunar-lander": 3.817})
