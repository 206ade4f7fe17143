"""From a configuration to what trains it."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from l0_surgical.cohorts.common import Cohort
from l0_surgical.cohorts.discrete import DiscreteProblem
from l0_surgical.cohorts.dqn import DQNCohort
from l0_surgical.cohorts.goal import GoalCohort, make_goal_problem
from l0_surgical.cohorts.ppo import PPOCohort
from l0_surgical.config import MemberSpec, TrainingConfig
from l0_surgical.errors import BadInputError
from l0_surgical.tasks import Task


class Setting(Protocol):
    """What all cohorts of a run share."""

    def cohort(self, members: Sequence[MemberSpec]) -> Cohort:
        """Members of one regulariser, ready to be trained."""

    def close(self) -> None:
        """Frees the environments."""


def open_setting(config: TrainingConfig, task: Task, demonstrations: Path, progress: Callable[[str], None]) -> Setting:
    """Opens the task for the algorithm; `demonstrations` is where an expert's episodes are kept, if the algorithm wants them.

    Raises:
        BadInputError: the algorithm cannot learn this task, or is to stop at a target that the task does not have.
    """
    problem = None if config.algorithm == "ddpg" else DiscreteProblem.of(task)
    if config.stop_at_target and (problem is None or problem.target is None):
        raise BadInputError(f"--stop-at-target: there is no target return for {task.name} with {config.algorithm}; leave it out")
    return _Goal(config, task, demonstrations, progress) if problem is None else _Discrete(config, problem)


class _Goal:
    def __init__(self, config: TrainingConfig, task: Task, demonstrations: Path, progress: Callable[[str], None]) -> None:
        self._config, self._problem = config, make_goal_problem(config, task, demonstrations, progress)

    def cohort(self, members: Sequence[MemberSpec]) -> Cohort:
        return GoalCohort(self._config, members, self._problem)

    def close(self) -> None:
        self._problem.environment.close()


class _Discrete:
    def __init__(self, config: TrainingConfig, problem: DiscreteProblem) -> None:
        self._config, self._problem = config, problem

    def cohort(self, members: Sequence[MemberSpec]) -> Cohort:
        kind = {"dqn": DQNCohort, "ppo": PPOCohort}[self._config.algorithm]
        return kind(self._config, members, self._problem)

    def close(self) -> None:
        """The cohorts' environments end with the cohorts."""
