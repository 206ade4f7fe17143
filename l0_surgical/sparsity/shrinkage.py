"""L1 and L2 penalties: they shrink weights but make no exact zeros, so zeros come from an explicit
threshold."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from l0_surgical.sparsity.base import LayeredNetwork, Sparsifier
from l0_surgical.sparsity.report import LayerReport, layer_sparsity, report_layers
from l0_surgical.sparsity.schedule import Schedule


class Shrinkage(Sparsifier):
    """Penalty `lambda sum |w|` (L1) or `lambda sum w^2` (L2); `finalize` sets weights below `threshold` to
    zero.

    Args:
        coefficients: lambda per member.
        norm: `l1` or `l2`.
        threshold: |w| below it becomes 0 when the network is evaluated or deployed; reported with every
            result.
        schedule: when there is a penalty; once it is over, what is below the threshold then stays 0.
    """

    def __init__(
        self,
        coefficients: Sequence[float],
        norm: Literal["l1", "l2"],
        threshold: float,
        schedule: Schedule = Schedule(),  # noqa: B008 (it is frozen)
    ) -> None:
        self._coefficients = torch.tensor(coefficients, dtype=torch.float32)
        self._norm, self._threshold = norm, threshold
        self._schedule, self._factor = schedule, schedule.factor(0)

    def attach(self, network: LayeredNetwork) -> None:
        """Remembers the layers; their forward pass stays as it is. With fine-tuning, registers the masks on
        them."""
        self._layers = list(network.layers)
        if self._schedule.end is not None:
            for layer in self._layers:
                layer.register_buffer("mask", torch.ones_like(layer.weight, dtype=torch.bool))
        self._coefficients = self._coefficients.to(self._layers[0].weight.device)
        self._initial = layer_sparsity(self.finalize())

    def penalty(self) -> Tensor:
        """`(members,)` lambda times the norm over all weights, biases excluded."""
        if self._factor == 0:
            return torch.zeros_like(self._coefficients)
        weights = [layer.weight for layer in self._layers]
        norm = sum((w.abs() if self._norm == "l1" else w.square()).sum((1, 2)) for w in weights)
        return self._coefficients * self._factor * norm

    @torch.no_grad()
    def step(self, update: int) -> None:
        """Advances the schedule; where fine-tuning begins, decides which weights are 0 from then on."""
        self._factor = self._schedule.factor(update)
        if update == self._schedule.end:
            for layer in self._layers:
                layer.mask.copy_(layer.weight.abs() >= self._threshold)
                layer.weight.mul_(layer.mask)

    def masks(self) -> list[tuple[nn.Parameter, Tensor]]:
        """The weights and what is left of them, if there is fine-tuning; nothing is held before it begins."""
        return [] if self._schedule.end is None else [(layer.weight, layer.mask) for layer in self._layers]

    @torch.no_grad()
    def finalize(self) -> list[Tensor]:
        """The weights with all below the threshold set to zero."""
        return [layer.weight * (layer.weight.abs() >= self._threshold) for layer in self._layers]

    def report(self) -> list[LayerReport]:
        """Zeros by the threshold, beside those at initialisation."""
        return report_layers(self.finalize(), self._initial)
