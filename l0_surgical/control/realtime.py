"""What Linux offers a real-time loop, taken where it is allowed, and said where it is not."""

import ctypes
import os
import sys
from dataclasses import dataclass

PRIORITY = 40
_MCL_CURRENT, _MCL_FUTURE, _MCL_ONFAULT = 1, 2, 4
_PR_SET_TIMERSLACK = 29


@dataclass(frozen=True)
class RealTime:
    """What was granted; `refused` says of each thing that was not why, and how to get it."""

    has_priority: bool
    has_locked_memory: bool
    refused: tuple[str, ...]


def enter_real_time(priority: int = PRIORITY) -> RealTime:
    """Gives the calling thread, and those that it makes afterwards, first-in-first-out priority; keeps the process's memory resident.

    Call it before the transport and the recording are opened: a thread that holds the interpreter's lock while others run in its stead
    would keep the loop waiting.

    Args:
        priority: 1 to 99 (SCHED_FIFO); the kernel's own interrupt threads have 50.
    """
    if not sys.platform.startswith("linux"):
        return RealTime(False, False, (f"real-time priority and locked memory: not on {sys.platform}",))
    libc = ctypes.CDLL(None, use_errno=True)
    refused = []
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(priority))
    except OSError as error:
        # without it at least the timers may be exact
        libc.prctl(_PR_SET_TIMERSLACK, 1, 0, 0, 0)
        refused.append(f"real-time priority: {error.strerror}; allow it in /etc/security/limits.d: @realtime - rtprio 99")
    # only pages in use are locked, or the stacks of all threads would count
    if libc.mlockall(_MCL_CURRENT | _MCL_FUTURE | _MCL_ONFAULT) != 0:
        reason = os.strerror(ctypes.get_errno())
        refused.append(f"locked memory: {reason}; allow it in /etc/security/limits.d: @realtime - memlock unlimited")
    granted = {text.partition(":")[0] for text in refused}
    return RealTime("real-time priority" not in granted, "locked memory" not in granted, tuple(refused))
