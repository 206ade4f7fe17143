"""Motion of all joints to rest at a goal, arriving together, each within its limits of speed and acceleration
(as Reflexxes' type II).

From rest, and from a velocity along the way, the joints keep in step: a straight line, with a trapezoid of
speed. From any other velocity the slowest joint goes as fast as it may, and the others as hard as they may to
the lower speed that brings them there in the same time.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

MAX_SPEED = (1.571, 1.571, 0.2, 18.85, 18.85, 18.85, 18.85)
MAX_ACCELERATION = (1.571, 1.571, 0.2, 12.57, 12.57, 12.57, 12.57)
"""Of the PSM's joints and jaw under move_*, rad/s (m/s) and rad/s2 (m/s2)."""

_BISECTIONS = 60
_IN_STEP = 1e-9


@dataclass(frozen=True)
class _Profile:
    """One joint: from velocity `first` to `speed`, there for `cruise_s`, then to rest, each change at
    `acceleration`."""

    first: float
    speed: float
    acceleration: float
    cruise_s: float

    @property
    def change_s(self) -> float:
        return abs(self.speed - self.first) / self.acceleration

    @property
    def brake_s(self) -> float:
        return abs(self.speed) / self.acceleration

    @property
    def duration_s(self) -> float:
        return self.change_s + self.cruise_s + self.brake_s

    def way(self) -> float:
        return 0.5 * (self.first + self.speed) * self.change_s + self.speed * (
            self.cruise_s + 0.5 * self.brake_s
        )

    def at(self, seconds: float) -> tuple[float, float]:
        """The way so far and the velocity."""
        changing = min(seconds, self.change_s)
        velocity = self.first + math.copysign(self.acceleration * changing, self.speed - self.first)
        way = 0.5 * (self.first + velocity) * changing
        cruising = min(max(seconds - self.change_s, 0.0), self.cruise_s)
        braking = min(max(seconds - self.change_s - self.cruise_s, 0.0), self.brake_s)
        if braking > 0:
            velocity = math.copysign(abs(self.speed) - self.acceleration * braking, self.speed)
            way += 0.5 * (self.speed + velocity) * braking
        return way + self.speed * cruising, velocity


class Trajectory:
    """From `start` (n,) with `velocity` (n,) to rest at `goal` (n,): the shortest that keeps each joint's
    speed and acceleration."""

    def __init__(
        self,
        start: Sequence[float],
        goal: Sequence[float],
        speed: Sequence[float],
        acceleration: Sequence[float],
        velocity: Sequence[float] | None = None,
    ) -> None:
        self._start, self._goal = np.array(start, dtype=np.float64), np.array(goal, dtype=np.float64)
        first = np.zeros_like(self._start) if velocity is None else np.asarray(velocity, dtype=np.float64)
        way = self._goal - self._start
        share = _share_of_the_way(way, first)
        if share is None:
            joints = list(zip(way.tolist(), first.tolist(), speed, acceleration, strict=True))
            self.duration_s = max(_fastest(*joint).duration_s for joint in joints)
            # each joint goes its own way
            self._directions, self._profiles = (
                np.eye(len(way)),
                [_lasting(*joint, self.duration_s) for joint in joints],
            )
        elif not way.any():
            self.duration_s, self._directions, self._profiles = 0.0, np.zeros((0, len(way))), []
        else:
            moving = np.abs(way) > 0
            limits = (
                float(np.min(np.array(limit)[moving] / np.abs(way[moving])))
                for limit in (speed, acceleration)
            )
            self._directions, self._profiles = way[np.newaxis], [_fastest(1.0, share, *limits)]
            self.duration_s = self._profiles[0].duration_s

    def at(self, seconds: float) -> tuple[np.ndarray, np.ndarray]:
        """The joints' positions and velocities (n,) after `seconds`."""
        if seconds >= self.duration_s:
            return self._goal.copy(), np.zeros_like(self._goal)
        ways, velocities = zip(*(profile.at(seconds) for profile in self._profiles), strict=True)
        return self._start + np.array(ways) @ self._directions, np.array(velocities) @ self._directions


def _share_of_the_way(way: np.ndarray, velocity: np.ndarray) -> float | None:
    """How much of the way (n,) lies in a second of the velocity (n,); None where that leads elsewhere."""
    length = float(way @ way)
    share = float(velocity @ way) / length if length else 0.0
    return share if np.abs(velocity - share * way).max() < _IN_STEP else None


def _fastest(way: float, first: float, speed: float, acceleration: float) -> _Profile:
    # where braking at once would end decides on which side of it the goal lies
    side = math.copysign(1.0, way - first * abs(first) / (2 * acceleration))
    peak = side * math.sqrt(max(0.0, side * acceleration * way + 0.5 * first * first))
    if abs(peak) <= speed:
        return _Profile(first, peak, acceleration, 0.0)
    without = _Profile(first, side * speed, acceleration, 0.0)
    return _Profile(first, side * speed, acceleration, max(0.0, (way - without.way()) / (side * speed)))


def _lasting(way: float, first: float, speed: float, acceleration: float, seconds: float) -> _Profile:
    """The one whose way grows with the speed between the two changes."""

    def profile(cruising: float) -> _Profile:
        quick = _Profile(first, cruising, acceleration, 0.0)
        return _Profile(first, cruising, acceleration, max(0.0, seconds - quick.duration_s))

    # beyond these speeds the changes alone would take longer
    spare = acceleration * seconds
    low, high = max(-speed, 0.5 * (first - spare)), min(speed, 0.5 * (first + spare))
    for _ in range(_BISECTIONS):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if profile(middle).way() < way else (low, middle)
    return profile(0.5 * (low + high))
