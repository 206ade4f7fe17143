"""L0 regularisation by hard-concrete gates (Louizos et al. 2018; Goddla 2024, sec. 4).

A weight w is used as w_hat = z w with the gate
    s = sigmoid((log u - log(1 - u) + log_alpha) / beta) (zeta - gamma) + gamma,   z = clip(s, 0, 1),   u ~ U(0, 1)   (4.1, 4.2, 5.1)
and the penalty is the expected number of open gates, sum_j sigmoid(log_alpha_j - beta log(-gamma / zeta))              (4.4).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from l0_surgical.sparsity.base import LayeredNetwork
from l0_surgical.sparsity.gate_kernels import NOISE_TABLE_SIZE, Distribution, GatedWeight
from l0_surgical.sparsity.report import LayerReport, layer_sparsity, report_layers


@dataclass(frozen=True)
class GateSettings:
    """The hard-concrete distribution and how log alpha is trained.

    Attributes:
        temperature: beta of (4.2).
        stretch_low: gamma of (4.2), below 0.
        stretch_high: zeta of (4.2), above 1.
        initial_log_alpha: where every log alpha starts.
        learning_rate: of log alpha alone; with Adam it bounds how far a gate can move per update.
        evaluation: `sampled` draws one z per weight with the gate seed and freezes it (the paper's differentiator);
            `deterministic` uses z_hat of (4.3).
    """

    temperature: float
    stretch_low: float
    stretch_high: float
    initial_log_alpha: float
    learning_rate: float
    evaluation: Literal["sampled", "deterministic"]


class HardConcreteGate(nn.Module):
    """The parametrisation of one weight `(members, out, in)`.

    Attributes:
        offsets: `(members,)` where this update's noise starts in the noise table, or None for z_hat.
        expected_open: `(members,)` the expected number of non-zero gates (4.4), renewed whenever the weight is.
    """

    def __init__(self, weight: Tensor, settings: GateSettings) -> None:
        super().__init__()
        self.settings = settings
        self.log_alpha = nn.Parameter(torch.full_like(weight, settings.initial_log_alpha))
        self.distribution = Distribution(settings.temperature, settings.stretch_low, settings.stretch_high)
        self.offsets: np.ndarray | None = None

    def forward(self, weight: Tensor) -> Tensor:
        if self.offsets is None:
            self.expected_open = torch.sigmoid(self.log_alpha - self.distribution.shift).sum((1, 2))
            return weight * self.deterministic_gate()
        gated, self.expected_open = GatedWeight.apply(weight, self.log_alpha, self.offsets, self.distribution)
        return gated

    def deterministic_gate(self) -> Tensor:
        """z_hat = clip(sigmoid(log_alpha) (zeta - gamma) + gamma, 0, 1) (4.3)."""
        low, high = self.settings.stretch_low, self.settings.stretch_high
        return (torch.sigmoid(self.log_alpha) * (high - low) + low).clamp(0, 1)

    def sampled_gate(self, noise: Tensor) -> Tensor:
        """z of (4.1, 4.2) for given logistic noise log u - log(1 - u)."""
        s = self.settings
        stretched = torch.sigmoid((noise + self.log_alpha) / s.temperature) * (s.stretch_high - s.stretch_low) + s.stretch_low
        return stretched.clamp(0, 1)


class HardConcrete:
    """L0 gates on every weight of a network (biases are not gated, as in the paper).

    Args:
        coefficients: lambda_c per member.
        seeds: one per member; a member's noise depends on its own seed alone.
        settings: the gate distribution.
        stream: tells networks of one member apart (actor 0, critic 1), so that they never share noise.
        gate_seed: seed of the one map that `sampled` evaluation freezes.
        schedule: factor on the penalty by update number, e.g. 0 during a warm-up.
    """

    def __init__(
        self,
        coefficients: Sequence[float],
        seeds: Sequence[int],
        settings: GateSettings,
        stream: int = 0,
        gate_seed: int = 0,
        schedule: Callable[[int], float] | None = None,
    ) -> None:
        self.settings = settings
        self._coefficients = torch.tensor(coefficients, dtype=torch.float32)
        self._keys = np.array([np.random.SeedSequence([seed, stream, 0x6A7E]).generate_state(1, np.uint64)[0] for seed in seeds])
        self._gate_seeds = [int(np.random.SeedSequence([gate_seed, seed, stream]).generate_state(1)[0]) for seed in seeds]
        self._schedule = schedule or (lambda update: 1.0)
        self._factor = self._schedule(0)

    def attach(self, network: LayeredNetwork) -> None:
        """Registers a gate on every layer's weight."""
        self._gates: list[HardConcreteGate] = []
        self._layers = list(network.layers)
        for layer in self._layers:
            gate = HardConcreteGate(layer.weight.detach(), self.settings)
            parametrize.register_parametrization(layer, "weight", gate)
            self._gates.append(gate)
        self._weights = sum(gate.log_alpha[0].numel() for gate in self._gates)
        self._coefficients = self._coefficients.to(self._gates[0].log_alpha.device)
        self._initial = layer_sparsity(self.finalize())

    def penalty(self) -> Tensor:
        """`(members,)` lambda_c times the expected number of open gates, times the schedule's factor."""
        if self._factor == 0:
            return torch.zeros_like(self._coefficients)
        expected_open = []
        for layer, gate in zip(self._layers, self._gates, strict=True):
            _ = layer.weight  # renews gate.expected_open; costs nothing within parametrize.cached()
            expected_open.append(gate.expected_open)
        return self._coefficients * self._factor * torch.stack(expected_open).sum(0)

    def step(self, update: int) -> None:
        """Sets the schedule and fresh noise for update number `update` (a function of member seed and update alone)."""
        self._factor = self._schedule(update)
        offsets = (_hash(self._keys, update) % np.uint64(NOISE_TABLE_SIZE - self._weights)).astype(np.int64)
        for gate in self._gates:
            gate.offsets = offsets
            offsets = offsets + gate.log_alpha[0].numel()

    def parameter_groups(self) -> list[dict]:
        """log alpha with a learning rate of its own."""
        return [{"params": [gate.log_alpha for gate in self._gates], "lr": self.settings.learning_rate}]

    @torch.no_grad()
    def finalize(self) -> list[Tensor]:
        """z w with the one map that is evaluated and deployed: `deterministic` or, drawn with the gate seed, `sampled`."""
        weights = [layer.parametrizations.weight.original for layer in self._layers]
        if self.settings.evaluation == "deterministic":
            return [weight * gate.deterministic_gate() for weight, gate in zip(weights, self._gates, strict=True)]
        noise = self._frozen_noise()
        return [weight * gate.sampled_gate(n) for weight, gate, n in zip(weights, self._gates, noise, strict=True)]

    def report(self) -> list[LayerReport]:
        """Zeros of the finalized weights, beside those at initialisation."""
        return report_layers(self.finalize(), self._initial)

    def _frozen_noise(self) -> list[Tensor]:
        generators = [torch.Generator().manual_seed(seed) for seed in self._gate_seeds]
        noise = []
        for gate in self._gates:
            uniform = torch.stack([torch.rand(gate.log_alpha.shape[1:], generator=generator) for generator in generators])
            noise.append(torch.logit(uniform, eps=1e-6).to(gate.log_alpha.device))
        return noise


def _hash(keys: np.ndarray, counter: int) -> np.ndarray:
    """splitmix64 of (key, counter): random offsets without a state to save or to share between members."""
    with np.errstate(over="ignore"):
        x = keys + np.uint64(counter + 1) * np.uint64(0x9E3779B97F4A7C15)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return x ^ (x >> np.uint64(31))
