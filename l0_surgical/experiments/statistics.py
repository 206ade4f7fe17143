"""Interquartile means and 95 % stratified bootstrap intervals over training seeds (Agarwal et al. 2021, of
which rliable is the reference; the tests compare with it)."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

REPS = 2000
_SEED = 0
_TAIL = (1 - 0.95) / 2
_PERCENTILES = (100 * _TAIL, 100 * (1 - _TAIL))


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
    return _by_size(sets, lambda scores: [scores], _interquartile_means)


def differences(sets: Sequence[Sequence[float]], base: Sequence[float]) -> list[Estimate | None]:
    """For each set of seeds' values its interquartile mean less that of `base`, the seeds of either drawn on
    their own.

    None for an empty set, or where `base` is empty.
    """
    return _by_size(
        sets if base else [()] * len(sets),
        lambda scores: [scores, np.repeat(np.array(base, float)[:, None], scores.shape[1], axis=1)],
        lambda ours, theirs: _interquartile_means(ours) - _interquartile_means(theirs),
    )


def across_tasks(scores: np.ndarray) -> Estimate:
    """The interquartile mean of scores (seeds, tasks) over both, with an interval that draws seeds within
    tasks and tasks too."""
    low, high = _bounds([scores], lambda drawn: _interquartile_means(drawn.ravel()), draw_tasks=True)
    return Estimate(float(_interquartile_means(scores.ravel())), float(low), float(high), len(scores))


def _by_size(
    sets: Sequence[Sequence[float]],
    samples_of: Callable[[np.ndarray], list[np.ndarray]],
    statistic: Callable[..., np.ndarray],
) -> list[Estimate | None]:
    """The statistic of the samples (seeds, sets) that all sets of one size make; None for an empty set."""
    found: list[Estimate | None] = [None] * len(sets)
    for size in sorted({len(values) for values in sets} - {0}):
        places = [place for place, values in enumerate(sets) if len(values) == size]
        samples = samples_of(np.array([sets[place] for place in places], float).T)
        if not all(np.isfinite(scores).all() for scores in samples):
            raise ValueError("an interquartile mean needs finite values")
        seeds = min(len(scores) for scores in samples)
        centre = statistic(*samples).tolist()
        low, high = _bounds(samples, statistic).tolist() if seeds > 1 else [[None] * len(places)] * 2
        for place, *estimate in zip(places, centre, low, high, strict=True):
            found[place] = Estimate(*estimate, seeds)
    return found


def _bounds(
    samples: list[np.ndarray], statistic: Callable[..., np.ndarray], draw_tasks: bool = False
) -> np.ndarray:
    """The bounds (2, sets) of a statistic of samples (seeds, sets): of each set seeds are drawn on their own.

    The same draws each time, from the stream that rliable takes its own from.
    """
    random = np.random.RandomState(_SEED)
    drawn = [statistic(*(_resampled(scores, random, draw_tasks) for scores in samples)) for _ in range(REPS)]
    return np.percentile(drawn, _PERCENTILES, axis=0)


def _resampled(scores: np.ndarray, random: np.random.RandomState, draw_tasks: bool) -> np.ndarray:
    seeds, tasks = random.choice(len(scores), scores.shape), np.arange(scores.shape[1])
    return scores[seeds, random.choice(len(tasks), len(tasks)) if draw_tasks else tasks]


def _interquartile_means(scores: np.ndarray) -> np.ndarray:
    """scipy's trim_mean(scores, 0.25, axis=0), which is rliable's choice, without its checks: it runs 2000
    times."""
    cut = len(scores) // 4
    return np.sort(scores, axis=0)[cut : len(scores) - cut].mean(axis=0)
