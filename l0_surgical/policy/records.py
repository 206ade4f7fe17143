"""The records a policy is made of; each checks itself when it is built, so that an existing record is a
usable one.

Import them from `l0_surgical.policy`, which also reads and writes them. Arrays are float32 (masks uint8,
indices int64) and read-only.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np

from l0_surgical.system.errors import BadInputError

Activation = Literal["relu", "tanh", "linear"]
ACTIVATIONS: tuple[str, ...] = get_args(Activation)
MAX_WEIGHTS = (
    2**28
)  # numbers of one layer written out densely (1 GiB): a small hostile file must not exhaust the memory


class PolicyFileError(BadInputError):
    """A policy, or the file that should hold one, cannot be used; the message says which part is wrong."""


def _array(name: str, values: Any, dimensions: int, dtype: type = np.float32) -> np.ndarray:
    """A checked, contiguous, read-only copy of `values`, so that nobody can change a policy through the array
    it was built from."""
    array = np.array(values, dtype=dtype, order="C")
    if array.ndim != dimensions or array.size == 0:
        raise PolicyFileError(
            f"{name} has the shape {array.shape}; it needs {dimensions} non-empty dimensions"
        )
    if not np.isfinite(array).all():
        raise PolicyFileError(
            f"{name} holds {int((~np.isfinite(array)).sum())} NaN or infinite numbers; retrain or save a "
            "healthy policy"
        )
    array.flags.writeable = False
    return array


@dataclass(frozen=True)
class Field:
    """A named part of the observation or action: `size` numbers in `unit`, inside [low, high] where there are
    limits.

    Numbers with different limits are different fields.

    Raises:
        PolicyFileError: no name, a size below 1, or limits that are not finite, lack their partner, are out
            of order or have no float32 between them.
    """

    name: str
    size: int
    unit: str
    low: float | None = None
    high: float | None = None

    def __post_init__(self) -> None:
        if not self.name or self.size < 1:
            raise PolicyFileError(
                f"the field {self.name!r} of size {self.size} needs a name and a size of at least 1"
            )
        if (self.low is None) != (self.high is None):
            raise PolicyFileError(
                f"the field {self.name!r} has one limit without the other (low {self.low}, high {self.high})"
            )
        if self.low is not None and self.high is not None:
            object.__setattr__(self, "low", float(self.low))
            object.__setattr__(self, "high", float(self.high))
            if not (
                max(abs(self.low), abs(self.high)) <= float(np.finfo(np.float32).max) and self.low < self.high
            ):
                raise PolicyFileError(
                    f"the field {self.name!r} needs finite limits with low < high, not [{self.low}, "
                    f"{self.high}]"
                )
            low, high = self.float32_limits
            if low > high:
                raise PolicyFileError(
                    f"the field {self.name!r} has no float32 number between its limits {self.low} and "
                    f"{self.high}"
                )

    @property
    def float32_limits(self) -> tuple[float, float]:
        """The limits rounded to float32, inward: engines compute in float32, and no action leaves [low,
        high]. Infinite without limits."""
        if self.low is None or self.high is None:
            return -math.inf, math.inf
        low, high = np.float32(self.low), np.float32(self.high)
        low = np.nextafter(low, np.float32(np.inf)) if float(low) < self.low else low
        high = np.nextafter(high, np.float32(-np.inf)) if float(high) > self.high else high
        return float(low), float(high)


@dataclass(frozen=True, eq=False)
class Normalizer:
    """x -> clip((x - mean) / scale, -clip, clip) in float32; mean and scale have the shape (obs_dim,) and the
    observation's units.

    `clip` may be infinite (no clipping).

    Raises:
        PolicyFileError: shapes that differ, numbers that are not finite, a scale or a clip that is not
        positive.
    """

    mean: np.ndarray
    scale: np.ndarray
    clip: float = math.inf

    def __post_init__(self) -> None:
        object.__setattr__(self, "mean", _array("the normaliser's mean", self.mean, 1))
        object.__setattr__(self, "scale", _array("the normaliser's scale", self.scale, 1))
        object.__setattr__(self, "clip", float(self.clip))
        if self.mean.shape != self.scale.shape:
            raise PolicyFileError(
                f"the normaliser's mean {self.mean.shape} and scale {self.scale.shape} differ in shape"
            )
        if (self.scale <= 0).any():
            raise PolicyFileError(
                f"the normaliser's scale must be positive; its smallest entry is {self.scale.min()}"
            )
        if not self.clip > 0:
            raise PolicyFileError(f"the normaliser's clip must be positive, not {self.clip}")

    @classmethod
    def identity(cls, size: int) -> "Normalizer":
        """The normaliser of `size` numbers that changes nothing."""
        return cls(np.zeros(size), np.ones(size), math.inf)

    def __call__(self, observation: np.ndarray) -> np.ndarray:
        """Normalises (..., obs_dim) float32."""
        return np.clip((observation - self.mean) / self.scale, np.float32(-self.clip), np.float32(self.clip))


@dataclass(frozen=True, eq=False)
class Dense:
    """A weight stored as it is: `weight` (out, in)."""

    weight: np.ndarray

    def __post_init__(self) -> None:
        object.__setattr__(self, "weight", _array("a dense weight", self.weight, 2))

    @property
    def shape(self) -> tuple[int, int]:
        return self.weight.shape

    @property
    def numbers(self) -> int:
        """Stored numbers."""
        return self.weight.size

    @property
    def nbytes(self) -> int:
        return self.weight.nbytes

    def to_dense(self) -> np.ndarray:
        """The weight (out, in), read-only."""
        return self.weight


@dataclass(frozen=True, eq=False)
class LowRank:
    """A weight stored as two factors, u (out, k) @ v (k, in), the singular values multiplied into one of them
    (eq. 3.17)."""

    u: np.ndarray
    v: np.ndarray

    def __post_init__(self) -> None:
        object.__setattr__(self, "u", _array("a low-rank factor u", self.u, 2))
        object.__setattr__(self, "v", _array("a low-rank factor v", self.v, 2))
        if self.u.shape[1] != self.v.shape[0]:
            raise PolicyFileError(f"the factors u {self.u.shape} and v {self.v.shape} do not share a rank")
        if math.prod(self.shape) > MAX_WEIGHTS:
            raise PolicyFileError(
                f"a low-rank weight of shape {self.shape} has more than {MAX_WEIGHTS} entries"
            )

    @property
    def shape(self) -> tuple[int, int]:
        return self.u.shape[0], self.v.shape[1]

    @property
    def rank(self) -> int:
        return self.u.shape[1]

    @property
    def numbers(self) -> int:
        """Stored numbers."""
        return self.u.size + self.v.size

    @property
    def nbytes(self) -> int:
        return self.u.nbytes + self.v.nbytes

    def to_dense(self) -> np.ndarray:
        """The weight (out, in), multiplied in float64 so that every reader gets the same float32 numbers."""
        return (self.u.astype(np.float64) @ self.v.astype(np.float64)).astype(np.float32)


@dataclass(frozen=True, eq=False)
class PackedSparse:
    """A weight stored as its nonzero values, row by row, and one bit for each entry (`np.packbits`: most
    significant bit first)."""

    mask: np.ndarray
    values: np.ndarray
    shape: tuple[int, int]

    def __post_init__(self) -> None:
        shape = tuple(int(size) for size in self.shape)
        object.__setattr__(self, "shape", shape)
        if len(shape) != 2 or min(shape) < 1 or math.prod(shape) > MAX_WEIGHTS:
            raise PolicyFileError(
                f"a packed weight of shape {shape} needs two dimensions and at most {MAX_WEIGHTS} entries"
            )
        object.__setattr__(self, "mask", _array("a packed mask", self.mask, 1, np.uint8))
        entries = math.prod(shape)
        bits = np.unpackbits(self.mask)
        if self.mask.size != -(-entries // 8) or bits[entries:].any():
            raise PolicyFileError(
                f"a packed mask of {self.mask.size} bytes does not fit a weight of shape {shape}"
            )
        values = np.array(self.values, dtype=np.float32)
        if values.shape != (int(bits.sum()),) or not np.isfinite(values).all():
            raise PolicyFileError(
                f"a packed weight needs {int(bits.sum())} finite values for its mask; it has {values.shape}"
            )
        values.flags.writeable = False
        object.__setattr__(self, "values", values)

    @classmethod
    def pack(cls, weight: np.ndarray) -> "PackedSparse":
        """Packs the nonzero entries of a dense weight (out, in)."""
        weight = np.asarray(weight, dtype=np.float32)
        return cls(np.packbits(weight.ravel() != 0), weight.ravel()[weight.ravel() != 0], weight.shape)

    @property
    def numbers(self) -> int:
        """Stored numbers, with the mask counted as 32 bits to a number."""
        return self.values.size + -(-math.prod(self.shape) // 32)

    @property
    def nbytes(self) -> int:
        return self.values.nbytes + self.mask.nbytes

    def to_dense(self) -> np.ndarray:
        """The weight (out, in) with its zeros."""
        weight = np.zeros(math.prod(self.shape), dtype=np.float32)
        weight[np.unpackbits(self.mask, count=weight.size).astype(bool)] = self.values
        return weight.reshape(self.shape)


Weight = Dense | LowRank | PackedSparse


@dataclass(frozen=True, eq=False)
class Layer:
    """activation(weight @ x + bias): weight (out, in) in one of its representations, bias (out,)."""

    weight: Weight
    bias: np.ndarray
    activation: Activation

    def __post_init__(self) -> None:
        object.__setattr__(self, "bias", _array("a bias", self.bias, 1))
        if self.activation not in ACTIVATIONS:
            raise PolicyFileError(
                f"unknown activation {self.activation!r}; known are {', '.join(ACTIVATIONS)}"
            )
        if self.bias.size != self.weight.shape[0]:
            raise PolicyFileError(
                f"a bias of {self.bias.size} numbers does not fit a weight of shape {self.weight.shape}"
            )


@dataclass(frozen=True, eq=False)
class Policy:
    """Everything needed to act: what is observed, how it is normalised, the network, and how its output
    becomes an action.

    Where an output has limits, the last layer's value y (in [-1, 1] after tanh) becomes y (high - low) / 2 +
    (high + low) / 2, clipped to them; an output without limits (a Q-value, a logit) is left as it is.
    `input_index` (n,) names the observation entries that layer 0 reads (None: all of them, in order).
    `trained_parameters` is the number of weights and biases of the dense network it was trained as.

    Raises:
        PolicyFileError: the parts do not fit together.
    """

    task: str
    inputs: tuple[Field, ...]
    outputs: tuple[Field, ...]
    normalizer: Normalizer
    layers: tuple[Layer, ...]
    trained_parameters: int
    input_index: np.ndarray | None = None
    gate_seed: int | None = None
    provenance: Mapping[str, Any] = field(default_factory=dict)
    evaluation: Mapping[str, Any] = field(default_factory=dict)

    @property
    def observation_size(self) -> int:
        return sum(part.size for part in self.inputs)

    @property
    def action_size(self) -> int:
        return sum(part.size for part in self.outputs)

    @property
    def numbers(self) -> int:
        """Stored numbers of the network: weights (a packed mask counts 32 bits to a number) and biases;
        without the normaliser."""
        return sum(layer.weight.numbers + layer.bias.size for layer in self.layers)

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays in the policy's file: weights, biases, normaliser and input index."""
        index = 0 if self.input_index is None else self.input_index.nbytes
        network = sum(layer.weight.nbytes + layer.bias.nbytes for layer in self.layers)
        return network + index + self.normalizer.mean.nbytes + self.normalizer.scale.nbytes

    def __post_init__(self) -> None:
        if not isinstance(self.task, str) or not self.task:
            raise PolicyFileError(f"the policy's task {self.task!r} must be a task's name")
        for name in ("inputs", "outputs", "layers"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
            if not getattr(self, name):
                raise PolicyFileError(f"the policy has no {name}")
        if self.normalizer.mean.size != self.observation_size:
            raise PolicyFileError(
                f"the normaliser has {self.normalizer.mean.size} entries, the observation "
                f"{self.observation_size}"
            )
        if self.trained_parameters < 1:
            raise PolicyFileError(
                f"trained_parameters is {self.trained_parameters}; it counts the dense network's weights "
                "and biases"
            )
        width = self.observation_size
        if self.input_index is not None:
            index = _array("input_index", self.input_index, 1, np.int64)
            object.__setattr__(self, "input_index", index)
            if index.min() < 0 or index.max() >= width or np.unique(index).size != index.size:
                raise PolicyFileError(
                    f"input_index {index.tolist()} must name different entries of the {width} observed"
                )
            width = index.size
        for number, layer in enumerate(self.layers):
            if layer.weight.shape[1] != width:
                raise PolicyFileError(
                    f"layer {number} reads {layer.weight.shape[1]} numbers, but {width} reach it"
                )
            width = layer.weight.shape[0]
        if width != self.action_size:
            raise PolicyFileError(
                f"the last layer gives {width} numbers, but the outputs are {self.action_size}"
            )
