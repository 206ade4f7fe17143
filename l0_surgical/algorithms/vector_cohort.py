"""Members that learn from environments side by side: stepping them for all members at once, validation, and the
policy that is kept.

The environments are opened anew after every `checkpoint_every` rounds, with seeds that depend on the member
and the round alone. What they hold cannot be saved, but the actions since can: a run that is resumed takes
them again, and so sees what the uninterrupted one saw (where the environments are functions of seed and
actions alone). A byte a step is kept for that, or the numbers of an action that is no choice.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from l0_surgical.algorithms.cohort import random_numbers
from l0_surgical.algorithms.learner import Learner
from l0_surgical.algorithms.schedules import Linear
from l0_surgical.algorithms.sparsifiers import sparsify_members
from l0_surgical.evaluation import episode_seeds, vector_rollouts
from l0_surgical.policy import Dense, Layer, Normalizer, Policy
from l0_surgical.settings.registry import load
from l0_surgical.settings.training import MemberSpec, TrainingConfig
from l0_surgical.sparsity import network_sparsity_at_init
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
class Kept:
    """A member's policy network as it was after a round, with its validation return and sparsity."""

    number: int
    validation_return: float
    sparsity: float
    weights: list[Tensor]
    biases: list[Tensor]


@dataclass(frozen=True)
class Step:
    """One step of every environment: rewards, terminated, ended (by the task; at all) and valid (members,
    environments); not valid are the steps in which a new episode begins."""

    rewards: np.ndarray
    terminated: np.ndarray
    ended: np.ndarray
    valid: np.ndarray


class NobodyLearns(Exception):
    """The environments of all members have failed."""


class Play:
    """A round of a cohort's environments, as its learner sees it.

    Attributes:
        number: of the round.
        rounds: in the whole training.
        states: the latest observations (members, environments, obs) float32, normalised.
        steps_done: steps of every environment that a run which stopped within this round has taken already.
        running: the members whose environments have not failed.
    """

    def __init__(self, cohort: "VectorCohort", number: int, steps_done: int) -> None:
        self.number, self.rounds, self.steps_done = number, cohort.config.rounds, steps_done
        self._cohort = cohort

    @property
    def running(self) -> list[int]:
        return self._cohort.running

    @property
    def states(self) -> np.ndarray:
        return self._cohort.states

    def step(self, actions: np.ndarray) -> Step:
        """Takes the actions (members, environments), or (members, environments, act) where they are no choice.

        Raises:
            NobodyLearns: the environments of all members have failed.
            Stopped: the caller wants to stop.
        """
        return self._cohort.step(actions)

    def generators(self, stream: int) -> list[np.random.Generator]:
        """A generator per member of the random numbers of this round, others for every `stream`."""
        return [random_numbers(member.seed, stream, self.number) for member in self._cohort.members]

    def tensor(self, array: np.ndarray) -> Tensor:
        """An array where the networks are."""
        return self._cohort.tensor(array)


class VectorLearner(Protocol):
    """A `Learner` that a `VectorCohort` plays for, made as `learner(config, dimensions, seeds, sparsify, device)`.

    Attributes:
        resumes_within_rounds: whether `train_round` goes on after `Play.steps_done` steps; otherwise a round of
            which a stop has left a part is played again from its beginning.
    """

    resumes_within_rounds: bool

    def train_round(self, play: Play) -> dict[str, Tensor | float]:
        """Acts, stores and learns for a round; returns diagnostics `(members,)`, or one number for all."""


class VectorCohort:
    """Members of one regulariser on a `VectorProblem`; see `Cohort`."""

    def __init__(self, config: TrainingConfig, members: Sequence[MemberSpec], problem: VectorProblem) -> None:
        self.config, self.members, self.problem = config, tuple(members), problem
        seeds, settings = [member.seed for member in members], config.algorithm
        make, sparsify = load(settings.learner), sparsify_members(config, members)
        self.learner: Learner = make(settings, problem.dimensions, seeds, sparsify, config.device)
        self.reports = self.learner.reports
        self.failures: dict[int, str] = {}
        self.finished: dict[int, int] = {}
        self.steps_to_target: dict[int, int] = {}
        self._just_failed: set[int] = (
            set()
        )  # whose environment failed in the last call of train_round or validate
        self._round = self._rounds_done = 0
        self._rate = Linear(1.0, settings.final_learning_rate_factor, config.rounds)
        self._kept: dict[int, Kept] = {}
        self._environments_each = settings.environments
        self._environment: VectorEnvironment | None = None
        self._segment, self._taken = (
            0,
            [],
        )  # the round in which the environments were opened, the actions since

    @property
    def env_steps(self) -> list[int]:
        """See `Cohort`: the steps of its environments, those included (one for each episode) in which one only
        begins anew."""
        return [self._rounds_done * self.config.algorithm.steps_per_round] * len(self.members)

    @property
    def updates(self) -> int:
        """See `Cohort`."""
        return self.learner.updates

    def train_round(self, number: int) -> list[dict[str, float]]:
        """See `Cohort`."""
        self._open(number)
        self.learner.set_learning_rate(self._rate(number))
        try:
            if self._all_failed:
                raise NobodyLearns
            figures = self.learner.train_round(Play(self, number, self._steps_done))
        except NobodyLearns:
            return [{} for _ in self.members]
        self._rounds_done += 1
        self._note_failures(self.learner.diverged, number)
        values = {name: np.broadcast_to(_array(one), len(self.members)) for name, one in figures.items()}
        return [
            {}
            if index in self.failures
            else {**returns, **{name: float(value[index]) for name, value in values.items()}}
            for index, returns in enumerate(self._train_returns())
        ]

    @property
    def is_over(self) -> bool:
        """See `Cohort`."""
        return len(self.failures.keys() | self.finished.keys()) == len(self.members)

    @property
    def _all_failed(self) -> bool:
        return len(self.failures) == len(self.members)

    @property
    def running(self) -> list[int]:
        """The members whose environments have not failed."""
        return [index for index in range(len(self.members)) if index not in self.failures]

    def _open(self, number: int) -> None:
        """Opens the environments where a segment of rounds begins; after a resumption it also takes the
        segment's steps again."""
        self._round = number
        self._just_failed.clear()
        segment = number - number % self.config.checkpoint_every
        if self._all_failed or (self._environment is not None and segment == self._segment):
            return
        self.close()
        if segment != self._segment:
            self._segment, self._taken = segment, []
        each = self._environments_each
        seeds = [
            seed
            for m in self.members
            for seed in episode_seeds("train", m.seed, (segment + 1) * each)[-each:]
        ]
        self._environment = self._vector(seeds)
        if self._environment is None:
            return
        self._observations, self._normalized = self._by_member(self._environment.reset()), None
        self._note_environments(self._environment, each)
        self._begins = np.zeros(self._observations.shape[:2], np.bool_)
        self._returns = np.zeros(self._observations.shape[:2])
        self._ended: list[list[float]] = [[] for _ in self.members]
        for count, actions in enumerate(self._taken, 1):
            self._advance(
                self._by_member(actions.astype(np.int64) if self.problem.task.discrete else actions)
            )
            if count % self._steps_each == 0:
                self._train_returns()  # of a round that is over

    @property
    def _steps_each(self) -> int:
        """Steps of every environment in a round."""
        return self.config.algorithm.steps_per_round // self._environments_each

    @property
    def _steps_done(self) -> int:
        """Steps of every environment in the present round, of which a stop may have left a part."""
        return len(self._taken) - (self._round - self._segment) * self._steps_each

    def step(self, actions: np.ndarray) -> Step:
        """See `Play`."""
        result = self._advance(actions)
        if self._all_failed:  # then the step is taken again when the task is mended
            raise NobodyLearns
        few = self.problem.task.discrete and self.problem.dimensions[1] <= 256
        kind = np.uint8 if few else np.int32 if self.problem.task.discrete else np.float32
        self._taken.append(self._flat(actions).astype(kind))
        return result

    @property
    def states(self) -> np.ndarray:
        """See `Play`."""
        if self._normalized is None:
            self._normalized = self.problem.normalizer(self._observations)
        return self._normalized

    def _advance(self, actions: np.ndarray) -> Step:
        observations, rewards, terminated, truncated = map(
            self._by_member, self._environment.step(self._flat(actions))
        )
        self._note_environments(self._environment, self._environments_each)
        valid, ended = ~self._begins, terminated | truncated
        self._returns += rewards * valid
        for member, environment in zip(*np.nonzero(ended & valid), strict=True):
            self._ended[member].append(self._returns[member, environment])
            self._returns[member, environment] = 0.0
        self._begins, self._observations, self._normalized = ended, observations, None
        return Step(rewards, terminated, ended, valid)

    def _flat(self, actions: np.ndarray) -> np.ndarray:
        """Of all environments side by side."""
        return actions.ravel() if self.problem.task.discrete else actions.reshape(-1, actions.shape[-1])

    def _train_returns(self) -> list[dict[str, float]]:
        """The mean return of the episodes that ended in this round, where any did."""
        rows = [{"train_return": float(np.mean(ended))} if ended else {} for ended in self._ended]
        self._ended = [[] for _ in self.members]
        return rows

    def _by_member(self, array: np.ndarray) -> np.ndarray:
        return array.reshape(len(self.members), -1, *array.shape[1:])

    def _vector(self, seeds: Sequence[int], doing: str = "") -> VectorEnvironment | None:
        """One environment for each seed; None where it cannot be made any more, which stops all members."""
        try:
            return open_vector(self.problem.task.name, seeds, self.problem.engine, self.problem.stop)
        except L0SurgicalError as error:
            for index in range(len(self.members)):
                self._environment_failed(index, doing + str(error))
            return None

    def _note_environments(self, environment: VectorEnvironment, each: int, doing: str = "") -> None:
        """Stops the members of whose environments, `each` in number, one has failed."""
        for number, cause in environment.failures.items():
            self._environment_failed(number // each, doing + cause)

    def _environment_failed(self, index: int, cause: str) -> None:
        if index not in self.failures and index not in self.finished and index not in self.learner.diverged:
            self.failures[index] = f"round {self._round}, {cause}"
            self._just_failed.add(index)
            self.learner.stop(index, cause)

    def forgive(self) -> None:
        """See `Cohort`."""
        for index in self._just_failed:
            del self.failures[index], self.learner.diverged[index]
        self._just_failed.clear()
        self.close()

    def close(self) -> None:
        """Closes the environments; they are opened anew when they are needed again."""
        if self._environment is not None:
            self._environment.close()
            self._environment = None

    def _note_failures(self, diverged: dict[int, str], number: int) -> None:
        for index, cause in diverged.items():
            if index not in self.finished:
                self.failures.setdefault(index, f"round {number}, {cause}")

    def validate(self, number: int) -> list[dict[str, float]]:
        """See `Cohort`; the policy with the best validation return is kept (the later of equals)."""
        self._round, weights = number, self.learner.policy_sparsifier.finalize()
        self._just_failed.clear()
        returns = self._validation_returns(weights)
        zeros = sum((w == 0).sum((1, 2)) for w in weights).cpu().numpy() / sum(w[0].numel() for w in weights)
        rows = []
        for index, (value, sparsity) in enumerate(zip(returns.mean(axis=1), zeros, strict=True)):
            if index in self.failures:
                rows.append({})
                continue
            rows.append({"validation_return": float(value), "actor_sparsity": float(sparsity)})
            if index in self.finished:
                continue
            before = self._kept.get(index)
            if before is None or self._is_early(index, before.number) or value >= before.validation_return:
                self._kept[index] = self._copy(index, number, float(value), float(sparsity), weights)
            if self.problem.task.target is not None and value >= self.problem.task.target:
                self.steps_to_target.setdefault(index, self.env_steps[index])
                if self.config.stop_at_target:
                    self.finished[index] = number
        return rows

    def _is_early(self, index: int, number: int) -> bool:
        """Whether a policy is replaced by any later one: with a penalty a good return counts only once the
        penalty has acted."""
        late = self.config.keep_best_after * self.config.rounds
        return not self.members[index].is_dense and number + 1 < late

    def _copy(
        self, index: int, number: int, value: float, sparsity: float, weights: Sequence[Tensor]
    ) -> Kept:
        biases = [layer.bias[index].detach().cpu().clone() for layer in self.learner.policy_network.layers]
        return Kept(number, value, sparsity, [w[index].cpu().clone() for w in weights], biases)

    @torch.no_grad()
    def _validation_returns(self, weights: Sequence[Tensor]) -> np.ndarray:
        """Returns (members, episodes) of all members at once, each on its own validation episodes; NaN where
        the environment failed."""
        episodes, network = self.config.evaluation_episodes, self.learner.policy_network.plain_copy(weights)
        seeds = [seed for m in self.members for seed in episode_seeds("validation", m.seed, episodes)]
        environment = self._vector(seeds, "validation: ")
        if environment is None:
            return np.full((len(self.members), episodes), np.nan)

        def act(observations: np.ndarray, live: np.ndarray) -> np.ndarray:
            outputs = network.columns(self.tensor(self.problem.normalizer(self._by_member(observations))))
            if self.problem.task.discrete:
                return outputs.argmax(1).cpu().numpy().ravel()[live]
            return self._flat(outputs.transpose(1, 2).clamp(-1, 1).cpu().numpy())[live]

        try:
            returns, _ = vector_rollouts(act, environment)
        finally:
            environment.close()
        self._note_environments(environment, episodes, "validation: ")
        return returns.reshape(len(self.members), episodes)

    def tensor(self, array: np.ndarray) -> Tensor:
        """See `Play`."""
        return torch.from_numpy(np.ascontiguousarray(array)).to(self.config.device)

    def policy(self, index: int) -> Policy:
        """See `Cohort`."""
        kept, activations = self._kept.get(index), self.learner.policy_network.activations
        if kept is None:  # it failed before its first validation
            kept = self._copy(index, self._round, np.nan, np.nan, self.learner.policy_sparsifier.finalize())
        return Policy(
            task=self.problem.task.name,
            inputs=self.problem.task.inputs,
            outputs=self.problem.task.outputs,
            normalizer=self.problem.normalizer,
            layers=tuple(
                Layer(Dense(weight.numpy()), bias.numpy(), activation)
                for weight, bias, activation in zip(kept.weights, kept.biases, activations, strict=True)
            ),
            trained_parameters=self.learner.policy_network.parameters_per_member,
            gate_seed=self.learner.policy_sparsifier.gate_seed,
        )

    def figures(self) -> list[dict[str, Any]]:
        """See `Cohort`; sparsities are those of the policy that is kept."""
        initial = network_sparsity_at_init(self.learner.policy_sparsifier.report())
        return [
            {}
            if index in self.failures
            else {
                "actor_sparsity": self._kept[index].sparsity,
                "actor_sparsity_at_init": float(initial[index]),
                "kept_round": self._kept[index].number,
                "steps_to_target": self.steps_to_target.get(index),
                "parameters": self.learner.policy_network.parameters_per_member,
                "env_steps": self.env_steps[index],
                "updates": self.updates,
            }
            for index in range(len(self.members))
        ]

    def state_dict(self) -> dict:
        """See `Cohort`."""
        taken, whole = self._taken, len(self._taken) - len(self._taken) % self._steps_each
        if not self.learner.resumes_within_rounds:
            taken = taken[:whole]
        return {
            "learner": self.learner.state_dict(),
            "rounds": self._rounds_done,
            "segment": self._segment,
            "taken": torch.from_numpy(np.array(taken)) if taken else torch.empty(0),
            "kept": {index: vars(kept) for index, kept in self._kept.items()},
            **{name: dict(getattr(self, name)) for name in _RECORDS},
        }

    def load_state_dict(self, state: dict) -> None:
        """See `Cohort`."""
        self.learner.load_state_dict(state["learner"])
        self._rounds_done = state["rounds"]
        self._segment, self._taken = state["segment"], list(state["taken"].numpy())
        self._kept = {index: Kept(**kept) for index, kept in state["kept"].items()}
        for name in _RECORDS:
            setattr(self, name, dict(state[name]))
        self.close()


_RECORDS = ("failures", "finished", "steps_to_target")


def _array(value: Tensor | float) -> np.ndarray:
    return value.cpu().numpy() if isinstance(value, Tensor) else np.asarray(value)
