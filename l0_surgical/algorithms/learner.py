"""What the algorithms share: the step of an optimiser, members that stop, and what is saved."""

import math
from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor

from l0_surgical.algorithms.networks import MemberMLP
from l0_surgical.algorithms.optimizer import MemberAdam
from l0_surgical.sparsity import Sparsifier


class Learner:
    """The networks and optimisers of a cohort of members.

    Attributes:
        policy_network, policy_sparsifier: those of the network that becomes the policy.
        critic_sparsifier: of the critic; None where there is no critic.
        updates: gradient updates so far.
        diverged: causes by index of the members whose weights are frozen.
    """

    policy_network: MemberMLP
    policy_sparsifier: Sparsifier
    critic_sparsifier: Sparsifier | None = None

    networks: ClassVar[tuple[str, ...]] = ()
    """Names of the networks, targets too."""
    optimizers: ClassVar[tuple[str, ...]] = ()
    """Names of the optimisers, each made by `make_optimizer`."""
    stores: ClassVar[tuple[str, ...]] = ()
    """Names of what else is saved with `state_dict`, such as a replay buffer."""
    counters: ClassVar[tuple[str, ...]] = ("updates",)
    """Names of the counts that are saved."""
    resumes_within_rounds: ClassVar[bool] = False
    """See `VectorLearner`."""
    reports: ClassVar[tuple[str, ...]] = ()
    """Names of the figures in the metrics, in their order: its own and its cohort's."""

    def __init__(self) -> None:
        self.updates = 0
        self.diverged: dict[int, str] = {}

    def stop(self, member: int, cause: str) -> None:
        """Freezes one member's weights from now on."""
        self.diverged.setdefault(member, cause)

    def stop_diverged(self, losses: Mapping[str, Tensor]) -> None:
        """A member with a loss `(members,)` that is not finite stops here with its last finite weights; the
        others go on."""
        for member, total in enumerate(sum(loss.detach() for loss in losses.values()).tolist()):
            if not math.isfinite(total):
                values = ", ".join(f"{name} {loss[member].item()}" for name, loss in losses.items())
                self.stop(member, f"update {self.updates}: {values}")

    def minimize(self, *objectives: tuple[Tensor, MemberAdam]) -> None:
        """One step of each optimiser down the gradient of every member's own loss `(members,)`.

        All gradients come before any step: a network that steps while another loss still has to pass back
        through it (DDPG's actor learns through its critic) would hand on gradients of weights that no loss
        was computed with.
        """
        for losses, optimizer in objectives:
            optimizer.zero_grad()
            losses.sum().backward(inputs=optimizer.parameters)
        for _, optimizer in objectives:
            self._before_step(optimizer)
            optimizer.step(frozen=self.diverged)

    def _before_step(self, optimizer: MemberAdam) -> None:
        """May change the gradients."""

    def set_learning_rate(self, factor: float) -> None:
        """Scales the networks' learning rates (not the gates') to `factor` times their configured values."""
        for name in self.optimizers:
            getattr(self, name).scale_learning_rate(factor)

    def state_dict(self) -> dict:
        """Everything needed to go on exactly where this left off."""
        parts = {
            name: getattr(self, name).state_dict()
            for name in (*self.networks, *self.optimizers, *self.stores)
        }
        return {
            **parts,
            **{name: getattr(self, name) for name in self.counters},
            "diverged": dict(self.diverged),
        }

    def load_state_dict(self, state: dict) -> None:
        """Restores what `state_dict` gave."""
        for name in (*self.networks, *self.optimizers, *self.stores):
            getattr(self, name).load_state_dict(state[name])
        for name in self.counters:
            setattr(self, name, state[name])
        self.diverged = dict(state["diverged"])


@torch.no_grad()
def advantages(
    rewards: Tensor,
    values: Tensor,
    next_values: Tensor,
    terminated: Tensor,
    ended: Tensor,
    discount: float,
    gae_lambda: float,
) -> Tensor:
    """Generalised advantage estimation (Schulman et al. 2016, eq. 16), cut where an episode ends.

    A_t = delta_t + gamma lambda A_{t+1} within an episode, delta_t = r_t + gamma V(s_{t+1}) - V(s_t), V = 0
    after a termination (not after a truncation, where the episode would have gone on).

    Args:
        rewards, values, next_values: `(steps, ...)`; next_values are V(s_{t+1}) of the step's own episode.
        terminated, ended: `(steps, ...)` bool: ended by the task; ended at all.
        discount, gae_lambda: gamma and lambda.
    """
    deltas = rewards + discount * next_values * ~terminated - values
    result = torch.empty_like(deltas)
    following = torch.zeros_like(deltas[0])
    for t in reversed(range(len(deltas))):
        following = deltas[t] + discount * gae_lambda * following * ~ended[t]
        result[t] = following
    return result


def mean_figures(updates: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Per-member diagnostics `(members,)` of some updates, averaged; empty if there were none."""
    return {
        name: torch.stack([figures[name] for figures in updates]).mean(0)
        for name in (updates[0] if updates else ())
    }
