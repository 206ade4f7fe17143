"""L0 regularisation by hard-concrete gates (Louizos et al. 2018; Goddla 2024, sec. 4).

A weight w is used as w_hat = z w with the gate
    s = sigmoid((log u - log(1 - u) + log_alpha) / beta) (zeta - gamma) + gamma,   z = clip(s, 0, 1),   u ~
    U(0, 1)   (4.1, 4.2, 5.1)
and the penalty is the expected number of open gates, sum_j sigmoid(log_alpha_j - beta log(-gamma / zeta))
(4.4).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from l0_surgical.sparsity.base import LayeredNetwork, Sparsifier
from l0_surgical.sparsity.gate_kernels import Distribution, GatedWeights, noise_offsets, noise_size
from l0_surgical.sparsity.report import LayerReport, layer_sparsity, report_layers
from l0_surgical.sparsity.schedule import Schedule


@dataclass(frozen=True)
class GateSettings:
    """The hard-concrete distribution and how log alpha is trained.

    Attributes:
        temperature: beta of (4.2).
        stretch_low: gamma of (4.2), below 0.
        stretch_high: zeta of (4.2), above 1.
        initial_log_alpha: where every log alpha starts.
        learning_rate: of log alpha alone; with Adam it bounds how far a gate can move per update.
        evaluation: `sampled` draws one z per weight with the gate seed and freezes it (the paper's
            differentiator); `deterministic` uses z_hat of (4.3).
        wait: all gates are 1 and log alpha stays where it started until the penalty's factor is above 0: the
            network learns dense first.
    """

    temperature: float
    stretch_low: float
    stretch_high: float
    initial_log_alpha: float
    learning_rate: float
    evaluation: Literal["sampled", "deterministic"]
    wait: bool = False


class Gates(nn.Module):
    """The gates of all weights of a network.

    Attributes:
        log_alpha: `(members, number of weights)`, the layers' weights one after the other.
        current: the gated weights of this update, one `(members, out, in)` per layer; None before the first
            update.
        expected_open: `(members,)` the expected number of non-zero gates (4.4), renewed with `current`.
    """

    def __init__(self, weights: Sequence[Tensor], settings: GateSettings) -> None:
        super().__init__()
        # floats whatever the caller wrote: a whole number would compile the kernels anew, and make log alpha
        # a tensor of integers
        self.distribution = Distribution(
            *map(float, (settings.temperature, settings.stretch_low, settings.stretch_high))
        )
        self._shapes = [tuple(weight.shape[1:]) for weight in weights]
        self._counts = [weight[0].numel() for weight in weights]
        shape, device = (weights[0].shape[0], sum(self._counts)), weights[0].device
        self.log_alpha = nn.Parameter(torch.full(shape, float(settings.initial_log_alpha), device=device))
        self.current: tuple[Tensor, ...] | None = None

    def draw(self, weights: Sequence[Tensor], offsets: np.ndarray) -> None:
        """Gates `weights` with the noise that starts at `offsets` (members,) of the noise table."""
        self.expected_open, *current = GatedWeights.apply(
            self.log_alpha, offsets, self.distribution, *weights
        )
        self.current = tuple(current)

    def hold(self, weights: Sequence[Tensor], gates: Sequence[Tensor] | None = None) -> None:
        """Every gate rests, at 1 or as in `gates` (like the weights), and log alpha gets no gradient."""
        self.current = tuple(
            weights if gates is None else (weight * gate for weight, gate in zip(weights, gates, strict=True))
        )
        self.expected_open = torch.full_like(
            self.log_alpha[:, 0], self.log_alpha.shape[1], requires_grad=False
        )

    def deterministic(self) -> list[Tensor]:
        """z_hat = clip(sigmoid(log_alpha) (zeta - gamma) + gamma, 0, 1) (4.3), one `(members, out, in)` per
        layer."""
        return self._by_layer(self._stretch(torch.sigmoid(self.log_alpha)))

    def sampled(self, noise: Tensor) -> list[Tensor]:
        """z of (4.1, 4.2) for logistic noise log u - log(1 - u) of the shape of `log_alpha`."""
        return self._by_layer(
            self._stretch(torch.sigmoid((noise + self.log_alpha) / self.distribution.temperature))
        )

    def _stretch(self, sigmoid: Tensor) -> Tensor:
        return (sigmoid * (self.distribution.high - self.distribution.low) + self.distribution.low).clamp(
            0, 1
        )

    def _by_layer(self, values: Tensor) -> list[Tensor]:
        parts = values.split(self._counts, dim=1)
        return [part.reshape(-1, *shape) for part, shape in zip(parts, self._shapes, strict=True)]


class LayerGate(nn.Module):
    """The parametrisation of one layer's weight: w_hat of the current update, or with z_hat before the
    first."""

    def __init__(self, gates: Gates, index: int) -> None:
        super().__init__()
        self._gates, self._index = (
            (gates,),
            index,
        )  # a tuple, because the gates are a module of the network and not of each layer

    def forward(self, weight: Tensor) -> Tensor:
        (gates,) = self._gates
        return (
            weight * gates.deterministic()[self._index]
            if gates.current is None
            else gates.current[self._index]
        )


class HardConcrete(Sparsifier):
    """L0 gates on every weight of a network (biases are not gated, as in the paper).

    Args:
        coefficients: lambda_c per member.
        seeds: one per member; a member's noise depends on its own seed alone.
        settings: the gate distribution.
        stream: tells networks of one member apart (actor 0, critic 1), so that they never share noise.
        gate_seed: seed of the one map that `sampled` evaluation freezes.
        schedule: when there is a penalty; once it is over, all gates rest as they are evaluated, without
            noise.
    """

    def __init__(
        self,
        coefficients: Sequence[float],
        seeds: Sequence[int],
        settings: GateSettings,
        stream: int = 0,
        gate_seed: int = 0,
        schedule: Schedule = Schedule(),  # noqa: B008 (it is frozen)
    ) -> None:
        self.settings = settings
        self._coefficients = torch.tensor(coefficients, dtype=torch.float32)
        self._keys = np.array(
            [np.random.SeedSequence([seed, stream, 0x6A7E]).generate_state(1, np.uint64)[0] for seed in seeds]
        )
        self._gate_seeds = [
            int(np.random.SeedSequence([gate_seed, seed, stream]).generate_state(1)[0]) for seed in seeds
        ]
        self.gate_seed = gate_seed if settings.evaluation == "sampled" else None
        self._schedule, self._factor, self._resting = schedule, schedule.factor(0), None

    def attach(self, network: LayeredNetwork) -> None:
        """Registers the gates on the network and parametrises every layer's weight with them."""
        self._layers = list(network.layers)
        self._gates = Gates([layer.weight.detach() for layer in self._layers], self.settings)
        network.add_module("gates", self._gates)
        for index, layer in enumerate(self._layers):
            parametrize.register_parametrization(layer, "weight", LayerGate(self._gates, index))
        self._originals = [layer.parametrizations.weight.original for layer in self._layers]
        self._coefficients = self._coefficients.to(self._gates.log_alpha.device)
        self._initial = layer_sparsity(self.finalize())

    def penalty(self) -> Tensor:
        """`(members,)` lambda_c times the expected number of open gates, times the schedule's factor; valid
        after `step`."""
        return self._coefficients * self._factor * self._gates.expected_open

    def step(self, update: int) -> None:
        """Sets the schedule and gates the weights with fresh noise (a function of member seed and update
        number alone).

        Until the next call every access to a layer's weight gives these same gated weights.
        """
        self._factor = self._schedule.factor(update)
        if self._schedule.is_over(update):
            self._resting = self._resting or self._evaluated_gates()  # log alpha does not change any more
            self._gates.hold(self._originals, self._resting)
        elif self.settings.wait and self._factor == 0:
            self._gates.hold(self._originals)
        else:
            count = self._gates.log_alpha.shape[1]
            self._gates.draw(self._originals, noise_offsets(self._keys, update, count, noise_size(count)))

    def parameter_groups(self) -> list[dict]:
        """log alpha with a learning rate of its own."""
        return [{"params": [self._gates.log_alpha], "lr": self.settings.learning_rate}]

    @torch.no_grad()
    def finalize(self) -> list[Tensor]:
        """z w with the one map that is evaluated and deployed: `deterministic` or, drawn with the gate seed,
        `sampled`."""
        return [weight * gate for weight, gate in zip(self._originals, self._evaluated_gates(), strict=True)]

    def report(self) -> list[LayerReport]:
        """Zeros of the finalized weights, beside those at initialisation."""
        return report_layers(self.finalize(), self._initial)

    @torch.no_grad()
    def _evaluated_gates(self) -> list[Tensor]:
        sampled = self.settings.evaluation == "sampled"
        return self._gates.sampled(self._frozen_noise()) if sampled else self._gates.deterministic()

    def _frozen_noise(self) -> Tensor:
        count, device = self._gates.log_alpha.shape[1], self._gates.log_alpha.device
        uniform = [
            torch.rand(count, generator=torch.Generator().manual_seed(seed)) for seed in self._gate_seeds
        ]
        return torch.logit(torch.stack(uniform), eps=1e-6).to(device)
