"""The hard-concrete gate and its gradient in one pass over memory each: numba on the CPU, the same formulas
in torch elsewhere.

Written as separate tensor operations the gate costs more than the matrix products of a 256-unit network;
fused it does not. With x the logistic noise, a = log_alpha, q = sigmoid((x + a) / beta) and p = sigmoid(a -
beta log(-gamma / zeta)):
    z = clip(q (zeta - gamma) + gamma, 0, 1),    w_hat = z w,    expected open gates = sum p,
    dz/da = q (1 - q) (zeta - gamma) / beta where 0 < z < 1, else 0;    dp/da = p (1 - p).
"""

import functools
import math
from collections.abc import Sequence
from typing import NamedTuple

import numba
import numpy as np
import torch
from torch import Tensor

from l0_surgical.system.compiled import cached_njit

NOISE_TABLE_SIZE = 1 << 22
_NOISE_TABLE_SEED = 20240613
# A chunk stays in the first-level cache between its loops; each loop names few arrays, because the compiler
# gives up on vectorising a loop with too many pointers to check for overlap.
_CHUNK = 4096


class Distribution(NamedTuple):
    """beta, gamma and zeta of the hard-concrete distribution (4.2)."""

    temperature: float
    low: float
    high: float

    @property
    def shift(self) -> float:
        """beta log(-gamma / zeta), which makes p the probability of a gate that is not 0 (4.4)."""
        return self.temperature * math.log(-self.low / self.high)


class GatedWeights(torch.autograd.Function):
    """All weights of a network at once: `(log_alpha, weights) -> (expected open gates (members,), w_hat of
    each weight)`.

    `log_alpha` is `(members, number of weights)`, each weight `(members, out, in)`, in the same order.
    `offsets` (members,) says where in the noise table each member's noise starts.
    """

    @staticmethod
    def forward(
        ctx, log_alpha: Tensor, offsets: np.ndarray, distribution: Distribution, *weights: Tensor
    ) -> tuple[Tensor, ...]:
        ctx.save_for_backward(log_alpha, *weights)
        ctx.constants = (offsets, distribution)
        if log_alpha.device.type != "cpu":
            return _forward_tensors(log_alpha, weights, offsets, distribution)
        table = noise_table(log_alpha.device, noise_size(log_alpha.shape[1])).numpy()
        alphas, first, total = log_alpha.detach().numpy(), 0, 0.0
        gated = [torch.empty_like(weight) for weight in weights]
        ctx.stretched, ctx.probability = torch.empty_like(log_alpha), torch.empty_like(log_alpha)
        kept = ctx.stretched.numpy(), ctx.probability.numpy()
        for weight, result in zip(weights, gated, strict=True):
            open_gates = np.empty((weight.shape[0], -(-weight[0].numel() // _CHUNK)), np.float32)
            _forward(
                _rows(weight),
                alphas,
                first,
                table,
                offsets,
                _rows(result),
                *kept,
                open_gates,
                *distribution,
                distribution.shift,
            )
            total += open_gates.sum(1)
            first += weight[0].numel()
        return torch.from_numpy(total), *gated

    @staticmethod
    def backward(ctx, open_gradient: Tensor, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        log_alpha, *weights = ctx.saved_tensors
        offsets, distribution = ctx.constants
        if log_alpha.device.type != "cpu":
            return _backward_tensors(log_alpha, weights, offsets, distribution, open_gradient, gradients)
        alpha_gradient, weight_gradients, first = (
            torch.empty_like(log_alpha),
            [torch.empty_like(weight) for weight in weights],
            0,
        )
        kept = ctx.stretched.numpy(), ctx.probability.numpy(), alpha_gradient.numpy()
        pull = open_gradient.contiguous().numpy()
        for weight, gradient, result in zip(weights, gradients, weight_gradients, strict=True):
            _backward(
                _rows(weight), first, _rows(gradient.contiguous()), _rows(result), *kept, pull, *distribution
            )
            first += weight[0].numel()
        return alpha_gradient, None, None, *weight_gradients


def _forward_tensors(
    log_alpha: Tensor, weights: Sequence[Tensor], offsets: np.ndarray, distribution: Distribution
) -> tuple[Tensor, ...]:
    q, p = _sigmoids(log_alpha, offsets, distribution)
    gate = (q * (distribution.high - distribution.low) + distribution.low).clamp(0, 1)
    parts = gate.split([weight[0].numel() for weight in weights], dim=1)
    return p.sum(1), *(
        weight * part.reshape(weight.shape) for weight, part in zip(weights, parts, strict=True)
    )


def _backward_tensors(
    log_alpha: Tensor,
    weights: Sequence[Tensor],
    offsets: np.ndarray,
    distribution: Distribution,
    open_gradient: Tensor,
    gradients: Sequence[Tensor],
) -> tuple[Tensor | None, ...]:
    q, p = _sigmoids(log_alpha, offsets, distribution)
    span = distribution.high - distribution.low
    stretched = q * span + distribution.low
    slope = q * (1 - q) * (span / distribution.temperature) * ((stretched > 0) & (stretched < 1))
    weight, gradient = (torch.cat([t.flatten(1) for t in tensors], dim=1) for tensors in (weights, gradients))
    alpha_gradient = gradient * weight * slope + open_gradient[:, None] * p * (1 - p)
    parts = (gradient * stretched.clamp(0, 1)).split([w[0].numel() for w in weights], dim=1)
    return (
        alpha_gradient,
        None,
        None,
        *(part.reshape(w.shape) for part, w in zip(parts, weights, strict=True)),
    )


def noise_size(count: int) -> int:
    """Length of the noise table for networks of `count` weights: there are at least as many places to start
    at as weights."""
    return max(NOISE_TABLE_SIZE, 1 << (2 * count - 1).bit_length())


@functools.lru_cache(maxsize=2)
def noise_table(device: torch.device, size: int = NOISE_TABLE_SIZE) -> Tensor:
    """Logistic noise log u - log(1 - u), drawn once: a slice at a random offset replaces a draw and two
    logarithms per weight."""
    uniform = torch.rand(size, generator=torch.Generator().manual_seed(_NOISE_TABLE_SEED))
    return torch.logit(uniform, eps=1e-6).to(device)


@cached_njit()
def noise_offsets(keys: np.ndarray, counter: int, count: int, size: int) -> np.ndarray:
    """Where `count` numbers of noise start in a table of `size`, one place per key (uint64): splitmix64 of
    key and counter, so that there is no state to save or to share between members."""
    places = np.empty(keys.shape[0], np.int64)
    for i in range(keys.shape[0]):
        x = keys[i] + np.uint64(counter + 1) * np.uint64(0x9E3779B97F4A7C15)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        places[i] = np.int64((x ^ (x >> np.uint64(31))) % np.uint64(size - count))
    return places


def _rows(tensor: Tensor) -> np.ndarray:
    return tensor.detach().numpy().reshape(tensor.shape[0], -1)


def _sigmoids(log_alpha: Tensor, offsets: np.ndarray, distribution: Distribution) -> tuple[Tensor, Tensor]:
    count = log_alpha.shape[1]
    table = noise_table(log_alpha.device, noise_size(count))
    noise = torch.stack([table[o : o + count] for o in offsets.tolist()])
    return torch.sigmoid((noise + log_alpha) / distribution.temperature), torch.sigmoid(
        log_alpha - distribution.shift
    )


_JIT = {"fastmath": True, "error_model": "numpy"}
_ZERO, _ONE = np.float32(0), np.float32(1)


@cached_njit(inline="always", **_JIT)
def _exp(x):
    """exp(x) = exp(x / 64)^64 with a Taylor polynomial, |x| <= 30: plain arithmetic, so the loop vectorises
    (sigmoid to 1e-6)."""
    y = min(max(x, np.float32(-30)), np.float32(30)) * np.float32(1 / 64)
    e = _ONE + y * np.float32(1 / 5)
    e = _ONE + y * np.float32(1 / 4) * e
    e = _ONE + y * np.float32(1 / 3) * e
    e = _ONE + y * np.float32(1 / 2) * e
    e = _ONE + y * e
    e = e * e
    e = e * e
    e = e * e
    e = e * e
    e = e * e
    return e * e


@cached_njit(**_JIT)
def _gate_and_probability(log_alpha, noise, inverse_temperature, low, span, shift, s, p):
    total = _ZERO
    for j in range(s.shape[0]):
        a = _ONE + _exp(shift - log_alpha[j])
        b = _ONE + _exp(-(noise[j] + log_alpha[j]) * inverse_temperature)
        inverse = _ONE / (a * b)  # one division for two sigmoids
        p[j] = b * inverse
        s[j] = a * inverse * span + low
        total += b * inverse
    return total


@cached_njit(**_JIT)
def _multiply_gate(values, s, result):
    for j in range(s.shape[0]):
        result[j] = values[j] * min(max(s[j], _ZERO), _ONE)


@cached_njit(**_JIT)
def _alpha_gradient(weight, s, p, gradient, low, inverse_span, scale, pull, result):
    for j in range(s.shape[0]):
        q = (s[j] - low) * inverse_span
        slope = scale * q * (_ONE - q) if (s[j] > _ZERO) & (s[j] < _ONE) else _ZERO
        result[j] = gradient[j] * weight[j] * slope + pull * p[j] * (_ONE - p[j])


@cached_njit(parallel=True, **_JIT)
def _forward(
    weight,
    log_alpha,
    first,
    table,
    offsets,
    gated,
    stretched,
    probability,
    open_gates,
    temperature,
    low,
    high,
    shift,
):
    members, count = weight.shape
    chunks = open_gates.shape[1]
    inverse, low, span, shift = (
        np.float32(1 / temperature),
        np.float32(low),
        np.float32(high - low),
        np.float32(shift),
    )
    for job in numba.prange(members * chunks):
        member, start = job // chunks, (job % chunks) * _CHUNK
        part = slice(start, min(count, start + _CHUNK))
        columns = slice(first + start, first + part.stop)
        noise = table[offsets[member] + columns.start : offsets[member] + columns.stop]
        s, p = stretched[member, columns], probability[member, columns]
        open_gates[member, job % chunks] = _gate_and_probability(
            log_alpha[member, columns], noise, inverse, low, span, shift, s, p
        )
        _multiply_gate(weight[member, part], s, gated[member, part])


@cached_njit(parallel=True, **_JIT)
def _backward(
    weight,
    first,
    gradient,
    weight_gradient,
    stretched,
    probability,
    alpha_gradient,
    pull,
    temperature,
    low,
    high,
):
    members, count = weight.shape
    chunks = (count + _CHUNK - 1) // _CHUNK
    inverse, low, span = np.float32(1 / temperature), np.float32(low), np.float32(high - low)
    for job in numba.prange(members * chunks):
        member, start = job // chunks, (job % chunks) * _CHUNK
        part = slice(start, min(count, start + _CHUNK))
        columns = slice(first + start, first + part.stop)
        s, p = stretched[member, columns], probability[member, columns]
        _multiply_gate(gradient[member, part], s, weight_gradient[member, part])
        arrays = (weight[member, part], s, p, gradient[member, part])
        _alpha_gradient(
            *arrays, low, _ONE / span, span * inverse, pull[member], alpha_gradient[member, columns]
        )
