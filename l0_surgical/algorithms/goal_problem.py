"""What the cohorts of a goal task share: the task as DDPG can learn it, its expert's demonstrations, and
their normaliser."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import gymnasium
import numpy as np

from l0_surgical.algorithms.cohort import who_trains
from l0_surgical.algorithms.replay import Demonstrations, GoalRules, Recorder
from l0_surgical.evaluation import Act, Episode, episode_seeds, rollouts
from l0_surgical.policy import Normalizer
from l0_surgical.settings.algorithm import GoalConfig
from l0_surgical.settings.training import TrainingConfig
from l0_surgical.system.errors import BadInputError, L0SurgicalError
from l0_surgical.tasks import Task
from l0_surgical.tasks.boundary import Stop, close_environment, expert_action, never


@dataclass(frozen=True)
class GoalProblem:
    """What all cohorts of a run share: the task, one recorded environment, its rules, the demonstrations and
    the normaliser fitted to them, and whether the caller wants to stop."""

    task: Task
    environment: Recorder
    rules: GoalRules
    demonstrations: Demonstrations
    normalizer: Normalizer
    stop: Stop = never

    @property
    def dimensions(self) -> tuple[int, int, int]:
        """Observation, goal and action sizes."""
        spaces = self.environment.observation_space
        return (
            spaces["observation"].shape[0],
            spaces["desired_goal"].shape[0],
            self.environment.action_space.shape[0],
        )

    def rollouts(self, act: Act, seeds: Sequence[int], first: int = 0) -> list[Episode]:
        """Episodes in the environment, counted from `first` in messages.

        An environment that has failed is opened anew, so that the next member does not meet what it left
        behind.

        Raises:
            L0SurgicalError: the environment failed, or can no longer be made.
            Stopped: the caller wants to stop.
        """
        try:
            self.repair()
            return rollouts(act, self.environment, seeds, first=first, stop=self.stop)
        except L0SurgicalError:
            self.environment.broken = True
            raise

    def repair(self) -> None:
        """Opens the environment anew if it has failed.

        Raises:
            BadInputError: it can no longer be made.
        """
        if self.environment.broken:
            close_environment(self.environment.env)
            self.environment.env, self.environment.broken = self.task.open(), False


def open_goal_task(task: Task) -> Recorder:
    """Opens a task that DDPG can learn.

    Raises:
        BadInputError: the task is not a goal task with a box action in [-1, 1], has no expert, or no rule of
        its rewards.
    """
    recorder = Recorder(task.open())
    try:
        _check_goal_task(task, recorder)
    except BaseException:
        close_environment(recorder)
        raise
    return recorder


def _check_goal_task(task: Task, environment: gymnasium.Env) -> None:
    spaces, action = environment.observation_space, environment.action_space
    goal_based = isinstance(spaces, gymnasium.spaces.Dict) and {
        "observation",
        "achieved_goal",
        "desired_goal",
    } <= set(spaces)
    if not goal_based or not isinstance(action, gymnasium.spaces.Box):
        raise BadInputError(
            f"DDPG with hindsight replay needs a goal task with continuous actions; {task.name} is not one; "
            f"{who_trains(task)}"
        )
    if task.expert is None:
        raise BadInputError(
            f"{task.name} has no scripted expert, which DEX and the normaliser need; {who_trains(task)}"
        )
    if spaces["achieved_goal"].shape != spaces["desired_goal"].shape:
        raise BadInputError(f"hindsight replay needs both goals of one shape; {task.name} lacks that")
    if not (np.all(action.low == -1) and np.all(action.high == 1)):
        raise BadInputError(
            f"the actions of {task.name} must lie in [-1, 1]; put gymnasium.wrappers.RescaleAction(..., -1, "
            "1) around it"
        )
    if any((part.low, part.high) not in ((-1, 1), (None, None)) for part in task.outputs):
        raise BadInputError(
            f"the outputs of {task.name} must have the limits of its actions, -1 and 1: give its Task such "
            "fields"
        )
    GoalRules(environment, task.name)


def make_goal_problem(
    config: TrainingConfig,
    task: Task,
    demonstrations_path: Path,
    progress: Callable[[str], None],
    stop: Stop = never,
    recorder: Recorder | None = None,
) -> GoalProblem:
    """Collects (or reads) the expert's episodes in `recorder`, by default one that is opened for it.

    Raises:
        BadInputError: DDPG cannot learn the task, or its rules or the expert contradict it.
        L0SurgicalError: the environment or the expert failed.
        Stopped: the caller wants to stop.
    """
    recorder = recorder or open_goal_task(task)
    try:
        rules = GoalRules(recorder, task.name)
        if demonstrations_path.exists():
            demonstrations = Demonstrations.load(demonstrations_path)
        else:
            progress("collecting demonstrations")
            demonstrations = collect_demonstrations(
                recorder, rules, task, config.demonstration_episodes, config.demonstration_seed, stop
            )
            demonstrations.save(demonstrations_path)
            if (demonstrations.successes == 0).all():
                count = config.demonstration_episodes
                warnings.warn(
                    f"the expert of {task.name} ends none of its {count} episodes at the goal", stacklevel=2
                )
    except BaseException:
        close_environment(recorder)
        raise
    return GoalProblem(
        task, recorder, rules, demonstrations, fit_normalizer(demonstrations, config.algorithm), stop
    )


def fit_normalizer(demonstrations: Demonstrations, settings: GoalConfig) -> Normalizer:
    """Mean and standard deviation (at least the floor) of the expert's states, half of them with goals
    achieved in hindsight."""
    observations = demonstrations.states[:, : -demonstrations.achieved_goals.shape[1]]
    hindsight = np.concatenate([observations, demonstrations.achieved_goals], axis=1)
    states = np.concatenate([demonstrations.states, hindsight]).astype(np.float64)
    scale = np.maximum(states.std(axis=0), settings.observation_scale_floor)
    return Normalizer(
        states.mean(axis=0).astype(np.float32), scale.astype(np.float32), settings.observation_clip
    )


def collect_demonstrations(
    recorder: Recorder, rules: GoalRules, task: Task, episodes: int, seed: int, stop: Stop = never
) -> Demonstrations:
    """Plays the task's expert for `episodes` episodes and keeps every transition.

    Raises:
        BadInputError: the task's rules contradict what it does, or the expert leaves [-1, 1].
        L0SurgicalError: the environment or the expert failed.
        Stopped: `stop` said so.
    """

    def act(_: np.ndarray) -> np.ndarray:
        return expert_action(task.expert, recorder, recorder.last_observation)

    played, states, actions, achieved = [], [], [], []
    for number, episode_seed in enumerate(episode_seeds("train", seed, episodes)):
        played += rollouts(act, recorder, [episode_seed], first=number, stop=stop)
        episode = recorder.episode()
        rules.check(recorder.transitions())
        if (largest := np.abs(episode.actions).max()) > 1:
            raise BadInputError(
                f"the expert of {task.name} gives actions up to {largest:g}, outside [-1, 1]; clip them"
            )
        goals = np.broadcast_to(episode.desired_goal, (episode.length, len(episode.desired_goal)))
        states.append(np.concatenate([episode.observations[:-1], goals], axis=1))
        actions.append(episode.actions)
        achieved.append(episode.achieved_goals[1:])
    arrays = (np.concatenate(parts) for parts in (states, actions, achieved))
    successes = [np.nan if e.success is None else float(e.success) for e in played]
    return Demonstrations(*arrays, np.array([e.total_reward for e in played]), np.array(successes))
