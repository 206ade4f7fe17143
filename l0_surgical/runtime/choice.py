"""In which form each layer runs: by a rule, so that a policy runs the same way in every process and on every
machine.

The forms round differently. Were the fastest found with a clock, the same policy could give other last bits
from one process to the next.
"""

import numpy as np

from l0_surgical.policy import Layer, Policy
from l0_surgical.runtime.layout import forms_of

# Fitted to the times that benchmarks/engine_forms.py measures. The unit is what one weight of a dense layer
# costs, about 1/64 ns there.
_DENSE_CALL, _DENSE_COLUMN = 3200, 64
_SPARSE_CALL, _SPARSE_COLUMN, _SPARSE_WEIGHT = 1152, 48, 16
# a column of the outer factor counts so often: what reaches it has no zeros, where a ReLU leaves half of
# them, and ranks are small
_OUTER_COLUMN = 3


def choose(policy: Policy) -> tuple[str, ...]:
    """The cheapest form of each layer, by `costs`; of equals the first that `forms_of` names."""
    return tuple(min(cost, key=cost.__getitem__) for cost in map(costs, policy.layers))


def costs(layer: Layer) -> dict[str, int]:
    """What the rule expects of each form that a layer may take: a time, in a unit of its own. Integers, so
    that no rounding decides."""
    rows, columns = layer.weight.shape
    found = {}
    for form in forms_of(layer):
        if form == "dense":
            found[form] = _dense(rows, columns)
        elif form == "sparse":
            nonzero = int(np.count_nonzero(layer.weight.to_dense()))
            found[form] = _SPARSE_CALL + _SPARSE_COLUMN * columns + _SPARSE_WEIGHT * nonzero
        else:
            found[form] = _dense(layer.weight.rank, columns) + _dense(rows, _OUTER_COLUMN * layer.weight.rank)
    return found


def _dense(rows: int, columns: int) -> int:
    return _DENSE_CALL + _DENSE_COLUMN * columns + rows * columns
