"""In a process of its own: what it takes cannot be given back."""

import json
import subprocess
import sys

PROGRAM = """
import json, os, threading, dataclasses
from l0_surgical.control.realtime import PRIORITY, enter_real_time
granted = enter_real_time()
inherited = []
thread = threading.Thread(target=lambda: inherited.append(os.sched_getscheduler(0)))
thread.start()
thread.join()
locked = next(line for line in open("/proc/self/status") if line.startswith("VmLck"))
print(json.dumps(dataclasses.asdict(granted) | {"policy": os.sched_getscheduler(0), "priority": os.sched_getparam(0).sched_priority,
    "inherited": inherited[0], "locked_kib": int(locked.split()[1]), "fifo": os.SCHED_FIFO, "asked": PRIORITY}))
"""


OF_OTHERS = """
import json, os, threading
from l0_surgical.control.realtime import enter_real_time
end = threading.Event()
other = threading.Thread(target=end.wait)
other.start()
def schedulers():
    return [os.sched_getscheduler(thread) for thread in (threading.get_native_id(), other.native_id)]
enter_real_time()
own = schedulers()
enter_real_time(whole_process=True)
print(json.dumps([own, schedulers(), os.SCHED_FIFO]))
end.set()
"""


def test_threads_that_run_already_get_it_where_that_is_asked_for() -> None:
    ended = subprocess.run([sys.executable, "-c", OF_OTHERS], capture_output=True, text=True, check=True, timeout=60)
    own, all_of_them, fifo = json.loads(ended.stdout)
    assert own[1] != fifo
    assert all_of_them == [own[0], own[0]]


def test_it_says_what_it_got_and_why_not_the_rest() -> None:
    ended = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True, timeout=60)
    result = json.loads(ended.stdout)
    if result["has_priority"]:
        assert (result["policy"], result["priority"]) == (result["fifo"], result["asked"])
        assert result["inherited"] == result["fifo"]
    else:
        assert result["policy"] != result["fifo"]
    assert (result["locked_kib"] > 0) == result["has_locked_memory"]
    assert len(result["refused"]) == (not result["has_priority"]) + (not result["has_locked_memory"])
    for text in result["refused"]:
        assert "allow it in /etc/security/limits.d" in text
