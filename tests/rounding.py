"""How far float32 may be from what a policy means: every engine and every export is judged beside the same
policy in float64.

A sum of n products w x is off by about sqrt(n) u sum |w||x| in float32, u = 2^-24, whatever the order of its
terms (Higham & Mary 2019, SIAM J. Sci. Comput. 41(5), A2815: rounding errors as independent numbers of mean
zero). What is off behind one layer reaches the actions through the layers after it, each activation passing
on at most as much as it gets; the parts add up as variances do.
"""

import numpy as np

from l0_surgical.policy import Layer, LowRank, Policy
from l0_surgical.runtime.reference import limits_of

UNIT = 2.0**-24
LIMIT = 4.0
"""So many deviations are rounding, more are an error."""
_TANH = 4.0
"""By so many units a library's float32 tanh may be off."""
_ACTIVATIONS = {"relu": lambda x: np.maximum(x, 0.0), "tanh": np.tanh, "linear": lambda x: x}


def in_float64(policy: Policy, observations: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The actions (n, actions) for observations (n, obs_dim), and by how much each may well be off in float32
    (one deviation)."""
    normalizer = policy.normalizer
    # an engine gets its observation as float32
    x = (observations.astype(np.float32).astype(float) - normalizer.mean) / normalizer.scale.astype(float)
    x = np.clip(x, -normalizer.clip, normalizer.clip)
    x = x if policy.input_index is None else x[:, policy.input_index]
    off_before, products = 2 * UNIT * abs(x), []
    for layer in policy.layers:
        off_written_out = _off(layer.weight.to_dense().astype(float), layer.bias, x)
        steps = _steps(layer)
        for number, (weight, bias, activation) in enumerate(steps):
            off = _off(weight, bias, x)
            if number == len(steps) - 1:
                # a low-rank layer may run as two products or written out
                off = np.maximum(off, off_written_out)
            total = x @ weight.T + bias
            x = _ACTIVATIONS[activation](total)
            # a ReLU so near to its kink may be on either side of it in float32
            slope = total > -10 * LIMIT * off if activation == "relu" else np.ones_like(total)
            products.append((weight, slope, off, _TANH * UNIT * abs(x) if activation == "tanh" else 0.0 * x))
    low, high, half, middle = limits_of(policy).astype(float)
    variance = (3 * UNIT * (abs(x * half) + abs(middle))) ** 2
    # how each action changes with each number that leaves a product: (n, actions, units)
    gradient = np.tile(np.diag(half), (len(x), 1, 1))
    for weight, slope, off, off_activation in reversed(products):
        variance += ((gradient * off_activation[:, None]) ** 2).sum(axis=2)
        gradient = gradient * slope[:, None]
        variance += ((gradient * off[:, None]) ** 2).sum(axis=2)
        gradient = gradient @ weight
    variance += ((gradient * off_before[:, None]) ** 2).sum(axis=2)
    return np.clip(x * half + middle, low, high), np.sqrt(variance) + np.finfo(np.float32).tiny


def deviations(actions: np.ndarray, policy: Policy, observations: np.ndarray) -> float:
    """By how many deviations the worst of the actions (n, actions) for observations (n, obs_dim) is off."""
    exact, deviation = in_float64(policy, observations)
    assert actions.shape == exact.shape
    return float((abs(actions.astype(float) - exact) / deviation).max())


def assert_rounded(actions: np.ndarray, policy: Policy, observations: np.ndarray) -> None:
    """The actions are what the policy means, rounded to float32."""
    assert deviations(actions, policy, observations) <= LIMIT


def _steps(layer: Layer) -> list[tuple[np.ndarray, np.ndarray, str]]:
    """The products that make up a layer: weight (out, in), bias (out,), activation."""
    weight, bias = layer.weight, layer.bias.astype(float)
    if isinstance(weight, LowRank):
        return [
            (weight.v.astype(float), np.zeros(weight.rank), "linear"),
            (weight.u.astype(float), bias, layer.activation),
        ]
    return [(weight.to_dense().astype(float), bias, layer.activation)]


def _off(weight: np.ndarray, bias: np.ndarray, x: np.ndarray) -> np.ndarray:
    """The deviation of weight @ x + bias in float32, (n, out); the weight itself may have been rounded."""
    return np.sqrt(weight.shape[1] + 2) * UNIT * (abs(x) @ abs(weight).T + abs(bias))
