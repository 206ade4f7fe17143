"""The servo loop: calls a tick at absolute deadlines, so that no lateness adds up."""

import gc
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass

from l0_surgical.control.clock import Clock, SystemClock
from l0_surgical.control.timing import Histogram, Summary

_SWITCH_INTERVAL_S = 1e-4


@dataclass(frozen=True)
class LoopReport:
    """How the loop kept its deadlines.

    Attributes:
        ticks: how many there were.
        missed_periods: deadlines that passed without a tick because the one before was late or long.
        longest_late_periods: the largest lateness, in periods.
        lateness: of each tick behind its deadline.
    """

    ticks: int
    missed_periods: int
    longest_late_periods: float
    lateness: Summary


class ServoLoop:
    """Runs `tick` every 1/rate seconds in the thread that calls `run`.

    A tick that is late by a period or more is run once, and the deadlines that passed meanwhile are left out: setpoints are never sent
    in a burst.

    Args:
        tick: one period's work; an exception of it ends the loop.
        rate: per second (Hz).
        clock: the system's where None.
    """

    def __init__(self, tick: Callable[[], None], rate: float, clock: Clock | None = None) -> None:
        self._tick = tick
        self._period_ns = round(1e9 / rate)
        self._clock = clock or SystemClock()
        self._lateness = Histogram()
        self._ticks = 0
        self._missed = 0

    def run(self, stop: threading.Event) -> None:
        """Ticks until `stop` is set; returns within a period of that.

        Meanwhile other threads of the interpreter must hand over its lock within 0.1 ms, and objects that exist now are not looked at
        by the garbage collector.
        """
        gc.collect()
        gc.freeze()
        former_interval_s = sys.getswitchinterval()
        sys.setswitchinterval(_SWITCH_INTERVAL_S)
        try:
            self._run(stop)
        finally:
            sys.setswitchinterval(former_interval_s)
            gc.unfreeze()

    def report(self) -> LoopReport:
        """What was so far; any thread may ask."""
        lateness = self._lateness.summary()
        return LoopReport(self._ticks, self._missed, lateness.max_ms / (1e-6 * self._period_ns), lateness)

    def _run(self, stop: threading.Event) -> None:
        deadline_ns = self._clock.now().monotonic_ns + self._period_ns
        while not stop.is_set():
            self._clock.sleep_until(deadline_ns)
            late_ns = self._clock.now().monotonic_ns - deadline_ns
            self._lateness.add(1e-9 * max(0, late_ns))
            self._ticks += 1
            self._tick()
            passed = max(0, (self._clock.now().monotonic_ns - deadline_ns) // self._period_ns)
            self._missed += passed
            deadline_ns += (passed + 1) * self._period_ns
