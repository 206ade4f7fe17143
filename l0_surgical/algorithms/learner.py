"""What the algorithms share: the step of an optimiser, members that stop, and what is saved."""

import math
from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor

from l0_surgical.algorithms.optimizer import MemberAdam


class Learner:
    """The networks and optimisers of a cohort of members.

    Attributes:
        updates: gradient updates so far.
        diverged: causes by index of the members whose weights are frozen.
    """

    networks: ClassVar[tuple[str, ...]] = ()
    """Names of the networks, targets too."""
    optimizers: ClassVar[tuple[str, ...]] = ()
    """Names of the optimisers, each made by `make_optimizer`."""
    counters: ClassVar[tuple[str, ...]] = ("updates",)
    """Names of the counts that are saved."""

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
        parts = {name: getattr(self, name).state_dict() for name in (*self.networks, *self.optimizers)}
        return {
            **parts,
            **{name: getattr(self, name) for name in self.counters},
            "diverged": dict(self.diverged),
        }

    def load_state_dict(self, state: dict) -> None:
        """Restores what `state_dict` gave."""
        for name in (*self.networks, *self.optimizers):
            getattr(self, name).load_state_dict(state[name])
        for name in self.counters:
            setattr(self, name, state[name])
        self.diverged = dict(state["diverged"])


def mean_figures(updates: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Per-member diagnostics `(members,)` of some updates, averaged; empty if there were none."""
    return {
        name: torch.stack([figures[name] for figures in updates]).mean(0)
        for name in (updates[0] if updates else ())
    }
