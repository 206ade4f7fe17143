import re
import threading

import numpy as np
import pytest
from kinematic_arm import SteppedClock

from l0_surgical.robot.control.clock import SystemClock
from l0_surgical.robot.control.servo_loop import ServoLoop
from l0_surgical.robot.control.timing import Histogram


def test_percentiles_are_within_a_bin_of_the_samples() -> None:
    samples = np.random.default_rng(0).lognormal(-8, 1, 20_000)
    histogram = Histogram()
    for sample in samples:
        histogram.add(sample)
    for percent in (1, 50, 99, 99.9):
        exact = np.percentile(samples, percent, method="inverted_cdf")
        assert exact <= histogram.percentile(percent) <= 1.0233 * exact
    assert histogram.percentile(100) == samples.max()
    summary = histogram.summary()
    assert summary.count == 20_000
    assert summary.max_ms == 1e3 * samples.max()


def test_samples_beyond_the_bins_and_none_at_all() -> None:
    histogram = Histogram()
    assert histogram.summary().p99_ms == 0
    histogram.add(0.0)
    assert histogram.percentile(50) == 0
    histogram.add(1e9)
    assert histogram.summary().max_ms == 1e12


class Work:
    """A tick that takes the seconds it is told to and stops the loop after the last."""

    def __init__(self, clock: SteppedClock, durations: list[float]) -> None:
        self.clock, self.durations, self.begun = clock, durations, []
        self.stop = threading.Event()

    def __call__(self) -> None:
        self.begun.append(self.clock.now().monotonic_ns)
        self.clock.advance(self.durations[len(self.begun) - 1])
        if len(self.begun) == len(self.durations):
            self.stop.set()


def test_deadlines_are_absolute_and_missed_ones_are_left_out() -> None:
    clock = SteppedClock()
    work = Work(clock, [0.002, 0.0, 0.017, 0.001, 0.004, 0.0])
    start = clock.now().monotonic_ns
    loop = ServoLoop(work, 200, clock)
    loop.run(work.stop)
    begun_ms = [(begin - start) / 1e6 for begin in work.begun]
    # the third tick takes 3.4 periods: three deadlines pass, and the fourth is kept
    assert begun_ms == pytest.approx([5, 10, 15, 35, 40, 45])
    report = loop.report()
    assert (report.ticks, report.missed_periods) == (6, 3)
    assert report.longest_late_periods == 0


def test_lateness_is_counted_in_periods() -> None:
    clock = SteppedClock()
    work = Work(clock, [0.0, 0.0, 0.0])
    sleep_until = clock.sleep_until

    def oversleep(monotonic_ns: int) -> None:
        sleep_until(monotonic_ns)
        clock.advance(0.006 if len(work.begun) == 1 else 0.0)

    clock.sleep_until = oversleep
    loop = ServoLoop(work, 200, clock)
    loop.run(work.stop)
    assert loop.report().longest_late_periods == pytest.approx(1.2)
    assert loop.report().missed_periods == 1


def test_the_systems_clocks_are_read_together_and_sleep_does_not_end_early() -> None:
    clock = SystemClock()
    first = clock.now()
    clock.sleep_until(first.monotonic_ns + 2_000_000)
    second = clock.now()
    assert second.monotonic_ns - first.monotonic_ns >= 2_000_000
    clock.sleep_until(first.monotonic_ns)
    offsets = [instant.wall_ns - instant.monotonic_ns for instant in (clock.now() for _ in range(200))]
    assert max(offsets) - min(offsets) < 50_000_000


def test_a_loop_that_hangs_is_heard_by_another_thread_and_where_it_hangs() -> None:
    told, stop, release = [], threading.Event(), threading.Event()

    def hang() -> None:
        release.wait(60)
        stop.set()

    def hear(reason: str) -> None:
        told.append(reason)
        release.set()

    ServoLoop(hang, 200, on_stall=hear).run(stop)
    (reason,) = told
    assert re.fullmatch(
        r"the servo loop has not ticked for 1\.\d s; it is in wait \(threading.py:\d+\) < .*hang \(test_timing.py:\d+\)",
        reason,
    )


def test_a_loop_that_ticks_on_is_not_said_to_hang() -> None:
    told, stop = [], threading.Event()
    threading.Timer(1.5, stop.set).start()
    ServoLoop(lambda: None, 200, on_stall=told.append).run(stop)
    assert told == []
