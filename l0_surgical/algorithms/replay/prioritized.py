"""Transitions of every member, replayed uniformly or by priority, as the tensors of an update."""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from l0_surgical.algorithms.replay.priorities import (
    Priorities,
    SoftmaxPriorities,
    SumTree,
    importance_weights,
)
from l0_surgical.algorithms.replay.transitions import TransitionReplay

Kind = Literal["none", "proportional", "softmax"]


@dataclass(frozen=True)
class TransitionBatch:
    """What one update needs: states and next_states (members, batch, obs), normalised; actions (members,
    batch) int64, or (members, batch, act) float32; rewards (members, batch); terminated (members, batch)
    bool; weights (members, batch), or None where all count alike; index (members, batch), the slots that they
    came from."""

    states: Tensor
    actions: Tensor
    rewards: Tensor
    next_states: Tensor
    terminated: Tensor
    weights: Tensor | None = None
    index: np.ndarray | None = field(default=None, repr=False)


class PrioritizedReplay:
    """The last transitions of every member.

    Args:
        members: how many buffers.
        capacity: transitions each holds; the oldest is overwritten first.
        dimensions: observation size, and numbers in an action or None for a choice.
        kind: how transitions are drawn: alike, in proportion to |TD error|^alpha, or by its softmax.
        alpha: the exponent.
        device: of the batches.

    Attributes:
        sizes: transitions that each member holds, (members,).

    Raises:
        BadInputError: that many do not fit into memory.
    """

    def __init__(
        self,
        members: int,
        capacity: int,
        dimensions: tuple[int, int | None],
        kind: Kind = "none",
        alpha: float = 0.6,
        device: str = "cpu",
    ) -> None:
        self._transitions = TransitionReplay(members, capacity, *dimensions)
        kinds = {"proportional": SumTree, "softmax": SoftmaxPriorities}
        self._priorities: Priorities | None = (
            None if kind == "none" else kinds[kind](members, capacity, alpha)
        )
        self.sizes, self._device = self._transitions.sizes, device

    def add(
        self,
        states: np.ndarray,
        actions: np.ndarray,
        rewards: np.ndarray,
        next_states: np.ndarray,
        terminated: np.ndarray,
        valid: np.ndarray,
    ) -> None:
        """Stores the transitions (members, environments, ...) that are `valid` (members, environments)."""
        slots = self._transitions.add(states, actions, rewards, next_states, terminated, valid)
        if self._priorities is not None:
            self._priorities.add(slots)

    def sample(self, uniforms: np.ndarray, beta: float = 0.0) -> TransitionBatch:
        """One transition for each number in [0, 1) of `uniforms` (members, batch), with importance weights of
        the exponent `beta` if they are drawn by priority."""
        weights = None
        if self._priorities is None:
            drawn = self._transitions.sample_uniformly(uniforms)
        else:
            index, probabilities = self._priorities.sample(uniforms, self.sizes)
            drawn = self._transitions.at(index)
            weights = self._tensor(importance_weights(probabilities, self.sizes, beta))
        parts = (drawn.states, drawn.actions, drawn.rewards, drawn.next_states, drawn.terminated)
        return TransitionBatch(*map(self._tensor, parts), weights, drawn.index)

    def update(self, batch: TransitionBatch, errors: Tensor) -> None:
        """New TD errors (members, batch) of the transitions of a batch."""
        if self._priorities is not None:
            self._priorities.update(batch.index, errors.cpu().numpy())

    def _tensor(self, array: np.ndarray) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(self._device)

    def state_dict(self) -> dict:
        """What is stored, for a checkpoint."""
        parts = {"transitions": self._transitions, "priorities": self._priorities}
        return {
            name: {key: torch.from_numpy(array) for key, array in part.state_dict().items()}
            for name, part in parts.items()
            if part is not None
        }

    def load_state_dict(self, state: dict) -> None:
        """Restores what `state_dict` gave."""
        for name, part in (("transitions", self._transitions), ("priorities", self._priorities)):
            if part is not None:
                part.load_state_dict({key: tensor.numpy() for key, tensor in state[name].items()})
