"""Making a policy smaller without changing what it does: dead units and unread inputs go, each layer takes
its smallest representation."""

import dataclasses

import numpy as np

from l0_surgical.policy.low_rank import fold_weight
from l0_surgical.policy.records import Dense, Layer, LowRank, PackedSparse, Policy, Weight


def simplify(policy: Policy) -> Policy:
    """Removes dead units, then gives each layer its smallest representation; the actions stay the same to
    rounding."""
    small = remove_dead_units(policy)
    return dataclasses.replace(small, layers=tuple(smallest_representation(layer) for layer in small.layers))


def remove_dead_units(policy: Policy) -> Policy:
    """The same function without the units that do not matter; evaluation results are dropped.

    A unit whose incoming weights are all zero is a constant: it moves into the next layer's biases. A unit
    that the next layer does not read goes, which may leave others unread, so both rules run until nothing
    changes. An input that layer 0 does not read goes from `input_index`. Every layer keeps at least one unit
    and one input, so that no reader has to handle empty arrays.
    """
    layers, index, _ = _reduced(policy)
    return dataclasses.replace(policy, layers=tuple(layers), input_index=index, evaluation={})


def live_units(policy: Policy) -> list[np.ndarray]:
    """For each layer the units that `remove_dead_units` keeps, as increasing indices."""
    return _reduced(policy)[2]


def smallest_representation(layer: Layer) -> Layer:
    """The layer as dense, low rank (at its numerical rank in float32) or packed sparse, whichever stores the
    fewest bytes.

    At equal size the one that is quickest to use wins: dense, then low rank, then packed.
    """
    weight = layer.weight.to_dense()
    sigma = np.linalg.svd(weight.astype(np.float64), compute_uv=False)
    rank = max(1, int((sigma > sigma[0] * max(weight.shape) * np.finfo(np.float32).eps).sum()))
    choices: list[Weight] = [Dense(weight), fold_weight(weight, rank), PackedSparse.pack(weight)]
    if isinstance(layer.weight, LowRank):
        choices.insert(1, layer.weight)
    return dataclasses.replace(layer, weight=min(choices, key=lambda choice: choice.nbytes))


def _reduced(policy: Policy) -> tuple[list[Layer], np.ndarray | None, list[np.ndarray]]:
    """The layers without dead units, the new input index, and the original numbers of each layer's remaining
    units."""
    layers = list(policy.layers)
    units = [np.arange(layer.bias.size) for layer in layers]
    changed = True
    while changed:
        changed = False
        for number in range(len(layers) - 1):
            layer, reader = layers[number], layers[number + 1]
            driven = (layer.weight.to_dense() != 0).any(axis=1)
            read = (reader.weight.to_dense() != 0).any(axis=0)
            keep = np.flatnonzero(driven & read)
            if keep.size == driven.size or (driven.size == 1 and not driven.any() and not read.any()):
                continue
            layers[number : number + 2] = _without(layer, reader, keep, np.flatnonzero(~driven))
            units[number] = units[number][keep if keep.size else [0]]
            changed = True
    first = layers[0]
    read = np.flatnonzero((first.weight.to_dense() != 0).any(axis=0))
    read = read if read.size else np.array([0])
    index = policy.input_index
    if read.size < first.weight.shape[1]:
        layers[0] = dataclasses.replace(first, weight=_slice(first.weight, np.arange(first.bias.size), read))
        index = read if index is None else index[read]
    return layers, index, units


def _without(layer: Layer, reader: Layer, keep: np.ndarray, constant: np.ndarray) -> tuple[Layer, Layer]:
    """Keeps the units `keep` of `layer`, moving the `constant` ones into the biases of `reader`."""
    value = layer.bias[constant].astype(np.float64)
    value = (
        np.maximum(value, 0)
        if layer.activation == "relu"
        else np.tanh(value)
        if layer.activation == "tanh"
        else value
    )
    bias = reader.bias + reader.weight.to_dense()[:, constant].astype(np.float64) @ value
    if not keep.size:
        stub = Layer(Dense(np.zeros((1, layer.weight.shape[1]))), np.zeros(1), layer.activation)
        return stub, Layer(Dense(np.zeros((reader.bias.size, 1))), bias, reader.activation)
    everything, all_inputs = np.arange(reader.bias.size), np.arange(layer.weight.shape[1])
    return (
        Layer(_slice(layer.weight, keep, all_inputs), layer.bias[keep], layer.activation),
        Layer(_slice(reader.weight, everything, keep), bias, reader.activation),
    )


def _slice(weight: Weight, rows: np.ndarray, columns: np.ndarray) -> Weight:
    if isinstance(weight, LowRank):
        return LowRank(weight.u[rows], weight.v[:, columns])
    part = weight.to_dense()[np.ix_(rows, columns)]
    return Dense(part) if isinstance(weight, Dense) else PackedSparse.pack(part)
