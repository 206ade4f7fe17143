"""From a configuration to what trains it."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from l0_surgical.cohorts.common import Cohort
from l0_surgical.cohorts.discrete import DiscreteProblem
from l0_surgical.cohorts.dqn import DQNCohort
from l0_surgical.cohorts.goal import GoalCohort, make_goal_problem, open_goal_task
from l0_surgical.cohorts.ppo import PPOCohort
from l0_surgical.config import MemberSpec, TrainingConfig
from l0_surgical.stopping import Stop
from l0_surgical.tasks import Task


class Setting(Protocol):
    """What all cohorts of a run share."""

    def prepare(self, demonstrations: Path, progress: Callable[[str], None]) -> None:
        """Gathers what the cohorts start from; `demonstrations` is where an expert's episodes are kept, if the algorithm wants them."""

    def cohort(self, members: Sequence[MemberSpec], stop: Stop) -> Cohort:
        """Members of one regulariser, ready to be trained; `prepare` comes first. `stop` interrupts their waits for an environment."""

    def close(self) -> None:
        """Frees the environments."""


def open_setting(config: TrainingConfig, task: Task) -> Setting:
    """Opens the task for the algorithm.

    Raises:
        BadInputError: the algorithm cannot learn this task.
    """
    return _Goal(config, task) if config.algorithm == "ddpg" else _Discrete(config, task)


class _Goal:
    def __init__(self, config: TrainingConfig, task: Task) -> None:
        self._config, self._task, self._recorder = config, task, open_goal_task(task)

    def prepare(self, demonstrations: Path, progress: Callable[[str], None]) -> None:
        self._problem = make_goal_problem(self._config, self._task, demonstrations, progress, self._recorder)

    def cohort(self, members: Sequence[MemberSpec], stop: Stop) -> Cohort:
        return GoalCohort(self._config, members, self._problem, stop)

    def close(self) -> None:
        self._recorder.close()


class _Discrete:
    def __init__(self, config: TrainingConfig, task: Task) -> None:
        self._config, self._problem = config, DiscreteProblem.of(task)

    def prepare(self, demonstrations: Path, progress: Callable[[str], None]) -> None:
        """There is nothing to gather."""

    def cohort(self, members: Sequence[MemberSpec], stop: Stop) -> Cohort:
        kind = {"dqn": DQNCohort, "ppo": PPOCohort}[self._config.algorithm]
        return kind(self._config, members, self._problem, stop)

    def close(self) -> None:
        """The cohorts' environments end with the cohorts."""
