"""What Linux offers a real-time loop, taken where it is allowed, and said where it is not."""

import contextlib
import ctypes
import os
import sys
from dataclasses import dataclass
from pathlib import Path

PRIORITY = 40
_COMPILER = "libllvmlite"
_MADV_DONTNEED = 4
_MCL_CURRENT, _MCL_FUTURE, _MCL_ONFAULT = 1, 2, 4
_PR_SET_TIMERSLACK = 29


@dataclass(frozen=True)
class RealTime:
    """What was granted; `refused` says of each thing that was not why, and how to get it."""

    has_priority: bool
    has_locked_memory: bool
    refused: tuple[str, ...]


def enter_real_time(priority: int = PRIORITY, *, whole_process: bool = False) -> RealTime:
    """Gives the calling thread, and those that it makes afterwards, real-time priority; keeps the process's
    memory resident.

    Call it before the transport and the recording are opened: a thread that holds the interpreter's lock
    while others run in its stead would keep the loop waiting.

    Call it after the policies are compiled: the compiler's code, 50 MiB, is given back before memory is
    locked.

    Linear algebra keeps to the thread that asks for it: a thread of OpenBLAS waits for work by yielding its
    core again and again, and at real-time priority nothing else of normal priority would run there (NumPy
    1.26: one 4x4 inverse in each tick took a whole core).

    Args:
        priority: 1 to 99 (SCHED_RR: with SCHED_FIFO another one of the same priority that does not sleep
            would keep this one from running for good); the kernel's own interrupt threads have 50.
        whole_process: gives it to all threads that run already, too: those of a transport that had to be
            opened before, as rclpy's.
    """
    if not sys.platform.startswith("linux"):
        return RealTime(False, False, (f"real-time priority and locked memory: not on {sys.platform}",))
    libc = ctypes.CDLL(None, use_errno=True)
    refused = []
    try:
        from threadpoolctl import threadpool_limits

        threadpool_limits(1, user_api="blas")
    except ImportError:
        refused.append("linear algebra in one thread: threadpoolctl is missing; pip install threadpoolctl")
    try:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(priority))
        for thread in Path("/proc/self/task").iterdir() if whole_process else ():
            # it may have ended meanwhile
            with contextlib.suppress(ProcessLookupError):
                os.sched_setscheduler(int(thread.name), os.SCHED_RR, os.sched_param(priority))
    except OSError as error:
        # without it at least the timers may be exact
        libc.prctl(_PR_SET_TIMERSLACK, 1, 0, 0, 0)
        refused.append(
            f"real-time priority: {error.strerror}; allow it in /etc/security/limits.d: @realtime - rtprio 99"
        )
    _release_compiler(libc)
    # only pages in use are locked, or the stacks of all threads would count
    if libc.mlockall(_MCL_CURRENT | _MCL_FUTURE | _MCL_ONFAULT) != 0:
        reason = os.strerror(ctypes.get_errno())
        refused.append(
            f"locked memory: {reason}; allow it in /etc/security/limits.d: @realtime - memlock unlimited"
        )
    granted = {text.partition(":")[0] for text in refused}
    return RealTime("real-time priority" not in granted, "locked memory" not in granted, tuple(refused))


def run_before_others() -> None:
    """Gives the calling thread one more than the real-time priority that it has, so that it runs also where
    others do not sleep."""
    if sys.platform.startswith("linux") and os.sched_getscheduler(0) == os.SCHED_RR:
        with contextlib.suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(os.sched_getparam(0).sched_priority + 1))


def _release_compiler(libc: ctypes.CDLL) -> None:
    """Gives back the pages of LLVM's code; the kernel reads them again should they be needed. What LLVM
    writes to stays."""
    libc.madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    for line in Path("/proc/self/maps").read_text(encoding="utf-8").splitlines():
        addresses, permissions, *_, name = line.split()
        if _COMPILER in name and permissions == "r-xp":
            begin, end = (int(address, 16) for address in addresses.split("-"))
            libc.madvise(begin, end - begin, _MADV_DONTNEED)
