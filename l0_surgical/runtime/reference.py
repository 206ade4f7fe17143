"""The reference engine: what a policy means, in plain NumPy float32. Faster engines and exports are measured
against it."""

import numpy as np

from l0_surgical.policy import Policy
from l0_surgical.system.errors import BadInputError


class ReferenceEngine:
    """Computes a policy's actions; the weights are written out densely once, at construction, and cannot be
    changed afterwards."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self._layers = [(layer.weight.to_dense().T, layer.bias, layer.activation) for layer in policy.layers]
        self._low, self._high, self._half, self._middle = limits_of(policy)

    def act(self, observation: np.ndarray) -> np.ndarray:
        """The action (actions,) for an observation (obs_dim,), or (batch, actions) for (batch, obs_dim), in
        the fields' units.

        Raises:
            BadInputError: another shape, numbers that are not finite (also once they are float32), or so
            large that the network overflows.
        """
        values = np.asarray(observation, dtype=np.float64)
        size = self.policy.observation_size
        if values.ndim not in (1, 2) or values.shape[-1] != size:
            names = ", ".join(f"{part.name} {part.size}" for part in self.policy.inputs)
            raise BadInputError(
                f"an observation of shape {values.shape} does not fit: this policy needs {size} numbers "
                f"({names})"
            )
        # NaN fails the comparison too
        if not (np.abs(values) <= np.finfo(np.float32).max).all():
            where = np.unique(np.nonzero(~(np.abs(values) <= np.finfo(np.float32).max))[-1]).tolist()
            raise BadInputError(
                f"the observation is NaN or infinite in entries {where}; check the sensor or simulator that "
                "gave it"
            )
        with np.errstate(over="ignore", invalid="ignore"):
            hidden = self.policy.normalizer(values.astype(np.float32))
            if self.policy.input_index is not None:
                hidden = hidden[..., self.policy.input_index]
            for weight, bias, activation in self._layers:
                hidden = hidden @ weight + bias
                if activation == "relu":
                    hidden = np.maximum(hidden, np.float32(0))
                elif activation == "tanh":
                    hidden = np.tanh(hidden)
        if not np.isfinite(hidden).all():
            raise BadInputError(
                f"the network overflows on an observation as large as {np.abs(values).max():.3g}; check its "
                "units"
            )
        with np.errstate(over="ignore"):
            return np.clip(hidden * self._half + self._middle, self._low, self._high)


def limits_of(policy: Policy) -> np.ndarray:
    """Low, high, half range and middle (4, actions), float32, of a policy's outputs; low and high are never
    outside the field's limits.

    An output without limits is passed on as it is: half range 1, middle 0, no clipping.
    """
    limits = [
        (
            *part.float32_limits,
            *((1.0, 0.0) if part.low is None else ((part.high - part.low) / 2, (part.high + part.low) / 2)),
        )
        for part in policy.outputs
    ]
    return np.repeat(np.array(limits, dtype=np.float32), [part.size for part in policy.outputs], axis=0).T
