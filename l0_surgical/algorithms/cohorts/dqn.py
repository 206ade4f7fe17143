"""Deep Q-learning on vector environments, all members at once."""

import math
from collections.abc import Sequence

import numpy as np
import torch

from l0_surgical.algorithms.cohorts.common import linear_schedule, make_sparsifier, random_numbers
from l0_surgical.algorithms.cohorts.discrete import DiscreteCohort, DiscreteProblem
from l0_surgical.algorithms.dqn import DQN, Batch
from l0_surgical.algorithms.learner import mean_figures
from l0_surgical.algorithms.replay import (
    Priorities,
    SoftmaxPriorities,
    SumTree,
    TransitionReplay,
    importance_weights,
)
from l0_surgical.settings.training import MemberSpec, TrainingConfig

_EXPLORATION, _REPLAY = 1, 2


class DQNCohort(DiscreteCohort):
    """A round is `cycles_per_round` times a few steps of every environment, followed by a few updates."""

    reports = ("train_return", "validation_return", "loss", "q", "penalty", "actor_sparsity", "epsilon")

    def __init__(
        self, config: TrainingConfig, members: Sequence[MemberSpec], problem: DiscreteProblem
    ) -> None:
        dqn = config.dqn
        super().__init__(config, members, problem, dqn.environments)
        updates = dqn.cycles_per_round * dqn.updates_per_cycle
        self.policy_sparsifier = make_sparsifier(config, members, "actor", updates)
        self.learner = DQN(
            dqn, problem.dimensions, [m.seed for m in members], self.policy_sparsifier, config.device
        )
        self.policy_network = self.learner.network
        self._acting = self.learner.network.plain_copy(self.policy_sparsifier.finalize())
        self.replay = TransitionReplay(len(members), dqn.buffer_size, problem.dimensions[0])
        self.priorities: Priorities | None = None
        if dqn.prioritized != "none":
            kind = {"proportional": SumTree, "softmax": SoftmaxPriorities}[dqn.prioritized]
            self.priorities = kind(len(members), dqn.buffer_size, dqn.priority_exponent)
        self._rate = linear_schedule(1.0, dqn.final_learning_rate_factor, config.rounds)
        self._rounds_done = 0

    @property
    def env_steps(self) -> list[int]:
        """See `Cohort`."""
        return [self._rounds_done * self.config.steps_per_round] * len(self.members)

    @property
    def updates(self) -> int:
        """See `Cohort`."""
        return self.learner.updates

    def train_round(self, number: int) -> list[dict[str, float]]:
        """See `Cohort`."""
        dqn = self.config.dqn
        self._open(number)
        if self._all_failed:
            return [{} for _ in self.members]
        self.learner.set_learning_rate(self._rate(number))
        steps = (dqn.cycles_per_round, dqn.steps_per_cycle)
        exploring = [random_numbers(m.seed, _EXPLORATION, number) for m in self.members]
        chances = np.stack([g.random((*steps, dqn.environments)) for g in exploring], axis=2)
        whims = np.stack(
            [g.integers(self.problem.dimensions[1], size=(*steps, dqn.environments)) for g in exploring],
            axis=2,
        )
        replaying = [random_numbers(m.seed, _REPLAY, number) for m in self.members]
        draws = np.stack(
            [g.random((dqn.cycles_per_round, dqn.updates_per_cycle, dqn.batch_size)) for g in replaying],
            axis=2,
        )
        learned: list[dict[str, torch.Tensor]] = []
        cycles_done, steps_done = divmod(self._steps_done, dqn.steps_per_cycle)
        for cycle in range(cycles_done, dqn.cycles_per_round):
            epsilon = self.epsilon((number + cycle / dqn.cycles_per_round) / self.config.rounds)
            self._explore(chances[cycle, steps_done:] < epsilon, whims[cycle, steps_done:])
            steps_done = 0
            if self._all_failed:
                return [{} for _ in self.members]
            if self.replay.sizes[self._running].min() >= dqn.learning_starts:
                learned += [self._learn(uniforms) for uniforms in draws[cycle]]
        self._rounds_done += 1
        self._note_failures(self.learner.diverged, number)
        figures = {name: values.cpu().numpy() for name, values in mean_figures(learned).items()}
        return [
            {
                **returns,
                "epsilon": epsilon,
                **{name: float(values[index]) for name, values in figures.items()},
            }
            if index not in self.failures
            else {}
            for index, returns in enumerate(self._train_returns())
        ]

    def epsilon(self, progress: float) -> float:
        """The share of random actions after the part `progress` of the training: cosine annealing from 1 to
        the final value."""
        dqn = self.config.dqn
        part = min(progress / dqn.exploration_fraction, 1.0) if dqn.exploration_fraction > 0 else 1.0
        return dqn.final_epsilon + (1 - dqn.final_epsilon) * (1 + math.cos(math.pi * part)) / 2

    @torch.no_grad()
    def _explore(self, random: np.ndarray, whims: np.ndarray) -> None:
        """Some steps of every environment: `random` (steps, members, environments) says where the action is
        that of `whims`."""
        self._acting.copy_from(self.policy_network, self.policy_sparsifier.finalize())
        for by_chance, whim in zip(random, whims, strict=True):
            states = self.problem.normalizer(self._observations)
            greedy = self._acting.columns(self._tensor(states)).argmax(1).cpu().numpy()
            actions = np.where(by_chance, whim, greedy)
            observations, rewards, terminated, _, valid = self._step(actions)
            if self._all_failed:
                return
            rewards = rewards * np.float32(self.config.dqn.reward_scale)
            slots = self.replay.add(
                states, actions, rewards, self.problem.normalizer(observations), terminated, valid
            )
            if self.priorities is not None:
                self.priorities.add(slots)

    def _learn(self, uniforms: np.ndarray) -> dict[str, torch.Tensor]:
        """One update from the random numbers `uniforms` (members, batch)."""
        weights, sizes = None, self.replay.sizes
        if self.priorities is None:
            sample = self.replay.sample_uniformly(uniforms)
        else:
            index, probabilities = self.priorities.sample(uniforms, sizes)
            sample = self.replay.at(index)
            weights = self._tensor(
                importance_weights(probabilities, sizes, self.config.dqn.importance_exponent)
            )
        parts = (sample.states, sample.actions, sample.rewards, sample.next_states, sample.terminated)
        figures, errors = self.learner.update(Batch(*map(self._tensor, parts), weights))
        if self.priorities is not None:
            self.priorities.update(sample.index, errors.cpu().numpy())
        return figures

    def state_dict(self) -> dict:
        """See `Cohort`."""
        arrays = {"replay": self.replay.state_dict()}
        if self.priorities is not None:
            arrays["priorities"] = self.priorities.state_dict()
        tensors = {
            name: {key: torch.from_numpy(array) for key, array in part.items()}
            for name, part in arrays.items()
        }
        return {
            **super().state_dict(),
            "learner": self.learner.state_dict(),
            "rounds": self._rounds_done,
            **tensors,
        }

    def load_state_dict(self, state: dict) -> None:
        """See `Cohort`."""
        super().load_state_dict(state)
        self.learner.load_state_dict(state["learner"])
        self._rounds_done = state["rounds"]
        self.replay.load_state_dict({key: tensor.numpy() for key, tensor in state["replay"].items()})
        if self.priorities is not None:
            self.priorities.load_state_dict(
                {key: tensor.numpy() for key, tensor in state["priorities"].items()}
            )
