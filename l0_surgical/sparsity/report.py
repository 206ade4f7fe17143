"""What a sparsifier has achieved, layer by layer, beside what was there at initialisation."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor


@dataclass(frozen=True)
class LayerReport:
    """Counts of one layer; every array is `(members,)`.

    Attributes:
        shape: `(out, in)` of the weight.
        zeros: weights that are exactly 0.
        dead_units: output units all of whose incoming weights are 0 (they emit a constant).
        sparsity: zeros / weights.
        sparsity_at_init: the same right after the gates were attached (the part no training produced).
    """

    name: str
    shape: tuple[int, int]
    zeros: np.ndarray
    dead_units: np.ndarray
    sparsity: np.ndarray
    sparsity_at_init: np.ndarray

    @property
    def weights(self) -> int:
        """Number of weights of the layer, biases not counted."""
        return self.shape[0] * self.shape[1]


def report_layers(weights: Sequence[Tensor], sparsity_at_init: Sequence[np.ndarray]) -> list[LayerReport]:
    """One report per layer from the finalized weights `(members, out, in)` and each layer's
    `sparsity_at_init` `(members,)`."""
    reports = []
    for index, (weight, initial) in enumerate(zip(weights, sparsity_at_init, strict=True)):
        zero = weight == 0
        zeros = zero.sum((1, 2)).cpu().numpy()
        reports.append(
            LayerReport(
                name=f"layer{index}",
                shape=(weight.shape[1], weight.shape[2]),
                zeros=zeros,
                dead_units=zero.all(2).sum(1).cpu().numpy(),
                sparsity=zeros / (weight.shape[1] * weight.shape[2]),
                sparsity_at_init=initial,
            )
        )
    return reports


def layer_sparsity(weights: Sequence[Tensor]) -> list[np.ndarray]:
    """Fraction of exact zeros per layer, each `(members,)`."""
    return [(weight == 0).float().mean((1, 2)).cpu().numpy() for weight in weights]


def network_sparsity(reports: Sequence[LayerReport]) -> np.ndarray:
    """`(members,)` zeros over all layers / weights over all layers (biases are never gated and not
    counted)."""
    return sum(report.zeros for report in reports) / sum(report.weights for report in reports)


def network_sparsity_at_init(reports: Sequence[LayerReport]) -> np.ndarray:
    """`(members,)` the sparsity of the whole network before training."""
    return sum(report.sparsity_at_init * report.weights for report in reports) / sum(
        report.weights for report in reports
    )
