"""Proximal policy optimisation on vector environments, all members at once."""

from collections.abc import Sequence

import numpy as np
import torch
from torch.nn.utils import parametrize

from l0_surgical.algorithms.cohorts.common import linear_schedule, make_sparsifier, random_numbers
from l0_surgical.algorithms.cohorts.discrete import DiscreteCohort, DiscreteProblem
from l0_surgical.algorithms.ppo import PPO, Rollout, advantages
from l0_surgical.settings.training import MemberSpec, TrainingConfig

_ACTIONS, _ORDER = 1, 2


class PPOCohort(DiscreteCohort):
    """A round is one roll-out of `horizon` steps of every environment, and the updates from it."""

    reports = (
        *(
            "train_return",
            "validation_return",
            "actor_loss",
            "critic_loss",
            "actor_penalty",
            "critic_penalty",
            "actor_sparsity",
        ),
        *("entropy", "approximate_kl"),
    )

    def __init__(
        self, config: TrainingConfig, members: Sequence[MemberSpec], problem: DiscreteProblem
    ) -> None:
        ppo = config.ppo
        super().__init__(config, members, problem, ppo.environments)
        actor, critic = (make_sparsifier(config, members, name, 1) for name in ("actor", "critic"))
        self.learner = PPO(ppo, problem.dimensions, [m.seed for m in members], (actor, critic), config.device)
        self.policy_network, self.policy_sparsifier = self.learner.actor, actor
        self._rate = linear_schedule(1.0, ppo.final_learning_rate_factor, config.rounds)

    @property
    def env_steps(self) -> list[int]:
        """See `Cohort`."""
        return [self.learner.iterations * self.config.steps_per_round] * len(self.members)

    @property
    def updates(self) -> int:
        """See `Cohort`."""
        return self.learner.updates

    def train_round(self, number: int) -> list[dict[str, float]]:
        """See `Cohort`."""
        self._open(number)
        self.learner.set_learning_rate(self._rate(number))
        if self._all_failed:
            return [{} for _ in self.members]
        rollout = self._roll_out(number)
        if self._all_failed:
            return [{} for _ in self.members]
        figures = self.learner.learn(rollout, self._permutations(number))
        self._note_failures(self.learner.diverged, number)
        values = {name: value.cpu().numpy() for name, value in figures.items()}
        return [
            {**returns, **{name: float(value[index]) for name, value in values.items()}}
            if index not in self.failures
            else {}
            for index, returns in enumerate(self._train_returns())
        ]

    @torch.no_grad()
    def _roll_out(self, number: int) -> Rollout:
        """Acts with this round's gates and estimates advantages."""
        ppo, members = self.config.ppo, self.members
        shape = (ppo.horizon, ppo.environments)
        uniforms = np.stack(
            [random_numbers(m.seed, _ACTIONS, number).random(shape, np.float32) for m in members], axis=1
        )
        kept: dict[str, list[torch.Tensor]] = {
            name: [] for name in ("states", "actions", "logs", "rewards", "terminated", "ended", "valid")
        }
        self.learner.draw_gates()
        with parametrize.cached():
            states = self._states(self._observations)
            for chance in uniforms:
                actions, logs = self.learner.act(states, self._tensor(chance))
                observations, rewards, terminated, ended, valid = self._step(actions.cpu().numpy())
                arrays = (
                    self._tensor(a)
                    for a in (rewards * np.float32(ppo.reward_scale), terminated, ended, valid)
                )
                for name, value in zip(kept, (states, actions, logs, *arrays), strict=True):
                    kept[name].append(value)
                states = self._states(observations)
            steps = {name: torch.stack(values) for name, values in kept.items()}
            everything = torch.cat([steps["states"], states[None]])
            values = torch.stack([self.learner.values(one) for one in everything])
        gains = advantages(
            steps["rewards"],
            values[:-1],
            values[1:],
            steps["terminated"],
            steps["ended"],
            ppo.discount,
            ppo.gae_lambda,
        )
        by_member = [_flat(steps[name]) for name in ("states", "actions", "logs")]
        return Rollout(*by_member, _flat(gains), _flat(gains + values[:-1]), _flat(steps["valid"].float()))

    def _permutations(self, number: int) -> torch.Tensor:
        """The order of the samples (members, epochs, samples)."""
        ppo, samples = self.config.ppo, self.config.steps_per_round
        generators = [random_numbers(m.seed, _ORDER, number) for m in self.members]
        return self._tensor(
            np.stack([[g.permutation(samples) for _ in range(ppo.epochs)] for g in generators])
        )

    def state_dict(self) -> dict:
        """See `Cohort`; a roll-out of which a stop has left a part is made again from its beginning."""
        state = super().state_dict()
        whole = len(self._taken) - len(self._taken) % self._steps_each
        return {**state, "taken": state["taken"][:whole], "learner": self.learner.state_dict()}

    def load_state_dict(self, state: dict) -> None:
        """See `Cohort`."""
        super().load_state_dict(state)
        self.learner.load_state_dict(state["learner"])


def _flat(steps: torch.Tensor) -> torch.Tensor:
    """`(steps, members, environments, ...) -> (members, steps x environments, ...)`."""
    return steps.transpose(0, 1).flatten(1, 2)
