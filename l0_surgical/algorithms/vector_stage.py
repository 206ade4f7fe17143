"""The environments of members that learn from many side by side.

They are opened anew after every `checkpoint_every` rounds, with seeds that depend on the member and the round
alone. What they hold cannot be saved, but the actions since can: a run that is resumed takes them again, and
so sees what the uninterrupted one saw (where the environments are functions of seed and actions alone). A
byte a step is kept for that, or the numbers of an action that is no choice.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from l0_surgical.evaluation import episode_seeds
from l0_surgical.policy import Normalizer
from l0_surgical.settings.training import MemberSpec, TrainingConfig
from l0_surgical.system.errors import L0SurgicalError
from l0_surgical.tasks import Task
from l0_surgical.tasks.boundary import Stop, never
from l0_surgical.tasks.vector import Engine, VectorEnvironment, open_vector


@dataclass(frozen=True)
class VectorProblem:
    """A task whose environments run side by side; its actions are a choice, or a vector in [-1, 1].

    Attributes:
        task: inputs and outputs of its policies.
        normalizer: of the observation.
        engine: of the vector environments.
        stop: whether the caller wants to stop.
    """

    task: Task
    normalizer: Normalizer
    engine: Engine = "auto"
    stop: Stop = never

    @classmethod
    def of(cls, task: Task, stop: Stop = never) -> "VectorProblem":
        """Chooses the scale of the task's observation."""
        size = sum(part.size for part in task.inputs)
        scale = np.ones(size) if task.scale is None else task.scale
        return cls(task, Normalizer(np.zeros(size, np.float32), np.array(scale, np.float32)), stop=stop)

    @property
    def dimensions(self) -> tuple[int, int]:
        """Observation size, and how many choices or numbers in an action there are."""
        return sum(part.size for part in self.task.inputs), sum(part.size for part in self.task.outputs)


@dataclass(frozen=True)
class Step:
    """One step of every environment: rewards, terminated, ended (by the task; at all) and valid (members,
    environments); not valid are the steps in which a new episode begins."""

    rewards: np.ndarray
    terminated: np.ndarray
    ended: np.ndarray
    valid: np.ndarray


class Stage:
    """The environments of all members, and what they have shown last.

    Args:
        config: of the run.
        members: whose environments they are, `config.algorithm.environments` each.
        problem: the task.
        tell: is called with the number and the cause of every member one of whose environments has failed.
    """

    def __init__(
        self,
        config: TrainingConfig,
        members: Sequence[MemberSpec],
        problem: VectorProblem,
        tell: Callable[[int, str], None],
    ) -> None:
        self._members, self._problem, self._tell = members, problem, tell
        self._segment_length, self._each = config.checkpoint_every, config.algorithm.environments
        self._steps_each = config.algorithm.steps_per_round // self._each
        self._environment: VectorEnvironment | None = None
        self._round = self._segment = 0  # the round in which the environments were opened
        self._taken: list[np.ndarray] = []  # the actions since

    def open(self, number: int) -> None:
        """Opens the environments where a segment of rounds begins; after a resumption it also takes the
        segment's steps again."""
        self._round, segment = number, number - number % self._segment_length
        if self._environment is not None and segment == self._segment:
            return
        self.close()
        if segment != self._segment:
            self._segment, self._taken = segment, []
        first = segment * self._each
        drawn = [episode_seeds("train", m.seed, first + self._each)[first:] for m in self._members]
        self._environment = self.vector([seed for seeds in drawn for seed in seeds])
        if self._environment is None:
            return
        self._observations, self._normalized = self.by_member(self._environment.reset()), None
        self.note_failures(self._environment, self._each)
        self._begins = np.zeros(self._observations.shape[:2], np.bool_)
        self._returns = np.zeros(self._observations.shape[:2])
        self._ended: list[list[float]] = [[] for _ in self._members]
        for count, actions in enumerate(self._taken, 1):
            self.step(self.by_member(actions.astype(np.int64) if self._chooses else actions))
            if count % self._steps_each == 0:
                self.train_returns()  # of a round that is over

    @property
    def steps_done(self) -> int:
        """Steps of every environment in the present round, of which a stop may have left a part."""
        return len(self._taken) - (self._round - self._segment) * self._steps_each

    @property
    def states(self) -> np.ndarray:
        """The latest observations (members, environments, obs) float32, normalised."""
        if self._normalized is None:
            self._normalized = self._problem.normalizer(self._observations)
        return self._normalized

    def step(self, actions: np.ndarray) -> Step:
        """Takes the actions (members, environments), or (members, environments, act) where they are no
        choice; `remember` comes next, unless they are to be taken again."""
        result = self._environment.step(self.flat(actions))
        observations, rewards, terminated, truncated = map(self.by_member, result)
        self.note_failures(self._environment, self._each)
        valid, ended = ~self._begins, terminated | truncated
        self._returns += rewards * valid
        for member, environment in zip(*np.nonzero(ended & valid), strict=True):
            self._ended[member].append(self._returns[member, environment])
            self._returns[member, environment] = 0.0
        self._begins, self._observations, self._normalized = ended, observations, None
        return Step(rewards, terminated, ended, valid)

    def remember(self, actions: np.ndarray) -> None:
        """Keeps the actions that were taken, for a resumption."""
        few = self._chooses and self._problem.dimensions[1] <= 256
        kind = np.uint8 if few else np.int32 if self._chooses else np.float32
        self._taken.append(self.flat(actions).astype(kind))

    def train_returns(self) -> list[dict[str, float]]:
        """The mean return of the episodes that ended since the last call, where any did."""
        rows = [{"train_return": float(np.mean(ended))} if ended else {} for ended in self._ended]
        self._ended = [[] for _ in self._members]
        return rows

    def vector(self, seeds: Sequence[int], doing: str = "") -> VectorEnvironment | None:
        """One environment for each seed; None where it cannot be made any more, which stops all members."""
        try:
            return open_vector(self._problem.task.name, seeds, self._problem.engine, self._problem.stop)
        except L0SurgicalError as error:
            for index in range(len(self._members)):
                self._tell(index, doing + str(error))
            return None

    def note_failures(self, environment: VectorEnvironment, each: int, doing: str = "") -> None:
        """Tells of the members of whose environments, `each` in number, one has failed."""
        for number, cause in environment.failures.items():
            self._tell(number // each, doing + cause)

    def by_member(self, array: np.ndarray) -> np.ndarray:
        """(members x environments, ...) as (members, environments, ...)."""
        return array.reshape(len(self._members), -1, *array.shape[1:])

    def flat(self, actions: np.ndarray) -> np.ndarray:
        """Of all environments side by side."""
        return actions.ravel() if self._chooses else actions.reshape(-1, actions.shape[-1])

    @property
    def _chooses(self) -> bool:
        return self._problem.task.discrete

    def close(self) -> None:
        """Closes the environments; they are opened anew when they are needed again."""
        if self._environment is not None:
            self._environment.close()
            self._environment = None

    def state_dict(self, within_rounds: bool) -> dict:
        """What a resumption needs; `within_rounds`: also the steps of a round that is not over."""
        whole = len(self._taken) - len(self._taken) % self._steps_each
        taken = self._taken if within_rounds else self._taken[:whole]
        kept = torch.from_numpy(np.array(taken)) if taken else torch.empty(0)
        return {"segment": self._segment, "taken": kept}

    def load_state_dict(self, state: dict) -> None:
        """Restores what `state_dict` gave."""
        self._segment, self._taken = state["segment"], list(state["taken"].numpy())
        self.close()
