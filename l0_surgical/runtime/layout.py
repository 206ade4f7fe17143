"""A policy laid out in the one array that the kernels run on."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from l0_surgical.policy import Dense, Layer, LowRank, Policy
from l0_surgical.runtime import kernels
from l0_surgical.runtime.reference import limits_of

_ACTIVATIONS = {"linear": kernels.LINEAR, "relu": kernels.RELU, "tanh": kernels.TANH}
_MOSTLY = 0.7


@dataclass(frozen=True)
class Operation:
    """One step of the kernels' program: a weight (out, in) stored densely or sparsely, a bias (out,), an
    activation."""

    weight: np.ndarray
    is_sparse: bool
    bias: np.ndarray
    activation: str


class Memory:
    """The array in the making: parts are added, their places noted in the header or a program row."""

    def __init__(self, operations: Sequence[Operation]) -> None:
        self._head = np.zeros(kernels.HEADER + len(operations) * kernels.COLUMNS, dtype=np.uint32)
        self._parts: list[np.ndarray] = [self._head]
        self._size = self._head.size
        self._head[kernels.N_OPERATIONS] = len(operations)
        width = max(itertools.chain.from_iterable(operation.weight.shape for operation in operations))
        self.put(kernels.HIDDEN, np.zeros(4 * width, dtype=np.float32))
        self._head[kernels.WIDTH] = width
        for row, operation in zip(
            self._head[kernels.HEADER :].reshape(-1, kernels.COLUMNS), operations, strict=True
        ):
            self._add_operation(row, operation)

    def set(self, entry: int, value: int) -> None:
        """Sets a count of the header."""
        self._head[entry] = value

    def put(self, entry: int, values: np.ndarray) -> None:
        """Adds numbers and notes their place in the header."""
        self._head[entry] = self._add(values)

    def array(self) -> np.ndarray:
        """The whole, as float32."""
        return np.concatenate([part.view(np.float32) for part in self._parts])

    def _add(self, values: np.ndarray) -> int:
        """Adds numbers (as float32) or indices (as uint32); returns their place."""
        values = np.ascontiguousarray(
            values, dtype=np.uint32 if values.dtype.kind in "iu" else np.float32
        ).ravel()
        place = self._size
        self._parts.append(values)
        self._size += values.size
        return place

    def _add_operation(self, row: np.ndarray, operation: Operation) -> None:
        weight = operation.weight
        row[kernels.OUTPUTS], row[kernels.INPUTS] = weight.shape
        row[kernels.ACTIVATION] = _ACTIVATIONS[operation.activation]
        row[kernels.BIAS] = self._add(operation.bias)
        row[kernels.KIND] = kernels.SPARSE if operation.is_sparse else kernels.DENSE
        if operation.is_sparse:
            columns, rows = np.nonzero(weight.T)
            row[kernels.WEIGHTS] = self._add(weight[rows, columns])
            row[kernels.POINTERS] = self._add(np.searchsorted(columns, np.arange(weight.shape[1] + 1)))
            row[kernels.ROWS] = self._add(rows)
        else:
            row[kernels.WEIGHTS] = self._add(weight.T)


def forms_of(layer: Layer) -> list[str]:
    """The forms in which a layer may run: dense, sparse where there are zeros enough, low rank where it is
    stored as two factors."""
    forms = ["dense"]
    if not isinstance(layer.weight, Dense) or (layer.weight.weight != 0).mean() < _MOSTLY:
        forms.append("sparse")
    return forms + ["low rank"] * isinstance(layer.weight, LowRank)


def operations_of(layer: Layer, form: str) -> list[Operation]:
    """The kernels' operations for a layer in a form."""
    if form == "low rank":
        none = np.zeros(layer.weight.rank, dtype=np.float32)
        return [
            Operation(layer.weight.v, False, none, "linear"),
            Operation(layer.weight.u, False, layer.bias, layer.activation),
        ]
    return [Operation(layer.weight.to_dense(), form == "sparse", layer.bias, layer.activation)]


def lay_out(policy: Policy, forms: Sequence[str]) -> np.ndarray:
    """The kernels' array for a policy, each layer in its form."""
    memory = Memory(
        [
            operation
            for layer, form in zip(policy.layers, forms, strict=True)
            for operation in operations_of(layer, form)
        ]
    )
    read = np.arange(policy.observation_size) if policy.input_index is None else policy.input_index
    normalizer = policy.normalizer
    clip = np.full(read.size, min(normalizer.clip, np.finfo(np.float32).max))
    memory.set(kernels.N_READ, read.size)
    memory.set(kernels.N_OBSERVED, policy.observation_size)
    memory.set(kernels.N_ACTIONS, policy.action_size)
    memory.put(kernels.READ, read)
    memory.put(kernels.NORMALIZER, np.array((normalizer.mean[read], normalizer.scale[read], clip)))
    memory.put(kernels.LIMITS, limits_of(policy))
    memory.put(kernels.OBSERVATION, np.zeros(policy.observation_size))
    memory.put(kernels.ACTION, np.zeros(policy.action_size))
    return memory.array()
