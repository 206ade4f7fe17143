"""The hard-concrete gate and its gradient in one pass over memory each: numba on the CPU, the same formulas in torch elsewhere.

Written as separate tensor operations the gate costs more than the matrix products of a 256-unit network; fused it does not.
With x the logistic noise, a = log_alpha, q = sigmoid((x + a) / beta) and p = sigmoid(a - beta log(-gamma / zeta)):
    z = clip(q (zeta - gamma) + gamma, 0, 1),    w_hat = z w,    expected open gates = sum p,
    dz/da = q (1 - q) (zeta - gamma) / beta where 0 < z < 1, else 0;    dp/da = p (1 - p).
The backward pass computes q and p again: that is cheaper than to write and read them.
"""

import functools
import math
from typing import NamedTuple

import numba
import numpy as np
import torch
from torch import Tensor

NOISE_TABLE_SIZE = 1 << 22
_NOISE_TABLE_SEED = 20240613
# A chunk stays in the first-level cache between its loops; each loop names few arrays, because the compiler gives up on vectorising
# a loop with too many pointers to check for overlap.
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


class GatedWeight(torch.autograd.Function):
    """`(weight, log_alpha) -> (w_hat, expected open gates (members,))`; weight and log_alpha are `(members, out, in)`.

    `offsets` (members,) says where in the noise table each member's noise for this weight starts.
    """

    @staticmethod
    def forward(ctx, weight: Tensor, log_alpha: Tensor, offsets: np.ndarray, distribution: Distribution) -> tuple[Tensor, Tensor]:
        ctx.save_for_backward(weight, log_alpha)
        ctx.constants = (offsets, distribution)
        if weight.device.type != "cpu":
            q, p = _sigmoids(log_alpha, offsets, distribution)
            gate = (q * (distribution.high - distribution.low) + distribution.low).clamp(0, 1)
            return weight * gate, p.sum((1, 2))
        gated, members = torch.empty_like(weight), weight.shape[0]
        open_gates = np.empty((members, -(-weight[0].numel() // _CHUNK)), np.float32)
        table = noise_table(weight.device).numpy()
        _forward(_rows(weight), _rows(log_alpha), table, offsets, _rows(gated), open_gates, *distribution, distribution.shift)
        return gated, torch.from_numpy(open_gates.sum(1))

    @staticmethod
    def backward(ctx, gradient: Tensor, open_gradient: Tensor) -> tuple[Tensor | None, ...]:
        weight, log_alpha = ctx.saved_tensors
        offsets, distribution = ctx.constants
        if weight.device.type != "cpu":
            q, p = _sigmoids(log_alpha, offsets, distribution)
            span = distribution.high - distribution.low
            stretched = q * span + distribution.low
            slope = q * (1 - q) * (span / distribution.temperature) * ((stretched > 0) & (stretched < 1))
            alpha_gradient = gradient * weight * slope + open_gradient[:, None, None] * p * (1 - p)
            return gradient * stretched.clamp(0, 1), alpha_gradient, None, None
        weight_gradient, alpha_gradient = torch.empty_like(weight), torch.empty_like(weight)
        rows = (_rows(t) for t in (weight, log_alpha, gradient.contiguous(), weight_gradient, alpha_gradient))
        table, pull = noise_table(weight.device).numpy(), open_gradient.contiguous().numpy()
        _backward(*rows, table, offsets, pull, *distribution, distribution.shift)
        return weight_gradient, alpha_gradient, None, None


@functools.lru_cache(maxsize=2)
def noise_table(device: torch.device) -> Tensor:
    """Logistic noise log u - log(1 - u), drawn once: a slice at a random offset replaces a draw and two logarithms per weight."""
    uniform = torch.rand(NOISE_TABLE_SIZE, generator=torch.Generator().manual_seed(_NOISE_TABLE_SEED))
    return torch.logit(uniform, eps=1e-6).to(device)


def _rows(tensor: Tensor) -> np.ndarray:
    return tensor.detach().numpy().reshape(tensor.shape[0], -1)


def _sigmoids(log_alpha: Tensor, offsets: np.ndarray, distribution: Distribution) -> tuple[Tensor, Tensor]:
    table, count = noise_table(log_alpha.device), log_alpha[0].numel()
    noise = torch.stack([table[o : o + count] for o in offsets.tolist()]).view_as(log_alpha)
    return torch.sigmoid((noise + log_alpha) / distribution.temperature), torch.sigmoid(log_alpha - distribution.shift)


_JIT = {"fastmath": True, "error_model": "numpy", "cache": True}
_ZERO, _ONE = np.float32(0), np.float32(1)


@numba.njit(inline="always", **_JIT)
def _exp(x):
    """exp(x) = exp(x / 64)^64 with a Taylor polynomial, |x| <= 30: plain arithmetic, so the loop vectorises (relative error < 1e-5)."""
    y = min(max(x, np.float32(-30)), np.float32(30)) * np.float32(1 / 64)
    e = _ONE + y * np.float32(1 / 6)
    e = _ONE + y * np.float32(1 / 5) * e
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


@numba.njit(**_JIT)
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


@numba.njit(**_JIT)
def _multiply_gate(values, s, result):
    for j in range(s.shape[0]):
        result[j] = values[j] * min(max(s[j], _ZERO), _ONE)


@numba.njit(**_JIT)
def _alpha_gradient(weight, s, p, gradient, low, inverse_span, scale, pull, result):
    for j in range(s.shape[0]):
        q = (s[j] - low) * inverse_span
        slope = scale * q * (_ONE - q) if (s[j] > _ZERO) & (s[j] < _ONE) else _ZERO
        result[j] = gradient[j] * weight[j] * slope + pull * p[j] * (_ONE - p[j])


@numba.njit(parallel=True, **_JIT)
def _forward(weight, log_alpha, table, offsets, gated, open_gates, temperature, low, high, shift):
    members, count = weight.shape
    chunks = open_gates.shape[1]
    inverse, low, span, shift = np.float32(1 / temperature), np.float32(low), np.float32(high - low), np.float32(shift)
    for job in numba.prange(members * chunks):
        member, start = job // chunks, (job % chunks) * _CHUNK
        part = slice(start, min(count, start + _CHUNK))
        noise = table[offsets[member] + start : offsets[member] + part.stop]
        p, s = np.empty(part.stop - start, np.float32), np.empty(part.stop - start, np.float32)
        open_gates[member, job % chunks] = _gate_and_probability(log_alpha[member, part], noise, inverse, low, span, shift, s, p)
        _multiply_gate(weight[member, part], s, gated[member, part])


@numba.njit(parallel=True, **_JIT)
def _backward(weight, log_alpha, gradient, weight_gradient, alpha_gradient, table, offsets, pull, temperature, low, high, shift):
    members, count = weight.shape
    chunks = (count + _CHUNK - 1) // _CHUNK
    inverse, low, span, shift = np.float32(1 / temperature), np.float32(low), np.float32(high - low), np.float32(shift)
    for job in numba.prange(members * chunks):
        member, start = job // chunks, (job % chunks) * _CHUNK
        part = slice(start, min(count, start + _CHUNK))
        noise = table[offsets[member] + start : offsets[member] + part.stop]
        p, s = np.empty(part.stop - start, np.float32), np.empty(part.stop - start, np.float32)
        _gate_and_probability(log_alpha[member, part], noise, inverse, low, span, shift, s, p)
        _multiply_gate(gradient[member, part], s, weight_gradient[member, part])
        arrays = (weight[member, part], s, p, gradient[member, part])
        _alpha_gradient(*arrays, low, _ONE / span, span * inverse, pull[member], alpha_gradient[member, part])
