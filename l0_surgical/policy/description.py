"""What is in a policy: the figures of the `inspect` command."""

from typing import Any

import numpy as np

from l0_surgical.policy.low_rank import size_decrease_percent
from l0_surgical.policy.records import Dense, Layer, LowRank, Policy
from l0_surgical.policy.simplify import live_units


def describe(policy: Policy) -> dict[str, Any]:
    """The policy in figures, ready for JSON.

    `parameters` are stored numbers (weights and biases; packed masks at 32 bits to a number); `nonzero` and
    `sparsity` are of the stored weights alone (of a low-rank layer: its factors), as are the paper's;
    `dead_units` could be removed without changing any action; `bytes` are those of the arrays in the file.
    """
    live = live_units(policy)
    layers = [_describe_layer(number, layer, live[number].size) for number, layer in enumerate(policy.layers)]
    weights = sum(_stored_weights(layer).size for layer in policy.layers)
    nonzero = sum(layer["nonzero"] for layer in layers)
    return {
        "task": policy.task,
        "network": [policy.layers[0].weight.shape[1], *(layer.weight.shape[0] for layer in policy.layers)],
        "parameters": policy.numbers,
        "trained_parameters": policy.trained_parameters,
        "size_decrease_percent": size_decrease_percent(policy.numbers, policy.trained_parameters),
        "nonzero": nonzero,
        "sparsity": 1.0 - nonzero / weights,
        "bytes": policy.nbytes,
        "layers": layers,
    }


def _describe_layer(number: int, layer: Layer, live: int) -> dict[str, Any]:
    stored = _stored_weights(layer)
    nonzero = int(np.count_nonzero(stored))
    return {
        "name": f"layers.{number}",
        "shape": list(layer.weight.shape),
        "representation": _representation(layer),
        "parameters": layer.weight.numbers + layer.bias.size,
        "nonzero": nonzero,
        "sparsity": 1.0 - nonzero / stored.size,
        "dead_units": layer.bias.size - live,
        "bytes": layer.weight.nbytes + layer.bias.nbytes,
    }


def _stored_weights(layer: Layer) -> np.ndarray:
    if isinstance(layer.weight, LowRank):
        return np.concatenate([layer.weight.u.ravel(), layer.weight.v.ravel()])
    return layer.weight.to_dense()


def _representation(layer: Layer) -> str:
    if isinstance(layer.weight, LowRank):
        return f"low rank {layer.weight.rank}"
    return "dense" if isinstance(layer.weight, Dense) else "packed sparse"
