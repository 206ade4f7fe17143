"""Adam with a member axis: each member's numbers are computed alike whatever stands beside them, and a member
can be frozen.

A library optimiser sweeps over whole tensors, so where a member's numbers fall in a vector register, and with
it their rounding, depends on how many members there are; within some hundred updates that grows into another
policy.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numba
import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd.graph import increment_version

from l0_surgical.sparsity import Sparsifier
from l0_surgical.system.compiled import cached_njit

_CHUNK = 4096
_JIT = {"fastmath": True, "error_model": "numpy"}


@dataclass
class ParameterGroup:
    """Parameters `(members, ...)` that share a learning rate, and their first and second moments.

    Attributes:
        masks: bool tensors by index of those parameters of which entries are held at 0, where a mask is
            False.
    """

    parameters: Sequence[Tensor]
    learning_rate: float
    masks: Mapping[int, Tensor] = field(default_factory=dict)
    configured_rate: float = field(init=False)
    moments: list[tuple[Tensor, Tensor]] = field(init=False)
    steps: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        self.configured_rate = self.learning_rate
        self.moments = [(torch.zeros_like(p), torch.zeros_like(p)) for p in self.parameters]
        tensors = [(p.detach(), *m) for p, m in zip(self.parameters, self.moments, strict=True)]
        self.rows = [
            tuple(_rows(t) for t in triple) if triple[0].device.type == "cpu" else None for triple in tensors
        ]


class MemberAdam:
    """Adam (Kingma & Ba 2015) over groups of member-stacked parameters.

    Args:
        groups: parameters and their learning rates.
        betas: decay of the first and second moment.
        epsilon: added to the root of the second moment.
    """

    def __init__(
        self,
        groups: Sequence[ParameterGroup],
        betas: tuple[float, float] = (0.9, 0.999),
        epsilon: float = 1e-8,
    ) -> None:
        self.groups, self.betas, self.epsilon = list(groups), betas, epsilon

    @property
    def parameters(self) -> list[Tensor]:
        """All parameters, group by group."""
        return [parameter for group in self.groups for parameter in group.parameters]

    def scale_learning_rate(self, factor: float) -> None:
        """Sets the first group's rate (a network's own parameters, not its gates) to `factor` times its
        configured one."""
        self.groups[0].learning_rate = self.groups[0].configured_rate * factor

    def zero_grad(self) -> None:
        """Forgets the gradients."""
        for parameter in self.parameters:
            parameter.grad = None

    @torch.no_grad()
    def step(self, frozen: Collection[int] = ()) -> None:
        """One update from the gradients; `frozen` members stay as they are, even if their gradient is not
        finite.

        A group without gradients is left alone and its steps are not counted.
        """
        first, second = self.betas
        active = np.ones(self.groups[0].parameters[0].shape[0], np.bool_)
        active[list(frozen)] = False
        for group in self.groups:
            if any(parameter.grad is None for parameter in group.parameters):
                continue
            group.steps += 1
            root = float(np.sqrt(1 - second**group.steps))
            rate = group.learning_rate * root / (1 - first**group.steps)
            each = zip(group.parameters, group.moments, group.rows, strict=True)
            for index, (parameter, moments, rows) in enumerate(each):
                if rows is not None:
                    _step(
                        _rows(parameter.grad.contiguous()),
                        *rows,
                        active,
                        rate,
                        first,
                        second,
                        self.epsilon * root,
                    )
                    if index in group.masks:
                        _hold(_rows(group.masks[index]), *rows, active)
                    # autograd does not see numba write: told of it, it refuses to pass back through what held
                    # the former weights
                    increment_version(parameter)
                else:
                    _step_tensors(
                        parameter, parameter.grad, *moments, frozen, rate, first, second, self.epsilon * root
                    )
                    if index in group.masks:
                        for tensor in (parameter, *moments):
                            tensor.mul_(group.masks[index])

    def state_dict(self) -> dict:
        """Moments and step counts, for a checkpoint (learning rates are the caller's)."""
        return {
            "steps": [group.steps for group in self.groups],
            "moments": [list(pair) for group in self.groups for pair in group.moments],
        }

    def load_state_dict(self, state: dict) -> None:
        """Restores what `state_dict` gave."""
        saved = iter(state["moments"])
        for group, steps in zip(self.groups, state["steps"], strict=True):
            group.steps = steps
            for pair in group.moments:
                for tensor, value in zip(pair, next(saved), strict=True):
                    tensor.copy_(value)


def make_optimizer(network: nn.Module, sparsifier: Sparsifier, learning_rate: float) -> MemberAdam:
    """Adam for a network's weights and biases (the first group), of which the sparsifier may hold some at 0,
    and, at their own rate, for the sparsifier's parameters."""
    gates = [ParameterGroup(group["params"], group["lr"]) for group in sparsifier.parameter_groups()]
    own = {id(parameter) for group in gates for parameter in group.parameters}
    weights = [parameter for parameter in network.parameters() if id(parameter) not in own]
    places = {id(parameter): index for index, parameter in enumerate(weights)}
    masks = {places[id(weight)]: mask for weight, mask in sparsifier.masks()}
    return MemberAdam([ParameterGroup(weights, learning_rate, masks), *gates])


@torch.no_grad()
def clip_gradients(parameters: Sequence[Tensor], limit: float) -> None:
    """Scales every member's gradient over all `parameters` (members, ...) to a Euclidean norm of at most
    `limit`."""
    gradients = [parameter.grad for parameter in parameters]
    norms = sum(g.reshape(g.shape[0], -1).square().sum(1) for g in gradients).sqrt()
    factors = (limit / (norms + 1e-6)).clamp(max=1)
    for gradient in gradients:
        gradient.mul_(factors.reshape(-1, *(1,) * (gradient.dim() - 1)))


def _rows(tensor: Tensor) -> np.ndarray:
    return tensor.numpy().reshape(tensor.shape[0], -1)


def _step_tensors(  # same formula as _step, for devices that numba does not reach
    parameter: Tensor,
    gradient: Tensor,
    first_moment: Tensor,
    second_moment: Tensor,
    frozen: Collection[int],
    rate: float,
    first: float,
    second: float,
    epsilon: float,
) -> None:
    if frozen:
        kept = [i for i in range(parameter.shape[0]) if i not in frozen]
        views = (parameter, gradient, first_moment, second_moment)
        for member in kept:
            _step_tensors(*(view[member : member + 1] for view in views), (), rate, first, second, epsilon)
        return
    first_moment.lerp_(gradient, 1 - first)
    second_moment.mul_(second).addcmul_(gradient, gradient, value=1 - second)
    parameter.addcdiv_(first_moment, second_moment.sqrt().add_(epsilon), value=-rate)


@cached_njit(**_JIT)
def _moments(gradient, first_moment, second_moment, first, second):
    one = np.float32(1)
    for j in range(gradient.shape[0]):
        g = gradient[j]
        first_moment[j] += (one - first) * (g - first_moment[j])
        second_moment[j] = second * second_moment[j] + (one - second) * g * g


@cached_njit(**_JIT)
def _descend(parameter, first_moment, second_moment, rate, epsilon):
    for j in range(parameter.shape[0]):
        parameter[j] -= rate * first_moment[j] / (np.sqrt(second_moment[j]) + epsilon)


@cached_njit(parallel=True, **_JIT)
def _step(gradient, parameter, first_moment, second_moment, active, rate, first, second, epsilon):
    members, count = parameter.shape
    chunks = (count + _CHUNK - 1) // _CHUNK
    rate, first, second, epsilon = (
        np.float32(rate),
        np.float32(first),
        np.float32(second),
        np.float32(epsilon),
    )
    for job in numba.prange(members * chunks):
        member, start = job // chunks, (job % chunks) * _CHUNK
        if active[member]:
            part = slice(start, min(count, start + _CHUNK))
            m, v = first_moment[member, part], second_moment[member, part]
            _moments(gradient[member, part], m, v, first, second)
            _descend(parameter[member, part], m, v, rate, epsilon)


@cached_njit(**_JIT)
def _hold(mask, parameter, first_moment, second_moment, active):
    for member in range(parameter.shape[0]):
        if active[member]:
            for j in range(parameter.shape[1]):
                if not mask[member, j]:
                    parameter[member, j] = first_moment[member, j] = second_moment[member, j] = 0
