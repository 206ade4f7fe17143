"""Ring buffers of single transitions, one per member, filled from vector environments and sampled with given
random numbers."""

from dataclasses import dataclass

import numpy as np

from l0_surgical.system.compiled import cached_njit
from l0_surgical.system.memory import check_memory

_JIT = {"error_model": "numpy"}


@dataclass(frozen=True)
class Transitions:
    """A batch per member: states and next_states (members, batch, obs) float32, actions (members, batch)
    int64 or (members, batch, act) float32, rewards (members, batch) float32, terminated (members, batch)
    bool, and index (members, batch) int64, the slots that they came from."""

    states: np.ndarray
    actions: np.ndarray
    rewards: np.ndarray
    next_states: np.ndarray
    terminated: np.ndarray
    index: np.ndarray


class TransitionReplay:
    """The last `capacity` transitions of every member.

    Args:
        members: how many buffers.
        capacity: transitions each holds; the oldest is overwritten first.
        observation_size: numbers in a state.
        action_size: numbers in an action; None: it is a choice.

    Raises:
        BadInputError: that many do not fit into memory.
    """

    def __init__(
        self, members: int, capacity: int, observation_size: int, action_size: int | None = None
    ) -> None:
        action_bytes = 8 if action_size is None else 4 * action_size
        each = capacity * (2 * 4 * observation_size + action_bytes + 4 + 1)
        check_memory(
            "replay buffers", members, each, "pass a smaller buffer-size, or train fewer members at a time"
        )
        self.members, self.capacity = members, capacity
        self.sizes = np.zeros(members, np.int64)
        self._heads = np.zeros(members, np.int64)
        self._states = np.zeros((members, capacity, observation_size), np.float32)
        self._next_states = np.zeros_like(self._states)
        if action_size is None:
            self._actions = np.zeros((members, capacity), np.int64)
        else:
            self._actions = np.zeros((members, capacity, action_size), np.float32)
        self._rewards = np.zeros((members, capacity), np.float32)
        self._terminated = np.zeros((members, capacity), np.bool_)

    def add(
        self,
        states: np.ndarray,
        actions: np.ndarray,
        rewards: np.ndarray,
        next_states: np.ndarray,
        terminated: np.ndarray,
        valid: np.ndarray,
    ) -> np.ndarray:
        """Stores the transitions (members, environments, ...) that are `valid` (members, environments).

        Returns:
            The slot of each, (members, environments), -1 where it was not valid.
        """
        slots = np.full(valid.shape, -1, np.int64)
        _claim(valid, self._heads, self.sizes, self.capacity, slots)
        member, environment = np.nonzero(valid)
        slot = slots[member, environment]
        stored = (self._states, self._actions, self._rewards, self._next_states, self._terminated)
        for array, values in zip(stored, (states, actions, rewards, next_states, terminated), strict=True):
            array[member, slot] = values[member, environment]
        return slots

    def sample_uniformly(self, uniforms: np.ndarray) -> Transitions:
        """One transition for each number in [0, 1) of `uniforms` (members, batch), with replacement."""
        return self.at((uniforms * self.sizes[:, None]).astype(np.int64))

    def at(self, index: np.ndarray) -> Transitions:
        """The transitions in the slots `index` (members, batch)."""
        places = np.arange(self.members)[:, None] * self.capacity + index
        arrays = (self._states, self._actions, self._rewards, self._next_states, self._terminated)
        # several times as fast as array[rows, index]
        return Transitions(
            *(array.reshape(-1, *array.shape[2:]).take(places, axis=0) for array in arrays), index
        )

    def state_dict(self) -> dict[str, np.ndarray]:
        """What is stored (only the part that is filled), for a checkpoint."""
        used = int(self.sizes.max(initial=0))
        return {
            "sizes": self.sizes,
            "heads": self._heads,
            **{name: getattr(self, name)[:, :used] for name in _ARRAYS},
        }

    def load_state_dict(self, state: dict[str, np.ndarray]) -> None:
        """Restores what `state_dict` gave."""
        self.sizes[:], self._heads[:] = state["sizes"], state["heads"]
        for name in _ARRAYS:
            getattr(self, name)[:, : state[name].shape[1]] = state[name]


_ARRAYS = ("_states", "_next_states", "_actions", "_rewards", "_terminated")


@cached_njit(**_JIT)
def _claim(valid, heads, sizes, capacity, slots):
    for member in range(valid.shape[0]):
        for environment in range(valid.shape[1]):
            if valid[member, environment]:
                slots[member, environment] = heads[member]
                heads[member] = (heads[member] + 1) % capacity
                sizes[member] = min(sizes[member] + 1, capacity)
