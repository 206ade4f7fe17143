"""Lossy reductions of a policy, measured by what the weights do to the actions on observations that the
policy really meets.

Observations count by how far their actions are from saturation: where every action sits at its limit, small
errors do not matter. So weighted, a weight w_ij of layer l counts as (w_ij std_j s_i)^2: std_j is the
standard deviation of the activation it reads, s_i how strongly the actions depend on the unit it drives (to
first order). A tolerance t drops the smallest parts of each layer up to the share t^2 of the layer's sum:
single weights (`sparse`), or directions of its scaled SVD (`low_rank`). Larger tolerances drop supersets.
What is left is fitted again, layer by layer, to the original network's pre-activations, so that it makes up
for what was dropped: the weights of a sparse layer by least squares, and all biases.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from l0_surgical.policy import Dense, Layer, LowRank, Policy
from l0_surgical.policy.simplify import simplify

Method = Literal["sparse", "low_rank"]
# pull towards the original weights, relative to each input's variance: directions that the data never shows
# stay as they were
RIDGE = 1e-3
CONSTANT = 1e-8  # an input whose variance is below this share of its mean square is constant in float32
SATURATED = 0.2  # how much an observation counts whose actions are all saturated, against 1 where none is
FLOOR = 1e-3  # least sensitivity of a unit: a saturated action must not make its weights worthless


@dataclass(frozen=True)
class LayerTrace:
    """What a layer does on N observations, in float64.

    weight (out, in); inputs (N, in) and outputs (N, out), the pre-activations; importance (N,) of the
    observations, which sums to 1; deviation (in,) and sensitivity (out,), the std_j and s_i above.
    """

    weight: np.ndarray
    inputs: np.ndarray
    outputs: np.ndarray
    importance: np.ndarray
    deviation: np.ndarray
    sensitivity: np.ndarray


def trace(policy: Policy, observations: np.ndarray) -> list[LayerTrace]:
    """Runs the network on observations (N, obs_dim) and back again for the sensitivities."""
    hidden = policy.normalizer(observations.astype(np.float32)).astype(np.float64)
    if policy.input_index is not None:
        hidden = hidden[:, policy.input_index]
    runs = []
    for layer in policy.layers:
        weight = layer.weight.to_dense().astype(np.float64)
        outputs = hidden @ weight.T + layer.bias
        runs.append((weight, hidden, outputs))
        hidden = _activate(outputs, layer.activation)
    slopes = _slope(runs[-1][2], policy.layers[-1].activation)
    importance = np.mean(slopes**2, axis=1) + SATURATED
    importance /= importance.sum()
    traces: list[LayerTrace] = []
    downstream = np.ones(policy.action_size)
    for layer, (weight, inputs, outputs) in zip(reversed(policy.layers), reversed(runs), strict=True):
        sensitivity = downstream * np.sqrt(importance @ _slope(outputs, layer.activation) ** 2)
        sensitivity = np.maximum(sensitivity, FLOOR * max(sensitivity.max(), FLOOR))
        variance = importance @ (inputs - importance @ inputs) ** 2
        deviation = np.sqrt(np.where(variance > CONSTANT * (importance @ inputs**2), variance, 0.0))
        traces.append(LayerTrace(weight, inputs, outputs, importance, deviation, sensitivity))
        downstream = np.sqrt((weight**2 * sensitivity[:, None] ** 2).sum(axis=0))
    return traces[::-1]


def reduce_layers(
    policy: Policy, traces: Sequence[LayerTrace], tolerances: Sequence[float], method: Method
) -> Policy:
    """The policy with layer l reduced at `tolerances[l]` (relative error in [0, 1)), then simplified
    exactly."""
    layers = (
        _sparse(policy, traces, tolerances) if method == "sparse" else _low_rank(policy, traces, tolerances)
    )
    return simplify(dataclasses.replace(policy, layers=tuple(layers)))


def _sparse(policy: Policy, traces: Sequence[LayerTrace], tolerances: Sequence[float]) -> list[Layer]:
    masks = [_kept_weights(run, tolerance) for run, tolerance in zip(traces, tolerances, strict=True)]
    layers = []
    hidden = traces[0].inputs
    for number, (layer, run, mask) in enumerate(zip(policy.layers, traces, masks, strict=True)):
        read = masks[number + 1].any(axis=0) if number + 1 < len(masks) else np.ones(len(mask), dtype=bool)
        weight, bias = _refit(run, hidden, mask & read[:, None])
        layers.append(Layer(Dense(weight), bias, layer.activation))
        hidden = _activate(hidden @ weight.T + bias, layer.activation)
    return layers


def _low_rank(policy: Policy, traces: Sequence[LayerTrace], tolerances: Sequence[float]) -> list[Layer]:
    layers = []
    hidden = traces[0].inputs
    for layer, run, tolerance in zip(policy.layers, traces, tolerances, strict=True):
        deviation = run.deviation
        u, sigma, v = np.linalg.svd(run.sensitivity[:, None] * run.weight * deviation, full_matrices=False)
        dropped = np.append(np.cumsum(sigma[::-1] ** 2)[::-1], 0.0)  # by rank: the energy of what is not kept
        rank = max(1, int(np.argmax(dropped <= tolerance**2 * dropped[0])))
        inverse = np.divide(1.0, deviation, out=np.zeros_like(deviation), where=deviation > 0)
        factors = LowRank(u[:, :rank] * sigma[:rank] / run.sensitivity[:, None], v[:rank] * inverse)
        weight = factors.to_dense().astype(np.float64)
        bias = run.importance @ (run.outputs - hidden @ weight.T)
        layers.append(Layer(factors, bias, layer.activation))
        hidden = _activate(hidden @ weight.T + bias, layer.activation)
    return layers


def _kept_weights(run: LayerTrace, tolerance: float) -> np.ndarray:
    """The mask (out, in) of the weights that stay: all but the smallest that together count tolerance^2 of
    the layer."""
    effect = (run.weight * run.deviation * run.sensitivity[:, None]) ** 2
    order = np.argsort(effect, axis=None, kind="stable")
    dropped = np.cumsum(effect.ravel()[order]) <= tolerance**2 * effect.sum()
    mask = effect > 0
    mask.ravel()[order[dropped]] = False
    return mask


def _refit(run: LayerTrace, hidden: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weights on the mask (out, in) and biases (out,) that best give the original pre-activations from the
    reduced network's inputs.

    Ridge regression of each row towards its original weights; inputs that are constant in the reduced network
    go into the bias.
    """
    mean, target_mean = run.importance @ hidden, run.importance @ run.outputs
    centred = hidden - mean
    weighted = centred.T * run.importance
    gram = weighted @ centred
    moment = weighted @ (run.outputs - target_mean)
    # an input that varies only by rounding is a constant: a regression on it would give it a huge weight
    mask = mask & (np.diag(gram) > CONSTANT * (run.importance @ hidden**2))
    weight = np.zeros_like(run.weight)
    for row in np.flatnonzero(mask.any(axis=1)):
        kept = np.flatnonzero(mask[row])
        pull = RIDGE * np.diag(gram)[kept]
        system = gram[np.ix_(kept, kept)] + np.diag(pull)
        weight[row, kept] = np.linalg.solve(system, moment[kept, row] + pull * run.weight[row, kept])
    return weight, target_mean - weight @ mean


def _activate(values: np.ndarray, activation: str) -> np.ndarray:
    if activation == "relu":
        return np.maximum(values, 0.0)
    return np.tanh(values) if activation == "tanh" else values


def _slope(values: np.ndarray, activation: str) -> np.ndarray:
    if activation == "relu":
        return (values > 0).astype(np.float64)
    return 1.0 - np.tanh(values) ** 2 if activation == "tanh" else np.ones_like(values)
