"""Low rank: folding a policy's weights by truncated SVD, and how many numbers that leaves, by the paper's
count and by ours.

Goddla (arXiv 2403.06313), eq. 3.17: an m x n weight becomes U (m x k), Sigma (k x k) and V^T (k x n) with k =
min(r, m, n). The paper stores Sigma as a square, mk + k^2 + kn numbers; here Sigma is multiplied into V^T, mk
+ kn numbers. Biases are kept in both counts.
"""

import dataclasses
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from l0_surgical.policy.records import LowRank, Policy
from l0_surgical.system.errors import BadInputError

Shape = tuple[int, int]


def fold_weight(weight: np.ndarray, rank: int) -> LowRank:
    """The best approximation of `weight` (out, in) of rank k = min(rank, out, in) in the spectral and the
    Frobenius norm (Eckart-Young).

    Raises:
        BadInputError: a rank below 1.
    """
    k = min(_checked(rank), *weight.shape)
    u, sigma, v = np.linalg.svd(weight.astype(np.float64), full_matrices=False)
    return LowRank(u[:, :k], sigma[:k, None] * v[:k])


def fold(policy: Policy, rank: int, keep_smaller: bool = False) -> Policy:
    """The policy with one rank for all layers, as in the paper. `keep_smaller` as in `fold_layers`.

    Raises:
        BadInputError: a rank below 1.
    """
    return fold_layers(policy, [rank] * len(policy.layers), keep_smaller)


def fold_layers(policy: Policy, ranks: Sequence[int | None], keep_smaller: bool = False) -> Policy:
    """The policy with layer i at rank `ranks[i]`; None leaves a layer as it is.

    With `keep_smaller`, a layer whose factors would not need fewer numbers than it has now stays as it is, so
    nothing is lost for nothing; without it every layer is folded, which is what the paper measures. The
    evaluation results are dropped: they were another policy's.

    Raises:
        BadInputError: a rank below 1, or not one rank for each layer.
    """
    if len(ranks) != len(policy.layers):
        raise BadInputError(
            f"{len(ranks)} ranks were given for the {len(policy.layers)} layers of the policy; give one for "
            "each"
        )
    layers = []
    for layer, rank in zip(policy.layers, ranks, strict=True):
        if rank is not None:
            smaller = weight_numbers(layer.weight.shape, rank) < layer.weight.numbers
            if smaller or not keep_smaller:
                layer = dataclasses.replace(layer, weight=fold_weight(layer.weight.to_dense(), rank))
        layers.append(layer)
    return dataclasses.replace(policy, layers=tuple(layers), evaluation={})


def layer_shapes(policy: Policy) -> list[Shape]:
    """The (out, in) of every layer."""
    return [layer.weight.shape for layer in policy.layers]


def weight_numbers(shape: Shape, rank: int) -> int:
    """Numbers stored for one weight (out, in) as two factors: mk + kn."""
    k = min(_checked(rank), *shape)
    return k * sum(shape)


def paper_weight_numbers(shape: Shape, rank: int) -> int:
    """Numbers the paper counts for one weight (out, in): mk + k^2 + kn."""
    k = min(_checked(rank), *shape)
    return k * (sum(shape) + k)


def dense_parameters(shapes: Iterable[Shape]) -> int:
    """Weights and biases of a dense network."""
    return _with_biases(shapes, lambda shape: shape[0] * shape[1])


def paper_parameters(shapes: Iterable[Shape], rank: int) -> int:
    """The paper's count for a network with every layer at `rank`, biases included.

    Raises:
        BadInputError: a rank below 1.
    """
    return _with_biases(shapes, lambda shape: paper_weight_numbers(shape, rank))


def folded_parameters(shapes: Iterable[Shape], rank: int) -> int:
    """The numbers really stored for a network with every layer at `rank`, biases included.

    Raises:
        BadInputError: a rank below 1.
    """
    return _with_biases(shapes, lambda shape: weight_numbers(shape, rank))


def size_decrease_percent(parameters: int, dense: int) -> float:
    """How much smaller than `dense`, in percent; negative where the factors need more than the dense
    weights."""
    return 100.0 * (1.0 - parameters / dense)


def _with_biases(shapes: Iterable[Shape], numbers: Callable[[Shape], int]) -> int:
    return sum(numbers(shape) + shape[0] for shape in shapes)


def _checked(rank: int) -> int:
    if rank < 1:
        raise BadInputError(f"the rank {rank} is below 1; give a whole number of at least 1")
    return int(rank)
