"""DDPG with hindsight replay (HER), demonstration-guided exploration (DEX) and sparse networks: Goddla 2024,
Algorithm 3.

Every tensor has a leading member axis. Per-member losses are means over the batch, summed over members, so
gradients never mix and a member learns the same whatever runs beside it. Deviations from the paper are
numbered in docs/deviations.md.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils import parametrize

from l0_surgical.algorithms.goal_cohort import Act, GoalPlay
from l0_surgical.algorithms.learner import Learner, mean_figures
from l0_surgical.algorithms.networks import MemberMLP, network_seeds
from l0_surgical.algorithms.optimizer import make_optimizer
from l0_surgical.algorithms.replay import expert_actions
from l0_surgical.algorithms.schedules import Linear
from l0_surgical.algorithms.sparsifiers import Sparsify
from l0_surgical.settings.ddpg import DDPGConfig

_NOISE, _REPLAY, _DEMONSTRATION = 1, 2, 3


@dataclass(frozen=True)
class UpdateBatch:
    """What one update needs; every tensor is `(members, batch, ...)`, states are normalised observation and
    goal.

    `expert_actions` and `next_expert_actions` are pi_e(s), pi_e(s') of (3.12), or None while DEX is off.
    """

    states: Tensor
    actions: Tensor
    rewards: Tensor
    next_states: Tensor
    terminated: Tensor
    expert_actions: Tensor | None
    next_expert_actions: Tensor | None


class DDPG(Learner):
    """The networks, targets and optimisers of members that share one kind of sparsifier.

    A round is an episode of every member, and the updates after it.

    Args:
        config: the shared hyperparameters.
        dimensions: `(state, action)`: observation and goal side by side, and the action, in [-1, 1].
        seeds: one per member.
        sparsify: makes the sparsifiers of actor and critic.
        device: where everything lives.

    Attributes:
        highest_rewards: the highest reward that each member has learned from so far, at least 0,
            `(members,)`.
    """

    networks = ("actor", "critic", "actor_target", "critic_target")
    optimizers = ("actor_optimizer", "critic_optimizer")
    reports = (
        *("train_return", "train_success", "validation_return", "validation_success", "actor_loss"),
        *("critic_loss", "q", "actor_penalty", "critic_penalty", "actor_sparsity", "critic_sparsity"),
        "dex_coefficient",
    )

    def __init__(
        self,
        config: DDPGConfig,
        dimensions: tuple[int, int],
        seeds: Sequence[int],
        sparsify: Sparsify,
        device: str = "cpu",
    ) -> None:
        super().__init__()
        self.config, (state, action) = config, dimensions
        actor_sizes, critic_sizes = (state, *config.hidden, action), (state + action, *config.hidden, 1)
        self.actor = MemberMLP(actor_sizes, network_seeds(seeds, 0), "tanh").to(device)
        self.critic = MemberMLP(critic_sizes, network_seeds(seeds, 1), "linear").to(device)
        self.actor_sparsifier, self.critic_sparsifier = sparsify("actor"), sparsify("critic")
        self.actor_sparsifier.attach(self.actor)
        self.critic_sparsifier.attach(self.critic)
        self.policy_network, self.policy_sparsifier = self.actor, self.actor_sparsifier
        self.actor_target = self.actor.plain_copy(self.actor_sparsifier.finalize())
        self.critic_target = self.critic.plain_copy(self.critic_sparsifier.finalize())
        self.actor_optimizer = make_optimizer(self.actor, self.actor_sparsifier, config.actor_learning_rate)
        self.critic_optimizer = make_optimizer(
            self.critic, self.critic_sparsifier, config.critic_learning_rate
        )
        self.highest_rewards = torch.zeros(len(seeds), device=device)
        self.dex = Linear(config.dex_coefficient, 0.0, config.dex_anneal_episodes)

    def explore(self, play: GoalPlay, member: int, act: Act, shape: tuple[int, int]) -> Act:
        """The actions of an exploring episode (step 1 of the paper's round): the policy's, with Gaussian
        noise that falls to 0 over the training.

        Args:
            play: the round.
            member: whose episode it is.
            act: its policy, from a flat observation to an action in [-1, 1].
            shape: steps of an episode at most, and numbers in an action.
        """
        epsilon = Linear(1.0, 0.0, play.rounds)(play.number)
        noise = play.generators(_NOISE)[member].standard_normal(shape)
        noise *= self.config.noise_scale * epsilon
        steps = iter(noise)
        return lambda observation: np.clip(act(observation) + next(steps), -1, 1).astype(np.float32)

    def train_round(self, play: GoalPlay) -> dict[str, Tensor | float]:
        """The updates after an episode of every member: batches with goals in hindsight, and what the expert
        would do there (steps 2 to 4).

        Returns:
            Per-member diagnostics `(members,)`, means over the updates, and the coefficient of DEX.
        """
        dex, figures = self.dex(play.number), []
        batch = play.sample(self.config.updates_per_episode, self.config.batch_size, _REPLAY)
        known = self._expert_actions(play, batch.states, batch.next_states) if dex > 0 else (None, None)
        for u in range(self.config.updates_per_episode):
            guides = (None if one is None else one[u] for one in known)
            parts = (batch.states, batch.actions, batch.rewards, batch.next_states, batch.terminated)
            figures.append(self.update(UpdateBatch(*(part[u] for part in parts), *guides), dex))
        return {**mean_figures(figures), "dex_coefficient": dex}

    def _expert_actions(self, play: GoalPlay, states: Tensor, next_states: Tensor) -> tuple[Tensor, Tensor]:
        """The expert's actions estimated from a fresh batch of demonstrations per update (3.12, 3.13)."""
        known, actions = play.demonstrations(states.shape[0], states.shape[2], _DEMONSTRATION)
        k = self.config.neighbours
        return expert_actions(states, known, actions, k), expert_actions(next_states, known, actions, k)

    def update(self, batch: UpdateBatch, dex_coefficient: float) -> dict[str, Tensor]:
        """One gradient step of actor and critic, both from the networks as they were before it (Algorithm 3,
        steps 5 to 12).

        Returns:
            Per-member diagnostics `(members,)`: actor_loss, critic_loss, q, actor_penalty, critic_penalty.
        """
        self.actor_sparsifier.step(self.updates)
        self.critic_sparsifier.step(self.updates)
        with parametrize.cached():
            figures = self._update(batch, dex_coefficient)
        self.updates += 1
        return figures

    def _update(self, batch: UpdateBatch, dex_coefficient: float) -> dict[str, Tensor]:
        size = batch.states.shape[1]
        td_target = self._td_target(batch, dex_coefficient)
        q = self.critic.value(torch.cat([batch.states, batch.actions], dim=2))
        critic_loss = (q - td_target).square().mean(1)  # (3.15)
        critic_penalty = self.critic_sparsifier.penalty()

        actions = self.actor(batch.states)
        objective = self.critic.value(torch.cat([batch.states, actions], dim=2))
        if dex_coefficient > 0:
            distance = torch.linalg.vector_norm(actions - batch.expert_actions, dim=2)
            objective = objective - dex_coefficient * distance  # (3.14)
        actor_loss = -objective.mean(1)
        if self.config.action_penalty:
            actor_loss = actor_loss + self.config.action_penalty * actions.square().mean((1, 2))
        actor_penalty = self.actor_sparsifier.penalty()

        critic_total = critic_loss + critic_penalty / size
        actor_total = actor_loss + actor_penalty / size
        self.stop_diverged({"critic loss": critic_total, "actor loss": actor_total})
        self.minimize((critic_total, self.critic_optimizer), (actor_total, self.actor_optimizer))
        rate = self.config.target_rate
        self.actor_target.average_towards(self.actor, self.actor.effective_weights(), rate)
        self.critic_target.average_towards(self.critic, self.critic.effective_weights(), rate)
        return {
            "actor_loss": actor_loss.detach(),
            "critic_loss": critic_loss.detach(),
            "q": q.detach().mean(1),
            "actor_penalty": actor_penalty.detach(),
            "critic_penalty": critic_penalty.detach(),
        }

    @torch.no_grad()
    def _td_target(self, batch: UpdateBatch, dex_coefficient: float) -> Tensor:
        """r + gamma Q'(s', a') - alpha d(a', a_e') of (3.15), at most what the rewards so far can add up to,
        `(members, batch)`."""
        actions = self.actor_target(batch.next_states)
        q = self.critic_target.value(torch.cat([batch.next_states, actions], dim=2))
        target = batch.rewards + self.config.discount * q * ~batch.terminated
        if dex_coefficient > 0:
            distance = torch.linalg.vector_norm(actions - batch.next_expert_actions, dim=2)
            target = target - dex_coefficient * distance
        if not self.config.clip_target:
            return target
        self.highest_rewards = torch.maximum(self.highest_rewards, batch.rewards.amax(1))
        # no reward is above it, so no return is above its sum for ever, r / (1 - gamma)
        return torch.minimum(target, (self.highest_rewards / (1 - self.config.discount)).unsqueeze(1))

    def state_dict(self) -> dict:
        """See `Learner`."""
        return {**super().state_dict(), "highest_rewards": self.highest_rewards}

    def load_state_dict(self, state: dict) -> None:
        """See `Learner`."""
        super().load_state_dict(state)
        self.highest_rewards.copy_(state["highest_rewards"])
