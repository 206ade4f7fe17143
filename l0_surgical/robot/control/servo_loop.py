"""The servo loop: calls a tick at absolute deadlines, so that no lateness adds up."""

import gc
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from l0_surgical.robot.control.clock import Clock, SystemClock
from l0_surgical.robot.control.realtime import run_before_others
from l0_surgical.robot.control.timing import Histogram, Summary

_SWITCH_INTERVAL_S = 1e-4
_STALL_S = 1.0
_LOOK_EVERY_S = 0.1


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

    A tick that is late by a period or more is run once, and the deadlines that passed meanwhile are left out:
    setpoints are never sent in a burst.

    Args:
        tick: one period's work; an exception of it ends the loop.
        rate: per second (Hz).
        clock: the system's where None.
        on_stall: told by another thread, once, of a loop that has not ticked for a second, and where it
            hangs: a loop that does not return from a tick, or is not woken, cannot say so itself.
    """

    def __init__(
        self,
        tick: Callable[[], None],
        rate: float,
        clock: Clock | None = None,
        on_stall: Callable[[str], object] | None = None,
    ) -> None:
        self._tick = tick
        self._on_stall = on_stall
        self._period_ns = round(1e9 / rate)
        self._clock = clock or SystemClock()
        self._lateness = Histogram()
        self._ticks = 0
        self._missed = 0

    def run(self, stop: threading.Event) -> None:
        """Ticks until `stop` is set; returns within a period of that.

        Meanwhile other threads of the interpreter must hand over its lock within 0.1 ms, and objects that
        exist now are not looked at by the garbage collector.
        """
        gc.collect()
        gc.freeze()
        former_interval_s = sys.getswitchinterval()
        sys.setswitchinterval(_SWITCH_INTERVAL_S)
        ended = threading.Event()
        if self._on_stall is not None:
            threading.Thread(
                target=self._watch, args=(threading.get_ident(), ended), name="stall watch", daemon=True
            ).start()
        try:
            self._run(stop)
        finally:
            ended.set()
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

    def _watch(self, loop_thread: int, ended: threading.Event) -> None:
        run_before_others()
        ticks, since, is_told = self._ticks, time.monotonic(), False
        while not ended.wait(_LOOK_EVERY_S):
            if self._ticks != ticks:
                ticks, since, is_told = self._ticks, time.monotonic(), False
            elif time.monotonic() - since > _STALL_S and not is_told:
                is_told = True
                self._on_stall(
                    f"the servo loop has not ticked for {time.monotonic() - since:.1f} s; it is in "
                    f"{_place(loop_thread)}"
                )


def _place(thread: int) -> str:
    """Where in the program a thread is: its three innermost calls."""
    frame, calls = sys._current_frames().get(thread), []
    while frame is not None and len(calls) < 3:
        calls.append(f"{frame.f_code.co_name} ({Path(frame.f_code.co_filename).name}:{frame.f_lineno})")
        frame = frame.f_back
    return " < ".join(calls) or "a thread that has ended"
