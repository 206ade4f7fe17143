"""Proximal policy optimisation with sparse networks: Goddla 2024, Algorithm 2 (clipped ratio, GAE, entropy
bonus; Schulman et al. 2017).

Every tensor has a leading member axis. Per-member losses are means over the minibatch, summed over members,
so gradients never mix and a member learns the same whatever runs beside it. The gates' noise is drawn once
per iteration and held from the roll-out through all of its updates: otherwise the ratio of new to old
probabilities would measure the noise.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils import parametrize

from l0_surgical.algorithms.learner import Learner, advantages, mean_figures
from l0_surgical.algorithms.networks import MemberMLP, network_seeds
from l0_surgical.algorithms.optimizer import MemberAdam, clip_gradients, make_optimizer
from l0_surgical.algorithms.sparsifiers import Sparsify
from l0_surgical.algorithms.vector_cohort import Play
from l0_surgical.settings.ppo import PPOConfig

_ACTIONS, _ORDER = 1, 2


@dataclass(frozen=True)
class Rollout:
    """A roll-out, flattened: states (members, samples, obs), actions (members, samples) int64,
    log_probabilities, advantages and returns (members, samples), and valid (members, samples) float: 0 for
    steps in which an environment only began a new episode."""

    states: Tensor
    actions: Tensor
    log_probabilities: Tensor
    advantages: Tensor
    returns: Tensor
    valid: Tensor


class PPO(Learner):
    """Policy and value networks of members that share one kind of sparsifier.

    A round is one roll-out of `horizon` steps of every environment, and the updates from it.

    Args:
        config: the shared hyperparameters.
        dimensions: observation size and number of actions.
        seeds: one per member.
        sparsify: makes the sparsifiers of the policy (actor) and the value network (critic).
        device: where everything lives.
    """

    networks = ("actor", "critic")
    optimizers = ("actor_optimizer", "critic_optimizer")
    counters = ("iterations", "updates")
    reports = (
        *("train_return", "validation_return", "actor_loss", "critic_loss"),
        *("actor_penalty", "critic_penalty", "actor_sparsity", "entropy", "approximate_kl"),
    )

    def __init__(
        self,
        config: PPOConfig,
        dimensions: tuple[int, int],
        seeds: Sequence[int],
        sparsify: Sparsify,
        device: str = "cpu",
    ) -> None:
        super().__init__()
        self.config, (observation, actions) = config, dimensions
        actor_sizes, critic_sizes = ((observation, *config.hidden, outputs) for outputs in (actions, 1))
        self.actor = MemberMLP(actor_sizes, network_seeds(seeds, 0), "linear").to(device)
        self.critic = MemberMLP(critic_sizes, network_seeds(seeds, 1), "linear").to(device)
        with torch.no_grad():
            # nearly uniform action probabilities at the start (Andrychowicz et al. 2021, sec. 3.2)
            self.actor.layers[-1].weight.mul_(0.01)
            self.actor.layers[-1].bias.zero_()
        self.actor_sparsifier, self.critic_sparsifier = sparsify("actor"), sparsify("critic")
        self.actor_sparsifier.attach(self.actor)
        self.critic_sparsifier.attach(self.critic)
        self.policy_network, self.policy_sparsifier = self.actor, self.actor_sparsifier
        self.actor_optimizer = make_optimizer(self.actor, self.actor_sparsifier, config.learning_rate)
        self.critic_optimizer = make_optimizer(self.critic, self.critic_sparsifier, config.learning_rate)
        self.iterations = 0

    def train_round(self, play: Play) -> dict[str, Tensor]:
        """One iteration of Algorithm 2: a roll-out, its advantages, its updates.

        Returns:
            Per-member diagnostics `(members,)`, means over the updates.
        """
        rollout, samples = self.roll_out(play), self.config.steps_per_round
        orders = [
            [g.permutation(samples) for _ in range(self.config.epochs)] for g in play.generators(_ORDER)
        ]
        return self.learn(rollout, play.tensor(np.array(orders)))

    @torch.no_grad()
    def roll_out(self, play: Play) -> Rollout:
        """Acts with this iteration's gates (step 3) and estimates advantages (step 4)."""
        c, kept = self.config, []
        shape = (c.horizon, c.environments)
        uniforms = np.stack([g.random(shape, np.float32) for g in play.generators(_ACTIONS)], axis=1)
        self.draw_gates()
        with parametrize.cached():
            for chances in uniforms:
                states = play.tensor(play.states)
                actions, logs = self.act(states, play.tensor(chances))
                step = play.step(actions.cpu().numpy())
                rewards = step.rewards * np.float32(c.reward_scale)
                ends = (step.terminated, step.ended, step.valid)
                kept.append((states, actions, logs, *map(play.tensor, (rewards, *ends))))
            states, actions, logs, rewards, terminated, ended, valid = map(
                torch.stack, zip(*kept, strict=True)
            )
            everything = torch.cat([states, play.tensor(play.states)[None]])
            values = torch.stack([self.critic.value(one) for one in everything])
        gains = advantages(rewards, values[:-1], values[1:], terminated, ended, c.discount, c.gae_lambda)
        return Rollout(*map(_flat, (states, actions, logs, gains, gains + values[:-1], valid.float())))

    def draw_gates(self) -> None:
        """Gates both networks with this iteration's noise and their weights as they are now."""
        self.actor_sparsifier.step(self.iterations)
        self.critic_sparsifier.step(self.iterations)

    @torch.no_grad()
    def act(self, states: Tensor, uniforms: Tensor) -> tuple[Tensor, Tensor]:
        """Actions drawn with the numbers `uniforms` in [0, 1), and their log probabilities; `draw_gates`
        comes first.

        Args:
            states: `(members, batch, obs)`, normalised.
            uniforms: `(members, batch)`.
        """
        logs = torch.log_softmax(self.actor.columns(states), dim=1)
        passed = logs.exp().cumsum(1) <= uniforms.unsqueeze(1)
        actions = passed.sum(1).clamp(max=logs.shape[1] - 1)
        return actions, logs.gather(1, actions.unsqueeze(1))[:, 0]

    def learn(self, rollout: Rollout, permutations: Tensor) -> dict[str, Tensor]:
        """All minibatch updates of one iteration (steps 5 to 8), then the next iteration begins.

        Args:
            rollout: what the policy did with this iteration's gates.
            permutations: `(members, epochs, samples)`, the order of the samples in every epoch.

        Returns:
            Per-member diagnostics `(members,)`, means over the updates.
        """
        figures, size = [], self.config.minibatch_size
        for epoch in range(permutations.shape[1]):
            for start in range(0, permutations.shape[2] - size + 1, size):
                chosen = permutations[:, epoch, start : start + size]
                self.draw_gates()
                with parametrize.cached():
                    figures.append(self._update(_select(rollout, chosen)))
        self.iterations += 1
        return mean_figures(figures)

    def _update(self, batch: Rollout) -> dict[str, Tensor]:
        clip, share = self.config.clip, batch.valid / batch.valid.sum(1, keepdim=True).clamp(min=1)
        logs = torch.log_softmax(self.actor.columns(batch.states), dim=1)
        entropy = -(logs.exp() * logs).sum(1)
        log_ratio = logs.gather(1, batch.actions.unsqueeze(1))[:, 0] - batch.log_probabilities
        ratio, gain = log_ratio.exp(), _standardized(batch.advantages, share)
        surrogate = torch.minimum(ratio * gain, ratio.clamp(1 - clip, 1 + clip) * gain)
        actor_loss = -((surrogate + self.config.entropy_coefficient * entropy) * share).sum(1)
        critic_loss = ((self.critic.value(batch.states) - batch.returns).square() * share).sum(1)
        actor_penalty, critic_penalty = self.actor_sparsifier.penalty(), self.critic_sparsifier.penalty()

        size = batch.states.shape[1]
        actor_total, critic_total = actor_loss + actor_penalty / size, critic_loss + critic_penalty / size
        self.stop_diverged({"actor loss": actor_total, "critic loss": critic_total})
        self.minimize((actor_total, self.actor_optimizer), (critic_total, self.critic_optimizer))
        self.updates += 1
        return {
            "actor_loss": actor_loss.detach(),
            "critic_loss": critic_loss.detach(),
            "entropy": (entropy.detach() * share).sum(1),
            "approximate_kl": (((ratio - 1) - log_ratio).detach() * share).sum(1),
            "actor_penalty": actor_penalty.detach(),
            "critic_penalty": critic_penalty.detach(),
        }

    def _before_step(self, optimizer: MemberAdam) -> None:
        clip_gradients(optimizer.groups[0].parameters, self.config.max_gradient_norm)


def _flat(steps: Tensor) -> Tensor:
    """`(steps, members, environments, ...) -> (members, steps x environments, ...)`."""
    return steps.transpose(0, 1).flatten(1, 2)


def _select(rollout: Rollout, chosen: Tensor) -> Rollout:
    """The samples `chosen` (members, batch) of every member."""
    rows = torch.arange(chosen.shape[0], device=chosen.device)[:, None]
    return Rollout(*(getattr(rollout, name)[rows, chosen] for name in Rollout.__dataclass_fields__))


def _standardized(values: Tensor, share: Tensor) -> Tensor:
    """Mean 0 and standard deviation 1 over the samples that count, per member."""
    centred = values - (values * share).sum(1, keepdim=True)
    return centred / ((centred.square() * share).sum(1, keepdim=True).sqrt() + 1e-8)
