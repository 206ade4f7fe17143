"""Members that learn from environments side by side: their rounds, validation, and the policy that is
kept."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from l0_surgical.algorithms.cohort import MemberCohort
from l0_surgical.algorithms.vector_stage import Stage, Step, VectorProblem
from l0_surgical.evaluation import episode_seeds, vector_rollouts
from l0_surgical.policy import Dense, Layer, Policy
from l0_surgical.settings.training import MemberSpec, TrainingConfig
from l0_surgical.sparsity import network_sparsity_at_init


@dataclass(frozen=True)
class Kept:
    """A member's policy network as it was after a round, with its validation return and sparsity."""

    number: int
    validation_return: float
    sparsity: float
    weights: list[Tensor]
    biases: list[Tensor]


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
        return self._cohort.stage.states

    def step(self, actions: np.ndarray) -> Step:
        """Takes the actions (members, environments), or (members, environments, act) where they are no
        choice.

        Raises:
            NobodyLearns: the environments of all members have failed.
            Stopped: the caller wants to stop.
        """
        return self._cohort.step(actions)

    def generators(self, stream: int) -> list[np.random.Generator]:
        """A generator per member of the random numbers of this round, others for every `stream`."""
        return self._cohort.generators(stream, self.number)

    def tensor(self, array: np.ndarray) -> Tensor:
        """An array where the networks are."""
        return self._cohort.tensor(array)


class VectorLearner(Protocol):
    """A `Learner` that a `VectorCohort` plays for, made as `learner(config, dimensions, seeds, sparsify,
    device)`.

    Attributes:
        resumes_within_rounds: whether `train_round` goes on after `Play.steps_done` steps; otherwise a round
            of which a stop has left a part is played again from its beginning.
    """

    resumes_within_rounds: bool

    def train_round(self, play: Play) -> dict[str, Tensor | float]:
        """Acts, stores and learns for a round; returns diagnostics `(members,)`, or one number for all."""


class VectorCohort(MemberCohort):
    """Members of one regulariser on a `VectorProblem`; see `Cohort`."""

    def __init__(self, config: TrainingConfig, members: Sequence[MemberSpec], problem: VectorProblem) -> None:
        super().__init__(config, members, problem.dimensions)
        self.problem = problem
        self.finished: dict[int, int] = {}
        self.steps_to_target: dict[int, int] = {}
        self._round = self._rounds_done = 0
        self._kept: dict[int, Kept] = {}
        self.stage = Stage(config, self.members, problem, self._environment_failed)

    @property
    def env_steps(self) -> list[int]:
        """See `Cohort`: the steps of its environments, those included (one for each episode) in which one
        only begins anew."""
        return [self._rounds_done * self.config.algorithm.steps_per_round] * len(self.members)

    def train_round(self, number: int) -> list[dict[str, float]]:
        """See `Cohort`."""
        self._round = number
        self._just_failed.clear()
        self.learner.set_learning_rate(self._rate(number))
        try:
            if not self._all_failed:
                self.stage.open(number)
            if self._all_failed:
                raise NobodyLearns
            figures = self.learner.train_round(Play(self, number, self.stage.steps_done))
        except NobodyLearns:
            return [{} for _ in self.members]
        self._rounds_done += 1
        self._note_failures(self.learner.diverged, number)
        return self._rows(figures, self.stage.train_returns())

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

    def step(self, actions: np.ndarray) -> Step:
        """See `Play`."""
        result = self.stage.step(actions)
        if self._all_failed:  # then the step is taken again when the task is mended
            raise NobodyLearns
        self.stage.remember(actions)
        return result

    def _environment_failed(self, index: int, cause: str) -> None:
        if index not in self.failures and index not in self.finished and index not in self.learner.diverged:
            super()._environment_failed(index, f"round {self._round}, {cause}")

    def forgive(self) -> None:
        """See `Cohort`."""
        super().forgive()
        self.stage.close()

    def close(self) -> None:
        """Closes the environments; they are opened anew when they are needed again."""
        self.stage.close()

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
        environment = self.stage.vector(seeds, "validation: ")
        if environment is None:
            return np.full((len(self.members), episodes), np.nan)

        def act(observations: np.ndarray, live: np.ndarray) -> np.ndarray:
            outputs = network.columns(
                self.tensor(self.problem.normalizer(self.stage.by_member(observations)))
            )
            if self.problem.task.discrete:
                return outputs.argmax(1).cpu().numpy().ravel()[live]
            return self.stage.flat(outputs.transpose(1, 2).clamp(-1, 1).cpu().numpy())[live]

        try:
            returns, _ = vector_rollouts(act, environment)
        finally:
            environment.close()
        self.stage.note_failures(environment, episodes, "validation: ")
        return returns.reshape(len(self.members), episodes)

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
        return {
            "learner": self.learner.state_dict(),
            "rounds": self._rounds_done,
            "stage": self.stage.state_dict(self.learner.resumes_within_rounds),
            "kept": {index: vars(kept) for index, kept in self._kept.items()},
            **{name: dict(getattr(self, name)) for name in _RECORDS},
        }

    def load_state_dict(self, state: dict) -> None:
        """See `Cohort`."""
        self.learner.load_state_dict(state["learner"])
        self._rounds_done = state["rounds"]
        self.stage.load_state_dict(state["stage"])
        self._kept = {index: Kept(**kept) for index, kept in state["kept"].items()}
        for name in _RECORDS:
            setattr(self, name, dict(state[name]))


_RECORDS = ("failures", "finished", "steps_to_target")
