"""Motion of all joints from rest to rest, arriving together: a trapezoid of speed within each joint's limits."""

import math
from collections.abc import Sequence

import numpy as np

MAX_SPEED = (1.571, 1.571, 0.2, 18.85, 18.85, 18.85)
MAX_ACCELERATION = (1.571, 1.571, 0.2, 12.57, 12.57, 12.57)
"""Of the PSM's joints under move_*, rad/s (m/s) and rad/s2 (m/s2)."""


class Trajectory:
    """From `start` to `end` (n,), the shortest in time that keeps each joint's speed and acceleration, each times its ratio."""

    def __init__(
        self,
        start: Sequence[float],
        end: Sequence[float],
        speed: Sequence[float],
        acceleration: Sequence[float],
        speed_ratio: float = 1.0,
        acceleration_ratio: float = 1.0,
    ) -> None:
        self._start = np.array(start, dtype=np.float64)
        self._way = np.array(end, dtype=np.float64) - self._start
        moving = np.abs(self._way) > 0
        # of the whole way's fraction, which grows from 0 to 1
        way = np.abs(self._way[moving])
        self._speed = speed_ratio * float(np.min(np.array(speed)[moving] / way, initial=math.inf))
        self._acceleration = acceleration_ratio * float(np.min(np.array(acceleration)[moving] / way, initial=math.inf))
        if not moving.any():
            self._ramp_s = self.duration_s = 0.0
            return
        self._ramp_s = min(self._speed / self._acceleration, math.sqrt(1 / self._acceleration))
        self.duration_s = self._ramp_s + 1 / (self._acceleration * self._ramp_s)

    def at(self, seconds: float) -> np.ndarray:
        """The joints' positions (n,) after `seconds`."""
        return self._start + self._way * self._fraction(seconds)

    def _fraction(self, seconds: float) -> float:
        if seconds >= self.duration_s:
            return 1.0
        if seconds < self._ramp_s:
            return 0.5 * self._acceleration * seconds**2
        remaining = self.duration_s - seconds
        if remaining < self._ramp_s:
            return 1 - 0.5 * self._acceleration * remaining**2
        return self._acceleration * self._ramp_s * (seconds - self._ramp_s / 2)
