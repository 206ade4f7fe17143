"""What Linux knows of this process, and what its libraries read."""

import os
import threading
import time
from pathlib import Path

from l0_surgical.system.errors import BadInputError

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
"""The variables that a process reads when NumPy, PyTorch or numba is loaded, for the number of its
threads."""


_threaded: int | None = None


def claim_threads() -> None:
    """Notes that this process runs PyTorch and numba in threads, which do not survive a fork.

    In a fork numba raises SIGTERM and leaves its kernels undone, which a training that saves at SIGTERM would
    take for numbers.

    Raises:
        BadInputError: this process is a fork of one that ran them.
    """
    global _threaded
    if _threaded not in (None, os.getpid()):
        raise BadInputError(
            "this process is a fork of one that has trained, and the threads of PyTorch and numba do not "
            "survive a fork; start it by multiprocessing.get_context('spawn')"
        )
    _threaded = os.getpid()


def resident_mib() -> float:
    """Memory of this process that is in RAM, in MiB."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def age_s() -> float:
    """Seconds since this process was started, to a hundredth."""
    fields = Path("/proc/self/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    uptime = float(Path("/proc/uptime").read_text(encoding="ascii").split()[0])
    return uptime - int(fields[19]) / os.sysconf("SC_CLK_TCK")


def follow_parent(descriptor: int, number: int, grace_s: float) -> None:
    """Ends this process once the other end of a pipe is closed, as it is when the parent is gone: by a
    signal, after a grace at once."""

    def follow() -> None:
        while os.read(descriptor, 1):
            pass
        os.kill(os.getpid(), number)
        time.sleep(grace_s)
        os._exit(1)

    threading.Thread(target=follow, name="lifeline", daemon=True).start()
