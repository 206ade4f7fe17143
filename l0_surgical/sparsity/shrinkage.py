"""L1 and L2 penalties: they shrink weights but make no exact zeros, so zeros come from an explicit
threshold."""

from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import Tensor

from l0_surgical.sparsity.base import LayeredNetwork
from l0_surgical.sparsity.report import LayerReport, layer_sparsity, report_layers


class Shrinkage:
    """Penalty `lambda sum |w|` (L1) or `lambda sum w^2` (L2); `finalize` sets weights below `threshold` to
    zero.

    Args:
        coefficients: lambda per member.
        norm: `l1` or `l2`.
        threshold: |w| below it becomes 0 when the network is evaluated or deployed; reported with every
            result.
        schedule: factor on the penalty by update number.
        finetune_start: update number from which there is no penalty and what is below the threshold then
            stays 0.
    """

    def __init__(
        self,
        coefficients: Sequence[float],
        norm: Literal["l1", "l2"],
        threshold: float,
        schedule: Callable[[int], float] | None = None,
        finetune_start: int | None = None,
    ) -> None:
        self._coefficients = torch.tensor(coefficients, dtype=torch.float32)
        self._norm, self._threshold = norm, threshold
        self._schedule = schedule or (lambda update: 1.0)
        self._factor = self._schedule(0)
        self._finetune_start = finetune_start

    def attach(self, network: LayeredNetwork) -> None:
        """Remembers the layers; their forward pass stays as it is. With fine-tuning, registers the masks on
        them."""
        self._layers = list(network.layers)
        if self._finetune_start is not None:
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
        """Advances the schedule; in fine-tuning, removes what the optimiser gave to the weights that are to
        stay 0."""
        self._factor = self._schedule(update)
        if self._finetune_start is None or update < self._finetune_start:
            return
        self._factor = 0.0
        for layer in self._layers:
            if update == self._finetune_start:
                layer.mask.copy_(layer.weight.abs() >= self._threshold)
            layer.weight.mul_(layer.mask)

    def parameter_groups(self) -> list[dict]:
        """None: the penalty acts on the weights themselves."""
        return []

    @torch.no_grad()
    def finalize(self) -> list[Tensor]:
        """The weights with all below the threshold set to zero."""
        weights = [
            layer.weight if self._finetune_start is None else layer.weight * layer.mask
            for layer in self._layers
        ]
        return [weight * (weight.abs() >= self._threshold) for weight in weights]

    def report(self) -> list[LayerReport]:
        """Zeros by the threshold, beside those at initialisation."""
        return report_layers(self.finalize(), self._initial)
