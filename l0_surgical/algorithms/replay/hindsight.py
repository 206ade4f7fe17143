"""Ring buffers of transitions, one per member, with hindsight relabelling (HER, strategy `future`;
Andrychowicz et al. 2017)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from l0_surgical.system.memory import check_memory


class Rules(Protocol):
    """What a transition is worth for a goal; see `GoalRules`."""

    def rewards(self, achieved: np.ndarray, desired: np.ndarray) -> np.ndarray:
        """The rewards (...) of achieved goals (..., goal) for desired ones."""

    def terminated(self, achieved: np.ndarray, desired: np.ndarray) -> np.ndarray | None:
        """Whether they end an episode, (...) bool; None where there is no rule."""


@dataclass(frozen=True)
class Episode:
    """One episode of T steps: `observations` (T+1, obs), `achieved_goals` (T+1, goal), `actions` (T, act),
    `desired_goal` (goal,).

    `terminated` says that the last step ended the task itself (a truncated episode is not terminated).
    """

    observations: np.ndarray
    achieved_goals: np.ndarray
    actions: np.ndarray
    desired_goal: np.ndarray
    terminated: bool = False

    @property
    def length(self) -> int:
        """Number of steps T."""
        return len(self.actions)


@dataclass(frozen=True)
class Batch:
    """Transitions with leading axes `(updates, members, batch)`; states are observation and goal side by
    side."""

    states: np.ndarray
    actions: np.ndarray
    rewards: np.ndarray
    next_states: np.ndarray
    terminated: np.ndarray


class HindsightReplay:
    """The last `capacity` transitions of every member, each with what was achieved after it in its episode.

    Args:
        members: number of buffers.
        capacity: transitions per member; at least a whole episode is held.
        horizon: steps of the longest episode.
        dimensions: observation, goal and action sizes.
        relabel_fraction: part of a batch whose goal is replaced by one achieved later in the same episode, k
            / (k + 1).
        rules: reward and end of a transition for any goal.

    Raises:
        BadInputError: that many transitions do not fit into memory.
    """

    def __init__(
        self,
        members: int,
        capacity: int,
        horizon: int,
        dimensions: tuple[int, int, int],
        relabel_fraction: float,
        rules: Rules,
    ) -> None:
        observation, goal, action = dimensions
        self.capacity = max(capacity, horizon)
        each = 4 * self.capacity * (2 * observation + 2 * goal + action)
        check_memory(
            "replay buffers", members, each, "pass a smaller buffer-size, or train fewer members at a time"
        )
        self._relabel_fraction, self._rules = relabel_fraction, rules
        self._arrays = {
            "observations": np.zeros((members, self.capacity, observation), np.float32),
            "next_observations": np.zeros((members, self.capacity, observation), np.float32),
            "achieved_goals": np.zeros((members, self.capacity, goal), np.float32),  # after the action
            "desired_goals": np.zeros((members, self.capacity, goal), np.float32),
            "actions": np.zeros((members, self.capacity, action), np.float32),
            "left": np.zeros(
                (members, self.capacity), np.int64
            ),  # transitions to the end of the episode, this one included
            "terminated": np.zeros((members, self.capacity), bool),  # whatever the goal
            "stored": np.zeros(members, np.int64),  # since the beginning
        }

    def add(self, member: int, episode: Episode) -> None:
        """Stores one episode of `member`, over its oldest transitions when the buffer is full."""
        a, length = self._arrays, episode.length
        places = (a["stored"][member] + np.arange(length)) % self.capacity
        a["observations"][member, places] = episode.observations[:-1]
        a["next_observations"][member, places] = episode.observations[1:]
        a["achieved_goals"][member, places] = episode.achieved_goals[1:]
        a["desired_goals"][member, places] = episode.desired_goal
        a["actions"][member, places] = episode.actions
        a["left"][member, places] = np.arange(length, 0, -1)
        a["terminated"][member, places] = False
        a["terminated"][member, places[-1]] = episode.terminated and not self._ends_by_goal(episode)
        a["stored"][member] += length

    def _ends_by_goal(self, episode: Episode) -> bool:
        """Whether the episode ended because of its goal, so that with another goal its last transition may
        not end anything."""
        ends = self._rules.terminated(episode.achieved_goals[-1:], episode.desired_goal[None])
        return ends is not None and bool(ends[0])

    def transitions(self, member: int) -> int:
        """Number of transitions that `member` holds."""
        return min(int(self._arrays["stored"][member]), self.capacity)

    def sample(
        self,
        updates: int,
        batch: int,
        generators: Sequence[np.random.Generator],
        owners: Sequence[int] | None = None,
    ) -> Batch:
        """Draws the batches of `updates` consecutive updates, each member's from its own generator and (by
        default) its own buffer.

        `owners` names another member's buffer to draw from, for members that stopped before they stored
        anything.

        Every stored transition is equally likely. A relabelled goal is one achieved by the transition or by a
        later one of its episode, all equally likely; reward and end are those of the goal actually used.

        Raises:
            ValueError: a member has stored nothing yet.
        """
        a, shape = self._arrays, (updates, batch)
        owners = range(len(generators)) if owners is None else owners
        draws = [
            self._draw(owner, shape, generator) for owner, generator in zip(owners, generators, strict=True)
        ]
        place, future, relabel = (np.stack(part, axis=1) for part in zip(*draws, strict=True))
        member = np.array(owners)[None, :, None]
        goals = np.where(
            relabel[..., None], a["achieved_goals"][member, future], a["desired_goals"][member, place]
        )
        achieved, terminated = a["achieved_goals"][member, place], a["terminated"][member, place]
        ends = self._rules.terminated(achieved, goals)
        return Batch(
            states=np.concatenate([a["observations"][member, place], goals], axis=-1),
            actions=a["actions"][member, place],
            rewards=np.asarray(self._rules.rewards(achieved, goals), np.float32),
            next_states=np.concatenate([a["next_observations"][member, place], goals], axis=-1),
            terminated=terminated if ends is None else terminated | ends,
        )

    def _draw(
        self, member: int, shape: tuple[int, int], generator: np.random.Generator
    ) -> tuple[np.ndarray, ...]:
        size = self.transitions(member)
        if size == 0:
            raise ValueError(f"member {member} has no episode to sample from; add one first")
        place = generator.integers(size, size=shape)
        # what is overwritten first is the beginning of an episode, so all that was achieved later is there
        future = (place + generator.integers(self._arrays["left"][member, place])) % self.capacity
        return place, future, generator.random(shape) < self._relabel_fraction

    def state_dict(self) -> dict[str, np.ndarray]:
        """The stored transitions, for a checkpoint."""
        return self._arrays

    def load_state_dict(self, state: dict[str, np.ndarray]) -> None:
        """Restores what `state_dict` gave."""
        self._arrays = {
            name: np.array(state[name], dtype=array.dtype) for name, array in self._arrays.items()
        }
