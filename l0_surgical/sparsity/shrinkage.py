"""L1 and L2 penalties: they shrink weights but make no exact zeros, so zeros come from an explicit threshold."""

from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import Tensor

from l0_surgical.sparsity.base import LayeredNetwork
from l0_surgical.sparsity.report import LayerReport, layer_sparsity, report_layers


class Shrinkage:
    """Penalty `lambda sum |w|` (L1) or `lambda sum w^2` (L2); `finalize` sets weights below `threshold` to zero.

    Args:
        coefficients: lambda per member.
        norm: `l1` or `l2`.
        threshold: |w| below it becomes 0 when the network is evaluated or deployed; reported with every result.
        schedule: factor on the penalty by update number.
    """

    def __init__(
        self,
        coefficients: Sequence[float],
        norm: Literal["l1", "l2"],
        threshold: float,
        schedule: Callable[[int], float] | None = None,
    ) -> None:
        self._coefficients = torch.tensor(coefficients, dtype=torch.float32)
        self._norm, self._threshold = norm, threshold
        self._schedule = schedule or (lambda update: 1.0)
        self._factor = self._schedule(0)

    def attach(self, network: LayeredNetwork) -> None:
        """Remembers the layers; their forward pass stays as it is."""
        self._layers = list(network.layers)
        self._coefficients = self._coefficients.to(self._layers[0].weight.device)
        self._initial = layer_sparsity(self.finalize())

    def penalty(self) -> Tensor:
        """`(members,)` lambda times the norm over all weights, biases excluded."""
        if self._factor == 0:
            return torch.zeros_like(self._coefficients)
        weights = [layer.weight for layer in self._layers]
        norm = sum((w.abs() if self._norm == "l1" else w.square()).sum((1, 2)) for w in weights)
        return self._coefficients * self._factor * norm

    def step(self, update: int) -> None:
        """Advances the schedule."""
        self._factor = self._schedule(update)

    def parameter_groups(self) -> list[dict]:
        """None: the penalty acts on the weights themselves."""
        return []

    @torch.no_grad()
    def finalize(self) -> list[Tensor]:
        """The weights with all below the threshold set to zero."""
        return [layer.weight * (layer.weight.abs() >= self._threshold) for layer in self._layers]

    def report(self) -> list[LayerReport]:
        """Zeros by the threshold, beside those at initialisation."""
        return report_layers(self.finalize(), self._initial)
