"""From a configuration to what trains it."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from l0_surgical.cohorts.common import Cohort
from l0_surgical.cohorts.discrete import DiscreteCohort, DiscreteProblem
from l0_surgical.cohorts.dqn import DQNCohort
from l0_surgical.cohorts.goal import GoalCohort, GoalProblem, make_goal_problem
from l0_surgical.cohorts.ppo import PPOCohort
from l0_surgical.config import MemberSpec, TrainingConfig
from l0_surgical.errors import BadInputError
from l0_surgical.tasks import Task
from l0_surgical.tasks.boundary import Stop, close_environment, never


class Setting(Protocol):
    """What all cohorts of a run share."""

    def cohort(self, members: Sequence[MemberSpec]) -> Cohort:
        """Members of one regulariser, ready to be trained."""

    def close(self) -> None:
        """Frees the environments."""


def open_setting(config: TrainingConfig, task: Task, demonstrations: Path, progress: Callable[[str], None], stop: Stop = never) -> Setting:
    """Opens the task for the algorithm; `demonstrations` is where an expert's episodes are kept, if the algorithm wants them.

    Raises:
        BadInputError: the algorithm cannot learn this task, or is to stop at a target that the task does not have.
        L0SurgicalError: the environment or the expert failed.
        Stopped: the caller wants to stop, which its cohorts hear before every step of an environment, too.
    """
    problem = None if config.algorithm == "ddpg" else DiscreteProblem.of(task, stop)
    if config.stop_at_target and (problem is None or problem.target is None):
        raise BadInputError(f"--stop-at-target: there is no target return for {task.name} with {config.algorithm}; leave it out")
    if problem is None:
        return _Goal(config, make_goal_problem(config, task, demonstrations, progress, stop))
    return _Discrete(config, problem)


class _Goal:
    def __init__(self, config: TrainingConfig, problem: GoalProblem) -> None:
        self._config, self._problem = config, problem

    def cohort(self, members: Sequence[MemberSpec]) -> Cohort:
        return GoalCohort(self._config, members, self._problem)

    def close(self) -> None:
        close_environment(self._problem.environment)


class _Discrete:
    def __init__(self, config: TrainingConfig, problem: DiscreteProblem) -> None:
        self._config, self._problem = config, problem
        self._cohorts: list[DiscreteCohort] = []

    def cohort(self, members: Sequence[MemberSpec]) -> Cohort:
        kind = {"dqn": DQNCohort, "ppo": PPOCohort}[self._config.algorithm]
        self._cohorts.append(kind(self._config, members, self._problem))
        return self._cohorts[-1]

    def close(self) -> None:
        for cohort in self._cohorts:
            cohort.close()
