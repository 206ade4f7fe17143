"""Member-stacked networks: plain dense modules that know nothing of sparsity.

Every tensor carries a leading *member* axis, so one forward pass runs a whole grid of (seed, regulariser,
coefficient). One member is the ordinary case.
"""

import itertools
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from l0_surgical.policy import Dense, Layer
from l0_surgical.system.memory import check_memory

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": torch.relu,
    "tanh": torch.tanh,
    "linear": lambda x: x,
}


class MemberLinear(nn.Module):
    """`members` independent affine maps on columns: `(members, in, batch) -> (members, out, batch)`.

    Features come before the batch so that the weight's gradient is laid out like the weight: the optimiser
    and the gates then read both in one sweep.

    Attributes:
        weight: `(members, out, in)`.
        bias: `(members, out)`.
    """

    def __init__(self, members: int, in_features: int, out_features: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(members, out_features, in_features))
        self.bias = nn.Parameter(torch.zeros(members, out_features))

    def forward(self, x: Tensor, weight: Tensor | None = None) -> Tensor:
        return torch.baddbmm(self.bias.unsqueeze(2), self.weight if weight is None else weight, x)


class MemberMLP(nn.Module):
    """A multi-layer perceptron per member: ReLU between the layers, `output` after the last one.

    Args:
        sizes: units per layer, input first, e.g. `(10, 256, 256, 256, 5)`.
        seeds: one initialisation seed per member; a member's weights depend on its own seed alone.
        output: activation of the last layer: `"tanh"` or `"linear"`.

    Raises:
        BadInputError: they do not fit into memory.
    """

    def __init__(self, sizes: Sequence[int], seeds: Sequence[int], output: str) -> None:
        super().__init__()
        self.sizes, self.members = tuple(sizes), len(seeds)
        # weight, gradient and two moments of Adam
        check_memory(
            "networks",
            self.members,
            4 * 4 * self.parameters_per_member,
            "pass smaller layers, or train fewer members at a time",
        )
        self.layers = nn.ModuleList(
            MemberLinear(self.members, n_in, n_out) for n_in, n_out in itertools.pairwise(sizes)
        )
        self.activations = ("relu",) * (len(self.layers) - 1) + (output,)
        for member, seed in enumerate(seeds):
            generator = torch.Generator().manual_seed(seed)
            for layer in self.layers:
                bound = layer.weight.shape[2] ** -0.5
                with torch.no_grad():
                    layer.weight[member].uniform_(-bound, bound, generator=generator)
                    layer.bias[member].uniform_(-bound, bound, generator=generator)

    def forward(self, x: Tensor) -> Tensor:
        """`(members, batch, in) -> (members, batch, out)`."""
        return self.columns(x).transpose(1, 2)

    def value(self, x: Tensor) -> Tensor:
        """The only output of a network that has one: `(members, batch, in) -> (members, batch)`.

        Not `forward(x)[..., 0]`: that hands back gradients whose strides depend on the number of members, and
        with them the order of additions, so that a member would learn differently beside others.
        """
        return self.columns(x)[:, 0]

    def columns(self, x: Tensor, weights: Sequence[Tensor] | None = None) -> Tensor:
        """`(members, batch, in) -> (members, out, batch)`, as the layers compute it; `weights` are those of
        `effective_weights`."""
        x = x.transpose(1, 2)
        for layer, weight, activation in zip(
            self.layers, weights or self.effective_weights(), self.activations, strict=True
        ):
            x = ACTIVATIONS[activation](
                layer.forward(x, weight)
            )  # without nn.Module's hooks, which cost as much as a small layer
        return x

    def effective_weights(self) -> list[Tensor]:
        """The layers' weights `(members, out, in)`, gated if they are: asked once for several passes, because
        that costs as much as a small layer."""
        return [layer.weight for layer in self.layers]

    @property
    def parameters_per_member(self) -> int:
        """Weights and biases of one member, e.g. 135 685 for the paper's NeedleReach actor."""
        return sum(n_out * (n_in + 1) for n_in, n_out in itertools.pairwise(self.sizes))

    def plain_copy(self, weights: Sequence[Tensor]) -> "MemberMLP":
        """A network without gradients that holds `weights` (one `(members, out, in)` per layer) and this
        network's biases."""
        copy = (
            MemberMLP(self.sizes, [0] * self.members, self.activations[-1])
            .to(weights[0].device)
            .requires_grad_(False)
        )
        copy.copy_from(self, weights)
        return copy

    @torch.no_grad()
    def copy_from(self, source: "MemberMLP", weights: Sequence[Tensor]) -> None:
        """Overwrites this plain network's weights with `weights` and its biases with those of `source`."""
        self.average_towards(source, weights, rate=1.0)

    @torch.no_grad()
    def average_towards(self, source: "MemberMLP", weights: Sequence[Tensor], rate: float) -> None:
        """Polyak averaging, `theta_target := (1 - rate) theta_target + rate theta` (Goddla 2024, eq. 3.10 and
        3.11)."""
        for mine, theirs, weight in zip(self.layers, source.layers, weights, strict=True):
            mine.weight.lerp_(weight, rate)
            mine.bias.lerp_(theirs.bias, rate)


def network_seeds(seeds: Sequence[int], network: int) -> list[int]:
    """Initialisation seeds of a member's networks, told apart by the number `network`."""
    return [int(np.random.SeedSequence([seed, network]).generate_state(1)[0]) for seed in seeds]


def to_policy_layers(network: MemberMLP, weights: Sequence[Tensor], member: int) -> tuple[Layer, ...]:
    """One member as the dense layers of a policy file.

    Args:
        network: gives biases and activations.
        weights: the effective weights, one `(members, out, in)` per layer (a sparsifier's `finalize()`).
        member: index on the member axis.
    """
    return tuple(
        Layer(
            weight=Dense(weight[member].detach().cpu().numpy().copy()),
            bias=layer.bias[member].detach().cpu().numpy().copy(),
            activation=activation,
        )
        for layer, weight, activation in zip(network.layers, weights, network.activations, strict=True)
    )
