"""From a configuration to what trains it."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from l0_surgical.algorithms.cohorts.common import Cohort
from l0_surgical.algorithms.cohorts.discrete import DiscreteCohort, DiscreteProblem
from l0_surgical.algorithms.cohorts.dqn import DQNCohort
from l0_surgical.algorithms.cohorts.goal import GoalCohort
from l0_surgical.algorithms.cohorts.goal_problem import make_goal_problem, open_goal_task
from l0_surgical.algorithms.cohorts.ppo import PPOCohort
from l0_surgical.settings.training import MemberSpec, TrainingConfig
from l0_surgical.system.errors import BadInputError
from l0_surgical.tasks import Task
from l0_surgical.tasks.boundary import Stop, close_environment, never


class Setting(Protocol):
    """What all cohorts of a run share."""

    def prepare(self, demonstrations: Path, progress: Callable[[str], None]) -> None:
        """Gathers what the cohorts start from; `demonstrations` is where an expert's episodes are kept, if
        the algorithm wants them.

        Raises:
            L0SurgicalError: the environment or the expert failed.
            Stopped: the caller wants to stop.
        """

    def cohort(self, members: Sequence[MemberSpec]) -> Cohort:
        """Members of one regulariser, ready to be trained; `prepare` comes first."""

    def close(self) -> None:
        """Frees the environments."""


def open_setting(config: TrainingConfig, task: Task, stop: Stop = never) -> Setting:
    """Opens the task for the algorithm. `stop` is whether the caller wants to stop, which is asked before
    every step of an environment.

    Raises:
        BadInputError: the algorithm cannot learn this task, or is to stop at a target that the task does not
        have.
    """
    problem = None if config.algorithm == "ddpg" else DiscreteProblem.of(task, stop)
    if config.stop_at_target and (problem is None or problem.target is None):
        raise BadInputError(
            f"--stop-at-target: there is no target return for {task.name} with {config.algorithm}; leave it "
            "out"
        )
    return _Goal(config, task, stop) if problem is None else _Discrete(config, problem)


class _Goal:
    def __init__(self, config: TrainingConfig, task: Task, stop: Stop) -> None:
        self._config, self._task, self._stop = config, task, stop
        self._recorder = open_goal_task(task)

    def prepare(self, demonstrations: Path, progress: Callable[[str], None]) -> None:
        self._problem = make_goal_problem(
            self._config, self._task, demonstrations, progress, self._stop, self._recorder
        )

    def cohort(self, members: Sequence[MemberSpec]) -> Cohort:
        return GoalCohort(self._config, members, self._problem)

    def close(self) -> None:
        close_environment(self._recorder)


class _Discrete:
    def __init__(self, config: TrainingConfig, problem: DiscreteProblem) -> None:
        self._config, self._problem = config, problem
        self._cohorts: list[DiscreteCohort] = []

    def prepare(self, demonstrations: Path, progress: Callable[[str], None]) -> None:
        """There is nothing to gather."""

    def cohort(self, members: Sequence[MemberSpec]) -> Cohort:
        kind = {"dqn": DQNCohort, "ppo": PPOCohort}[self._config.algorithm]
        self._cohorts.append(kind(self._config, members, self._problem))
        return self._cohorts[-1]

    def close(self) -> None:
        for cohort in self._cohorts:
            cohort.close()
