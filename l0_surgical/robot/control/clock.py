"""The two clocks of a control loop, read together: monotonic for durations, wall for the stamps that other
computers read."""

import time
from dataclasses import dataclass
from typing import Protocol

_READING_NS = 20_000
_ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class Instant:
    """One moment on both clocks, in nanoseconds; `wall_ns` counts from 1970."""

    monotonic_ns: int
    wall_ns: int


class Clock(Protocol):
    def now(self) -> Instant: ...

    def sleep_until(self, monotonic_ns: int) -> None:
        """Returns at that time or, if it has passed, at once."""


class SystemClock:
    """The operating system's clocks."""

    def now(self) -> Instant:
        """Both clocks within 0.02 ms of each other: a thread that is interrupted between the two readings
        reads again.

        Without that an interruption would look like a step of the wall clock.
        """
        best, best_width = Instant(0, 0), None
        for _ in range(_ATTEMPTS):
            before = time.monotonic_ns()
            wall = time.time_ns()
            width = time.monotonic_ns() - before
            if best_width is None or width < best_width:
                best, best_width = Instant(before + width // 2, wall), width
            if width < _READING_NS:
                break
        return best

    def sleep_until(self, monotonic_ns: int) -> None:
        remaining = monotonic_ns - time.monotonic_ns()
        if remaining > 0:
            time.sleep(remaining * 1e-9)
