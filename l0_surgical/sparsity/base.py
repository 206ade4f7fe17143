"""What every sparsifier can do, and the null object `NoSparsifier`.

An algorithm has three sparsity lines: `sparsifier.attach(network)`, `loss + sparsifier.penalty() / batch`,
`sparsifier.step(t)`. A dense run uses `NoSparsifier`, so no algorithm asks whether it is sparse. One that
holds weights at zero names them once, by `masks`; the gradient of the update before, also of what is held, is
still on the weights when `step` is called.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor, nn

from l0_surgical.sparsity.report import LayerReport, layer_sparsity, report_layers


class WeightedLayer(Protocol):
    """A layer with a member-stacked weight `(members, out, in)`."""

    weight: Tensor


class LayeredNetwork(Protocol):
    """A network whose `layers` carry the weights to be made sparse."""

    layers: nn.ModuleList


class Sparsifier(ABC):
    """Takes weights away from one network while it is trained.

    Attributes:
        gate_seed: the seed of the one gate map that `finalize` draws and freezes; None where it draws
            nothing.
    """

    gate_seed: int | None = None

    @abstractmethod
    def attach(self, network: LayeredNetwork) -> None:
        """Binds to the network's weights; call once, before the optimiser and any target copies are made."""

    @abstractmethod
    def penalty(self) -> Tensor:
        """`(members,)` coefficient times penalty of this update's schedule; divide by the batch size and add
        to the loss."""

    @abstractmethod
    def finalize(self) -> list[Tensor]:
        """The plain dense weights with zeros, one `(members, out, in)` per layer, as evaluated and
        deployed."""

    @abstractmethod
    def report(self) -> list[LayerReport]:
        """Zeros, dead units and sparsity at initialisation of every layer."""

    def step(self, update: int) -> None:  # noqa: B027 (there need be nothing to prepare)
        """Prepares update number `update`: advances schedules and draws this update's gate noise."""

    def parameter_groups(self) -> list[dict]:
        """Optimiser groups for the sparsifier's own parameters, with their own learning rate; empty if it has
        none."""
        return []

    def masks(self) -> list[tuple[nn.Parameter, Tensor]]:
        """Weights and bool masks of their shape: where a mask is False, the optimiser holds the weight and
        both its moments at exactly 0. The optimiser asks once, and reads the masks at every step. Empty if
        nothing is ever held."""
        return []


class NoSparsifier(Sparsifier):
    """The null object: no penalty, no zeros of its own."""

    def __init__(self, members: int) -> None:
        self._members = members

    def attach(self, network: LayeredNetwork) -> None:
        """Remembers the layers and their sparsity before training."""
        self._layers: Sequence[WeightedLayer] = list(network.layers)
        self._initial = layer_sparsity(self.finalize())

    def penalty(self) -> Tensor:
        """Zero for every member."""
        return torch.zeros(self._members, device=self._layers[0].weight.device)

    @torch.no_grad()
    def finalize(self) -> list[Tensor]:
        """A copy of the weights as they are."""
        return [layer.weight.detach().clone() for layer in self._layers]

    def report(self) -> list[LayerReport]:
        """Counts exact zeros, of which a dense network has none in practice."""
        return report_layers(self.finalize(), self._initial)
