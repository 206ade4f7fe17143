"""Interquartile means and 95 % stratified bootstrap intervals over training seeds (Agarwal et al. 2021),
computed by rliable."""

import contextlib
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from rliable import library
from rliable.metrics import aggregate_iqm

REPS = 2000
_SEED = 0


@dataclass(frozen=True)
class Estimate:
    """An interquartile mean over `seeds` values with the bounds of its 95 % interval; no bounds from a single
    seed."""

    value: float
    low: float | None
    high: float | None
    seeds: int

    def scaled(self, factor: float) -> "Estimate":
        """The estimate in another unit; `factor` is positive."""
        low, high = (None if bound is None else bound * factor for bound in (self.low, self.high))
        return Estimate(self.value * factor, low, high, self.seeds)


class Estimates:
    """Estimates for sets of seeds' values that are known in advance: computed together, in as few bootstraps
    as the sets have sizes.

    A set that was not announced is computed when it is asked for.
    """

    def __init__(self, sets: Iterable[Sequence[float]]) -> None:
        distinct = list(dict.fromkeys(tuple(values) for values in sets))
        self._found = dict(zip(distinct, interquartile_means(distinct), strict=True))

    def __call__(self, values: Sequence[float]) -> Estimate | None:
        """The estimate for one set; None for an empty one."""
        key = tuple(values)
        if key not in self._found:
            self._found[key] = interquartile_mean(key)
        return self._found[key]


def interquartile_mean(values: Sequence[float]) -> Estimate | None:
    """The estimate for one set of seeds; None for no values.

    Raises:
        ValueError: a value is not finite.
    """
    return interquartile_means([values])[0]


def interquartile_means(sets: Sequence[Sequence[float]]) -> list[Estimate | None]:
    """One estimate for each set of seeds' values (sets may differ in size), all in as few bootstraps as there
    are sizes.

    Raises:
        ValueError: a value is not finite.
    """
    found: list[Estimate | None] = [None] * len(sets)
    for size in sorted({len(values) for values in sets} - {0}):
        places = [place for place, values in enumerate(sets) if len(values) == size]
        scores = np.array([sets[place] for place in places], float).T  # (seeds, sets): rliable's runs x tasks
        if not np.isfinite(scores).all():
            raise ValueError("an interquartile mean needs finite values")
        centre = _column_means(scores)
        low, high = _bootstrap(scores, _column_means) if size > 1 else np.full((2, len(places)), math.nan)
        for column, place in enumerate(places):
            found[place] = Estimate(float(centre[column]), _known(low[column]), _known(high[column]), size)
    return found


def differences(sets: Sequence[Sequence[float]], base: Sequence[float]) -> list[Estimate | None]:
    """For each set of seeds' values its interquartile mean less that of `base`, the seeds of either drawn on
    their own.

    None for an empty set, or where `base` is empty.
    """
    found: list[Estimate | None] = [None] * len(sets)
    for size in sorted({len(values) for values in sets} - {0}) if base else ():
        places = [place for place, values in enumerate(sets) if len(values) == size]
        ours = np.array([sets[place] for place in places], float).T
        theirs = np.repeat(np.array(base, float)[:, None], len(places), axis=1)
        centre = _column_means(ours) - _column_means(theirs)
        seeds = min(size, len(base))
        low, high = np.full((2, len(places)), math.nan)
        if seeds > 1:
            low, high = _bootstrap([ours, theirs], lambda a, b: _column_means(a) - _column_means(b))
        for column, place in enumerate(places):
            found[place] = Estimate(float(centre[column]), _known(low[column]), _known(high[column]), seeds)
    return found


def across_tasks(scores: np.ndarray) -> Estimate:
    """The interquartile mean of scores (seeds, tasks) over both, with an interval that draws seeds within
    tasks and tasks too."""
    low, high = _bootstrap(scores, lambda drawn: np.array([aggregate_iqm(drawn)]), task_bootstrap=True)
    return Estimate(float(aggregate_iqm(scores)), float(low[0]), float(high[0]), len(scores))


def _column_means(scores: np.ndarray) -> np.ndarray:
    """scipy's trim_mean(scores, 0.25, axis=0), which is rliable's choice, without its checks: it runs 2000
    times."""
    cut = len(scores) // 4
    return np.sort(scores, axis=0)[cut : len(scores) - cut].mean(axis=0)


def _bootstrap(
    scores: np.ndarray | list[np.ndarray], function: Callable[..., np.ndarray], task_bootstrap: bool = False
) -> np.ndarray:
    """The bounds (2, values) of `function`."""
    with _seeded():
        _, bounds = library.get_interval_estimates(
            {"": scores}, function, task_bootstrap=task_bootstrap, reps=REPS
        )
    return bounds[""]


@contextlib.contextmanager
def _seeded() -> Iterator[None]:
    """The same draws each time: rliable 1.2 draws from NumPy's global generator, whatever `random_state` it
    is given."""
    before = np.random.get_state()  # noqa: NPY002
    np.random.seed(_SEED)  # noqa: NPY002
    try:
        yield
    finally:
        np.random.set_state(before)  # noqa: NPY002


def _known(bound: float) -> float | None:
    return None if math.isnan(bound) else float(bound)
