"""What DQN and PPO share: vector environments for all members at once, validation, and the policy that is
kept.

The environments are opened anew after every `checkpoint_every` rounds, with seeds that depend on the member
and the round alone. What they hold cannot be saved, but the actions since can: a run that is resumed takes
them again, and so sees what the uninterrupted one saw (where the environments are functions of seed and
actions alone). A byte a step is kept for that.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from l0_surgical.algorithms.cohorts.common import GATE_SEED, who_trains
from l0_surgical.algorithms.learner import Learner
from l0_surgical.algorithms.networks import MemberMLP
from l0_surgical.evaluation import episode_seeds, vector_rollouts
from l0_surgical.policy import Dense, Layer, Normalizer, Policy
from l0_surgical.settings.training import MemberSpec, TrainingConfig
from l0_surgical.sparsity import Sparsifier, network_sparsity_at_init
from l0_surgical.system.errors import BadInputError, L0SurgicalError
from l0_surgical.tasks import Task
from l0_surgical.tasks.boundary import Stop, never
from l0_surgical.tasks.classic import CLASSIC, Engine, VectorEnvironment, open_vector


@dataclass(frozen=True)
class DiscreteProblem:
    """A task with a choice of actions.

    Attributes:
        task: inputs and outputs of its policies.
        normalizer: of the observation.
        target: the return at which the paper ends a training; None where it names none.
        engine: of the vector environments.
        stop: whether the caller wants to stop.
    """

    task: Task
    normalizer: Normalizer
    target: float | None
    engine: Engine = "auto"
    stop: Stop = never

    @classmethod
    def of(cls, task: Task, stop: Stop = never) -> "DiscreteProblem":
        """Checks the task and chooses the scale of its observation.

        Raises:
            BadInputError: its actions are not a choice.
        """
        if not task.discrete:
            raise BadInputError(
                f"DQN and PPO choose among actions, but {task.name} has continuous ones; {who_trains(task)}"
            )
        known = CLASSIC.get(task.name)
        size = sum(part.size for part in task.inputs)
        scale = np.array(known.scale if known else np.ones(size), np.float32)
        return cls(
            task, Normalizer(np.zeros(size, np.float32), scale), known.target if known else None, stop=stop
        )

    @property
    def dimensions(self) -> tuple[int, int]:
        """Observation size and number of actions."""
        return sum(part.size for part in self.task.inputs), sum(part.size for part in self.task.outputs)


@dataclass(frozen=True)
class Kept:
    """A member's policy network as it was after a round, with its validation return and sparsity."""

    number: int
    validation_return: float
    sparsity: float
    weights: list[Tensor]
    biases: list[Tensor]


class DiscreteCohort(ABC):
    """Members of one regulariser on a `DiscreteProblem`; DQN and PPO say how they learn."""

    learner: Learner
    policy_network: MemberMLP
    policy_sparsifier: Sparsifier

    def __init__(
        self,
        config: TrainingConfig,
        members: Sequence[MemberSpec],
        problem: DiscreteProblem,
        environments: int,
    ) -> None:
        self.config, self.members, self.problem = config, tuple(members), problem
        self.failures: dict[int, str] = {}
        self.finished: dict[int, int] = {}
        self.steps_to_target: dict[int, int] = {}
        self._just_failed: set[int] = (
            set()
        )  # whose environment failed in the last call of train_round or validate
        self._round = 0
        self._kept: dict[int, Kept] = {}
        self._environments_each = environments
        self._environment: VectorEnvironment | None = None
        self._segment, self._taken = (
            0,
            [],
        )  # the round in which the environments were opened, the actions since

    # what DQN and PPO add

    @property
    @abstractmethod
    def env_steps(self) -> list[int]:
        """See `Cohort`: the steps of its environments, those included (one for each episode) in which one
        only begins anew."""

    @property
    @abstractmethod
    def updates(self) -> int:
        """See `Cohort`."""

    @abstractmethod
    def train_round(self, number: int) -> list[dict[str, float]]:
        """See `Cohort`."""

    # what they share

    @property
    def is_over(self) -> bool:
        """See `Cohort`."""
        return len(self.failures.keys() | self.finished.keys()) == len(self.members)

    @property
    def _all_failed(self) -> bool:
        return len(self.failures) == len(self.members)

    @property
    def _running(self) -> list[int]:
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
        self._observations = self._by_member(self._environment.reset())
        self._note_environments(self._environment, each)
        self._begins = np.zeros(self._observations.shape[:2], np.bool_)
        self._returns = np.zeros(self._observations.shape[:2])
        self._ended: list[list[float]] = [[] for _ in self.members]
        for count, actions in enumerate(self._taken, 1):
            self._advance(self._by_member(actions.astype(np.int64)))
            if count % self._steps_each == 0:
                self._train_returns()  # of a round that is over

    @property
    def _steps_each(self) -> int:
        """Steps of every environment in a round."""
        return self.config.steps_per_round // self._environments_each

    @property
    def _steps_done(self) -> int:
        """Steps of every environment in the present round, of which a stop may have left a part."""
        return len(self._taken) - (self._round - self._segment) * self._steps_each

    def _step(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """One step of every environment: next observations (members, environments, obs), rewards, terminated,
        ended, valid (members, environments); not valid are the steps in which a new episode begins."""
        result = self._advance(actions)
        if not self._all_failed:  # then the step is taken again when the task is mended
            self._taken.append(
                actions.ravel().astype(np.uint8 if self.problem.dimensions[1] <= 256 else np.int32)
            )
        return result

    def _advance(
        self, actions: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        observations, rewards, terminated, truncated = (
            self._by_member(a) for a in self._environment.step(actions.ravel())
        )
        self._note_environments(self._environment, self._environments_each)
        valid, ended = ~self._begins, terminated | truncated
        self._returns += rewards * valid
        for member, environment in zip(*np.nonzero(ended & valid), strict=True):
            self._ended[member].append(self._returns[member, environment])
            self._returns[member, environment] = 0.0
        self._begins, self._observations = ended, observations
        return observations, rewards, terminated, ended, valid

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
        self._round, weights = number, self.policy_sparsifier.finalize()
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
            if self.problem.target is not None and value >= self.problem.target:
                self.steps_to_target.setdefault(index, self.env_steps[index])
                if self.config.stop_at_target:
                    self.finished[index] = number
        return rows

    def _is_early(self, index: int, number: int) -> bool:
        """Whether a policy is replaced by any later one: with a penalty a good return counts only once the
        penalty has acted."""
        return (
            self.members[index].regularizer != "none"
            and number + 1 < self.config.keep_best_after * self.config.rounds
        )

    def _copy(
        self, index: int, number: int, value: float, sparsity: float, weights: Sequence[Tensor]
    ) -> Kept:
        biases = [layer.bias[index].detach().cpu().clone() for layer in self.policy_network.layers]
        return Kept(number, value, sparsity, [w[index].cpu().clone() for w in weights], biases)

    @torch.no_grad()
    def _validation_returns(self, weights: Sequence[Tensor]) -> np.ndarray:
        """Returns (members, episodes) of all members at once, each on its own validation episodes; NaN where
        the environment failed."""
        episodes, network = self.config.evaluation_episodes, self.policy_network.plain_copy(weights)
        seeds = [seed for m in self.members for seed in episode_seeds("validation", m.seed, episodes)]
        environment = self._vector(seeds, "validation: ")
        if environment is None:
            return np.full((len(self.members), episodes), np.nan)

        def act(observations: np.ndarray, live: np.ndarray) -> np.ndarray:
            states = self._states(self._by_member(observations))
            return network.columns(states).argmax(1).cpu().numpy().ravel()[live]

        try:
            returns, _ = vector_rollouts(act, environment)
        finally:
            environment.close()
        self._note_environments(environment, episodes, "validation: ")
        return returns.reshape(len(self.members), episodes)

    def _states(self, observations: np.ndarray) -> Tensor:
        """Normalised observations as the networks read them."""
        return torch.from_numpy(self.problem.normalizer(observations)).to(self.config.device)

    def _tensor(self, array: np.ndarray) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(self.config.device)

    def policy(self, index: int) -> Policy:
        """See `Cohort`."""
        kept, activations = self._kept.get(index), self.policy_network.activations
        if kept is None:  # it failed before its first validation
            kept = self._copy(index, self._round, np.nan, np.nan, self.policy_sparsifier.finalize())
        sampled = self.members[index].regularizer == "l0" and self.config.sparsity.evaluation == "sampled"
        return Policy(
            task=self.problem.task.name,
            inputs=self.problem.task.inputs,
            outputs=self.problem.task.outputs,
            normalizer=self.problem.normalizer,
            layers=tuple(
                Layer(Dense(weight.numpy()), bias.numpy(), activation)
                for weight, bias, activation in zip(kept.weights, kept.biases, activations, strict=True)
            ),
            trained_parameters=self.policy_network.parameters_per_member,
            gate_seed=GATE_SEED if sampled else None,
        )

    def figures(self) -> list[dict[str, Any]]:
        """See `Cohort`; sparsities are those of the policy that is kept."""
        initial = network_sparsity_at_init(self.policy_sparsifier.report())
        return [
            {}
            if index in self.failures
            else {
                "actor_sparsity": self._kept[index].sparsity,
                "actor_sparsity_at_init": float(initial[index]),
                "kept_round": self._kept[index].number,
                "steps_to_target": self.steps_to_target.get(index),
                "parameters": self.policy_network.parameters_per_member,
                "env_steps": self.env_steps[index],
                "updates": self.updates,
            }
            for index in range(len(self.members))
        ]

    def state_dict(self) -> dict:
        """See `Cohort`."""
        taken = torch.from_numpy(np.array(self._taken)) if self._taken else torch.empty(0)
        kept = {index: vars(kept) for index, kept in self._kept.items()}
        return {
            "segment": self._segment,
            "taken": taken,
            "kept": kept,
            **{name: dict(getattr(self, name)) for name in _RECORDS},
        }

    def load_state_dict(self, state: dict) -> None:
        """See `Cohort`."""
        self._segment, self._taken = state["segment"], list(state["taken"].numpy())
        self._kept = {index: Kept(**kept) for index, kept in state["kept"].items()}
        for name in _RECORDS:
            setattr(self, name, dict(state[name]))
        self.close()


_RECORDS = ("failures", "finished", "steps_to_target")
