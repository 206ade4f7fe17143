"""Ring buffers of whole episodes, one per member, with hindsight relabelling (HER, strategy `future`; Andrychowicz et al. 2017)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from l0_surgical.memory import check_memory

RewardFunction = Callable[[np.ndarray, np.ndarray, dict], np.ndarray]


@dataclass(frozen=True)
class Episode:
    """One episode of T steps: `observations` (T+1, obs), `achieved_goals` (T+1, goal), `actions` (T, act), `desired_goal` (goal,).

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
    """Transitions with leading axes `(updates, members, batch)`; states are observation and goal side by side."""

    states: np.ndarray
    actions: np.ndarray
    rewards: np.ndarray
    next_states: np.ndarray
    terminated: np.ndarray


class HindsightReplay:
    """The last `capacity // horizon` episodes of every member.

    Args:
        members: number of buffers.
        capacity: transitions per member.
        horizon: steps of the longest episode.
        relabel_fraction: part of a batch whose goal is replaced by one achieved later in the same episode, k / (k + 1).
        compute_reward: the environment's own `compute_reward(achieved, desired, info)`, vectorised over leading axes.

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
        compute_reward: RewardFunction,
    ) -> None:
        observation, goal, action = dimensions
        self.episodes = max(1, capacity // horizon)
        each = 4 * self.episodes * horizon * (observation + goal + action)
        check_memory("replay buffers", members, each, "pass a smaller buffer-size, or train fewer members at a time")
        self._relabel_fraction, self._compute_reward = relabel_fraction, compute_reward
        self._arrays = {
            "observations": np.zeros((members, self.episodes, horizon + 1, observation), np.float32),
            "achieved_goals": np.zeros((members, self.episodes, horizon + 1, goal), np.float32),
            "actions": np.zeros((members, self.episodes, horizon, action), np.float32),
            "desired_goals": np.zeros((members, self.episodes, goal), np.float32),
            "lengths": np.zeros((members, self.episodes), np.int64),
            "terminated": np.zeros((members, self.episodes), bool),
            "stored": np.zeros(members, np.int64),
        }

    def add(self, member: int, episode: Episode) -> None:
        """Stores one episode of `member`, over its oldest one when the buffer is full."""
        a, slot, length = self._arrays, self._arrays["stored"][member] % self.episodes, episode.length
        a["observations"][member, slot, : length + 1] = episode.observations
        a["achieved_goals"][member, slot, : length + 1] = episode.achieved_goals
        a["actions"][member, slot, :length] = episode.actions
        a["desired_goals"][member, slot] = episode.desired_goal
        a["lengths"][member, slot] = length
        a["terminated"][member, slot] = episode.terminated
        a["stored"][member] += 1

    def transitions(self, member: int) -> int:
        """Number of transitions that `member` holds."""
        return int(self._arrays["lengths"][member].sum())

    def sample(self, updates: int, batch: int, generators: Sequence[np.random.Generator], owners: Sequence[int] | None = None) -> Batch:
        """Draws the batches of `updates` consecutive updates, each member's from its own generator and (by default) its own buffer.

        `owners` names another member's buffer to draw from, for members that stopped before they stored anything.

        An episode is drawn in proportion to its length, so every stored transition is equally likely. A relabelled goal is
        `achieved_goals[t']` with t' uniform in t+1 .. T, and the reward is recomputed for the goal actually used.

        Raises:
            ValueError: a member has stored nothing yet.
        """
        a, shape = self._arrays, (updates, batch)
        owners = range(len(generators)) if owners is None else owners
        draws = [self._draw(owner, shape, generator) for owner, generator in zip(owners, generators, strict=True)]
        episode, step, future, relabel = (np.stack(part, axis=1) for part in zip(*draws, strict=True))
        member = np.array(owners)[None, :, None]
        goals = np.where(relabel[..., None], a["achieved_goals"][member, episode, future], a["desired_goals"][member, episode])
        rewards = self._compute_reward(a["achieved_goals"][member, episode, step + 1], goals, {})
        last = step + 1 == a["lengths"][member, episode]
        return Batch(
            states=np.concatenate([a["observations"][member, episode, step], goals], axis=-1),
            actions=a["actions"][member, episode, step],
            rewards=np.asarray(rewards, np.float32),
            next_states=np.concatenate([a["observations"][member, episode, step + 1], goals], axis=-1),
            terminated=last & a["terminated"][member, episode],
        )

    def _draw(self, member: int, shape: tuple[int, int], generator: np.random.Generator) -> tuple[np.ndarray, ...]:
        lengths = self._arrays["lengths"][member]
        ends = np.cumsum(lengths)
        if ends[-1] == 0:
            raise ValueError(f"member {member} has no episode to sample from; add one first")
        transition = generator.integers(ends[-1], size=shape)
        episode = np.searchsorted(ends, transition, side="right")
        step = transition - (ends[episode] - lengths[episode])
        future = generator.integers(step + 1, lengths[episode] + 1)
        return episode, step, future, generator.random(shape) < self._relabel_fraction

    def state_dict(self) -> dict[str, np.ndarray]:
        """The stored episodes, for a checkpoint."""
        return self._arrays

    def load_state_dict(self, state: dict[str, np.ndarray]) -> None:
        """Restores what `state_dict` gave."""
        self._arrays = {name: np.array(state[name], dtype=array.dtype) for name, array in self._arrays.items()}
