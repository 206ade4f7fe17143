"""From a configuration to what trains it."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from l0_surgical.algorithms.cohort import Cohort, who_trains
from l0_surgical.algorithms.goal_cohort import GoalCohort
from l0_surgical.algorithms.goal_problem import make_goal_problem, open_goal_task
from l0_surgical.algorithms.vector_cohort import VectorCohort, VectorProblem
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
    name = config.algorithm.name
    is_goal = config.algorithm.experience == "goal"
    if config.stop_at_target and (is_goal or task.target is None):
        raise BadInputError(
            f"--stop-at-target: there is no target return for {task.name} with {name}; leave it out"
        )
    if is_goal:
        return _Goal(config, task, stop)
    kinds = config.algorithm.action_kinds
    if ("choice" if task.discrete else "box") not in kinds:
        has = "a choice of actions" if task.discrete else "continuous actions"
        raise BadInputError(f"{name} cannot learn {task.name}, which has {has}; {who_trains(task)}")
    return _Vector(config, VectorProblem.of(task, stop))


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


class _Vector:
    def __init__(self, config: TrainingConfig, problem: VectorProblem) -> None:
        self._config, self._problem = config, problem
        self._cohorts: list[VectorCohort] = []

    def prepare(self, demonstrations: Path, progress: Callable[[str], None]) -> None:
        """There is nothing to gather."""

    def cohort(self, members: Sequence[MemberSpec]) -> Cohort:
        self._cohorts.append(VectorCohort(self._config, members, self._problem))
        return self._cohorts[-1]

    def close(self) -> None:
        for cohort in self._cohorts:
            cohort.close()
