"""The one evaluation loop, for training, the command line, compression and the experiments.

An episode is a function of its seed alone, so the same `seed` gives every policy the same episodes (paired
comparisons), whatever the number of processes. Success is judged at the last step, as is usual for goal
environments (HER, Gymnasium-Robotics, SurRoL): reaching the goal and leaving it again is no success. The
first step at which the goal was reached is recorded beside it.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import numpy as np

from l0_surgical.evaluation.episodes import Episode
from l0_surgical.evaluation.intervals import mean_interval, wilson_interval
from l0_surgical.evaluation.players import Player, Processes, Request
from l0_surgical.evaluation.seeds import Stream, episode_seeds
from l0_surgical.evaluation.vector import vector_episodes
from l0_surgical.policy import Policy
from l0_surgical.system.bounds import Episodes, Jobs, Seed, check_value
from l0_surgical.system.errors import L0SurgicalError
from l0_surgical.tasks import TASKS, get_task
from l0_surgical.tasks.boundary import Stop, never


@dataclass(frozen=True, eq=False)
class Evaluation:
    """How a policy did: returns (E,), successes (E,) bool at the last step, steps_to_success (E,) NaN where
    never.

    Where a task reports no success, `reports_success` is False and the figures of success are NaN (None in
    JSON).
    """

    task: str
    seed: int
    returns: np.ndarray
    successes: np.ndarray
    steps_to_success: np.ndarray
    reports_success: bool = True

    @classmethod
    def of(cls, task: str, seed: int, episodes: Sequence[Episode]) -> "Evaluation":
        """Collects finished episodes."""
        return cls(
            task=task,
            seed=seed,
            returns=np.array([episode.total_reward for episode in episodes]),
            successes=np.array([bool(episode.success) for episode in episodes]),
            steps_to_success=np.array([episode.steps_to_success for episode in episodes]),
            reports_success=any(episode.success is not None for episode in episodes),
        )

    @property
    def return_mean(self) -> float:
        return float(self.returns.mean())

    @property
    def return_ci95(self) -> tuple[float, float]:
        """Student's t interval of the mean return over episodes."""
        return mean_interval(self.returns)

    @property
    def success_rate(self) -> float:
        return float(self.successes.mean()) if self.reports_success else math.nan

    @property
    def success_ci95(self) -> tuple[float, float]:
        """Wilson's interval."""
        return (
            wilson_interval(int(self.successes.sum()), len(self.successes))
            if self.reports_success
            else (math.nan, math.nan)
        )

    @property
    def steps_to_success_mean(self) -> float:
        """Over the episodes that reached the goal at some step; NaN if none did."""
        reached = self.steps_to_success[np.isfinite(self.steps_to_success)]
        return float(reached.mean()) if reached.size else math.nan

    def as_dict(self) -> dict[str, Any]:
        """The result of the `evaluate` command, ready for JSON: what is not known is None."""
        return {
            "task": self.task,
            "episodes": len(self.returns),
            "return_mean": self.return_mean,
            "return_ci95": [_known(bound) for bound in self.return_ci95],
            "success_rate": _known(self.success_rate),
            "success_ci95": [_known(bound) for bound in self.success_ci95],
            "steps_to_success_mean": _known(self.steps_to_success_mean),
        }


def evaluate(
    policy: Policy,
    *,
    task: str | None = None,
    episodes: int = 100,
    seed: int = 0,
    stream: Stream = "test",
    jobs: int = 1,
    progress: Callable[[int], None] | None = None,
) -> Evaluation:
    """Evaluates a policy on `task` (its own by default) over seeded episodes; `progress` is told the number
    of episodes done so far.

    Raises:
        BadInputError: an unknown task, a policy that does not fit it, or a count that makes no sense.
        L0SurgicalError: the environment failed.
    """
    check_value("episodes", episodes, Episodes)
    check_value("seed", seed, Seed)
    seeds = episode_seeds(stream, seed, episodes)
    with Evaluator(task or policy.task, jobs) as evaluator:
        return Evaluation.of(evaluator.task, seed, evaluator.run(policy, seeds, progress))


class Evaluator:
    """Keeps the environments (and processes) of one task open for many runs. A context manager.

    The classic tasks run all episodes side by side in one vector environment of this process, whatever the
    number of jobs.

    Raises:
        BadInputError: an unknown task, or a number of jobs that makes no sense.
    """

    def __init__(self, task: str, jobs: int = 1, *, stop: Stop = never) -> None:
        check_value("jobs", jobs, Jobs)
        self._task = get_task(task)
        self.task = self._task.name
        self._jobs, self._stop = jobs, stop
        self._entered = False
        self._player: Player | Processes | None = None

    def __enter__(self) -> "Evaluator":
        self._entered = True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._entered = False
        self._close()

    def run(
        self,
        policy: Policy,
        seeds: Sequence[int],
        progress: Callable[[int], None] | None = None,
        *,
        keep_observations: bool = False,
        random_share: float = 0.0,
    ) -> list[Episode]:
        """One episode for each seed, in order.

        With a `random_share` each action is with that probability a uniformly random one (1: the random
        policy), drawn from the episode's seed. After a failure the next run begins with new environments and
        processes.

        Raises:
            BadInputError: the policy does not fit the task, or the task cannot be made or be sent to a
            process.
            L0SurgicalError: the environment failed or a process died.
            Stopped: `stop` said so.
        """
        if not self._entered:
            raise L0SurgicalError("an Evaluator runs only inside its `with` block")
        progress = progress or (lambda done: None)
        if self.task in TASKS and TASKS[self.task].experience == "vector":
            options = {
                "keep_observations": keep_observations,
                "random_share": random_share,
                "stop": self._stop,
            }
            episodes = vector_episodes(policy, self._task, seeds, **options)
            progress(len(episodes))
            return episodes
        if self._player is None:
            one = self._jobs == 1
            self._player = (
                Player(self.task, self._task.make)
                if one
                else Processes(self.task, self._task.make, self._jobs)
            )
        try:
            return self._player.play(
                policy, Request(seeds, 0, keep_observations, random_share), progress, self._stop
            )
        except BaseException:
            self._close()
            raise

    def _close(self) -> None:
        if self._player is not None:
            self._player.close()
            self._player = None


def _known(number: float) -> float | None:
    return None if math.isnan(number) else number
