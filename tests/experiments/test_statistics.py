"""Interquartile means and intervals: values by hand, the same each time, and no trace in NumPy's global
generator."""

from collections.abc import Callable

import numpy as np
import pytest
from rliable import library
from rliable.metrics import aggregate_iqm

from l0_surgical.experiments.statistics import (
    REPS,
    Estimates,
    across_tasks,
    differences,
    interquartile_mean,
    interquartile_means,
)


def test_the_best_and_the_worst_of_five_seeds_are_cut_off():
    found = interquartile_mean([100.0, 3.0, 1.0, 2.0, 4.0])
    assert found.value == 3.0
    assert found.seeds == 5
    assert 1.0 <= found.low < 3.0 < found.high <= 100.0


def test_the_interval_is_that_of_an_independent_bootstrap():
    values = np.array([1.0, 2.0, 4.0, 8.0, 16.0])
    drawn = np.sort(np.random.default_rng(1).choice(values, (20_000, 5)), axis=1)[:, 1:4].mean(axis=1)
    found = interquartile_mean(values)
    np.testing.assert_allclose([found.low, found.high], np.percentile(drawn, [2.5, 97.5]), rtol=0.1)


def test_equal_calls_give_equal_intervals_and_leave_the_global_generator_alone():
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    assert interquartile_mean([1.0, 2.0, 3.0, 4.0, 5.0]) == interquartile_mean([1.0, 2.0, 3.0, 4.0, 5.0])
    assert np.array_equal(before, np.random.get_state()[1])  # noqa: NPY002


def test_sets_of_different_sizes_together():
    one, none, five = interquartile_means([[7.0], [], [2.0] * 5])
    assert (one.value, one.low, one.high, one.seeds) == (7.0, None, None, 1)
    assert none is None
    assert (five.value, five.low, five.high) == (2.0, 2.0, 2.0)


def test_a_value_that_is_not_finite_is_refused():
    with pytest.raises(ValueError, match="finite"):
        interquartile_mean([1.0, float("nan")])


def test_differences_have_the_sign_of_the_first():
    lower, same, none = differences([[1.0, 1.1, 1.2, 0.9, 1.0], [3.0] * 5, []], [3.0, 3.1, 2.9, 3.0, 3.0])
    assert lower.high < 0 < same.high
    assert lower.value == pytest.approx(1.0333333 - 3.0)
    assert none is None
    assert differences([[1.0, 2.0]], []) == [None]


def test_estimates_announced_and_not():
    estimates = Estimates([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    assert estimates([4.0, 5.0, 6.0]).value == 5.0
    assert estimates([7.0, 8.0, 9.0]).value == 8.0
    assert estimates([]) is None


def test_across_tasks_is_wider_than_the_seeds_alone_where_tasks_differ():
    scores = np.array([[0.0, 0.5, 1.0, 1.5]] * 5) + np.linspace(0, 0.01, 5)[:, None]
    found = across_tasks(scores)
    assert found.value == pytest.approx(0.755, abs=0.01)
    assert found.low < 0.5
    assert found.high > 1.0


def of_rliable(scores: np.ndarray | list[np.ndarray], function: Callable, **more: bool) -> np.ndarray:
    """What rliable 1.2 finds; it draws from NumPy's global generator, whatever `random_state` it is given."""
    np.random.seed(0)  # noqa: NPY002
    return library.get_interval_estimates({"": scores}, function, reps=REPS, **more)[1][""]


def test_rliable_finds_the_same_means_and_the_same_intervals():
    scores = np.random.default_rng(3).normal(size=(7, 4))
    ours = interquartile_means(scores.T.tolist())
    columns = lambda drawn: np.array([aggregate_iqm(column) for column in drawn.T])  # noqa: E731
    np.testing.assert_allclose([found.value for found in ours], columns(scores), rtol=1e-12)
    bounds = of_rliable(scores, columns)
    np.testing.assert_allclose([(found.low, found.high) for found in ours], bounds.T, rtol=1e-12)
    less = differences(scores.T[:1].tolist(), scores.T[1].tolist())[0]
    bounds = of_rliable([scores[:, :1], scores[:, 1:2]], lambda a, b: columns(a) - columns(b))
    np.testing.assert_allclose([less.low, less.high], bounds[:, 0], rtol=1e-12)
    both = across_tasks(scores)
    bounds = of_rliable(scores, lambda drawn: np.array([aggregate_iqm(drawn)]), task_bootstrap=True)
    np.testing.assert_allclose([both.value, both.low, both.high], [aggregate_iqm(scores), *bounds[:, 0]])
