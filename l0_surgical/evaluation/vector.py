"""Many episodes side by side in a vector environment; `evaluation` is where to import it from."""

from collections.abc import Callable, Sequence

import numpy as np

from l0_surgical.evaluation.episodes import Episode, chance_generator, check_fit
from l0_surgical.policy import Policy
from l0_surgical.runtime import ReferenceEngine
from l0_surgical.system.errors import L0SurgicalError
from l0_surgical.tasks import Task
from l0_surgical.tasks.boundary import Stop, never
from l0_surgical.tasks.vector import Engine, VectorEnvironment, open_vector

VectorAct = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Maps the latest observations of all N environments (N, obs) and the numbers (n,) of those that still run to
their actions (n,)."""


def vector_rollouts(act: VectorAct, environment: VectorEnvironment) -> tuple[np.ndarray, np.ndarray]:
    """One episode in each environment; those that have ended are not stepped further.

    Returns:
        Returns (N,) float64 and numbers of steps (N,) int64; the return is NaN where the environment failed
        (`environment.failures`).

    Raises:
        Stopped: the environment's `stop` said so.
        L0SurgicalError: all environments failed at once.
    """
    observations = environment.reset().copy()
    returns, steps = np.zeros(environment.count), np.zeros(environment.count, np.int64)
    live = np.arange(environment.count)
    while live.size:
        seen, rewards, terminated, truncated = environment.step(act(observations, live), live)
        observations[live] = seen
        returns[live] += rewards
        steps[live] += 1
        over = terminated | truncated
        if environment.failures:
            over |= np.isin(live, list(environment.failures))
        live = live[~over]
    returns[list(environment.failures)] = np.nan
    return returns, steps


def vector_episodes(
    policy: Policy,
    task: Task,
    seeds: Sequence[int],
    *,
    keep_observations: bool = False,
    random_share: float = 0.0,
    engine: Engine = "auto",
    stop: Stop = never,
) -> list[Episode]:
    """A policy's episodes on one of the classic tasks, one for each seed; see `Evaluator.run`.

    Raises:
        BadInputError: the policy does not fit the task.
        L0SurgicalError: an environment failed.
        Stopped: `stop` said so.
    """
    environment = open_vector(task.name, seeds, engine, stop)
    try:
        check_fit(policy, task.name, environment.observation_size, environment.actions)
        network, seen = ReferenceEngine(policy), [[] for _ in seeds]
        chance = _Chance(seeds, environment.actions, random_share) if random_share else None

        def act(observations: np.ndarray, live: np.ndarray) -> np.ndarray:
            if keep_observations:
                for number in live:
                    seen[number].append(observations[number].astype(np.float64))
            actions = network.act(observations[live]).argmax(axis=1)
            return actions if chance is None else chance.disturb(actions, live)

        returns, steps = vector_rollouts(act, environment)
    finally:
        environment.close()
    if environment.failures:
        raise L0SurgicalError(next(iter(environment.failures.values())))
    kept = [np.array(one) for one in seen] if keep_observations else [None] * len(seeds)
    return [
        Episode(float(total), None, float("nan"), int(count), one)
        for total, count, one in zip(returns, steps, kept, strict=True)
    ]


class _Chance:
    """Random actions with a given probability, drawn from each episode's own seed."""

    def __init__(self, seeds: Sequence[int], actions: int, share: float) -> None:
        self._generators = [chance_generator(seed) for seed in seeds]
        self._actions, self._share = actions, share

    def disturb(self, actions: np.ndarray, live: np.ndarray) -> np.ndarray:
        drawn = [
            (self._generators[n].random() < self._share, self._generators[n].integers(self._actions))
            for n in live
        ]
        by_chance, whims = (np.array(column) for column in zip(*drawn, strict=True))
        return np.where(by_chance, whims, actions)
