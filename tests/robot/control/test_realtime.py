"""In a process of its own: what it takes cannot be given back."""

import json
import subprocess
import sys

import pytest

PROGRAM = """
import json, os, threading, dataclasses
from l0_surgical.robot.control.realtime import PRIORITY, enter_real_time
granted = enter_real_time()
inherited = []
thread = threading.Thread(target=lambda: inherited.append(os.sched_getscheduler(0)))
thread.start()
thread.join()
locked = next(line for line in open("/proc/self/status") if line.startswith("VmLck"))
print(json.dumps(dataclasses.asdict(granted) | {"policy": os.sched_getscheduler(0), "priority": os.sched_getparam(0).sched_priority,
    "inherited": inherited[0], "locked_kib": int(locked.split()[1]), "round_robin": os.SCHED_RR, "asked": PRIORITY}))
"""


OF_OTHERS = """
import json, os, threading
from l0_surgical.robot.control.realtime import enter_real_time
end = threading.Event()
other = threading.Thread(target=end.wait)
other.start()
def schedulers():
    return [os.sched_getscheduler(thread) for thread in (threading.get_native_id(), other.native_id)]
enter_real_time()
own = schedulers()
enter_real_time(whole_process=True)
print(json.dumps([own, schedulers(), os.SCHED_RR]))
end.set()
"""


def test_threads_that_run_already_get_it_where_that_is_asked_for() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", OF_OTHERS], capture_output=True, text=True, check=True, timeout=60
    )
    own, all_of_them, round_robin = json.loads(ended.stdout)
    assert own[1] != round_robin
    assert all_of_them == [own[0], own[0]]


def test_it_says_what_it_got_and_why_not_the_rest() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True, timeout=60
    )
    result = json.loads(ended.stdout)
    if result["has_priority"]:
        assert (result["policy"], result["priority"]) == (result["round_robin"], result["asked"])
        assert result["inherited"] == result["round_robin"]
    else:
        assert result["policy"] != result["round_robin"]
    assert (result["locked_kib"] > 0) == result["has_locked_memory"]
    assert len(result["refused"]) == (not result["has_priority"]) + (not result["has_locked_memory"])
    for text in result["refused"]:
        assert "allow it in /etc/security/limits.d" in text


HOGS = """
import os, sys, threading, time
from l0_surgical.robot.control.realtime import enter_real_time
from l0_surgical.robot.control.servo_loop import ServoLoop
if not enter_real_time().has_priority:
    sys.exit(77)
if os.fork() == 0:
    # of the same priority and never asleep, on the same core
    os.sched_setaffinity(0, {0})
    time.sleep(0.5)
    end = time.monotonic() + 3
    while time.monotonic() < end:
        pass
    os._exit(0)
os.sched_setaffinity(0, {0})
ticks, stop = [], threading.Event()
def tick():
    ticks.append(time.monotonic())
    if ticks[-1] - ticks[0] > 2.5:
        stop.set()
ServoLoop(tick, 200).run(stop)
print(max(b - a for a, b in zip(ticks, ticks[1:])))
os.wait()
"""


def test_another_one_of_the_same_priority_that_does_not_sleep_lets_the_loop_run() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", HOGS], capture_output=True, text=True, check=False, timeout=60
    )
    if ended.returncode == 77:
        pytest.skip("no real-time priority is granted here")
    # a turn of round robin is 0.1 s; first in, first out would keep the loop waiting for the 3 s that the
    # other one runs
    assert float(ended.stdout) < 1.5, ended.stderr
