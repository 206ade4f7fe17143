"""Which transitions are replayed more often: prioritised experience replay, per member.

`SumTree` is the proportional variant of Schaul et al. 2016 (arXiv 1511.05952), P(i) = p_i / sum_k p_k, in
O(log N) per draw. `SoftmaxPriorities` is the paper's, P(i) = exp(p_i) / sum_k exp(p_k) (Goddla 2024, eq.
2.3), in O(N) per batch. In both p_i = |TD error|^alpha, and a new transition has the largest p so far, so
that it is seen at least once.
"""

from typing import Protocol

import numpy as np

from l0_surgical.system.compiled import cached_njit

_JIT = {"error_model": "numpy"}
EPSILON = 1e-6
"""Added to |TD error| so that no transition is lost for good."""


class Priorities(Protocol):
    """Priorities of the slots of a `TransitionReplay`."""

    def add(self, slots: np.ndarray) -> None:
        """New transitions in the slots (members, n); -1 is skipped."""

    def sample(self, uniforms: np.ndarray, sizes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Draws with the numbers `uniforms` (members, batch) among the first `sizes` (members,) slots.

        Returns:
            The slots (members, batch) int64 and the probability P(i) of each (members, batch).
        """

    def update(self, index: np.ndarray, errors: np.ndarray) -> None:
        """New TD errors (members, batch) of the slots `index` (members, batch)."""

    def state_dict(self) -> dict[str, np.ndarray]:
        """For a checkpoint."""

    def load_state_dict(self, state: dict[str, np.ndarray]) -> None:
        """Restores what `state_dict` gave."""


class SumTree:
    """Proportional priorities; a batch is stratified: the k-th draw comes from the k-th of equal parts of the
    total.

    Args:
        members, capacity: those of the replay buffer.
        alpha: exponent of |TD error|; 0 is uniform.
    """

    def __init__(self, members: int, capacity: int, alpha: float) -> None:
        self._alpha, self._leaves = alpha, 1 << (capacity - 1).bit_length()
        self._tree = np.zeros((members, 2 * self._leaves))
        self._largest = np.ones(members)

    def add(self, slots: np.ndarray) -> None:
        """See `Priorities`."""
        _set(self._tree, self._leaves, slots, np.broadcast_to(self._largest[:, None], slots.shape))

    def sample(self, uniforms: np.ndarray, sizes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """See `Priorities`."""
        index = np.zeros(uniforms.shape, np.int64)
        _find(self._tree, self._leaves, uniforms, sizes, index)
        chosen = np.take_along_axis(self._tree[:, self._leaves :], index, axis=1)
        return index, chosen / self._tree[:, 1:2]

    def update(self, index: np.ndarray, errors: np.ndarray) -> None:
        """See `Priorities`."""
        values = (np.abs(errors) + EPSILON) ** self._alpha
        self._largest = np.maximum(self._largest, values.max(axis=1))
        _set(self._tree, self._leaves, index, values)

    def state_dict(self) -> dict[str, np.ndarray]:
        """See `Priorities`."""
        return {"tree": self._tree, "largest": self._largest}

    def load_state_dict(self, state: dict[str, np.ndarray]) -> None:
        """See `Priorities`."""
        self._tree[:], self._largest[:] = state["tree"], state["largest"]


class SoftmaxPriorities:
    """The paper's priorities (2.3), exact over the whole buffer.

    Args:
        members, capacity: those of the replay buffer.
        alpha: exponent of |TD error|.
    """

    def __init__(self, members: int, capacity: int, alpha: float) -> None:
        self._alpha = alpha
        self._priorities = np.zeros((members, capacity))
        self._largest = np.ones(members)

    def add(self, slots: np.ndarray) -> None:
        """See `Priorities`."""
        member, column = np.nonzero(slots >= 0)
        self._priorities[member, slots[member, column]] = self._largest[member]

    def sample(self, uniforms: np.ndarray, sizes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """See `Priorities`."""
        used = self._priorities[:, : int(sizes.max())]
        filled = np.arange(used.shape[1]) < sizes[:, None]
        shares = np.exp(used - used.max(axis=1, where=filled, initial=0, keepdims=True)) * filled
        cumulative = np.cumsum(shares, axis=1)
        total = cumulative[:, -1:]
        index = np.stack(
            [
                np.searchsorted(row, u * row[-1], side="right")
                for row, u in zip(cumulative, uniforms, strict=True)
            ]
        )
        index = np.minimum(index, sizes[:, None] - 1)
        return index, np.take_along_axis(shares, index, axis=1) / total

    def update(self, index: np.ndarray, errors: np.ndarray) -> None:
        """See `Priorities`."""
        values = (np.abs(errors) + EPSILON) ** self._alpha
        self._largest = np.maximum(self._largest, values.max(axis=1))
        np.put_along_axis(self._priorities, index, values, axis=1)

    def state_dict(self) -> dict[str, np.ndarray]:
        """See `Priorities`."""
        return {"priorities": self._priorities, "largest": self._largest}

    def load_state_dict(self, state: dict[str, np.ndarray]) -> None:
        """See `Priorities`."""
        self._priorities[:], self._largest[:] = state["priorities"], state["largest"]


def importance_weights(probabilities: np.ndarray, sizes: np.ndarray, beta: float) -> np.ndarray:
    """(N P(i))^-beta over its largest value in the batch (Schaul et al. 2016, sec. 3.4); all ones for beta =
    0.

    Args:
        probabilities: P(i), (members, batch).
        sizes: N, (members,).
        beta: 0 corrects nothing, 1 all of the bias.
    """
    weights = (sizes[:, None] * probabilities) ** -beta
    return (weights / weights.max(axis=1, keepdims=True)).astype(np.float32)


@cached_njit(**_JIT)
def _set(tree, leaves, slots, values):
    for member in range(slots.shape[0]):
        for k in range(slots.shape[1]):
            if slots[member, k] >= 0:
                node = leaves + slots[member, k]
                tree[member, node] = values[member, k]
                while node > 1:
                    node //= 2
                    tree[member, node] = tree[member, 2 * node] + tree[member, 2 * node + 1]


@cached_njit(**_JIT)
def _find(tree, leaves, uniforms, sizes, index):
    batch = uniforms.shape[1]
    for member in range(uniforms.shape[0]):
        for k in range(batch):
            wanted = (k + uniforms[member, k]) / batch * tree[member, 1]
            node = 1
            while node < leaves:
                node *= 2
                if wanted >= tree[member, node] and tree[member, node + 1] > 0:
                    wanted -= tree[member, node]
                    node += 1
            index[member, k] = min(node - leaves, sizes[member] - 1)
